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

// patience bounds the waits between two attempts of Patiently.
var patience = backoff.Policy{First: 500 * time.Millisecond, Longest: 10 * time.Second}

// expired are the codes by which services refuse credentials that were good once: of DynamoDB, of Kinesis, and of STS for
// the token of an identity (API references, "Common Errors" and AssumeRoleWithWebIdentity), and of STS for a session.
var expired = []string{"ExpiredTokenException", "ExpiredToken"}

// Patiently calls f until it succeeds, ctx ends, or its error is one that waiting does not mend: the table belongs to
// something else, or the service refuses the call itself. A service that is away is waited for, as it is later on, and
// so are credentials that have expired: whoever issues them will issue others.
func Patiently(ctx context.Context, log *slog.Logger, what string, f func() error) error {
	again := func(err error) bool {
		if !passing(err) {
			return false
		}
		log.Warn("not possible yet, will be tried again: "+what, logkey.Error, err.Error())
		return true
	}
	return patience.Retry(ctx, again, f)
}

// passing tells whether an error may go away by itself.
func passing(err error) bool {
	if errors.Is(err, checkpoint.ErrForeignTable) {
		return false
	}
	answer, ok := errors.AsType[smithy.APIError](err)
	if !ok {
		return true // nobody answered, or what came was no answer
	}
	if slices.Contains(expired, answer.ErrorCode()) {
		return true
	}
	throttled := retry.IsErrorThrottles(retry.DefaultThrottles).IsErrorThrottle(err) == aws.TrueTernary
	return throttled || answer.ErrorFault() == smithy.FaultServer
}
