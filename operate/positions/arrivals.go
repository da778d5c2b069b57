package positions

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/internal/backoff"
	"aws-streaming-pipeline/internal/logkey"
	"aws-streaming-pipeline/internal/streams"
	"aws-streaming-pipeline/record"
)

const (
	// arrivalPause is the time between two reads of a shard, which takes five a second from all of its readers together
	// ("Quotas and limits" of Kinesis Data Streams).
	arrivalPause = 300 * time.Millisecond
	// arrivalWait bounds the search for one record.
	arrivalWait = 2 * time.Minute
	// arrivalTips is how many answers in a row have to tell that nothing more is there until that is believed: what is
	// passed over then is never read.
	arrivalTips = 3
)

// arrivalRetries bounds the waits after calls that were throttled.
var arrivalRetries = backoff.Policy{First: 2 * arrivalPause, Longest: 5 * time.Second}

// arrivals asks a stream for records and when they arrived.
type arrivals struct {
	client *kinesis.Client
	stream streams.ID
	log    *slog.Logger
}

// before returns the time of a record's arrival as a position if it is an aggregate with user records after the one with
// this number: reading begins with that record, or with others that arrived in the same millisecond. It returns none if
// there are no more, and if the stream has dropped the record: what the stream still holds begins after it, and the log
// says so where something may have been left of it. An error means that neither is known.
func (a arrivals) before(ctx context.Context, shard, sequence string, user int64) (checkpoint.Position, error) {
	deadline, cancel := context.WithTimeout(ctx, arrivalWait)
	defer cancel()
	r, err := a.find(deadline, shard, sequence)
	switch {
	case errors.Is(err, errTrimmed):
		if user > 0 {
			a.log.Warn("the record of a checkpoint has left the stream: the shard begins after it", logkey.Shard, shard, logkey.Sequence, sequence)
		}
		return "", nil
	case err != nil && deadline.Err() != nil && ctx.Err() == nil:
		return "", fmt.Errorf("the record was not found within %v: try again: %w", arrivalWait, err)
	case err != nil:
		return "", err
	}
	if users := record.AppendRecords(nil, record.Record{Data: r.Data}); int64(len(users)) <= user+1 {
		return "", nil
	}
	return checkpoint.AtTimestamp(aws.ToTime(r.ApproximateArrivalTimestamp)), nil
}

// errTrimmed means that a record has outlived the stream's retention.
var errTrimmed = errors.New("the stream holds the record no more")

// find reads from a record's place until it meets the record, a later one, or the end of what the shard holds: an answer
// may be empty although there are records further on.
func (a arrivals) find(ctx context.Context, shard, sequence string) (types.Record, error) {
	in := &kinesis.GetShardIteratorInput{
		StreamName: a.stream.ByName(), StreamARN: a.stream.ByARN(),
		ShardId: &shard, ShardIteratorType: types.ShardIteratorTypeAtSequenceNumber, StartingSequenceNumber: &sequence,
	}
	var iterator *string
	err := unthrottled(ctx, func() error {
		at, err := a.client.GetShardIterator(ctx, in)
		if err == nil {
			iterator = at.ShardIterator
		}
		return err
	})
	for tips := 0; err == nil && iterator != nil && tips < arrivalTips; {
		var out *kinesis.GetRecordsOutput
		err = unthrottled(ctx, func() (err error) {
			out, err = a.client.GetRecords(ctx, &kinesis.GetRecordsInput{ShardIterator: iterator, StreamARN: in.StreamARN, Limit: aws.Int32(1)})
			return err
		})
		switch {
		case err != nil:
		case len(out.Records) > 0 && record.CompareSequence(aws.ToString(out.Records[0].SequenceNumber), sequence) == 0:
			return out.Records[0], nil
		case len(out.Records) > 0: // a later record
			return types.Record{}, errTrimmed
		default:
			tips++
			if aws.ToInt64(out.MillisBehindLatest) > 0 {
				tips = 0
			}
			iterator = out.NextShardIterator
			err = backoff.Sleep(ctx, arrivalPause)
		}
	}
	if _, gone := errors.AsType[*types.ResourceNotFoundException](err); err == nil || gone {
		return types.Record{}, errTrimmed // nothing is left up to the tip or the shard's end, or the shard itself is gone
	}
	return types.Record{}, err
}

// unthrottled calls f until it is not throttled, or ctx ends.
func unthrottled(ctx context.Context, f func() error) error {
	return arrivalRetries.Retry(ctx, func(err error) bool {
		_, busy := errors.AsType[*types.ProvisionedThroughputExceededException](err)
		_, limited := errors.AsType[*types.LimitExceededException](err)
		return busy || limited
	}, f)
}
