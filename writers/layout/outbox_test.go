package layout_test

import (
	"testing"

	"aws-streaming-pipeline/writers/layout"
)

func TestParseOutboxKey_KnowsListsAlone(t *testing.T) {
	if got, ok := layout.ParseOutboxKey("manifests/", layout.OutboxKey("manifests/", id)); !ok || got != id {
		t.Errorf("got %q, %v", got, ok)
	}
	for _, other := range []string{
		"manifests/outbox/notes.json.zst", "outbox/" + id + ".json.zst", "manifests/outbox/" + id + ".json", manifestKey("manifests/", clock),
		move.Key("manifests/", id),
	} {
		if _, ok := layout.ParseOutboxKey("manifests/", other); ok {
			t.Errorf("%s is taken for a list", other)
		}
	}
}
