package shardmap

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"aws-streaming-pipeline/internal/backoff"
)

// perPage is how many shards an answer has. It is 1,000 in Kinesis, whatever was asked for (Amazon Kinesis API Reference, ListShards).
const perPage = 10

// large is a stream of many shards that takes 1,000 calls of ListShards per second, as Kinesis does.
type large struct {
	API
	mu        sync.Mutex
	shards    int
	second    time.Time
	inSecond  int
	busiest   int
	calls     int
	throttled int
}

func (l *large) ListShards(_ context.Context, in *kinesis.ListShardsInput, _ ...func(*kinesis.Options)) (*kinesis.ListShardsOutput, error) {
	time.Sleep(20*time.Millisecond + rand.N(40*time.Millisecond))
	l.mu.Lock()
	defer l.mu.Unlock()
	l.calls++
	if now := time.Now(); now.Sub(l.second) >= time.Second {
		l.second, l.inSecond = now, 0
	}
	l.inSecond++
	l.busiest = max(l.busiest, l.inSecond)
	if l.inSecond > 1000 {
		l.throttled++
		return nil, &types.LimitExceededException{}
	}
	from, _ := strconv.Atoi(aws.ToString(in.NextToken))
	out := &kinesis.ListShardsOutput{}
	for i := from; i < min(l.shards, from+perPage); i++ {
		out.Shards = append(out.Shards, types.Shard{ShardId: aws.String(fmt.Sprintf("shardId-%012d", i))})
	}
	if from+perPage < l.shards {
		out.NextToken = aws.String(strconv.Itoa(from + perPage))
	}
	return out, nil
}

// list has 200 workers list the stream at the same moment.
func (l *large) list(t *testing.T, want int) {
	var workers sync.WaitGroup
	for range 200 {
		workers.Go(func() {
			got, err := NewLister(l, "trips").ListShards(t.Context())
			if err != nil || len(got.Shards) != want {
				t.Errorf("%d shards, %v, want %d", len(got.Shards), err, want)
			}
		})
	}
	workers.Wait()
}

func TestLister_AFleetThatStartsAtOnceStaysWithinTheRate(t *testing.T) {
	for pages, within := range map[int]time.Duration{1: time.Second, 10: 6 * time.Second} {
		shards := pages * perPage
		synctest.Test(t, func(t *testing.T) {
			api, began := &large{shards: shards}, time.Now()
			api.list(t, shards)
			t.Logf("%d pages: %d calls in %v, up to %d in a second", pages, api.calls, time.Since(began).Round(time.Millisecond), api.busiest)
			if took := time.Since(began); api.throttled > 0 || api.calls != 200*pages || took > within {
				t.Errorf("%d pages: %d calls in %v, %d of them throttled", pages, api.calls, took, api.throttled)
			}
		})
	}
	synctest.Test(t, func(t *testing.T) {
		defer func(p backoff.Policy) { pacing = p }(pacing)
		pacing = backoff.Policy{First: 1, Longest: 1}
		api := &large{shards: 10 * perPage}
		api.list(t, api.shards)
		if api.throttled == 0 {
			t.Error("control: without pauses nothing is throttled either")
		}
	})
}

// doubling is a stream whose shards are all split between the first page of a listing and the second.
type doubling struct {
	large
	open int
}

func (d *doubling) ListShards(ctx context.Context, in *kinesis.ListShardsInput, o ...func(*kinesis.Options)) (*kinesis.ListShardsOutput, error) {
	out, err := d.large.ListShards(ctx, in, o...)
	if err != nil {
		return nil, err
	}
	for i := range out.Shards {
		n, _ := strconv.Atoi(strings.TrimPrefix(aws.ToString(out.Shards[i].ShardId), "shardId-"))
		out.Shards[i].SequenceNumberRange = &types.SequenceNumberRange{StartingSequenceNumber: aws.String("1")}
		if n >= d.open {
			out.Shards[i].ParentShardId = aws.String(fmt.Sprintf("shardId-%012d", (n-d.open)/2))
		} else if d.shards > d.open {
			out.Shards[i].SequenceNumberRange.EndingSequenceNumber = aws.String("9")
		}
	}
	d.mu.Lock()
	d.shards = 3 * d.open
	d.mu.Unlock()
	return out, nil
}

// An on-demand stream splits its shards under load, all within seconds. A listing that begins before that and ends after it shows some
// parents open and all children, each with its parent.
func TestLister_OfAStreamThatDoublesShowsEachChildWithItsParent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := &doubling{large: large{shards: 3 * perPage}, open: 3 * perPage}
		m := NewMap()
		for listing := range 2 {
			got, err := NewLister(api, "trips").ListShards(t.Context())
			if err != nil || len(got.Shards) != 9*perPage {
				t.Fatalf("%d shards, %v", len(got.Shards), err)
			}
			m.Update(time.Now(), got.Shards)
			closed := 0
			for _, s := range got.Shards {
				if s.Closed {
					closed++
				}
				if len(s.Parents) == 0 {
					continue
				}
				if _, listed := m.Shard(s.Parents[0]); !listed {
					t.Errorf("shard %s is listed, its parent %s is not", s.ID, s.Parents[0])
				}
			}
			if want := []int{2 * perPage, 3 * perPage}[listing]; closed != want {
				t.Errorf("listing %d shows %d closed shards, want %d", listing, closed, want)
			}
		}
	})
}
