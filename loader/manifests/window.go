// Package manifests reads what the manifests of a bucket record of the batches that were delivered for a table.
package manifests

import (
	"context"
	"fmt"
	"slices"
	"time"

	"aws-streaming-pipeline/operate/objects"
	"aws-streaming-pipeline/writers/layout"
)

// maxNote is the largest note of a skipped batch that is read, in bytes.
const maxNote = 1 << 20

// Window is a part of what the manifests of a bucket record.
type Window struct {
	Bucket objects.Bucket
	// Prefix is the MANIFEST_PREFIX of the daemon.
	Prefix string
	// Table is the name of the table, as batches name it.
	Table string
	// From (inclusive) and To (exclusive) bound the time at which batches were sealed. A zero From means from the first
	// manifest.
	From, To time.Time
}

// Each calls f for each manifest of the window whose batch names the table, in the order of the hours in which the
// batches were sealed.
func (w Window) Each(ctx context.Context, f func(layout.Manifest) error) error {
	after := ""
	if !w.From.IsZero() {
		// Keys in the folder of an hour sort after the folder's name.
		after = layout.ManifestFolder(w.Prefix, w.From)
	}
	for object, err := range w.Bucket.List(ctx, w.Prefix, after) {
		if err != nil {
			return err
		}
		hour, _, ok := layout.ParseManifestKey(w.Prefix, *object.Key)
		if !ok || !hour.Before(w.To) {
			continue
		}
		body, _, err := w.Bucket.Read(ctx, *object.Key, layout.MaxManifest)
		if err != nil {
			return err
		}
		m, err := layout.DecodeManifest(body)
		if err == nil {
			err = m.Validate()
		}
		if err != nil {
			return fmt.Errorf("manifest s3://%s/%s: %w", w.Bucket.Name, *object.Key, err)
		}
		if m.Created.Before(w.From) || !m.Created.Before(w.To) || !slices.Contains(m.Tables, w.Table) {
			continue
		}
		if err := f(m); err != nil {
			return err
		}
	}
	return nil
}

// Skipped returns the batches of which a note says that the table goes without them.
func (w Window) Skipped(ctx context.Context) (map[string]bool, error) {
	batches := map[string]bool{}
	for object, err := range w.Bucket.List(ctx, layout.SkipsFolder(w.Prefix), "") {
		if err != nil {
			return nil, err
		}
		body, _, err := w.Bucket.Read(ctx, *object.Key, maxNote)
		if err != nil {
			return nil, err
		}
		note, err := layout.DecodeSkip(body)
		if err != nil {
			return nil, fmt.Errorf("note s3://%s/%s: %w", w.Bucket.Name, *object.Key, err)
		}
		if note.Table == w.Table {
			batches[note.Batch] = true
		}
	}
	return batches, nil
}
