package batch

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/record"
	"aws-streaming-pipeline/writers"
)

// errInPart ends a batch whose files hold records that no range of it covers: committed, they would be delivered again
// by whoever reads the shard from its checkpoint.
var errInPart = errors.New("records were taken in only in part")

// Cursor is the way of one shard through the batches of a lane, from the acquisition of its lease to the release.
// Append, Drain and Close are called by one goroutine at a time.
type Cursor struct {
	shard string
	lease checkpoint.Lease
	hold  Lease
	lane  *lane

	// position is the end of what was taken in; only Append moves it.
	position checkpoint.Position

	mu        sync.Mutex
	committed checkpoint.Position
	dropped   string        // why its records were dropped; empty as long as they are not
	moved     chan struct{} // closed and replaced when committed or dropped change
}

// Append takes records in, and may set their Fault. It returns when they are in the files of open batches, not when they
// are durable. After an error nothing more is taken in, and the shard starts again from its checkpoint.
//
// Records go to more than one batch where they lie in so many partitions that one would have too many files.
func (c *Cursor) Append(ctx context.Context, in Intake) error {
	if c.isDropped() {
		return ErrRestart
	}
	for !in.none() {
		rest, err := c.take(ctx, in)
		if err != nil {
			return err
		}
		in = rest
	}
	return nil
}

// take puts records into the open batch: all, or as many as it has room for their files. The rest begins with another
// Kinesis record.
func (c *Cursor) take(ctx context.Context, in Intake) (rest Intake, err error) {
	p := c.lane.p
	fill := p.fill
	var later Intake
	if p.suspects.among(c.shard, in.Records) {
		in, later = in.some()
		blocks, err := p.try(ctx, c.shard, in.Records) // before the batch is entered, which others wait for
		if err != nil {
			return Intake{}, err
		}
		fill = func(b *batch, shard string, records []record.Record) (int, error) {
			return len(records), p.fillCarefully(b, shard, records, blocks)
		}
	}
	b, err := c.lane.acquire(ctx, c)
	if err != nil {
		return Intake{}, err
	}
	defer b.leave()
	whole, cause := false, errInPart
	defer func() {
		if !whole { // an error, or a panic that the caller recovers from
			b.cancel(cause)
		}
	}()
	n, err := fill(b, c.shard, in.Records)
	if err != nil {
		cause = err
		p.suspect(b, c.shard, in.Last, c.settledAt(), err)
		return Intake{}, err
	}
	in, rest = in.split(n)
	if rest.none() {
		rest = later
	}
	end := checkpoint.Position(in.Last)
	if in.End {
		end = checkpoint.ShardEnd
	}
	b.cover(c, end, in)
	c.position = end
	whole = true
	if c.isDropped() {
		// Whoever dropped the records before these may have looked at the batch too early to find them in it.
		b.cancel(ErrRestart)
		return Intake{}, ErrRestart
	}
	b.records.Add(int64(len(in.Records)))
	p.taken.Add(int64(len(in.Records)))
	if b.idle() {
		c.lane.seal(b, "size")
	}
	return rest, nil
}

