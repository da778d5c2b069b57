package shred

import (
	"encoding/binary"
	"slices"
	"sync"

	"aws-streaming-pipeline/internal/pieces"
	"aws-streaming-pipeline/record/jsonscan"
	"aws-streaming-pipeline/record/schema"
)

const (
	// chunkBytes is the size at which a text column begins another chunk. A chunk becomes one page of a Parquet file.
	chunkBytes = 1 << 20
	// Headroom is the number of unused bytes before a chunk's values, where a page's levels may be put.
	Headroom = 64
	// smallPiece is the memory that a text column begins with, so that many empty columns cost little.
	smallPiece = 4 << 10
)

// Column is the vector of one leaf of the schema: the values of all rows that have one, and which rows those are.
type Column struct {
	Field  *schema.Field
	Path   []string // names from the root, with those that Parquet puts between lists, maps and their elements
	MaxDef uint8
	MaxRep uint8

	// Ints has the values of Int32, Int64, Date, timestamps, and of decimals up to 18 digits (unscaled).
	Ints []int64
	// Doubles has the values of Float and Double.
	Doubles []float64
	// Bools has the values of Boolean, 0 or 1.
	Bools []byte

	// chunks has the values of text columns, each with its length in four bytes before it (Parquet's PLAIN encoding),
	// and of decimals above 18 digits, 16 bytes each, big-endian.
	chunks []Chunk
	buf    []byte   // the last chunk's data, or the last piece of it
	values int      // of text columns
	limit  int      // length that buf may have without a call of grow
	undo   int      // length of buf before the last value
	closed int      // bytes of the chunks before the last
	before [][]byte // the pieces that the first chunk of a flat column has before its last one
	full   int      // bytes of the last chunk that are in pieces before buf
	spares [][]byte // small pieces to use again
	grown  *int     // bytes of memory that all columns of the Shredder have taken for text since its last measure
	hidden bool     // not in the file: holds the values of the record under way, until they are valid

	// Nulls are the rows without a value. Only flat columns, which have at most one value a row, have them.
	Nulls []uint32
	// Defs and Reps are the definition and repetition levels (Parquet format, "Nested Encoding"). Flat columns have
	// none, and columns that are not in a list have no Reps.
	Defs, Reps []uint8

	mark mark
}

// Chunk is a run of values of a text column.
type Chunk struct {
	// Data begins with Headroom bytes that are not values.
	Data []byte
	// FirstLevel is the number of levels before the chunk: rows, for a flat column.
	FirstLevel int
	// FirstValue is the number of values before the chunk.
	FirstValue int
}

// mark is where the record under way began in a column that is not flat.
type mark struct{ values, levels, buf int }

// Flat reports whether every row has one value or null, so that Nulls replaces the levels.
func (c *Column) Flat() bool { return c.MaxRep == 0 && c.MaxDef <= 1 }

// WideDecimal reports whether values are stored as 16 bytes.
func (c *Column) WideDecimal() bool { return c.Field.Kind == schema.Decimal && c.Field.Precision > 18 }

// Bytes reports whether the values are in Chunks.
func (c *Column) Bytes() bool { return c.Field.Kind.Text() || c.WideDecimal() }

// Values returns the number of values that are not null.
func (c *Column) Values() int {
	switch {
	case c.Bytes():
		return c.values
	case c.Field.Kind == schema.Boolean:
		return len(c.Bools)
	case c.Field.Kind == schema.Float || c.Field.Kind == schema.Double:
		return len(c.Doubles)
	}
	return len(c.Ints)
}

// Levels returns the number of values, including nulls.
func (c *Column) Levels() int {
	if c.Flat() {
		return c.Values() + len(c.Nulls)
	}
	return len(c.Defs)
}

// Text gives the values of text columns and wide decimals in one run for each chunk, one column after the other. The zero
// value is ready. It keeps memory of about chunkBytes, in which it joins what lies in pieces.
type Text struct {
	chunks []Chunk
	joined []byte
}

// Chunks returns the values of a text column or a wide decimal. They are valid until the next call, and the next Append
// to the column.
func (t *Text) Chunks(c *Column) []Chunk {
	t.chunks = append(t.chunks[:0], c.ownChunks()...)
	if len(c.before) == 0 {
		return t.chunks
	}
	t.joined = t.joined[:0]
	for _, piece := range c.before {
		t.joined = append(t.joined, piece...)
	}
	t.joined = append(t.joined, t.chunks[0].Data...)
	t.chunks[0].Data = t.joined
	return t.chunks
}

// Memory is the number of bytes that it keeps.
func (t *Text) Memory() int { return cap(t.joined) }

// Forget lets go of the column.
func (t *Text) Forget() { clear(t.chunks[:cap(t.chunks)]) }

// ownChunks are the chunks. The first is without its pieces.
func (c *Column) ownChunks() []Chunk {
	if len(c.chunks) == 0 {
		return nil
	}
	c.chunks[len(c.chunks)-1].Data = c.buf
	return c.chunks
}

