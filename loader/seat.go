package loader

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/record/table"
)

const (
	// beatEvery is the time between two beats of the loader that is elected, and between two looks of the others.
	beatEvery = 10 * time.Second
	// silence is the time without a beat, on the watcher's own clock, after which another loader takes over.
	silence = 45 * time.Second
)

var (
	// ErrOtherTable means that the table is not the one that batches were loaded into before: it was dropped and created
	// again, or the name means something else now. Its ledger names none of those batches.
	ErrOtherTable = errors.New("this is another table of the same name")

	errDeposed = errors.New("another loader has taken over")
)

// seat is the table's item in the store, by which loaders elect one of them, and by which the elected one tells workers what
// the table looks like. Losing the seat unnoticed does no harm.
type seat struct {
	store  checkpoint.Tables
	name   string // of the table
	loader string // this one's id

	turn chan struct{} // taken by whoever reads or writes the item in the store

	mu   sync.Mutex
	item checkpoint.Table // as read or written last
	seen time.Time        // when item.Version was first seen
	held bool
	term int // grows whenever the seat is taken
	// taken receives a value when the seat is taken.
	taken chan struct{}
}

func newSeat(store checkpoint.Tables, name, loader string) *seat {
	return &seat{store: store, name: name, loader: loader, turn: make(chan struct{}, 1), taken: make(chan struct{}, 1)}
}

// begin waits for the turn. done releases it.
func (s *seat) begin(ctx context.Context) (done func(), err error) {
	select {
	case s.turn <- struct{}{}:
		return func() { <-s.turn }, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// beat keeps the seat or, if nobody has it, takes it.
func (s *seat) beat(ctx context.Context) error {
	done, err := s.begin(ctx)
	if err != nil {
		return err
	}
	defer done()
	if held, _ := s.holds(); held {
		return s.put(ctx, s.item.Definition)
	}
	if err := s.read(ctx); err != nil {
		return err
	}
	if other := s.item.Loader != "" && s.item.Loader != s.loader; other && time.Since(s.seen) < silence {
		return nil
	}
	if err := s.put(ctx, s.item.Definition); err != nil {
		if errors.Is(err, errDeposed) {
			return nil // another one was quicker
		}
		return err
	}
	s.mu.Lock()
	s.held = true
	s.term++
	s.mu.Unlock()
	select {
	case s.taken <- struct{}{}:
	default:
	}
	return nil
}

// read reads the item. The caller has the turn.
func (s *seat) read(ctx context.Context) error {
	item, err := s.store.Table(ctx, s.name)
	if errors.Is(err, checkpoint.ErrNotFound) {
		item, err = checkpoint.Table{Name: s.name}, nil
	}
	if err != nil {
		return fmt.Errorf("read the table's item: %w", err)
	}
	s.note(item)
	return nil
}

func (s *seat) note(item checkpoint.Table) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if item.Version != s.item.Version || s.seen.IsZero() {
		s.seen = time.Now()
	}
	s.item = item
}

// put writes the item in this loader's name. The caller has the turn, so that only it changes s.item meanwhile.
func (s *seat) put(ctx context.Context, definition json.RawMessage) error {
	item := s.item
	item.Loader, item.Definition = s.loader, definition
	written, err := s.store.PutTable(ctx, item)
	if err == nil {
		s.note(written)
		return nil
	}
	if !errors.Is(err, checkpoint.ErrConflict) {
		return fmt.Errorf("write the table's item: %w", err)
	}
	if err := s.read(ctx); err != nil {
		return err
	}
	if s.item.Loader == s.loader {
		return nil // an earlier write of this loader, whose answer was lost; the next beat goes on from there
	}
	s.give()
	return errDeposed
}

// give notes that the seat is another's, or nobody's.
func (s *seat) give() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held = false
}

// holds reports whether this loader is elected, as far as it knows, and the id of the one that is.
func (s *seat) holds() (held bool, loader string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.held, s.item.Loader
}

// holdsSince reports whether this loader has been elected all through the term.
func (s *seat) holdsSince(term int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.held && s.term == term
}

// definition returns the Definition in the item, nil if there is none, and the term for define. Ask for it before the table is
// loaded.
func (s *seat) definition() (term int, d *table.Definition, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.item.Definition) == 0 {
		return s.term, nil, nil
	}
	d = new(table.Definition)
	if err := json.Unmarshal(s.item.Definition, d); err != nil {
		return s.term, nil, fmt.Errorf("decode the definition in the table's item: %w", err)
	}
	return s.term, d, nil
}

// define writes the definition of a table that was loaded in the term, unless the item has it already. In one term no other
// loader writes the item, so a definition never replaces a newer one.
func (s *seat) define(ctx context.Context, term int, d *table.Definition) (changed bool, err error) {
	text, err := json.Marshal(d)
	if err != nil {
		return false, err
	}
	done, err := s.begin(ctx)
	if err != nil {
		return false, err
	}
	defer done()
	if !s.holdsSince(term) {
		return false, errDeposed
	}
	if same(text, s.item.Definition) {
		return false, nil
	}
	if err := s.put(ctx, text); err != nil {
		return false, err
	}
	return true, nil
}

// same compares JSON texts. A store may keep them in another form.
func same(a, b json.RawMessage) bool {
	var x, y bytes.Buffer
	return json.Compact(&x, a) == nil && json.Compact(&y, b) == nil && bytes.Equal(x.Bytes(), y.Bytes())
}

// leave gives the seat up, so that another loader need not wait for silence.
func (s *seat) leave(ctx context.Context) error {
	done, err := s.begin(ctx)
	if err != nil {
		return err
	}
	defer done()
	if held, _ := s.holds(); !held {
		return nil
	}
	s.give()
	item := s.item
	item.Loader = ""
	_, err = s.store.PutTable(ctx, item)
	if errors.Is(err, checkpoint.ErrConflict) {
		return nil // another loader has it, or will after a while
	}
	return err
}
