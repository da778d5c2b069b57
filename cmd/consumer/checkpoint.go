package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/consumer"
	"aws-streaming-pipeline/operate/objects"
)

const checkpointUsage = `usage: consumer checkpoint <command> [flags]

  show      print the table: shards with their positions, workers, the outbox
  rewind    move shards back to an earlier position: what lies behind it is delivered again
  set       move shards to any position, also ahead: what lies between is lost to the bucket
  forget    take a batch out of the outbox that cannot be published any more
  import    go on where vmware-go-kcl or the Java KCL stopped, from its lease table

The table is CHECKPOINT_TABLE (default: APPLICATION_NAME) in DynamoDB, or the file CHECKPOINT_FILE, which only one
process at a time can open: stop the daemon first. "consumer checkpoint <command> --help" says more.
`

// checkpoints is the command checkpoint.
func checkpoints(ctx context.Context, args []string, out io.Writer) error {
	commands := map[string]func(context.Context, []string, io.Writer) error{
		"show": showTable, "rewind": rewindShards, "set": setShards, "forget": forgetBatch, "import": importTable,
	}
	if len(args) == 0 || args[0] == "help" || args[0] == "-h" || args[0] == "--help" {
		_, err := io.WriteString(out, checkpointUsage)
		return err
	}
	run, ok := commands[args[0]]
	if !ok {
		return undone(fmt.Errorf("checkpoint has no command %q\n%s", args[0], checkpointUsage))
	}
	return undone(unlessHelp(run(ctx, args[1:], out)))
}

// openTable opens a table that is there already.
func openTable(ctx context.Context, cfg consumer.Config) (checkpoint.Store, error) {
	cfg.CheckpointCreate = false
	if cfg.CheckpointFile != "" {
		if _, err := os.Stat(cfg.CheckpointFile); err != nil {
			return nil, fmt.Errorf("CHECKPOINT_FILE=%q: %w", cfg.CheckpointFile, err)
		}
		return consumer.OpenStore(ctx, cfg, aws.Config{}, nil, newLogger(cfg))
	}
	account, err := loadAccount(ctx)
	if err != nil {
		return nil, err
	}
	return consumer.OpenStore(ctx, cfg, account, nil, newLogger(cfg))
}

const showUsage = `checkpoint show [--json] [--batch ID]

Prints the lease table. AGE is the time since the arrival of the last committed record: what the bucket is behind, if
records come all the time. The outbox holds batches that are committed and not yet published; in health it is empty but
for moments. Tombstones mark batches that can never be committed any more; they go away after an hour.`

func showTable(ctx context.Context, args []string, out io.Writer) (err error) {
	f := newFlags("checkpoint show", showUsage, out)
	asJSON := f.Bool("json", false, "print JSON")
	batch := f.String("batch", "", "print the batch with this `id` of the outbox instead, as JSON")
	if err := parse(f, args); err != nil {
		return err
	}
	store, err := openTable(ctx, toolSettings())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	if *batch != "" {
		b, err := checkpoint.LoadBatch(ctx, store, lists{toolSettings()}, *batch)
		if err != nil {
			return fmt.Errorf("batch %s: %w", *batch, err)
		}
		return printReport(out, true, b, nil)
	}
	snap, err := store.Scan(ctx)
	if err != nil {
		return err
	}
	t := newTable(snap, time.Now())
	return printReport(out, *asJSON, t, t.writeText)
}

// lists reads the files of batches that do not have them in the table. Only then is an account needed.
type lists struct{ cfg consumer.Config }

// ReadList implements checkpoint.Lists.
func (l lists) ReadList(ctx context.Context, list checkpoint.FileList) ([]byte, string, error) {
	account, err := loadAccount(ctx)
	if err != nil {
		return nil, "", err
	}
	return objects.Bucket{API: bucketClient(account, l.cfg)}.ReadList(ctx, list)
}

// table is what show prints.
type table struct {
	Application application `json:"application"`
	Shards      []shardRow  `json:"shards"`
	Workers     []workerRow `json:"workers"`
	Outbox      []batchRow  `json:"outbox"`
	Tombstones  []string    `json:"tombstones"`
}

type application struct {
	Name          string              `json:"name"`
	Stream        string              `json:"stream"`
	StreamARN     string              `json:"stream_arn,omitempty"`
	StreamCreated time.Time           `json:"stream_created"`
	Initial       checkpoint.Position `json:"initial"`
	Importing     string              `json:"importing,omitempty"`
}

