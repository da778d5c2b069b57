package batch

import (
	"bytes"
	"context"
	"encoding/json"
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
	return ManifestPlace(b, h.bucket, h.prefix)
}

// writeManifest counts the manifest into the memory budget from before it is made until S3 has it: that of a single
// aggregate with many partitions may be larger than all else. It waits for nobody, so that whoever waits for room gets it.
func (p *publisher) writeManifest(ctx context.Context, b checkpoint.Batch, place checkpoint.Place) error {
	memory, size := p.budget, int64(manifestSize(b.Files))
	memory.Add(budget.Sending, size)
	defer memory.Release(budget.Sending, size)
	body, err := Manifest(b)
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

// manifestSize estimates the size of a manifest in bytes. It is more only where many characters have to be escaped.
func manifestSize(files []checkpoint.File) int {
	n := 64 << 10 // the ranges
	for i := range files {
		f := &files[i]
		n += 256 + len(f.Bucket) + len(f.Key) + len(f.ETag) + len(f.Partition) + len(f.Reason)
	}
	return n
}

// noFiles is what stands in a manifest's text in the place of files that it has not. No string holds it: there, the
// quotes are escaped.
var noFiles = []byte(`"files": null`)

// Manifest is the text of the object that lists what a batch holds. It is what an audit reads; uploads and parts are of
// no use then. It is made file by file, and so takes up its size in memory and not several times as much.
func Manifest(b checkpoint.Batch) ([]byte, error) {
	files := b.Files
	b.Manifest, b.Published, b.List, b.Files = checkpoint.Place{}, nil, nil, nil
	frame, err := json.MarshalIndent(b, "", "  ")
	if err != nil || len(files) == 0 {
		return append(frame, '\n'), err
	}
	before, after, _ := bytes.Cut(frame, noFiles)
	body := append(make([]byte, 0, len(frame)+manifestSize(files)), before...)
	separator := `"files": [`
	for _, f := range files {
		f.UploadID, f.Parts = "", nil
		text, err := json.MarshalIndent(f, "    ", "  ")
		if err != nil {
			return nil, err
		}
		body = append(append(body, separator+"\n    "...), text...)
		separator = ","
	}
	body = append(append(body, "\n  ]"...), after...)
	return append(body, '\n'), nil
}

// ManifestPlace is where the manifest of a batch lies: where it was to lie when the batch was sealed. A batch that does
// not say so has it in the bucket of its files, or the given one, under the given prefix.
func ManifestPlace(b checkpoint.Batch, bucket, prefix string) checkpoint.Place {
	if b.Manifest != (checkpoint.Place{}) {
		return b.Manifest
	}
	if len(b.Files) > 0 {
		bucket = b.Files[0].Bucket
	}
	return checkpoint.Place{Bucket: bucket, Key: layout.ManifestKey(prefix, b.Created, b.ID)}
}
