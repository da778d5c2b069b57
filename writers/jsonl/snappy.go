package jsonl

import (
	"encoding/binary"
	"hash/crc32"

	"github.com/golang/snappy"
)

// Snappy compresses blocks, so a framing must mark where each block begins. Three framings are in use, and readers of one
// cannot read the others. Lengths are 32 bits, big-endian, unless noted.
//
// xerial, from the library snappy-java (SnappyOutputStream): one header, then the length and the bytes of each block.
// Older versions of its reader do not expect a second header, so it is only at the beginning of the file.
//
// Hadoop (BlockCompressorStream with SnappyCodec): no header; the length of the plain bytes, then the length of the
// compressed bytes, and the block.
//
// The official framing (framing_format.txt of google/snappy): chunks with a type, a length and a checksum.
const (
	// xerialHeader is the magic number, then 1 for the version and 1 for the oldest compatible version.
	xerialHeader = "\x82SNAPPY\x00" + "\x00\x00\x00\x01" + "\x00\x00\x00\x01"
	// framedHeader is the stream identifier of section 4.1.
	framedHeader = "\xff\x06\x00\x00sNaPpY"
)

// Sizes of chunks in plain bytes. Snappy looks back over 64 KiB at most, so larger chunks gain nothing.
const (
	xerialChunk = 64 << 10
	// Hadoop's reader has buffers of 256 KiB (io.compression.codec.snappy.buffersize) for both the compressed and the
	// plain bytes of a chunk. Even 192 KiB of incompressible bytes fit.
	hadoopChunk = 192 << 10
	framedChunk = 64 << 10 // the maximum of section 4.2
)

func encodeXerial(src, dst []byte) ([]byte, error) {
	for len(src) > 0 {
		n := min(len(src), xerialChunk)
		dst = appendSnappy(dst, src[:n])
		src = src[n:]
	}
	return dst, nil
}

func encodeHadoop(src, dst []byte) ([]byte, error) {
	for len(src) > 0 {
		n := min(len(src), hadoopChunk)
		dst = binary.BigEndian.AppendUint32(dst, uint32(n))
		dst = appendSnappy(dst, src[:n])
		src = src[n:]
	}
	return dst, nil
}

// appendSnappy appends the length of the compressed bytes, and the bytes.
func appendSnappy(dst, src []byte) []byte {
	const head = 4
	dst = grow(dst, head+snappy.MaxEncodedLen(len(src)))
	at := len(dst)
	body := snappy.Encode(dst[at+head:cap(dst)], src)
	dst = dst[:at+head+len(body)]
	binary.BigEndian.PutUint32(dst[at:], uint32(len(body)))
	return dst
}

// Chunk types of the official framing, sections 4.1 to 4.6.
const (
	framedCompressed = 0x00
	framedPlain      = 0x01
)

func encodeFramed(src, dst []byte) ([]byte, error) {
	const head = 4 + crc32.Size // kind and length, checksum
	for len(src) > 0 {
		chunk := src[:min(len(src), framedChunk)]
		src = src[len(chunk):]
		dst = grow(dst, head+snappy.MaxEncodedLen(len(chunk)))
		at := len(dst)
		kind, body := uint32(framedCompressed), snappy.Encode(dst[at+head:cap(dst)], chunk)
		if len(body) >= len(chunk) {
			kind, body = framedPlain, append(dst[at+head:at+head], chunk...)
		}
		dst = dst[:at+head+len(body)]
		// One type byte and a three-byte length, little-endian: one number.
		binary.LittleEndian.PutUint32(dst[at:], kind|uint32(crc32.Size+len(body))<<8)
		binary.LittleEndian.PutUint32(dst[at+4:], maskedChecksum(chunk))
	}
	return dst, nil
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// maskedChecksum returns the checksum of the official framing, section 3.
func maskedChecksum(plain []byte) uint32 {
	sum := crc32.Checksum(plain, castagnoli)
	return (sum>>15 | sum<<17) + 0xa282ead8
}
