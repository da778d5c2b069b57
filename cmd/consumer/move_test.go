package main

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/checkpoint/local"
	"aws-streaming-pipeline/internal/awshttp"
	"aws-streaming-pipeline/internal/localbucket"
	"aws-streaming-pipeline/operate/audit"
	"aws-streaming-pipeline/operate/objects"
	"aws-streaming-pipeline/writers/layout"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestDirection(t *testing.T) {
	arrived := time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)
	at := func(h int) checkpoint.Position {
		return checkpoint.AtTimestamp(arrived.Add(time.Duration(h) * time.Hour))
	}
	for _, test := range []struct {
		from    checkpoint.Position
		arrival time.Time
		to      checkpoint.Position
		want    way
	}{
		{"100", arrived, checkpoint.TrimHorizon, back},
		{"100", arrived, checkpoint.ShardEnd, ahead},
		{"100", arrived, "99", back},
		{"100", arrived, "100", stays},
		{"100", arrived, "101", ahead},
		{"99", arrived, "100", ahead},
		{"100", arrived, at(-1), back},
		{"100", arrived, at(0), back},
		{"100", arrived, at(1), ahead},
		{"100", time.Time{}, at(-1), ahead}, // nothing tells when the record arrived: to be careful, records may be lost
		{checkpoint.ShardEnd, arrived, "100", back},
		{checkpoint.ShardEnd, arrived, at(0), back},
		{checkpoint.ShardEnd, arrived, at(1), stays},    // it has no records behind that
		{checkpoint.ShardEnd, time.Time{}, at(0), back}, // nothing tells that it has none: it was imported, or given up
		{checkpoint.ShardEnd, arrived, checkpoint.ShardEnd, stays},
		{checkpoint.TrimHorizon, time.Time{}, checkpoint.TrimHorizon, stays},
		{checkpoint.TrimHorizon, time.Time{}, "100", ahead},
		{checkpoint.TrimHorizon, time.Time{}, at(0), ahead},
		{at(0), time.Time{}, at(-1), back},
		{at(0), time.Time{}, at(1), ahead},
		{at(0), time.Time{}, "100", ahead},
		{at(0), time.Time{}, checkpoint.TrimHorizon, back},
	} {
		if got := direction(checkpoint.Lease{Checkpoint: test.from, Arrival: test.arrival}, test.to); got != test.want {
			t.Errorf("from %s to %s: %s, want %s", test.from, test.to, got, test.want)
		}
	}
}

func TestParsePosition(t *testing.T) {
	now := time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)
	for text, want := range map[string]checkpoint.Position{
		"TRIM_HORIZON": checkpoint.TrimHorizon, "SHARD_END": checkpoint.ShardEnd, "4959": "4959",
		"2026-01-02T11:00:00Z":                  checkpoint.AtTimestamp(now.Add(-time.Hour)),
		"2026-01-02":                            checkpoint.AtTimestamp(now.Add(-12 * time.Hour)),
		"1h":                                    checkpoint.AtTimestamp(now.Add(-time.Hour)),
		"AT_TIMESTAMP:2026-01-02T11:00:00.000Z": checkpoint.AtTimestamp(now.Add(-time.Hour)),
		"":                                      "", "LATEST": "", "-1h": "", "yesterday": "", "49x": "",
	} {
		if got, err := parsePosition(text, now); got != want || (err == nil) != (want != "") {
			t.Errorf("%q is %q, %v; want %q", text, got, err, want)
		}
	}
}

// stage is a table of three shards, and a bucket for notes.
type stage struct {
	t      *testing.T
	store  *local.Store
	bucket objects.Bucket
	mover  mover
	out    bytes.Buffer
}

func newStage(t *testing.T, to checkpoint.Position, ahead bool, options ...local.Option) *stage {
	t.Helper()
	s := &stage{t: t, store: local.OpenMemory(options...)}
	server, err := localbucket.Start("127.0.0.1:0", t.TempDir())
	must(t, err)
	t.Cleanup(func() { server.Close() })
	must(t, server.CreateBucket("out"))
	client := s3.New(s3.Options{
		Region: "us-east-1", Credentials: credentials.NewStaticCredentialsProvider("test", "test", ""),
		BaseEndpoint: aws.String(server.URL()), UsePathStyle: true, HTTPClient: awshttp.Keep(nil),
	})
	s.bucket = objects.Bucket{API: client, Name: "out"}
	must(t, s.store.CreateLeases(t.Context(), []checkpoint.Lease{
		{Shard: "shard-1", Checkpoint: checkpoint.TrimHorizon}, {Shard: "shard-2", Checkpoint: "200"}, {Shard: "shard-3", Checkpoint: checkpoint.ShardEnd},
	}))
	row, err := s.store.Lease(t.Context(), "shard-2")
	must(t, err)
	_, err = s.store.Acquire(t.Context(), row, "worker")
	must(t, err)
	s.mover = mover{store: s.store, notes: notes{client, "out", "manifests/"}, to: to, ahead: ahead, reason: "a test", out: &s.out}
	return s
}

func (s *stage) lease(shard string) checkpoint.Lease {
	s.t.Helper()
	l, err := s.store.Lease(context.Background(), shard)
	must(s.t, err)
	return l
}

func (s *stage) notes() []layout.Move {
	s.t.Helper()
	var list []layout.Move
	for o, err := range s.bucket.List(s.t.Context(), "manifests/moves/", "") {
		must(s.t, err)
		body, _, err := s.bucket.Read(s.t.Context(), *o.Key, 1<<20)
		must(s.t, err)
		var m layout.Move
		must(s.t, json.Unmarshal(body, &m))
		list = append(list, m)
	}
	return list
}

