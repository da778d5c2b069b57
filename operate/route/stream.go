package route

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"golang.org/x/sync/errgroup"

	"aws-streaming-pipeline/consumer/shardmap"
	"aws-streaming-pipeline/internal/backoff"
	"aws-streaming-pipeline/internal/streams"
	"aws-streaming-pipeline/record"
)

// Kinesis is the set of calls that Newest makes. None of them changes anything. *kinesis.Client implements it.
type Kinesis interface {
	shardmap.API
	GetShardIterator(context.Context, *kinesis.GetShardIteratorInput, ...func(*kinesis.Options)) (*kinesis.GetShardIteratorOutput, error)
	GetRecords(context.Context, *kinesis.GetRecordsInput, ...func(*kinesis.Options)) (*kinesis.GetRecordsOutput, error)
}

// Newest says which records of a stream are read.
type Newest struct {
	Stream streams.ID
	// Shard is the only shard that is read; empty for all.
	Shard string
	// Count is how many records are wanted, the newest of all shards.
	Count int
}

const (
	// maxCalls bounds the GetRecords calls for one shard.
	maxCalls = 25
	// callInterval is the least time between two calls for one shard: Kinesis allows five per second, and the daemon makes up to four.
	callInterval = time.Second
	// shardsAtOnce is how many shards are read at a time.
	shardsAtOnce = 8
)

// windows are how far back the records are looked for, one after the other, until there are enough. The last is longer than any
// retention period (365 days).
var windows = []time.Duration{time.Second, 15 * time.Second, 5 * time.Minute, time.Hour, 12 * time.Hour, 400 * 24 * time.Hour}

// Read returns the newest records of the stream, in the order of their arrival. It reads with AT_TIMESTAMP iterators from ever earlier
// times, at most maxCalls times per shard and a second apart. The notes say where it stopped before it had seen everything.
func (n Newest) Read(ctx context.Context, api Kinesis) (samples []Sample, notes []string, err error) {
	listing, err := shardmap.NewLister(api, n.Stream).ListShards(ctx)
	if err != nil {
		return nil, nil, err
	}
	now := listing.AsOf // by Kinesis's clock, which refuses times in its future
	if now.IsZero() {
		now = time.Now()
	}
	tails, err := n.tails(listing, now)
	if err != nil {
		return nil, nil, err
	}
	for _, window := range windows {
		group, ctx := errgroup.WithContext(ctx)
		group.SetLimit(shardsAtOnce)
		for _, t := range tails {
			group.Go(func() error { return t.extend(ctx, api, now.Add(-window)) })
		}
		if err := group.Wait(); err != nil {
			return nil, nil, err
		}
		samples = n.newest(tails)
		if len(samples) == n.Count {
			break
		}
	}
	for _, t := range tails {
		if t.calls == maxCalls {
			notes = append(notes, fmt.Sprintf("%s was read %d times, and there may be more records before or between those that were found: --shard %s reads it alone", t.shard, maxCalls, t.shard))
		}
	}
	return samples, notes, nil
}

func (n Newest) tails(listing shardmap.Listing, now time.Time) ([]*tail, error) {
	var tails []*tail
	for _, s := range listing.Shards {
		if n.Shard != "" && s.ID != n.Shard {
			continue
		}
		hashes, err := record.ParseHashRange(s.HashStart, s.HashEnd)
		if err != nil {
			return nil, fmt.Errorf("shard %s: %w", s.ID, err)
		}
		tails = append(tails, &tail{stream: n.Stream, shard: s.ID, hashes: hashes, most: n.Count, from: now})
	}
	if len(tails) == 0 {
		return nil, fmt.Errorf("--shard=%q: want a shard of the stream, such as %s", n.Shard, listing.Shards[0].ID)
	}
	return tails, nil
}

// newest returns the newest records of all shards.
func (n Newest) newest(tails []*tail) (samples []Sample) {
	for _, t := range tails {
		samples = append(samples, t.samples...)
	}
	slices.SortStableFunc(samples, func(a, b Sample) int { return a.Record.Arrival.Compare(b.Record.Arrival) })
	return samples[max(0, len(samples)-n.Count):]
}

// tail is the end of a shard, as far as it has been read.
type tail struct {
	stream streams.ID
	shard  string
	hashes record.HashRange
	most   int // records that are kept, the newest

	samples []Sample
	from    time.Time // what arrived since then has been read; when reading began, at first
	calls   int
	called  time.Time // the last time
}

// extend reads what arrived since a time, up to what has been read before.
func (t *tail) extend(ctx context.Context, api Kinesis, since time.Time) error {
	if t.calls >= maxCalls {
		return nil
	}
	out, err := api.GetShardIterator(ctx, &kinesis.GetShardIteratorInput{
		StreamName: t.stream.ByName(), StreamARN: t.stream.ByARN(), ShardId: &t.shard, ShardIteratorType: types.ShardIteratorTypeAtTimestamp, Timestamp: &since,
	})
	if err != nil {
		return fmt.Errorf("open an iterator of %s: %w", t.shard, err)
	}
	var earlier []Sample
	for iterator, done := out.ShardIterator, false; iterator != nil && !done && t.calls < maxCalls; {
		page, err := t.page(ctx, api, iterator)
		if err != nil {
			return err
		}
		for i := range page.Records {
			if s := t.sample(&page.Records[i]); !t.known(s) {
				earlier = append(earlier, s)
			}
		}
		if n := len(page.Records); n > 0 {
			done = aws.ToTime(page.Records[n-1].ApproximateArrivalTimestamp).After(t.from)
		}
		earlier = slices.Clone(earlier[max(0, len(earlier)-t.most):])
		done = done || aws.ToInt64(page.MillisBehindLatest) == 0
		iterator = page.NextShardIterator
	}
	t.samples = append(earlier, t.samples...)
	t.samples = t.samples[max(0, len(t.samples)-t.most):]
	t.from = since
	return nil
}

// known reports whether a record has been read before.
func (t *tail) known(s Sample) bool {
	return len(t.samples) > 0 && record.CompareSequence(s.Record.SequenceNumber, t.samples[0].Record.SequenceNumber) >= 0
}

// page reads once.
func (t *tail) page(ctx context.Context, api Kinesis, iterator *string) (*kinesis.GetRecordsOutput, error) {
	for {
		if err := backoff.Sleep(ctx, callInterval-time.Since(t.called)); err != nil {
			return nil, err
		}
		t.calls++
		t.called = time.Now()
		page, err := api.GetRecords(ctx, &kinesis.GetRecordsInput{ShardIterator: iterator, StreamARN: t.stream.ByARN()})
		if _, throttled := errors.AsType[*types.ProvisionedThroughputExceededException](err); throttled && t.calls < maxCalls {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", t.shard, err)
		}
		return page, nil
	}
}

func (t *tail) sample(r *types.Record) Sample {
	return Sample{Hashes: &t.hashes, Record: record.Record{
		Shard: t.shard, SequenceNumber: aws.ToString(r.SequenceNumber), PartitionKey: aws.ToString(r.PartitionKey),
		Arrival: aws.ToTime(r.ApproximateArrivalTimestamp).UTC(), Data: r.Data,
	}}
}
