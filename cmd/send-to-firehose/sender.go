package main

import (
	"context"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/firehose"
	"github.com/aws/aws-sdk-go-v2/service/firehose/types"

	"aws-streaming-pipeline/internal/lambdas"
)

// Limits of PutRecordBatch (Amazon Data Firehose API Reference, PutRecordBatch; sizes before base64).
const (
	maxCallRecords = 500
	maxCallBytes   = 4 << 20
	maxRecordBytes = 1000 << 10
)

// putter is the part of the Firehose client that a sender calls.
type putter interface {
	PutRecordBatch(context.Context, *firehose.PutRecordBatchInput, ...func(*firehose.Options)) (*firehose.PutRecordBatchOutput, error)
}

// sender puts lines into a Firehose stream.
type sender struct {
	client putter
	stream string
}

// sent is the result of a sender.
type sent struct {
	records, bytes int
	// retried counts the records that were sent again, once for each time.
	retried int
	// left are the lines that were not accepted, in their order.
	left []lambdas.Line
}

// send puts the lines in order, and retries refused lines before all others, until all are accepted or ctx ends. Its error
// says why lines are left.
func (s *sender) send(ctx context.Context, lines []lambdas.Line) (done sent, err error) {
	done.left = lines
	defer lambdas.Survive(&err)
	failed := 0 // calls in a row without progress; one that was refused in part counts as the first
	for len(done.left) > 0 {
		call := done.left[:callLength(done.left)]
		refused, err := s.put(ctx, call)
		if err != nil && (ctx.Err() != nil || !passes(err)) {
			return done, fmt.Errorf("put %d records into Firehose stream %s: %w", len(call), s.stream, err)
		}
		done.records += len(call) - len(refused)
		done.bytes += size(call) - size(refused)
		rest := done.left[len(call):]
		if len(refused) == 0 {
			done.left, failed = rest, 0
			continue
		}
		// Refused lines go before the rest, so the lines that are left stay in order.
		done.left = append(refused[:len(refused):len(refused)], rest...)
		done.retried += len(refused)
		if len(refused) < len(call) {
			failed = 0
		}
		failed++
		if lambdas.Retries.Pause(ctx, failed) != nil {
			if err == nil {
				err = fmt.Errorf("%d records refused by Firehose", len(refused))
			}
			return done, fmt.Errorf("put records into Firehose stream %s: time is up: %w", s.stream, err)
		}
	}
	return done, nil
}

// callLength returns how many of the lines fit in one call. No line is too long for a call.
func callLength(lines []lambdas.Line) int {
	bytes := 0
	for i, l := range lines {
		if bytes += len(l.Text); i == maxCallRecords || bytes > maxCallBytes {
			return i
		}
	}
	return len(lines)
}

func size(lines []lambdas.Line) (bytes int) {
	for _, l := range lines {
		bytes += len(l.Text)
	}
	return bytes
}

// put makes one call and returns the lines that were not accepted, which are all if the call failed.
func (s *sender) put(ctx context.Context, lines []lambdas.Line) ([]lambdas.Line, error) {
	records := make([]types.Record, len(lines))
	for i, l := range lines {
		records[i].Data = l.Text
	}
	out, err := s.client.PutRecordBatch(ctx, &firehose.PutRecordBatchInput{DeliveryStreamName: &s.stream, Records: records})
	if err != nil {
		return lines, err
	}
	if aws.ToInt32(out.FailedPutCount) == 0 {
		return nil, nil
	}
	if len(out.RequestResponses) != len(lines) {
		return lines, fmt.Errorf("%d results for %d records", len(out.RequestResponses), len(lines))
	}
	var refused []lambdas.Line
	for i, r := range out.RequestResponses {
		if r.ErrorCode != nil {
			refused = append(refused, lines[i])
		}
	}
	return refused, nil
}

// passes reports whether an error is temporary: throttling, a 5xx status, a broken connection.
func passes(err error) bool {
	return retry.IsErrorRetryables(retry.DefaultRetryables).IsErrorRetryable(err) == aws.TrueTernary
}
