package source

import (
	"math/bits"
	"sync"
)

// slabs are slices for reuse, pooled by size, so that a shard at its tip does not hold what another one needed for ten
// megabytes. Capacities rise by a quarter of a power of two at a time: at most a fifth is wasted.
type slabs[T any] struct {
	least   int // the smallest capacity, a power of two
	classes [64]sync.Pool
}

// slab is a slice on loan.
type slab[T any] struct{ s []T }

// class returns the index of the smallest class with room for n, and its capacity.
func (p *slabs[T]) class(n int) (index, capacity int) {
	if n <= p.least {
		return 0, p.least
	}
	octave := bits.Len(uint(n-1)) - bits.Len(uint(p.least)) // n is in (least<<octave, least<<octave+1]
	step := p.least << octave / 4
	quarter := (n - p.least<<octave + step - 1) / step
	return octave*4 + quarter, p.least<<octave + quarter*step
}

// get lends an empty slice with room for n elements.
func (p *slabs[T]) get(n int) *slab[T] {
	index, capacity := p.class(n)
	if index >= len(p.classes) {
		return &slab[T]{make([]T, 0, n)}
	}
	if s, ok := p.classes[index].Get().(*slab[T]); ok {
		return s
	}
	return &slab[T]{make([]T, 0, capacity)}
}

// put takes back a slice, whose elements may no longer be used. It may have grown.
func (p *slabs[T]) put(s *slab[T]) {
	index, capacity := p.class(cap(s.s))
	if capacity > cap(s.s) {
		index--
	}
	if index < 0 || index >= len(p.classes) {
		return
	}
	s.s = s.s[:0]
	p.classes[index].Put(s)
}
