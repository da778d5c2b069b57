package checkpointtest

import (
	"context"
	"fmt"
	"time"

	"aws-streaming-pipeline/checkpoint"
)

// Hook is called around every call of a store: first with applied false, when an error prevents the call, then with
// applied true, when an error replaces the answer. A call that fails by itself has no second hook. A hook may block,
// and may use the store. An operation is named after its method, in lower case, such as "create leases".
type Hook func(operation string, applied bool) error

// Hooked returns a store that calls a hook around every call of another store except Close.
func Hooked(s checkpoint.Store, h Hook) checkpoint.Store { return hooked{s, h} }

type hooked struct {
	checkpoint.Store
	hook Hook
}

// around calls f between the two hooks.
func around[T any](ctx context.Context, s hooked, operation string, f func() (T, error)) (T, error) {
	var none T
	if err := ctx.Err(); err != nil {
		return none, fmt.Errorf("%s: %w", operation, err)
	}
	if err := s.hook(operation, false); err != nil {
		return none, fmt.Errorf("%s: %w", operation, err)
	}
	answer, err := f()
	if err != nil {
		return answer, err
	}
	if err := s.hook(operation, true); err != nil {
		return none, fmt.Errorf("%s: %w", operation, err)
	}
	return answer, nil
}

// do is around for calls that return only an error.
func (s hooked) do(ctx context.Context, operation string, f func() error) error {
	_, err := around(ctx, s, operation, func() (struct{}, error) { return struct{}{}, f() })
	return err
}

func (s hooked) Bind(ctx context.Context, app checkpoint.Application) (checkpoint.Application, error) {
	return around(ctx, s, "bind", func() (checkpoint.Application, error) { return s.Store.Bind(ctx, app) })
}

func (s hooked) Scan(ctx context.Context) (checkpoint.Snapshot, error) {
	return around(ctx, s, "scan", func() (checkpoint.Snapshot, error) { return s.Store.Scan(ctx) })
}

func (s hooked) ScanConsistently(ctx context.Context) (checkpoint.Snapshot, error) {
	return around(ctx, s, "scan", func() (checkpoint.Snapshot, error) { return s.Store.ScanConsistently(ctx) })
}

func (s hooked) Complete(ctx context.Context) (checkpoint.Complete, error) {
	return around(ctx, s, "complete", func() (checkpoint.Complete, error) { return s.Store.Complete(ctx) })
}

func (s hooked) RaiseComplete(ctx context.Context, c checkpoint.Complete) (checkpoint.Complete, error) {
	return around(ctx, s, "raise complete", func() (checkpoint.Complete, error) { return s.Store.RaiseComplete(ctx, c) })
}

func (s hooked) Heartbeat(ctx context.Context, w checkpoint.Worker) error {
	return s.do(ctx, "heartbeat", func() error { return s.Store.Heartbeat(ctx, w) })
}

func (s hooked) Leave(ctx context.Context, worker string) error {
	return s.do(ctx, "leave", func() error { return s.Store.Leave(ctx, worker) })
}

func (s hooked) CreateLeases(ctx context.Context, leases []checkpoint.Lease) error {
	return s.do(ctx, "create leases", func() error { return s.Store.CreateLeases(ctx, leases) })
}

func (s hooked) Lease(ctx context.Context, shard string) (checkpoint.Lease, error) {
	return around(ctx, s, "lease", func() (checkpoint.Lease, error) { return s.Store.Lease(ctx, shard) })
}

func (s hooked) Acquire(ctx context.Context, l checkpoint.Lease, owner string) (checkpoint.Lease, error) {
	return around(ctx, s, "acquire", func() (checkpoint.Lease, error) { return s.Store.Acquire(ctx, l, owner) })
}

func (s hooked) Release(ctx context.Context, l checkpoint.Lease) error {
	return s.do(ctx, "release", func() error { return s.Store.Release(ctx, l) })
}

func (s hooked) Stop(ctx context.Context, l checkpoint.Lease, until time.Time) (checkpoint.Lease, error) {
	return around(ctx, s, "stop", func() (checkpoint.Lease, error) { return s.Store.Stop(ctx, l, until) })
}

