package batch

import (
	"context"
	"errors"
	"fmt"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/record"
)

// errInPart ends a batch whose files hold records that no range of it covers: committed, they would be delivered again
// by whoever reads the shard from its checkpoint.
var errInPart = errors.New("records were taken in only in part")

// errRestart is returned by a Cursor after its records were dropped.
var errRestart = errors.New("the batch was dropped: the shard starts again from its checkpoint")

// Cursor appends the records of one shard to the batches of a lane, from the acquisition of its lease to the release.
// Append, Drain and Close must not be called concurrently.
type Cursor struct {
	lane     *lane
	filler   *filler
	panics   *panics
	progress *progress

	// position is the end of what was taken in; only Append moves it.
	position checkpoint.Position
}

// Append adds records to the open batch, and may set their Fault. It returns when they are in the files of open batches, not
// when they are durable. After an error nothing more is appended, and the shard starts again from its checkpoint.
//
// Records of very many partitions are spread over several batches, to limit the files of each.
func (c *Cursor) Append(ctx context.Context, in Intake) error {
	defer func() { c.filler.metrics.Balance.Returned(int64(len(in.Records))) }() // none, unless it fails or panics
	if c.progress.isDropped() {
		return errRestart
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
	shard := c.progress.shard
	fill := c.filler.fill
	var later Intake
	if c.panics.suspects.among(shard, in.Records) {
		in, later = in.some()
		blocks, err := c.filler.try(ctx, shard, in.Records) // before the batch is entered, which others wait for
		if err != nil {
			return Intake{}, err
		}
		fill = func(b *batch, shard string, records []record.Record) (int, error) {
			return len(records), c.filler.fillCarefully(b, shard, records, blocks)
		}
	}
	b, err := c.lane.acquire(ctx, shard)
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
	n, err := fill(b, shard, in.Records)
	if err != nil {
		cause = err
		c.panics.suspect(b.id, shard, in.Last, c.progress.checkpoint(), err)
		return Intake{}, err
	}
	in, rest = in.split(n)
	if rest.none() {
		rest = later
	}
	if err := c.filler.appendRaw(b, shard, in.Raw); err != nil {
		cause = err
		c.panics.suspect(b.id, shard, in.Last, c.progress.checkpoint(), err)
		return Intake{}, err
	}
	end := checkpoint.Position(in.Last)
	if in.End {
		end = checkpoint.ShardEnd
	}
	b.cover(c.progress, c.position, end, in)
	c.position = end
	whole = true
	if c.progress.isDropped() {
		// Whoever dropped the records before these may have looked at the batch too early to find them in it.
		b.cancel(errRestart)
		return Intake{}, errRestart
	}
	b.records.Add(int64(len(in.Records)))
	c.filler.taken.Add(int64(len(in.Records)))
	if b.idle() {
		c.lane.seal(b, "size")
	}
	return rest, nil
}

// Position returns the end of what was appended.
func (c *Cursor) Position() checkpoint.Position { return c.position }

// Drain requests a commit of everything appended, and returns when it is committed.
func (c *Cursor) Drain(ctx context.Context) error {
	for {
		committed, dropped, moved := c.progress.look()
		if dropped {
			return errRestart
		}
		if committed == c.position {
			return nil
		}
		if b := c.lane.batch(); b != nil && b.covers(c.progress.shard) {
			c.lane.seal(b, "drain")
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// Drained reports whether everything appended is committed.
func (c *Cursor) Drained() bool {
	committed, dropped, _ := c.progress.look()
	return !dropped && committed == c.position
}

// Close ends the cursor. If the lease is released before all appended records are committed, their batch is lost, so callers
// should wait for Drain first.
func (c *Cursor) Close() { c.lane.dismiss(c.progress) }

// Lost drops the open batch if it holds records of the cursor: without the lease it cannot be committed.
func (c *Cursor) Lost(cause error) {
	if b := c.lane.batch(); b != nil && b.covers(c.progress.shard) {
		b.cancel(fmt.Errorf("lease of shard %s lost: %w", c.progress.shard, cause))
	}
}
