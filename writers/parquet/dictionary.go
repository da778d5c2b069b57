package parquet

import (
	"bytes"
	"encoding/binary"
	"hash/maphash"
	"math/bits"
	"math/rand/v2"

	"github.com/parquet-go/parquet-go/format"

	"aws-streaming-pipeline/record/schema"
	"aws-streaming-pipeline/record/schema/shred"
)

const (
	// maxDictionaryEntries keeps indexes within 16 bits.
	maxDictionaryEntries = 1 << 16
	// maxDictionaryBytes is the maximum size of a dictionary page, which a reader holds in memory as long as the chunk.
	maxDictionaryBytes = 1 << 20
	// trialValues is the number of values after which a dictionary that does not pay off is given up.
	trialValues = 8192
)

// dictionary finds the distinct values of a column.
type dictionary struct {
	count   int
	indexes []int32 // of each value
	numbers []int64 // the entries of a number column
	plain   []byte  // the entries of a text column or a wide decimal, PLAIN
	wide    bool    // entries have wideDecimalBytes each, without a length
	starts  []uint32
	table   []int32 // open addressing; entry number plus one
	hashes  []uint32
	seed    maphash.Seed
	// odd and mask are random, so that nobody can choose colliding values.
	odd, mask uint64
}

// memory returns the bytes that the dictionary takes.
func (d *dictionary) memory() int {
	return 4*cap(d.indexes) + 8*cap(d.numbers) + cap(d.plain) + 4*cap(d.starts) + 4*cap(d.table) + 4*cap(d.hashes)
}

// build builds a dictionary of a column's words or chunks of text. It reports whether the column is smaller with it.
func (d *dictionary) build(c *shred.Column, words []int64, chunks []shred.Chunk) bool {
	if d.odd == 0 {
		d.odd, d.mask = rand.Uint64()|1, rand.Uint64()
		d.seed = maphash.MakeSeed()
	}
	d.count, d.indexes, d.wide = 0, d.indexes[:0], c.WideDecimal()
	d.numbers, d.plain, d.starts, d.hashes = d.numbers[:0], d.plain[:0], d.starts[:0], d.hashes[:0]
	d.resize(1024)
	switch {
	case c.Values() == 0 || c.Field.Kind == schema.Boolean:
		return false
	case c.Bytes():
		return d.addChunks(chunks) && d.pays(textBytes(chunks))
	}
	if !d.addNumbers(words) || !d.pays(len(words)*width(physicalType(c.Field))) {
		return false
	}
	for _, zero := range bothZeros(c) {
		d.number(zero)
	}
	return true
}

func textBytes(chunks []shred.Chunk) (size int) {
	for _, chunk := range chunks {
		size += len(chunk.Data) - shred.Headroom
	}
	return size
}

func width(physical format.Type) int {
	if physical == format.Int32 || physical == format.Float {
		return 4
	}
	return 8
}

// pays compares the size of the dictionary and its indexes with that of the plain values.
func (d *dictionary) pays(plain int) bool {
	size := len(d.plain) + 8*len(d.numbers) + len(d.indexes)*bits.Len(uint(d.count-1))/8
	return size < plain
}

// goesOn reports, after a new value, whether the dictionary may still pay off.
func (d *dictionary) goesOn() bool {
	if d.count > maxDictionaryEntries || len(d.plain)+8*len(d.numbers) > maxDictionaryBytes {
		return false
	}
	n := len(d.indexes)
	return n < trialValues || d.count <= n*85/100
}

func (d *dictionary) resize(size int) {
	if cap(d.table) < size {
		d.table = make([]int32, size)
	}
	d.table = d.table[:size]
	clear(d.table)
}

// rehash doubles the table.
func (d *dictionary) rehash() {
	d.resize(2 * len(d.table))
	mask := uint32(len(d.table) - 1)
	for i, h := range d.hashes {
		at := h & mask
		for d.table[at] != 0 {
			at = (at + 1) & mask
		}
		d.table[at] = int32(i + 1)
	}
}

