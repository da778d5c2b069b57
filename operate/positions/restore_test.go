package positions

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/google/uuid"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/checkpoint/dynamo"
	"aws-streaming-pipeline/consumer/lease"
	"aws-streaming-pipeline/consumer/shardmap"
	"aws-streaming-pipeline/internal/localstream"
	"aws-streaming-pipeline/internal/test/emulator"
	"aws-streaming-pipeline/operate/audit"
	"aws-streaming-pipeline/operate/objects"
	"aws-streaming-pipeline/writers"
	"aws-streaming-pipeline/writers/layout"
)

// Where a shard goes on, for what the table and the bucket say of it.
func TestRestored(t *testing.T) {
	start := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	early, late := checkpoint.AtTimestamp(start), checkpoint.AtTimestamp(start.Add(time.Hour))
	segments := func(positions ...checkpoint.Position) (list []audit.Segment) {
		for i := 0; i < len(positions); i += 2 {
			list = append(list, audit.Segment{Start: positions[i], End: positions[i+1]})
		}
		return list
	}
	row := func(at checkpoint.Position, counter int64) *checkpoint.Lease {
		return &checkpoint.Lease{Shard: "s", Owner: "dead", Checkpoint: at, Counter: counter, Begin: "0"}
	}
	begun := func(at checkpoint.Position) *checkpoint.Lease {
		return &checkpoint.Lease{Shard: "s", Checkpoint: at, Counter: 4, Begin: late}
	}
	noted := &layout.Move{Shard: "s", From: "300", To: "50", Counter: 9}
	for name, test := range map[string]struct {
		own     *checkpoint.Lease // nil: the table is new
		end     audit.End
		waiting []checkpoint.Range
		gaps    Gaps
		first   time.Time // of the deliveries; zero: after late
		initial checkpoint.Position
		want    checkpoint.Position
		counter int64 // 0: the row stays as it is
		gap     string
		moved   bool
	}{
		"a new table":                                  {end: audit.End{Segments: segments("0", "300"), Counter: 4, Highest: 4}, want: "300", counter: 5},
		"a new table, a shard that has ended":          {end: audit.End{Segments: segments("0", checkpoint.ShardEnd), Counter: 4, Highest: 4}, want: checkpoint.ShardEnd, counter: 5},
		"a new table, after a rewind":                  {end: audit.End{Segments: segments("50", "70"), Since: 6, Counter: 7, Highest: 7}, want: "70", counter: 8},
		"a new table, a rewind that no batch followed": {end: audit.End{Segments: segments("0", "300"), Counter: 4, Highest: 9, Moved: noted}, want: "300", counter: 10, moved: true},
		"a gap":                {end: audit.End{Segments: segments("0", "100", "150", "300"), Counter: 4, Highest: 4}, want: "300", counter: 5, gap: "(100, 150]"},
		"a gap to read again":  {end: audit.End{Segments: segments("0", "100", "150", "300"), Counter: 4, Highest: 4}, gaps: ReadAgain, want: "100", counter: 5, gap: "(100, 150]"},
		"a gap to leave there": {end: audit.End{Segments: segments("0", "100", "150", "300"), Counter: 4, Highest: 4}, gaps: LeaveThere, want: "300", counter: 5, gap: "(100, 150]"},

		"a backup from before the last batches":         {own: row("100", 3), end: audit.End{Segments: segments("0", "300"), Counter: 4, Highest: 4}, want: "300", counter: 5},
		"a backup from before the first batch":          {own: row(checkpoint.TrimHorizon, 0), end: audit.End{Segments: segments(checkpoint.TrimHorizon, "300"), Counter: 4, Highest: 4}, want: "300", counter: 5},
		"a backup that is up to date":                   {own: row("300", 5), end: audit.End{Segments: segments("0", "300"), Counter: 4, Highest: 4}, want: "300"},
		"an up to date position under an older counter": {own: row("300", 4), end: audit.End{Segments: segments("0", "300"), Counter: 4, Highest: 4}, want: "300", counter: 5},
		"a batch that no manifest shows yet": {own: row("400", 4), waiting: []checkpoint.Range{{Shard: "s", Start: "300", End: "400", LeaseCounter: 4}},
			end: audit.End{Segments: segments("0", "300"), Counter: 4, Highest: 4}, want: "400", counter: 5},
		"a batch that waits, and later ones have manifests": {own: row("200", 4), waiting: []checkpoint.Range{{Shard: "s", Start: "100", End: "200", LeaseCounter: 4}},
			end: audit.End{Segments: segments("0", "100", "200", "300"), Counter: 4, Highest: 4}, want: "300", counter: 5},
		// Backups do not guarantee causal consistency across items (Amazon DynamoDB Developer Guide, "Backup and restore").
		"a batch that is in the backup without its position": {own: row("300", 4), waiting: []checkpoint.Range{{Shard: "s", Start: "300", End: "400", LeaseCounter: 4}},
			end: audit.End{Segments: segments("0", "300"), Counter: 4, Highest: 4}, want: "400", counter: 5},
		"a gap after the backup":    {own: row("100", 4), end: audit.End{Segments: segments("0", "100", "150", "300"), Counter: 4, Highest: 4}, want: "300", counter: 5, gap: "(100, 150]"},
		"a gap before the backup":   {own: row("200", 4), end: audit.End{Segments: segments("0", "100", "150", "300"), Counter: 4, Highest: 4}, want: "300", counter: 5},
		"a rewind since the backup": {own: row("300", 4), end: audit.End{Segments: segments("50", "70"), Since: 6, Counter: 7, Highest: 7}, want: "70", counter: 8},
		// A daemon was started on the new table at LATEST before anybody restored it. Records between are not delivered.
		"a row that began later, and has read nothing":             {own: begun(late), end: audit.End{Segments: segments("0", "300"), Counter: 4, Highest: 4}, want: "300", counter: 5},
		"a row that began later, and has read on":                  {own: begun("500"), end: audit.End{Segments: segments("0", "300"), Counter: 4, Highest: 4}, want: "500", counter: 5, gap: "(300, " + string(late) + "]"},
		"a row that began later, to read again":                    {own: begun("500"), end: audit.End{Segments: segments("0", "300"), Counter: 4, Highest: 4}, gaps: ReadAgain, want: "300", counter: 5, gap: "(300, " + string(late) + "]"},
		"a new table, and batches that began later":                {end: audit.End{Segments: segments(late, "500", "0", "300"), Counter: 4, Highest: 4}, want: "500", counter: 5, gap: "(300, " + string(late) + "]"},
		"a new table, and batches that began later than at a time": {end: audit.End{Segments: segments(late, "400", early, "100", "100", "300", "400", "500"), Counter: 4, Highest: 4}, want: "500", counter: 5, gap: "(300, " + string(late) + "]"},
		// That daemon alone has delivered something of the shard, but the application had delivered others before.
		"batches that began later":                        {first: start, end: audit.End{Segments: segments(late, "500"), Counter: 4, Highest: 4}, want: "500", counter: 5, gap: "(TRIM_HORIZON, " + string(late) + "]"},
		"batches that began later, to read again":         {first: start, gaps: ReadAgain, end: audit.End{Segments: segments(late, "500"), Counter: 4, Highest: 4}, want: checkpoint.TrimHorizon, counter: 5, gap: "(TRIM_HORIZON, " + string(late) + "]"},
		"batches that began later than START_POSITION":    {first: start, initial: early, gaps: ReadAgain, end: audit.End{Segments: segments(late, "500"), Counter: 4, Highest: 4}, want: early, counter: 5, gap: "(" + string(early) + ", " + string(late) + "]"},
		"a backup of rows that began at a time":           {own: begun("400"), end: audit.End{Segments: segments(late, "300", "300", "500"), Counter: 4, Highest: 4}, want: "500", counter: 5},
		"a backup of rows that began at a time, long ago": {own: begun("400"), end: audit.End{Segments: segments("350", "500"), Counter: 4, Highest: 4}, want: "500", counter: 5},
		"a row that began at a time, and a batch that waits": {own: begun("400"), waiting: []checkpoint.Range{{Shard: "s", Start: "300", End: "400", LeaseCounter: 4}},
			end: audit.End{Segments: segments("200", "300"), Counter: 4, Highest: 4}, want: "400", counter: 5},
		"a rewind in the backup that no batch followed": {own: row("50", 9), end: audit.End{Segments: segments("0", "300"), Counter: 4, Highest: 9, Moved: noted}, want: "50"},
	} {
		var own checkpoint.Lease
		if test.own != nil {
			own = *test.own
		}
		test.end.Shard = "s"
		known := past{oldest: start.Add(-time.Hour), delivered: test.first, initial: test.initial}
		if test.first.IsZero() {
			known.delivered = start.Add(2 * time.Hour)
		}
		step, gap := restored(own, test.own != nil, test.end, test.waiting, []string{"p"}, test.gaps, known)
		if step.Shard != "s" || step.Checkpoint != test.want || step.Write != (test.counter > 0) || gap != test.gap || (step.Moved != nil) != test.moved {
			t.Errorf("%s: %+v, gap %q", name, step, gap)
		}
		if step.Write && (step.Counter != test.counter || step.Owner != "") {
			t.Errorf("%s: the lease is %+v, want counter %d and no owner", name, step.Lease, test.counter)
		}
		if test.own == nil && step.Parents[0] != "p" {
			t.Errorf("%s: the parents are %v", name, step.Parents)
		}
	}
}

