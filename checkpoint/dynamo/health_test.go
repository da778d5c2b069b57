package dynamo

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/internal/metrics"
)

func TestStore_HealthTellsOfWhatIsNotAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &Store{table: aws.String("leases"), health: &health{}, metrics: metrics.Or(nil), log: slog.New(slog.DiscardHandler)}
		operation := "commit"
		call := func(ctx context.Context, took time.Duration, result error) {
			_ = s.call(ctx, operation, func() error { time.Sleep(took); return result })
		}
		check := func(what, want string) {
			t.Helper()
			if err := s.Health(); (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v, want %q", what, err, want)
			}
		}
		check("before any call", "")
		go call(t.Context(), 40*time.Second, errors.New("away"))
		time.Sleep(5 * time.Second)
		check("five seconds without an answer", "")
		time.Sleep(10 * time.Second)
		check("a quarter of a minute without one", "table leases: commit: no answer for 15s")
		time.Sleep(30 * time.Second)
		check("after it failed", "table leases: commit: failing for 45s: away")
		call(t.Context(), 0, nil)
		check("after an answer", "")
		call(t.Context(), 20*time.Second, &types.ConditionalCheckFailedException{})
		check("a condition that does not hold", "")
		call(t.Context(), 20*time.Second, errors.New("away"))
		check("a call that failed after twenty seconds", "away")
		time.Sleep(2 * time.Minute)
		check("long after the last call", "")
		call(t.Context(), 0, nil)
		call(t.Context(), 20*time.Second, &types.ResourceNotFoundException{})
		check("a table that was deleted", "table leases: commit: failing for 20s: ResourceNotFoundException")
		call(t.Context(), 0, nil)
		operation = describeTable
		call(t.Context(), 20*time.Second, &types.ResourceNotFoundException{})
		check("a table that is looked for", "")
		operation = "commit"
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		call(ctx, 20*time.Second, context.Canceled)
		check("a call that its caller has ended", "")
		call(checkpoint.Aside(t.Context()), 20*time.Second, errors.New("away"))
		check("a call on which no work depends", "")
	})
}
