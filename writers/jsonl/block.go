package jsonl

import (
	"fmt"
	"math/bits"
	"sync"

	"aws-streaming-pipeline/record"
	"aws-streaming-pipeline/writers"
)

// lineRoom is the room reserved for a line in addition to its payload. For a longer line, append grows the buffer.
const lineRoom = 256

// block collects lines in one buffer. The buffer starts small and doubles, so that a file with few records takes little
// memory. Buffers come from pools by size.
type block struct {
	format *Format
	buf    []byte
	rows   int
}

// Append implements writers.Block.
func (b *block) Append(r *record.Record) error {
	b.buf = grow(b.buf, len(r.Data)+lineRoom)
	line, err := b.format.config.Append(b.buf, r)
	if err != nil {
		return err // the buffer's length is unchanged, whatever was written after its end
	}
	b.buf = line
	b.rows++
	return nil
}

// Rows implements writers.Block.
func (b *block) Rows() int { return b.rows }

// Size implements writers.Block.
func (b *block) Size() int { return len(b.buf) }

// Held returns the capacity of the buffer.
func (b *block) Held() int { return cap(b.buf) }

// Full keeps a sixteenth of the block size free, so that the last line does not double the buffer.
func (b *block) Full() bool { return len(b.buf) >= b.format.config.BlockSize/16*15 }

// Encode implements writers.Block.
func (b *block) Encode() (writers.Encoded, error) {
	data, rows := b.buf, int64(b.rows)
	b.buf = nil
	if b.format.codec.encode == nil {
		return writers.Encoded{Data: data, Rows: rows, Release: func() { putBuffer(data) }}, nil
	}
	var meta any
	if b.format.codec.archive {
		meta = plainPartOf(data)
	}
	out, err := b.format.codec.encode(data, getBuffer(len(data)))
	putBuffer(data)
	if err != nil {
		return writers.Encoded{}, fmt.Errorf("compress block of %d rows: %w", rows, err)
	}
	return writers.Encoded{Data: out, Rows: rows, Meta: meta, Release: func() { putBuffer(out) }}, nil
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

// grow returns the buffer with room for n more bytes. If it needs another buffer, it returns the old one to its pool.
func grow(b []byte, n int) []byte {
	need := len(b) + n
	if need <= cap(b) {
		return b
	}
	grown := append(getBuffer(need), b...)
	putBuffer(b)
	return grown
}

// putBuffer returns a buffer, whose bytes must not be used any more, to its pool. Buffers that append has grown fit no
// pool and are dropped.
func putBuffer(b []byte) {
	class := bits.Len(uint(cap(b))) - 1
	if class < smallestBuffer || class > largestBuffer || cap(b) != 1<<class {
		return
	}
	b = b[:0]
	buffers[class-smallestBuffer].Put(&b)
}
