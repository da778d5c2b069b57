package source

import (
	"context"
	"errors"
	"time"
	"unsafe"

	"aws-streaming-pipeline/internal/budget"
	"aws-streaming-pipeline/record"
)

// errNoRoom means that reading ahead would take room that others need, or that the context ended during the wait for
// room.
var errNoRoom = errors.New("the memory budget has no room to spare")

// fetched is a Fetch with the memory that it holds until it is released.
type fetched struct {
	fetch   Fetch
	answers []*answer
	records *slab[record.Record]
	raw     *slab[record.Record] // nil unless Config.Raw is set
	held    int64                // bytes taken from the budget
	apart   int                  // bytes of records outside the answers
	// asked is when the service was asked for what was read last, at the latest, by its own clock; zero if it did not say.
	asked time.Time
}

// records are slices for reuse; idle shards hold small ones.
var records = slabs[record.Record]{least: 64}

const recordBytes = int(unsafe.Sizeof(record.Record{}))

// answer adds an empty answer.
func (in *fetched) answer(expect int) *answer {
	a := &answer{expect: expect}
	in.answers = append(in.answers, a)
	return a
}

// drop removes the answer that was added last.
func (in *fetched) drop() {
	last := len(in.answers) - 1
	in.answers[last].release()
	in.answers = in.answers[:last]
}

// memory returns the bytes that the fetch takes up.
func (in *fetched) memory() int64 {
	n := in.apart
	for _, a := range in.answers {
		n += a.memory()
	}
	for _, s := range []*slab[record.Record]{in.records, in.raw} {
		if s != nil {
			n += cap(s.s) * recordBytes
		}
	}
	return int64(n)
}

// release frees what the fetch holds; its records are no longer valid.
func (in *fetched) release(b *budget.Budget) {
	for _, a := range in.answers {
		a.release()
	}
	in.answers = nil
	for _, s := range []*slab[record.Record]{in.records, in.raw} {
		if s != nil {
			clear(s.s)
			records.put(s)
		}
	}
	in.records, in.raw = nil, nil
	if in.held > 0 {
		b.Release(budget.Received, in.held)
		in.held = 0
	}
}

// reserve waits until the budget has room for n more bytes. To read ahead it does not wait, and takes only spare room.
// It returns false if nothing was reserved.
func (in *fetched) reserve(ctx context.Context, b *budget.Budget, n int64, ahead bool) bool {
	switch {
	case b == nil:
		return true
	case ahead && !b.AcquireSpare(n):
		return false
	case !ahead && b.Acquire(ctx, n) != nil:
		return false
	}
	in.held += n
	return true
}

// settle replaces the reservation by what was actually read.
func (in *fetched) settle(b *budget.Budget) {
	if b == nil {
		return
	}
	n := in.memory()
	if n > in.held {
		b.Add(budget.Received, n-in.held)
	} else {
		b.Release(budget.Received, in.held-n)
	}
	in.held = n
}
