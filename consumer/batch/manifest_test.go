package batch

import (
	"strings"
	"testing"
	"testing/synctest"

	"aws-streaming-pipeline/internal/budget"
)

func TestPipeline_CountsTheManifestUntilItIsWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWideWorld(t)
		p, stop := w.worker("a")
		defer stop()
		memory := p.parts.Shared.Budget()
		var held int64
		w.bucket.plant(func(operation, key string, applied bool) error {
			if operation == "put" && !applied && strings.HasPrefix(key, "manifests/") && !strings.HasPrefix(key, "manifests/outbox/") {
				held = memory.Held(budget.Sending)
			}
			return nil
		})
		want(t, "readings again", w.read(p, "shard-1", wide(1000, 1)), 0)
		if err := p.AwaitPublished(t.Context()); err != nil {
			t.Fatal(err)
		}
		size := int64(len(w.bucket.objects[w.bucket.keys("manifests/")[0]].body))
		if size == 0 || held < size {
			t.Errorf("%d bytes counted while a manifest of %d bytes is written", held, size)
		}
		want(t, "bytes counted afterwards", memory.Used(), 0)
	})
}
