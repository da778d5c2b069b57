package main_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
)

// Beside a daemon that runs with the same settings every check passes, nothing of it is disturbed, and nothing is left in the bucket. With
// wrong settings nothing is asked for.
func TestValidate_PassesBesideADaemon(t *testing.T) {
	t.Parallel()
	s := newSurroundings(t, 1)
	address := freeAddress(t)
	p := s.start("HTTP_ADDRESS=" + address)
	eventually(t, "the daemon is ready", func() bool { return ready(address) })
	before := s.files("")
	environment := s.environment("HTTP_ADDRESS=" + address)
	out, code := s.tool(environment, "validate")
	for _, want := range []string{
		"ok    stream       trips: 1 open shards", "ok    checkpoints  the file ", "ok    bucket       out: began, wrote and aborted uploads", "warn  address      something listens on " + address,
	} {
		if !strings.Contains(out, want) {
			t.Errorf("there is no %q in\n%s", want, out)
		}
	}
	if code != 0 {
		t.Errorf("exit code %d\n%s", code, out)
	}
	if after := s.files(""); !slices.Equal(before, after) {
		t.Errorf("there was %v, and there is %v", before, after)
	}
	for _, test := range []struct {
		setting string
		code    int
		check   string
	}{{"STREAM_NAME=none", 1, "stream"}, {"FILE_SIZE=none", 2, "settings"}, {"AWS_REGION=", 2, "region"}} {
		out, code := s.tool(append(environment, test.setting), "validate", "--json")
		var report struct {
			Program string
			Passed  bool
			Checks  []struct{ Check, Outcome, Text, Advice string }
		}
		if err := json.Unmarshal([]byte(out), &report); err != nil || code != test.code || report.Passed || report.Program != "consumer" {
			t.Errorf("with %s: exit code %d, %v\n%s", test.setting, code, err, out)
		}
		failed := slices.ContainsFunc(report.Checks, func(c struct{ Check, Outcome, Text, Advice string }) bool {
			return c.Check == test.check && c.Outcome == "fail"
		})
		if !failed {
			t.Errorf("with %s: no line says that %s failed\n%s", test.setting, test.check, out)
		}
	}
	if !ready(address) {
		t.Error("the daemon is no longer ready")
	}
	if err := p.terminate(); err != nil {
		t.Errorf("exit: %v\n%s", err, p.log)
	}
}
