package main_test

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/checkpoint/local"
)

func TestWait_EndsWithTheCodeThatSaysWhatItFound(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "checkpoints")
	store, err := local.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	upTo := time.Date(2026, 11, 28, 10, 0, 0, 0, time.UTC)
	if _, err := store.RaiseComplete(t.Context(), checkpoint.Complete{UpTo: upTo, At: upTo.Add(time.Minute), Shards: 1}); err != nil {
		t.Fatal(err)
	}
	if _, err := store.PutTable(t.Context(), checkpoint.Table{Name: "glue://lake/trips"}); err != nil {
		t.Fatal(err)
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	s := &surroundings{t: t}
	environment := []string{"CHECKPOINT_FILE=" + file}
	for _, c := range []struct {
		code int
		says string
		args string
	}{
		{0, "bucket: complete up to 2026-11-28T10:00:00Z (the bucket is complete up to 2026-11-28T10:00:00Z)", "--until 2026-11-28T10:00:00Z"},
		{0, "complete up to 2026-11-28T09:00:00Z", "--until 2026-11-28T10:00:00+01:00"},
		{0, "table glue://lake/trips: complete", "--until 2026-11-28T10:00:00Z --table glue://lake/trips"},
		{1, "wait: the data is not complete up to 2026-11-28T10:00:01Z yet\n", "--until 2026-11-28T10:00:01Z --timeout 0s"},
		{1, "wait: not complete within 1s", "--until 2026-11-28T10:00:01Z --timeout 1s"},
		{2, "--until is missing", ""},
		{2, "want an RFC 3339 time", "--until 10:00"},
		{2, "--timeout -1s: want 0s or more", "--until 2026-11-28T10:00:01Z --timeout -1s"},
		{2, "glue://lake/tripps: no loader of this application has ever loaded it", "--until 2026-11-28T10:00:00Z --table glue://lake/tripps"},
		{2, `--table="trips": want `, "--until 2026-11-28T10:00:00Z --table trips"},
		{2, "takes only flags", "--until 2026-11-28T10:00:00Z trips"},
	} {
		out, code := s.tool(environment, append([]string{"wait"}, strings.Fields(c.args)...)...)
		if code != c.code || !strings.Contains(out, c.says) {
			t.Errorf("wait %s: exit code %d, want %d and %q:\n%s", c.args, code, c.code, c.says, out)
		}
	}
	out, code := s.tool(environment, "wait", "--until", "2026-11-28T10:00:00Z", "--json")
	var found map[string]any
	if err := json.Unmarshal([]byte(out), &found); err != nil || code != 0 || found["complete"] != true || found["complete_up_to"] != "2026-11-28T10:00:00Z" {
		t.Errorf("exit code %d: %s", code, out)
	}
	if out, code := s.tool([]string{"CHECKPOINT_FILE=/nowhere/at/all"}, "wait", "--until", "2026-11-28T10:00:00Z"); code != 2 {
		t.Errorf("without a table: exit code %d: %s", code, out)
	}
}

// A table that does not exist, or a service that does not answer, holds up nobody.
func TestWait_GivesUpOnATableThatCannotBeOpened(t *testing.T) {
	t.Parallel()
	s := &surroundings{t: t}
	environment := []string{
		"APPLICATION_NAME=trips", "AWS_REGION=eu-west-1", "AWS_ACCESS_KEY_ID=a", "AWS_SECRET_ACCESS_KEY=b",
		"AWS_ENDPOINT_URL_DYNAMODB=http://127.0.0.1:1", // nothing listens
	}
	out, code := s.tool(environment, "wait", "--until", "2026-11-28T10:00:00Z", "--timeout", "1s")
	if code != 2 || !strings.Contains(out, `127.0.0.1:1 (AWS_ENDPOINT_URL_DYNAMODB="http://127.0.0.1:1") refuses the connection`) {
		t.Errorf("exit code %d: %s", code, out)
	}
}
