package jsonl

import (
	"fmt"
	"math/bits"
	"sync"

	"aws-streaming-pipeline/record"
	"aws-streaming-pipeline/writers"
)

// lineRoom is the room that a line takes beside its payload; a line that needs more makes its buffer grow by append.
const lineRoom = 256

// block gathers lines in one buffer. The buffer begins small and doubles, so that a file that gets few records holds
// little memory, and comes from pools by size.
type block struct {
	format *Format
	buf    []byte
	rows   int
}

// Append is writers.Block's.
func (b *block) Append(r *record.Record) error {
	b.buf = grow(b.buf, len(r.Data)+lineRoom)
	line, err := b.format.config.Append(b.buf, r)
	if err != nil {
		return err // the buffer's length is as it was, whatever stands behind it
	}
	b.buf = line
	b.rows++
	return nil
}

// Rows is writers.Block's.
func (b *block) Rows() int { return b.rows }

// Size is writers.Block's.
func (b *block) Size() int { return len(b.buf) }

// Held is the capacity of the buffer.
func (b *block) Held() int { return cap(b.buf) }

// Full keeps a sixteenth of the block size free for the last line, so that it does not double the buffer for its sake.
func (b *block) Full() bool { return len(b.buf) >= b.format.config.BlockSize/16*15 }

// Encode is writers.Block's.
func (b *block) Encode() (writers.Encoded, error) {
	data, rows := b.buf, int64(b.rows)
	b.buf = nil
	if b.format.codec.encode == nil {
		return writers.Encoded{Data: data, Rows: rows, Release: func() { putBuffer(data) }}, nil
	}
	out, err := b.format.codec.encode(data, getBuffer(len(data)))
	putBuffer(data)
	if err != nil {
		return writers.Encoded{}, fmt.Errorf("compress block of %d rows: %w", rows, err)
	}
	return writers.Encoded{Data: out, Rows: rows, Release: func() { putBuffer(out) }}, nil
}

// Pooled buffers have capacities of 16 KiB, 32 KiB ... 4 MiB; larger ones are left to the garbage collector.
const (
	smallestBuffer = 14 // as a power of two
	largestBuffer  = 22
)

var buffers [largestBuffer - smallestBuffer + 1]sync.Pool

// getBuffer returns an empty buffer with a capacity of at least n.
func getBuffer(n int) []byte {
	class := max(bits.Len(uint(max(n, 1)-1)), smallestBuffer)
	if class > largestBuffer {
		return make([]byte, 0, n)
	}
	if b, ok := buffers[class-smallestBuffer].Get().(*[]byte); ok {
		return *b
	}
	return make([]byte, 0, 1<<class)
}

// grow returns the buffer with room for n more bytes. It may be another one, and the old one is given back then.
func grow(b []byte, n int) []byte {
	need := len(b) + n
	if need <= cap(b) {
		return b
	}
	grown := append(getBuffer(need), b...)
	putBuffer(b)
	return grown
}

// putBuffer takes back a buffer, whose bytes nobody may use any more. Those that append has made to its own measure
// fit no pool and are dropped.
func putBuffer(b []byte) {
	class := bits.Len(uint(cap(b))) - 1
	if class < smallestBuffer || class > largestBuffer || cap(b) != 1<<class {
		return
	}
	b = b[:0]
	buffers[class-smallestBuffer].Put(&b)
}
