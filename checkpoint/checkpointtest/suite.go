// Package checkpointtest is the test suite that every checkpoint.Store must pass.
package checkpointtest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"aws-streaming-pipeline/checkpoint"
)

// Opener opens an empty store. The test closes it.
type Opener func(t *testing.T) checkpoint.Store

// Run checks that the stores that open returns keep the contract of checkpoint.Store.
func Run(t *testing.T, open Opener) {
	RunSequential(t, open)
	runAll(t, open, races)
}

// RunSequential is Run without the tests that make concurrent calls. It is for emulators whose conditional writes are
// not atomic; a store for any other use needs Run.
func RunSequential(t *testing.T, open Opener) { runAll(t, open, sequential) }

type testCase struct {
	name string
	test func(t *testing.T, s checkpoint.Store)
}

var (
	sequential = []testCase{
		{"Bind keeps the first application and refuses others", testBind},
		{"Bind follows a loader", testBindAfterLoader},
		{"Scan of an empty store is empty", testScanEmpty},
		{"Heartbeat replaces the worker and Leave removes it", testWorkers},
		{"CreateLeases makes rows and leaves those that exist", testCreateLeases},
		{"Every field survives the way through the store", testRoundTrip},
		{"Acquire, Release and Rewind follow owner and counter", testLeaseLife},
		{"Stop notes a fact about a position", testStop},
		{"Rewind keeps where a shard begins", testRewindBegin},
		{"DeleteLease removes only a shard at its end", testDeleteLease},
		{"Calls on a shard without a row conflict", testNoRow},
		{"Commit moves all checkpoints or none", testCommitAtomic},
		{"Commit needs the checkpoint, the owner and the counter", testCommitConditions},
		{"Commit takes as many ranges as a transaction holds", testCommitMaxRanges},
		{"Commit refuses batches that break the rules", testCommitInvalid},
		{"Commit of files that exceed an item is refused and can be buried", testCommitTooLarge},
		{"a batch whose files are in an object is committed, found and forgotten", testCommitListed},
		{"a tombstone keeps a batch whose files are in an object out", testCommitListedAfterBury},
		{"Commit applied twice counts once", testCommitTwice},
		{"Commit after Bury conflicts for ever", testCommitAfterBury},
		{"Commit after Rewind conflicts, even to the same position", testCommitAfterRewind},
		{"Commit of a former holder conflicts", testCommitZombie},
		{"Commit repeated after Forget conflicts", testCommitAfterForget},
		{"Bury says what was decided", testBury},
		{"NotePublished adds to what is known of a batch of the outbox", testNotePublished},
		{"Forget removes batches and tombstones", testForget},
		{"a batch for tables is forgotten when all of them have it", testTableSteps},
		{"a step of a batch for tables that comes late changes nothing", testTableStepsLate},
		{"a batch for tables may have its files in an object", testTableListed},
		{"Commit refuses tables that break the rules", testTableInvalid},
		{"PutTable replaces the version that it was read from", testTableItem},
		{"RaiseComplete only raises the statement", testComplete},
		{"Rewind takes the statement back", testCompleteRewind},
		{"TakeLead and Resign follow worker and term", testLead},
		{"A worker's heartbeat is found by its id", testWorkerByID},
		{"GiveOrders replaces orders that are not newer", testOrders},
		{"Orders that no item holds are refused", testOrdersTooLarge},
		{"Calls end with their context", testContext},
	}
	races = []testCase{
		{"Race: all workers bind to one application", raceBind},
		{"Race: one of many acquires the lease", raceAcquire},
		{"Race: commit or bury decides, never both", raceCommitBury},
		{"Race: one of two batches from the same start wins", raceTwoBatches},
		{"Race: a repeated commit is applied once", raceSameCommit},
		{"Race: batches that share shards keep them in step", raceOverlapping},
		{"Race: one of many loaders writes the item of a table", racePutTable},
		{"Race: marks and Forget agree", raceMarkForget},
		{"Race: the latest statement stays", raceComplete},
		{"Race: a statement and a rewind", raceCompleteRewind},
		{"Race: one of many takes the lead", raceLead},
		{"Race: the newest orders stay", raceOrders},
	}
)

func runAll(t *testing.T, open Opener, cases []testCase) {
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s := open(t)
			t.Cleanup(func() {
				if err := s.Close(); err != nil {
					t.Errorf("close: %v", err)
				}
			})
			c.test(t, s)
		})
	}
}