// Whether a shard that begins at a time may leave out what an application wanted.
func TestPast_KnowsTheApplicationsOwnBeginning(t *testing.T) {
	start := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	at := func(hours int) checkpoint.Position {
		return checkpoint.AtTimestamp(start.Add(time.Duration(hours) * time.Hour))
	}
	known := past{oldest: start, delivered: start.Add(5 * time.Hour), initial: checkpoint.TrimHorizon, noted: func(p checkpoint.Position) bool { return p == at(8) }}
	nothing, at3 := known, known
	nothing.delivered = time.Time{}
	at3.initial = at(3)
	for name, test := range map[string]struct {
		past  past
		begin checkpoint.Position
		want  checkpoint.Position
	}{
		"at the oldest record":                          {known, checkpoint.TrimHorizon, ""},
		"at a sequence number":                          {known, "300", ""},
		"before the first delivery":                     {known, at(4), ""},
		"with the first delivery":                       {known, at(5), ""},
		"after the first delivery":                      {known, at(6), checkpoint.TrimHorizon},
		"after the first delivery, by a rewind":         {known, at(8), ""},
		"after it, and the application's start is set":  {at3, at(6), at(3)},
		"nothing was delivered":                         {nothing, at(4), checkpoint.TrimHorizon},
		"nothing was delivered, and the stream forgets": {nothing, at(0), ""},
	} {
		if got := test.past.before(test.begin); got != test.want {
			t.Errorf("%s: %q, want %q", name, got, test.want)
		}
	}
}

