package loader

import (
	"cmp"
	"context"
	"slices"
	"time"

	"aws-streaming-pipeline/checkpoint"
)

// Store is the part of a checkpoint store that loaders use.
type Store interface {
	checkpoint.Tables
	checkpoint.Batches
	// Complete reads up to when the data is complete in the bucket, with strong consistency.
	Complete(ctx context.Context) (checkpoint.Complete, error)
	// Forget removes a batch from the outbox. It is not an error if there is none.
	Forget(ctx context.Context, id string) error
}

// Lists are the objects that hold the files of large batches.
type Lists interface {
	checkpoint.Lists
	// DeleteList removes a list's object. It succeeds if there is none.
	DeleteList(ctx context.Context, l checkpoint.FileList) error
}

// outbox is the outbox as one table sees it, sorted by what remains to be done. The ledger was read before the outbox.
type outbox struct {
	// named are batches that the ledger names and that are not marked yet.
	named []checkpoint.Batch
	// finished are marked for all their tables: a loader has stopped before it could forget them.
	finished []checkpoint.Batch
	// waiting are published, not marked, and not in the ledger; the oldest first.
	waiting []checkpoint.Batch
	// keep are the ids in the ledger that must stay in it: their batches are in the outbox and were not marked when it was
	// read, or may be, since this release does not know their kind.
	keep []string
	// unknown is the number of batches of kinds that this release does not know. They may be for the table.
	unknown int
}

func sortOut(name string, ledger []string, batches []checkpoint.Batch, unknown []checkpoint.UnknownBatch) outbox {
	inLedger := make(map[string]bool, len(ledger))
	for _, id := range ledger {
		inLedger[id] = true
	}
	o := outbox{unknown: len(unknown)}
	for _, b := range batches {
		if !slices.Contains(b.Tables, name) {
			continue
		}
		marked := slices.Contains(b.Loaded, name)
		switch {
		case !marked && inLedger[b.ID]:
			o.named = append(o.named, b)
			o.keep = append(o.keep, b.ID)
		case loadedEverywhere(b):
			o.finished = append(o.finished, b)
		case !marked && !b.PublishedAt.IsZero():
			o.waiting = append(o.waiting, b)
		}
	}
	for _, u := range unknown {
		if inLedger[u.ID] {
			o.keep = append(o.keep, u.ID)
		}
	}
	slices.SortFunc(o.waiting, func(a, b checkpoint.Batch) int {
		return cmp.Or(a.PublishedAt.Compare(b.PublishedAt), cmp.Compare(a.ID, b.ID))
	})
	return o
}

func loadedEverywhere(b checkpoint.Batch) bool {
	return !slices.ContainsFunc(b.Tables, func(name string) bool { return !slices.Contains(b.Loaded, name) })
}

// oldest is when the batch that waits longest was published; zero if none waits.
func (o *outbox) oldest() time.Time {
	if len(o.waiting) == 0 {
		return time.Time{}
	}
	return o.waiting[0].PublishedAt
}