// arrival has the millisecond precision of Kinesis.
var arrival = time.Date(2026, 11, 3, 17, 4, 5, 678e6, time.UTC)

var application = checkpoint.Application{
	Identity: checkpoint.Identity{
		Application:   "trips",
		Stream:        "taxi",
		StreamARN:     "arn:aws:kinesis:eu-west-1:123456789012:stream/taxi",
		StreamCreated: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
	},
	Initial: checkpoint.AtTimestamp(arrival),
}

// sequence returns a sequence number of the length that Kinesis uses.
func sequence(n int) checkpoint.Position {
	return checkpoint.Position(fmt.Sprintf("4966%052d", n))
}

func shardID(n int) string { return fmt.Sprintf("shardId-%012d", n) }

func testBind(t *testing.T, s checkpoint.Store) {
	ctx := t.Context()
	app := application
	app.StreamCreated = app.StreamCreated.Add(300 * time.Millisecond).In(time.FixedZone("CET", 3600))
	got, err := s.Bind(ctx, app)
	must(t, err)
	want := application
	want.SchemaVersion = checkpoint.SchemaVersion
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("the first Bind returned\n%+v, want\n%+v", got, want)
	}

	again := application
	again.Initial = checkpoint.TrimHorizon
	got, err = s.Bind(ctx, again)
	must(t, err)
	if !reflect.DeepEqual(got, want) {
		t.Errorf("a later Bind returned\n%+v, want the first one's\n%+v", got, want)
	}
	if snap := scan(t, s); !reflect.DeepEqual(snap.Application, want) {
		t.Errorf("Scan returned the application\n%+v, want\n%+v", snap.Application, want)
	}

	for name, change := range map[string]func(a *checkpoint.Application){
		"another application": func(a *checkpoint.Application) { a.Application = "fares" },
		"another stream":      func(a *checkpoint.Application) { a.Stream = "bus" },
		"another account":     func(a *checkpoint.Application) { a.StreamARN = strings.ReplaceAll(a.StreamARN, "1234", "4321") },
		"a stream made anew":  func(a *checkpoint.Application) { a.StreamCreated = a.StreamCreated.Add(time.Hour) },
		"a stream of no date": func(a *checkpoint.Application) { a.StreamCreated = time.Time{} },
	} {
		other := application
		change(&other)
		if _, err := s.Bind(ctx, other); !errors.Is(err, checkpoint.ErrForeignTable) {
			t.Errorf("Bind of %s: %v, want ErrForeignTable", name, err)
		}
	}
	for name, change := range map[string]func(a *checkpoint.Application){
		"no application":      func(a *checkpoint.Application) { a.Application = "" },
		"no stream":           func(a *checkpoint.Application) { a.Stream = "" },
		"no initial position": func(a *checkpoint.Application) { a.Initial = "LATEST" },
	} {
		other := application
		change(&other)
		if _, err := s.Bind(ctx, other); err == nil || errors.Is(err, checkpoint.ErrForeignTable) {
			t.Errorf("Bind with %s: %v, want an error of the argument", name, err)
		}
	}
	withoutARN := application
	withoutARN.StreamARN = ""
	_, err = s.Bind(ctx, withoutARN)
	must(t, err)
}

// A loader may be started before the first worker. Its items are not those of another program.
func testBindAfterLoader(t *testing.T, s checkpoint.Store) {
	ctx := t.Context()
	for n := range 12 {
		_, err := s.PutTable(ctx, checkpoint.Table{Name: fmt.Sprint("glue://lake/trips", n), Loader: "l1"})
		must(t, err)
	}
	got, err := s.Bind(ctx, application)
	must(t, err)
	if got.Application != application.Application {
		t.Errorf("Bind returned %+v", got)
	}
	if snap := scan(t, s); snap.Application.Application != application.Application {
		t.Errorf("Scan returned the application %+v", snap.Application)
	}
}

func testScanEmpty(t *testing.T, s checkpoint.Store) {
	if snap := scan(t, s); !reflect.DeepEqual(snap, checkpoint.Snapshot{}) {
		t.Errorf("Scan returned %+v", snap)
	}
}

