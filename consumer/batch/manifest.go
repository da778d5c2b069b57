package batch

import (
	"context"
	"fmt"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/internal/budget"
	"aws-streaming-pipeline/writers"
	"aws-streaming-pipeline/writers/layout"
)

// manifestHome is where manifests go by the present settings.
type manifestHome struct{ bucket, prefix string }

// place is where the manifest of a batch lies.
func (h manifestHome) place(b checkpoint.Batch) checkpoint.Place {
	return layout.ManifestPlace(b, h.bucket, h.prefix)
}

// writeManifest counts the manifest into the memory budget from before it is made until S3 has it: that of a single
// aggregate with many partitions may be larger than all else. It waits for nobody, so that whoever waits for room gets it.
func (p *publisher) writeManifest(ctx context.Context, b checkpoint.Batch, place checkpoint.Place) error {
	memory, size := p.budget, int64(layout.ManifestSize(b.Files))
	memory.Add(budget.Sending, size)
	defer memory.Release(budget.Sending, size)
	body, err := layout.EncodeManifest(b)
	if err != nil {
		return err
	}
	err = p.sink.Put(ctx, writers.ObjectSpec{
		Bucket: place.Bucket, Key: place.Key, ContentType: "application/json",
		Metadata: map[string]string{writers.MetadataBatchID: b.ID},
	}, body)
	if err != nil {
		return fmt.Errorf("write manifest %s: %w", place, err)
	}
	return nil
}
