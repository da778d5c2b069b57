package consumer

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/checkpoint/checkpointtest"
	"aws-streaming-pipeline/checkpoint/local"
	"aws-streaming-pipeline/consumer/shardmap"
	"aws-streaming-pipeline/consumer/source"
	"aws-streaming-pipeline/internal/localstream"
)

// Three daemons replay a range while, or after, the stream is split and merged within it. One of them dies with a batch
// that is committed and not published. The records of the range are delivered once, the other two end by themselves, and a
// run with a later end goes on with what comes after.
func TestDaemons_ReplayARange(t *testing.T) {
	for _, test := range []struct {
		name    string
		starts  time.Duration // of the daemons
		fanOut  bool
		unorder time.Duration // how far arrivals around the end are out of order
	}{
		{"that is over", 300 * time.Second, false, 0},
		{"that is over, by fan-out", 300 * time.Second, true, 0},
		{"that ends in the future", 30 * time.Second, false, 0},
		{"whose arrivals are out of order", 300 * time.Second, false, source.StopMargin - time.Second},
	} {
		t.Run(test.name, func(t *testing.T) {
			inBubble(t, "http://unused", "", silence{fanOut: test.fanOut}, func(c *trial) { c.replay(test.starts, test.unorder) })
		})
	}
}

const (
	replayFrom = 20 * time.Second
	replayTo   = 150 * time.Second
	replayEnd  = 200 * time.Second // of what is produced
)

func (c *trial) replay(starts, unorder time.Duration) {
	began := time.Now()
	var mu sync.Mutex
	arrivals := make(map[int]time.Duration) // since began; under mu until all is produced
	if unorder > 0 {
		c.wire.services["kinesis"] = unordered(c.wire.services["kinesis"], func(n int) time.Time {
			mu.Lock()
			defer mu.Unlock()
			return began.Add(arrivals[n])
		})
	}
	produced := make(chan struct{})
	go func() {
		defer close(produced)
		rnd := rand.New(rand.NewPCG(1, 1))
		for n := range int(replayEnd / (500 * time.Millisecond)) {
			time.Sleep(500 * time.Millisecond)
			at := time.Since(began)
			if near := at - replayTo; unorder > 0 && near.Abs() < 2*unorder {
				at += time.Duration(rnd.Int64N(int64(unorder))) - unorder/2
			}
			mu.Lock()
			arrivals[n] = at
			mu.Unlock()
			if _, _, err := c.stream.Put("stream", localstream.Entry{PartitionKey: fmt.Sprint(n), Data: fmt.Appendf(nil, `{"n":%d}`, n)}); err != nil {
				c.Error(err)
			}
		}
	}()
	go func() {
		client := kinesis.NewFromConfig(c.account(&wire{services: c.wire.services}), endpoint("kinesis"))
		time.Sleep(60*time.Second + 250*time.Millisecond)
		_, err := client.SplitShard(context.Background(), &kinesis.SplitShardInput{
			StreamName: aws.String("stream"), ShardToSplit: aws.String("shardId-000000000001"), NewStartingHashKey: aws.String("170141183460469231731687303715884105728"),
		})
		time.Sleep(60 * time.Second)
		_, mergeErr := client.MergeShards(context.Background(), &kinesis.MergeShardsInput{
			StreamName: aws.String("stream"), ShardToMerge: aws.String("shardId-000000000000"), AdjacentShardToMerge: aws.String("shardId-000000000003"),
		})
		if err := errors.Join(err, mergeErr); err != nil {
			c.Error(err)
		}
	}()
	time.Sleep(starts)

	memory := local.OpenMemory()
	defer memory.Close()
	c.replayers(memory, began, began.Add(replayTo), 3)
	<-produced
	got := c.records()
	late := 0
	for n, at := range arrivals {
		switch times := got[n]; {
		case at < replayFrom && times != 0, at >= replayFrom && at < replayTo && times != 1, times > 1, at >= replayTo+source.StopMargin && times != 0:
			c.Errorf("record %d, which arrived after %v, was delivered %d times", n, at, times)
		case at >= replayTo:
			late += times
		}
	}
	if unorder == 0 && late > 0 || unorder > 0 && late == 0 {
		c.Errorf("%d records were delivered that arrived after the end, with arrivals %v out of order", late, unorder)
	}

	time.Sleep(time.Until(began.Add(400 * time.Second)))
	c.replayers(memory, began, began.Add(replayEnd+time.Minute), 2)
	got = c.records()
	for n, at := range arrivals {
		if times := got[n]; (times == 1) != (at >= replayFrom) || times > 1 {
			c.Errorf("with a later end record %d, which arrived after %v, was delivered %d times", n, at, times)
		}
	}
}

