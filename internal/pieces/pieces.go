// Package pieces lends memory in pieces of one size.
//
// On their way to S3, the bytes of a record are held by several steps in turn: waiting rows, vectors, parts. With hundreds of
// files, each step holds a little memory per file that grows. In pieces of one size, it grows without copies or garbage, and
// a piece that one step releases fits the next.
package pieces

import "sync"

// Size is the number of bytes in a piece. It is small, because each of hundreds of open files holds some half-full pieces, and
// is the largest size class of Go's allocator.
const Size = 32 << 10

// Piece is a piece of memory.
type Piece [Size]byte

// The garbage collector frees pieces that have not been used for a while.
var pool = sync.Pool{New: func() any { return new(Piece) }}

// Get returns a piece. Its contents are undefined.
func Get() *Piece { return pool.Get().(*Piece) }

// Put returns a piece to the pool. The caller must no longer use its memory.
func Put(p *Piece) { pool.Put(p) }
