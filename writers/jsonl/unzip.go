package jsonl

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/klauspost/compress/flate"
)

// zipReader reads the entries of ZIP archives, one after the other, without the directory, which is at the end of the file.
type zipReader struct {
	in    *bufio.Reader
	entry io.Reader // nil between entries
	sum   uint32
	size  uint64 // plain bytes of the entry so far
	// of the entry's header, unless its descriptor follows
	follows   bool
	wantedSum uint32
	err       error
}

// Read implements io.Reader.
func (z *zipReader) Read(p []byte) (int, error) {
	for z.err == nil {
		if z.entry == nil {
			z.err = z.next()
			continue
		}
		n, err := z.entry.Read(p)
		z.sum = crc32.Update(z.sum, crc32.IEEETable, p[:n])
		z.size += uint64(n)
		if errors.Is(err, io.EOF) {
			err = z.endEntry()
		} else if err != nil {
			err = fmt.Errorf("zip: %w", err)
		}
		z.err = err
		if n > 0 {
			return n, nil
		}
	}
	return 0, z.err
}

// next reads records up to the next entry. Its error is io.EOF at the end of the file.
func (z *zipReader) next() error {
	signature := make([]byte, len(zipEntry))
	switch _, err := io.ReadFull(z.in, signature); {
	case err == io.EOF:
		return io.EOF
	case err != nil:
		return fmt.Errorf("zip: %w", cutOff(err))
	}
	var fixed int     // length after the signature
	var lengths []int // where the lengths of what follows are, in 16 bits
	switch string(signature) {
	case zipEntry:
		return z.begin()
	case zipDirectory:
		fixed, lengths = 42, []int{24, 26, 28}
	case zipDirectory64:
		head, err := z.fixed(8)
		if err != nil {
			return err
		}
		n := binary.LittleEndian.Uint64(head)
		if n > maxChunk {
			return fmt.Errorf("zip: directory with a record of %d bytes", n)
		}
		return z.skip(int(n))
	case zipLocator64:
		fixed = 16
	case zipDirectoryEnd:
		fixed, lengths = 18, []int{16}
	default:
		return fmt.Errorf("zip: signature %x: want an entry or the directory", signature)
	}
	_, err := z.record(fixed, lengths...)
	return err
}

// begin reads the header of an entry.
func (z *zipReader) begin() error {
	head, err := z.record(26, 22, 24)
	if err != nil {
		return err
	}
	flags, method := binary.LittleEndian.Uint16(head[2:]), binary.LittleEndian.Uint16(head[4:])
	if flags&1 != 0 || method != zipDeflate {
		return fmt.Errorf("zip: an entry with flags %x and method %d: want deflate, which is 8, without a password", flags, method)
	}
	z.follows, z.wantedSum = flags&zipFlags != 0, binary.LittleEndian.Uint32(head[10:])
	z.sum, z.size, z.entry = 0, 0, flate.NewReader(z.in)
	return nil
}

// endEntry compares the checksum.
func (z *zipReader) endEntry() error {
	z.entry = nil
	if z.follows {
		head, err := z.fixed(16)
		if err != nil {
			return err
		}
		if string(head[:4]) != zipDescriptor {
			return fmt.Errorf("zip: signature %x after an entry: want its sizes", head[:4])
		}
		z.wantedSum = binary.LittleEndian.Uint32(head[4:])
		// Sizes have 32 bits or 64; the plain one is the second, and the next record has a signature.
		if following, err := z.in.Peek(2); err != nil || string(following) != "PK" || binary.LittleEndian.Uint32(head[12:]) != uint32(z.size) {
			if err := z.skip(8); err != nil {
				return err
			}
		}
	}
	if z.sum != z.wantedSum {
		return fmt.Errorf("zip: checksum %08x of an entry of %d bytes: want %08x", z.sum, z.size, z.wantedSum)
	}
	return nil
}

// record reads n bytes, and skips what follows them by the lengths that they have at some places.
func (z *zipReader) record(n int, lengths ...int) ([]byte, error) {
	b, err := z.fixed(n)
	if err != nil {
		return nil, err
	}
	for _, at := range lengths {
		if err := z.skip(int(binary.LittleEndian.Uint16(b[at:]))); err != nil {
			return nil, err
		}
	}
	return b, nil
}

func (z *zipReader) fixed(n int) ([]byte, error) {
	b := make([]byte, n)
	if _, err := io.ReadFull(z.in, b); err != nil {
		return nil, fmt.Errorf("zip: %w", cutOff(err))
	}
	return b, nil
}

func (z *zipReader) skip(n int) error {
	if _, err := z.in.Discard(n); err != nil {
		return fmt.Errorf("zip: %w", cutOff(err))
	}
	return nil
}
