package loader

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/internal/logkey"
)

// Bounds of one write, besides the number of its batches. They bound the memory that it takes. A batch that exceeds them by
// itself is written alone.
const (
	maxFiles       = 20_000
	maxDescription = 64 << 20 // bytes
	// maxProblems is how many batches may turn out to be stuck before the others are written. Reading them takes time.
	maxProblems = 16
)

// load is what one write adds.
type load struct {
	batches     []checkpoint.Batch
	wanted      columns
	files       int
	description int
	bytes       int64
	// cut means that more batches wait than the bounds allow.
	cut bool
}

// gather reads the files of the batches that wait, one batch after the other, up to the bounds of a write.
func (l *Loader) gather(ctx context.Context, state State, waiting []checkpoint.Batch) (load, error) {
	var all load
	problems, most := 0, int64(math.MaxInt64)
	if to, ok := l.to.(Bounded); ok {
		most = to.MaxBytes()
	}
	defer l.tried()
	l.stuck.only(waiting)
	for _, header := range l.stuck.order(waiting) {
		apart := l.stuck.batches[header.ID].apart
		if l.unwritten[header.ID] {
			continue // in this round
		}
		if apart && len(all.batches) > 0 {
			all.cut = true
			break
		}
		if len(all.batches) >= l.cfg.Batches || problems >= maxProblems {
			all.cut = len(all.batches) >= l.cfg.Batches
			break
		}
		one, err := l.read(ctx, state, header)
		if p, ok := errors.AsType[*Problem](err); ok {
			problems++
			if l.stuck.add(header.ID, p) {
				l.logStuck(header.ID, p)
			}
			continue
		}
		if errors.Is(err, checkpoint.ErrNotFound) || errors.Is(err, checkpoint.ErrUnknownKind) {
			continue // since the outbox was read, another loader has forgotten it or a later release has changed its kind
		}
		if err != nil {
			return load{}, err
		}
		l.touch()
		if len(all.batches) > 0 && (all.files+one.files > maxFiles || all.description+one.description > maxDescription || all.bytes+one.bytes > most) {
			all.cut = true
			break
		}
		all.add(one)
		if apart {
			all.cut = true // it is written alone, and stays stuck until then
			break
		}
		delete(l.stuck.batches, header.ID)
	}
	return all, nil
}

func (l *Loader) logStuck(id string, p *Problem) {
	l.log.Error("a batch cannot be loaded; it is tried again, and the others are loaded", logkey.Batch, id, logkey.Reason, string(p.Reason), logkey.Error, p)
}

func (l *load) add(one load) {
	l.batches = append(l.batches, one.batches...)
	l.files += one.files
	l.description += one.description
	l.bytes += one.bytes
	l.wanted.add(one.wanted.list)
}

// read reads one batch with its data files and checks them. The error is a *Problem if it is the batch's own.
func (l *Loader) read(ctx context.Context, state State, header checkpoint.Batch) (load, error) {
	b, err := bounded(ctx, storeBound, func(ctx context.Context) (checkpoint.Batch, error) {
		return checkpoint.LoadBatch(ctx, l.store, l.lists, header.ID)
	})
	switch {
	case errors.Is(err, checkpoint.ErrNoList):
		return load{}, &Problem{Reason: ListLost, Err: err}
	case err != nil && b.List != nil && ctx.Err() == nil:
		return load{}, &Problem{Reason: ListUnread, Err: err} // the store has answered, the bucket has not
	case err != nil:
		return load{}, fmt.Errorf("read batch %s: %w", header.ID, err)
	}
	b.Files = slices.DeleteFunc(b.Files, func(f checkpoint.File) bool { return !f.Data() })
	one := load{batches: []checkpoint.Batch{b}, files: len(b.Files)}
	if len(b.Files) == 0 {
		return load{}, &Problem{Reason: BadDescription, Err: errors.New("the batch has no data files")}
	}
	for i := range b.Files {
		f := &b.Files[i]
		f.Staged = nil // published; only its memory would be of use
		wanted, err := check(state, f)
		if err != nil {
			return load{}, err
		}
		one.description += len(f.Table)
		one.bytes += f.Bytes
		one.wanted.add(wanted)
	}
	return one, nil
}
