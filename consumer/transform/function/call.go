package function

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/smithy-go"

	"aws-streaming-pipeline/internal/awshttp"
	"aws-streaming-pipeline/internal/backoff"
	"aws-streaming-pipeline/internal/budget"
	"aws-streaming-pipeline/internal/logkey"
	"aws-streaming-pipeline/record"
)

// The waits before a call is repeated: after the function has failed, and while it cannot be called.
var (
	afterFailure = backoff.Policy{First: 500 * time.Millisecond, Longest: 10 * time.Second}
	outage       = backoff.Policy{First: 200 * time.Millisecond, Longest: 10 * time.Second}
)

// survive makes a call, and fails its records if that panics: a bug that a record triggers must not end the process.
func (t *Transform) survive(ctx context.Context, c *call) (err error) {
	defer func() {
		if v := recover(); v != nil {
			fault := record.Panicked(v)
			for _, r := range c.results {
				*r = result{fate: failed, fault: fault}
			}
		}
	}()
	return t.make(ctx, c)
}

// make makes a call until each of its records has a fate. The only error is the cause of ctx's end.
func (t *Transform) make(ctx context.Context, c *call) error {
	defer t.trouble.over(context.WithoutCancel(ctx), c, false)
	failures, outages := 0, 0 // outages in a row
	for {
		err := t.try(ctx, c)
		of, failed := errors.AsType[failure](err)
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err == nil:
			t.trouble.over(ctx, c, true)
			c.settle(failures+1, t.cfg.Function)
			return nil
		case !failed: // it was not called
			outages++
			t.trouble.failed(ctx, c, outages, err)
			if err := outage.Pause(ctx, outages); err != nil {
				return err
			}
			continue
		}
		t.trouble.over(ctx, c, true)
		outages = 0
		failures++
		switch {
		case of.final && len(c.records) > 1:
			return t.divide(ctx, c)
		case of.final, failures > t.cfg.Retries:
			c.fail(of.code, failures, t.cfg.Function)
			return nil
		}
		if err := afterFailure.Pause(ctx, failures); err != nil {
			return err
		}
	}
}

// divide makes two calls instead of one that is too large.
func (t *Transform) divide(ctx context.Context, c *call) error {
	first, second := c.halves()
	if err := t.make(ctx, first); err != nil {
		return err
	}
	return t.make(ctx, second)
}

// failure means that the function was called and has not answered, so that the records may be the reason.
type failure struct {
	code string
	// final means that the same call fails again; a smaller one may succeed.
	final bool
}

func (f failure) Error() string { return messages[f.code] }

// try makes a call once. It returns a failure, or another error if the function could not be called.
func (t *Transform) try(ctx context.Context, c *call) error {
	weight := min(2*c.size, t.most) // answers are about as large as requests
	if err := t.room.Acquire(ctx, weight); err != nil {
		return err
	}
	defer t.room.Release(weight)
	request := t.appendRequest(make([]byte, 0, c.size), c)
	t.budget.Add(budget.Received, int64(cap(request)))
	defer t.budget.Release(budget.Received, int64(cap(request)))

	began := time.Now()
	text, err := t.invoke(ctx, request)
	if err == nil {
		t.budget.Add(budget.Received, int64(len(text)))
		defer t.budget.Release(budget.Received, int64(len(text)))
		err = t.read(c, text)
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	result, reached := resultOf(err)
	t.metrics.TransformCalls.WithLabelValues(result).Inc()
	if reached {
		t.metrics.TransformSeconds.WithLabelValues().Observe(time.Since(began).Seconds())
	}
	return err
}

func (t *Transform) read(c *call, text []byte) error {
	extra, err := c.decide(text)
	if err != nil {
		return failure{code: CodeJSONProcessing}
	}
	if extra > 0 {
		t.trouble.log.Warn("the function answered records that it was not given", logkey.Function, t.cfg.Function.text, logkey.Count, extra)
	}
	return nil
}

// invoke returns the answer of the function.
func (t *Transform) invoke(ctx context.Context, request []byte) ([]byte, error) {
	bounded, cancel := context.WithTimeout(awshttp.MaySilence(ctx, 2*t.cfg.Timeout), t.cfg.Timeout) // which ends it first
	defer cancel()
	out, err := t.client.Invoke(bounded, &lambda.InvokeInput{FunctionName: &t.cfg.Function.text, Payload: request})
	switch {
	case err == nil && out.FunctionError != nil:
		return nil, functionFailure(out.Payload)
	case err == nil:
		return out.Payload, nil
	case errors.Is(err, errAnswerTooLarge):
		return nil, failure{code: CodeResponseTooLarge, final: true}
	case status(err) == http.StatusRequestEntityTooLarge:
		return nil, failure{code: CodeRequestTooLarge, final: true}
	case bounded.Err() != nil && ctx.Err() == nil:
		return nil, failure{code: CodeFunctionTimedOut}
	}
	return nil, err
}

// functionFailure returns how the function failed. Lambda's own errors are recognised by their types and texts (AWS Lambda Developer
// Guide, "Understanding retry behavior in Lambda"; the answers of the service are not documented further).
func functionFailure(text []byte) failure {
	var said struct{ ErrorType, ErrorMessage string }
	_ = json.Unmarshal(text, &said) // what is not JSON tells nothing
	switch {
	case said.ErrorType == "Function.ResponseSizeTooLarge":
		return failure{code: CodeResponseTooLarge, final: true}
	case said.ErrorType == "Sandbox.Timedout", strings.Contains(said.ErrorMessage, "Task timed out after"):
		return failure{code: CodeFunctionTimedOut}
	}
	return failure{code: CodeFunctionError}
}

// The results of calls, as consumer_transform_calls_total has them.
var resultNames = map[string]string{
	CodeFunctionError: "failed", CodeFunctionTimedOut: "timeout", CodeJSONProcessing: "unreadable",
	CodeRequestTooLarge: "too_large", CodeResponseTooLarge: "too_large",
}

// resultOf returns the result of a call, and whether the function was called.
func resultOf(err error) (result string, reached bool) {
	if err == nil {
		return "ok", true
	}
	if of, ok := errors.AsType[failure](err); ok {
		return resultNames[of.code], true
	}
	said, answered := errors.AsType[smithy.APIError](err)
	switch {
	case retry.IsErrorThrottles(retry.DefaultThrottles).IsErrorThrottle(err) == aws.TrueTernary, status(err) == http.StatusTooManyRequests:
		return "throttled", false
	case answered && said.ErrorFault() != smithy.FaultServer && status(err) < http.StatusInternalServerError:
		return "refused", false
	}
	return "unavailable", false
}

// status returns the status of the HTTP response that an error comes from; 0 if there was none.
func status(err error) int {
	if r, ok := errors.AsType[interface {
		error
		HTTPStatusCode() int
	}](err); ok {
		return r.HTTPStatusCode()
	}
	return 0
}
