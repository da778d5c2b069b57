package consumer

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"aws-streaming-pipeline/internal/localstream"
	"aws-streaming-pipeline/record"
)

// A worker that knows its shards from the table, and has not been told their hash ranges yet, reads nothing where
// KPL_HASH_FILTER needs them. Without the filter it does: that is the control.
func TestDaemon_WaitsForTheHashRangeThatItFiltersBy(t *testing.T) {
	for _, filter := range []bool{true, false} {
		t.Run(fmt.Sprint(filter), func(t *testing.T) {
			faults := localstream.NewFaults(1)
			st := newStage(t, 1, localstream.Options{Faults: faults})
			run := func(deliver func(*Daemon)) {
				t.Helper()
				d := st.daemon(func(c *Config) { c.CommitInterval, c.Failover, c.KPLHashFilter = time.Second, time.Second, filter })
				ctx, stop := context.WithCancel(t.Context())
				var running sync.WaitGroup
				running.Go(func() {
					if err := d.Run(ctx); err != nil {
						t.Errorf("run: %v", err)
					}
				})
				deliver(d)
				stop()
				running.Wait()
			}
			delivered := func(d *Daemon) func() bool { return func() bool { return d.Status().Pipeline.Totals.Records > 0 } }
			put := func() {
				t.Helper()
				if _, _, err := st.stream.Put("stream", localstream.Entry{PartitionKey: "k", Data: []byte(`{"n":1}`)}); err != nil {
					t.Fatal(err)
				}
			}
			put()
			run(func(d *Daemon) { eventually(t, "the first record is delivered", delivered(d)) })

			refused := faults.Plant(localstream.Rule{Kind: localstream.ServerError, Operation: "ListShards", Probability: 1})
			put()
			run(func(d *Daemon) {
				if !filter {
					eventually(t, "a record is delivered without a listing", delivered(d))
					return
				}
				eventually(t, "readiness names what is missing", func() bool {
					return slices.ContainsFunc(d.Status().Checks, func(c Check) bool { return strings.Contains(c.Problem, "KPL_HASH_FILTER") })
				})
				if n := d.Status().Pipeline.Totals.Records; n != 0 || refused.Hits() == 0 {
					t.Errorf("%d records were read without a hash range, %d listings refused", n, refused.Hits())
				}
				faults.Clear()
				eventually(t, "the record is delivered", delivered(d))
			})
		})
	}
}

func TestDaemon_ReadsNothingByAHashRangeThatIsNone(t *testing.T) {
	st := newStage(t, 1, localstream.Options{})
	if _, _, err := st.stream.Put("stream", localstream.Entry{PartitionKey: "k", Data: []byte(`{"n":1}`)}); err != nil {
		t.Fatal(err)
	}
	st.kinesis = func(k Kinesis) Kinesis { return strangeRanges{k} }
	d := st.daemon(func(c *Config) { c.CommitInterval, c.Failover, c.KPLHashFilter = time.Second, time.Second, true })
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		if err := d.Run(ctx); err != nil {
			t.Errorf("run: %v", err)
		}
	})
	eventually(t, "readiness names the range", func() bool {
		return slices.ContainsFunc(d.Status().Checks, func(c Check) bool { return strings.Contains(c.Problem, `"0x0" to`) })
	})
	stop()
	running.Wait()
	if n := d.Status().Pipeline.Totals.Records; n != 0 {
		t.Errorf("%d records were delivered", n)
	}
}

// strangeRanges lists shards whose hash keys cannot be read.
type strangeRanges struct{ Kinesis }

func (s strangeRanges) ListShards(ctx context.Context, in *kinesis.ListShardsInput, o ...func(*kinesis.Options)) (*kinesis.ListShardsOutput, error) {
	out, err := s.Kinesis.ListShards(ctx, in, o...)
	if err == nil {
		for i := range out.Shards {
			first := "0x0"
			out.Shards[i].HashKeyRange.StartingHashKey = &first
		}
	}
	return out, err
}

// A shard's decoder drops what belongs to another shard, once its range is known.
func TestDaemon_FiltersByTheRangeOfTheShard(t *testing.T) {
	d, _ := newIdleDaemon(t)
	all, err := record.NewDecoder(record.DecoderOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := d.decoder(all, "shardId-000000000000"); err != nil || got != all {
		t.Errorf("without the filter: %v, %v", got, err)
	}
	d.cfg.KPLHashFilter = true
	if got, err := d.decoder(all, "shardId-000000000000"); err == nil || got != nil {
		t.Errorf("with the filter, before any listing: %v, %v", got, err)
	}
}