// Drain has everything that was taken in committed, and returns when it is.
func (c *Cursor) Drain(ctx context.Context) error {
	for {
		c.mu.Lock()
		committed, dropped, moved := c.committed, c.dropped, c.moved
		c.mu.Unlock()
		if dropped != "" {
			return ErrRestart
		}
		if committed == c.position {
			return nil
		}
		if b := c.lane.batch(); b != nil && b.covers(c.shard) {
			c.lane.seal(b, "drain")
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// Drained tells whether everything that was taken in is committed.
func (c *Cursor) Drained() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.dropped == "" && c.committed == c.position
}

// Close ends the cursor. Records that were taken in and are not committed yet doom their batch if the lease is given
// up, so whoever can waits for Drain first.
func (c *Cursor) Close() {
	p := c.lane.p
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(c.lane.cursors, c)
}

// Lost drops the open batch if it holds records of the cursor: without the lease it can not be committed.
func (c *Cursor) Lost(cause error) {
	if b := c.lane.batch(); b != nil && b.covers(c.shard) {
		b.cancel(fmt.Errorf("lease of shard %s lost: %w", c.shard, cause))
	}
}

// settledAt is the shard's checkpoint.
func (c *Cursor) settledAt() checkpoint.Position {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.committed
}

func (c *Cursor) isDropped() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.dropped != ""
}

// commit notes that the checkpoint has moved.
func (c *Cursor) commit(r checkpoint.Range) {
	c.mu.Lock()
	c.committed = r.End
	c.notify()
	c.mu.Unlock()
	c.hold.Committed(r.End, r.LastArrival)
}

// drop notes that records were dropped.
func (c *Cursor) drop(reason string) {
	c.mu.Lock()
	first := c.dropped == ""
	c.dropped = reason
	c.notify()
	c.mu.Unlock()
	if first {
		c.hold.Restart(reason)
	}
}

func (c *Cursor) notify() {
	close(c.moved)
	c.moved = make(chan struct{})
}

// fill appends records to the files of their partitions, a run of one partition at a time. It returns how many it has
// appended: it stops between two Kinesis records when the batch has too many files. A panic is an error that ends the
// batch.
func (p *Pipeline) fill(b *batch, shard string, records []record.Record) (n int, err error) {
	var at *record.Record // the one that is worked on
	defer p.survive(shard, &at, &err)
	for start := 0; start < len(records); {
		if b.endsBefore(records, start) {
			return start, nil
		}
		at = &records[start]
		id, fault := p.route(at)
		if fault != nil {
			if err := p.appendFault(b, shard, &records[start], fault); err != nil {
				return 0, err
			}
			start++
			continue
		}
		end := start + 1
		for end < len(records) && !b.endsBefore(records, end) {
			at = &records[end]
			if next, fault := p.route(at); fault != nil || next != id {
				break
			}
			end++
		}
		if err := p.appendRun(b, id, shard, records[start:end], &at); err != nil {
			return 0, err
		}
		start = end
	}
	return len(records), nil
}

// endsBefore tells that the batch has too many files to take the i-th record, and that a Kinesis record ends before it: one
// that was begun is taken in whole.
func (b *batch) endsBefore(records []record.Record, i int) bool {
	return b.crowded() && i > 0 && records[i].SequenceNumber != records[i-1].SequenceNumber
}

// route finds the file of a record, or why it has none.
func (p *Pipeline) route(r *record.Record) (fileID, *record.Fault) {
	if r.Fault != nil {
		return fileID{}, r.Fault
	}
	partition, err := p.parts.Router.Partition(r)
	if err != nil {
		return fileID{}, asFault(err)
	}
	return fileID{partition: partition}, nil
}

// appendRun appends records of one partition, and keeps at on the one that is worked on. Those that do not fit the format
// go to the error file.
func (p *Pipeline) appendRun(b *batch, id fileID, shard string, records []record.Record, at **record.Record) error {
	var misfits misfits
	err := b.append(id, func(f *writers.File) error {
		for i := range records {
			*at = &records[i]
			err := f.Append(*at)
			if err == nil {
				continue
			}
			fault, ok := errors.AsType[*record.Fault](err)
			if !ok {
				return err
			}
			misfits.add(*at, fault)
		}
		return nil
	}, p.cfg.Limits.FileBytes)
	if err != nil {
		return err
	}
	return p.appendMisfits(b, shard, misfits)
}

// misfits are records that do not fit the format of their file.
type misfits []misfit

type misfit struct {
	r *record.Record
	f *record.Fault
}

func (m *misfits) add(r *record.Record, f *record.Fault) { *m = append(*m, misfit{r, f}) }

func (p *Pipeline) appendMisfits(b *batch, shard string, misfits misfits) error {
	for _, m := range misfits {
		if err := p.appendFault(b, shard, m.r, m.f); err != nil {
			return err
		}
	}
	return nil
}

// appendFault writes the error record of a record that can not be delivered.
func (p *Pipeline) appendFault(b *batch, shard string, r *record.Record, fault *record.Fault) error {
	id := fileID{partition: p.parts.Router.ErrorPartition(fault.Type, r.Arrival), err: fault.Type}
	failed := *r
	failed.Fault, failed.Shard = fault, shard
	p.parts.Metrics.Faults.WithLabelValues(fault.Code).Inc()
	p.board.fault(p.cfg.Now(), shard, r.SequenceNumber, fault)
	return b.append(id, func(f *writers.File) error { return f.Append(&failed) }, p.cfg.Limits.FileBytes)
}

func asFault(err error) *record.Fault {
	if fault, ok := errors.AsType[*record.Fault](err); ok {
		return fault
	}
	return &record.Fault{Type: record.ProcessingFailed, Code: record.CodeRouteFailed, Message: err.Error()}
}
