package jsonl

import (
	"encoding/binary"
	"hash/crc32"

	"github.com/golang/snappy"
)

// Snappy alone is a format of blocks: something has to say where each begins. There are three ways in use, and no
// reader takes one for another. All lengths are 32 bits, big-endian, where nothing else is said.
//
// xerial, which the library snappy-java made (SnappyOutputStream): a header once, then length and block in turns. Older
// versions of its reader do not expect a second header, so it stands at the beginning of the file only.
//
// Hadoop's (BlockCompressorStream with SnappyCodec): no header; the length of the plain bytes, then the length of the
// compressed ones and the block.
//
// The official one (framing_format.txt of google/snappy): chunks with a kind, a length and a checksum.
const (
	// xerialHeader is the magic number, and 1 for the version and for the oldest version that reads it.
	xerialHeader = "\x82SNAPPY\x00" + "\x00\x00\x00\x01" + "\x00\x00\x00\x01"
	// framedHeader is the stream identifier of section 4.1.
	framedHeader = "\xff\x06\x00\x00sNaPpY"
)

// Sizes of chunks in plain bytes. Snappy itself looks back over 64 KiB at most, so that nothing is gained by more.
const (
	xerialChunk = 64 << 10
	// Hadoop's reader has buffers of 256 KiB (io.compression.codec.snappy.buffersize) for the compressed bytes of a
	// chunk and for the plain ones. 192 KiB that do not compress fit, too.
	hadoopChunk = 192 << 10
	framedChunk = 64 << 10 // the most that section 4.2 allows
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

// appendSnappy appends the length of the compressed bytes and these.
func appendSnappy(dst, src []byte) []byte {
	const head = 4
	dst = grow(dst, head+snappy.MaxEncodedLen(len(src)))
	at := len(dst)
	body := snappy.Encode(dst[at+head:cap(dst)], src)
	dst = dst[:at+head+len(body)]
	binary.BigEndian.PutUint32(dst[at:], uint32(len(body)))
	return dst
}

// Kinds of chunks of the official framing, sections 4.1 to 4.6.
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
		// A byte of kind and three of length, little-endian: one number.
		binary.LittleEndian.PutUint32(dst[at:], kind|uint32(crc32.Size+len(body))<<8)
		binary.LittleEndian.PutUint32(dst[at+4:], maskedChecksum(chunk))
	}
	return dst, nil
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// maskedChecksum is that of the official framing's section 3.
func maskedChecksum(plain []byte) uint32 {
	sum := crc32.Checksum(plain, castagnoli)
	return (sum>>15 | sum<<17) + 0xa282ead8
}