// unordered changes the arrival times in the answers of a stream, which are in order where they come from. It is for
// records that have all been put.
func unordered(do func(*http.Request) (*http.Response, error), arrival func(n int) time.Time) func(*http.Request) (*http.Response, error) {
	return func(r *http.Request) (*http.Response, error) {
		answer, err := do(r)
		if err != nil || !strings.HasSuffix(r.Header.Get("X-Amz-Target"), ".GetRecords") {
			return answer, err
		}
		var body map[string]any
		if err := json.NewDecoder(answer.Body).Decode(&body); err != nil {
			return nil, err
		}
		records, _ := body["Records"].([]any)
		for _, record := range records {
			fields := record.(map[string]any)
			data, err := base64.StdEncoding.DecodeString(fields["Data"].(string))
			if err != nil {
				return nil, err
			}
			var payload struct{ N int }
			if err := json.Unmarshal(data, &payload); err != nil {
				return nil, err
			}
			fields["ApproximateArrivalTimestamp"] = float64(arrival(payload.N).UnixMilli()) / 1000
		}
		text, err := json.Marshal(body)
		answer.ContentLength, answer.Body = int64(len(text)), io.NopCloser(bytes.NewReader(text))
		return answer, err
	}
}

// replayers runs daemons up to a time, until they end by themselves. Of three, the first to commit dies after that.
func (c *trial) replayers(store checkpoint.Store, began, until time.Time, n int) {
	var running sync.WaitGroup
	var died atomic.Int64 // index of the daemon, from 1
	adjust := func(cfg *Config) {
		cfg.StartPosition, cfg.StopPosition = StartPosition{Time: began.Add(replayFrom)}, StopPosition{Time: until}
		cfg.Protocol = "json" // which unordered reads
	}
	for i := range n {
		ctx := c.Context()
		own := &trial{T: c.T, silence: c.silence, folder: c.folder, stream: c.stream, wire: &wire{services: c.wire.services}}
		use := store
		dying, die := context.WithCancel(ctx)
		defer die()
		if n == 3 {
			use = checkpointtest.Hooked(store, func(operation string, applied bool) error {
				if dying.Err() == nil && operation == "commit" && applied && died.CompareAndSwap(0, int64(i)+1) {
					own.wire.hush("S3", "Kinesis")
					die()
				}
				if dying.Err() != nil {
					return errors.New("dead")
				}
				return nil
			})
		}
		d := own.daemon(healthyStore{use}, adjust)
		running.Go(func() {
			err := d.Run(dying)
			if died.Load() == int64(i)+1 {
				return
			}
			if err != nil {
				c.Errorf("daemon %d of %d ended with %v", i, n, err)
			}
			if s := d.look(c.Context()).Stop; s == nil || !s.At.Equal(until) || s.Passed != s.Shards || s.Shards < 3 {
				c.Errorf("at the end the status page says %+v", s)
			}
		})
	}
	ended := make(chan struct{})
	go func() {
		running.Wait()
		close(ended)
	}()
	select {
	case <-ended:
	case <-time.After(30 * time.Minute):
		c.Error("the daemons have not ended after half an hour")
	}
	if n == 3 && died.Load() == 0 {
		c.Error("no daemon has died")
	}
	if complete, err := store.Complete(c.Context()); err != nil || !complete.UpTo.Equal(until) {
		c.Errorf("at the end the data is complete up to %+v, want %v; %v", complete, until, err)
	}
}

// A run that is told to stop before its end is not complete, and goes on at the next start.
func TestDaemon_ThatIsInterruptedSaysSo(t *testing.T) {
	inBubble(t, "http://unused", "", silence{}, func(c *trial) {
		memory := local.OpenMemory()
		defer memory.Close()
		began := time.Now()
		run := func(ctx context.Context, change func(*Config)) error {
			return c.daemon(healthyStore{memory}, func(cfg *Config) {
				cfg.StopPosition.Time = began.Add(10 * time.Minute)
				change(cfg)
			}).Run(ctx)
		}
		same := func(*Config) {}
		ctx, stop := context.WithTimeout(c.Context(), time.Minute)
		defer stop()
		if err := run(ctx, same); !errors.Is(err, ErrInterrupted) {
			c.Errorf("told to stop, it ended with %v", err)
		}
		err := run(c.Context(), func(cfg *Config) { cfg.StartPosition.Time = began })
		if err == nil || !strings.Contains(err.Error(), "began at TRIM_HORIZON") {
			c.Errorf("with another beginning it ended with %v", err)
		}
		if err := run(c.Context(), same); err != nil || time.Since(began) < 10*time.Minute {
			c.Errorf("the next start ended with %v after %v", err, time.Since(began))
		}
		again := time.Now()
		if err := run(c.Context(), same); err != nil || time.Since(again) > 30*time.Second {
			c.Errorf("another start ended with %v after %v", err, time.Since(again))
		}
	})
}

