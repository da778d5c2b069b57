package main

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"aws-streaming-pipeline/internal/lambdas"
	"aws-streaming-pipeline/internal/logkey"
	"aws-streaming-pipeline/record"
	"aws-streaming-pipeline/record/schema/shred"
)

type handler struct {
	decoder *record.Decoder
	checker *shred.Checker
	errors  *lambdas.ErrorPrefix
	sender  *sender
	log     *slog.Logger
	metrics *lambdas.Metrics
	now     func() time.Time
}

// answer is the function's result. Lambda evaluates batchItemFailures.
type answer struct {
	Count             int                              `json:"count"`
	ErrorPaths        []string                         `json:"error_paths"`
	BatchItemFailures []events.KinesisBatchItemFailure `json:"batchItemFailures"`
}

// handle sends a batch. It returns an error only for an event that is not a batch; records that cannot be sent in time are
// reported in batchItemFailures.
func (h *handler) handle(ctx context.Context, event events.KinesisEvent) (answer, error) {
	began := h.now()
	if deadline, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, lambdas.WorkUntil(began, deadline))
		defer cancel()
	}
	opening, cancel := lambdas.OpenUntil(ctx, began)
	defer cancel()
	batch, late := lambdas.OpenBatch(opening, event, h.decoder)
	if batch == nil {
		return answer{}, late
	}
	_, lines, rejected := batch.Encode(h.checker.AppendJSONLine)
	lines, rejected = tooLarge(lines, rejected)
	a := answer{ErrorPaths: []string{}, BatchItemFailures: lambdas.Failures(batch.Rest)}
	// Before anything is sent: if this fails, the whole batch is retried, and nothing is sent twice.
	if len(rejected) > 0 {
		var err error
		if a.ErrorPaths, err = h.errors.Put(ctx, batch, rejected, h.now()); err != nil {
			a.ErrorPaths, a.BatchItemFailures = []string{}, lambdas.Failures(batch.First)
			h.report(batch, sent{}, nil, a, began, err, late)
			return a, nil
		}
	}
	done, err := h.sender.send(ctx, lines)
	a.Count = done.records
	if err != nil {
		a.BatchItemFailures = lambdas.Failures(done.left[0].Record.SequenceNumber)
	}
	h.report(batch, done, rejected, a, began, err, late)
	return a, nil
}

// tooLarge moves the lines that are too large for Firehose to rejected.
func tooLarge(lines []lambdas.Line, rejected []lambdas.Rejected) ([]lambdas.Line, []lambdas.Rejected) {
	kept := lines[:0]
	for _, l := range lines {
		if len(l.Text) <= maxRecordBytes {
			kept = append(kept, l)
			continue
		}
		rejected = append(rejected, lambdas.Rejected{Record: l.Record, Fault: &record.Fault{
			Type: record.ProcessingFailed, Code: lambdas.CodeRecordTooLarge,
			Message: fmt.Sprintf("the line has %d bytes, Firehose accepts at most %d", len(l.Text), maxRecordBytes),
		}})
	}
	return kept, rejected
}

// report logs and counts the outcome of a batch: sent, not sent, or some payloads not decoded in time.
func (h *handler) report(b *lambdas.Batch, done sent, rejected []lambdas.Rejected, a answer, began time.Time, failure, late error) {
	log := h.log.With(logkey.Shard, b.Shard, "first", b.First, "last", b.Last, logkey.Took, h.now().Sub(began))
	failed := 0
	if failure != nil {
		failed = 1
		log.Error("batch not sent, Lambda will retry it", logkey.Sequence, a.BatchItemFailures[0].ItemIdentifier, logkey.Records, done.records, logkey.Error, failure)
	} else if b.Received > 0 {
		log.Info("batch sent", logkey.Records, done.records, logkey.Bytes, done.bytes, logkey.Stream, h.sender.stream)
	}
	if late != nil {
		failed = 1
		log.Error("payloads not decoded in time, Lambda will retry from the first of them", logkey.Sequence, b.Rest, logkey.Error, late)
	}
	if len(rejected) > 0 {
		log.Warn("records written to the error prefix", logkey.Count, len(rejected), logkey.Code, fmt.Sprint(lambdas.Codes(rejected)), logkey.Key, a.ErrorPaths)
	}
	now := h.now()
	err := h.metrics.Write(now, []lambdas.Metric{
		{Name: lambdas.RecordsReceived, Unit: lambdas.Count, Value: float64(b.Received)},
		{Name: lambdas.RecordsDelivered, Unit: lambdas.Count, Value: float64(done.records)},
		{Name: lambdas.RecordsFailed, Unit: lambdas.Count, Value: float64(len(rejected))},
		{Name: lambdas.RecordsRetried, Unit: lambdas.Count, Value: float64(done.retried)},
		{Name: lambdas.BytesDelivered, Unit: lambdas.Bytes, Value: float64(done.bytes)},
		{Name: lambdas.BatchesFailed, Unit: lambdas.Count, Value: float64(failed)},
		{Name: lambdas.RecordAge, Unit: lambdas.Milliseconds, Value: float64(now.Sub(b.Arrival).Milliseconds())},
	}, map[string]string{logkey.Shard: b.Shard})
	if err != nil {
		log.Error("metrics not written", logkey.Error, err)
	}
}
