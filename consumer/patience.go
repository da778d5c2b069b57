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
	"aws-streaming-pipeline/internal/logkey"
)

// longestPause is the longest wait between two attempts of Patiently.
const longestPause = 10 * time.Second

// expired are the codes by which services refuse credentials that were good once: of DynamoDB, of Kinesis, and of STS for
// the token of an identity (API references, "Common Errors" and AssumeRoleWithWebIdentity), and of STS for a session.
var expired = []string{"ExpiredTokenException", "ExpiredToken"}

// Patiently calls f until it succeeds, ctx ends, or its error is one that waiting does not mend: the table belongs to
// something else, or the service refuses the call itself. A service that is away is waited for, as it is later on, and
// so are credentials that have expired: whoever issues them will issue others.
func Patiently(ctx context.Context, log *slog.Logger, what string, f func() error) error {
	for pause := 500 * time.Millisecond; ; pause = min(2*pause, longestPause) {
		err := f()
		if err == nil || !passing(err) {
			return err
		}
		log.Warn("not possible yet, will be tried again: "+what, logkey.Error, err.Error())
		select {
		case <-ctx.Done():
			return errors.Join(context.Cause(ctx), err)
		case <-time.After(pause):
		}
	}
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
