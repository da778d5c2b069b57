package writers

import (
	"context"
	"errors"

	"aws-streaming-pipeline/internal/budget"
	"aws-streaming-pipeline/record"
)

// Try encodes the records into a file that is discarded, in the blocks that File.AppendAlone makes of them, and returns
// the format's panic, if there is one. It ignores records that do not fit and other errors: they occur again when the
// real file is written. Like an encoder, it waits for a core. Its only error is the cause of the context's end.
func (s *Shared) Try(ctx context.Context, format Format, records []*record.Record) (panicked *record.Fault, err error) {
	select {
	case s.cores <- struct{}{}:
		defer func() { <-s.cores }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	t := trial{budget: s.budget}
	defer t.letGo()
	return t.run(format, records), nil
}

// trial is a file that is discarded.
type trial struct {
	budget *budget.Budget
	held   int64 // of the open block
	layout Layout
	block  Block
	placed bool
}

func (t *trial) run(format Format, records []*record.Record) (panicked *record.Fault) {
	defer func() {
		if v := recover(); v != nil {
			panicked = record.Panicked(v)
		}
	}()
	t.layout = format.NewLayout()
	t.layout.Begin()
	for _, r := range records {
		if t.block == nil {
			t.block = t.layout.NewBlock()
		}
		err := t.block.Append(r)
		t.hold(int64(t.block.Held()))
		if _, fault := errors.AsType[*record.Fault](err); !fault && err != nil {
			return nil
		}
		if t.block.Full() && t.seal() != nil {
			return nil
		}
	}
	if t.seal() == nil && t.placed { // an empty file has no end
		_, _ = t.layout.End() // an error is not a panic
	}
	return nil
}

// seal encodes and places the open block.
func (t *trial) seal() error {
	if t.block == nil || t.block.Rows() == 0 {
		return nil
	}
	encoded, err := t.block.Encode()
	t.block = nil
	if err != nil {
		return err
	}
	t.hold(int64(cap(encoded.Data)))
	_, err = t.layout.Place(encoded)
	t.placed = true
	if encoded.Release != nil {
		encoded.Release()
	}
	t.hold(0)
	return err
}

// hold updates the memory account.
func (t *trial) hold(n int64) {
	t.budget.Add(budget.Encoding, n-t.held)
	t.held = n
}

func (t *trial) letGo() { t.budget.Release(budget.Encoding, t.held) }
