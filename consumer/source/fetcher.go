package source

import (
	"context"
	"errors"
	"time"

	"aws-streaming-pipeline/internal/backoff"
	"aws-streaming-pipeline/internal/logkey"
)

// remindEvery is how often a lasting failure is logged.
const remindEvery = time.Minute

// outage bounds the waits after failed reads.
var outage = backoff.Policy{First: 200 * time.Millisecond, Longest: 10 * time.Second}

// fetcher reads a shard in one of the two ways, and does not give up.
type fetcher struct {
	source *Source
	place  *place
	way    way

	notBefore time.Time // earliest next try after a failure
	failures  int       // in a row
	troubled  time.Time // when the first failure worth reporting was; zero if all is well
	reminded  time.Time // when it was last logged
}

// way is how records come out of Kinesis: a poll requests them, a push receives them.
type way interface {
	// read waits for what comes next, takes room for it from the budget, and passes it to the place. To read ahead it
	// takes only spare room, and returns errNoRoom if there is too little.
	read(ctx context.Context, in *fetched, ahead bool) error
	// next returns when the service may be called again.
	next() time.Time
	// failed counts an error of read, the nth in a row, and classifies it. quiet is true if it is not trouble yet.
	failed(ctx context.Context, err error, n int) (f failure, quiet bool)
	// worked counts a read without an error.
	worked()
	// restart makes the next read begin after the place's last record.
	restart()
	// close ends whatever is open.
	close()
}

// fetch reads until there is something to report: records, the shard's end, or that its tip is reached. It returns nil
// when ctx has ended, and when it was to read ahead and the budget has no spare room for that.
func (f *fetcher) fetch(ctx context.Context, ahead bool) *fetched {
	for sleepUntil(ctx, later(f.notBefore, f.way.next())) {
		in := &fetched{}
		err := f.place.prepare()
		if err == nil {
			err = f.way.read(ctx, in, ahead)
		}
		if err == nil {
			f.recovered(ctx)
			if f.place.conclude(ctx, in) {
				f.way.restart()
			}
			if in.fetch.Count > 0 || in.fetch.End || in.fetch.Tip || in.fetch.Stop {
				return in
			}
		}
		in.release(f.source.cfg.Budget) // after a failure, or an empty stretch in the middle of the shard
		if ctx.Err() != nil || errors.Is(err, errNoRoom) {
			return nil
		}
		if err != nil {
			f.failed(ctx, err)
		}
	}
	return nil
}

// failed schedules the next try after a failed read, and logs and reports the failure.
func (f *fetcher) failed(ctx context.Context, err error) {
	f.failures++
	what, quiet := f.way.failed(ctx, err, f.failures)
	if quiet {
		return
	}
	now := time.Now()
	f.notBefore = now.Add(outage.Wait(f.failures))
	if f.troubled.IsZero() {
		f.troubled = now
	}
	if f.source.cfg.Trouble != nil {
		f.source.cfg.Trouble(f.place.id, err)
	}
	if now.Sub(f.reminded) >= remindEvery {
		f.reminded = now
		f.source.log.Log(ctx, what.level, "read failed, retrying",
			logkey.Shard, f.place.id, logkey.Attempt, f.failures, logkey.Error, err)
	}
}

// recovered resets what failed recorded, and reports the recovery.
func (f *fetcher) recovered(ctx context.Context) {
	f.way.worked()
	attempts := f.failures
	f.failures = 0
	if f.troubled.IsZero() {
		return
	}
	f.source.log.InfoContext(ctx, "read recovered",
		logkey.Shard, f.place.id, logkey.Attempt, attempts, logkey.Took, time.Since(f.troubled))
	f.troubled, f.reminded = time.Time{}, time.Time{}
	if f.source.cfg.Trouble != nil {
		f.source.cfg.Trouble(f.place.id, nil)
	}
}

// forgotten reports the end of trouble if the shard is no longer read here: nothing else would report its recovery.
func (f *fetcher) forgotten() {
	if !f.troubled.IsZero() && f.source.cfg.Trouble != nil {
		f.source.cfg.Trouble(f.place.id, nil)
	}
	f.troubled = time.Time{}
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// sleepUntil waits until t and reports whether ctx is still alive.
func sleepUntil(ctx context.Context, t time.Time) bool {
	return backoff.Sleep(ctx, time.Until(t)) == nil
}
