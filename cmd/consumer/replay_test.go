package main_test

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"aws-streaming-pipeline/internal/localstream"
)

// exit waits until the process has ended by itself, and returns its exit code.
func (p *process) exit() int {
	p.t.Helper()
	select {
	case err := <-p.exited:
		p.exited <- err
	case <-time.After(patience):
		p.t.Fatalf("not ended by itself after %v\n%s", patience, p.log)
	}
	return p.cmd.ProcessState.ExitCode()
}

// An hour of the past is delivered into another prefix, beside what the live daemon delivered of it: the same records.
func TestConsumer_ReplaysAnHourIntoAnotherPrefix(t *testing.T) {
	t.Parallel()
	s := newSurroundings(t, 1)
	var ago atomic.Int64 // of the stream's clock
	stream, err := localstream.Start("127.0.0.1:0", localstream.Options{Clock: func() time.Time { return time.Now().Add(-time.Duration(ago.Load())) }})
	if err != nil {
		t.Fatal(err)
	}
	s.stream.Close()
	s.stream = stream // which the surroundings close
	s.kinesis = kinesis.New(s.kinesis.Options(), func(o *kinesis.Options) { o.BaseEndpoint = aws.String(stream.URL()) })
	ago.Store(int64(7 * time.Hour)) // before all that follows
	if err := stream.CreateStream(streamName, 3); err != nil {
		t.Fatal(err)
	}
	first := time.Now().UTC().Truncate(time.Hour).Add(-5 * time.Hour)
	hour := func(n int) time.Time { return first.Add(time.Duration(n) * time.Hour) }
	for n := range 4 {
		ago.Store(int64(time.Since(hour(n).Add(30 * time.Minute))))
		for i := range 50 {
			s.send(fmt.Sprintf(`{"hour":%d,"i":%d}`, n, i))
		}
	}
	ago.Store(0)

	byHour := "PREFIX=data/!{timestamp:HH}/"
	live := s.start(byHour)
	eventually(t, "everything is delivered", func() bool { return s.recordsInManifests() == 200 })
	if err := live.terminate(); err != nil {
		t.Fatalf("exit: %v\n%s", err, live.log)
	}

	replay := []string{
		"APPLICATION_NAME=again", "CHECKPOINT_FILE=" + filepath.Join(s.dir, "again.db"), "PREFIX=again/!{timestamp:HH}/", "MANIFEST_PREFIX=again-manifests/",
		"START_POSITION=" + hour(1).Format(time.RFC3339), "STOP_POSITION=" + hour(2).Format(time.RFC3339),
	}
	for start, records := range []string{"records=50", "records=0"} {
		p := s.start(replay...)
		if code := p.exit(); code != 0 || !strings.Contains(p.log.String(), records) {
			t.Errorf("start %d exited with %d, want 0 and %s\n%s", start+1, code, records, p.log)
		}
	}
	if lines := s.lines("again/"); len(lines) != 50 {
		t.Errorf("%d records were replayed, want 50", len(lines))
	}
	folder := hour(1).Format("15/")
	s.wantTool(0, []string{"AGREE"}, "compare", "--theirs", "s3://out/data/"+folder, "--ours", "s3://out/again/")
	s.wantTool(1, []string{"DIFFERENT"}, "compare", "--theirs", "s3://out/data/"+hour(2).Format("15/"), "--ours", "s3://out/again/")

	// What is not complete does not exit with 0.
	other := append(replay[:4:4], "APPLICATION_NAME=other", "CHECKPOINT_FILE="+filepath.Join(s.dir, "other.db"))
	p := s.start(append(other, "STOP_POSITION=2100-01-01T00:00:00Z")...)
	eventually(t, "records are delivered", func() bool { return len(s.lines("again/")) > 50 })
	if exit, ok := p.terminate().(*exec.ExitError); !ok || exit.ExitCode() != 130 || !strings.Contains(p.log.String(), "stopped before everything up to STOP_POSITION was delivered") {
		t.Errorf("told to stop, it exited with %v\n%s", exit, p.log)
	}
	p = s.start(append(replay[:4:4], "APPLICATION_NAME=old", "CHECKPOINT_FILE="+filepath.Join(s.dir, "old.db"),
		"START_POSITION=2020-01-01T00:00:00Z", "STOP_POSITION=2020-01-02T00:00:00Z")...)
	if code := p.exit(); code != 0 {
		t.Errorf("a range from before the stream exited with %d\n%s", code, p.log)
	}
}