// A table that was lost, and that a daemon began anew at a time: of shards without any delivery nobody has read what arrived
// between. With START_POSITION=TRIM_HORIZON, or if the application itself began at that time, idle shards are as they should be.
func TestRestorer_AsksBeforeIdleShardsLeaveOutRecords(t *testing.T) {
	start := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	anew := checkpoint.AtTimestamp(start)
	own := func(at, begin checkpoint.Position) *checkpoint.Lease {
		return &checkpoint.Lease{Shard: "s", Checkpoint: at, Begin: begin, Counter: 3}
	}
	before, after := start.Add(-time.Minute), start.Add(time.Minute)
	read := audit.End{Shard: "child", Segments: []audit.Segment{{Start: "0", End: "900"}}, Counter: 1, Highest: 1}
	readAnew := audit.End{Shard: "child", Segments: []audit.Segment{{Start: anew, End: "900"}}, Counter: 1, Highest: 1}
	for name, test := range map[string]struct {
		bound     checkpoint.Position // the beginning in the table; empty: the table is new
		initial   checkpoint.Position // START_POSITION
		row       *checkpoint.Lease
		child     *audit.End // of the shard's child
		delivered time.Time
		asks      bool
		again     checkpoint.Position // empty: no row is written
	}{
		"a row that began anew at a time":                     {bound: anew, initial: lease.Latest, row: own(anew, anew), delivered: before, asks: true, again: checkpoint.TrimHorizon},
		"the same, of an earlier release":                     {bound: anew, initial: lease.Latest, row: own(anew, ""), delivered: before, asks: true, again: checkpoint.TrimHorizon},
		"a row that began anew and has read on":               {bound: anew, initial: lease.Latest, row: own("500", anew), delivered: before, asks: true, again: checkpoint.TrimHorizon},
		"a row that began anew and is at its end":             {bound: anew, initial: lease.Latest, row: own(checkpoint.ShardEnd, anew), delivered: before, asks: true, again: checkpoint.TrimHorizon},
		"a row that the application began":                    {bound: anew, initial: lease.Latest, row: own(anew, anew), delivered: after},
		"a row at the oldest record":                          {bound: checkpoint.TrimHorizon, initial: checkpoint.TrimHorizon, row: own(checkpoint.TrimHorizon, checkpoint.TrimHorizon), delivered: before},
		"a row at the oldest record, and nothing delivered":   {bound: checkpoint.TrimHorizon, initial: checkpoint.TrimHorizon, row: own(checkpoint.TrimHorizon, checkpoint.TrimHorizon)},
		"a row that began anew, and so did its child":         {bound: anew, initial: lease.Latest, row: own(anew, anew), child: &readAnew, delivered: before, asks: true, again: checkpoint.TrimHorizon},
		"no row, and its child is read":                       {initial: checkpoint.TrimHorizon, child: &read, delivered: before, again: checkpoint.ShardEnd},
		"no row, and its child began anew":                    {initial: checkpoint.TrimHorizon, child: &readAnew, delivered: before},
		"no row, and the table began anew":                    {bound: anew, initial: lease.Latest, delivered: before, asks: true, again: checkpoint.TrimHorizon},
		"no row, and the application began at a time":         {bound: anew, initial: lease.Latest, delivered: after},
		"no row, and the table is of the oldest record":       {bound: checkpoint.TrimHorizon, initial: lease.Latest, delivered: before},
		"a new table at a later time":                         {initial: anew, delivered: before, asks: true, again: checkpoint.TrimHorizon},
		"a new table at the time of the application":          {initial: anew, delivered: after},
		"a new table at the oldest record":                    {initial: checkpoint.TrimHorizon, delivered: before},
		"no row, and the time of the application is set":      {bound: anew, initial: checkpoint.AtTimestamp(before), delivered: before, asks: true, again: checkpoint.AtTimestamp(before)},
		"a row, and a time that is later than a delivery set": {bound: anew, initial: checkpoint.AtTimestamp(before), row: own(anew, anew), delivered: before.Add(-time.Minute), asks: true, again: checkpoint.TrimHorizon},
	} {
		known := past{oldest: start.Add(-time.Hour), delivered: test.delivered, initial: test.initial}
		snap, ends := checkpoint.Snapshot{}, map[string]audit.End{}
		if test.bound != "" {
			snap.Application.Application, snap.Application.Initial = "trips", test.bound
		}
		if test.row != nil {
			snap.Leases = append(snap.Leases, *test.row)
		}
		listed := map[string][]string{"s": nil}
		if test.child != nil {
			listed["child"] = []string{"s"}
			ends["child"] = *test.child
		}
		plan := func(g Gaps) (step *Restored, err error) {
			var p Restoration
			err = Restorer{Initial: test.initial, Gaps: g}.plan(&p, snap, ends, listed, nil, known)
			for _, s := range p.Steps {
				if s.Shard == "s" && s.Write {
					step = &s
				}
			}
			return step, err
		}
		_, err := plan(Refuse)
		gaps, _ := errors.AsType[*GapError](err)
		if asks := gaps != nil && slices.ContainsFunc(gaps.Gaps, func(g string) bool { return strings.HasSuffix(g, ", "+string(anew)+"] of shard s") }); asks != test.asks || err != nil && gaps == nil {
			t.Errorf("%s: the plan: %v, want a gap: %t", name, err, test.asks)
		}
		if step, err := plan(LeaveThere); err != nil || test.asks && step != nil {
			t.Errorf("%s: to skip the gap the plan is %+v, %v; want the row as it is", name, step, err)
		}
		step, err := plan(ReadAgain)
		var got checkpoint.Position
		if step != nil {
			got = step.Checkpoint
		}
		if err != nil || got != test.again || step != nil && (step.Begin != got || test.row != nil && step.Counter <= test.row.Counter) {
			t.Errorf("%s: to read it again the plan is %+v, %v; want %q", name, step, err, test.again)
		}
	}
}