// size is what the values and levels take up, whatever memory they lie in.
func (c *Column) size() int {
	return 8*len(c.Ints) + 8*len(c.Doubles) + len(c.Bools) + c.closed + c.full + len(c.buf) +
		4*len(c.Nulls) + len(c.Defs) + len(c.Reps)
}

// memory is what the column holds.
func (c *Column) memory() int {
	n := 8*cap(c.Ints) + 8*cap(c.Doubles) + cap(c.Bools) + 4*cap(c.Nulls) + cap(c.Defs) + cap(c.Reps) + cap(c.buf)
	for i := range len(c.chunks) - 1 {
		n += cap(c.chunks[i].Data)
	}
	for _, piece := range c.before {
		n += cap(piece)
	}
	for _, piece := range c.spares {
		n += cap(piece)
	}
	return n
}

// wholeChunks are chunks of chunkBytes that no column uses. They belong to all columns, so that one with few records does not
// sit on the memory of one that had many, and to the garbage collector.
var wholeChunks sync.Pool

// allocate returns at least so many bytes for a chunk or a piece of one.
func (c *Column) allocate(capacity int) []byte {
	for i, spare := range c.spares {
		if cap(spare) >= capacity {
			c.spares = slices.Delete(c.spares, i, i+1)
			return spare
		}
	}
	*c.grown += capacity
	switch capacity {
	case chunkBytes:
		if chunk, ok := wholeChunks.Get().(*[chunkBytes]byte); ok {
			return chunk[:]
		}
	case pieces.Size:
		return pieces.Get()[:]
	}
	return make([]byte, capacity)
}

// free takes back a chunk or a piece. Whole ones are for all; of the others, which are a column's first ones or hold a huge
// value, the column keeps those that are small.
func (c *Column) free(b []byte) {
	switch {
	case cap(b) == chunkBytes:
		wholeChunks.Put((*[chunkBytes]byte)(b[:chunkBytes]))
	case cap(b) == pieces.Size && c.Flat():
		pieces.Put((*pieces.Piece)(b[:pieces.Size]))
	case cap(b) < pieces.Size, cap(b) < chunkBytes && !c.Flat():
		c.spares = append(c.spares, b[:cap(b)])
	}
}

// freePieces takes back the pieces of the first chunk that are full.
func (c *Column) freePieces() {
	for _, piece := range c.before {
		c.free(piece)
	}
	clear(c.before)
	c.before, c.full = c.before[:0], 0
}

// reset empties the column and keeps the memory of a small one.
func (c *Column) reset() {
	chunks := c.ownChunks()
	c.freePieces()
	for _, chunk := range chunks {
		c.free(chunk.Data)
	}
	clear(c.chunks)
	c.chunks = c.chunks[:0]
	c.use(nil)
	c.values, c.closed, c.undo = 0, 0, 0
	c.Ints, c.Doubles, c.Bools = c.Ints[:0], c.Doubles[:0], c.Bools[:0]
	c.Nulls, c.Defs, c.Reps = c.Nulls[:0], c.Defs[:0], c.Reps[:0]
}

// text adds a value to a text column.
func (c *Column) text(b []byte) {
	n := c.reserve(4 + len(b))
	binary.LittleEndian.PutUint32(c.buf[n:], uint32(len(b)))
	copy(c.buf[n+4:], b)
}

// shortText adds a value of at most 16 bytes that begins at b[i]. Copying two words is cheaper than copying the bytes;
// it needs b and the chunk to have that many.
func (c *Column) shortText(b []byte, i, size int) {
	n := c.reserve(4 + size)
	if i+16 > len(b) || n+20 > cap(c.buf) {
		binary.LittleEndian.PutUint32(c.buf[n:], uint32(size))
		copy(c.buf[n+4:], b[i:i+size])
		return
	}
	from, to := b[i:i+16], c.buf[n:n+20]
	binary.LittleEndian.PutUint32(to, uint32(size))
	binary.LittleEndian.PutUint64(to[4:], binary.LittleEndian.Uint64(from))
	binary.LittleEndian.PutUint64(to[12:], binary.LittleEndian.Uint64(from[8:]))
}

// unescaped adds the text of a JSON string with escapes, which is never longer than the string.
func (c *Column) unescaped(b []byte) {
	n := c.reserve(4 + len(b))
	c.buf = jsonscan.AppendUnescaped(c.buf[:n+4], b)
	binary.LittleEndian.PutUint32(c.buf[n:], uint32(len(c.buf)-n-4))
}

// wide adds a decimal of more than 18 digits.
func (c *Column) wide(u uint128) {
	n := c.reserve(16)
	binary.BigEndian.PutUint64(c.buf[n:], u.high)
	binary.BigEndian.PutUint64(c.buf[n+8:], u.low)
}