func testWorkers(t *testing.T, s checkpoint.Store) {
	ctx := t.Context()
	first := checkpoint.Worker{ID: "w1", Beat: 1, Address: "10.0.0.1:8080", Version: "v1.2.3"}
	must(t, s.Heartbeat(ctx, first))
	must(t, s.Heartbeat(ctx, checkpoint.Worker{ID: "w2"}))
	first.Beat, first.Complete, first.Leases = 1<<60, arrival, 1<<63+5
	must(t, s.Heartbeat(ctx, first))
	want := []checkpoint.Worker{first, {ID: "w2"}}
	if got := scan(t, s).Workers; !reflect.DeepEqual(got, want) {
		t.Errorf("Scan returned %+v, want %+v", got, want)
	}
	must(t, s.Leave(ctx, "w2"))
	must(t, s.Leave(ctx, "w2"))
	if got := scan(t, s).Workers; !reflect.DeepEqual(got, want[:1]) {
		t.Errorf("after Leave Scan returned %+v, want %+v", got, want[:1])
	}
	if err := s.Heartbeat(ctx, checkpoint.Worker{}); err == nil {
		t.Error("a heartbeat without an id was accepted")
	}
}

func testCreateLeases(t *testing.T, s checkpoint.Store) {
	ctx := t.Context()
	must(t, s.CreateLeases(ctx, nil))
	must(t, s.CreateLeases(ctx, []checkpoint.Lease{{Shard: shardID(0), Checkpoint: checkpoint.TrimHorizon}}))
	held := acquire(t, s, shardID(0), "w1")

	var leases []checkpoint.Lease
	for i := range 120 {
		leases = append(leases, checkpoint.Lease{Shard: shardID(i), Checkpoint: application.Initial})
	}
	leases = append(leases, checkpoint.Lease{Shard: shardID(1), Checkpoint: checkpoint.ShardEnd})
	must(t, s.CreateLeases(ctx, leases))
	got := scan(t, s).Leases
	if len(got) != 120 {
		t.Fatalf("there are %d leases, want 120", len(got))
	}
	if !reflect.DeepEqual(got[0], held) {
		t.Errorf("the row that existed is now %+v, want %+v", got[0], held)
	}
	if !reflect.DeepEqual(got[1], leases[1]) {
		t.Errorf("of two rows for one shard %+v was kept, want the first, %+v", got[1], leases[1])
	}

	for name, l := range map[string]checkpoint.Lease{
		"no shard":   {Checkpoint: checkpoint.TrimHorizon},
		"other key":  {Shard: "#worker/w1", Checkpoint: checkpoint.TrimHorizon},
		"no place":   {Shard: "s"},
		"LATEST":     {Shard: "s", Checkpoint: "LATEST"},
		"has holder": {Shard: "s", Checkpoint: checkpoint.TrimHorizon, Owner: "w1"},
	} {
		if err := s.CreateLeases(ctx, []checkpoint.Lease{l}); err == nil {
			t.Errorf("%s: the lease was made", name)
		}
	}
	if n := len(scan(t, s).Leases); n != 120 {
		t.Errorf("refused leases were written: there are %d", n)
	}
}

func testRoundTrip(t *testing.T, s checkpoint.Store) {
	ctx := t.Context()
	lease := checkpoint.Lease{Shard: shardID(7), Parents: []string{shardID(3), shardID(2)}, Counter: 41,
		Checkpoint: checkpoint.AtTimestamp(arrival), Begin: checkpoint.TrimHorizon, Arrival: arrival,
		Stop: checkpoint.Stop{Until: arrival, After: checkpoint.TrimHorizon}}
	must(t, s.CreateLeases(ctx, []checkpoint.Lease{lease}))
	if got := read(t, s, lease.Shard); !reflect.DeepEqual(got, lease) {
		t.Errorf("Lease returned\n%+v, want\n%+v", got, lease)
	}
	held := acquire(t, s, lease.Shard, "w1")
	lease.Owner, lease.Counter = "w1", 42
	if !reflect.DeepEqual(held, lease) {
		t.Errorf("Acquire returned\n%+v, want\n%+v", held, lease)
	}
	if got := scan(t, s).Leases; !reflect.DeepEqual(got, []checkpoint.Lease{lease}) {
		t.Errorf("Scan returned\n%+v, want\n%+v", got, lease)
	}

	batch := fullBatch(held)
	must(t, s.Commit(ctx, batch))
	got, err := s.Batch(ctx, batch.ID)
	must(t, err)
	if !reflect.DeepEqual(got, batch) {
		t.Errorf("Batch returned\n%+v, want\n%+v", got, batch)
	}
	header := checkpoint.Batch{ID: batch.ID, Worker: batch.Worker, Created: batch.Created}
	if got := scan(t, s).Batches; !reflect.DeepEqual(got, []checkpoint.Batch{header}) {
		t.Errorf("Scan returned the batches\n%+v, want\n%+v", got, header)
	}
	lease.Checkpoint, lease.Arrival = batch.Ranges[0].End, batch.Ranges[0].LastArrival
	if got := read(t, s, lease.Shard); !reflect.DeepEqual(got, lease) {
		t.Errorf("after Commit Lease returned\n%+v, want\n%+v", got, lease)
	}
}