type shardRow struct {
	Shard      string              `json:"shard"`
	Parents    []string            `json:"parents,omitempty"`
	Owner      string              `json:"owner,omitempty"`
	Counter    int64               `json:"lease_counter"`
	Checkpoint checkpoint.Position `json:"checkpoint"`
	Arrival    time.Time           `json:"last_committed_arrival,omitzero"`
	AgeSeconds float64             `json:"age_seconds,omitempty"`
}

type workerRow struct {
	Worker  string `json:"worker"`
	Beat    int64  `json:"beat"`
	Shards  int    `json:"shards"`
	Address string `json:"address,omitempty"`
	Version string `json:"version,omitempty"`
}

type batchRow struct {
	Batch      string    `json:"batch"`
	Worker     string    `json:"worker"`
	Created    time.Time `json:"created"`
	AgeSeconds float64   `json:"age_seconds"`
}

func newTable(snap checkpoint.Snapshot, now time.Time) table {
	a := snap.Application
	t := table{
		Application: application{a.Application, a.Stream, a.StreamARN, a.StreamCreated, a.Initial, a.Importing},
		Shards:      []shardRow{}, Workers: []workerRow{}, Outbox: []batchRow{}, Tombstones: slices.Sorted(slices.Values(snap.Tombstones)),
	}
	held := make(map[string]int)
	for _, l := range snap.Leases {
		row := shardRow{Shard: l.Shard, Parents: l.Parents, Owner: l.Owner, Counter: l.Counter, Checkpoint: l.Checkpoint, Arrival: l.Arrival}
		if !l.Arrival.IsZero() && l.Checkpoint != checkpoint.ShardEnd {
			row.AgeSeconds = now.Sub(l.Arrival).Round(time.Millisecond).Seconds()
		}
		held[l.Owner]++
		t.Shards = append(t.Shards, row)
	}
	for _, w := range snap.Workers {
		t.Workers = append(t.Workers, workerRow{w.ID, w.Beat, held[w.ID], w.Address, w.Version})
	}
	for _, b := range snap.Batches {
		t.Outbox = append(t.Outbox, batchRow{b.ID, b.Worker, b.Created, now.Sub(b.Created).Round(time.Millisecond).Seconds()})
	}
	slices.SortFunc(t.Shards, func(a, b shardRow) int { return strings.Compare(a.Shard, b.Shard) })
	slices.SortFunc(t.Workers, func(a, b workerRow) int { return strings.Compare(a.Worker, b.Worker) })
	slices.SortFunc(t.Outbox, func(a, b batchRow) int { return a.Created.Compare(b.Created) })
	return t
}

func (t table) writeText(out io.Writer) error {
	a := t.Application
	fmt.Fprintf(out, "application %s, stream %s created %s, first position %s\n\n", a.Name, a.Stream, a.StreamCreated.UTC().Format(time.RFC3339), a.Initial)
	if a.Importing != "" {
		fmt.Fprintf(out, "the import from table %s is not finished: daemons wait for it\n\n", a.Importing)
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "SHARD\tOWNER\tCOUNTER\tAGE\tCHECKPOINT")
	for _, s := range t.Shards {
		fmt.Fprintf(w, "%s\t%s\t%d\t%s\t%s\n", s.Shard, cmp.Or(s.Owner, "-"), s.Counter, age(s.AgeSeconds), s.Checkpoint)
	}
	fmt.Fprintf(w, "\nWORKER\tBEAT\tSHARDS\tADDRESS\tVERSION\n")
	for _, r := range t.Workers {
		fmt.Fprintf(w, "%s\t%d\t%d\t%s\t%s\n", r.Worker, r.Beat, r.Shards, cmp.Or(r.Address, "-"), cmp.Or(r.Version, "-"))
	}
	if len(t.Outbox) > 0 {
		fmt.Fprintf(w, "\nOUTBOX\tWORKER\tSEALED\tAGE\n")
	}
	for _, b := range t.Outbox {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", b.Batch, b.Worker, b.Created.UTC().Format(time.RFC3339), age(b.AgeSeconds))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(out, "\n%d shards, %d workers, %d batches in the outbox, %d tombstones\n", len(t.Shards), len(t.Workers), len(t.Outbox), len(t.Tombstones))
	return err
}

func age(seconds float64) string {
	if seconds == 0 {
		return "-"
	}
	return (time.Duration(seconds) * time.Second).String()
}
