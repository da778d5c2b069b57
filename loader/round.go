package loader

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/internal/logkey"
	"aws-streaming-pipeline/record/table"
)

const (
	// storeBound bounds a call of the checkpoint store or a call for a list of files, with the retries of its client.
	storeBound = 30 * time.Second
	// tableBound bounds a call of the destination, or the time in which a write does not get on.
	tableBound = 5 * time.Minute
)

func bounded[T any](ctx context.Context, bound time.Duration, f func(context.Context) (T, error)) (T, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, bound, fmt.Errorf("no answer within %v", bound))
	defer cancel()
	return f(ctx)
}

func boundedCall(ctx context.Context, bound time.Duration, f func(context.Context) error) error {
	_, err := bounded(ctx, bound, func(ctx context.Context) (struct{}, error) { return struct{}{}, f(ctx) })
	return err
}

// watched calls f, and ends its context when f has not reported progress for that long.
func (l *Loader) watched(ctx context.Context, still time.Duration, f func(ctx context.Context, progress func()) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	watch := time.AfterFunc(still, func() { cancel(fmt.Errorf("no progress within %v", still)) })
	defer watch.Stop()
	return f(ctx, func() {
		watch.Reset(still)
		l.touch()
	})
}

// view is the table as it was read, then up to when the bucket is complete, and then the outbox.
type view struct {
	state    State
	complete time.Time // zero if that is not known
	outbox   outbox
}

// completeWith returns up to when the table is complete once it has a number of the batches that wait; zero if that is not known. All
// batches that the statement covers were in the outbox afterwards, or in the table.
func (v *view) completeWith(written int) time.Time {
	if written < len(v.outbox.waiting) || v.outbox.unknown > 0 {
		return time.Time{}
	}
	return v.complete
}

// round loads what waits: one write, or as many as the bounds on a write require. It ends after the first error; the next
// round begins with a new look, as everything here does.
func (l *Loader) round(ctx context.Context) error {
	l.unwritten = nil
	for more := true; ; {
		v, err := l.look(ctx)
		if err != nil {
			return err
		}
		if err := l.settle(ctx, v); err != nil {
			return err
		}
		if !more {
			return nil
		}
		var again bool
		if again, more, err = l.write(ctx, v); err != nil || !again {
			return err
		}
	}
}

// look reads the table with its ledger, and only then the outbox. The other order would load a batch twice that is loaded,
// marked and dropped from the ledger between the two.
func (l *Loader) look(ctx context.Context) (v view, err error) {
	term, previous, err := l.seat.definition()
	if err != nil {
		return view{}, err
	}
	v.state, err = bounded(ctx, tableBound, func(ctx context.Context) (State, error) { return l.to.Load(ctx, previous) })
	if err != nil {
		return view{}, err
	}
	if err := l.define(ctx, term, previous, v.state.Definition()); err != nil {
		return view{}, err
	}
	if v.complete, err = l.completeUpTo(ctx); err != nil {
		return view{}, err
	}
	type read struct {
		batches []checkpoint.Batch
		unknown []checkpoint.UnknownBatch
	}
	r, err := bounded(ctx, storeBound, func(ctx context.Context) (r read, err error) {
		r.batches, r.unknown, err = l.store.Outbox(ctx)
		return r, err
	})
	if err != nil {
		return view{}, fmt.Errorf("read the outbox: %w", err)
	}
	l.counted(v.state)
	v.outbox = sortOut(l.name, v.state.Ledger(), r.batches, r.unknown)
	l.looked(v)
	l.complete(v.completeWith(0))
	return v, nil
}

// completeUpTo reads up to when the bucket is complete. Read after the outbox, it could cover a batch that was published in between,
// which the table does not have.
func (l *Loader) completeUpTo(ctx context.Context) (time.Time, error) {
	c, err := bounded(ctx, storeBound, l.store.Complete)
	if err != nil {
		return time.Time{}, fmt.Errorf("read up to when the bucket is complete: %w", err)
	}
	return c.UpTo, nil
}

