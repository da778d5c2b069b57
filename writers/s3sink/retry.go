package s3sink

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/bits"
	"time"

	"github.com/aws/smithy-go"

	"aws-streaming-pipeline/internal/backoff"
	"aws-streaming-pipeline/internal/logkey"
	"aws-streaming-pipeline/writers"
)

// outcome says how to retry after an error from S3.
type outcome int

const (
	transient outcome = iota // retry soon
	refused                  // retry slowly: somebody has to change a permission, a key or a bucket first
	final                    // no attempt can succeed
)

// finalCodes are the codes by which S3 reports that the request itself is wrong (Amazon S3 API Reference, "Error
// responses"). Any other condition may change, so it is not a reason to give up records.
var finalCodes = map[string]bool{
	"EntityTooLarge":     true,
	"EntityTooSmall":     true,
	"InvalidPart":        true,
	"InvalidPartOrder":   true,
	"KeyTooLongError":    true,
	"MetadataTooLarge":   true,
	"NoSuchUpload":       true,
	"PreconditionFailed": true,
}

// refusedCodes are the codes that an immediate retry does not change.
var refusedCodes = map[string]bool{
	"AccessDenied":                 true,
	"AllAccessDisabled":            true,
	"ExpiredToken":                 true,
	"InvalidAccessKeyId":           true,
	"InvalidToken":                 true,
	"NoSuchBucket":                 true,
	"SignatureDoesNotMatch":        true,
	"KMS.DisabledException":        true,
	"KMS.NotFoundException":        true,
	"KMS.KMSInvalidStateException": true,
}

func classify(err error) outcome {
	code := errorCode(err)
	switch {
	case finalCodes[code], errors.Is(err, writers.ErrReplaced):
		return final
	case refusedCodes[code], statusOf(err) == 403:
		return refused
	}
	return transient
}

func errorCode(err error) string {
	var api smithy.APIError
	if errors.As(err, &api) {
		return api.ErrorCode()
	}
	return ""
}

// statusOf returns the HTTP status of the answer that an error came with, or 0.
func statusOf(err error) int {
	var answer interface{ HTTPStatusCode() int }
	if errors.As(err, &answer) {
		return answer.HTTPStatusCode()
	}
	return 0
}

// wait returns the time until the next attempt after the given number of failed ones. A refusal is not retried soon.
func (o outcome) wait(p backoff.Policy, attempts int) time.Duration {
	if o == refused {
		p.First = p.Longest
	}
	return p.Wait(attempts)
}

// request is one call to S3 with all its attempts.
type request struct {
	operation string // as the S3 API names it
	bucket    string
	key       string
	// body is the number of bytes to send or receive; a larger one gets more time.
	body int64
	// timeout limits one attempt; 0 means the default.
	timeout time.Duration
	// bounded gives the request up after it has failed for Config.Patience. Other requests are repeated until their
	// context ends.
	bounded bool
	do      func(context.Context) error
}

// slowestTransfer is the speed in bytes per second below which an attempt counts as hanging.
const slowestTransfer = 64 << 10

// try makes attempts until one succeeds, S3 reports that none can, the request's limit is reached, or the context ends.
// It is the only layer that retries: the SDK's retryer is off, so every request sent is counted and reported.
func (s *Sink) try(ctx context.Context, r request) error {
	trouble := &Trouble{Operation: r.operation, Bucket: r.bucket, Key: r.key}
	defer s.health.over(trouble)
	for {
		err := s.attempt(ctx, r)
		if err == nil {
			s.count(r.operation, "ok")
			if trouble.Attempts > 0 {
				s.log.Info("s3 request succeeded after retries", logkey.Reason, r.operation, logkey.Bucket, r.bucket, logkey.Key, r.key, logkey.Attempt, trouble.Attempts+1)
			}
			return nil
		}
		kind := classify(err)
		if ctx.Err() != nil || kind == final {
			s.count(r.operation, "error")
			return s.explain(ctx, r, err)
		}
		attempts := s.health.failed(trouble, err)
		wait := kind.wait(s.config.Backoff, attempts)
		if r.bounded && time.Since(trouble.Since)+wait > s.config.Patience {
			s.count(r.operation, "error")
			if kind == refused {
				err = fmt.Errorf("%w: %w", writers.ErrRefused, err)
			}
			return s.explain(ctx, r, err)
		}
		s.count(r.operation, "retried")
		s.logFailure(r, err, kind, attempts, wait)
		if err := backoff.Sleep(ctx, wait); err != nil {
			return s.explain(ctx, r, err)
		}
	}
}

// attempt makes one request, in bounded time even if S3 does not answer.
func (s *Sink) attempt(ctx context.Context, r request) error {
	timeout := r.timeout
	if timeout == 0 {
		timeout = s.config.AttemptTimeout + time.Duration(r.body/slowestTransfer)*time.Second
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	return r.do(ctx)
}

// explain adds the request to an error, and the cause of the context's end if that is the reason.
func (s *Sink) explain(ctx context.Context, r request, err error) error {
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	} else if errorCode(err) == "NoSuchUpload" {
		err = fmt.Errorf("%w: %w", writers.ErrUploadGone, err)
	}
	return fmt.Errorf("%s s3://%s/%s: %w", r.operation, r.bucket, r.key, err)
}

// logFailure logs attempts 1, 2, 4, 8 ... of a request, so that an hour's outage shows in the log without filling a disk.
func (s *Sink) logFailure(r request, err error, kind outcome, attempts int, wait time.Duration) {
	if bits.OnesCount(uint(attempts)) != 1 {
		return
	}
	level := slog.LevelWarn
	if kind == refused {
		level = slog.LevelError
	}
	s.log.Log(context.Background(), level, "s3 request failed and will be repeated", logkey.Reason, r.operation,
		logkey.Bucket, r.bucket, logkey.Key, r.key, logkey.Code, errorCode(err), logkey.Attempt, attempts, "wait", wait, logkey.Error, err.Error())
}

func (s *Sink) count(operation, result string) {
	s.config.Metrics.S3Requests.WithLabelValues(operation, result).Inc()
}
