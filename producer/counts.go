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

// Progress is the progress of a run.
type Progress struct {
	Rows    int64 // rows read after those of Config.Skip, including bad ones
	BadRows int64 // rows that were skipped because they are bad
	Records int64 // records that the stream accepted
	Bytes   int64 // their data and partition keys
	Retries int64 // records that were sent again; one that was rejected twice counts twice
	Elapsed time.Duration
}

// Summary is the result of a run.
type Summary struct {
	Progress
	Calls       int64 // of PutRecords
	FailedCalls int64 // calls without a response or rejected as a whole, which were made again
	// Shards counts the accepted records by the shard that took them.
	Shards map[string]Shard
	// SettledRows is the number of leading rows, including those of Config.Skip, that were all sent or reported as bad. A
	// run with this Config.Skip continues where this one stopped.
	SettledRows int64
	// Beyond is the number of records that were sent from rows after SettledRows. A run that continues from there sends
	// them again.
	Beyond int64
}

// Shard counts what a shard accepted.
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