// When an application delivered first is known from its first manifest, also if that is older than what the audit read. Moves are
// known from their notes.
func TestRestorer_FindsTheFirstDelivery(t *testing.T) {
	client := newStage(t).client
	created := time.Date(2026, 11, 1, 12, 30, 0, 0, time.UTC)
	sealed := func(after time.Duration, arrival time.Time) checkpoint.Batch {
		return checkpoint.Batch{ID: layout.NewBatchID(), Worker: "w", Created: created.Add(after), Ranges: []checkpoint.Range{
			{Shard: "s", Start: checkpoint.TrimHorizon, End: "100", LeaseOwner: "w", LeaseCounter: 1, Records: 1, FirstArrival: arrival},
		}}
	}
	r := Restorer{Stream: of{Created: created, Retention: 24 * time.Hour}, Bucket: objects.Bucket{API: client, Name: "out"}, ManifestPrefix: "manifests/"}
	to := checkpoint.AtTimestamp(created.Add(60 * time.Hour))
	must(t, Notes{API: client, Bucket: "out", ManifestPrefix: "manifests/"}.write(t.Context(), checkpoint.Lease{Shard: "s", Checkpoint: "100"}, to))
	var err error
	r.Report, err = audit.Run(t.Context(), audit.Config{Bucket: r.Bucket, ManifestPrefix: "manifests/", From: created.Add(48 * time.Hour)})
	must(t, err)
	first := func() time.Time {
		t.Helper()
		p, err := r.past(t.Context(), created.Add(72*time.Hour))
		must(t, err)
		if !p.noted(to) || p.noted(checkpoint.AtTimestamp(created)) {
			t.Error("the noted move is not known, or one is that nobody noted")
		}
		if want := created.Add(48 * time.Hour); !p.oldest.Equal(want) {
			t.Errorf("the oldest record is of %v, want %v", p.oldest, want)
		}
		return p.delivered
	}
	putManifest(t, client, sealed(-time.Minute, created.Add(-time.Hour))) // of an earlier stream of that name
	if got := first(); !got.IsZero() {
		t.Errorf("nothing was delivered, but the first delivery is %v", got)
	}
	putManifest(t, client, sealed(2*time.Hour, created.Add(90*time.Minute)))
	putManifest(t, client, sealed(5*time.Hour, created.Add(4*time.Hour)))
	if got, want := first(), created.Add(90*time.Minute); !got.Equal(want) {
		t.Errorf("the first delivery is %v, want %v", got, want)
	}
	putManifest(t, client, sealed(time.Hour, time.Time{}))
	if got, want := first(), created.Add(time.Hour); !got.Equal(want) {
		t.Errorf("the first delivery is %v, want the time when its batch was sealed, %v", got, want)
	}
}

