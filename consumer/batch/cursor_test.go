package batch

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"aws-streaming-pipeline/checkpoint"
)

// A shard is read again while the batch that holds its records from before is doomed, but its lane is still at another. The
// new reader must not join that batch: it would wait for ever for a position that is never committed.
func TestCursor_DoesNotJoinABatchThatHasEnded(t *testing.T) {
	for name, in := range map[string]Intake{
		"the end of the shard":               {End: true},
		"records that all belong to another": {Last: "100009"},
		"records":                            intake("y", 1, 5),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				p, stop := w.worker("a")
				defer stop()
				w.bucket.plant(func(operation, key string, applied bool) error {
					if operation == "publish" && !applied && key[:len("data/x")] == "data/x" {
						time.Sleep(10 * time.Minute)
					}
					return nil
				})
				w.append(p.Open(w.acquire("shard-1", "a")), intake("x", 1, 5))
				time.Sleep(w.limits.Interval + time.Second) // the lane publishes

				before := p.Open(w.acquire("shard-2", "a"))
				w.append(before, in)
				before.Lost(errPlanted)
				before.Close()

				ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
				defer cancel()
				hold := w.acquire("shard-2", "a")
				again := p.Open(hold)
				want(t, "append", again.Append(ctx, in), nil)
				want(t, "drain", again.Drain(ctx), nil)
				want(t, "restarted", hold.wasRestarted(), false)
				end := checkpoint.Position(in.Last)
				if in.End {
					end = checkpoint.ShardEnd
				}
				want(t, "checkpoint", w.checkpoint("shard-2"), end)
				time.Sleep(10 * time.Minute)
				want(t, "records", len(w.bucket.lines("data/y")), len(in.Records))
			})
		})
	}
}

// Nobody takes an ended pipeline's batches away: whoever appends to it must not wait for that.
func TestCursor_TakesNothingInAfterThePipelineHasEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		p, stop := w.worker("a")
		c := p.Open(w.acquire("shard-1", "a"))
		stop()
		ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
		defer cancel()
		began := time.Now()
		if err := c.Append(ctx, intake("x", 1, 5)); err == nil {
			t.Error("append to an ended pipeline: no error")
		}
		want(t, "time until the error", time.Since(began), 0)
	})
}
