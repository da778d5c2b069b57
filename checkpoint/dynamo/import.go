package dynamo

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"golang.org/x/sync/errgroup"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/checkpoint/takeover"
	"aws-streaming-pipeline/internal/backoff"
)

// Attributes of foreign lease tables, as their libraries write them.
const (
	attrSubSequence = "checkpointSubSequenceNumber" // Java KCL
	stockCheckpoint = "Checkpoint"                  // vmware-go-kcl
	stockParent     = "ParentShardId"
)

// lookingAtOnce bounds how many records are examined concurrently.
const lookingAtOnce = 8

// Source names a lease table of another consumer of the same stream.
type Source struct {
	// Table was created by vmware-go-kcl's own checkpointer or by the Kinesis Client Library for Java, version 2 or 3.
	Table string
	// Listed are the shards of a complete listing of the stream, each with its parents.
	Listed map[string][]string
	// Failover is how long a worker's heartbeat may stand still before the worker is considered dead.
	Failover time.Duration
	// Before examines the record at a checkpoint of the Java library, which counts user records. If it is a KPL
	// aggregate with more user records after the one with this number, Before returns a position before it, for example
	// its arrival time, and otherwise the empty position. It is called for several shards concurrently. If it is nil,
	// checkpoints at the first user record are taken to be whole records, and all others are refused.
	Before func(ctx context.Context, shard, sequenceNumber string, user int64) (checkpoint.Position, error)
	// Reread makes shards whose checkpoint is inside an aggregate, which our positions cannot express, begin before it:
	// what the other consumer had already delivered of the aggregate is delivered twice. Without it such checkpoints
	// are refused.
	Reread bool
}

// Import creates leases from another consumer's table, so that this application continues where that one stopped, and
// returns the plan it followed: package takeover describes where each shard begins. The other consumer must be stopped
// for good.
//
// Call Bind first, because shards on which the other consumer had made no progress begin at the application's initial
// position. Import refuses to replace the checkpoint of a lease that has made progress of its own, or to write while
// workers run; then nothing is written. After any other error, or if the process dies, workers refuse the table until
// Import has been called again, from the same table, and has returned nil.
func (s *Store) Import(ctx context.Context, from Source) (takeover.Plan, error) {
	p, err := s.importFrom(ctx, from)
	if err != nil {
		return takeover.Plan{}, fmt.Errorf("import table %s into %s: %w", from.Table, *s.table, err)
	}
	return p, nil
}

func (s *Store) importFrom(ctx context.Context, from Source) (takeover.Plan, error) {
	app, err := s.application(ctx)
	if err != nil {
		return takeover.Plan{}, fmt.Errorf("read the application: %w", err)
	}
	if app.Importing != "" && app.Importing != from.Table {
		return takeover.Plan{}, fmt.Errorf("an import from %s was not finished: finish it, or use a new table", app.Importing)
	}
	table, err := s.foreignTable(ctx, from)
	if err != nil {
		return takeover.Plan{}, err
	}
	plan, err := table.Plan(from.Listed, app.Initial)
	if err != nil {
		return takeover.Plan{}, err
	}
	ours, err := s.ownLeases(ctx)
	if err != nil {
		return takeover.Plan{}, err
	}
	for _, l := range plan.Leases {
		if own, ok := ours[l.Shard]; ok && own.Checkpoint != l.Checkpoint && (progress(own.Checkpoint) || own.Owner != "") {
			return takeover.Plan{}, fmt.Errorf("shard %s is at %s here, held by %q, and would begin at %s: refused, nothing was written",
				l.Shard, own.Checkpoint, own.Owner, l.Checkpoint)
		}
	}
	return plan, s.write(ctx, app, from.Table, from.Failover, func() error {
		for _, l := range plan.Leases {
			if err := s.importLease(ctx, l, ours); err != nil {
				return fmt.Errorf("shard %s: %w", l.Shard, err)
			}
		}
		return nil
	})
}

