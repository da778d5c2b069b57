package producer

import (
	"maps"
	"sync"
	"sync/atomic"
	"time"
)

// counts is what a run has done so far. It is safe for concurrent use.
type counts struct {
	rows, badRows, records, bytes, calls, failedCalls, retries atomic.Int64

	mu     sync.Mutex
	shards map[string]Shard
}

// accept counts records that the stream took, by shard.
func (c *counts) accept(loads map[string]load) {
	var sum load
	c.mu.Lock()
	for id, l := range loads {
		s := c.shards[id]
		c.shards[id] = Shard{s.Records + int64(l.records), s.Bytes + int64(l.bytes)}
		sum = sum.plus(l)
	}
	c.mu.Unlock()
	c.records.Add(int64(sum.records))
	c.bytes.Add(int64(sum.bytes))
}

// Progress is how far a run is.
type Progress struct {
	Rows    int64 // rows read behind those of Config.Skip, bad ones included
	BadRows int64 // rows that were skipped because they are bad
	Records int64 // records that the stream accepted
	Bytes   int64 // their data and partition keys
	Retries int64 // records that were sent again; one that was refused twice counts twice
	Elapsed time.Duration
}

// Summary is what a run did.
type Summary struct {
	Progress
	Calls       int64 // of PutRecords
	FailedCalls int64 // calls of which no answer came or that were refused as a whole, and that were made again
	// Shards counts the accepted records by the shard that took them.
	Shards map[string]Shard
	// SettledRows is the number of rows, from the first on and with those of Config.Skip, that are all sent or were
	// reported as bad: the Config.Skip of a run that goes on where this one stopped.
	SettledRows int64
	// Beyond is the number of records that were sent from rows behind SettledRows. A run that goes on from there sends
	// them once more.
	Beyond int64
}

// Shard is what a shard took.
type Shard struct{ Records, Bytes int64 }

func (c *counts) progress(elapsed time.Duration) Progress {
	return Progress{
		Rows:    c.rows.Load(),
		BadRows: c.badRows.Load(),
		Records: c.records.Load(),
		Bytes:   c.bytes.Load(),
		Retries: c.retries.Load(),
		Elapsed: elapsed,
	}
}

func (c *counts) summary(elapsed time.Duration, l *ledger) Summary {
	upTo, beyond := l.state()
	c.mu.Lock()
	defer c.mu.Unlock()
	return Summary{
		Progress:    c.progress(elapsed),
		Calls:       c.calls.Load(),
		FailedCalls: c.failedCalls.Load(),
		Shards:      maps.Clone(c.shards),
		SettledRows: upTo,
		Beyond:      beyond,
	}
}