// of is a stream that can be described.
type of shardmap.Stream

func (s of) Describe(context.Context) (shardmap.Stream, error) { return shardmap.Stream(s), nil }

func (of) ListShards(context.Context) (shardmap.Listing, error) { return shardmap.Listing{}, nil }

// The outbox of a backup: batches that were published since are removed from it, also from their tables, and others stay.
func TestRestorer_RemovesBatchesThatWerePublishedSinceTheBackup(t *testing.T) {
	r, client := newRestorer(t)
	must(t, r.Store.CreateLeases(t.Context(), []checkpoint.Lease{{Shard: "shardId-000000000000", Checkpoint: "100"}}))
	row, err := r.Store.Lease(t.Context(), "shardId-000000000000")
	must(t, err)
	row, err = r.Store.Acquire(t.Context(), row, "dead")
	must(t, err)
	var batches []checkpoint.Batch
	for i, positions := range [][2]checkpoint.Position{{"100", "200"}, {"200", "300"}, {"300", "400"}} {
		b := checkpoint.Batch{
			ID: []string{"since", "waits", "loads"}[i], Worker: "dead", Created: time.Now(), Files: []checkpoint.File{},
			Ranges: []checkpoint.Range{{Shard: row.Shard, Start: positions[0], End: positions[1], LeaseOwner: "dead", LeaseCounter: row.Counter}},
		}
		b.Manifest = checkpoint.Place{Bucket: "out", Key: layout.ManifestFolder("manifests/", b.Created) + b.ID + ".json"}
		if b.ID == "loads" {
			b.Tables = []string{"glue://lake/trips"}
		}
		must(t, r.Store.Commit(t.Context(), b))
		batches = append(batches, b)
	}
	must(t, r.Store.MarkPublished(t.Context(), "loads", time.Now()))
	for _, b := range []checkpoint.Batch{batches[0], batches[2]} {
		putManifest(t, client, b)
	}
	r.Report, err = audit.Run(t.Context(), audit.Config{Bucket: r.Bucket, ManifestPrefix: "manifests/"})
	must(t, err)
	plan, err := r.Plan(t.Context())
	must(t, err)
	if len(plan.Published) != 2 || len(plan.Steps) != 1 || plan.Steps[0].Checkpoint != "400" {
		t.Fatalf("the plan is %+v", plan)
	}
	must(t, r.Run(t.Context(), plan))
	snap, err := r.Store.Scan(t.Context())
	must(t, err)
	if len(snap.Batches) != 1 || snap.Batches[0].ID != "waits" || len(snap.Published) != 0 {
		t.Errorf("in the outbox are %+v and %+v, want the batch that waits", snap.Batches, snap.Published)
	}
	if len(snap.Leases) != 1 || snap.Leases[0].Counter <= row.Counter || snap.Leases[0].Owner != "" {
		t.Errorf("the leases are %+v", snap.Leases)
	}
}

