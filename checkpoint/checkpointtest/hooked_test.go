package checkpointtest_test

import (
	"errors"
	"testing"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/checkpoint/checkpointtest"
	"aws-streaming-pipeline/checkpoint/local"
)

// Hooked does not change how a store behaves, and its hook sees every call.
func TestHooked_IsAStore(t *testing.T) {
	checkpointtest.Run(t, func(t *testing.T) checkpoint.Store {
		return checkpointtest.Hooked(local.OpenMemory(), func(string, bool) error { return nil })
	})
}

func TestHook_FailsBeforeAndAfterTheCallIsApplied(t *testing.T) {
	planted := errors.New("planted")
	for _, when := range []bool{false, true} {
		hits := 0
		s := checkpointtest.Hooked(local.OpenMemory(), func(operation string, applied bool) error {
			if operation == "bury" && applied == when {
				hits++
				return planted
			}
			return nil
		})
		if _, err := s.Bury(t.Context(), "b", "w1"); !errors.Is(err, planted) {
			t.Errorf("applied %t: Bury: %v, want the planted error", when, err)
		}
		snap, err := s.Scan(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if applied := len(snap.Tombstones) == 1; applied != when || hits != 1 {
			t.Errorf("applied %t: the tombstone is there: %t; the hook was hit %d times", when, applied, hits)
		}
	}
}
