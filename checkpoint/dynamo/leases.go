package dynamo

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"golang.org/x/sync/errgroup"

	"aws-streaming-pipeline/checkpoint"
)

// creating is how many rows CreateLeases writes concurrently. Each is a separate request, because DynamoDB has no other
// conditional write of many items in which one may fail without the rest.
const creating = 8

// Heartbeat implements checkpoint.Store with one write.
func (s *Store) Heartbeat(ctx context.Context, w checkpoint.Worker) error {
	if w.ID == "" {
		return errors.New("heartbeat: the worker has no id")
	}
	it, err := workerItem(w)
	if err == nil {
		err = s.put(ctx, "heartbeat", it, expression{})
	}
	if err != nil {
		return fmt.Errorf("heartbeat: worker %s: %w", w.ID, err)
	}
	return nil
}

// Leave implements checkpoint.Store.
func (s *Store) Leave(ctx context.Context, worker string) error {
	if err := s.remove(ctx, "leave", keyWorker+worker, expression{}); err != nil {
		return fmt.Errorf("leave: worker %s: %w", worker, err)
	}
	return nil
}

// CreateLeases implements checkpoint.Store. After an error some of the rows may exist; calling it again is safe.
func (s *Store) CreateLeases(ctx context.Context, leases []checkpoint.Lease) error {
	for _, l := range leases {
		if err := l.ValidateNew(); err != nil {
			return fmt.Errorf("create leases: %w", err)
		}
	}
	made := make(map[string]bool, len(leases))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(creating)
	for _, l := range leases {
		if made[l.Shard] {
			continue
		}
		made[l.Shard] = true
		g.Go(func() error { return s.createLease(ctx, l) })
	}
	return g.Wait()
}

func (s *Store) createLease(ctx context.Context, l checkpoint.Lease) error {
	var e expression
	e.absent(attrKey)
	err := s.put(ctx, "create lease", leaseItem(l), e)
	if err == nil || errors.Is(err, checkpoint.ErrConflict) {
		return nil // an existing row stays as it is
	}
	return fmt.Errorf("create lease: shard %s: %w", l.Shard, err)
}

// Lease implements checkpoint.Store.
func (s *Store) Lease(ctx context.Context, shard string) (checkpoint.Lease, error) {
	it, err := s.get(ctx, "lease", shard)
	if err != nil {
		return checkpoint.Lease{}, fmt.Errorf("lease: shard %s: %w", shard, err)
	}
	return readLease("lease", it)
}

// Acquire implements checkpoint.Store. If the row turns out to have this owner and the next counter, an earlier send of
// this same call was applied and its answer lost, and the row is returned. That is sound because each process has a new
// owner id, and acquires a row in one goroutine at a time.
func (s *Store) Acquire(ctx context.Context, l checkpoint.Lease, owner string) (checkpoint.Lease, error) {
	if owner == "" {
		return checkpoint.Lease{}, fmt.Errorf("acquire: shard %s: no owner given", l.Shard)
	}
	var e expression
	e.owned(l.Owner, l.Counter)
	e.set(attrOwner, str(owner))
	e.set(attrCounter, num(l.Counter+1))
	return s.updateLease(ctx, "acquire", l, e, func(row checkpoint.Lease) bool {
		return row.Owner == owner && row.Counter == l.Counter+1
	})
}

// Release implements checkpoint.Store. ErrConflict may mean that an earlier send of this call was applied: either way
// the worker no longer holds the lease.
func (s *Store) Release(ctx context.Context, l checkpoint.Lease) error {
	var e expression
	e.owned(l.Owner, l.Counter)
	e.remove(attrOwner)
	if _, err := s.update(ctx, "release", l.Shard, e); err != nil {
		return fmt.Errorf("release: shard %s: %w", l.Shard, err)
	}
	return nil
}

// Stop implements checkpoint.Store. Applied twice, it has the same result.
func (s *Store) Stop(ctx context.Context, l checkpoint.Lease, until time.Time) (checkpoint.Lease, error) {
	var e expression
	e.owned(l.Owner, l.Counter)
	e.set(attrStopUntil, instant(until))
	e.set(attrStopAfter, str(string(l.Checkpoint)))
	e.equal(attrCheckpoint, str(string(l.Checkpoint)))
	return s.updateLease(ctx, "stop", l, e, func(checkpoint.Lease) bool { return false })
}

