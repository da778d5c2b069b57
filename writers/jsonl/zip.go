package jsonl

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math"
	"sync"

	"github.com/google/uuid"
	"github.com/klauspost/compress/flate"

	"aws-streaming-pipeline/writers"
)

// A ZIP file is an archive with one entry, whose name is a UUID, as Firehose's are (observed by the authors of floci: floci-io/floci,
// docs/services/firehose.md). Its bytes are one deflate stream (RFC 1951). Each block of lines becomes blocks of that stream that end on a
// byte and look back no further than to their beginning, so that blocks are compressed in parallel. What is known only at the end,
// the sizes and the checksum, follows the stream and is repeated in the directory (APPNOTE.TXT of PKWARE, version 6.3.10, sections
// 4.3 and 4.4). Nothing that was written is touched again, so the file is uploaded in parts.

// Records of an archive, by their signatures (APPNOTE.TXT, sections 4.3.7 to 4.3.16).
const (
	zipEntry        = "PK\x03\x04"
	zipDescriptor   = "PK\x07\x08"
	zipDirectory    = "PK\x01\x02"
	zipDirectory64  = "PK\x06\x06"
	zipLocator64    = "PK\x06\x07"
	zipDirectoryEnd = "PK\x05\x06"
)

const (
	zipDeflate = 8      // the method (section 4.4.5)
	zipFlags   = 1 << 3 // the sizes and the checksum follow the stream (section 4.4.4)
	zipVersion = 20     // of the format, for deflate (section 4.4.3)
	zip64      = 45     // the same for files and sizes from 4 GiB on
	// lastDeflate is an empty last block (RFC 1951, section 3.2.6), which ends the stream.
	lastDeflate = "\x03\x00"
)

// plainPart describes the plain bytes of a block.
type plainPart struct {
	sum  uint32
	size int64
}

func plainPartOf(plain []byte) plainPart {
	return plainPart{crc32.ChecksumIEEE(plain), int64(len(plain))}
}

// deflateEncoder pools its writers, as gzipEncoder does.
func deflateEncoder() func(src, dst []byte) ([]byte, error) {
	pool := sync.Pool{New: func() any {
		w, _ := flate.NewWriter(nil, gzipLevel) // fails only for levels out of range
		return w
	}}
	return func(src, dst []byte) ([]byte, error) {
		w := pool.Get().(*flate.Writer)
		defer pool.Put(w)
		out := appender{dst}
		w.Reset(&out)
		if _, err := w.Write(src); err != nil {
			return nil, err
		}
		if err := w.Flush(); err != nil { // ends on a byte, and not the stream
			return nil, err
		}
		return out.b, nil
	}
}

// archive is the layout of a ZIP file.
type archive struct {
	layout
	name   string
	plain  plainPart // of the blocks so far
	packed int64     // length of the stream so far
}

func newArchive(f *Format) *archive {
	name := uuid.NewString()
	if f.config.Labels != AsFirehose {
		name += ".jsonl"
	}
	return &archive{layout: layout{f}, name: name}
}

// fields appends what the header of the entry and its record in the directory have in common (sections 4.3.7 and 4.3.12).
func (a *archive) fields(dst []byte, version int, sum, packed, plain uint32, extra int) []byte {
	const clock, date = 0, 1<<5 | 1 // midnight of 1980-01-01, the first date (section 4.4.6): the object has its own
	for _, v := range []int{version, zipFlags, zipDeflate, clock, date} {
		dst = binary.LittleEndian.AppendUint16(dst, uint16(v))
	}
	for _, v := range []uint32{sum, packed, plain} {
		dst = binary.LittleEndian.AppendUint32(dst, v)
	}
	dst = binary.LittleEndian.AppendUint16(dst, uint16(len(a.name)))
	return binary.LittleEndian.AppendUint16(dst, uint16(extra))
}