func TestMover_RewindsWhatIsBehindThePositionAndNotesIt(t *testing.T) {
	s := newStage(t, checkpoint.TrimHorizon, false)
	must(t, s.mover.run(t.Context(), nil, nil))
	if l := s.lease("shard-2"); l.Checkpoint != checkpoint.TrimHorizon || l.Owner != "" || l.Counter != 2 {
		t.Errorf("shard 2 is %+v", l)
	}
	if l := s.lease("shard-3"); l.Checkpoint != checkpoint.TrimHorizon || l.Counter != 1 {
		t.Errorf("shard 3 is %+v", l)
	}
	if l := s.lease("shard-1"); l.Counter != 0 {
		t.Errorf("shard 1, which was there already, is %+v", l)
	}
	moves := s.notes()
	if len(moves) != 2 || moves[0].Shard != "shard-2" || moves[0].From != "200" || moves[0].To != checkpoint.TrimHorizon ||
		moves[0].Counter != 2 || moves[0].Reason != "a test" || moves[0].By == "" {
		t.Errorf("notes are %+v", moves)
	}
	if text := s.out.String(); !strings.Contains(text, "AGAIN") || !strings.Contains(text, "moved shard-2") {
		t.Errorf("it said\n%s", text)
	}
}

func TestMover_DoesNothingWithoutTheWordYes(t *testing.T) {
	for answer, moved := range map[string]bool{"yes\n": true, "yes": true, "y\n": false, "no\n": false, "\n": false, "": false} {
		s := newStage(t, "100", false)
		err := s.mover.run(t.Context(), []string{"shard-2"}, strings.NewReader(answer))
		if got := s.lease("shard-2").Checkpoint == "100"; got != moved || (err == nil) != moved || len(s.notes()) > 0 != moved {
			t.Errorf("answer %q: moved %v, error %v, %d notes", answer, got, err, len(s.notes()))
		}
	}
}

func TestMover_RewindRefusesToSkip(t *testing.T) {
	s := newStage(t, "300", false)
	err := s.mover.run(t.Context(), []string{"shard-2"}, nil)
	if err == nil || !strings.Contains(err.Error(), "checkpoint set") || s.lease("shard-2").Checkpoint != "200" {
		t.Errorf("error %v, shard 2 is %+v", err, s.lease("shard-2"))
	}
	s = newStage(t, "300", true)
	must(t, s.mover.run(t.Context(), []string{"shard-2"}, nil))
	if s.lease("shard-2").Checkpoint != "300" || !strings.Contains(s.out.String(), "SKIPPED") {
		t.Errorf("shard 2 is %+v; it said\n%s", s.lease("shard-2"), s.out.String())
	}
}

// A daemon goes on while positions are moved.
func TestMover_TriesAgainWhenACommitComesBetween(t *testing.T) {
	var s *stage
	commits := 0
	s = newStage(t, "100", false, local.WithHook(func(operation string, applied bool) error {
		if operation != "rewind" || applied || commits == 3 {
			return nil
		}
		commits++
		row := s.lease("shard-2")
		end := checkpoint.Position("21" + string(rune('0'+commits)))
		return s.store.Commit(context.Background(), checkpoint.Batch{ID: string(end), Worker: "worker", Created: time.Now(), Ranges: []checkpoint.Range{
			{Shard: "shard-2", Start: row.Checkpoint, End: end, LeaseOwner: row.Owner, LeaseCounter: row.Counter},
		}})
	}))
	must(t, s.mover.run(t.Context(), []string{"shard-2"}, nil))
	if l := s.lease("shard-2"); commits != 3 || l.Checkpoint != "100" || l.Counter != 2 {
		t.Errorf("after %d commits shard 2 is %+v", commits, l)
	}
	from := make(map[checkpoint.Position]bool)
	for _, m := range s.notes() {
		from[m.From] = true
	}
	if !from["213"] {
		t.Errorf("notes are of moves from %v, none from the last position", from)
	}
}

func TestMover_MovesNothingThatItCanNotNote(t *testing.T) {
	s := newStage(t, "100", false)
	s.mover.notes.bucket = "absent"
	if err := s.mover.run(t.Context(), []string{"shard-2"}, nil); err == nil || s.lease("shard-2").Checkpoint != "200" {
		t.Errorf("error %v, shard 2 is %+v", err, s.lease("shard-2"))
	}
}

func TestMover_NamesAShardThatIsNotThere(t *testing.T) {
	s := newStage(t, "100", false)
	if err := s.mover.run(t.Context(), []string{"shard-9"}, nil); err == nil || !strings.Contains(err.Error(), "shard-9") {
		t.Errorf("error %v", err)
	}
}

func TestVerdict(t *testing.T) {
	finding, warning := []audit.Finding{{Kind: audit.Gap}}, []audit.Finding{{Kind: audit.Unnamed}}
	for _, test := range []struct {
		report audit.Report
		strict bool
		want   int
	}{
		{audit.Report{Sound: true}, false, 0},
		{audit.Report{Sound: true}, true, 0},
		{audit.Report{Sound: true, Warnings: warning}, false, 0},
		{audit.Report{Sound: true, Warnings: warning}, true, exitFindings},
		{audit.Report{Findings: finding}, false, exitFindings},
	} {
		code := 0
		if err := verdict(auditOptions{strict: test.strict}, &test.report); err != nil {
			code = exitCode(err)
		}
		if code != test.want {
			t.Errorf("%+v, strict %v: exit code %d, want %d", test.report, test.strict, code, test.want)
		}
	}
}
