package consumer

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

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
	if n := st.gauge(d, "consumer_transform_dropped_total"); n != 2 || st.files() != 0 {
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

// gauge is the value of a metric without labels.
func (st *stage) gauge(d *Daemon, name string) float64 {
	st.t.Helper()
	families, err := d.registry.Gather()
	if err != nil {
		st.t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			m := f.GetMetric()[0]
			return m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	st.t.Fatalf("there is no metric %s", name)
	return 0
}

// Every record that was read is accounted for. A stage that loses one, or makes one of nothing, is noticed.
func TestDaemon_AccountsForEachRecord(t *testing.T) {
	for name, test := range map[string]struct {
		stage       stageFunc
		unaccounted float64
	}{
		"a filter": {func(_ context.Context, in []record.Record) (transform.Output, error) {
			return transform.Output{Records: in[1:], Dropped: 1}, nil
		}, 0},
		"twice": {func(_ context.Context, in []record.Record) (transform.Output, error) {
			return transform.Output{Records: append(slices.Clone(in), in...), Added: len(in)}, nil
		}, 0},
		"control: loses one": {func(_ context.Context, in []record.Record) (transform.Output, error) {
			return transform.Output{Records: in[1:]}, nil
		}, 1},
		"control: makes one": {func(_ context.Context, in []record.Record) (transform.Output, error) {
			return transform.Output{Records: append(slices.Clone(in), in[0])}, nil
		}, -1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			st := newStage(t, 1, localstream.Options{})
			st.send("a") // in one fetch: the daemon does not run yet
			st.send("b")
			st.change = test.stage
			d := st.daemon(quickly)
			stop := st.run(d)
			eventually(t, "what was read is published", func() bool { return st.files() == 1 && len(st.outbox()) == 0 })
			if err := stop(); err != nil {
				t.Error(err)
			}
			if n := st.gauge(d, "consumer_unaccounted_records"); n != test.unaccounted {
				t.Errorf("%v records unaccounted for, want %v", n, test.unaccounted)
			}
			if read, left := st.gauge(d, "consumer_read_user_records_total"), st.gauge(d, "consumer_in_flight_records"); read != 2 || left != 0 {
				t.Errorf("%v records read, %v in flight, want 2 and 0", read, left)
			}
		})
	}
}
