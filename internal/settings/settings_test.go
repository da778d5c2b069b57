package settings_test

import (
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"aws-streaming-pipeline/internal/settings"
)

// Embedded is what programs share.
type Embedded struct {
	Level string `envconfig:"T_LEVEL" default:"info" desc:"how much"`
}

func TestRead_ReportsEveryFaultAtOnce(t *testing.T) {
	t.Setenv("T_COUNT", "three")
	t.Setenv("T_WAIT", "soon")
	var c struct {
		Bucket string        `envconfig:"T_BUCKET" required:"true" desc:"Where to. And more."`
		Count  int           `envconfig:"T_COUNT" default:"3" desc:"how many"`
		Wait   time.Duration `envconfig:"T_WAIT" default:"5s" desc:"how long"`
	}
	err := settings.Read(&c).Err()
	want := "T_BUCKET is required: where to\nT_COUNT=\"three\": want a whole number\nT_WAIT=\"soon\": want a duration, such as 5s"
	if err == nil || err.Error() != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
	if c.Count != 3 || c.Wait != 5*time.Second {
		t.Errorf("what does not parse has not its default: %+v", c)
	}
}

func TestRead_SetsFieldsOfEmbeddedStructs(t *testing.T) {
	t.Setenv("T_BUCKET", "b")
	t.Setenv("T_LEVEL", "debug")
	var c struct {
		Bucket string `envconfig:"T_BUCKET" required:"true"`
		Embedded
	}
	if err := settings.Read(&c).Err(); err != nil {
		t.Fatal(err)
	}
	if c.Bucket != "b" || c.Level != "debug" {
		t.Errorf("read %+v", c)
	}
}

func TestSetDefaults_AreWhatReadGivesWithoutVariables(t *testing.T) {
	type config struct {
		Count int           `envconfig:"T_COUNT" default:"3"`
		Share float64       `envconfig:"T_SHARE" default:"0.5"`
		Dry   bool          `envconfig:"T_DRY" default:"true"`
		Wait  time.Duration `envconfig:"T_WAIT" default:"5s"`
		Embedded
	}
	var set, read config
	settings.SetDefaults(&set)
	if err := settings.Read(&read).Err(); err != nil {
		t.Fatal(err)
	}
	if set != read || set.Count != 3 || set.Level != "info" {
		t.Errorf("defaults are %+v, read gives %+v", set, read)
	}
}

func TestGroups_FollowTheFields(t *testing.T) {
	type config struct {
		Bucket   string `envconfig:"T_BUCKET" required:"true" desc:"Where to."`
		Wait     int    `envconfig:"T_WAIT" default:"2" min:"1" desc:"How long."`
		Embedded `group:"Logs"`
		Mode     string `envconfig:"T_MODE" oneof:"fast,slow"`
	}
	bucket := settings.Setting{Name: "T_BUCKET", Required: true, Meaning: "Where to.", Type: reflect.TypeFor[string]()}
	wait := settings.Setting{Name: "T_WAIT", Default: "2", Meaning: "How long.", Min: "1", Type: reflect.TypeFor[int]()}
	level := settings.Setting{Name: "T_LEVEL", Default: "info", Meaning: "how much", Type: reflect.TypeFor[string]()}
	mode := settings.Setting{Name: "T_MODE", OneOf: []string{"fast", "slow"}, Type: reflect.TypeFor[string]()}
	want := []settings.Group{{Settings: []settings.Setting{bucket, wait}}, {Title: "Logs", Settings: []settings.Setting{level}}, {Settings: []settings.Setting{mode}}}
	if got := settings.Groups[config](); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v", got)
	}
}

type rules struct {
	Mode  string        `envconfig:"T_MODE" oneof:"slow,slower"`
	Wait  time.Duration `envconfig:"T_WAIT" default:"5s" min:"1s" max:"1m"`
	Share float64       `envconfig:"T_SHARE" default:"0.5" max:"1"`
	Bytes int           `envconfig:"T_BYTES"`
}