func TestRestorer_RefusesWhatOnlyAnOperatorKnows(t *testing.T) {
	r, client := newRestorer(t)
	r.Initial = lease.Latest
	look := func() {
		var err error
		r.Report, err = audit.Run(t.Context(), audit.Config{Bucket: r.Bucket, ManifestPrefix: "manifests/", Prefixes: []string{"data/"}})
		must(t, err)
	}
	look()
	r.Store = nil // there is none yet
	if _, err := r.Plan(t.Context()); err == nil || !strings.Contains(err.Error(), "shardId-000000000000") || !strings.Contains(err.Error(), "START_POSITION=LATEST") {
		t.Errorf("nothing is known, and LATEST would skip records: %v", err)
	}
	for i, shard := range []string{"shardId-000000000000", "shardId-000000000001"} {
		b := checkpoint.Batch{ID: layout.NewBatchID(), Worker: "w", Created: time.Now(), Ranges: []checkpoint.Range{
			{Shard: shard, Start: checkpoint.TrimHorizon, End: "100", LeaseOwner: "w", LeaseCounter: 1},
		}}
		putManifest(t, client, b)
		if b.ID, b.Ranges[0].Start, b.Ranges[0].End = layout.NewBatchID(), "200", "300"; i == 0 {
			putManifest(t, client, b) // behind a gap
		}
	}
	look()
	_, err := r.Plan(t.Context())
	gaps, ok := errors.AsType[*GapError](err)
	if !ok || len(gaps.Gaps) != 1 || gaps.Gaps[0] != "(100, 200] of shard shardId-000000000000" {
		t.Errorf("a gap: %v", err)
	}
	for choice, want := range map[Gaps]checkpoint.Position{ReadAgain: "100", LeaveThere: "300"} {
		r.Gaps = choice
		plan, err := r.Plan(t.Context())
		must(t, err)
		if len(plan.Steps) != 2 || plan.Steps[0].Checkpoint != want || plan.Steps[1].Checkpoint != "100" || len(plan.Unfinished) != 0 {
			t.Errorf("%s: %+v", choice, plan)
		}
	}
	// A file of a batch without a manifest is visible: the batch was being published when the table was lost.
	key := layout.File{Name: "data/trips", Clock: time.Now().UTC(), Batch: layout.NewBatchID()}.Key()
	_, err = client.PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String("out"), Key: &key, Body: strings.NewReader("x")})
	must(t, err)
	look()
	if plan, err := r.Plan(t.Context()); err != nil || !slices.Equal(plan.Unfinished, []string{key}) {
		t.Errorf("%v, unfinished are %q, want %s", err, plan.Unfinished, key)
	}
}