// reserve makes place for a value of size bytes and returns where it begins.
func (c *Column) reserve(size int) int {
	if len(c.buf)+size > c.limit {
		c.grow(size)
	}
	n := len(c.buf)
	c.undo = n
	c.buf = c.buf[:n+size]
	c.values++
	return n
}

// grow makes place for a value of size bytes. Where a chunk ends depends on what it holds, not on the memory that it
// happens to have, so that equal records give equal chunks.
func (c *Column) grow(size int) {
	used := c.full + len(c.buf)
	switch {
	case len(c.chunks) == 0:
		c.beginChunk(size)
	case c.Flat() && used+size > chunkBytes && used > Headroom:
		c.beginChunk(size)
	case c.Flat() && len(c.chunks) == 1:
		c.before = append(c.before, c.buf)
		c.full = used
		c.use(c.allocate(max(size, min(smallPiece<<min(len(c.before), 8), pieces.Size)))[:0])
	default:
		// Of a column in a group or list a chunk may only end with a record; endRecord sees to that.
		capacity := max(len(c.buf)+size, min(2*cap(c.buf), chunkBytes), cap(c.buf)+cap(c.buf)/4)
		bigger := c.allocate(capacity)[:len(c.buf)]
		copy(bigger, c.buf)
		c.use(bigger)
	}
}

// use makes buf the last chunk's memory, behind the pieces that are full.
func (c *Column) use(buf []byte) {
	c.buf, c.limit = buf, cap(buf)
	if c.Flat() {
		c.limit = min(c.limit, chunkBytes-c.full)
	}
}

// beginChunk closes the last chunk and begins one with place for a value of size bytes.
func (c *Column) beginChunk(size int) {
	capacity := smallPiece
	if n := len(c.chunks); n > 0 {
		c.chunks[n-1].Data = c.buf
		c.closed += c.full + len(c.buf)
		c.full = 0
		capacity = chunkBytes
	}
	c.chunks = append(c.chunks, Chunk{FirstLevel: c.Levels(), FirstValue: c.values})
	c.use(c.allocate(max(capacity, Headroom+size))[:Headroom])
}

// popChunk takes back a chunk that has no value.
func (c *Column) popChunk() {
	n := len(c.chunks)
	c.free(c.buf)
	c.chunks = c.chunks[:n-1]
	if n == 2 {
		for _, piece := range c.before {
			c.full += len(piece)
		}
	}
	c.use(c.chunks[n-2].Data)
	c.closed -= c.full + len(c.buf)
}

// level notes that the value just added stands at these levels.
func (c *Column) level(rep, def uint8) {
	c.Defs = append(c.Defs, def)
	if c.MaxRep > 0 {
		c.Reps = append(c.Reps, rep)
	}
}

// begin remembers where a record begins.
func (c *Column) begin() {
	c.mark = mark{values: c.Values(), levels: len(c.Defs), buf: len(c.buf)}
}

// rollBack removes what the record under way has added to a column that is not flat.
func (c *Column) rollBack() {
	c.truncate(c.mark.values)
	c.Defs = c.Defs[:c.mark.levels]
	if c.MaxRep > 0 {
		c.Reps = c.Reps[:c.mark.levels]
	}
	if !c.Bytes() || c.values == c.mark.values {
		return
	}
	c.values = c.mark.values
	c.buf = c.buf[:max(c.mark.buf, Headroom)]
	if c.mark.buf == 0 { // the record began the first chunk
		c.dropFirstChunk()
	}
}

// rollBackFlat removes the value or null of row from a flat column, if it is there.
func (c *Column) rollBackFlat(row uint32) {
	if n := len(c.Nulls); n > 0 && c.Nulls[n-1] == row {
		c.Nulls = c.Nulls[:n-1]
	}
	want := int(row) - len(c.Nulls)
	if c.truncate(want); !c.Bytes() || c.values == want {
		return
	}
	c.values = want
	c.buf = c.buf[:c.undo]
	switch {
	case c.full+c.undo > Headroom:
	case len(c.chunks) > 1:
		c.popChunk()
	default:
		c.dropFirstChunk()
	}
}

func (c *Column) dropFirstChunk() {
	c.free(c.buf)
	c.freePieces()
	c.chunks = c.chunks[:0]
	c.use(nil)
}

// truncate keeps the first n values of a column whose values are numbers.
func (c *Column) truncate(n int) {
	switch {
	case c.Bytes():
	case len(c.Ints) > n:
		c.Ints = c.Ints[:n]
	case len(c.Doubles) > n:
		c.Doubles = c.Doubles[:n]
	case len(c.Bools) > n:
		c.Bools = c.Bools[:n]
	}
}

// endRecord begins another chunk of a column that is not flat when the last one is nearly full.
func (c *Column) endRecord() {
	if len(c.buf) >= chunkBytes-chunkBytes/16 {
		c.beginChunk(0)
	}
}
