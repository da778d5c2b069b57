package dynamo

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"aws-streaming-pipeline/checkpoint"
)

// Attributes and values of foreign lease tables, as their libraries write them.
const (
	attrSubSequence = "checkpointSubSequenceNumber" // Java KCL
	stockCheckpoint = "Checkpoint"                  // vmware-go-kcl
	stockParent     = "ParentShardId"
	latest          = "LATEST"
	atTimestamp     = "AT_TIMESTAMP"
)

// Source names a lease table of another consumer of the same stream.
type Source struct {
	// Table was made by vmware-go-kcl's own checkpointer or by the Kinesis Client Library for Java, version 2 or 3.
	Table string
	// Before returns a position before the record with this sequence number, for example the time of its arrival. It
	// is asked for checkpoints inside a KPL aggregate, which our positions can not express: the whole aggregate is
	// then read again, and what the other consumer had done of it comes twice. Without it such checkpoints are
	// refused.
	Before func(ctx context.Context, shard, sequenceNumber string) (checkpoint.Position, error)
}

// Import makes leases from another consumer's table, so that this application goes on where that one stopped, and
// returns how many shards it took over. The other consumer must be stopped for good.
//
// Bind comes first: shards on which the other consumer had no progress (LATEST, AT_TIMESTAMP; the tables do not
// hold the time) start at the application's initial position. Import refuses to replace the checkpoint of a
// lease that has progress of its own. After an error it may be called again.
func (s *Store) Import(ctx context.Context, from Source) (int, error) {
	n, err := s.importFrom(ctx, from)
	if err != nil {
		return 0, fmt.Errorf("import table %s into %s: %w", from.Table, *s.table, err)
	}
	return n, nil
}

func (s *Store) importFrom(ctx context.Context, from Source) (int, error) {
	app, err := s.application(ctx)
	if err != nil {
		return 0, fmt.Errorf("read the application: %w", err)
	}
	leases, err := s.foreignLeases(ctx, from, app.Initial)
	if err != nil {
		return 0, err
	}
	ours, err := s.ownLeases(ctx)
	if err != nil {
		return 0, err
	}
	for _, l := range leases {
		if own, ok := ours[l.Shard]; ok && own.Checkpoint != l.Checkpoint && (progress(own.Checkpoint) || own.Owner != "") {
			return 0, fmt.Errorf("shard %s is at %s here, held by %q, and at %s there: refused, nothing was written",
				l.Shard, own.Checkpoint, own.Owner, l.Checkpoint)
		}
	}
	for _, l := range leases {
		if err := s.importLease(ctx, l, ours); err != nil {
			return 0, fmt.Errorf("shard %s: %w", l.Shard, err)
		}
	}
	return len(leases), nil
}

// progress tells whether a checkpoint says that records were delivered.
func progress(p checkpoint.Position) bool {
	_, sequence := p.SequenceNumber()
	return sequence || p == checkpoint.ShardEnd
}

func (s *Store) ownLeases(ctx context.Context) (map[string]checkpoint.Lease, error) {
	consistent := *s
	consistent.consistent = true
	snap, err := consistent.Scan(ctx)
	if err != nil {
		return nil, err
	}
	ours := make(map[string]checkpoint.Lease, len(snap.Leases))
	for _, l := range snap.Leases {
		ours[l.Shard] = l
	}
	return ours, nil
}

// importLease writes a row, or replaces one without progress if it is still as it was read.
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
	return s.put(ctx, "import", leaseItem(l), e)
}

// foreignLeases reads the other table.
func (s *Store) foreignLeases(ctx context.Context, from Source, initial checkpoint.Position) ([]checkpoint.Lease, error) {
	description, err := s.describe(ctx, from.Table)
	if err != nil {
		return nil, err
	}
	var translate func(r *reader) foreignLease
	switch key := partitionKey(description); key {
	case stockKey + ":S":
		translate = (*reader).stockLease
	case attrKey + ":S":
		translate = (*reader).javaLease
	default:
		return nil, fmt.Errorf("its key is %s: neither vmware-go-kcl nor the Kinesis Client Library has made it", key)
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
		return nil, err
	}
	return resolve(ctx, foreign, from, initial)
}

// foreignLease is a row of another consumer's table.
type foreignLease struct {
	shard       string
	parents     []string
	checkpoint  string
	subSequence int64
	other       bool // the row is not a shard's
}

func (r *reader) stockLease() foreignLease {
	f := foreignLease{shard: r.str(stockKey), checkpoint: r.str(stockCheckpoint)}
	if parent := r.str(stockParent); parent != "" {
		f.parents = []string{parent}
	}
	return f
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
	f := foreignLease{shard: r.str(attrKey), parents: slices.Sorted(slices.Values(r.strings(attrParents))), checkpoint: r.str(attrCheckpoint)}
	if r.has(attrSubSequence) {
		f.subSequence = r.num(attrSubSequence)
	}
	if strings.Contains(f.shard, ":") {
		r.fail(attrKey, "names a stream: tables of several streams can not be imported")
	}
	return f
}

// resolve turns the rows into leases.
func resolve(ctx context.Context, foreign []foreignLease, from Source, initial checkpoint.Position) ([]checkpoint.Lease, error) {
	var inside []string
	leases := make([]checkpoint.Lease, 0, len(foreign))
	for _, f := range foreign {
		position, err := f.position(initial)
		if err != nil {
			return nil, err
		}
		if f.subSequence > 0 {
			if from.Before == nil {
				inside = append(inside, f.shard)
				continue
			}
			if position, err = from.Before(ctx, f.shard, f.checkpoint); err != nil {
				return nil, fmt.Errorf("shard %s: find the position before %s: %w", f.shard, f.checkpoint, err)
			}
		}
		leases = append(leases, checkpoint.Lease{Shard: f.shard, Parents: f.parents, Checkpoint: position})
	}
	if len(inside) > 0 {
		return nil, fmt.Errorf("the checkpoints of %d shards lie inside aggregates, where this pipeline has no positions: %s",
			len(inside), strings.Join(inside, ", "))
	}
	return leases, nil
}

func (f foreignLease) position(initial checkpoint.Position) (checkpoint.Position, error) {
	switch f.checkpoint {
	case "", latest, atTimestamp:
		return initial, nil
	}
	p := checkpoint.Position(f.checkpoint)
	if err := p.Validate(); err != nil {
		return "", fmt.Errorf("shard %s: %w", f.shard, err)
	}
	return p, nil
}
