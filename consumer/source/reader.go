package source

import (
	"context"
	"sync"
	"time"

	"aws-streaming-pipeline/consumer/record"
)

// Fetch is what one Next brings. A Fetch without records and without End is a tick.
type Fetch struct {
	// Records are the user records of whole Kinesis records, in the order of the shard. They and their data are the
	// reader's: they are valid until the next call of Next or Close.
	Records []record.Record
	// Last is the sequence number of the last Kinesis record; empty if there is none.
	Last string
	// Count and Bytes are the Kinesis records and the bytes of their payloads.
	Count int
	Bytes int
	// FirstArrival and LastArrival are the arrival times of the first and the last Kinesis record; zero if there is none.
	FirstArrival time.Time
	LastArrival  time.Time
	// Behind tells how far the last read that succeeded was behind the tip of the shard; 0 before the first.
	Behind time.Duration
	// Tip tells that this read reached the tip of the shard. A tick is no read: Behind may be 0 without it.
	Tip bool
	// End tells that the shard is closed and these are its last records.
	End bool
	// Children are the shards that come after this one; known only with End.
	Children []string
}

// Reader reads one shard. Its methods are called by one goroutine at a time.
type Reader struct {
	source *Source
	ctx    context.Context
	cancel context.CancelFunc

	// pending receives the one fetch that is under way; nil if none is. The goroutine behind it owns shard until it
	// has sent. A reader that reads ahead would start the next one in Next before it returns.
	pending chan Fetch
	wait    sync.WaitGroup
	shard   shardState
	behind  time.Duration
}

// Next returns what comes next. It waits for Config.Tick at most and then returns an empty Fetch, also while Kinesis
// can not be reached. After the shard's end it waits for as long and returns a Fetch with End set. The only error is
// the context's.
//
// A Fetch ends the validity of the one before.
func (r *Reader) Next(ctx context.Context) (Fetch, error) {
	if err := ctx.Err(); err != nil {
		return Fetch{}, err
	}
	if r.pending == nil {
		r.shard.free()
		if !r.shard.ended {
			r.start()
		}
	}
	tick := time.NewTimer(r.source.cfg.Tick)
	defer tick.Stop()
	select {
	case f := <-r.pending: // never, after the end
		r.pending = nil
		r.behind = f.Behind
		return f, nil
	case <-tick.C:
		return Fetch{Behind: r.behind, End: r.pending == nil}, nil
	case <-ctx.Done():
		return Fetch{}, ctx.Err()
	}
}

func (r *Reader) start() {
	pending := make(chan Fetch, 1)
	r.pending = pending
	r.wait.Go(func() {
		if f, ok := r.shard.fetch(r.ctx); ok {
			pending <- f
		}
	})
}

// Close ends the call that is under way and frees what the reader holds. Nothing may be called after it but Close.
func (r *Reader) Close() {
	r.cancel()
	r.wait.Wait()
	r.shard.free()
	r.source.metrics.BehindLatest.DeleteLabelValues(r.shard.id)
	r.source.metrics.LastRead.DeleteLabelValues(r.shard.id)
}
