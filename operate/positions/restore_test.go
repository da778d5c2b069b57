package positions

import (
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
		"a backup of rows that began at a time":                    {own: begun("400"), end: audit.End{Segments: segments(late, "300", "300", "500"), Counter: 4, Highest: 4}, want: "500", counter: 5},
		"a backup of rows that began at a time, long ago":          {own: begun("400"), end: audit.End{Segments: segments("350", "500"), Counter: 4, Highest: 4}, want: "500", counter: 5},
		"a row that began at a time, and a batch that waits": {own: begun("400"), waiting: []checkpoint.Range{{Shard: "s", Start: "300", End: "400", LeaseCounter: 4}},
			end: audit.End{Segments: segments("200", "300"), Counter: 4, Highest: 4}, want: "400", counter: 5},
		"a rewind in the backup that no batch followed": {own: row("50", 9), end: audit.End{Segments: segments("0", "300"), Counter: 4, Highest: 9, Moved: noted}, want: "50"},
	} {
		var own checkpoint.Lease
		if test.own != nil {
			own = *test.own
		}
		test.end.Shard = "s"
		step, gap := restored(own, test.own != nil, test.end, test.waiting, []string{"p"}, test.gaps)
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
