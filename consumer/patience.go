package consumer

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/smithy-go"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/internal/backoff"
	"aws-streaming-pipeline/internal/logkey"
)

// patience bounds the waits between attempts of Patiently.
var patience = backoff.Policy{First: 500 * time.Millisecond, Longest: 10 * time.Second}

// expired are the error codes for expired credentials: of DynamoDB, of Kinesis, and of STS for an identity token (API
// references, "Common Errors" and AssumeRoleWithWebIdentity) and for a session.
var expired = []string{"ExpiredTokenException", "ExpiredToken"}

// Patiently calls f until it succeeds, ctx ends, or f fails with a permanent error: the table belongs to another application,
// or the service rejects the call itself. It waits for unavailable services, as the running daemon does, and for new
// credentials if the present ones have expired.
func Patiently(ctx context.Context, log *slog.Logger, what string, f func() error) error {
	again := func(err error) bool {
		if !passing(err) {
			return false
		}
		log.Warn("failed and will be retried: "+what, logkey.Error, err.Error())
		return true
	}
	return patience.Retry(ctx, again, f)
}

// passing reports whether an error may be temporary.
func passing(err error) bool {
	if errors.Is(err, checkpoint.ErrForeignTable) {
		return false
	}
	answer, ok := errors.AsType[smithy.APIError](err)
	if !ok {
		return true // no response, or not a valid one
	}
	if slices.Contains(expired, answer.ErrorCode()) {
		return true
	}
	throttled := retry.IsErrorThrottles(retry.DefaultThrottles).IsErrorThrottle(err) == aws.TrueTernary
	return throttled || answer.ErrorFault() == smithy.FaultServer
}