// fullBatch returns a batch of one range with a value in every field.
func fullBatch(held checkpoint.Lease) checkpoint.Batch {
	return checkpoint.Batch{
		ID: "0193-batch", Worker: held.Owner, Created: arrival.Add(time.Minute),
		Ranges: []checkpoint.Range{{
			Shard: held.Shard, Start: held.Checkpoint, End: sequence(9), LeaseOwner: held.Owner, LeaseCounter: held.Counter,
			Records: 12, Last: string(sequence(8)), FirstArrival: arrival, LastArrival: arrival.Add(time.Second),
		}},
		Files: []checkpoint.File{{
			Bucket: "lake", Key: "trips/day=03/a \"quoted\" näme.parquet", Rows: 11, Bytes: 9 << 30,
			Staged:    json.RawMessage(`{"where":"VXBsb2Fk.ID_1-2","pieces":[{"sum":"\"d41d8\"","size":5242880},{"sum":"e2","size":1}],"none":null}`),
			Partition: "day=03", Reason: "size", ETag: "x-2",
		}, {Bucket: "lake", Key: "errors/b", Rows: 1, Error: true}},
		Manifest: checkpoint.Place{Bucket: "lake", Key: "manifests/0193-batch.json"},
	}
}

func testLeaseLife(t *testing.T, s checkpoint.Store) {
	ctx := t.Context()
	makeLeases(t, s, 1)
	free := read(t, s, shardID(0))
	if free.Owner != "" || free.Counter != 0 {
		t.Fatalf("a new row is %+v", free)
	}
	if _, err := s.Acquire(ctx, free, ""); err == nil {
		t.Error("a lease was acquired without an owner")
	}
	first, err := s.Acquire(ctx, free, "w1")
	must(t, err)
	if first.Owner != "w1" || first.Counter != 1 || first.Checkpoint != free.Checkpoint {
		t.Errorf("the first Acquire returned %+v", first)
	}
	_, err = s.Acquire(ctx, free, "w2")
	wantConflict(t, "Acquire of a row that was free before", err)
	stolen, err := s.Acquire(ctx, first, "w2")
	must(t, err)
	if stolen.Owner != "w2" || stolen.Counter != 2 {
		t.Errorf("Acquire of a held row returned %+v", stolen)
	}
	wantConflict(t, "Release by the former holder", s.Release(ctx, first))
	wrong := stolen
	wrong.Counter++
	wantConflict(t, "Release with another counter", s.Release(ctx, wrong))
	must(t, s.Release(ctx, stolen))
	wantConflict(t, "a second Release", s.Release(ctx, stolen))
	released := read(t, s, shardID(0))
	if released.Owner != "" || released.Counter != 2 {
		t.Errorf("after Release the row is %+v", released)
	}

	elsewhere := released
	elsewhere.Checkpoint = sequence(99)
	_, err = s.Rewind(ctx, elsewhere, sequence(1))
	wantConflict(t, "Rewind from another checkpoint", err)
	if _, err = s.Rewind(ctx, released, "LATEST"); err == nil || errors.Is(err, checkpoint.ErrConflict) {
		t.Errorf("Rewind to LATEST: %v, want an error of the argument", err)
	}
	held := acquire(t, s, shardID(0), "w3")
	rewound, err := s.Rewind(ctx, held, checkpoint.TrimHorizon)
	must(t, err)
	if rewound.Owner != "" || rewound.Counter != 4 || rewound.Checkpoint != checkpoint.TrimHorizon {
		t.Errorf("Rewind returned %+v", rewound)
	}
	if got := read(t, s, shardID(0)); !reflect.DeepEqual(got, rewound) {
		t.Errorf("after Rewind the row is %+v, want %+v", got, rewound)
	}
}

