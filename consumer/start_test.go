package consumer

import (
	"testing"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/consumer/lease"
)

// What START_POSITION says is the position at which the daemon and an import begin.
func TestStartPosition_IsThePositionThatItSays(t *testing.T) {
	for text, want := range map[string]checkpoint.Position{
		"TRIM_HORIZON": checkpoint.TrimHorizon, "LATEST": lease.Latest,
		"2026-01-31T00:00:00Z": "AT_TIMESTAMP:2026-01-31T00:00:00.000Z", "2026-01-31T01:00:00+01:00": "AT_TIMESTAMP:2026-01-31T00:00:00.000Z",
	} {
		p := StartPosition{Latest: true} // which Decode replaces
		if err := p.Decode(text); err != nil || p.Position() != want {
			t.Errorf("%s: position %q, %v; want %q", text, p.Position(), err, want)
		}
	}
}
