package positions

import (
	"context"
	"errors"
	"slices"
	"strconv"
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
	"aws-streaming-pipeline/operate/objects"
	"aws-streaming-pipeline/writers/layout"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestEffect(t *testing.T) {
	arrived := time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)
	at := func(h int) checkpoint.Position {
		return checkpoint.AtTimestamp(arrived.Add(time.Duration(h) * time.Hour))
	}
	for _, test := range []struct {
		from    checkpoint.Position
		arrival time.Time
		to      checkpoint.Position
		want    Effect
	}{
		{"100", arrived, checkpoint.TrimHorizon, Again},
		{"100", arrived, checkpoint.ShardEnd, Skips},
		{"100", arrived, "99", Again},
		{"100", arrived, "100", Stays},
		{"100", arrived, "101", Skips},
		{"99", arrived, "100", Skips},
		{"100", arrived, at(-1), Again},
		{"100", arrived, at(0), Again},
		{"100", arrived, at(1), Skips},
		{"100", time.Time{}, at(-1), Skips}, // the arrival of the record is unknown: assume that records may be lost
		{checkpoint.ShardEnd, arrived, "100", Again},
		{checkpoint.ShardEnd, arrived, at(0), Again},
		{checkpoint.ShardEnd, arrived, at(1), Stays},     // it has no records behind that
		{checkpoint.ShardEnd, time.Time{}, at(0), Again}, // it may have some: it was imported, or given up
		{checkpoint.ShardEnd, arrived, checkpoint.ShardEnd, Stays},
		{checkpoint.TrimHorizon, time.Time{}, checkpoint.TrimHorizon, Stays},
		{checkpoint.TrimHorizon, time.Time{}, "100", Skips},
		{checkpoint.TrimHorizon, time.Time{}, at(0), Skips},
		{at(0), time.Time{}, at(-1), Again},
		{at(0), time.Time{}, at(1), Skips},
		{at(0), time.Time{}, "100", Skips},
		{at(0), time.Time{}, checkpoint.TrimHorizon, Again},
	} {
		if got := effect(checkpoint.Lease{Checkpoint: test.from, Arrival: test.arrival}, test.to); got != test.want {
			t.Errorf("from %s to %s: %s, want %s", test.from, test.to, got, test.want)
		}
	}
}

// stage is a table of three shards, and a bucket for notes.
type stage struct {
	t      *testing.T
	store  *local.Store
	client *s3.Client
}

func newStage(t *testing.T) *stage {
	t.Helper()
	s := &stage{t: t, store: local.OpenMemory()}
	server, err := localbucket.Start("127.0.0.1:0", t.TempDir())
	must(t, err)
	t.Cleanup(func() { server.Close() })
	must(t, server.CreateBucket("out"))
	s.client = s3.New(s3.Options{
		Region: "us-east-1", Credentials: credentials.NewStaticCredentialsProvider("test", "test", ""),
		BaseEndpoint: aws.String(server.URL()), UsePathStyle: true, HTTPClient: awshttp.Keep(nil),
	})
	must(t, s.store.CreateLeases(t.Context(), []checkpoint.Lease{
		{Shard: "shard-1", Checkpoint: checkpoint.TrimHorizon}, {Shard: "shard-2", Checkpoint: "200"}, {Shard: "shard-3", Checkpoint: checkpoint.ShardEnd},
	}))
	row, err := s.store.Lease(t.Context(), "shard-2")
	must(t, err)
	_, err = s.store.Acquire(t.Context(), row, "worker")
	must(t, err)
	return s
}

func (s *stage) mover(to checkpoint.Position) Mover {
	return Mover{
		Store: s.store, To: to, Notes: Notes{API: s.client, Bucket: "out", ManifestPrefix: "manifests/", By: "op@host", Reason: "a test"},
	}
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
	bucket := objects.Bucket{API: s.client, Name: "out"}
	for o, err := range bucket.List(s.t.Context(), layout.MovesFolder("manifests/"), "") {
		must(s.t, err)
		body, _, err := bucket.Read(s.t.Context(), *o.Key, 1<<20)
		must(s.t, err)
		m, err := layout.DecodeMove(body)
		must(s.t, err)
		list = append(list, m)
	}
	return list
}

func TestMover_PlansInTheOrderOfShardsAndChangesNothing(t *testing.T) {
	s := newStage(t)
	for _, test := range []struct {
		to     checkpoint.Position
		ahead  bool
		shards []string
		want   string
	}{
		{checkpoint.TrimHorizon, false, nil, "shard-1 Stays shard-2 Again shard-3 Again"},
		{"300", false, nil, "shard-1 Stays shard-2 Stays shard-3 Again"}, // what would skip is left as it is
		{"300", true, nil, "shard-1 Skips shard-2 Skips shard-3 Again"},
		{"300", true, []string{"shard-3", "shard-2", "shard-3"}, "shard-2 Skips shard-3 Again"},
	} {
		m := s.mover(test.to)
		m.Ahead = test.ahead
		steps, err := m.Plan(t.Context(), test.shards)
		must(t, err)
		var got []string
		for _, step := range steps {
			got = append(got, step.Shard, map[Effect]string{Stays: "Stays", Again: "Again", Skips: "Skips"}[step.Effect])
		}
		if strings.Join(got, " ") != test.want {
			t.Errorf("to %s, ahead %v, %v: %v, want %s", test.to, test.ahead, test.shards, got, test.want)
		}
	}
	if s.lease("shard-2").Checkpoint != "200" || len(s.notes()) > 0 {
		t.Errorf("a plan moved shard 2 to %+v, with notes %+v", s.lease("shard-2"), s.notes())
	}
}

