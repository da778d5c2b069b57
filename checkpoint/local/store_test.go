package local_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/checkpoint/checkpointtest"
	"aws-streaming-pipeline/checkpoint/local"
)

// fileToCommitTo is the environment variable that makes the test binary the process that TestOpen_AfterKill kills.
const fileToCommitTo = "CHECKPOINT_TEST_FILE"

func TestMain(m *testing.M) {
	if path := os.Getenv(fileToCommitTo); path != "" {
		fmt.Fprintln(os.Stderr, commitUntilKilled(path))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func TestStore_InMemory(t *testing.T) {
	checkpointtest.Run(t, func(t *testing.T) checkpoint.Store { return local.OpenMemory() })
}

func TestStore_InFile(t *testing.T) {
	checkpointtest.Run(t, func(t *testing.T) checkpoint.Store { return open(t, filepath.Join(t.TempDir(), "checkpoint.db")) })
}

func open(t *testing.T, path string) *local.Store {
	t.Helper()
	s, err := local.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() }) // Close is checked where it matters
	return s
}

var app = checkpoint.Application{
	Identity: checkpoint.Identity{Application: "trips", Stream: "taxi", StreamCreated: time.Unix(1767323045, 0)},
	Initial:  checkpoint.TrimHorizon,
}

var orders = checkpoint.Orders{Term: 1, Number: 2, Leases: []checkpoint.Order{{Shard: "s1", Counter: 3, Owner: "w1", Away: true}}}

// fill writes one item of every kind.
func fill(t *testing.T, s checkpoint.Store) {
	t.Helper()
	ctx := t.Context()
	_, err := s.Bind(ctx, app)
	must(t, err)
	must(t, s.Heartbeat(ctx, checkpoint.Worker{ID: "w1", Beat: 3, Follows: true, Fleet: &checkpoint.Fleet{Term: 1, Leases: 2, Finished: time.Unix(1767323045, 0)}}))
	_, err = s.TakeLead(ctx, checkpoint.Lead{}, "w1")
	must(t, err)
	must(t, s.GiveOrders(ctx, "w2", orders))
	must(t, s.CreateLeases(ctx, []checkpoint.Lease{{Shard: "s1", Parents: []string{"s0"}, Checkpoint: checkpoint.TrimHorizon}}))
	l, err := s.Lease(ctx, "s1")
	must(t, err)
	l, err = s.Acquire(ctx, l, "w1")
	must(t, err)
	must(t, s.Commit(ctx, batch("b1", l, "7")))
	_, err = s.Bury(ctx, "b2", "w1")
	must(t, err)
}

func batch(id string, l checkpoint.Lease, end checkpoint.Position) checkpoint.Batch {
	return checkpoint.Batch{ID: id, Worker: l.Owner, Created: time.Unix(1767323045, 0).UTC(), Files: []checkpoint.File{{Key: "k"}},
		Ranges: []checkpoint.Range{{Shard: l.Shard, Start: l.Checkpoint, End: end, LeaseOwner: l.Owner, LeaseCounter: l.Counter}}}
}

func TestOpen_FindsWhatWasWritten(t *testing.T) {
	path := filepath.Join(t.TempDir(), "made", "on", "demand", "checkpoint.db")
	first := open(t, path)
	fill(t, first)
	want, err := first.Scan(t.Context())
	must(t, err)
	wantBatch, err := first.Batch(t.Context(), "b1")
	must(t, err)
	must(t, first.Close())

	second := open(t, path)
	got, err := second.Scan(t.Context())
	must(t, err)
	if !reflect.DeepEqual(got, want) {
		t.Errorf("after opening again the state is\n%+v, want\n%+v", got, want)
	}
	gotBatch, err := second.Batch(t.Context(), "b1")
	must(t, err)
	if !reflect.DeepEqual(gotBatch, wantBatch) {
		t.Errorf("after opening again the batch is\n%+v, want\n%+v", gotBatch, wantBatch)
	}
	if got, err := second.Orders(t.Context(), "w2"); err != nil || !reflect.DeepEqual(got, orders) {
		t.Errorf("after opening again the orders are\n%+v, %v, want\n%+v", got, err, orders)
	}
}

// TestOpen_AfterKill kills a process in the middle of its commits and checks that the file holds every commit that was
// answered, and no partial commit.
func TestOpen_AfterKill(t *testing.T) {
	path := filepath.Join(t.TempDir(), "checkpoint.db")
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), fileToCommitTo+"="+path)
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	answered := make([]byte, 20) // one byte per answered commit
	for i := range answered {
		_, err := out.Read(answered[i : i+1])
		must(t, err)
	}
	must(t, cmd.Process.Kill())
	if err := cmd.Wait(); err == nil {
		t.Fatal("the helper ended by itself")
	}

	s := open(t, path)
	snap, err := s.Scan(t.Context())
	must(t, err)
	if len(snap.Batches) < len(answered) {
		t.Errorf("%d commits were answered, the file holds %d", len(answered), len(snap.Batches))
	}
	for _, l := range snap.Leases {
		if want := checkpoint.Position(strings.Repeat("9", len(snap.Batches))); l.Checkpoint != want {
			t.Errorf("shard %s is at %s, want %s", l.Shard, l.Checkpoint, want)
		}
	}
}

