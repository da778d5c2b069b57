package main_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// check runs consumer check with a consumer's settings and returns its output and exit code.
func (s *surroundings) check(args, more []string) (string, int) {
	s.t.Helper()
	path, err := binary()
	if err != nil {
		s.t.Fatal(err)
	}
	cmd := exec.Command(path, append([]string{"check"}, args...)...)
	cmd.Env = s.environment(more...)
	out, err := cmd.CombinedOutput()
	if _, failed := errors.AsType[*exec.ExitError](err); err != nil && !failed {
		s.t.Fatal(err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

func TestCheck_TellsWhetherRecordsArrive(t *testing.T) {
	t.Parallel()
	schema := filepath.Join(t.TempDir(), "schema.json")
	if err := os.WriteFile(schema, []byte(`{"type":"object","properties":{"n":{"type":"integer"}},"required":["n"]}`), 0o644); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		daemon []string // nil for none
		args   []string
		more   []string
		code   int
		says   string
	}{
		"JSON lines":           {daemon: []string{"FORMAT=jsonl"}, says: "data/year="},
		"Parquet":              {daemon: []string{"FORMAT=parquet"}, says: ".parquet"},
		"Firehose's files":     {daemon: []string{"FORMAT=firehose"}, more: []string{"FORMAT=firehose"}, says: "published, in files without event ids"},
		"a payload that fits":  {daemon: []string{"SCHEMA=" + schema}, args: []string{`--payload={"n":1}`}, says: "data/year="},
		"a payload is refused": {daemon: []string{"SCHEMA=" + schema}, code: 1, says: "3 records went to the error prefix"},
		"no daemon":            {args: []string{"--within=3s"}, code: 1, says: "not delivered: 3 of 3 records have not arrived in any file: waited for 3s"},
		"another bucket":       {daemon: []string{}, more: []string{"BUCKET=elsewhere"}, code: 2, says: "NoSuchBucket"},
		"no stream":            {more: []string{"STREAM_NAME=elsewhere"}, code: 2, says: "ResourceNotFoundException"},
		"no JSON":              {args: []string{"--payload={"}, code: 2, says: "want JSON"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSurroundings(t, 3)
			if c.daemon != nil {
				s.start(c.daemon...)
			}
			out, code := s.check(c.args, c.more)
			if code != c.code || !strings.Contains(out, c.says) {
				t.Errorf("exit code %d, want %d and %q:\n%s", code, c.code, c.says, out)
			}
			if c.code == 0 && (strings.Count(out, "shardId-") != 3 || !strings.Contains(out, "delivered within")) {
				t.Errorf("it does not tell of 3 shards:\n%s", out)
			}
		})
	}
}
