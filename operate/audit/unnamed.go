package audit

import (
	"context"
	"fmt"
	"time"

	"aws-streaming-pipeline/writers/layout"
)

// unnamed finds objects under the prefixes that no manifest names.
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
			if layout.IsBookkeeping(a.ManifestPrefix, key) || a.Beside != nil && a.Beside(key) {
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
			if f, ok := a.unnamedFile(key, file); ok && len(found) < 10*maxListed {
				found = append(found, f)
			}
		}
	}
	if unknown > 0 {
		found = append(found, Finding{Kind: Unknown, Key: example,
			Message: fmt.Sprintf("%d objects have keys that the pipeline does not create, such as this one", unknown)})
	}
	return found, nil
}

// leftInOutbox finds file lists of batches that should have been published long ago. A batch that is still in flight is
// not a finding.
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
				Message: "the batch was begun more than a day ago, but the list of its files has not been removed"})
		}
	}
	return found, nil
}

func (a *auditor) within(t time.Time) bool { return !t.Before(a.From) && t.Before(a.To) }

func (a *auditor) isNamed(key string) bool {
	_, ok := a.named[a.hash(key)]
	return ok
}

// unnamedFile returns the finding for a file that no manifest names. A file whose batch was sealed after the window is
// not a finding, nor is one with the rows of a batch that a database has refused later.
func (a *auditor) unnamedFile(key string, file layout.File) (Finding, bool) {
	if read, listed := a.batches[a.hash(file.Batch)]; listed {
		if !read || file.IsRefused() {
			return Finding{}, false
		}
		return Finding{Kind: Unnamed, Key: key, Message: "the manifest of its batch does not name it"}, true
	}
	return Finding{Kind: Unnamed, Key: key, Batch: file.Batch,
		Message: "its batch has no manifest: it was removed, or the batch is still in the outbox"}, true
}
