// Package dynamo is the checkpoint store that several machines share: a DynamoDB table.
//
// The table has the partition key leaseKey. A shard's row is stored under the shard's id; the keys of all other items
// begin with '#', which no shard id contains. The attribute entityType says what an item is. Attributes that the
// Kinesis Client Library also has use its names.
//
// At rest a worker costs one write per heartbeat and one table scan per look, however many shards it has.
package dynamo

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/internal/awshttp"
	"aws-streaming-pipeline/internal/backoff"
	"aws-streaming-pipeline/internal/metrics"
)

// Config says which table to use and how. AWS and Table are required.
type Config struct {
	AWS   aws.Config
	Table string

	// Create makes the table if there is none. Without it, a missing table is an error.
	Create bool

	Metrics *metrics.Metrics // may be nil
	Log     *slog.Logger     // optional
}

const (
	// attempts bounds how often the SDK sends one request. Including backoff, a call that can only fail takes at most a
	// second if the answers come at once.
	attempts = 6
	// requestTimeout ends a single attempt. A DynamoDB request takes milliseconds; a connection that is silent for this
	// long is dead.
	requestTimeout = 5 * time.Second
)

// retries bounds the waits between attempts, both the SDK's and ours.
var retries = backoff.Policy{First: 25 * time.Millisecond, Longest: time.Second}

// Store implements checkpoint.Store on a table. Open makes one.
type Store struct {
	db      *dynamodb.Client
	table   *string
	metrics *metrics.Metrics
	log     *slog.Logger
	health  *health
}

var _ checkpoint.Store = (*Store)(nil)

// Open finds the table, or creates it, and waits until it is usable. It refuses a table with a different key with
// checkpoint.ErrForeignTable.
func Open(ctx context.Context, cfg Config) (*Store, error) {
	if cfg.Table == "" {
		return nil, errors.New("open checkpoint table: it has no name")
	}
	s := newStore(cfg)
	if err := s.openTable(ctx, cfg.Create); err != nil {
		return nil, fmt.Errorf("open checkpoint table %s: %w", cfg.Table, err)
	}
	return s, nil
}

// newStore returns a store that has made no calls.
func newStore(cfg Config) *Store {
	s := &Store{
		db:      newClient(cfg),
		table:   aws.String(cfg.Table),
		metrics: metrics.Or(cfg.Metrics),
		log:     cfg.Log,
		health:  &health{},
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	return s
}

// Close implements checkpoint.Store. There is nothing to close: connections belong to the AWS configuration.
func (s *Store) Close() error { return nil }

func newClient(cfg Config) *dynamodb.Client {
	return dynamodb.NewFromConfig(cfg.AWS, func(o *dynamodb.Options) {
		o.HTTPClient = awshttp.Bound(o.HTTPClient, requestTimeout)
		o.RetryMaxAttempts = 0 // the retryer below has its own bound
		o.Retryer = retry.NewStandard(func(r *retry.StandardOptions) {
			r.MaxAttempts = attempts
			r.Backoff = retry.BackoffDelayerFunc(func(attempt int, _ error) (time.Duration, error) { return retries.Wait(attempt), nil })
		})
	})
}

// call sends one request, counts it, and translates its error into our terms. It retries after errors which say that
// nothing was applied and that a later attempt may succeed; the SDK has already retried whatever else is worth it.
func (s *Store) call(ctx context.Context, operation string, send func() error) (err error) {
	end := s.health.begin(ctx, operation)
	defer func() {
		if answered(operation, err) || ctx.Err() == context.Canceled {
			end(nil)
			return
		}
		end(err)
	}()
	again := false
	return retries.Retry(ctx, func(error) bool { return again }, func() (err error) {
		err, again = translate(send())
		s.count(operation, err)
		return err
	})
}

// answered reports whether an error is an answer of the table. That there is no table is one only for who asks that.
func answered(operation string, err error) bool {
	_, none := errors.AsType[*types.ResourceNotFoundException](err)
	_, there := errors.AsType[*types.ResourceInUseException](err)
	return none && operation == describeTable || there || errors.Is(err, checkpoint.ErrConflict)
}
