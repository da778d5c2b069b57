package consumer

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"aws-streaming-pipeline/internal/localstream"
)

// A consumer that was down for longer than the stream's retention cannot know what it has missed, but it reports the gap.
func TestDaemon_TellsWhenRecordsMayBeLostToTheRetentionTime(t *testing.T) {
	var offset atomic.Int64
	st := newStage(t, 1, localstream.Options{Clock: func() time.Time { return time.Now().Add(time.Duration(offset.Load())) }})
	put := func(n int) {
		t.Helper()
		if _, _, err := st.stream.Put("stream", localstream.Entry{PartitionKey: "k", Data: fmt.Appendf(nil, `{"n":%d}`, n)}); err != nil {
			t.Fatal(err)
		}
	}
	// deliver runs a daemon until it has delivered a record, and returns the gaps that it has seen.
	deliver := func() float64 {
		t.Helper()
		d := st.daemon(func(c *Config) { c.CommitInterval, c.Failover = time.Second, time.Second })
		ctx, stop := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() {
			if err := d.Run(ctx); err != nil {
				t.Errorf("run: %v", err)
			}
		})
		eventually(t, "a record is delivered", func() bool { return d.Status().Pipeline.Totals.Records > 0 })
		stop()
		running.Wait()
		return testutil.ToFloat64(d.metrics.RetentionGaps)
	}

	put(1)
	if gaps := deliver(); gaps != 0 {
		t.Errorf("%v gaps at the first start", gaps)
	}
	offset.Add(int64(23 * time.Hour))
	put(2)
	if gaps := deliver(); gaps != 0 {
		t.Errorf("%v gaps within the retention time", gaps)
	}
	put(3)
	offset.Add(int64(49 * time.Hour)) // the third record is gone before it is read
	put(4)
	if gaps := deliver(); gaps != 1 {
		t.Errorf("%v gaps after two days, want 1", gaps)
	}
}
