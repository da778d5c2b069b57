package layout_test

import (
	"strings"
	"testing"
	"time"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/writers/layout"
)

var move = layout.Move{Shard: "shardId-000000000000", From: "300", To: checkpoint.TrimHorizon, Counter: 3, At: clock, By: "op@host", Reason: "<why>"}

func TestDecodeMove_GivesWhatWasEncoded(t *testing.T) {
	for _, to := range []checkpoint.Position{checkpoint.TrimHorizon, checkpoint.ShardEnd, "200", checkpoint.AtTimestamp(clock)} {
		m := move
		m.To = to
		body, err := m.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if got, err := layout.DecodeMove(body); err != nil || got != m {
			t.Errorf("%+v, %v; want %+v", got, err, m)
		}
	}
}

func TestDecodeMove_RefusesWhatIsNoMove(t *testing.T) {
	for text, says := range map[string]string{
		`{`:  "JSON",
		`{}`: `shard ""`,
		`{"shard":"s","lease_counter":0,"from":"1","to":"2"}`:      "counter 0",
		`{"shard":"s","lease_counter":1,"from":"LATEST","to":"2"}`: "from:",
		`{"shard":"s","lease_counter":1,"from":"1","to":""}`:       "to:",
	} {
		if m, err := layout.DecodeMove([]byte(text)); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %+v, %v", text, m, err)
		}
	}
}

func TestMove_LiesByTheDayBesideTheManifests(t *testing.T) {
	m := move
	m.At = time.Date(2026, 1, 3, 1, 0, 0, 0, time.FixedZone("", 2*3600))
	if got, want := m.Key("manifests/", "attempt"), "manifests/moves/2026/01/02/shardId-000000000000-3-attempt.json"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