// Without the service's time nothing would tell when a shard without later records has passed the end.
func TestDaemon_RefusesAnEndThatItWouldNotNotice(t *testing.T) {
	inBubble(t, "http://unused", "", silence{}, func(c *trial) {
		memory := local.OpenMemory()
		defer memory.Close()
		do := c.wire.services["kinesis"]
		c.wire.services["kinesis"] = func(r *http.Request) (*http.Response, error) {
			answer, err := do(r)
			if err == nil {
				answer.Header.Del("Date")
			}
			return answer, err
		}
		ctx, stop := context.WithTimeout(c.Context(), time.Hour)
		defer stop()
		err := c.daemon(healthyStore{memory}, func(cfg *Config) { cfg.StopPosition.Time = time.Now().Add(time.Minute) }).Run(ctx)
		if err == nil || !strings.Contains(err.Error(), "STOP_POSITION") || !strings.Contains(err.Error(), "has no date") {
			c.Errorf("it ended with %v", err)
		}
	})
}

// A run that stands still until records before its end, or a whole shard, reach the retention time delivers the rest, and says
// that it is incomplete. The control stands still for less.
func TestDaemon_ThatLostRecordsToRetentionSaysSo(t *testing.T) {
	for _, test := range []struct {
		name   string
		down   time.Duration
		splits bool // a shard, before the run is stopped
		want   error
	}{
		{"records", 49 * time.Hour, false, ErrIncomplete},
		{"a shard", 49 * time.Hour, true, ErrIncomplete},
		{"nothing", 12 * time.Hour, false, nil},
		{"nothing of a shard that has ended", 12 * time.Hour, true, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			inBubble(t, "http://unused", "", silence{}, func(c *trial) { c.outliveRetention(test.down, test.splits, test.want) })
		})
	}
}

func (c *trial) outliveRetention(down time.Duration, splits bool, want error) {
	memory := local.OpenMemory()
	defer memory.Close()
	until := time.Now().Add(down + 5*time.Minute)
	run := func(ctx context.Context) error {
		return c.daemon(healthyStore{memory}, func(cfg *Config) { cfg.StopPosition.Time = until }).Run(ctx)
	}
	sent := 0
	send := func() {
		for range 30 { // some to each shard
			if _, _, err := c.stream.Put("stream", localstream.Entry{PartitionKey: fmt.Sprint(sent), Data: fmt.Appendf(nil, `{"n":%d}`, sent)}); err != nil {
				c.Fatal(err)
			}
			sent++
		}
	}
	send()
	ctx, stop := context.WithTimeout(c.Context(), time.Minute)
	defer stop()
	if err := run(ctx); !errors.Is(err, ErrInterrupted) {
		c.Fatalf("the first run ended with %v", err)
	}
	send() // which the stream loses unless the next run is soon
	if splits {
		client := kinesis.NewFromConfig(c.account(&wire{services: c.wire.services}), endpoint("kinesis"))
		if _, err := client.SplitShard(c.Context(), &kinesis.SplitShardInput{
			StreamName: aws.String("stream"), ShardToSplit: aws.String("shardId-000000000001"), NewStartingHashKey: aws.String("170141183460469231731687303715884105728"),
		}); err != nil {
			c.Fatal(err)
		}
	}
	time.Sleep(down)
	send()
	if err := run(c.Context()); !errors.Is(err, want) {
		c.Errorf("it ended with %v, want %v", err, want)
	}
	delivered := c.records()
	for n := range sent {
		times, lost := 1, want != nil && n >= 30 && n < 60
		if lost {
			times = 0
		}
		if delivered[n] != times {
			c.Errorf("record %d was delivered %d times, want %d", n, delivered[n], times)
		}
	}
}

func TestConfig_RefusesARangeThatTheStreamNoLongerHas(t *testing.T) {
	now := time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)
	ago := func(h int) time.Time { return now.Add(time.Duration(-h) * time.Hour) }
	for _, test := range []struct {
		name        string
		start, stop time.Time
		created     time.Time
		want        string
	}{
		{"within the retention time", ago(20), ago(10), ago(1000), ""},
		{"what is left", time.Time{}, ago(10), ago(1000), ""},
		{"trimmed in part", ago(30), ago(10), ago(1000), `START_POSITION="2026-11-27T06:00:00Z": stream trips keeps records for 24h0m0s and has none from before 2026-11-27T12:00:00Z: want a later time, or TRIM_HORIZON for what is left`},
		{"trimmed", time.Time{}, ago(24), ago(1000), `STOP_POSITION="2026-11-27T12:00:00Z": stream trips keeps records for 24h0m0s and has none from before 2026-11-27T12:00:00Z: want a later time`},
		{"before a young stream", ago(30), ago(1), ago(20), ""},
	} {
		cfg := Config{StreamConfig: StreamConfig{StartPosition: StartPosition{Time: test.start}, StopPosition: StopPosition{Time: test.stop}}}
		err := cfg.checkRetention(shardmap.Stream{Name: "trips", Retention: 24 * time.Hour, ServerTime: now, Created: test.created})
		if text := fmt.Sprint(err); err == nil && test.want != "" || err != nil && text != test.want {
			t.Errorf("%s: %v, want %s", test.name, err, test.want)
		}
	}
}