// insert adds an entry at a free place of the table.
func (d *dictionary) insert(at, hash uint32) int32 {
	d.count++
	d.table[at] = int32(d.count)
	d.hashes = append(d.hashes, hash)
	if 2*d.count > len(d.table) {
		d.rehash()
	}
	return int32(d.count - 1)
}

func (d *dictionary) addNumbers(words []int64) bool {
	last, index := int64(0), int32(-1)
	for _, v := range words {
		if v != last || index < 0 {
			last = v
			known := d.count
			index = d.number(v)
			if d.count > known && !d.goesOn() {
				return false
			}
		}
		d.indexes = append(d.indexes, index)
	}
	return true
}

func (d *dictionary) number(v int64) int32 {
	hash := d.mix(uint64(v), d.odd)
	mask := uint32(len(d.table) - 1)
	at := hash & mask
	for {
		i := d.table[at]
		if i == 0 {
			d.numbers = append(d.numbers, v)
			return d.insert(at, hash)
		}
		if d.numbers[i-1] == v {
			return i - 1
		}
		at = (at + 1) & mask
	}
}

func (d *dictionary) addChunks(chunks []shred.Chunk) bool {
	var last []byte
	index := int32(-1)
	for _, chunk := range chunks {
		for rest := chunk.Data[shred.Headroom:]; len(rest) > 0; {
			n := wideDecimalBytes
			if !d.wide {
				n = 4 + int(binary.LittleEndian.Uint32(rest))
			}
			v := rest[:n]
			rest = rest[n:]
			if index < 0 || !bytes.Equal(v, last) {
				last = v
				known := d.count
				index = d.text(v)
				if d.count > known && !d.goesOn() {
					return false
				}
			}
			d.indexes = append(d.indexes, index)
		}
	}
	return true
}

// text finds a value, which begins with its length unless all values have the same length.
func (d *dictionary) text(v []byte) int32 {
	hash := d.hash(v)
	mask := uint32(len(d.table) - 1)
	at := hash & mask
	for {
		i := d.table[at]
		if i == 0 {
			d.starts = append(d.starts, uint32(len(d.plain)))
			d.plain = append(d.plain, v...)
			return d.insert(at, hash)
		}
		if d.hashes[i-1] == hash && bytes.HasPrefix(d.plain[d.starts[i-1]:], v) {
			return i - 1 // lengths come first, so a matching prefix is a match
		}
		at = (at + 1) & mask
	}
}

// hash hashes a value, including its length prefix, if any. Most values are short and fit into two words.
func (d *dictionary) hash(v []byte) uint32 {
	switch n := len(v); {
	case n > 16:
		return uint32(maphash.Bytes(d.seed, v))
	case n >= 8:
		return d.mix(binary.LittleEndian.Uint64(v), binary.LittleEndian.Uint64(v[n-8:]))
	default:
		return d.mix(uint64(binary.LittleEndian.Uint32(v)), uint64(binary.LittleEndian.Uint32(v[n-4:])))
	}
}

func (d *dictionary) mix(a, b uint64) uint32 {
	high, low := bits.Mul64(a^d.odd, b^d.mask)
	return uint32(high ^ low)
}

// entry returns the text of an entry.
func (d *dictionary) entry(i int32) []byte {
	at := d.starts[i]
	if d.wide {
		return d.plain[at : at+wideDecimalBytes]
	}
	n := binary.LittleEndian.Uint32(d.plain[at:])
	return d.plain[at+4 : at+4+n]
}

// appendPlain writes the entries.
func (d *dictionary) appendPlain(dst []byte, physical format.Type) []byte {
	if physical == format.ByteArray || physical == format.FixedLenByteArray {
		return append(dst, d.plain...)
	}
	return appendWords(dst, d.numbers, physical)
}
