package consumer

import (
	"context"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"aws-streaming-pipeline/checkpoint/local"
	"aws-streaming-pipeline/internal/localstream"
)

// An on-demand stream doubles its shards under load, and then again: from 8 to 16 and 32. Others use up its rate of ListShards but for two calls
// per second. Three workers deliver each record once, and share the shards evenly afterwards.
func TestDaemons_FollowAStreamThatDoublesUnderLoad(t *testing.T) {
	inBubble(t, "", "", silence{}, (*trial).double)
}

func (c *trial) double() {
	const workers, shards, records = 3, 8, 1500
	if err := c.stream.CreateStream("growing", shards); err != nil {
		c.Fatal(err)
	}
	client := kinesis.NewFromConfig(c.account(&wire{services: c.wire.services}), endpoint("kinesis"))
	rated := &rated{do: c.wire.services["kinesis"], perSecond: 2}
	c.wire.services["kinesis"] = rated.Do
	memory := local.OpenMemory()
	defer memory.Close()
	ctx, stop := context.WithCancel(c.Context())
	var running sync.WaitGroup
	var daemons []*Daemon
	for range workers {
		d := c.daemon(healthyStore{memory}, func(c *Config) { c.Stream, c.ReadInterval, c.MemoryBudget = "growing", 5*time.Second, 512<<20 })
		daemons = append(daemons, d)
		running.Go(func() {
			if err := d.Run(ctx); err != nil {
				c.Errorf("run: %v", err)
			}
		})
	}
	defer running.Wait()
	defer stop()
	for n := range records { // for two and a half minutes
		if n == 300 || n == 600 {
			c.split(client, "growing")
		}
		if _, _, err := c.stream.Put("growing", localstream.Entry{PartitionKey: fmt.Sprint(n), Data: fmt.Appendf(nil, `{"n":%d}`, n)}); err != nil {
			c.Fatal(err)
		}
		time.Sleep(100 * time.Millisecond)
	}
	time.Sleep(2 * time.Minute)
	delivered := c.records()
	for n := range records {
		if delivered[n] != 1 {
			c.Errorf("record %d was delivered %d times", n, delivered[n])
		}
	}
	var read []int
	for _, d := range daemons {
		read = append(read, len(d.shards.behind()))
	}
	if total := read[0] + read[1] + read[2]; total != 4*shards || slices.Max(read)-slices.Min(read) > 1 {
		c.Errorf("the workers read %v shards", read)
	}
	calls, refused := rated.counts()
	c.Logf("%d listings, %d refused", calls, refused)
	if refused == 0 {
		c.Error("the limit was never met")
	}
}

// split splits all open shards of a stream in the middle.
func (c *trial) split(client *kinesis.Client, stream string) {
	out, err := client.ListShards(c.Context(), &kinesis.ListShardsInput{StreamName: &stream})
	if err != nil {
		c.Fatal(err)
	}
	for _, s := range out.Shards {
		if s.SequenceNumberRange.EndingSequenceNumber != nil {
			continue
		}
		from, _ := new(big.Int).SetString(aws.ToString(s.HashKeyRange.StartingHashKey), 10)
		to, _ := new(big.Int).SetString(aws.ToString(s.HashKeyRange.EndingHashKey), 10)
		middle := from.Add(from, to)
		middle.Rsh(middle, 1)
		if _, err := client.SplitShard(c.Context(), &kinesis.SplitShardInput{StreamName: &stream, ShardToSplit: s.ShardId, NewStartingHashKey: aws.String(middle.String())}); err != nil {
			c.Fatal(err)
		}
	}
}

// rated is a Kinesis that takes a number of ListShards per second.
type rated struct {
	do        func(*http.Request) (*http.Response, error)
	perSecond int

	mu             sync.Mutex
	second         time.Time
	taken          int
	calls, refused int
}

func (r *rated) Do(request *http.Request) (*http.Response, error) {
	if strings.HasSuffix(request.Header.Get("X-Amz-Target"), ".ListShards") && !r.takes(time.Now()) {
		return &http.Response{
			StatusCode: http.StatusBadRequest, Request: request, Header: http.Header{"Content-Type": {"application/x-amz-json-1.1"}},
			Body: io.NopCloser(strings.NewReader(`{"__type":"LimitExceededException","message":"Rate exceeded for stream growing."}`)),
		}, nil
	}
	return r.do(request)
}

func (r *rated) takes(now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if now.Sub(r.second) >= time.Second {
		r.second, r.taken = now, 0
	}
	r.calls++
	if r.taken == r.perSecond {
		r.refused++
		return false
	}
	r.taken++
	return true
}

func (r *rated) counts() (calls, refused int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.calls, r.refused
}
