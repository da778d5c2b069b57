package chaos

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// until waits for what other processes do.
func until(t *testing.T, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(2 * time.Minute); !done(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited for two minutes: %s", what)
		}
	}
}

// Another daemon follows one that has ended, each with a bucket chosen anew, and none is left after a storm.
func TestWorker_RestartsWithAnotherBucket(t *testing.T) {
	dir := t.TempDir()
	program := filepath.Join(dir, "daemon")
	if err := os.WriteFile(program, []byte("#!/bin/sh\ntrap 'exit 0' TERM\necho bucket $BUCKET endpoint $AWS_ENDPOINT_URL_S3\nwhile :; do sleep 0.05; done\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	b := newBackend(t)
	s := newStorm(config{
		Seed: 1, Workers: 1, Binary: program, Dir: dir, Buckets: []string{"one", "two"}, Grace: time.Minute,
		Backends: map[Service]string{S3: b.URL, Kinesis: b.URL, DynamoDB: b.URL},
		Settings: func(func(...string) string) []string { return []string{"PATH=" + os.Getenv("PATH")} },
	})
	if err := s.begin(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.close(); err != nil {
			t.Error(err)
		}
	}()
	w := s.fleet[0]
	// logged counts the daemons that have logged the text. Each logs where it is once it can be stopped.
	logged := func(text string) int {
		logs, err := filepath.Glob(filepath.Join(dir, "*.log"))
		if err != nil {
			t.Fatal(err)
		}
		var all strings.Builder
		for _, log := range logs {
			content, err := os.ReadFile(log)
			if err != nil {
				t.Fatal(err)
			}
			all.Write(content)
		}
		return strings.Count(all.String(), text)
	}
	moved := []goal{{kinds: []Kind{Moved}}}
	for end := time.Now().Add(2 * time.Minute); len(s.weather.unmet(moved)) > 0; {
		until(t, "a daemon that runs", w.alive)
		w.restart()
		if time.Now().After(end) {
			t.Fatal("no daemon has changed its bucket in two minutes")
		}
	}
	for _, bucket := range s.cfg.Buckets {
		until(t, "a daemon with bucket "+bucket, func() bool {
			return logged("bucket "+bucket+" endpoint "+s.workers[0].proxies[S3].url()) > 0
		})
	}
	until(t, "a daemon that runs", w.alive)
	if !w.freeze() || w.alive() {
		t.Error("a daemon is awake after it was frozen")
	}
	w.thaw()
	if !w.alive() {
		t.Error("no daemon is awake after it was thawed")
	}
	before := s.workers[0].started()
	w.kill("test")
	until(t, "a daemon after one that was killed, which can be told to stop", func() bool {
		now := s.workers[0].started()
		said, err := os.ReadFile(s.workers[0].log(now))
		return now > before && err == nil && len(said) > 0 && w.alive()
	})
	if err := s.stop(); err != nil {
		t.Error(err)
	}
	if w.alive() || len(s.exits) > 0 {
		t.Errorf("alive: %v, ended by themselves: %q", w.alive(), s.exits)
	}
}
