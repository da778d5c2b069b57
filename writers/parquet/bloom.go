package parquet

import (
	"encoding/binary"
	"math"
	"math/bits"
	"slices"

	"github.com/parquet-go/parquet-go/bloom"
	"github.com/parquet-go/parquet-go/bloom/xxhash"
	"github.com/parquet-go/parquet-go/format"

	"aws-streaming-pipeline/record/schema"
	"aws-streaming-pipeline/record/schema/shred"
)

// bloomBits is the minimum number of bits per distinct value, for about 1 % false positives.
const bloomBits = 10

// filter returns the Bloom filter (Parquet format, "Parquet Bloom Filter") of the column that has just been encoded; nil
// if it has no values.
func (e *encoder) filter(c *shred.Column, dictionary bool) bloom.SplitBlockFilter {
	switch {
	case c.Values() == 0:
		return nil
	case dictionary:
		filter := newFilter(e.dict.count)
		if c.Bytes() {
			for i := range e.dict.count {
				filter.Insert(xxhash.Sum64(e.dict.entry(int32(i))))
			}
		} else {
			e.insertWords(filter, c, e.dict.numbers)
		}
		return filter
	}
	filter := newFilter(c.Values())
	if c.Bytes() {
		insertText(filter, c, e.chunks)
	} else {
		e.insertWords(filter, c, e.words)
	}
	return fold(filter)
}

// newFilter returns a filter with room for the number of distinct values. Its size is a power of two, as in parquet-java:
// the format allows other sizes, but not every reader does.
func newFilter(values int) bloom.SplitBlockFilter {
	blocks := bloom.NumSplitBlocksOf(int64(values), bloomBits)
	return make(bloom.SplitBlockFilter, 1<<bits.Len(uint(blocks-1)))
}

func insertText(filter bloom.SplitBlockFilter, c *shred.Column, chunks []shred.Chunk) {
	for _, chunk := range chunks {
		for rest := chunk.Data[shred.Headroom:]; len(rest) > 0; {
			start, n := 0, wideDecimalBytes
			if !c.WideDecimal() {
				start, n = 4, 4+int(binary.LittleEndian.Uint32(rest))
			}
			filter.Insert(xxhash.Sum64(rest[start:n]))
			rest = rest[n:]
		}
	}
}

// insertWords inserts numbers by the bytes of their PLAIN encoding. All columns encode NaN the same way (see package
// shred).
func (e *encoder) insertWords(filter bloom.SplitBlockFilter, c *shred.Column, words []int64) {
	physical := physicalType(c.Field)
	e.page = appendWords(e.page[:0], words, physical)
	e.page = appendWords(e.page, bothZeros(c), physical)
	size := width(physical)
	for at := 0; at < len(e.page); at += size {
		filter.Insert(xxhash.Sum64(e.page[at : at+size]))
	}
}

// bothZeros returns the words of 0 and -0 if a Float or Double column has either. They are equal but their bytes differ,
// so a reader that looks for bytes, in a Bloom filter or a dictionary, must find both.
func bothZeros(c *shred.Column) []int64 {
	switch {
	case !slices.Contains(c.Doubles, 0):
		return nil
	case c.Field.Kind == schema.Float:
		return []int64{0, int64(math.Float32bits(float32(math.Copysign(0, -1))))}
	}
	return []int64{0, math.MinInt64}
}

// fold halves a filter as long as the half still has bloomBits per distinct value, estimated by the bits that are set: a
// filter of exactly the right size has 5/9 of them set. Folding merges a pair of blocks into the block of the half where
// a reader looks for their values.
func fold(filter bloom.SplitBlockFilter) bloom.SplitBlockFilter {
	for len(filter) > 1 {
		set := 0
		for i := 0; i < len(filter); i += 2 {
			for j := range filter[i] {
				set += bits.OnesCount32(uint32(filter[i][j] | filter[i+1][j]))
			}
		}
		if 9*set > 5*len(filter)/2*8*bloom.BlockSize {
			break
		}
		for i := range len(filter) / 2 {
			for j := range filter[i] {
				filter[i][j] = filter[2*i][j] | filter[2*i+1][j]
			}
		}
		filter = filter[:len(filter)/2]
	}
	return filter
}

// bloom appends a chunk's Bloom filter, if it has one.
func (e *encoder) bloom(chunk *encodedChunk) error {
	if chunk.filter == nil {
		return nil
	}
	header, err := marshal(&format.BloomFilterHeader{
		NumBytes:    int32(len(chunk.filter.Bytes())),
		Algorithm:   format.BloomFilterAlgorithm{Value: &format.SplitBlockAlgorithm{}},
		Hash:        format.BloomFilterHash{Value: &format.XxHash{}},
		Compression: format.BloomFilterCompression{Value: &format.BloomFilterUncompressed{}},
	})
	if err != nil {
		return err
	}
	chunk.bloom = true
	chunk.meta.BloomFilterOffset = int64(len(e.out))
	e.out = append(append(e.out, header...), chunk.filter.Bytes()...)
	chunk.meta.BloomFilterLength = int32(len(e.out)) - int32(chunk.meta.BloomFilterOffset)
	chunk.filter = nil
	return nil
}