func TestMover_MovesAndNotesIt(t *testing.T) {
	s := newStage(t)
	before, now, err := s.mover(checkpoint.TrimHorizon).Move(t.Context(), s.lease("shard-2"))
	must(t, err)
	if l := s.lease("shard-2"); l.Checkpoint != checkpoint.TrimHorizon || l.Owner != "" || l.Counter != 2 || now.Counter != 2 || before.Checkpoint != "200" {
		t.Errorf("shard 2 is %+v, was %+v; said were %+v and %+v", l, "200", before, now)
	}
	_, _, err = s.mover(checkpoint.TrimHorizon).Move(t.Context(), s.lease("shard-3"))
	must(t, err)
	if l := s.lease("shard-3"); l.Checkpoint != checkpoint.TrimHorizon || l.Counter != 1 {
		t.Errorf("shard 3 is %+v", l)
	}
	moves := s.notes()
	if len(moves) != 2 || moves[0].Shard != "shard-2" || moves[0].From != "200" || moves[0].To != checkpoint.TrimHorizon ||
		moves[0].Counter != 2 || moves[0].Reason != "a test" || moves[0].By != "op@host" {
		t.Errorf("notes are %+v", moves)
	}
}

// The answer of a move may be lost, and the move tried again.
func TestMover_LeavesAShardThatIsThereAlready(t *testing.T) {
	s := newStage(t)
	before, now, err := s.mover("200").Move(t.Context(), s.lease("shard-2"))
	if err != nil || before.Counter != 1 || now.Counter != 1 || s.lease("shard-2").Counter != 1 || len(s.notes()) > 0 {
		t.Errorf("error %v, before %+v, now %+v, notes %+v", err, before, now, s.notes())
	}
}

func TestMover_SkipsRecordsOnlyAhead(t *testing.T) {
	s := newStage(t)
	m := s.mover("300")
	if _, err := m.Plan(t.Context(), []string{"shard-2"}); err == nil || !strings.Contains(err.Error(), "checkpoint set") {
		t.Errorf("error %v", err)
	}
	if _, _, err := m.Move(t.Context(), s.lease("shard-2")); err == nil || s.lease("shard-2").Checkpoint != "200" || len(s.notes()) > 0 {
		t.Errorf("error %v, shard 2 is %+v", err, s.lease("shard-2"))
	}
	m.Ahead = true
	_, _, err := m.Move(t.Context(), s.lease("shard-2"))
	must(t, err)
	if s.lease("shard-2").Checkpoint != "300" {
		t.Errorf("shard 2 is %+v", s.lease("shard-2"))
	}
}

// interrupted is a store in which something else happens before each rewind.
type interrupted struct {
	checkpoint.Store
	before func() error
}

func (s interrupted) Rewind(ctx context.Context, l checkpoint.Lease, to checkpoint.Position) (checkpoint.Lease, error) {
	if err := s.before(); err != nil {
		return checkpoint.Lease{}, err
	}
	return s.Store.Rewind(ctx, l, to)
}

// A daemon continues while positions are moved.
func TestMover_TriesAgainWhenACommitComesBetween(t *testing.T) {
	s := newStage(t)
	commits, most := 0, 3
	m := s.mover("100")
	m.Store = interrupted{s.store, func() error {
		if commits == most {
			return nil
		}
		commits++
		row := s.lease("shard-2")
		end := checkpoint.Position(strconv.Itoa(210 + commits))
		return s.store.Commit(context.Background(), checkpoint.Batch{ID: string(end), Worker: "worker", Created: time.Now(), Ranges: []checkpoint.Range{
			{Shard: "shard-2", Start: row.Checkpoint, End: end, LeaseOwner: row.Owner, LeaseCounter: row.Counter},
		}})
	}}
	before, _, err := m.Move(t.Context(), s.lease("shard-2"))
	must(t, err)
	if l := s.lease("shard-2"); commits != 3 || l.Checkpoint != "100" || l.Counter != 2 || before.Checkpoint != "213" {
		t.Errorf("after %d commits shard 2 is %+v, and was before %+v", commits, l, before)
	}
	if !slices.ContainsFunc(s.notes(), func(n layout.Move) bool { return n.From == "213" }) {
		t.Errorf("notes are %+v, none of a move from the last position", s.notes())
	}
	row := s.lease("shard-2")
	_, err = s.store.Acquire(t.Context(), row, "worker")
	must(t, err)
	commits, most, m.To = 0, 100, "50"
	if _, _, err := m.Move(t.Context(), s.lease("shard-2")); !errors.Is(err, checkpoint.ErrConflict) || commits != moveAttempts {
		t.Errorf("error %v after %d commits, want an end after %d", err, commits, moveAttempts)
	}
}

func TestMover_MovesNothingThatItCannotNote(t *testing.T) {
	s := newStage(t)
	m := s.mover("100")
	m.Notes.Bucket = "absent"
	if _, _, err := m.Move(t.Context(), s.lease("shard-2")); err == nil || s.lease("shard-2").Checkpoint != "200" {
		t.Errorf("error %v, shard 2 is %+v", err, s.lease("shard-2"))
	}
	m.Notes = Notes{} // without a note on purpose
	if _, _, err := m.Move(t.Context(), s.lease("shard-2")); err != nil || s.lease("shard-2").Checkpoint != "100" {
		t.Errorf("error %v, shard 2 is %+v", err, s.lease("shard-2"))
	}
}

func TestMover_NamesAShardThatIsNotThere(t *testing.T) {
	if _, err := newStage(t).mover("100").Plan(t.Context(), []string{"shard-9"}); err == nil || !strings.Contains(err.Error(), "shard-9") {
		t.Errorf("error %v", err)
	}
}