// newRestorer is one of a stream of two shards, with a table that is bound.
func newRestorer(t *testing.T) (Restorer, *s3.Client) {
	t.Helper()
	account := aws.Config{Region: "us-east-1", Credentials: credentials.NewStaticCredentialsProvider("test", "test", ""), HTTPClient: http.DefaultClient}
	stream, err := localstream.Start("127.0.0.1:0", localstream.Options{})
	must(t, err)
	t.Cleanup(func() { stream.Close() })
	must(t, stream.CreateStream("trips", 2))
	inDynamo := account
	inDynamo.BaseEndpoint = aws.String(emulator.DynamoDBLocal(t).URL)
	store, err := dynamo.Open(t.Context(), dynamo.Config{AWS: inDynamo, Table: "restore-" + uuid.NewString(), Create: true, Log: slog.New(slog.DiscardHandler)})
	must(t, err)
	t.Cleanup(func() { must(t, store.Close()) })
	client := newStage(t).client
	r := Restorer{
		Store: store, Application: "trips", Initial: checkpoint.TrimHorizon, Bucket: objects.Bucket{API: client, Name: "out"}, ManifestPrefix: "manifests/",
		Stream: shardmap.NewLister(kinesis.NewFromConfig(account, func(o *kinesis.Options) { o.BaseEndpoint = aws.String(stream.URL()) }), "trips"),
	}
	_, _, err = lease.Bind(t.Context(), store, r.Stream, r.Application, r.Initial)
	must(t, err)
	return r, client
}

func putManifest(t *testing.T, client *s3.Client, b checkpoint.Batch) {
	t.Helper()
	body, err := layout.EncodeManifest(b)
	must(t, err)
	place := layout.ManifestPlace(b, "out", "manifests/")
	_, err = client.PutObject(t.Context(), &s3.PutObjectInput{
		Bucket: &place.Bucket, Key: &place.Key, Metadata: map[string]string{writers.MetadataBatchID: b.ID}, Body: strings.NewReader(string(body)),
	})
	must(t, err)
}
