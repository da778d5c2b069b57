package shardmap

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"aws-streaming-pipeline/internal/backoff"
	"aws-streaming-pipeline/internal/streams"
)

// API is the part of the Kinesis client that a Lister uses.
type API interface {
	ListShards(context.Context, *kinesis.ListShardsInput, ...func(*kinesis.Options)) (*kinesis.ListShardsOutput, error)
	DescribeStreamSummary(context.Context, *kinesis.DescribeStreamSummaryInput, ...func(*kinesis.Options)) (*kinesis.DescribeStreamSummaryOutput, error)
}

const (
	// pageAttempts bounds how often one page is requested while the stream is throttled.
	pageAttempts = 6
	// listAttempts bounds how often a listing starts over because its token expired (after 300 seconds, according to
	// the API reference of ListShards).
	listAttempts = 2
	// callTimeout bounds one call including the SDK's attempts; the service answers within a second.
	callTimeout = 10 * time.Second
)

// pacing is the pause before each further page. An answer has at most 1,000 shards, whatever MaxResults says, and all callers together
// may ask a stream 1,000 times per second (Amazon Kinesis API Reference, ListShards): 200 workers that start at once, or whose
// shards are split at once, list 10,000 shards without exceeding that.
var pacing = backoff.Policy{First: 500 * time.Millisecond, Longest: 500 * time.Millisecond}

// throttling bounds the waits after throttled calls: those of one page take eight seconds in total on average.
var throttling = backoff.Policy{First: 500 * time.Millisecond, Longest: 8 * time.Second}

// Lister asks Kinesis for the shards of one stream. It is safe for concurrent use.
type Lister struct {
	api    API
	stream streams.ID
}

// NewLister returns a Lister of a stream.
func NewLister(api API, stream streams.ID) *Lister { return &Lister{api: api, stream: stream} }

// ListShards returns all shards of the stream, including those closed within the retention period. It returns a
// complete listing or an error.
func (l *Lister) ListShards(ctx context.Context) (Listing, error) {
	var err error
	for range listAttempts {
		var listing Listing
		listing, err = l.list(ctx)
		if err == nil {
			return listing, nil
		}
		if _, expired := errors.AsType[*types.ExpiredNextTokenException](err); !expired {
			break
		}
	}
	return Listing{}, fmt.Errorf("list shards of %s: %w", l.stream, err)
}

func (l *Lister) list(ctx context.Context) (Listing, error) {
	var listing Listing
	began := time.Now()
	// A token already names the stream; a name next to it is refused, an ARN is not.
	in := &kinesis.ListShardsInput{StreamName: l.stream.ByName(), StreamARN: l.stream.ByARN()}
	for {
		out, err := l.page(ctx, in)
		if err != nil {
			return Listing{}, err
		}
		if len(listing.Shards) == 0 {
			// The service answered after it was asked: subtracting the time in between leaves the time when it was asked, or
			// an earlier one. The host's clock plays no part.
			if served, ok := awsmiddleware.GetServerTime(out.ResultMetadata); ok && !served.IsZero() {
				listing.AsOf = served.Add(-time.Since(began))
			}
		}
		for _, s := range out.Shards {
			listing.Shards = append(listing.Shards, fromAPI(s))
		}
		if aws.ToString(out.NextToken) == "" {
			break
		}
		in = &kinesis.ListShardsInput{NextToken: out.NextToken, StreamARN: l.stream.ByARN()}
		if err := pacing.Pause(ctx, 1); err != nil {
			return Listing{}, err
		}
	}
	if len(listing.Shards) == 0 {
		return Listing{}, errors.New("the answer has no shards, but every stream has at least one")
	}
	return listing, nil
}

// page requests one page, more slowly if the stream is throttled: starting over would cost the pages already read.
func (l *Lister) page(ctx context.Context, in *kinesis.ListShardsInput) (*kinesis.ListShardsOutput, error) {
	var out *kinesis.ListShardsOutput
	attempts := 0
	again := func(err error) bool { return throttled(err) && attempts < pageAttempts }
	err := throttling.Retry(ctx, again, func() (err error) {
		attempts++
		out, err = l.ask(ctx, in)
		return err
	})
	return out, err
}

func (l *Lister) ask(ctx context.Context, in *kinesis.ListShardsInput) (*kinesis.ListShardsOutput, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	return l.api.ListShards(ctx, in)
}

func throttled(err error) bool {
	if _, ok := errors.AsType[*types.LimitExceededException](err); ok {
		return true
	}
	_, ok := errors.AsType[*types.ProvisionedThroughputExceededException](err)
	return ok
}

// Describe returns the stream's identity and retention, and the service's time.
func (l *Lister) Describe(ctx context.Context) (Stream, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	out, err := l.api.DescribeStreamSummary(ctx, &kinesis.DescribeStreamSummaryInput{StreamName: l.stream.ByName(), StreamARN: l.stream.ByARN()})
	if err != nil {
		return Stream{}, fmt.Errorf("describe stream %s: %w", l.stream, err)
	}
	d := out.StreamDescriptionSummary
	if d == nil {
		return Stream{}, fmt.Errorf("describe stream %s: the answer is empty", l.stream)
	}
	served, _ := awsmiddleware.GetServerTime(out.ResultMetadata)
	return Stream{
		Name:       aws.ToString(d.StreamName),
		ARN:        aws.ToString(d.StreamARN),
		Created:    aws.ToTime(d.StreamCreationTimestamp),
		Retention:  time.Duration(aws.ToInt32(d.RetentionPeriodHours)) * time.Hour,
		OpenShards: int(aws.ToInt32(d.OpenShardCount)),
		ServerTime: served,
	}, nil
}

func fromAPI(s types.Shard) Shard {
	shard := Shard{ID: aws.ToString(s.ShardId)}
	for _, parent := range []*string{s.ParentShardId, s.AdjacentParentShardId} {
		if id := aws.ToString(parent); id != "" {
			shard.Parents = append(shard.Parents, id)
		}
	}
	if r := s.HashKeyRange; r != nil {
		shard.HashStart, shard.HashEnd = aws.ToString(r.StartingHashKey), aws.ToString(r.EndingHashKey)
	}
	if r := s.SequenceNumberRange; r != nil {
		shard.StartingSequence, shard.EndingSequence = aws.ToString(r.StartingSequenceNumber), aws.ToString(r.EndingSequenceNumber)
	}
	shard.Closed = shard.EndingSequence != ""
	return shard
}