func (s hooked) Rewind(ctx context.Context, l checkpoint.Lease, to checkpoint.Position) (checkpoint.Lease, error) {
	return around(ctx, s, "rewind", func() (checkpoint.Lease, error) { return s.Store.Rewind(ctx, l, to) })
}

func (s hooked) DeleteLease(ctx context.Context, l checkpoint.Lease) error {
	return s.do(ctx, "delete lease", func() error { return s.Store.DeleteLease(ctx, l) })
}

func (s hooked) Commit(ctx context.Context, b checkpoint.Batch) error {
	return s.do(ctx, "commit", func() error { return s.Store.Commit(ctx, b) })
}

func (s hooked) Bury(ctx context.Context, id, worker string) (committed bool, err error) {
	return around(ctx, s, "bury", func() (bool, error) { return s.Store.Bury(ctx, id, worker) })
}

func (s hooked) Batch(ctx context.Context, id string) (checkpoint.Batch, error) {
	return around(ctx, s, "batch", func() (checkpoint.Batch, error) { return s.Store.Batch(ctx, id) })
}

func (s hooked) NotePublished(ctx context.Context, id string, files []int) error {
	return s.do(ctx, "note published", func() error { return s.Store.NotePublished(ctx, id, files) })
}

func (s hooked) Forget(ctx context.Context, id string) error {
	return s.do(ctx, "forget", func() error { return s.Store.Forget(ctx, id) })
}

func (s hooked) Outbox(ctx context.Context) (batches []checkpoint.Batch, unknown []checkpoint.UnknownBatch, err error) {
	err = s.do(ctx, "outbox", func() (err error) {
		batches, unknown, err = s.Store.Outbox(ctx)
		return err
	})
	return batches, unknown, err
}

func (s hooked) MarkPublished(ctx context.Context, id string, at time.Time) error {
	return s.do(ctx, "mark published", func() error { return s.Store.MarkPublished(ctx, id, at) })
}

func (s hooked) MarkLoaded(ctx context.Context, id, table string) error {
	return s.do(ctx, "mark loaded", func() error { return s.Store.MarkLoaded(ctx, id, table) })
}

func (s hooked) Table(ctx context.Context, name string) (checkpoint.Table, error) {
	return around(ctx, s, "table", func() (checkpoint.Table, error) { return s.Store.Table(ctx, name) })
}

func (s hooked) PutTable(ctx context.Context, t checkpoint.Table) (checkpoint.Table, error) {
	return around(ctx, s, "put table", func() (checkpoint.Table, error) { return s.Store.PutTable(ctx, t) })
}

func (s hooked) Lead(ctx context.Context) (checkpoint.Lead, error) {
	return around(ctx, s, "lead", func() (checkpoint.Lead, error) { return s.Store.Lead(ctx) })
}

func (s hooked) TakeLead(ctx context.Context, was checkpoint.Lead, worker string) (checkpoint.Lead, error) {
	return around(ctx, s, "take lead", func() (checkpoint.Lead, error) { return s.Store.TakeLead(ctx, was, worker) })
}

func (s hooked) Resign(ctx context.Context, lead checkpoint.Lead) error {
	return s.do(ctx, "resign", func() error { return s.Store.Resign(ctx, lead) })
}

func (s hooked) Worker(ctx context.Context, id string) (checkpoint.Worker, error) {
	return around(ctx, s, "worker", func() (checkpoint.Worker, error) { return s.Store.Worker(ctx, id) })
}

func (s hooked) GiveOrders(ctx context.Context, worker string, o checkpoint.Orders) error {
	return s.do(ctx, "give orders", func() error { return s.Store.GiveOrders(ctx, worker, o) })
}

func (s hooked) Orders(ctx context.Context, worker string) (checkpoint.Orders, error) {
	return around(ctx, s, "orders", func() (checkpoint.Orders, error) { return s.Store.Orders(ctx, worker) })
}

func (s hooked) Dismiss(ctx context.Context, worker string) error {
	return s.do(ctx, "dismiss", func() error { return s.Store.Dismiss(ctx, worker) })
}
