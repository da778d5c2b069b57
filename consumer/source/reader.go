package source

import (
	"context"
	"sync"
	"time"

	"aws-streaming-pipeline/record"
)

// Fetch is the result of one Next. A Fetch without records and without End is a tick.
type Fetch struct {
	// Records are the user records of whole Kinesis records, in shard order. They and their data belong to the reader:
	// they are valid until the next call of Next or Close.
	Records []record.Record
	// Raw are the Kinesis records as they came, with their shard, if Config.Raw is set. They are valid as long as Records.
	Raw []record.Record
	// Last is the sequence number of the last Kinesis record; empty if there is none.
	Last string
	// Count and Bytes are the Kinesis records and the bytes of their payloads.
	Count int
	Bytes int
	// FirstArrival and LastArrival are the arrival times of the first and the last Kinesis record; zero if there is none.
	FirstArrival time.Time
	LastArrival  time.Time
	// Behind is how far the last successful read was behind the tip of the shard; 0 before the first.
	Behind time.Duration
	// Tip means that this read reached the tip of the shard. A tick is not a read: Behind may be 0 without Tip.
	Tip bool
	// AsOf is the service's time when this read reached the tip of the shard, or an earlier one: every record that the
	// service had accepted by then is in this Fetch or one before. It is zero without Tip, and if the service did not say.
	AsOf time.Time
	// End means that the shard is closed and these are its last records.
	End bool
	// Stop means that Config.Until is passed: no record after these arrived before it. Later calls of Next repeat it. It never
	// comes with End.
	Stop bool
	// Children are the shards that follow this one; known only with End.
	Children []string
}

// Reader reads one shard. Its methods must be called by one goroutine at a time.
//
// It reads one fetch ahead: while the caller works on a Fetch, the next one is under way, if the budget has room to
// spare. Close discards what was read ahead and not returned by Next, as if it had not been read.
type Reader struct {
	source *Source
	shard  string
	ctx    context.Context
	cancel context.CancelFunc

	current *fetched // what Next returned last
	ended   bool     // Next has returned the shard's end
	stopped bool     // Next has returned a Stop
	behind  time.Duration

	// pending receives the result of the one fetch that is under way; nil if none is. The goroutine that sends to it
	// owns fetcher until it has sent.
	pending chan *fetched
	wait    sync.WaitGroup
	fetcher fetcher
}

// Next returns what comes next. It waits for at most Config.Tick and then returns an empty Fetch, even while Kinesis
// cannot be reached. After the shard's end it waits as long and returns a Fetch with End set. The only error is the
// context's. After a Stop, the same holds for it.
//
// A Fetch invalidates the previous one.
func (r *Reader) Next(ctx context.Context) (Fetch, error) {
	if err := ctx.Err(); err != nil {
		return Fetch{}, err
	}
	r.release()
	tick := time.NewTimer(r.source.cfg.Tick)
	defer tick.Stop()
	for {
		if r.pending == nil && !r.ended && !r.stopped {
			r.start(false)
		}
		select {
		case in := <-r.pending: // never, after the end
			r.pending = nil
			if in == nil {
				continue // no room to read ahead: now it is worth waiting for
			}
			return r.deliver(in), nil
		case <-tick.C:
			return Fetch{Behind: r.behind, End: r.ended, Stop: r.stopped}, nil
		case <-ctx.Done():
			return Fetch{}, ctx.Err()
		}
	}
}

func (r *Reader) start(ahead bool) {
	pending := make(chan *fetched, 1)
	r.pending = pending
	r.wait.Go(func() { pending <- r.fetcher.fetch(r.ctx, ahead) })
}

func (r *Reader) deliver(in *fetched) Fetch {
	f := in.fetch
	r.current, r.behind, r.ended, r.stopped = in, f.Behind, f.End, f.Stop
	m := r.source.metrics
	m.RecordsRead.WithLabelValues(r.shard).Add(float64(f.Count))
	m.BytesRead.WithLabelValues(r.shard).Add(float64(f.Bytes))
	if !r.ended && !r.stopped {
		r.start(true)
	}
	return f
}

func (r *Reader) release() {
	if r.current != nil {
		r.current.release(r.source.cfg.Budget)
		r.current = nil
	}
}

// Close ends the call or the subscription that is under way and frees what the reader holds. No method but Close may be
// called after it.
func (r *Reader) Close() {
	r.cancel()
	r.wait.Wait()
	r.release()
	if r.pending != nil {
		if in := <-r.pending; in != nil {
			in.release(r.source.cfg.Budget)
		}
		r.pending = nil
	}
	r.fetcher.way.close()
	r.fetcher.forgotten()
	r.source.metrics.BehindLatest.DeleteLabelValues(r.shard)
	r.source.metrics.LastRead.DeleteLabelValues(r.shard)
}
