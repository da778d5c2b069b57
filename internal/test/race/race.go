// Package race tells tests whether they run with the race detector, under which a long load takes five to twenty times as long.
package race

import "testing"

// LeaveOut skips a test under the race detector. It is for tests whose program runs in a process of its own, which has no detector:
// it would only slow down what the test serves to that process. Package internal/test/suite, which make test runs, must list the
// package, so that the test runs without the detector.
func LeaveOut(tb testing.TB) {
	tb.Helper()
	if Enabled {
		tb.Skip("make test runs it without the race detector")
	}
}
