package writers

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"

	"aws-streaming-pipeline/internal/budget"
)

// initialRatio is the assumed ratio of encoded bytes to block memory until the first block of a format is encoded.
const initialRatio = 0.5

// smallestSeal is the size of an open block, in bytes, below which sealing it saves too little memory, besides what the file
// keeps of it until it ends.
const smallestSeal = 16 << 10

// Shared holds what all files of a process share: the cores that encode, the limit on sealed blocks, the memory budget
// and the compression ratio of each format. It is safe for concurrent use.
type Shared struct {
	budget *budget.Budget
	cores  chan struct{} // one element per running Encode
	slots  chan struct{} // one element per block, from sealing until its bytes have been handed to the upload

	// fruitless is what open blocks have to take before it is worth looking for one to seal again: none was large enough.
	fruitless atomic.Int64

	mu     sync.Mutex
	open   map[*File]struct{}
	ratios map[string]*ratio // by extension
}

// NewShared returns a Shared. encoders is the number of blocks that are encoded at the same time; 0 means the number of
// cores. Twice as many may be sealed, so that the encoders stay busy while bytes are handed on.
func NewShared(b *budget.Budget, encoders int) (*Shared, error) {
	if encoders < 0 {
		return nil, fmt.Errorf("number of encoders %d: want 0 or more", encoders)
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

// Budget returns the memory budget of the files.
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

// Relieve seals open blocks, the largest first, until they take no more than their share of a budget that is tight. It
// reports whether it sealed any; their memory is freed as they are encoded and sent. It does not wait: if the maximum
// number of blocks is in progress, memory is being freed already.
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

// relieve works like Relieve, but waits for slots if the budget is nearly used up and not just tight: the last sixteenth
// is for memory that encoding adds and that is not counted. Slots always become free: a sealed block waits for a core and
// for parts in flight, never for an appender.
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

// tight reports whether memory is short and open blocks take more than their share.
func (s *Shared) tight() bool {
	return s.budget.Over() && s.budget.Held(budget.Block) > max(s.budget.Limit()/4, s.fruitless.Load())
}

// sealLargest seals the largest open block with a slot that the caller holds. It releases the slot if no block is large
// enough, or if the largest is in use.
func (s *Shared) sealLargest() bool {
	if f := s.largest(); f != nil && f.trySeal() {
		return true
	}
	s.giveSlot()
	return false
}

func (s *Shared) largest() (largest *File) {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer func() {
		if largest == nil {
			s.fruitless.Store(s.budget.Held(budget.Block) + s.budget.Limit()/128)
		}
	}()
	size := int64(smallestSeal - 1)
	for f := range s.open {
		if n := f.held.Load() - f.keeps.Load(); n > size {
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
	s.fruitless.Store(0)
}

// ratio is the ratio of encoded bytes to bytes of block memory so far. The zero value has none.
type ratio struct{ raw, encoded atomic.Int64 }

func (r *ratio) observe(raw, encoded int64) {
	r.raw.Add(raw)
	r.encoded.Add(encoded)
}

// or returns the ratio, or other if nothing has been observed.
func (r *ratio) or(other float64) float64 {
	raw := r.raw.Load()
	if raw == 0 {
		return other
	}
	return float64(r.encoded.Load()) / float64(raw)
}