// Rewind implements checkpoint.Store with one transaction. A row that is free, at the wanted position and one counter ahead was left by an
// earlier send of this call, or is just as good.
func (s *Store) Rewind(ctx context.Context, l checkpoint.Lease, to checkpoint.Position) (checkpoint.Lease, error) {
	if err := to.Validate(); err != nil {
		return checkpoint.Lease{}, fmt.Errorf("rewind: shard %s: %w", l.Shard, err)
	}
	moved := l.Moved(to)
	var e expression
	e.owned(l.Owner, l.Counter)
	e.equal(attrCheckpoint, str(string(l.Checkpoint)))
	e.set(attrCheckpoint, str(string(moved.Checkpoint)))
	e.set(attrBegin, str(string(moved.Begin)))
	e.set(attrCounter, num(moved.Counter))
	e.remove(attrOwner)
	e.remove(attrArrival)
	move := &types.Update{
		TableName: s.table, Key: item{attrKey: str(l.Shard)},
		ConditionExpression: e.condition(), UpdateExpression: e.update(),
		ExpressionAttributeNames: e.names, ExpressionAttributeValues: e.values,
	}
	in := &dynamodb.TransactWriteItemsInput{TransactItems: []types.TransactWriteItem{{Update: move}, {Update: s.takeBack()}}}
	err := s.call(ctx, "rewind", func() error {
		_, err := s.db.TransactWriteItems(ctx, in)
		return err
	})
	if err == nil {
		return moved, nil
	}
	return s.rowAfterConflict(ctx, "rewind", l, err, func(row checkpoint.Lease) bool {
		return row.Owner == "" && row.Counter == moved.Counter && row.Checkpoint == to
	})
}

// DeleteLease implements checkpoint.Store.
func (s *Store) DeleteLease(ctx context.Context, l checkpoint.Lease) error {
	if err := l.ValidateDelete(); err != nil {
		return err
	}
	var e expression
	e.owned(l.Owner, l.Counter)
	e.equal(attrCheckpoint, str(string(l.Checkpoint)))
	err := s.remove(ctx, "delete lease", l.Shard, e)
	if errors.Is(err, checkpoint.ErrConflict) {
		if _, readErr := s.get(ctx, "delete lease", l.Shard, attrKey); errors.Is(readErr, checkpoint.ErrNotFound) {
			return nil
		}
	}
	if err != nil {
		return fmt.Errorf("delete lease: shard %s: %w", l.Shard, err)
	}
	return nil
}

// updateLease changes the row of a lease. If a condition fails, it reads the row: applied reports whether that is what
// an earlier send of this call would have left.
func (s *Store) updateLease(ctx context.Context, operation string, l checkpoint.Lease, e expression,
	applied func(row checkpoint.Lease) bool) (checkpoint.Lease, error) {
	it, err := s.update(ctx, operation, l.Shard, e)
	if err == nil {
		return readLease(operation, it)
	}
	return s.rowAfterConflict(ctx, operation, l, err, applied)
}

// rowAfterConflict reads the row of a lease if a write failed with a conflict, and returns it if applied recognises it.
func (s *Store) rowAfterConflict(ctx context.Context, operation string, l checkpoint.Lease, err error,
	applied func(row checkpoint.Lease) bool) (checkpoint.Lease, error) {
	if !errors.Is(err, checkpoint.ErrConflict) {
		return checkpoint.Lease{}, fmt.Errorf("%s: shard %s: %w", operation, l.Shard, err)
	}
	row, readErr := s.Lease(ctx, l.Shard)
	switch {
	case readErr == nil && applied(row):
		return row, nil
	case readErr == nil || errors.Is(readErr, checkpoint.ErrNotFound):
		return checkpoint.Lease{}, fmt.Errorf("%s: shard %s: %w", operation, l.Shard, err)
	}
	return checkpoint.Lease{}, fmt.Errorf("%s: shard %s: read after a conflict: %w", operation, l.Shard, readErr)
}

func readLease(operation string, it item) (checkpoint.Lease, error) {
	l, err := read(it, (*reader).lease)
	if err != nil {
		return checkpoint.Lease{}, fmt.Errorf("%s: %w", operation, err)
	}
	return l, nil
}