// commitUntilKilled is the process that TestOpen_AfterKill kills. It writes a byte for each commit that was answered.
func commitUntilKilled(path string) error {
	s, err := local.Open(path)
	if err != nil {
		return err
	}
	ctx := context.Background()
	shards := []checkpoint.Lease{{Shard: "s1", Checkpoint: checkpoint.TrimHorizon}, {Shard: "s2", Checkpoint: checkpoint.TrimHorizon}}
	if err := s.CreateLeases(ctx, shards); err != nil {
		return err
	}
	for i, l := range shards {
		if shards[i], err = s.Acquire(ctx, l, "w1"); err != nil {
			return err
		}
	}
	for n := 1; n < 10_000; n++ {
		b := checkpoint.Batch{ID: strings.Repeat("b", n), Worker: "w1"}
		end := checkpoint.Position(strings.Repeat("9", n))
		for i, l := range shards {
			b.Ranges = append(b.Ranges, batch("", l, end).Ranges...)
			shards[i].Checkpoint = end
		}
		if err := s.Commit(ctx, b); err != nil {
			return err
		}
		if _, err := os.Stdout.Write([]byte{'.'}); err != nil {
			return err
		}
	}
	return errors.New("nobody killed this process")
}

func TestOpen_RefusesAFileThatIsOpen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "checkpoint.db")
	first := open(t, path)
	_, err := local.Open(path)
	if err == nil {
		t.Fatal("the file was opened twice")
	}
	for _, part := range []string{path, "another process has it open"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("the error %q does not say %q", err, part)
		}
	}
	must(t, first.Close())
	open(t, path)
}

func TestOpen_RefusesOtherFiles(t *testing.T) {
	path := filepath.Join(t.TempDir(), "notes.txt")
	must(t, os.WriteFile(path, []byte(strings.Repeat("not a database\n", 1000)), 0o600))
	if _, err := local.Open(path); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("Open of a text file: %v, want an error that names it", err)
	}
	if _, err := local.Open(t.TempDir()); err == nil {
		t.Error("a directory was opened")
	}
}

func TestOpen_NamesARowThatCanNotBeRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "checkpoint.db")
	s := open(t, path)
	fill(t, s)
	must(t, s.Close())
	edit(t, path, "leases", "s1", "{")
	_, err := local.Open(path)
	if err == nil || !strings.Contains(err.Error(), `bucket leases: row "s1"`) {
		t.Errorf("Open: %v, want an error that names the row", err)
	}
	edit(t, path, "leases", "s1", "{}")
	open(t, path) // Open has released the file
}

func TestBind_RefusesANewerSchema(t *testing.T) {
	path := filepath.Join(t.TempDir(), "checkpoint.db")
	s := open(t, path)
	fill(t, s)
	must(t, s.Close())
	edit(t, path, "application", "application", `{"Application":"trips","Stream":"taxi","SchemaVersion":2}`)
	_, err := open(t, path).Bind(t.Context(), app)
	if !errors.Is(err, checkpoint.ErrForeignTable) || !strings.Contains(err.Error(), "newer release") {
		t.Errorf("Bind: %v, want ErrForeignTable that asks for the newer release", err)
	}
}

// edit writes a row without the store's knowledge.
func edit(t *testing.T, path, bucket, key, value string) {
	t.Helper()
	db, err := bolt.Open(path, 0o600, nil)
	must(t, err)
	must(t, db.Update(func(tx *bolt.Tx) error { return tx.Bucket([]byte(bucket)).Put([]byte(key), []byte(value)) }))
	must(t, db.Close())
}

func TestStore_AnswersNothingAfterClose(t *testing.T) {
	for name, s := range map[string]*local.Store{"file": open(t, filepath.Join(t.TempDir(), "c.db")), "memory": local.OpenMemory()} {
		must(t, s.Close())
		must(t, s.Close())
		if _, err := s.Scan(t.Context()); !errors.Is(err, local.ErrClosed) {
			t.Errorf("%s: Scan after Close: %v", name, err)
		}
		if err := s.Forget(t.Context(), "b"); !errors.Is(err, local.ErrClosed) {
			t.Errorf("%s: Forget after Close: %v", name, err)
		}
	}
}

