package producer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/aws/smithy-go"

	"aws-streaming-pipeline/internal/backoff"
	"aws-streaming-pipeline/internal/logkey"
	"aws-streaming-pipeline/internal/streams"
)

// Client is the part of *kinesis.Client that the producer calls.
type Client interface {
	PutRecords(context.Context, *kinesis.PutRecordsInput, ...func(*kinesis.Options)) (*kinesis.PutRecordsOutput, error)
	ListShards(context.Context, *kinesis.ListShardsInput, ...func(*kinesis.Options)) (*kinesis.ListShardsOutput, error)
}

const (
	// callTimeout bounds one call, so that a connection that hangs is given up. 10 MiB take a minute at 1.4 Mbit/s.
	callTimeout = time.Minute
)

// refusals bounds the waits after calls in a row of which nothing was accepted.
var refusals = backoff.Policy{First: 100 * time.Millisecond, Longest: 5 * time.Second}

// sender puts requests into the stream until each of their records is accepted.
type sender struct {
	client      Client
	stream      streams.ID
	router      *router // nil without pacing
	pacer       *pacer
	giveUpAfter time.Duration
	counts      *counts
	log         *slog.Logger
}

// send returns nil when all records of q are in the stream. After an error q.pending are those that may not be.
func (s *sender) send(ctx context.Context, q *request) error {
	accepted := time.Now() // when the last record of q was, or its start
	for attempt := 1; ; attempt++ {
		if err := s.waitForPace(ctx, q); err != nil {
			return err
		}
		before := len(q.pending)
		reason, err := s.put(ctx, q)
		if err != nil {
			return fmt.Errorf("put %d records into stream %s: %w", before, s.stream, err)
		}
		if len(q.pending) == 0 {
			return nil
		}
		if len(q.pending) < before {
			accepted, attempt = time.Now(), 1
		}
		if waited := time.Since(accepted); waited >= s.giveUpAfter {
			return fmt.Errorf("put %d records into stream %s: none accepted for %s: %w",
				len(q.pending), s.stream, waited.Round(time.Second), reason)
		}
		s.counts.retries.Add(int64(len(q.pending)))
		s.log.Debug("records refused", logkey.Records, len(q.pending), logkey.Attempt, attempt, logkey.Reason, reason)
		if err := refusals.Pause(ctx, attempt); err != nil {
			return err
		}
	}
}

// waitForPace waits until every shard has room for its records of q.
func (s *sender) waitForPace(ctx context.Context, q *request) error {
	if s.router == nil {
		return ctx.Err()
	}
	shards, err := s.router.shards(ctx)
	if err != nil {
		return err
	}
	clear(q.loads)
	for _, i := range q.pending {
		e := &q.entries[i]
		if shard := shards.shard(e.hash); shard != "" {
			q.loads[shard] = q.loads[shard].plus(load{1, e.size()})
		}
	}
	now := time.Now()
	return backoff.Sleep(ctx, s.pacer.reserve(now, q.loads).Sub(now))
}

// put makes one call, and leaves in q.pending the records that have to be sent again, if any, with the reason. The
// error is one that sending again does not mend.
func (s *sender) put(ctx context.Context, q *request) (reason, err error) {
	q.records = q.records[:0]
	for _, i := range q.pending {
		e := &q.entries[i]
		q.records = append(q.records, types.PutRecordsRequestEntry{Data: q.data[e.from:e.to:e.to], PartitionKey: &e.key})
	}
	in := &kinesis.PutRecordsInput{StreamName: s.stream.ByName(), StreamARN: s.stream.ByARN(), Records: q.records}

	shards := s.router.known()
	callCtx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	s.counts.calls.Add(1)
	out, err := s.client.PutRecords(callCtx, in, retryHere)
	if err == nil && len(out.Records) != len(q.pending) {
		err = fmt.Errorf("%w: %d results for %d records", errAnswerLost, len(out.Records), len(q.pending))
	}
	if err == nil {
		return s.settle(q, out.Records, shards), nil
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if !worthRetry(err) {
		return nil, err
	}
	s.counts.failedCalls.Add(1)
	s.log.Warn("call failed, will be made again", logkey.Stream, s.stream, logkey.Records, len(q.pending), logkey.Error, err)
	return err, nil
}

// settle takes the accepted records out of q.pending, and returns why the others were refused.
// shards are those that were known when the call was made, nil without pacing.
func (s *sender) settle(q *request, results []types.PutRecordsResultEntry, shards shardMap) (reason error) {
	clear(q.loads)
	refused := q.pending[:0]
	for n, i := range q.pending {
		e, result := &q.entries[i], &results[n]
		if code := aws.ToString(result.ErrorCode); code != "" {
			refused = append(refused, i)
			reason = fmt.Errorf("%s: %s", code, aws.ToString(result.ErrorMessage))
			continue
		}
		shard := aws.ToString(result.ShardId)
		q.loads[shard] = q.loads[shard].plus(load{1, e.size()})
		if shards != nil && shards.shard(e.hash) != shard {
			s.router.suspect(shards)
		}
	}
	s.counts.accept(q.loads)
	q.pending = refused
	return reason
}

// errAnswerLost means that a call was made and its response cannot be read.
var errAnswerLost = errors.New("the answer is incomplete")

// retryHere turns off the SDK's retries: one layer retries, and it is the one that knows the single records.
func retryHere(o *kinesis.Options) { o.Retryer = aws.NopRetryer{} }

var transient = retry.IsErrorRetryables(retry.DefaultRetryables)

// worthRetry reports whether the same call may succeed later: throttling, a failure of the service or the network, a lost
// response.
func worthRetry(err error) bool {
	var unreadable *smithy.DeserializationError
	var keyService *types.KMSThrottlingException
	return errors.Is(err, errAnswerLost) || errors.Is(err, io.ErrUnexpectedEOF) || errors.As(err, &unreadable) ||
		errors.As(err, &keyService) || errors.Is(err, context.DeadlineExceeded) || // of the one call
		transient.IsErrorRetryable(err) == aws.TrueTernary
}
