package simulate

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
)

// The limits are those of the Amazon Kinesis API Reference, ListShards and DescribeStreamSummary.
const (
	listPage            = 1000 // shards, if the request names no number
	listsPerSecond      = 1000 // for the stream
	summariesPerSecond  = 20   // for the account
	listLatency         = 20 * time.Millisecond
	streamName          = "trips"
	streamARN           = "arn:aws:kinesis:us-east-1:123456789012:stream/trips"
	streamRetentionHour = 24
)

// Stream is a Kinesis stream as its listing shows it.
type Stream struct {
	meter   *meter
	created time.Time

	mu        sync.Mutex
	shards    []types.Shard
	ends      map[string]chan struct{} // closed at the end of the shard
	lists     allowance
	summaries allowance
}

func newStream(m *meter, shards int) *Stream {
	s := &Stream{meter: m, created: time.Now().Add(-time.Hour).Truncate(time.Second), ends: make(map[string]chan struct{})}
	for range shards {
		s.add("")
	}
	return s
}

// add adds a shard, the child of another one or of none.
func (s *Stream) add(parent string) {
	id := fmt.Sprintf("shardId-%012d", len(s.shards))
	shard := types.Shard{
		ShardId:             aws.String(id),
		HashKeyRange:        &types.HashKeyRange{StartingHashKey: aws.String("0"), EndingHashKey: aws.String("340282366920938463463374607431768211455")},
		SequenceNumberRange: &types.SequenceNumberRange{StartingSequenceNumber: aws.String(sequence(time.Now()))},
	}
	if parent != "" {
		shard.ParentShardId = aws.String(parent)
	}
	s.shards = append(s.shards, shard)
	s.ends[id] = make(chan struct{})
}

// sequence is a sequence number of the length that Kinesis gives.
func sequence(at time.Time) string { return fmt.Sprintf("49%054d", at.UnixNano()) }

// split ends a shard and adds its two children.
func (s *Stream) split(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	parent := *s.shards[n].ShardId
	s.shards = slices.Clone(s.shards) // answers share the shards
	s.shards[n].SequenceNumberRange = &types.SequenceNumberRange{
		StartingSequenceNumber: s.shards[n].SequenceNumberRange.StartingSequenceNumber,
		EndingSequenceNumber:   aws.String(sequence(time.Now())),
	}
	s.add(parent)
	s.add(parent)
	close(s.ends[parent])
}

// ended is closed when the shard accepts no more records.
func (s *Stream) ended(shard string) <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ends[shard]
}

// Serve answers a call as Kinesis would.
func (s *Stream) Serve(ctx context.Context, in any) (any, error) {
	if err := wait(ctx, listLatency/2+rand.N(listLatency)); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch in := in.(type) {
	case *kinesis.ListShardsInput:
		return s.list(in)
	case *kinesis.DescribeStreamSummaryInput:
		if !s.admit("DescribeStreamSummary", &s.summaries, summariesPerSecond) {
			return nil, &types.LimitExceededException{Message: aws.String("simulated")}
		}
		return &kinesis.DescribeStreamSummaryOutput{StreamDescriptionSummary: &types.StreamDescriptionSummary{
			StreamName: aws.String(streamName), StreamARN: aws.String(streamARN), StreamCreationTimestamp: &s.created,
			RetentionPeriodHours: aws.Int32(streamRetentionHour), OpenShardCount: aws.Int32(int32(len(s.shards))),
		}}, nil
	}
	panic(fmt.Sprintf("%T is not simulated", in))
}

// admit counts a call, and reports whether its limit admits it.
func (s *Stream) admit(operation string, a *allowance, perSecond float64) bool {
	t := Tally{Calls: 1}
	open := a.open(time.Now(), perSecond)
	if open {
		a.left--
	} else {
		t.Refused = 1
	}
	s.meter.add(streamCalls+operation, t)
	return open
}

func (s *Stream) list(in *kinesis.ListShardsInput) (*kinesis.ListShardsOutput, error) {
	if !s.admit("ListShards", &s.lists, listsPerSecond) {
		return nil, &types.LimitExceededException{Message: aws.String("simulated")}
	}
	from := 0
	if in.NextToken != nil {
		var err error
		if from, err = strconv.Atoi(*in.NextToken); err != nil {
			return nil, err
		}
	}
	to := min(len(s.shards), from+listPage)
	out := &kinesis.ListShardsOutput{Shards: s.shards[from:to]}
	if to < len(s.shards) {
		out.NextToken = aws.String(strconv.Itoa(to))
	}
	return out, nil
}
