package positions

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/writers/layout"
)

// Skipper has a table go without published batches: it marks them as loaded, so that the table's loaders leave them alone.
// The table never gets their records. Notes must have a Reason.
type Skipper struct {
	Store checkpoint.Store
	Notes Notes
}

// Plan reads a batch and checks that it waits for the table, without changing anything.
func (s Skipper) Plan(ctx context.Context, id, table string) (checkpoint.Batch, error) {
	b, err := s.Store.Batch(ctx, id)
	switch {
	case err != nil:
		return b, fmt.Errorf("batch %s: %w", id, err)
	case len(b.Tables) == 0:
		return b, fmt.Errorf("batch %s is not for any table", id)
	case !slices.Contains(b.Tables, table):
		return b, fmt.Errorf("table %q: batch %s is for %s", table, id, strings.Join(b.Tables, ", "))
	case slices.Contains(b.Loaded, table):
		return b, fmt.Errorf("table %s has batch %s already: a running loader removes the batch from the outbox", table, id)
	case b.PublishedAt.IsZero():
		return b, fmt.Errorf("batch %s is not published yet: a running worker publishes it", id)
	}
	return b, nil
}

// Skip takes a planned batch from the table's loaders, and removes it from the outbox if no other table waits for it. A
// loader that is writing it at this moment may still add it to the table.
func (s Skipper) Skip(ctx context.Context, b checkpoint.Batch, table string) (removed bool, err error) {
	note := layout.Skip{Batch: b.ID, Table: table, At: time.Now().UTC(), By: s.Notes.By, Reason: s.Notes.Reason}
	if note.Reason == "" {
		return false, errors.New("no reason given: a note of it is written")
	}
	// Write the note first: a note without a skip is harmless.
	if err := s.Notes.writeSkip(ctx, note); err != nil {
		return false, fmt.Errorf("batch %s: write the note: %w", b.ID, err)
	}
	if err := s.Store.MarkLoaded(ctx, b.ID, table); err != nil {
		return false, err
	}
	err = s.Store.Forget(ctx, b.ID)
	if errors.Is(err, checkpoint.ErrNotLoaded) {
		return false, nil
	}
	return err == nil, err
}
