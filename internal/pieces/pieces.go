// Package pieces lends memory in pieces of one size.
//
// On their way to S3 the bytes of a record lie in one place after the other: in what waits for columns, in vectors, in parts.
// With hundreds of files each of them holds a little memory that grows. In pieces of one size it grows without being copied and
// leaves no garbage, and what one step gives back is what the next one needs.
package pieces

import "sync"

// Size is the number of bytes of a piece. It is small, because each of hundreds of open files holds some that are half full, and
// the largest that Go's allocator keeps in a class of its own.
const Size = 32 << 10

// Piece is one.
type Piece [Size]byte

// The garbage collector takes back those that nobody has used for a while.
var pool = sync.Pool{New: func() any { return new(Piece) }}

// Get lends a piece. What it holds is left from others.
func Get() *Piece { return pool.Get().(*Piece) }

// Put takes a piece back. The caller must not use its memory any more.
func Put(p *Piece) { pool.Put(p) }
