package positions

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/internal/backoff"
)

// WaitStore is the part of a checkpoint store that a Waiter reads.
type WaitStore interface {
	checkpoint.Completeness
	checkpoint.Tables
}

// Waiter waits until an application's data is complete up to a time.
type Waiter struct {
	Store WaitStore
	// Until is the arrival time in question.
	Until time.Time
	// Table is the name of the table that must have the data, as batches name it; empty for the bucket.
	Table string
	// Every is the time between two looks, Deadline the time of the last one; zero for no end.
	Every    time.Duration
	Deadline time.Time
	// Tell is called with what is waited for, whenever that changes.
	Tell func(string)

	left map[string]bool // batches of the table that it must still get; nil until the bucket is complete
	told string
}

// Waited is what a Waiter has found.
type Waited struct {
	Complete bool      `json:"complete"`
	Until    time.Time `json:"until"`
	// CompleteUpTo is the application's statement, which is of the bucket; left out if there is none.
	CompleteUpTo time.Time `json:"complete_up_to,omitzero"`
	At           time.Time `json:"at,omitzero"` // when that was concluded
	Table        string    `json:"table,omitempty"`
	// Batches is how many batches the table must still get; nil if that is not known.
	Batches *int `json:"batches,omitempty"`
}

// errNoTable means that no loader has ever had a table of that name.
var errNoTable = errors.New("no loader of this application has ever loaded it")

// Check returns an error if waiting makes no sense.
func (w *Waiter) Check(ctx context.Context) error {
	if w.Table == "" {
		return nil
	}
	_, err := w.Store.Table(ctx, w.Table)
	if errors.Is(err, checkpoint.ErrNotFound) {
		err = errNoTable
	}
	if err != nil {
		return fmt.Errorf("table %s: %w", w.Table, err)
	}
	return nil
}

// Wait looks until everything is complete, until the deadline, or until ctx ends. It looks at least once. Errors of the store are
// told, and the next look may succeed.
func (w *Waiter) Wait(ctx context.Context) Waited {
	found := Waited{Until: w.Until, Table: w.Table}
	for {
		last := !w.Deadline.IsZero() && !time.Now().Before(w.Deadline)
		if err := w.look(ctx, &found); err != nil && ctx.Err() == nil {
			w.tell(fmt.Sprintf("the table of checkpoints cannot be read: %v", err))
		}
		if found.Complete || last || backoff.Sleep(ctx, w.pause()) != nil {
			return found
		}
	}
}

// pause returns how long to wait for the next look.
func (w *Waiter) pause() time.Duration {
	if w.Deadline.IsZero() {
		return w.Every
	}
	return min(w.Every, max(0, time.Until(w.Deadline)))
}

// lookTimeout bounds one look.
const lookTimeout = time.Minute

func (w *Waiter) look(ctx context.Context, found *Waited) error {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	if w.left == nil {
		c, err := w.Store.Complete(ctx)
		if err != nil {
			return err
		}
		found.CompleteUpTo, found.At = c.UpTo, c.At
		switch {
		case c.UpTo.IsZero():
			w.tell("the application has not stated yet up to when its data is complete")
			return nil
		case c.UpTo.Before(w.Until):
			w.tell("the data is not complete up to " + w.Until.Format(time.RFC3339Nano) + " yet")
			return nil
		}
	}
	if w.Table == "" {
		found.Complete = true
		return nil
	}
	return w.lookAtTable(ctx, found)
}

// lookAtTable looks whether the table has what was published when the bucket became complete. The statement was read before the
// outbox: a batch that it covers is in the outbox or in the table. Batches that come later do not matter.
func (w *Waiter) lookAtTable(ctx context.Context, found *Waited) error {
	batches, unknown, err := w.Store.Outbox(ctx)
	if err != nil {
		return err
	}
	waiting := make(map[string]bool)
	for _, b := range batches {
		if slices.Contains(b.Tables, w.Table) && !b.PublishedAt.IsZero() && !slices.Contains(b.Loaded, w.Table) {
			waiting[b.ID] = true
		}
	}
	for _, u := range unknown { // which may be for the table
		waiting[u.ID] = true
	}
	if w.left == nil {
		w.left = waiting
	}
	for id := range w.left {
		if !waiting[id] {
			delete(w.left, id)
		}
	}
	n := len(w.left)
	found.Batches, found.Complete = &n, n == 0
	if n > 0 {
		w.tell(fmt.Sprintf("the data is complete in the bucket; %d batches are to be loaded into table %s", n, w.Table))
	}
	return nil
}

func (w *Waiter) tell(text string) {
	if text != w.told && w.Tell != nil {
		w.told = text
		w.Tell(text)
	}
}