func TestOf_NamesVariableValueAndWhatIsRight(t *testing.T) {
	f := settings.Of(&rules{Mode: "fast", Wait: time.Hour, Share: math.NaN(), Bytes: 3})
	f.Check(false, "T_BYTES", "an even number")
	f.Check(false, "T_BYTES", "what is not said, because there is a fault already")
	f.Check(false, "T_WAIT", "as little")
	f.Add("T_MODE", nil)
	want := "T_MODE=\"fast\": want slow or slower\nT_WAIT=\"1h\": want a duration from 1s to 1m, such as 5s\n" +
		"T_SHARE=\"NaN\": want a number of at most 1\nT_BYTES=\"3\": want an even number"
	if err := f.Err(); err == nil || err.Error() != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
	if f.Sound("T_WAIT") {
		t.Error("a variable with a fault is taken for sound")
	}
	sound := settings.Of(&rules{Wait: time.Second, Share: 1}) // a variable without a default may be left out
	if err := sound.Err(); err != nil || !sound.Sound("T_MODE", "T_WAIT", "T_SHARE") {
		t.Errorf("no faults give %v", err)
	}
}

func TestOf_ChecksTextsByTheirPattern(t *testing.T) {
	type config struct {
		Stream string `envconfig:"T_STREAM" required:"true" pattern:"^[a-z]{1,8}$" form:"1 to 8 letters"`
		Table  string `envconfig:"T_TABLE" pattern:"^[a-z]{3}$" form:"3 letters"`
	}
	for _, right := range []config{{Stream: "trips"}, {Stream: "trips", Table: "abc"}} {
		if err := settings.Of(&right).Err(); err != nil {
			t.Errorf("%+v: %v", right, err)
		}
	}
	want := "T_STREAM=\"Trips\": want 1 to 8 letters\nT_TABLE=\"ab\": want 3 letters"
	if err := settings.Of(&config{Stream: "Trips", Table: "ab"}).Err(); err == nil || err.Error() != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
}

func TestFaults_NameVariablesThatAreNotAtTheirDefaults(t *testing.T) {
	c := struct {
		rules
		Embedded
	}{rules{Wait: 7 * time.Second, Share: 0.25, Bytes: 3}, Embedded{"info"}}
	some, all, none := settings.Of(&c), settings.Of(&c), settings.Of(&c)
	some.AtDefault(&c.rules, []string{"T_WAIT", "T_MODE"}, "unless it rains")
	all.AtDefault(&c.rules, nil, "unless it rains")
	none.AtDefault(&c.Embedded, nil, "unless it rains")
	want := `T_WAIT="7s": want 5s unless it rains`
	if err := some.Err(); err == nil || err.Error() != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
	want += "\nT_SHARE=\"0.25\": want 0.5 unless it rains\nT_BYTES=\"3\": want nothing unless it rains"
	if err := all.Err(); err == nil || err.Error() != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
	if err := none.Err(); err != nil {
		t.Error(err)
	}
}

func TestRead_ShowsValuesAsTheyWereWritten(t *testing.T) {
	t.Setenv("T_WAIT", "3600s")
	var c rules
	if err := settings.Read(&c).Err(); err == nil || !strings.HasPrefix(err.Error(), `T_WAIT="3600s": `) {
		t.Errorf("got %v", err)
	}
}

func TestSetting_HelpEndsWithBoundsAndDefault(t *testing.T) {
	var help []string
	for _, s := range settings.Groups[rules]()[0].Settings {
		help = append(help, strings.TrimSpace(s.Help()))
	}
	if want := []string{"", "(1s to 1m; default 5s)", "(at most 1; default 0.5)", ""}; !slices.Equal(help, want) {
		t.Errorf("got %q", help)
	}
}

func TestCamel_WritesNamesAsChartsDo(t *testing.T) {
	for name, want := range map[string]string{"BUCKET": "bucket", "COMMIT_INTERVAL": "commitInterval", "S3_KMS_KEY_ID": "s3KmsKeyId"} {
		if got := settings.Camel(name); got != want {
			t.Errorf("%s: got %s", name, got)
		}
	}
}

func TestFaults_DoNotShowSecrets(t *testing.T) {
	t.Setenv("T_TOKEN", "hunter2")
	t.Setenv("T_URL", "https://me:hunter2@host")
	var c struct {
		Token string `envconfig:"T_TOKEN" secret:"true"`
		URL   string `envconfig:"T_URL"`
	}
	f := settings.Read(&c)
	f.Check(false, "T_TOKEN", "a longer one")
	f.Hide("T_URL")
	f.Check(false, "T_URL", "no password")
	if err := f.Err(); err == nil || err.Error() != "T_TOKEN: want a longer one\nT_URL: want no password" {
		t.Errorf("got %v", err)
	}
}
