package positions

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"aws-streaming-pipeline/checkpoint"
)

// Table is the lease table in readable form, as text or JSON.
type Table struct {
	Application application `json:"application"`
	Leader      *leader     `json:"leader,omitempty"` // nil if no worker ever led the others
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

type leader struct {
	Worker string `json:"worker"` // empty if none leads
	Term   int64  `json:"term"`
}

type shardRow struct {
	Shard      string              `json:"shard"`
	Parents    []string            `json:"parents,omitempty"`
	Owner      string              `json:"owner,omitempty"`
	Counter    int64               `json:"lease_counter"`
	Checkpoint checkpoint.Position `json:"checkpoint"`
	Arrival    time.Time           `json:"last_committed_arrival,omitzero"`
	AgeSeconds float64             `json:"age_seconds,omitempty"`
	Load       int64               `json:"bytes_per_second,omitempty"`
}

type workerRow struct {
	Worker  string `json:"worker"`
	Beat    int64  `json:"beat"`
	Shards  int    `json:"shards"`
	Address string `json:"address,omitempty"`
	Version string `json:"version,omitempty"`
	Follows bool   `json:"follows,omitempty"` // it obeys a leader's orders; workers of earlier releases do not
}

type batchRow struct {
	Batch      string    `json:"batch"`
	Worker     string    `json:"worker"`
	Created    time.Time `json:"created"`
	AgeSeconds float64   `json:"age_seconds"`
	Kind       string    `json:"unknown_kind,omitempty"` // of a batch of a later release
	// Tables are those that a published batch is still to be loaded into.
	Tables []string `json:"tables,omitempty"`
}

// NewTable arranges a snapshot of the table and computes ages relative to now.
func NewTable(snap checkpoint.Snapshot, now time.Time) Table {
	a := snap.Application
	t := Table{
		Application: application{a.Application, a.Stream, a.StreamARN, a.StreamCreated, a.Initial, a.Importing},
		Shards:      []shardRow{}, Workers: []workerRow{}, Outbox: []batchRow{}, Tombstones: slices.Sorted(slices.Values(snap.Tombstones)),
	}
	if snap.Lead != (checkpoint.Lead{}) {
		t.Leader = &leader{snap.Lead.Worker, snap.Lead.Term}
	}
	held := make(map[string]int)
	for _, l := range snap.Leases {
		row := shardRow{Shard: l.Shard, Parents: l.Parents, Owner: l.Owner, Counter: l.Counter, Checkpoint: l.Checkpoint, Arrival: l.Arrival}
		if !l.Arrival.IsZero() && l.Checkpoint != checkpoint.ShardEnd {
			row.AgeSeconds, row.Load = now.Sub(l.Arrival).Round(time.Millisecond).Seconds(), l.Load
		}
		held[l.Owner]++
		t.Shards = append(t.Shards, row)
	}
	for _, w := range snap.Workers {
		t.Workers = append(t.Workers, workerRow{w.ID, w.Beat, held[w.ID], w.Address, w.Version, w.Follows})
	}
	row := func(b checkpoint.Batch, kind string, tables []string) {
		t.Outbox = append(t.Outbox, batchRow{b.ID, b.Worker, b.Created, now.Sub(b.Created).Round(time.Millisecond).Seconds(), kind, tables})
	}
	for _, b := range snap.Batches {
		row(b, "", nil)
	}
	for _, b := range snap.Published {
		row(b, "", missingTables(b))
	}
	for _, b := range snap.Unknown {
		row(checkpoint.Batch{ID: b.ID, Worker: b.Worker, Created: b.Created}, b.Kind, nil)
	}
	slices.SortFunc(t.Shards, func(a, b shardRow) int { return strings.Compare(a.Shard, b.Shard) })
	slices.SortFunc(t.Workers, func(a, b workerRow) int { return strings.Compare(a.Worker, b.Worker) })
	slices.SortFunc(t.Outbox, func(a, b batchRow) int { return a.Created.Compare(b.Created) })
	return t
}

// missingTables are those that the batch is still to be loaded into.
func missingTables(b checkpoint.Batch) []string {
	return slices.DeleteFunc(slices.Clone(b.Tables), func(name string) bool { return slices.Contains(b.Loaded, name) })
}

// WriteText writes the table for a terminal.
func (t Table) WriteText(out io.Writer) error {
	a := t.Application
	fmt.Fprintf(out, "application %s, stream %s created %s, first position %s\n", a.Name, a.Stream, a.StreamCreated.UTC().Format(time.RFC3339), a.Initial)
	if t.Leader != nil {
		fmt.Fprintf(out, "leader %s, term %d\n", cmp.Or(t.Leader.Worker, "-"), t.Leader.Term)
	}
	fmt.Fprintln(out)
	if a.Importing != "" {
		fmt.Fprintf(out, "the import from %s is not finished: daemons wait for it\n\n", a.Importing)
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "SHARD\tOWNER\tCOUNTER\tAGE\tLOAD\tCHECKPOINT")
	for _, s := range t.Shards {
		fmt.Fprintf(w, "%s\t%s\t%d\t%s\t%s\t%s\n", s.Shard, cmp.Or(s.Owner, "-"), s.Counter, age(s.AgeSeconds), load(s.Load), s.Checkpoint)
	}
	fmt.Fprintf(w, "\nWORKER\tBEAT\tSHARDS\tADDRESS\tVERSION\n")
	for _, r := range t.Workers {
		fmt.Fprintf(w, "%s\t%d\t%d\t%s\t%s\n", r.Worker, r.Beat, r.Shards, cmp.Or(r.Address, "-"), cmp.Or(r.Version, "-"))
	}
	if len(t.Outbox) > 0 {
		fmt.Fprintf(w, "\nOUTBOX\tWORKER\tSEALED\tAGE\n")
	}
	for _, b := range t.Outbox {
		note := ""
		if b.Kind != "" {
			note = "\tof kind " + b.Kind + ", which this release does not support"
		}
		if len(b.Tables) > 0 {
			note = "\tpublished, waiting to be loaded into " + strings.Join(b.Tables, ", ")
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s%s\n", b.Batch, b.Worker, b.Created.UTC().Format(time.RFC3339), age(b.AgeSeconds), note)
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

// load is a rate for people, in the largest unit of which there is at least one.
func load(bytes int64) string {
	value, units := float64(bytes), []string{"B/s", "KiB/s", "MiB/s"}
	if bytes == 0 {
		return "-"
	}
	for value >= 1024 && len(units) > 1 {
		value, units = value/1024, units[1:]
	}
	return fmt.Sprintf("%.3g %s", value, units[0])
}