func testStop(t *testing.T, s checkpoint.Store) {
	ctx := t.Context()
	makeLeases(t, s, 1)
	held := acquire(t, s, shardID(0), "w1")
	until := arrival.Add(time.Hour)
	other := held
	other.Counter++
	_, err := s.Stop(ctx, other, until)
	wantConflict(t, "Stop with another counter", err)
	other = held
	other.Checkpoint = sequence(99)
	_, err = s.Stop(ctx, other, until)
	wantConflict(t, "Stop at another checkpoint", err)
	if got := read(t, s, shardID(0)); got.Passed(arrival) {
		t.Errorf("a refused Stop left %+v", got)
	}

	want := held
	want.Stop = checkpoint.Stop{Until: until, After: held.Checkpoint}
	for range 2 { // a request may arrive twice
		got, err := s.Stop(ctx, held, until)
		must(t, err)
		if !reflect.DeepEqual(got, want) {
			t.Errorf("Stop returned %+v, want %+v", got, want)
		}
	}
	if got := scan(t, s).Leases; !reflect.DeepEqual(got, []checkpoint.Lease{want}) {
		t.Errorf("Scan returned %+v, want %+v", got, want)
	}

	passed := func(what string, want bool) {
		t.Helper()
		l := read(t, s, shardID(0))
		if l.Passed(until) != want || l.Passed(arrival) != want || l.Passed(until.Add(1)) {
			t.Errorf("%s: it is %v that %+v has passed %v, want %v and never later", what, l.Passed(until), l, until, want)
		}
	}
	passed("stopped", true)
	must(t, s.Commit(ctx, batchOf("b", sequence(2), held)))
	passed("read further", false)
	_, err = s.Rewind(ctx, read(t, s, shardID(0)), held.Checkpoint)
	must(t, err)
	passed("moved back to where it had stopped", true)
	_, err = s.Rewind(ctx, read(t, s, shardID(0)), sequence(1))
	must(t, err)
	passed("moved elsewhere", false)
}

// Whoever creates the rows of a shard's children must find in the shard's own row what they inherit.
func testRewindBegin(t *testing.T, s checkpoint.Store) {
	ctx := t.Context()
	begin := checkpoint.AtTimestamp(arrival)
	must(t, s.CreateLeases(ctx, []checkpoint.Lease{{Shard: shardID(0), Checkpoint: begin, Begin: begin}, {Shard: shardID(1), Checkpoint: begin}}))
	held := acquire(t, s, shardID(0), "w1")
	batch := fullBatch(held)
	must(t, s.Commit(ctx, batch))
	row := read(t, s, shardID(0))
	if row.Begin != begin || row.Arrival.IsZero() {
		t.Errorf("after Commit the row is %+v, want it to begin at %s, with an arrival", row, begin)
	}
	earlier, later := checkpoint.AtTimestamp(arrival.Add(-time.Hour)), checkpoint.AtTimestamp(arrival.Add(time.Hour))
	for _, move := range []struct{ to, begin checkpoint.Position }{
		{later, later}, {checkpoint.ShardEnd, later}, {earlier, earlier}, {checkpoint.ShardEnd, earlier}, {later, earlier},
		{sequence(3), sequence(3)}, {checkpoint.ShardEnd, checkpoint.TrimHorizon}, {begin, checkpoint.TrimHorizon},
	} {
		got, err := s.Rewind(ctx, read(t, s, shardID(0)), move.to)
		must(t, err)
		if got.Begin != move.begin || !got.Arrival.IsZero() || !reflect.DeepEqual(got, read(t, s, shardID(0))) {
			t.Errorf("after Rewind to %s the row is %+v, want it to begin at %s, without an arrival", move.to, got, move.begin)
		}
	}
	ended, err := s.Rewind(ctx, read(t, s, shardID(1)), checkpoint.ShardEnd)
	must(t, err)
	if ended.Begin != begin {
		t.Errorf("a row of an earlier release that was moved to its end is %+v, want it to begin at %s", ended, begin)
	}
}

