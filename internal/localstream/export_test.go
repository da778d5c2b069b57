package localstream

import (
	"testing"
	"time"
)

// WaitForCalls sets how long Close waits for calls in flight, until the test ends.
func WaitForCalls(t *testing.T, bound time.Duration) {
	before := shutdownBound
	shutdownBound = bound
	t.Cleanup(func() { shutdownBound = before })
}
