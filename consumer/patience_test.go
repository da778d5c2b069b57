package consumer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/smithy-go"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/internal/diagnosis"
)

func TestPatience_WaitsForWhatPassesAndForNothingElse(t *testing.T) {
	for _, test := range []struct {
		name  string
		err   error
		waits bool
	}{
		{"no connection", errors.New("dial tcp: connection refused"), true},
		{"the service fails", &smithy.GenericAPIError{Code: "InternalServerError", Fault: smithy.FaultServer}, true},
		{"throttled", fmt.Errorf("describe: %w", &smithy.GenericAPIError{Code: "ThrottlingException", Fault: smithy.FaultClient}), true},
		{"credentials have expired", fmt.Errorf("describe: %w", &smithy.GenericAPIError{Code: "ExpiredTokenException", Fault: smithy.FaultClient}), true},
		{"those of the identity have", fmt.Errorf("assume role: %w", &smithy.GenericAPIError{Code: "ExpiredToken", Fault: smithy.FaultClient}), true},
		{"credentials that nobody knows", fmt.Errorf("describe: %w", &smithy.GenericAPIError{Code: "UnrecognizedClientException", Fault: smithy.FaultClient}), false},
		{"denied", fmt.Errorf("describe: %w", &smithy.GenericAPIError{Code: "AccessDeniedException", Fault: smithy.FaultClient}), false},
		{"somebody else's table", fmt.Errorf("bind: %w", checkpoint.ErrForeignTable), false},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				calls := 0
				err := NewPatience(slog.New(slog.DiscardHandler)).Await(t.Context(), "test", diagnosis.Subject{}, func() error {
					if calls++; calls < 5 {
						return test.err
					}
					return nil
				})
				if test.waits && (err != nil || calls != 5) || !test.waits && (!errors.Is(err, test.err) || calls != 1) {
					t.Errorf("%d calls, %v", calls, err)
				}
			})
		})
	}
}

func TestPatience_EndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		err := NewPatience(slog.New(slog.DiscardHandler)).Await(ctx, "test", diagnosis.Subject{}, func() error { return errors.New("away") })
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
	})
}