// Begin returns the header of the entry.
func (a *archive) Begin() []byte {
	return append(a.fields([]byte(zipEntry), zipVersion, 0, 0, 0, 0), a.name...)
}

// Place implements writers.Layout.
func (a *archive) Place(e writers.Encoded) ([]byte, error) {
	part, ok := e.Meta.(plainPart)
	if !ok {
		return nil, fmt.Errorf("zip: block of %d rows without its checksum", e.Rows)
	}
	a.plain.sum = sumOfBoth(a.plain.sum, part.sum, part.size)
	a.plain.size += part.size
	a.packed += int64(len(e.Data))
	return e.Data, nil
}

// End ends the stream, and returns what follows it.
func (a *archive) End() ([]byte, error) {
	u32, u64 := binary.LittleEndian.AppendUint32, binary.LittleEndian.AppendUint64
	begin := int64(len(a.Begin()))
	end := []byte(lastDeflate)
	a.packed += int64(len(end))
	large := max(a.packed, a.plain.size) >= math.MaxUint32
	end = u32(append(end, zipDescriptor...), a.plain.sum) // section 4.3.9
	if large {
		end = u64(u64(end, uint64(a.packed)), uint64(a.plain.size))
	} else {
		end = u32(u32(end, uint32(a.packed)), uint32(a.plain.size))
	}
	// The directory. Where sizes need 64 bits, they are in an extra field (section 4.5.3), and further records say where the directory is.
	at := begin + a.packed + int64(len(end)-len(lastDeflate))
	wide := at >= math.MaxUint32 || large
	directory := append([]byte(zipDirectory), zipVersion, 0)
	if large {
		directory = a.fields(directory, zip64, a.plain.sum, math.MaxUint32, math.MaxUint32, 20)
	} else {
		directory = a.fields(directory, zipVersion, a.plain.sum, uint32(a.packed), uint32(a.plain.size), 0)
	}
	directory = append(directory, make([]byte, 14)...) // no comment, the first disk, no attributes, and the entry is at 0
	directory = append(directory, a.name...)
	if large {
		directory = u64(u64(append(directory, 1, 0, 16, 0), uint64(a.plain.size)), uint64(a.packed))
	}
	end = append(end, directory...)
	size := int64(len(directory))
	if wide {
		end = u64(append(end, zipDirectory64...), 44) // the length of what follows (section 4.3.14)
		end = append(end, zip64, 0, zip64, 0, 0, 0, 0, 0, 0, 0, 0, 0)
		end = u64(u64(u64(u64(end, 1), 1), uint64(size)), uint64(at))
		end = u32(u64(u32(append(end, zipLocator64...), 0), uint64(at+size)), 1) // section 4.3.15
	}
	end = append(append(end, zipDirectoryEnd...), 0, 0, 0, 0, 1, 0, 1, 0) // one disk, one entry
	if wide {
		return append(u32(u32(end, math.MaxUint32), math.MaxUint32), 0, 0), nil
	}
	return append(u32(u32(end, uint32(size)), uint32(at)), 0, 0), nil
}

// sumOfBoth returns the CRC-32 of two texts one after the other: that of the first, moved by the length of the second, and that of the
// second. Moving by n bytes is multiplying by x to the power of 8n modulo the polynomial (Mark Adler's crc32_combine in zlib).
func sumOfBoth(first, second uint32, length int64) uint32 {
	power, square := uint32(1)<<31, uint32(1)<<23 // x^0 and x^8, the highest bit first
	for ; length > 0; length >>= 1 {
		if length&1 != 0 {
			power = times(power, square)
		}
		square = times(square, square)
	}
	return times(power, first) ^ second
}

// times multiplies polynomials modulo that of CRC-32.
func times(a, b uint32) (product uint32) {
	for ; a != 0; a <<= 1 {
		if a&(1<<31) != 0 {
			product ^= b
		}
		carry := b & 1
		b >>= 1
		if carry != 0 {
			b ^= crc32.IEEE
		}
	}
	return product
}