// write writes rows while workers are kept off the table. The source is the mark that keeps them off.
func (s *Store) write(ctx context.Context, app checkpoint.Application, source string, failover time.Duration, rows func() error) error {
	if app.Importing == "" {
		if err := s.mark(ctx, "", source); err != nil {
			return fmt.Errorf("mark the import as begun: %w; repeat it", err)
		}
	}
	if err := s.nobodyWorks(ctx, failover); err != nil {
		if app.Importing == "" {
			err = errors.Join(err, s.mark(ctx, source, ""))
		}
		return err
	}
	if err := s.retract(ctx); err != nil {
		return fmt.Errorf("take back the statement of completeness: %w; workers refuse the table until the import has been repeated", err)
	}
	if err := rows(); err != nil {
		return fmt.Errorf("%w; workers refuse the table until the import has been repeated", err)
	}
	if err := s.mark(ctx, source, ""); err != nil {
		return fmt.Errorf("mark the import as finished: %w; repeat it", err)
	}
	return nil
}

// mark changes the mark of an unfinished import from before to after. The empty string means no import.
func (s *Store) mark(ctx context.Context, before, after string) error {
	var e expression
	e.equal(attrType, str(typeApplication))
	if before == "" {
		e.absent(attrImporting)
		e.set(attrImporting, str(after))
	} else {
		e.equal(attrImporting, str(before))
		e.remove(attrImporting)
	}
	_, err := s.update(ctx, "import", keyApplication, e)
	if errors.Is(err, checkpoint.ErrConflict) {
		// An earlier send of this call may have been applied, and its answer lost.
		if app, readErr := s.application(ctx); readErr == nil && app.Importing == after {
			return nil
		}
	}
	return err
}

// nobodyWorks fails if a heartbeat moves or appears. Dead workers' heartbeats may stay in the table for long, and workers
// that wait for a table have none in it yet.
func (s *Store) nobodyWorks(ctx context.Context, failover time.Duration) error {
	before, err := s.heartbeats(ctx)
	if err != nil {
		return err
	}
	if err := backoff.Sleep(ctx, failover); err != nil {
		return err
	}
	after, err := s.heartbeats(ctx)
	if err != nil {
		return err
	}
	for worker, beat := range after {
		if was, known := before[worker]; !known || was != beat {
			return fmt.Errorf("worker %s is running: stop all workers first; nothing was written", worker)
		}
	}
	return nil
}

func (s *Store) heartbeats(ctx context.Context) (map[string]int64, error) {
	snap, err := s.scan(ctx, true)
	beats := make(map[string]int64, len(snap.Workers))
	for _, w := range snap.Workers {
		beats[w.ID] = w.Beat
	}
	return beats, err
}

// progress reports whether a checkpoint means that records were delivered.
func progress(p checkpoint.Position) bool {
	_, sequence := p.SequenceNumber()
	return sequence || p == checkpoint.ShardEnd
}

func (s *Store) ownLeases(ctx context.Context) (map[string]checkpoint.Lease, error) {
	snap, err := s.scan(ctx, true)
	if err != nil {
		return nil, err
	}
	ours := make(map[string]checkpoint.Lease, len(snap.Leases))
	for _, l := range snap.Leases {
		ours[l.Shard] = l
	}
	return ours, nil
}

// importLease writes a row, or replaces one without progress if it has not changed since it was read.
func (s *Store) importLease(ctx context.Context, l checkpoint.Lease, ours map[string]checkpoint.Lease) error {
	own, exists := ours[l.Shard]
	if exists && own.Checkpoint == l.Checkpoint {
		return nil
	}
	var e expression
	if exists {
		e.owned(own.Owner, own.Counter)
		e.equal(attrCheckpoint, str(string(own.Checkpoint)))
		l.Counter = own.Counter + 1
	} else {
		e.absent(attrKey)
	}
	err := s.put(ctx, "import", leaseItem(l), e)
	if errors.Is(err, checkpoint.ErrConflict) {
		// An earlier send of this call may have been applied, and its answer lost.
		if row, readErr := s.Lease(ctx, l.Shard); readErr == nil && row.Checkpoint == l.Checkpoint {
			return nil
		}
	}
	return err
}

