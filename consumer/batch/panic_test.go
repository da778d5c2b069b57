package batch

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/consumer/record"
)

// bomb is a router that panics at one record, the first time.
type bomb struct {
	byKind
	at    string // sequence number
	armed bool
}

func (b *bomb) Partition(r *record.Record) (string, error) {
	if b.armed && r.SequenceNumber == b.at {
		b.armed = false
		panic("router")
	}
	return b.byKind.Partition(r)
}

// Whoever drives the shards recovers from a panic and reads the shard again from its checkpoint. What the panic has
// left in the open files must not be delivered then.
func TestCursor_RecordsTakenInBeforeAPanicAreDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		p, stop := w.worker("one")
		router := &bomb{at: "100004", armed: true}
		p.parts.Router = router
		neighbour := p.Open(w.acquire("shard-1", "one"))
		w.append(neighbour, intake("b", 1, 2))
		c := p.Open(w.acquire("shard-0", "one"))
		in := intake("a", 1, 2)
		in.Records = append(in.Records, append(intake("b", 3, 3).Records, intake("c", 4, 4).Records...)...)
		in.Last = "100004"
		func() {
			defer func() {
				if recover() == nil {
					t.Error("no panic was seen")
				}
			}()
			_ = c.Append(context.Background(), in)
		}()
		c.Close()
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		want(t, "checkpoint of the shard", w.checkpoint("shard-0"), checkpoint.TrimHorizon)

		for shard, in := range map[string]Intake{"shard-0": in, "shard-1": intake("b", 1, 2)} {
			again := p.Open(w.acquire(shard, "one"))
			w.append(again, in)
			if err := again.Drain(context.Background()); err != nil {
				t.Errorf("drain %s: %v", shard, err)
			}
		}
		stop()
		want(t, "records delivered", len(w.bucket.lines("data/")), 6)
	})
}
