package parquet

import (
	"encoding/binary"

	"github.com/parquet-go/parquet-go/bloom"
	"github.com/parquet-go/parquet-go/bloom/xxhash"
	"github.com/parquet-go/parquet-go/format"

	"aws-streaming-pipeline/consumer/record/schema/shred"
)

// bloomBits is the number of bits for each value, which makes about one answer in a hundred a false yes.
const bloomBits = 10

// bloom appends a chunk's Bloom filter (Parquet format, "Parquet Bloom Filter").
func (e *encoder) bloom(c *shred.Column, chunk *encodedChunk) error {
	if c.Values() == 0 {
		return nil
	}
	filter := make(bloom.SplitBlockFilter, bloom.NumSplitBlocksOf(int64(c.Values()), bloomBits))
	e.load(c)
	if c.Bytes() {
		insertText(filter, c, e.chunks)
	} else {
		e.page = appendWords(e.page[:0], e.words, chunk.meta.Type)
		size := width(chunk.meta.Type)
		for at := 0; at < len(e.page); at += size {
			filter.Insert(xxhash.Sum64(e.page[at : at+size]))
		}
	}
	header, err := marshal(&format.BloomFilterHeader{
		NumBytes:    int32(len(filter.Bytes())),
		Algorithm:   format.BloomFilterAlgorithm{Value: &format.SplitBlockAlgorithm{}},
		Hash:        format.BloomFilterHash{Value: &format.XxHash{}},
		Compression: format.BloomFilterCompression{Value: &format.BloomFilterUncompressed{}},
	})
	if err != nil {
		return err
	}
	chunk.bloom = true
	chunk.meta.BloomFilterOffset = int64(len(e.out))
	e.out = append(append(e.out, header...), filter.Bytes()...)
	chunk.meta.BloomFilterLength = int32(len(e.out)) - int32(chunk.meta.BloomFilterOffset)
	return nil
}

func insertText(filter bloom.SplitBlockFilter, c *shred.Column, chunks []shred.Chunk) {
	for _, chunk := range chunks {
		for rest := chunk.Data[shred.Headroom:]; len(rest) > 0; {
			start, n := 0, 16
			if !c.WideDecimal() {
				start, n = 4, 4+int(binary.LittleEndian.Uint32(rest))
			}
			filter.Insert(xxhash.Sum64(rest[start:n]))
			rest = rest[n:]
		}
	}
}
