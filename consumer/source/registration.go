package source

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"aws-streaming-pipeline/internal/logkey"
	"aws-streaming-pipeline/internal/streams"
)

const (
	// statusEvery is the time between two checks of a consumer that is being created or deleted.
	statusEvery = time.Second
	// failureHolds is how long a failure to find the consumer holds for all shards, which would otherwise each make the
	// call. Kinesis accepts 20 calls of DescribeStreamConsumer per second, and 5 of RegisterStreamConsumer (their API
	// references).
	failureHolds = time.Second
)

// registration finds the fan-out consumer of a stream by its name, and registers it if there is none. All workers of an
// application share it. It is never deregistered: another worker may be reading.
type registration struct {
	client   FanOut
	of       streams.ID
	consumer streams.ConsumerID
	timeout  time.Duration // of a call
	log      *slog.Logger

	turn chan struct{} // holds one token; its holder may access the fields below

	found    string // ARN; empty if unknown
	err      error
	failedAt time.Time
}

func newRegistration(cfg Config, client FanOut, log *slog.Logger) *registration {
	return &registration{
		client: client, of: cfg.Stream, consumer: cfg.Consumer, timeout: cfg.CallTimeout, log: log, turn: make(chan struct{}, 1),
	}
}

// active returns the ARN of the consumer once it is active.
func (r *registration) active(ctx context.Context) (string, error) {
	select {
	case r.turn <- struct{}{}:
	case <-ctx.Done():
		return "", ctx.Err()
	}
	defer func() { <-r.turn }()
	if r.found != "" {
		return r.found, nil
	}
	if r.err != nil && time.Since(r.failedAt) < failureHolds {
		return "", r.err
	}
	found, err := r.find(ctx)
	if err != nil && ctx.Err() != nil {
		return "", err // for this shard only
	}
	r.found, r.err, r.failedAt = found, err, time.Now()
	return found, err
}

// refused notes that a subscription of the consumer failed. If the consumer is gone, it is looked up again.
func (r *registration) refused(arn string, err error) {
	if _, gone := errors.AsType[*types.ResourceNotFoundException](err); !gone {
		return
	}
	select {
	case r.turn <- struct{}{}:
	default:
		return // another shard is looking it up
	}
	if r.found == arn {
		r.found = ""
	}
	<-r.turn
}

func (r *registration) find(ctx context.Context) (string, error) {
	name := string(r.consumer)
	stream, err := r.stream(ctx)
	if err != nil {
		return "", err
	}
	if r.consumer.IsARN() {
		// Shards of all streams have the same names: without this check, one of another stream would be read silently.
		if !r.consumer.Of(stream) {
			return "", fmt.Errorf("fan-out consumer %q: not registered on stream %s", name, stream)
		}
		return name, nil
	}
	for first := true; ; first = false {
		if !first && !sleepUntil(ctx, time.Now().Add(statusEvery)) {
			return "", ctx.Err()
		}
		arn, status, err := r.describe(ctx, stream)
		if err != nil {
			return "", fmt.Errorf("fan-out consumer %q: %w", name, err)
		}
		if status == types.ConsumerStatusActive {
			return arn, nil
		}
		if first {
			r.log.InfoContext(ctx, "waiting for the fan-out consumer", logkey.Consumer, name, logkey.Status, string(status))
		}
	}
}

func (r *registration) stream(ctx context.Context) (string, error) {
	if arn := r.of.ByARN(); arn != nil {
		return *arn, nil
	}
	ctx, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	out, err := r.client.DescribeStreamSummary(ctx, &kinesis.DescribeStreamSummaryInput{StreamName: r.of.ByName()})
	if err != nil {
		return "", fmt.Errorf("find the stream's ARN: %w", err)
	}
	return *out.StreamDescriptionSummary.StreamARN, nil
}

// describe reads the consumer's status, and registers the consumer if there is none.
func (r *registration) describe(ctx context.Context, stream string) (arn string, status types.ConsumerStatus, err error) {
	ctx, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	name := string(r.consumer)
	out, err := r.client.DescribeStreamConsumer(ctx, &kinesis.DescribeStreamConsumerInput{StreamARN: &stream, ConsumerName: &name})
	if err == nil {
		return *out.ConsumerDescription.ConsumerARN, out.ConsumerDescription.ConsumerStatus, nil
	}
	if _, none := errors.AsType[*types.ResourceNotFoundException](err); !none {
		return "", "", err
	}
	made, err := r.client.RegisterStreamConsumer(ctx, &kinesis.RegisterStreamConsumerInput{StreamARN: &stream, ConsumerName: &name})
	if inUse(err) {
		return "", types.ConsumerStatusCreating, nil // another worker was faster
	}
	if err != nil {
		return "", "", err
	}
	r.log.InfoContext(ctx, "fan-out consumer registered", logkey.Consumer, name)
	return *made.Consumer.ConsumerARN, made.Consumer.ConsumerStatus, nil
}
