package consumer

import (
	"context"
	"sync"
	"time"

	"aws-streaming-pipeline/checkpoint"
)

const (
	// overviewEvery is how old the lease table may be that the status page of a follower shows. A page that is open costs as many
	// scans of the table as a leader makes with a FAILOVER_TIME of 20 s.
	overviewEvery = 10 * time.Second
	// overviewTimeout is how long the page waits for the table. It shows the rest without it.
	overviewTimeout = 3 * time.Second
)

// overview is the lease table as a worker that follows shows it to people: it does not read the table for its work, and knows only its
// own leases. The table is read while somebody looks, and at no other time.
type overview struct {
	scan     func(context.Context) (checkpoint.Snapshot, error)
	failover time.Duration

	mu    sync.Mutex
	begun time.Time // when it was last read, or this was tried
	last  reading
	beats map[string]beat // of the workers
}

// reading is what was read.
type reading struct {
	at      time.Time // zero if the table was never read
	table   checkpoint.Snapshot
	alive   map[string]bool // by worker
	problem error           // why it could not be read again
}

// beat is the heartbeat of a worker, and since when it has stood there.
type beat struct {
	value int64
	since time.Time
}

// look returns the table as it was read at most overviewEvery ago, or a problem and what was read before. Of those who look at the same time
// one waits for the table, and the others get what was read before.
func (o *overview) look(ctx context.Context) reading {
	o.mu.Lock()
	defer o.mu.Unlock()
	now := time.Now()
	if !o.begun.IsZero() && now.Sub(o.begun) < overviewEvery {
		return o.last
	}
	o.begun = now
	o.mu.Unlock()
	ctx, cancel := context.WithTimeout(checkpoint.Aside(context.WithoutCancel(ctx)), overviewTimeout)
	table, err := o.scan(ctx)
	cancel()
	o.mu.Lock()
	if err != nil {
		o.last.problem = err
		return o.last
	}
	o.last = reading{at: now, table: table, alive: o.alive(now, table.Workers)}
	return o.last
}

// alive returns which workers live: those whose heartbeat has moved within the failover time, or may have. o.mu is held.
func (o *overview) alive(now time.Time, workers []checkpoint.Worker) map[string]bool {
	alive, beats := make(map[string]bool, len(workers)), make(map[string]beat, len(workers))
	for _, w := range workers {
		b, known := o.beats[w.ID]
		if !known || b.value != w.Beat {
			b = beat{w.Beat, now}
		}
		beats[w.ID], alive[w.ID] = b, now.Sub(b.since) < o.failover
	}
	o.beats = beats
	return alive
}
