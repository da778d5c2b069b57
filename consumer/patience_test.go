package consumer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
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

// A call that is interrupted fails because of that. What the start waited for is the reason before.
func TestPatience_SaysWhatItWaitedForWhenItIsInterrupted(t *testing.T) {
	for name, away := range map[string]error{"a failing service": errors.New("away"), "a silent service": nil} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				terminated := errors.New("got terminated")
				ctx, cancel := context.WithCancelCause(t.Context())
				var log bytes.Buffer
				p := NewPatience(slog.New(slog.NewTextHandler(&log, nil)))
				attempts := 0
				time.AfterFunc(time.Minute, func() { cancel(terminated) })
				err := p.Await(ctx, "find it", diagnosis.Subject{}, func() error {
					if attempts++; attempts == 1 && away != nil {
						return away
					}
					<-ctx.Done()
					return fmt.Errorf("find: %w", ctx.Err())
				})
				want := "find it: no answer yet"
				if away != nil {
					want = "find it: away"
				}
				if !errors.Is(err, terminated) || !strings.Contains(err.Error(), want) || errors.Is(err, context.Canceled) {
					t.Errorf("got %v, want %q in it", err, want)
				}
				if n := strings.Count(log.String(), "\n"); n != 1 || strings.Contains(log.String(), "canceled") {
					t.Errorf("%d lines\n%s", n, &log)
				}
			})
		})
	}
}

// A service that takes a request and does not answer is named long before the call fails. The control is the first look.
func TestPatience_SaysThatThereIsNoAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := NewPatience(slog.New(slog.DiscardHandler))
		done := make(chan error)
		go func() {
			done <- p.Await(t.Context(), "find it", diagnosis.Subject{}, func() error { time.Sleep(time.Minute); return nil })
		}()
		time.Sleep(quiet - time.Second)
		if got := p.Waits().Error(); got != "find it" {
			t.Errorf("got %q before", got)
		}
		time.Sleep(2 * time.Second)
		if got := p.Waits().Error(); got != "find it: no answer yet" {
			t.Errorf("got %q", got)
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}
