package parquet

import (
	"encoding/binary"
	"math/bits"
)

// snappyEncoder writes Snappy's block format ("Snappy compressed format description", 2011) for long text without long
// repetitions, such as digits, where most matches are a few bytes long. Other encoders look at one byte after the other, and
// the end of each literal is a branch that the processor mispredicts. This one looks at four at a time, without branches
// between them, and notes all of them in its table, which also finds more matches.
type snappyEncoder struct {
	table [1 << snappyTableBits]uint16
	// window is a copy of the fragment. Its constant size saves most bounds checks.
	window snappyWindow
}

type snappyWindow [snappyFragment + snappyMargin + 1]byte

func (w *snappyWindow) word(at uint16) uint32 {
	i := int(at)
	return binary.LittleEndian.Uint32(w[i : i+4])
}

func (w *snappyWindow) long(at uint16) uint64 {
	i := int(at)
	return binary.LittleEndian.Uint64(w[i : i+8])
}

// behind returns the eight bytes after a word.
func (w *snappyWindow) behind(at uint16) uint64 {
	i := int(at)
	return binary.LittleEndian.Uint64(w[i+4 : i+12])
}

const (
	// snappyTableBits is the table's size. With twice as many entries, it exceeds the processor's first cache.
	snappyTableBits = 14
	// snappyFragment is the maximum offset.
	snappyFragment = 1 << 16
	// snappyMargin lets the encoder look at four places from any before the end of a fragment, and read 12 bytes at each.
	snappyMargin = 15
)

// encode compresses src into dst's memory if it suffices.
func (e *snappyEncoder) encode(dst, src []byte) []byte {
	dst = snappyRoom(dst, len(src))
	n := binary.PutUvarint(dst, uint64(len(src)))
	for len(src) > 0 {
		size := min(len(src), snappyFragment)
		n += e.fragment(dst[n:], src[:size])
		src = src[size:]
	}
	return dst[:n]
}

// snappyRoom returns dst's memory, or more if it does not suffice to compress size bytes.
func snappyRoom(dst []byte, size int) []byte {
	if most := 32 + size + size/6; cap(dst) < most { // the format's limit
		dst = make([]byte, most+snappyFragment) // the next page of an early sealed row group is a little larger
	}
	return dst[:cap(dst)]
}

func snappyHash(word uint32) uint32 { return word * 0x1e35a7bd >> (32 - snappyTableBits) }

// fragment compresses up to 64 KiB and returns the compressed length.
func (e *snappyEncoder) fragment(dst, src []byte) (n int) {
	limit := len(src) - snappyMargin
	if limit <= 1 {
		return putSnappyLiteral(dst, src)
	}
	table, window := &e.table, &e.window
	clear(table[:])
	copy(window[:], src)
	literal := 0 // start of the bytes that no element covers yet
	for at := 1; at < limit; {
		// Look for four bytes that have occurred before, from here and from the next three places.
		w := window.long(uint16(at))
		h0, h1, h2, h3 := snappyHash(uint32(w)), snappyHash(uint32(w>>8)), snappyHash(uint32(w>>16)), snappyHash(uint32(w>>24))
		c0, c1, c2, c3 := table[h0], table[h1], table[h2], table[h3]
		table[h0], table[h1], table[h2], table[h3] = uint16(at), uint16(at+1), uint16(at+2), uint16(at+3)
		found := isZero(window.word(c0)^uint32(w)) | isZero(window.word(c1)^uint32(w>>8))<<1 |
			isZero(window.word(c2)^uint32(w>>16))<<2 | isZero(window.word(c3)^uint32(w>>24))<<3
		if found == 0 {
			at += 4 + (at-literal)>>4 // in steps that grow
			continue
		}
		first := bits.TrailingZeros64(found) & 3
		candidate := int(uint16((uint64(c0) | uint64(c1)<<16 | uint64(c2)<<32 | uint64(c3)<<48) >> (16 * first)))
		at += first
		if size := at - literal; size <= 16 {
			// If there is no literal, the copy overwrites this.
			to, from := dst[n:n+17], uint16(literal)
			to[0] = byte(size-1) << 2
			binary.LittleEndian.PutUint64(to[1:], window.long(from))
			binary.LittleEndian.PutUint64(to[9:], window.long(from+8))
			n += size + int(uint(-size)>>63)
		} else {
			n += putSnappyLiteral(dst[n:], src[literal:at])
		}
		offset, length := at-candidate, 0
		if x := window.behind(uint16(candidate)) ^ window.behind(uint16(at)); x != 0 {
			length = 4 + bits.TrailingZeros64(x)>>3
		} else {
			length = 12 + common(src[candidate+12:], src[at+12:])
		}
		at += length
		literal = at
		if length <= 64 {
			// Which form is shorter cannot be predicted, so both are computed, without a branch.
			long := uint32(offset)<<8 | uint32(length-1)<<2 | 2
			short := uint32(offset&0xff)<<8 | uint32(offset>>8)<<5 | uint32(length-4)<<2 | 1
			isShort := (length - 12) & (offset - 2048) >> 63 // all ones or zeros
			binary.LittleEndian.PutUint32(dst[n:], long^(long^short)&uint32(isShort))
			n += 3 + isShort
		} else {
			n += putSnappyCopy(dst[n:], offset, length)
		}
		if at < limit {
			table[snappyHash(window.word(uint16(at-1)))] = uint16(at - 1)
		}
	}
	if literal < len(src) {
		n += putSnappyLiteral(dst[n:], src[literal:])
	}
	return n
}

// isZero returns 1 for 0.
func isZero(x uint32) uint64 { return (uint64(x) - 1) >> 63 }

// common returns the length of the longest common prefix. b is the shorter one.
func common(a, b []byte) int {
	n := 0
	for len(b)-n >= 8 {
		if x := binary.LittleEndian.Uint64(a[n:]) ^ binary.LittleEndian.Uint64(b[n:]); x != 0 {
			return n + bits.TrailingZeros64(x)>>3
		}
		n += 8
	}
	for n < len(b) && a[n] == b[n] {
		n++
	}
	return n
}

func putSnappyLiteral(dst, literal []byte) (n int) {
	switch size := len(literal) - 1; {
	case size < 60:
		dst[0] = byte(size) << 2
		n = 1
	case size < 1<<8:
		dst[0], dst[1] = 60<<2, byte(size)
		n = 2
	default:
		dst[0], dst[1], dst[2] = 61<<2, byte(size), byte(size>>8)
		n = 3
	}
	return n + copy(dst[n:], literal)
}

func putSnappyCopy(dst []byte, offset, length int) (n int) {
	for ; length >= 68; length -= 64 { // leaves at least 4, the minimum of the short form
		dst[n], dst[n+1], dst[n+2] = 63<<2|2, byte(offset), byte(offset>>8)
		n += 3
	}
	if length > 64 {
		dst[n], dst[n+1], dst[n+2] = 59<<2|2, byte(offset), byte(offset>>8)
		n, length = n+3, length-60
	}
	if length < 12 && offset < 2048 {
		dst[n], dst[n+1] = byte(offset>>8)<<5|byte(length-4)<<2|1, byte(offset)
		return n + 2
	}
	dst[n], dst[n+1], dst[n+2] = byte(length-1)<<2|2, byte(offset), byte(offset>>8)
	return n + 3
}
