// Package function transforms records with an AWS Lambda function that was written for Amazon Data Firehose.
//
// Requests and answers are Firehose's (Amazon Data Firehose Developer Guide, "Transform source data in Amazon Data
// Firehose" and "Required parameters for data transformation"), so that such a function runs unchanged. Each record is
// answered with Ok and the new payload, with Dropped, or with ProcessingFailed.
//
// # What fails
//
// Three things can go wrong, and each ends differently:
//
//   - A record that the function fails, or answers in a form that cannot be used, gets a Fault. The others of its call do
//     not.
//   - A call during which the function fails, or takes too long, is repeated. If it still fails, all its records get a Fault.
//   - A call that does not reach the function (no permission, no such function, throttled, no connection) is repeated until
//     it does. The shard waits, and Health says why. The records are not to blame: they would all end as error records
//     although nothing is wrong with them.
//
// Firehose gives up in the third case, too, and delivers the stream to the error prefix until somebody notices.
package function

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"

	"aws-streaming-pipeline/consumer/transform"
	"aws-streaming-pipeline/internal/budget"
	"aws-streaming-pipeline/internal/metrics"
	"aws-streaming-pipeline/record"
)

// Client is the part of *lambda.Client that a Transform calls.
type Client interface {
	Invoke(context.Context, *lambda.InvokeInput, ...func(*lambda.Options)) (*lambda.InvokeOutput, error)
}

// Config says which function is called, and how.
type Config struct {
	// Function is the function, or a version or alias of it.
	Function ARN
	// Application is the name that the function gets as that of the Firehose stream.
	Application string
	// Stream returns the ARN of the stream that the records come from; empty if it is not known.
	Stream func() string
	// BufferSize bounds the payloads of a call. A larger record has a call of its own.
	BufferSize int64
	// Concurrency is how many calls there are at a time for the records of one shard.
	Concurrency int
	// Retries is how often a call is repeated after the function has failed.
	Retries int
	// Timeout bounds a call.
	Timeout time.Duration
}

// Parts are the dependencies of a Transform. Metrics may be nil.
type Parts struct {
	Client  Client
	Budget  *budget.Budget
	Metrics *metrics.Metrics
	Log     *slog.Logger
}

// memoryShare is the part of the memory budget that requests and answers of all calls together take up.
const memoryShare = 8

// Transform is a transform.Stage. Create it with New.
type Transform struct {
	cfg     Config
	client  Client
	budget  *budget.Budget
	metrics *metrics.Metrics
	trouble trouble

	// room bounds the bytes of calls in flight. Calls wait here and not for the budget: their records are already counted
	// there, and shards that hold records must not wait for one another.
	room *semaphore.Weighted
	most int64 // its size
}

// New returns a Transform. It makes no call.
func New(cfg Config, parts Parts) *Transform {
	most := parts.Budget.Limit() / memoryShare
	return &Transform{
		cfg: cfg, client: parts.Client, budget: parts.Budget, metrics: metrics.Or(parts.Metrics),
		trouble: trouble{function: cfg.Function, log: parts.Log, waiting: make(map[*call]waiting)},
		room:    semaphore.NewWeighted(most), most: most,
	}
}

// Apply implements transform.Stage.
func (t *Transform) Apply(ctx context.Context, shard string, in []record.Record) (transform.Output, error) {
	results := make([]result, len(in))
	var held atomic.Int64 // what answers hold, until the caller accounts for it
	defer func() { t.budget.Release(budget.Received, held.Load()) }()
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(t.cfg.Concurrency)
	for _, c := range t.cut(shard, in, results) {
		group.Go(func() error {
			if err := t.survive(ctx, c); err != nil {
				return err
			}
			n := c.held()
			t.budget.Add(budget.Received, n)
			held.Add(n)
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return transform.Output{}, err
	}
	return output(in, results), nil
}

// Health returns an error while records wait for a function that cannot be called.
func (t *Transform) Health() error { return t.trouble.health() }

// result is what has become of a record. Without a fate it passes unchanged.
type result struct {
	fate  fate
	data  []byte // of one that is changed
	keys  map[string]string
	fault *record.Fault
}

// keysBytes is what the smallest map takes up, and keyBytes each place in it, of which up to half are free.
const keysBytes, keyBytes = 320, 2 * int64(unsafe.Sizeof([2]string{}))

// held returns the bytes that the result takes up besides the fault.
func (r *result) held() int64 {
	n := int64(len(r.data))
	if len(r.keys) > 0 {
		n += keysBytes + keyBytes*int64(len(r.keys))
	}
	for name, value := range r.keys {
		n += int64(len(name) + len(value))
	}
	return n
}

type fate int

const (
	passed  fate = iota // it had a Fault
	changed             // data and keys are the function's
	dropped
	failed // fault says why
)

// output puts the results into the order of the records.
func output(in []record.Record, results []result) transform.Output {
	out := transform.Output{Records: make([]record.Record, 0, len(in))}
	for i := range in {
		r := in[i]
		switch got := &results[i]; got.fate {
		case changed:
			r.Data, r.Keys = got.data, got.keys
			out.Bytes += got.held()
		case dropped:
			out.Dropped++
			continue
		case failed:
			r.Fault = got.fault
		}
		out.Records = append(out.Records, r)
	}
	return out
}
