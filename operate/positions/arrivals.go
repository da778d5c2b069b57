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
	// arrivalPause is the time between two reads of a shard, which allows five per second for all its readers together
	// ("Quotas and limits" of Kinesis Data Streams).
	arrivalPause = 300 * time.Millisecond
	// arrivalWait limits the search for one record.
	arrivalWait = 2 * time.Minute
	// arrivalTips is how many answers in a row must say that the shard's tip is reached before that is believed: records
	// that are passed over are never read.
	arrivalTips = 3
)

// arrivalRetries sets the waits after throttled calls.
var arrivalRetries = backoff.Policy{First: 2 * arrivalPause, Longest: 5 * time.Second}

// arrivals looks up the arrival times of records in a stream.
type arrivals struct {
	client *kinesis.Client
	stream streams.ID
	log    *slog.Logger
}

// before returns the arrival time of a record as a position, if the record is an aggregate with user records after number
// user: reading then begins with that record, or with others that arrived in the same millisecond. It returns no position
// if there are no more user records, or if the stream has dropped the record: what the stream still holds begins after
// it. In the latter case it logs a warning if user records may have been lost. An error means that none of this is known.
func (a arrivals) before(ctx context.Context, shard, sequence string, user int64) (checkpoint.Position, error) {
	deadline, cancel := context.WithTimeout(ctx, arrivalWait)
	defer cancel()
	r, err := a.find(deadline, shard, sequence)
	switch {
	case errors.Is(err, errTrimmed):
		if user > 0 {
			a.log.Warn("the record of a checkpoint has expired from the stream: the shard begins after it", logkey.Shard, shard, logkey.Sequence, sequence)
		}
		return "", nil
	case err != nil && deadline.Err() != nil && ctx.Err() == nil:
		return "", fmt.Errorf("record not found within %v, try again: %w", arrivalWait, err)
	case err != nil:
		return "", err
	}
	if users := record.AppendRecords(nil, record.Record{Data: r.Data}); int64(len(users)) <= user+1 {
		return "", nil
	}
	return checkpoint.AtTimestamp(aws.ToTime(r.ApproximateArrivalTimestamp)), nil
}

// errTrimmed means that a record has passed the stream's retention period.
var errTrimmed = errors.New("the stream no longer holds the record")

// find reads from a record's position until it reaches the record, a later one, or the end of the shard. An answer may be
// empty even if more records follow.
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
		return types.Record{}, errTrimmed // no record up to the tip or the shard's end, or no shard
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
