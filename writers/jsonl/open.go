package jsonl

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"strings"

	"github.com/golang/snappy"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// maxChunk limits the bytes of a Snappy chunk, compressed or not, that Open's reader accepts. Writers use tens or
// hundreds of KiB.
const maxChunk = 32 << 20

// Open returns the plain bytes of a file of any Compression. It recognises the compression by the first bytes, since
// extensions and labels differ between writers. Anything else is read as plain.
//
// Hadoop's Snappy has no magic number, but its files begin with a zero byte if the first block has less than 16 MiB, as
// those of this package do, and JSON never does. The reader is for one goroutine and must be closed, which does not close
// r.
func Open(r io.Reader) (io.ReadCloser, error) {
	in := bufio.NewReaderSize(r, 256<<10)
	first, err := in.Peek(len(xerialHeader))
	if err != nil && err != io.EOF {
		return nil, err
	}
	begins := func(magic string) bool { return strings.HasPrefix(string(first), magic) }
	switch {
	case begins("\x1f\x8b"): // RFC 1952, section 2.3.1
		z, err := gzip.NewReader(in)
		if err != nil {
			return nil, fmt.Errorf("gzip: %w", err)
		}
		return io.NopCloser(z), nil
	case begins("\x28\xb5\x2f\xfd"): // RFC 8878, section 3.1.1
		z, err := zstd.NewReader(in, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true))
		if err != nil {
			return nil, fmt.Errorf("zstd: %w", err)
		}
		return z.IOReadCloser(), nil
	case begins(framedHeader):
		return io.NopCloser(snappy.NewReader(in)), nil
	case begins(xerialHeader[:8]):
		return io.NopCloser(&snappyReader{in: in, next: nextXerial}), nil
	case begins("\x00"):
		return io.NopCloser(&snappyReader{in: in, next: nextHadoop}), nil
	case begins(zipEntry):
		return io.NopCloser(&zipReader{in: in}), nil
	}
	return io.NopCloser(in), nil
}

// snappyReader reads the framings that alternate lengths and blocks.
type snappyReader struct {
	in *bufio.Reader
	// next returns the length of the next compressed block, or io.EOF where the file may end.
	next  func(*snappyReader) (int, error)
	left  int // plain bytes of Hadoop's block not yet read
	block []byte
	room  []byte // for plain bytes
	plain []byte // unread part of room
	err   error
}

// Read implements io.Reader.
func (s *snappyReader) Read(p []byte) (int, error) {
	for len(s.plain) == 0 {
		if s.err == nil {
			s.err = s.fill()
		}
		if s.err != nil {
			return 0, s.err
		}
	}
	n := copy(p, s.plain)
	s.plain = s.plain[n:]
	return n, nil
}

// fill decodes the next block.
func (s *snappyReader) fill() error {
	size, err := s.next(s)
	if err != nil {
		return err
	}
	if cap(s.block) < size {
		s.block = make([]byte, size)
	}
	s.block = s.block[:size]
	if _, err := io.ReadFull(s.in, s.block); err != nil {
		return fmt.Errorf("snappy: block of %d bytes: %w", size, cutOff(err))
	}
	n, err := snappy.DecodedLen(s.block)
	if err != nil {
		return fmt.Errorf("snappy: %w", err)
	}
	if n > maxChunk {
		return fmt.Errorf("snappy: block of %d plain bytes: want %d at most", n, maxChunk)
	}
	if cap(s.room) < n {
		s.room = make([]byte, n)
	}
	if s.plain, err = snappy.Decode(s.room[:n], s.block); err != nil {
		return fmt.Errorf("snappy: %w", err)
	}
	s.left -= len(s.plain)
	return nil
}

// nextXerial skips headers, which concatenated files have in the middle.
func nextXerial(s *snappyReader) (int, error) {
	for {
		first, _ := s.in.Peek(8) // reading the length returns the error again
		if string(first) != xerialHeader[:8] {
			return s.length(true)
		}
		if _, err := s.in.Discard(len(xerialHeader)); err != nil {
			return 0, fmt.Errorf("snappy: header: %w", cutOff(err))
		}
	}
}

// nextHadoop reads the length of a block at its beginning. A block may have several chunks.
func nextHadoop(s *snappyReader) (int, error) {
	if s.left < 0 {
		return 0, fmt.Errorf("snappy: a block has %d bytes more than its length says", -s.left)
	}
	for s.left == 0 {
		n, err := s.length(true)
		if err != nil {
			return 0, err
		}
		s.left = n
	}
	return s.length(false)
}

// length reads a length. The file may end before it only if mayEnd is set.
func (s *snappyReader) length(mayEnd bool) (int, error) {
	var b [4]byte
	if _, err := io.ReadFull(s.in, b[:]); err != nil {
		if mayEnd && err == io.EOF {
			return 0, io.EOF
		}
		return 0, fmt.Errorf("snappy: length of a block: %w", cutOff(err))
	}
	n := binary.BigEndian.Uint32(b[:])
	if n > maxChunk {
		return 0, fmt.Errorf("snappy: block of %d bytes: want %d at most", n, maxChunk)
	}
	return int(n), nil
}

// cutOff turns io.EOF in the middle of a block into io.ErrUnexpectedEOF.
func cutOff(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
