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
	bucket  string
	decoder *record.Decoder
	checker *shred.Checker
	objects *lambdas.Objects
	errors  *lambdas.ErrorPrefix
	log     *slog.Logger
	metrics *lambdas.Metrics
	now     func() time.Time
}

// answer is the function's result. Lambda evaluates batchItemFailures.
type answer struct {
	S3Path            string                           `json:"s3_path"`
	ErrorPaths        []string                         `json:"error_paths"`
	BatchItemFailures []events.KinesisBatchItemFailure `json:"batchItemFailures"`

	bytes int // of the object
}

// handle writes a batch. It returns an error only for an event that is not a batch; a batch that cannot be written is
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
	all, lines, rejected := batch.Encode(h.checker.AppendJSONLine)
	a, err := h.write(ctx, batch, all, rejected)
	h.report(batch, a, len(lines), rejected, began, err, late)
	return a, nil
}

// write makes the batch durable. The result covers the whole batch, so the order of the writes does not matter.
func (h *handler) write(ctx context.Context, b *lambdas.Batch, all []byte, rejected []lambdas.Rejected) (a answer, err error) {
	defer func() {
		if err != nil {
			a = answer{ErrorPaths: []string{}, BatchItemFailures: lambdas.Failures(b.First)}
		}
	}()
	defer lambdas.Survive(&err)
	a = answer{ErrorPaths: []string{}, BatchItemFailures: lambdas.Failures(b.Rest)}
	if len(rejected) > 0 {
		if a.ErrorPaths, err = h.errors.Put(ctx, b, rejected, h.now()); err != nil {
			return a, err
		}
	}
	if len(all) > 0 {
		a.S3Path, a.bytes, err = h.objects.Put(ctx, h.bucket, objectName(b), all)
	}
	return a, err
}

// objectName is the key of a batch's object without its extension.
func objectName(b *lambdas.Batch) string {
	return "context=write_to_s3/date=" + b.Arrival.Format(time.DateOnly) + "/" + b.Name()
}

// report logs and counts the outcome of a batch: written, not written, or some payloads not decoded in time.
func (h *handler) report(b *lambdas.Batch, a answer, delivered int, rejected []lambdas.Rejected, began time.Time, failure, late error) {
	log := h.log.With(logkey.Shard, b.Shard, "first", b.First, "last", b.Last, logkey.Took, h.now().Sub(began))
	failed, refused := 0, len(rejected)
	if failure != nil {
		failed, delivered, refused = 1, 0, 0
		log.Error("batch not written, Lambda will retry it", logkey.Error, failure)
	} else if b.Received > 0 {
		log.Info("batch written", logkey.Records, delivered, logkey.Bytes, a.bytes, logkey.Key, a.S3Path)
		if refused > 0 {
			log.Warn("records written to the error prefix", logkey.Count, refused, logkey.Code, fmt.Sprint(lambdas.Codes(rejected)), logkey.Key, a.ErrorPaths)
		}
	}
	if late != nil {
		failed = 1
		log.Error("payloads not decoded in time, Lambda will retry from the first of them", logkey.Sequence, b.Rest, logkey.Error, late)
	}
	now := h.now()
	err := h.metrics.Write(now, []lambdas.Metric{
		{Name: lambdas.RecordsReceived, Unit: lambdas.Count, Value: float64(b.Received)},
		{Name: lambdas.RecordsDelivered, Unit: lambdas.Count, Value: float64(delivered)},
		{Name: lambdas.RecordsFailed, Unit: lambdas.Count, Value: float64(refused)},
		{Name: lambdas.BytesDelivered, Unit: lambdas.Bytes, Value: float64(a.bytes)},
		{Name: lambdas.BatchesFailed, Unit: lambdas.Count, Value: float64(failed)},
		{Name: lambdas.RecordAge, Unit: lambdas.Milliseconds, Value: float64(now.Sub(b.Arrival).Milliseconds())},
	}, map[string]string{logkey.Shard: b.Shard})
	if err != nil {
		log.Error("metrics not written", logkey.Error, err)
	}
}
