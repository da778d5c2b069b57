package audit

import (
	"context"
	"fmt"
	"time"

	"aws-streaming-pipeline/writers/layout"
)

// unnamed looks for objects under the prefixes that no manifest names.
func (a *auditor) unnamed(ctx context.Context) ([]Finding, error) {
	var found []Finding
	a.report.Listed = 0
	unknown, example := 0, ""
	for _, prefix := range layout.Disjoint(a.Prefixes) {
		for o, err := range a.Bucket.List(ctx, prefix, "") {
			if err != nil {
				return nil, err
			}
			key := *o.Key
			if layout.IsBookkeeping(a.ManifestPrefix, key) {
				continue
			}
			a.report.Listed++
			file, ok := layout.ParseFile(key)
			if !ok {
				if a.within(*o.LastModified) {
					unknown++
					example = key
				}
				continue
			}
			begun, _ := layout.BatchTime(file.Batch)
			if !a.within(begun) || a.isNamed(key) {
				continue
			}
			if f, ok := a.unnamedFile(key, file.Batch); ok && len(found) < 10*maxListed {
				found = append(found, f)
			}
		}
	}
	if unknown > 0 {
		found = append(found, Finding{Kind: Unknown, Key: example,
			Message: fmt.Sprintf("%d objects have keys that the pipeline does not make; this is one of them", unknown)})
	}
	return found, nil
}

// leftInOutbox looks for lists of files of batches that should have been published long ago. The list of a batch that is
// on its way is none of this audit's.
func (a *auditor) leftInOutbox(ctx context.Context) ([]Finding, error) {
	var found []Finding
	for o, err := range a.Bucket.List(ctx, layout.OutboxFolder(a.ManifestPrefix), "") {
		if err != nil {
			return nil, err
		}
		batch, ok := layout.ParseOutboxKey(a.ManifestPrefix, *o.Key)
		begun, _ := layout.BatchTime(batch)
		if ok && a.Now().Sub(begun) > longestOutbox {
			found = append(found, Finding{Kind: OldOutbox, Key: *o.Key, Batch: batch,
				Message: "the batch was begun more than a day ago, and the list of its files has not been removed"})
		}
	}
	return found, nil
}

func (a *auditor) within(t time.Time) bool { return !t.Before(a.From) && t.Before(a.To) }

func (a *auditor) isNamed(key string) bool {
	_, ok := a.named[a.hash(key)]
	return ok
}

// unnamedFile says what is known of a file that no manifest that was read names. A file whose batch was sealed behind
// the window is none of this audit's.
func (a *auditor) unnamedFile(key, batch string) (Finding, bool) {
	if read, listed := a.batches[a.hash(batch)]; listed {
		if !read {
			return Finding{}, false
		}
		return Finding{Kind: Unnamed, Key: key, Message: "the manifest of its batch does not name it"}, true
	}
	return Finding{Kind: Unnamed, Key: key, Batch: batch,
		Message: "its batch has no manifest: the manifest was removed, or its worker has not come so far and the batch is in the outbox"}, true
}