// define checks that the table is the one that it was, and writes its definition for the workers.
func (l *Loader) define(ctx context.Context, term int, previous, now *table.Definition) error {
	if now == nil {
		return nil
	}
	if previous != nil && previous.UUID != now.UUID {
		return fmt.Errorf("table %s: %w: its UUID is %q, that of the table until now is %q; see \"loader rebind\"", l.name, ErrOtherTable, now.UUID, previous.UUID)
	}
	changed, err := bounded(ctx, storeBound, func(ctx context.Context) (bool, error) { return l.seat.define(ctx, term, now) })
	if err != nil {
		return fmt.Errorf("write the table's definition for the workers: %w", err)
	}
	if changed && (previous == nil || previous.Schema != now.Schema || previous.Spec.ID != now.Spec.ID) {
		l.log.Info("the table has a new definition", "schema_id", now.Schema, "spec_id", now.Spec.ID)
	}
	if previous != nil && now.Commits < previous.Commits {
		lost := previous.Commits - now.Commits
		l.metrics.Lost.Add(float64(lost))
		l.log.Error("the table has lost commits: batches that are still in the outbox are loaded again, for others see \"loader reload\"", "commits", lost)
	}
	return nil
}

// settle marks the batches that the ledger names, and forgets those that are in all their tables.
func (l *Loader) settle(ctx context.Context, v view) error {
	ready, err := l.ready(ctx, v)
	if err != nil {
		return err
	}
	for _, b := range ready {
		err := boundedCall(ctx, storeBound, func(ctx context.Context) error { return l.store.MarkLoaded(ctx, b.ID, l.name) })
		if errors.Is(err, checkpoint.ErrNotFound) {
			continue // another loader has marked it and forgotten it since
		}
		if err != nil {
			return fmt.Errorf("mark batch %s as loaded: %w", b.ID, err)
		}
		b.Loaded = append(b.Loaded[:len(b.Loaded):len(b.Loaded)], l.name)
		if !loadedEverywhere(b) {
			continue
		}
		if err := l.forget(ctx, b.ID); err != nil {
			return err
		}
	}
	for _, b := range v.outbox.finished {
		if err := l.forget(ctx, b.ID); err != nil {
			return err
		}
	}
	return nil
}

// ready returns the batches that the ledger names and that may be marked now.
func (l *Loader) ready(ctx context.Context, v view) ([]checkpoint.Batch, error) {
	state, ok := v.state.(Settler)
	if !ok || len(v.outbox.named) == 0 {
		return v.outbox.named, nil
	}
	ids := make([]string, len(v.outbox.named))
	for i, b := range v.outbox.named {
		ids[i] = b.ID
	}
	settled, err := bounded(ctx, tableBound, func(ctx context.Context) ([]string, error) { return state.Settle(ctx, ids) })
	if err != nil {
		return nil, fmt.Errorf("settle %d loaded batches: %w", len(ids), err)
	}
	return slices.DeleteFunc(slices.Clone(v.outbox.named), func(b checkpoint.Batch) bool { return !slices.Contains(settled, b.ID) }), nil
}

// forget removes a batch that is in all its tables, and then its list of files.
func (l *Loader) forget(ctx context.Context, id string) error {
	b, err := bounded(ctx, storeBound, func(ctx context.Context) (checkpoint.Batch, error) { return l.store.Batch(ctx, id) })
	if errors.Is(err, checkpoint.ErrNotFound) {
		return nil
	}
	if err == nil {
		err = boundedCall(ctx, storeBound, func(ctx context.Context) error { return l.store.Forget(ctx, id) })
	}
	if err != nil {
		return fmt.Errorf("forget batch %s: %w", id, err)
	}
	if b.List == nil {
		return nil
	}
	if err := boundedCall(ctx, storeBound, func(ctx context.Context) error { return l.lists.DeleteList(ctx, *b.List) }); err != nil {
		// Nothing needs the object any more, and a leftover one does no harm.
		l.log.Warn("a list of files was not deleted", logkey.Batch, id, logkey.Bucket, b.List.Bucket, logkey.Key, b.List.Key, logkey.Error, err)
	}
	return nil
}

