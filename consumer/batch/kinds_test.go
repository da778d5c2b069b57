package batch

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"aws-streaming-pipeline/checkpoint"
)

// Batches of a kind that only a later release knows are left to its workers, counted, and named once in the log.
func TestSweep_PassesOverUnknownKinds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		var log bytes.Buffer
		p, stop := w.worker("a", func(parts *Parts) { parts.Log = slog.New(slog.NewTextHandler(&log, nil)) })
		defer stop()
		w.bucket.plant(func(operation, key string, _ bool) error {
			t.Errorf("%s %s was called", operation, key)
			return nil
		})
		sweep := func(unknown ...checkpoint.UnknownBatch) {
			p.Sweep(checkpoint.Snapshot{Unknown: unknown}, func(checkpoint.Batch) bool { return true })
			synctest.Wait()
			p.Observe()
		}
		one, two := checkpoint.UnknownBatch{ID: "1", Kind: "LATER"}, checkpoint.UnknownBatch{ID: "2", Kind: "LATER"}
		sweep(one, two)
		want(t, "batches of unknown kinds", value(t, p.parts.Metrics.OutboxFailed.WithLabelValues(reasonUnknown)), 2)
		sweep(two)
		want(t, "batches of unknown kinds", value(t, p.parts.Metrics.OutboxFailed.WithLabelValues(reasonUnknown)), 1)
		sweep()
		want(t, "batches of unknown kinds", value(t, p.parts.Metrics.OutboxFailed.WithLabelValues(reasonUnknown)), 0)
		sweep(one, checkpoint.UnknownBatch{ID: "3", Kind: "LATER_STILL"})
		want(t, "lines of the log", strings.Count(log.String(), "kind=LATER "), 1)
		want(t, "lines of the log", strings.Count(log.String(), "kind=LATER_STILL "), 1)
	})
}

// becomesUnknown is a store in which a later release makes every batch its own while it is published.
type becomesUnknown struct{ checkpoint.Store }

func (becomesUnknown) Forget(context.Context, string) error { return checkpoint.ErrUnknownKind }

func TestPublish_LeavesABatchThatALaterReleaseHasMadeItsOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		p, stop := w.worker("a", func(parts *Parts) { parts.Store = becomesUnknown{parts.Store} })
		defer stop()
		begin := time.Now()
		err := p.publisher.publish(context.Background(), checkpoint.Batch{ID: "b", Worker: "a", Created: begin}, publishBound)
		if !errors.Is(err, checkpoint.ErrUnknownKind) || reasonOf(err) != reasonUnknown {
			t.Errorf("publishing gave %v, want ErrUnknownKind", err)
		}
		want(t, "time until it gave up", time.Since(begin), 0)
	})
}