func testDeleteLease(t *testing.T, s checkpoint.Store) {
	ctx := t.Context()
	makeLeases(t, s, 1)
	held := acquire(t, s, shardID(0), "w1")
	if err := s.DeleteLease(ctx, held); err == nil || errors.Is(err, checkpoint.ErrConflict) {
		t.Errorf("DeleteLease of a shard at its beginning: %v, want an error of the argument", err)
	}
	must(t, s.Commit(ctx, batchOf("a", sequence(5), held)))
	held = read(t, s, shardID(0))
	if err := s.DeleteLease(ctx, held); err == nil || errors.Is(err, checkpoint.ErrConflict) {
		t.Errorf("DeleteLease of a shard in the middle: %v, want an error of the argument", err)
	}
	pretended := held
	pretended.Checkpoint = checkpoint.ShardEnd
	wantConflict(t, "DeleteLease with another checkpoint", s.DeleteLease(ctx, pretended))
	must(t, s.Commit(ctx, batchOf("b", checkpoint.ShardEnd, held)))
	ended := read(t, s, shardID(0))
	other := ended
	other.Counter++
	wantConflict(t, "DeleteLease with another counter", s.DeleteLease(ctx, other))
	must(t, s.DeleteLease(ctx, ended))
	if _, err := s.Lease(ctx, shardID(0)); !errors.Is(err, checkpoint.ErrNotFound) {
		t.Errorf("after DeleteLease the row is still read: %v", err)
	}
	must(t, s.DeleteLease(ctx, ended))
}

func testNoRow(t *testing.T, s checkpoint.Store) {
	ctx := t.Context()
	l := checkpoint.Lease{Shard: shardID(5), Owner: "w1", Counter: 1, Checkpoint: sequence(1)}
	_, err := s.Lease(ctx, l.Shard)
	if !errors.Is(err, checkpoint.ErrNotFound) {
		t.Errorf("Lease: %v, want ErrNotFound", err)
	}
	_, err = s.Acquire(ctx, l, "w2")
	wantConflict(t, "Acquire", err)
	_, err = s.Acquire(ctx, checkpoint.Lease{Shard: shardID(5)}, "w2")
	wantConflict(t, "Acquire of a free row", err)
	wantConflict(t, "Release", s.Release(ctx, l))
	_, err = s.Rewind(ctx, l, checkpoint.TrimHorizon)
	wantConflict(t, "Rewind", err)
	_, err = s.Stop(ctx, l, arrival)
	wantConflict(t, "Stop", err)
	wantConflict(t, "Commit", s.Commit(ctx, batchOf("b", sequence(2), l)))
	if snap := scan(t, s); len(snap.Leases)+len(snap.Batches) != 0 {
		t.Errorf("a refused call left %+v", snap)
	}
}

