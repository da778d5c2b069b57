package consumer

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"aws-streaming-pipeline/consumer/transform"
	"aws-streaming-pipeline/internal/localstream"
	"aws-streaming-pipeline/record"
)

const firstShard = "shardId-000000000000"

// stageFunc is a transform.Stage.
type stageFunc func(ctx context.Context, in []record.Record) (transform.Output, error)

func (f stageFunc) Apply(ctx context.Context, _ string, in []record.Record) (transform.Output, error) {
	return f(ctx, in)
}

func quickly(c *Config) {
	c.CommitInterval, c.Failover = time.Second, time.Second
}

func (st *stage) committed() string {
	row, err := st.store.Lease(st.t.Context(), firstShard)
	if err != nil {
		return ""
	}
	at, _ := row.Checkpoint.SequenceNumber()
	return at
}

// Positions belong to what was read: they move on when a transform drops every record.
func TestDaemon_CommitsWhatATransformDrops(t *testing.T) {
	st := newStage(t, 1, localstream.Options{})
	st.change = stageFunc(func(_ context.Context, in []record.Record) (transform.Output, error) {
		return transform.Output{Dropped: len(in)}, nil
	})
	d := st.daemon(quickly)
	stop := st.run(d)
	for _, key := range []string{"a", "b"} {
		before := st.committed()
		st.send(key)
		eventually(t, "the position is committed", func() bool { return st.committed() > before })
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
	if n := testutil.ToFloat64(d.metrics.TransformDropped); n != 2 || st.files() != 0 {
		t.Errorf("%v records dropped, %d files: want 2 and 0", n, st.files())
	}
	row, err := st.store.Lease(t.Context(), firstShard)
	if err != nil || time.Since(row.Arrival) > time.Hour {
		t.Errorf("the last committed record arrived at %v: %v", row.Arrival, err)
	}
}

// A transform that waits, for a service that does not answer, holds up neither the end of a worker nor the next one.
func TestDaemon_HandsAShardOverWhileATransformWaits(t *testing.T) {
	st := newStage(t, 1, localstream.Options{})
	appended, waiting := make(chan struct{}, 1), make(chan struct{}, 1)
	st.change = stageFunc(func(ctx context.Context, in []record.Record) (transform.Output, error) {
		if !bytes.Contains(in[0].Data, []byte("waits")) {
			appended <- struct{}{}
			return transform.Output{Records: in}, nil
		}
		waiting <- struct{}{}
		<-ctx.Done()
		return transform.Output{}, ctx.Err()
	})
	stop := st.run(st.daemon(func(c *Config) {
		quickly(c)
		c.CommitInterval, c.ShutdownGrace = time.Hour, time.Hour
	}))
	st.send("first")
	<-appended // in a fetch of its own
	st.send("waits")
	<-waiting
	if err := stop(); err != nil {
		t.Error(err)
	}
	st.change = nil
	stop = st.run(st.daemon(quickly))
	st.send("third")
	last := func(line map[string]any) bool { return line["key"] == "third" }
	eventually(t, "the third record is delivered", func() bool { return slices.ContainsFunc(st.lines("data"), last) })
	if err := stop(); err != nil {
		t.Error(err)
	}
	var keys []string
	for _, line := range st.lines("data") {
		keys = append(keys, fmt.Sprint(line["key"]))
	}
	if slices.Sort(keys); !slices.Equal(keys, []string{"first", "third", "waits"}) {
		t.Errorf("delivered %q", keys)
	}
}