// write appends what waits, as far as the bounds allow. Again says that the table has changed; more, that batches wait that
// were not written.
func (l *Loader) write(ctx context.Context, v view) (again, more bool, err error) {
	a, err := l.gather(ctx, v.state, v.outbox.waiting)
	if err != nil {
		return false, false, err
	}
	if changed, err := l.evolve(ctx, v.state, &a.wanted); changed || err != nil {
		return changed, true, err
	}
	if len(a.batches) == 0 {
		return false, false, l.state(ctx, v)
	}
	l.sent = totalsOf(a.batches)
	began := time.Now()
	complete := v.completeWith(len(a.batches))
	err = l.watched(ctx, tableBound, func(ctx context.Context, progress func()) error {
		return v.state.Append(ctx, Addition{Batches: a.batches, Keep: v.outbox.keep, CompleteUpTo: complete, Progress: progress})
	})
	l.wrote(a, time.Since(began), err)
	if p, ok := errors.AsType[*Problem](err); ok && p.Batch != "" {
		l.setApart(p)
		return true, true, nil
	}
	if err != nil {
		return false, false, fmt.Errorf("append %d batches to table %s: %w", len(a.batches), l.name, err)
	}
	l.complete(complete)
	return true, a.cut, nil
}

// stateEvery is the time between two writes that only show up to when the table is complete: each writes its metadata anew.
const stateEvery = 5 * time.Minute

// state has the table show up to when it is complete, if no write has done so for a while because no data came.
func (l *Loader) state(ctx context.Context, v view) error {
	to, ok := v.state.(Stater)
	complete := v.completeWith(0)
	if !ok || complete.Sub(to.CompleteUpTo()) < stateEvery || time.Since(l.stated) < stateEvery {
		return nil
	}
	l.stated = time.Now()
	if err := boundedCall(ctx, tableBound, func(ctx context.Context) error { return to.StateComplete(ctx, complete) }); err != nil {
		return fmt.Errorf("state up to when table %s is complete: %w", l.name, err)
	}
	return nil
}

// setApart notes a batch whose files cannot be written. In the next rounds it is written alone, after the others.
func (l *Loader) setApart(p *Problem) {
	if l.unwritten == nil {
		l.unwritten = make(map[string]bool)
	}
	l.unwritten[p.Batch] = true
	if l.stuck.add(p.Batch, p) {
		l.logStuck(p.Batch, p)
	}
	l.stuck.setApart(p.Batch)
	l.tried()
}

// evolve gives the table the columns that files want. It never keeps batches waiting: after an error the next round appends
// without it, and their values stay in the column _extra.
func (l *Loader) evolve(ctx context.Context, state State, wanted *columns) (changed bool, err error) {
	ask := wanted.without(&l.refused)
	if len(ask) == 0 {
		return false, nil
	}
	if !l.cfg.Evolve {
		l.refuse(missing(state.Definition(), ask), "TABLE_EVOLVE=false")
		return false, nil
	}
	if time.Now().Before(l.evolveAfter) {
		return false, nil
	}
	var refused []table.Column
	err = boundedCall(ctx, tableBound, func(ctx context.Context) (err error) {
		changed, refused, err = state.Evolve(ctx, ask)
		return err
	})
	if err != nil {
		l.evolveAfter = time.Now().Add(l.cfg.Interval)
		return false, fmt.Errorf("add columns to table %s: %w", l.name, err)
	}
	l.refuse(refused, "the table cannot have it")
	if changed {
		l.log.Info("the table has new columns", logkey.Table, l.name, logkey.Count, len(ask)-len(refused))
	}
	return changed, nil
}

// missing returns those columns that the table does not have with the same type.
func missing(d *table.Definition, wanted []table.Column) (list []table.Column) {
	for _, c := range wanted {
		if d != nil {
			if has := d.Find(c.Member); has != nil && has.Type == c.Type {
				continue
			}
		}
		list = append(list, c)
	}
	return list
}

// refuse notes columns that the table does not get. Each is logged once.
func (l *Loader) refuse(list []table.Column, why string) {
	for _, c := range l.refused.add(list) {
		l.log.Warn("a member of the records gets no column of its own; its values stay in _extra", "member", c.Member, "type", c.Type, logkey.Reason, why)
	}
}
