package parquet

import (
	"encoding/binary"
	"math/bits"
)

// snappyEncoder writes Snappy's block format ("Snappy compressed format description", 2011). Unlike
// github.com/golang/snappy, it doubles the hash table for a fragment of 64 KiB, as Google's library does since version
// 1.2. That finds more matches in text without long repetitions, where most matches are a few bytes.
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
	snappyTableBits = 15
	// snappyFragment is the maximum offset, and the size that the hash table is made for.
	snappyFragment = 1 << 16
	// snappyMargin lets the encoder read 8 bytes anywhere before the end of a fragment.
	snappyMargin = 15
)

// encode compresses src into dst's memory if it suffices.
func (e *snappyEncoder) encode(dst, src []byte) []byte {
	if most := 32 + len(src) + len(src)/6; cap(dst) < most { // the format's limit
		dst = make([]byte, most+snappyFragment) // the next page of an early sealed row group is a little larger
	}
	dst = dst[:cap(dst)]
	n := binary.PutUvarint(dst, uint64(len(src)))
	for len(src) > 0 {
		size := min(len(src), snappyFragment)
		n += e.fragment(dst[n:], src[:size])
		src = src[size:]
	}
	return dst[:n]
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
	at := 1
	word := window.word(1)
search:
	for {
		// Look for four bytes that have occurred before, in steps that grow while there are none.
		candidate := uint16(0)
		for skip := 32; ; skip += skip >> 5 {
			h := snappyHash(word)
			candidate = table[h]
			table[h] = uint16(at)
			if window.word(candidate) == word {
				break
			}
			if at += skip >> 5; at >= limit {
				break search
			}
			word = window.word(uint16(at))
		}
		if size := at - literal; size <= 16 {
			to, from := dst[n:n+17], uint16(literal)
			to[0] = byte(size-1) << 2
			binary.LittleEndian.PutUint64(to[1:], window.long(from))
			binary.LittleEndian.PutUint64(to[9:], window.long(from+8))
			n += 1 + size
		} else {
			n += putSnappyLiteral(dst[n:], src[literal:at])
		}
		for {
			offset := at - int(candidate)
			length := 0
			if x := window.behind(candidate) ^ window.behind(uint16(at)); x != 0 {
				length = 4 + bits.TrailingZeros64(x)>>3
			} else {
				length = 12 + common(src[int(candidate)+12:], src[at+12:])
			}
			at += length
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
			literal = at
			if at >= limit {
				break search
			}
			next := window.long(uint16(at - 1))
			table[snappyHash(uint32(next))] = uint16(at - 1)
			word = uint32(next >> 8)
			h := snappyHash(word)
			candidate = table[h]
			table[h] = uint16(at)
			if window.word(candidate) != word {
				word = uint32(next >> 16)
				at++
				break
			}
		}
	}
	if literal < len(src) {
		n += putSnappyLiteral(dst[n:], src[literal:])
	}
	return n
}

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
