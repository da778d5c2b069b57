package postgres

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"aws-streaming-pipeline/loader/postgres/pgddl"
)

const (
	// fenceEvery is the time between two looks at what a statement waits for.
	fenceEvery = time.Second
	// fenceAfter is how long a statement waits for another loader of the same table before that one is ended.
	fenceAfter = 2 * time.Second
)

// fence ends other loaders of the same table that a transaction waits for: a predecessor may be frozen in the middle of its rows, whose
// unique values or locks the transaction needs. One that is not frozen finds its connection lost, and looks again. Loaders of one
// table are known by the role and the name of the application.
type fence struct {
	d       *Table
	process string       // of the server, that has the transaction
	since   atomic.Int64 // when the statement that is executed was sent, in nanoseconds since 1970; 0 if there is none
}

// watch watches until stop is called.
func (f *fence) watch(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		ticker := time.NewTicker(fenceEvery)
		defer ticker.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case now := <-ticker.C:
				if since := f.since.Load(); since > 0 && now.Sub(time.Unix(0, since)) >= fenceAfter {
					_ = f.endOthers(ctx) // the next look does it, or the lock's timeout ends the wait
				}
			}
		}
	}()
	return func() { cancel(); <-done }
}

// begin and end enclose a statement.
func (f *fence) begin() { f.since.Store(time.Now().UnixNano()) }
func (f *fence) end()   { f.since.Store(0) }

// endOthers ends the loaders that the process has been waiting for.
func (f *fence) endOthers(ctx context.Context) error {
	s, err := f.d.open(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	_, err = s.run(ctx, fmt.Sprintf(`SELECT pg_catalog.pg_terminate_backend(a.pid)
FROM pg_catalog.pg_locks l, pg_catalog.unnest(pg_catalog.pg_blocking_pids(l.pid)) AS b (pid) JOIN pg_catalog.pg_stat_activity a ON a.pid = b.pid
WHERE l.pid = %s AND NOT l.granted AND l.waitstart < pg_catalog.clock_timestamp() - interval '%d ms'
AND a.usename = session_user AND a.application_name = %s`,
		f.process, fenceAfter.Milliseconds(), pgddl.Literal(applicationName(f.d.Application, f.d.URI))))
	return err
}