func testContext(t *testing.T, s checkpoint.Store) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	l := checkpoint.Lease{Shard: shardID(0), Checkpoint: checkpoint.ShardEnd, Owner: "w1"}
	calls := map[string]func() error{
		"Bind":             func() error { _, err := s.Bind(ctx, application); return err },
		"Scan":             func() error { _, err := s.Scan(ctx); return err },
		"ScanConsistently": func() error { _, err := s.ScanConsistently(ctx); return err },
		"Heartbeat":        func() error { return s.Heartbeat(ctx, checkpoint.Worker{ID: "w1"}) },
		"Leave":            func() error { return s.Leave(ctx, "w1") },
		"CreateLeases": func() error {
			return s.CreateLeases(ctx, []checkpoint.Lease{{Shard: "s", Checkpoint: checkpoint.TrimHorizon}})
		},
		"Lease":       func() error { _, err := s.Lease(ctx, "s"); return err },
		"Acquire":     func() error { _, err := s.Acquire(ctx, l, "w1"); return err },
		"Release":     func() error { return s.Release(ctx, l) },
		"Rewind":      func() error { _, err := s.Rewind(ctx, l, checkpoint.TrimHorizon); return err },
		"Stop":        func() error { _, err := s.Stop(ctx, l, arrival); return err },
		"DeleteLease": func() error { return s.DeleteLease(ctx, l) },
		"Commit":      func() error { l := l; l.Checkpoint = sequence(1); return s.Commit(ctx, batchOf("b", sequence(2), l)) },
		"Bury":        func() error { _, err := s.Bury(ctx, "b", "w1"); return err },
		"Batch":       func() error { _, err := s.Batch(ctx, "b"); return err },
		"Forget":      func() error { return s.Forget(ctx, "b") },

		"NotePublished": func() error { return s.NotePublished(ctx, "b", []int{0}) },
		"Outbox":        func() error { _, _, err := s.Outbox(ctx); return err },
		"MarkPublished": func() error { return s.MarkPublished(ctx, "b", arrival) },
		"MarkLoaded":    func() error { return s.MarkLoaded(ctx, "b", lake) },
		"Table":         func() error { _, err := s.Table(ctx, lake); return err },
		"Complete":      func() error { _, err := s.Complete(ctx); return err },
		"RaiseComplete": func() error { _, err := s.RaiseComplete(ctx, checkpoint.Complete{UpTo: arrival}); return err },
		"PutTable":      func() error { _, err := s.PutTable(ctx, checkpoint.Table{Name: lake}); return err },
		"Lead":          func() error { _, err := s.Lead(ctx); return err },
		"TakeLead":      func() error { _, err := s.TakeLead(ctx, checkpoint.Lead{}, "w1"); return err },
		"Resign":        func() error { return s.Resign(ctx, checkpoint.Lead{Worker: "w1", Term: 1}) },
		"Worker":        func() error { _, err := s.Worker(ctx, "w1"); return err },
		"GiveOrders":    func() error { return s.GiveOrders(ctx, "w1", checkpoint.Orders{}) },
		"Orders":        func() error { _, err := s.Orders(ctx, "w1"); return err },
		"Dismiss":       func() error { return s.Dismiss(ctx, "w1") },
	}
	for name, call := range calls {
		if err := call(); !errors.Is(err, context.Canceled) {
			t.Errorf("%s with an ended context: %v, want context.Canceled", name, err)
		}
	}
}

func makeLeases(t *testing.T, s checkpoint.Store, n int) {
	t.Helper()
	leases := make([]checkpoint.Lease, n)
	for i := range leases {
		leases[i] = checkpoint.Lease{Shard: shardID(i), Checkpoint: checkpoint.TrimHorizon}
	}
	must(t, s.CreateLeases(t.Context(), leases))
}

func makeHeld(t *testing.T, s checkpoint.Store, n int, owner string) []checkpoint.Lease {
	t.Helper()
	makeLeases(t, s, n)
	held := make([]checkpoint.Lease, n)
	for i := range held {
		held[i] = acquire(t, s, shardID(i), owner)
	}
	return held
}

func acquire(t *testing.T, s checkpoint.Store, shard, owner string) checkpoint.Lease {
	t.Helper()
	l, err := s.Acquire(t.Context(), read(t, s, shard), owner)
	must(t, err)
	return l
}

func read(t *testing.T, s checkpoint.Store, shard string) checkpoint.Lease {
	t.Helper()
	l, err := s.Lease(t.Context(), shard)
	if err != nil {
		t.Errorf("lease %s: %v", shard, err)
	}
	return l
}

func scan(t *testing.T, s checkpoint.Store) checkpoint.Snapshot {
	t.Helper()
	snap, err := s.Scan(t.Context())
	must(t, err)
	slices.SortFunc(snap.Leases, func(a, b checkpoint.Lease) int { return strings.Compare(a.Shard, b.Shard) })
	slices.SortFunc(snap.Workers, func(a, b checkpoint.Worker) int { return strings.Compare(a.ID, b.ID) })
	slices.Sort(snap.Ordered)
	return snap
}

// batchOf returns a batch without files that moves each lease from its checkpoint to end.
func batchOf(id string, end checkpoint.Position, leases ...checkpoint.Lease) checkpoint.Batch {
	b := checkpoint.Batch{ID: id, Worker: leases[0].Owner, Created: arrival}
	for _, l := range leases {
		b.Ranges = append(b.Ranges, checkpoint.Range{
			Shard: l.Shard, Start: l.Checkpoint, End: end, LeaseOwner: l.Owner, LeaseCounter: l.Counter, Records: 1,
		})
	}
	return b
}

func wantConflict(t *testing.T, what string, err error) {
	t.Helper()
	if !errors.Is(err, checkpoint.ErrConflict) {
		t.Errorf("%s: %v, want ErrConflict", what, err)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
