package writers

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"

	"aws-streaming-pipeline/internal/budget"
)

// initialRatio is taken for encoded bytes per byte of block memory until the first block of a format has shown its own.
const initialRatio = 0.5

// smallestSeal is the size of an open block, in bytes, below which sealing it to save memory is not worth its while.
const smallestSeal = 16 << 10

// Shared is what all files of a process have in common: the cores that encode, the bound on sealed blocks, the memory
// budget and what is known of each format's compression. It is safe for concurrent use.
type Shared struct {
	budget *budget.Budget
	cores  chan struct{} // one element for each Encode that runs
	slots  chan struct{} // one for each block from its sealing until its bytes have been handed to the upload

	mu     sync.Mutex
	open   map[*File]struct{}
	ratios map[string]*ratio // by extension
}

// NewShared returns what files share. Encoders is the number of blocks that are encoded at the same time, 0 for the
// number of cores. Twice as many may be sealed, so that the encoders do not run dry while bytes are handed on.
func NewShared(b *budget.Budget, encoders int) (*Shared, error) {
	if encoders < 0 {
		return nil, fmt.Errorf("number of encoders %d is negative", encoders)
	}
	if encoders == 0 {
		encoders = runtime.GOMAXPROCS(0)
	}
	return &Shared{
		budget: b,
		cores:  make(chan struct{}, encoders),
		slots:  make(chan struct{}, 2*encoders),
		open:   make(map[*File]struct{}),
		ratios: make(map[string]*ratio),
	}, nil
}

// Budget is the budget that the files count into.
func (s *Shared) Budget() *budget.Budget { return s.budget }

// takeSlot waits for the right to seal a block.
func (s *Shared) takeSlot(ctx context.Context) error {
	select {
	case s.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (s *Shared) giveSlot() { <-s.slots }

// Relieve seals open blocks, the largest first, until they take up no more than their share of a budget that is tight.
// It tells whether it has sealed any; their memory becomes free as they are encoded and sent. It does not wait: where
// as many blocks as allowed are under way, room is being made already.
func (s *Shared) Relieve() bool {
	relieved := false
	for s.tight() {
		select {
		case s.slots <- struct{}{}:
		default:
			return relieved
		}
		if !s.sealLargest() {
			return relieved
		}
		relieved = true
	}
	return relieved
}

// relieve does what Relieve does, and waits for slots while the budget is nearly used up and not only tight: the last
// sixteenth is for what encoding adds, and for what nobody counts. Slots become free by themselves: a sealed block waits
// for a core and for parts that are on their way, never for an appender.
func (s *Shared) relieve(ctx context.Context) error {
	s.Relieve()
	for s.tight() && s.budget.Used() > s.budget.Limit()/16*15 {
		if err := s.takeSlot(ctx); err != nil {
			return err
		}
		if !s.sealLargest() {
			return nil
		}
	}
	return nil
}

// tight tells that memory is short and that open blocks have more than their share of it.
func (s *Shared) tight() bool {
	return s.budget.Over() && s.budget.Held(budget.Block) > s.budget.Limit()/4
}

// sealLargest seals the largest open block with a slot that the caller holds. It gives the slot back if no block is
// worth it, or if somebody is just filling the one that is.
func (s *Shared) sealLargest() bool {
	if f := s.largest(); f != nil && f.trySeal() {
		return true
	}
	s.giveSlot()
	return false
}

func (s *Shared) largest() *File {
	s.mu.Lock()
	defer s.mu.Unlock()
	var largest *File
	size := int64(smallestSeal - 1)
	for f := range s.open {
		if n := f.held.Load(); n > size {
			largest, size = f, n
		}
	}
	return largest
}

func (s *Shared) add(f *File) *ratio {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open[f] = struct{}{}
	ext := f.object.Extension
	if s.ratios[ext] == nil {
		s.ratios[ext] = new(ratio)
	}
	return s.ratios[ext]
}

func (s *Shared) remove(f *File) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.open, f)
}

// ratio is the running relation of encoded bytes to bytes of block memory. The zero value knows nothing yet.
type ratio struct{ raw, encoded atomic.Int64 }

func (r *ratio) observe(raw, encoded int64) {
	r.raw.Add(raw)
	r.encoded.Add(encoded)
}

// or returns the ratio, or another's if nothing has been observed.
func (r *ratio) or(other float64) float64 {
	raw := r.raw.Load()
	if raw == 0 {
		return other
	}
	return float64(r.encoded.Load()) / float64(raw)
}