// foreignTable reads the other table.
func (s *Store) foreignTable(ctx context.Context, from Source) (takeover.Table, error) {
	var table takeover.Table
	description, err := s.describe(ctx, from.Table)
	if err != nil {
		return table, err
	}
	var translate func(r *reader) foreignLease
	switch key := partitionKey(description); key {
	case stockKey + ":S":
		translate, table.KeepsFinished = (*reader).stockLease, true
	case attrKey + ":S":
		translate = (*reader).javaLease
	default:
		return table, fmt.Errorf("its key is %s: want a table of vmware-go-kcl or the Kinesis Client Library", key)
	}
	var foreign []foreignLease
	in := &dynamodb.ScanInput{TableName: aws.String(from.Table), ConsistentRead: aws.Bool(true)}
	err = s.pages(ctx, in, func(items []map[string]types.AttributeValue) error {
		for _, it := range items {
			f, err := read(it, translate)
			if err != nil {
				return err
			}
			if !f.other {
				foreign = append(foreign, f)
			}
		}
		return nil
	})
	if err != nil {
		return table, err
	}
	table.Rows, err = resolve(ctx, foreign, from)
	return table, err
}

// foreignLease is a row of another consumer's table.
type foreignLease struct {
	takeover.Row
	user  int64 // number of the user record at the checkpoint; -1 if the library counts none
	other bool  // the row does not belong to a shard
}

func (r *reader) stockLease() foreignLease {
	row := takeover.Row{Shard: r.str(stockKey), Checkpoint: r.str(stockCheckpoint)}
	if parent := r.str(stockParent); parent != "" {
		row.Parents = []string{parent}
	}
	return foreignLease{Row: row, user: -1}
}

func (r *reader) javaLease() foreignLease {
	entity := r.item.entity()
	if strings.HasPrefix(r.item.key(), "#") {
		r.err = errors.New("this is a table of this pipeline, not of the Kinesis Client Library")
		return foreignLease{}
	}
	if (entity != "" && entity != typeLease) || !r.has(attrCheckpoint) {
		return foreignLease{other: true} // coordination rows of version 3
	}
	f := foreignLease{Row: takeover.Row{
		Shard: r.str(attrKey), Parents: slices.Sorted(slices.Values(r.strings(attrParents))), Checkpoint: r.str(attrCheckpoint),
	}}
	if r.has(attrSubSequence) {
		f.user = r.num(attrSubSequence)
	}
	if strings.Contains(f.Shard, ":") {
		r.fail(attrKey, "names a stream: tables of several streams cannot be imported")
	}
	return f
}

// resolve replaces checkpoints inside aggregates by positions. Those of the Java library are at a user record: even at
// the first user record, others of the same Kinesis record may be undelivered (ExtendedSequenceNumber, ProcessTask).
func resolve(ctx context.Context, foreign []foreignLease, from Source) ([]takeover.Row, error) {
	before := make([]checkpoint.Position, len(foreign))
	g, looking := errgroup.WithContext(ctx)
	g.SetLimit(lookingAtOnce)
	for i, f := range foreign {
		if _, record := checkpoint.Position(f.Checkpoint).SequenceNumber(); !record || f.user < 0 || from.Before == nil {
			continue
		}
		g.Go(func() (err error) {
			if before[i], err = from.Before(looking, f.Shard, f.Checkpoint, f.user); err != nil {
				return fmt.Errorf("shard %s: examine record %s: %w", f.Shard, f.Checkpoint, err)
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	var inside []string
	rows := make([]takeover.Row, len(foreign))
	for i, f := range foreign {
		rows[i] = f.Row
		switch {
		case before[i] != "" && from.Reread:
			rows[i].Checkpoint = string(before[i])
		case before[i] != "", from.Before == nil && f.user > 0:
			inside = append(inside, f.Shard)
		}
	}
	if len(inside) > 0 {
		return nil, fmt.Errorf("the checkpoints of %d shards are inside aggregates, where this pipeline has no positions: %s",
			len(inside), strings.Join(inside, ", "))
	}
	return rows, nil
}
