package care

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/loader"
)

// ReloadReport says what a reload has loaded.
type ReloadReport struct {
	Batches int64 `json:"batches"`
	Files   int64 `json:"files"`
	Rows    int64 `json:"rows"`
	// Partial are the batches of which the table has some rows and lacks others. They are left alone.
	Partial []string `json:"partial"`
	// Unfit is the number of batches that the table cannot take, and Reason why the first cannot. They are left alone.
	Unfit  int64  `json:"unfit"`
	Reason string `json:"reason,omitempty"`
}

const (
	// reloadBatches is how many batches a write of a reload adds at most, unless they are large.
	reloadBatches = 100
	reloadBytes   = 256 << 20
	// reloadTries is how often a write is tried that loses against a loader.
	reloadTries = 10
)

// Reload loads batches of the window again whose rows the table does not have, and that neither the outbox nor the ledger names: those
// that the database has lost, as when it was restored from a backup. Each write is on condition that the table is as it was when it was
// examined, so a reload that runs twice, or beside a loader, loads nothing twice. If apply is false it only reports what it would load.
//
// With a key, a batch is loaded again if the table lacks the newest row of one of its keys. That changes nothing else: of the rows with a key,
// the newest stays.
func Reload(ctx context.Context, s *Site, load func(context.Context) (loader.State, error), apply bool) (*ReloadReport, error) {
	r := &ReloadReport{Partial: []string{}}
	batches, err := s.read(ctx)
	if err != nil {
		return r, err
	}
	c, err := s.compare(ctx, batches, false)
	if err != nil {
		return r, err
	}
	lost := s.lost(c.batches, r)
	if !apply {
		r.count(lost)
		return r, nil
	}
	for len(lost) > 0 {
		n := cut(lost)
		if err := s.reload(ctx, lost[:n], load, r); err != nil {
			return r, fmt.Errorf("load batches again: %w; what was loaded before stays, and another reload goes on from there", err)
		}
		lost = lost[n:]
	}
	return r, nil
}

// lost returns the batches to load again, the oldest first, and reports those that are there in part.
func (s *Site) lost(batches []*batch, r *ReloadReport) (lost []*batch) {
	for _, b := range batches {
		switch {
		case b.waits || b.named || b.skipped:
		case len(s.Key) > 0 && b.stale > 0, len(s.Key) == 0 && b.whole():
			lost = append(lost, b)
		case len(s.Key) == 0 && b.missing > 0:
			r.Partial = append(r.Partial, b.id)
		}
	}
	sortByID(lost)
	slices.Sort(r.Partial)
	return lost
}

// cut returns how many batches to load in one write.
func cut(lost []*batch) int {
	var size int64
	for i, b := range lost {
		for _, f := range b.files {
			size += f.Bytes
		}
		if i > 0 && (i >= reloadBatches || size > reloadBytes) {
			return i
		}
	}
	return len(lost)
}

// reload loads batches in one write, after another look at them in the state that the write is conditional on.
func (s *Site) reload(ctx context.Context, batches []*batch, load func(context.Context) (loader.State, error), r *ReloadReport) error {
	for try := 1; ; try++ {
		state, err := load(ctx)
		if err != nil {
			return err
		}
		if _, err := s.compare(ctx, batches, false); err != nil {
			return err
		}
		var again ReloadReport
		add := fit(state, s.lost(batches, &again), r)
		if len(add) == 0 {
			return nil
		}
		err = state.Append(ctx, loader.Addition{Batches: s.described(add), Keep: state.Ledger()})
		if err == nil {
			r.count(add)
			return settle(ctx, add, load)
		}
		if !errors.Is(err, loader.ErrConflict) || try == reloadTries {
			return err
		}
	}
}

// fit returns the batches that the table can take.
func fit(state loader.State, batches []*batch, r *ReloadReport) (fits []*batch) {
	for _, b := range batches {
		var reason error
		for i := range b.files {
			if _, err := state.Check(&b.files[i]); err != nil && reason == nil {
				reason = fmt.Errorf("batch %s, file s3://%s/%s: %w", b.id, b.files[i].Bucket, b.files[i].Key, err)
			}
		}
		if reason == nil {
			fits = append(fits, b)
			continue
		}
		if r.Unfit++; r.Unfit == 1 {
			r.Reason = reason.Error()
		}
	}
	return fits
}

// settle has the rows that the database has refused written to the error prefix. No loader does it: the batches are not in the outbox.
func settle(ctx context.Context, batches []*batch, load func(context.Context) (loader.State, error)) error {
	state, err := load(ctx)
	if err != nil {
		return err
	}
	s, ok := state.(loader.Settler)
	if !ok {
		return nil
	}
	ids := make([]string, len(batches))
	for i, b := range batches {
		ids[i] = b.id
	}
	_, err = s.Settle(ctx, ids)
	return err
}

func (s *Site) described(batches []*batch) []checkpoint.Batch {
	all := make([]checkpoint.Batch, len(batches))
	for i, b := range batches {
		all[i] = checkpoint.Batch{ID: b.id, Created: b.sealed, Ranges: b.ranges, Tables: []string{s.Window.Table}, Files: b.files}
	}
	return all
}

func (r *ReloadReport) count(batches []*batch) {
	for _, b := range batches {
		r.Batches++
		r.Files += int64(len(b.files))
		r.Rows += b.rows
	}
}
