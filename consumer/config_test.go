package consumer

import (
	"os"
	"strings"
	"testing"
	"time"
)

func TestLoadConfig_NamesEveryFaultAtOnce(t *testing.T) {
	for name, value := range map[string]string{
		"START_POSITION": "yesterday", "FORMAT": "xml", "FILE_SIZE": "huge", "COMMIT_INTERVAL": "soon", "PART_SIZE": "1MiB",
		"MAX_LEASES": "-1", "TIME_ZONE": "Mars/Olympus", "S3_PATH_STYLE": "maybe", "MANIFEST_PREFIX": "m/!{timestamp:yyyy}",
		"SPOOL_DIR": "/does/not/exist", "HTTP_ADDRESS": "8080", "FAN_OUT_CONSUMER": "arn:aws:kinesis:eu-west-1:123456789012:stream/trips",
	} {
		t.Setenv(name, value)
	}
	t.Setenv("BUCKET", "") // set, to nothing
	_, err := LoadConfig()
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{
		"STREAM_NAME is required", "BUCKET is required", `START_POSITION="yesterday"`, `FORMAT="xml"`, `FILE_SIZE="huge"`,
		`COMMIT_INTERVAL="soon"`, `PART_SIZE="1MiB"`, `MAX_LEASES="-1"`, `TIME_ZONE="Mars/Olympus"`, `S3_PATH_STYLE="maybe"`,
		"MANIFEST_PREFIX", "SPOOL_DIR", "HTTP_ADDRESS", `FAN_OUT_CONSUMER="arn:aws:`,
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error does not name %s:\n%v", want, err)
		}
	}
}

// Every part of a batch takes memory and room in what is committed.
func TestConfig_BoundsCommitSizeByTheNumberOfParts(t *testing.T) {
	for _, c := range []struct {
		commit, part Bytes
		says         string // empty for no error
	}{
		{5 << 40, 8 << 20, `COMMIT_SIZE="5TiB": want at most 625GiB, 80000 times PART_SIZE`},
		{625<<30 + 1, 8 << 20, "want at most 625GiB"},
		{625 << 30, 8 << 20, ""},
		{5 << 40, 128 << 20, ""},
	} {
		cfg := Defaults()
		cfg.Stream, cfg.Bucket, cfg.CommitSize, cfg.PartSize = "s", "b", c.commit, c.part
		if err := cfg.Validate(); (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("COMMIT_SIZE=%s PART_SIZE=%s: %v, want %q", c.commit, c.part, err, c.says)
		}
	}
}

func TestLoadConfig_TakesDefaultsThatAreValid(t *testing.T) {
	t.Setenv("STREAM_NAME", "s")
	t.Setenv("BUCKET", "b")
	loaded, err := LoadConfig()
	if err != nil {
		t.Fatal(err)
	}
	defaults := Defaults()
	defaults.Stream, defaults.Bucket = "s", "b"
	if loaded != defaults {
		t.Errorf("envconfig and Defaults differ:\n%+v\n%+v", loaded, defaults)
	}
}

func TestBytes_ReadsSizesAsPeopleWriteThem(t *testing.T) {
	for text, want := range map[string]Bytes{"0": 0, "1000": 1000, "1KiB": 1024, "128MiB": 128 << 20, "1.5GiB": 3 << 29, "5 MB": 5e6, "7B": 7} {
		var b Bytes
		if err := b.Decode(text); err != nil || b != want {
			t.Errorf("%q: got %d, %v, want %d", text, b, err, want)
		}
	}
	for _, text := range []string{"", "MiB", "-1", "1XB", "NaN", "1e30GiB"} {
		var b Bytes
		if err := b.Decode(text); err == nil {
			t.Errorf("%q is taken for %d", text, b)
		}
	}
}

func TestStartPosition_TakesATime(t *testing.T) {
	var p StartPosition
	if err := p.Decode("2026-01-31T12:00:00+01:00"); err != nil || !p.Time.Equal(time.Date(2026, 1, 31, 11, 0, 0, 0, time.UTC)) {
		t.Errorf("got %v, %v", p, err)
	}
}

// The table of docs/settings.md is what the program prints: make it again with go run ./cmd/consumer settings --markdown.
func TestDocs_HaveTheSettingsOfTheProgram(t *testing.T) {
	page, err := os.ReadFile("../docs/settings.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(page), "<!-- settings -->\n")
	table, _, found := strings.Cut(rest, "<!-- /settings -->")
	if !found || table != SettingsMarkdown() {
		t.Errorf("docs/settings.md has another table of settings than the program:\n%s", SettingsMarkdown())
	}
}