func TestStore_SharesNoMemoryWithItsCallers(t *testing.T) {
	ctx := t.Context()
	s := local.OpenMemory()
	parents := []string{"s0"}
	must(t, s.CreateLeases(ctx, []checkpoint.Lease{{Shard: "s1", Parents: parents, Checkpoint: checkpoint.TrimHorizon}}))
	l, err := s.Acquire(ctx, checkpoint.Lease{Shard: "s1"}, "w1")
	must(t, err)
	b := batch("b1", l, "7")
	must(t, s.Commit(ctx, b))
	snap, err := s.Scan(ctx)
	must(t, err)

	parents[0], l.Parents[0], snap.Leases[0].Parents[0] = "x", "x", "x"
	b.Files[0].Key, b.Ranges[0].End = "x", "8"
	fleet := &checkpoint.Fleet{Term: 1}
	must(t, s.Heartbeat(ctx, checkpoint.Worker{ID: "w1", Fleet: fleet}))
	fleet.Term = 2
	if w, err := s.Worker(ctx, "w1"); err != nil || w.Fleet.Term != 1 {
		t.Errorf("a caller's change reached the heartbeat: %+v, %v", w, err)
	}
	got, err := s.Lease(ctx, "s1")
	must(t, err)
	if got.Parents[0] != "s0" {
		t.Errorf("a caller's change reached the row: %+v", got)
	}
	stored, err := s.Batch(ctx, "b1")
	must(t, err)
	if stored.Files[0].Key != "k" || stored.Ranges[0].End != "7" {
		t.Errorf("a caller's change reached the batch: %+v", stored)
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// BenchmarkCommit measures one commit of 20 shards and 60 files, durable in the file.
func BenchmarkCommit(b *testing.B) {
	for name, open := range map[string]func() (*local.Store, error){
		"memory": func() (*local.Store, error) { return local.OpenMemory(), nil },
		"file":   func() (*local.Store, error) { return local.Open(filepath.Join(b.TempDir(), "c.db")) },
	} {
		b.Run(name, func(b *testing.B) {
			s, err := open()
			must(b, err)
			defer s.Close()
			ctx := b.Context()
			var held []checkpoint.Lease
			for i := range 20 {
				l := checkpoint.Lease{Shard: strings.Repeat("s", i+1), Checkpoint: checkpoint.TrimHorizon}
				must(b, s.CreateLeases(ctx, []checkpoint.Lease{l}))
				l, err := s.Acquire(ctx, l, "w1")
				must(b, err)
				held = append(held, l)
			}
			files := checkpointtest.Files(60, 20)
			b.ReportAllocs()
			n := 0
			for b.Loop() {
				n++
				committed := checkpoint.Batch{ID: "b", Worker: "w1", Files: files}
				for i, l := range held {
					end := checkpoint.Position(strings.Repeat("9", n%50+1))
					if n%50 == 0 {
						end = checkpoint.ShardEnd
					}
					committed.Ranges = append(committed.Ranges, checkpoint.Range{Shard: l.Shard, Start: l.Checkpoint, End: end, LeaseOwner: "w1", LeaseCounter: l.Counter})
					held[i].Checkpoint = end
				}
				must(b, s.Commit(ctx, committed))
				must(b, s.Forget(ctx, "b"))
				if n%50 == 0 {
					for i, l := range held {
						l, err := s.Rewind(ctx, l, checkpoint.TrimHorizon)
						must(b, err)
						held[i], err = s.Acquire(ctx, l, "w1")
						must(b, err)
					}
				}
			}
		})
	}
}

// A release that does not know lists reads only the table "outbox" of the file. It must not find a batch there whose
// files are in an object: it would publish the batch without them.
func TestCommit_OlderReleasesDoNotSeeABatchWithAList(t *testing.T) {
	path := filepath.Join(t.TempDir(), "checkpoint.db")
	s := open(t, path)
	fill(t, s)
	l, err := s.Lease(t.Context(), "s1")
	must(t, err)
	b := batch("listed", l, "8")
	b.List = checkpoint.NewFileList("lake", "k", len(b.Files), []byte("list"))
	must(t, s.Commit(t.Context(), b))
	must(t, s.Close())

	db, err := bolt.Open(path, 0o600, nil)
	must(t, err)
	must(t, db.View(func(tx *bolt.Tx) error {
		if row := tx.Bucket([]byte("outbox")).Get([]byte("listed")); row != nil {
			t.Errorf("older releases sweep %s", row)
		}
		return nil
	}))
	must(t, db.Close())
	got, err := open(t, path).Batch(t.Context(), "listed")
	must(t, err)
	if got.List == nil || *got.List != *b.List || got.Files != nil {
		t.Errorf("after opening again the batch is %+v, want the list %+v", got, b.List)
	}
}
