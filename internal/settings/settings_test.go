package settings_test

import (
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
		Bucket string        `envconfig:"T_BUCKET" required:"true" desc:"where to"`
		Count  int           `envconfig:"T_COUNT" default:"3" desc:"how many"`
		Wait   time.Duration `envconfig:"T_WAIT" default:"5s" desc:"how long"`
	}
	err := settings.Read(&c)
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{"T_BUCKET is required: where to", `T_COUNT="three"`, `T_WAIT="soon"`} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in: %v", want, err)
		}
	}
}

func TestRead_SetsFieldsOfEmbeddedStructs(t *testing.T) {
	t.Setenv("T_BUCKET", "b")
	t.Setenv("T_LEVEL", "debug")
	var c struct {
		Bucket string `envconfig:"T_BUCKET" required:"true"`
		Embedded
	}
	if err := settings.Read(&c); err != nil {
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
	if err := settings.Read(&read); err != nil {
		t.Fatal(err)
	}
	if set != read || set.Count != 3 || set.Level != "info" {
		t.Errorf("defaults are %+v, read gives %+v", set, read)
	}
}

func TestList_FollowsTheFields(t *testing.T) {
	type config struct {
		Bucket string `envconfig:"T_BUCKET" required:"true" desc:"where to"`
		Embedded
	}
	want := []settings.Setting{{"T_BUCKET", "(required)", "where to"}, {"T_LEVEL", "info", "how much"}}
	if got := settings.List[config](); !slices.Equal(got, want) {
		t.Errorf("got %+v", got)
	}
}

func TestFaults_NameVariableValueAndWhatIsRight(t *testing.T) {
	var f settings.Faults
	f.OneOf("T_MODE", "fast", "slow", "slower")
	f.OneOf("T_MODE", "slow", "slow", "slower")
	f.Within("T_WAIT", time.Hour, time.Second, time.Minute)
	f.Add(nil)
	want := "T_MODE=\"fast\": want one of slow, slower\nT_WAIT=\"1h0m0s\": want 1s to 1m0s"
	if err := f.Err(); err == nil || err.Error() != want {
		t.Errorf("got %v", err)
	}
	if err := new(settings.Faults).Err(); err != nil {
		t.Errorf("no faults give %v", err)
	}
}
