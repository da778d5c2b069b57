package compare

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
)

// side is one of the two deliveries.
type side int

const (
	theirs side = iota
	ours
)

func (s side) String() string { return [...]string{"theirs", "ours"}[s] }

func (s side) other() side { return 1 - s }

// place is where a record is: the side (1 bit), whether its object is in the margin of the window (1 bit), the object's
// number in the catalog (31 bits), and the record's number in the object (31 bits), both from 0.
type place uint64

const (
	numberBits = 31
	maxNumber  = 1<<numberBits - 1
)

func placeOf(s side, margin bool, object int) place {
	var m place
	if margin {
		m = 1
	}
	return (place(s)<<1|m)<<(2*numberBits) | place(object)<<numberBits
}

func (p place) side() side     { return side(p >> (2*numberBits + 1)) }
func (p place) inMargin() bool { return p>>(2*numberBits)&1 == 1 }
func (p place) object() int    { return int(p >> numberBits & maxNumber) }
func (p place) record() int    { return int(p & maxNumber) }

// entry is a record in a spool.
type entry struct {
	hash  Hash
	place place
}

const entrySize = len(Hash{}) + 8

// maxParts is the greatest number of files of a spool.
const maxParts = 256

// spool keeps entries in unlinked temporary files, partitioned by one byte of their hashes. Records of the same content
// are in the same partition. Entries may be added concurrently, and are read when all have been added.
type spool struct {
	dir   string
	level int // of the byte
	parts []part
}

type part struct {
	mu      sync.Mutex
	entries int64
	buffer  []byte
	file    *os.File // what did not fit into the buffer; nil if all did
}

// newSpool returns a spool of the given number of parts, whose buffers take memory bytes in all.
func newSpool(dir string, level, parts int, memory int64) *spool {
	s := &spool{dir: dir, level: level, parts: make([]part, parts)}
	each := max(int(memory)/parts/entrySize, 1) * entrySize
	for i := range s.parts {
		s.parts[i].buffer = make([]byte, 0, each)
	}
	return s
}

func (s *spool) add(e entry) error {
	p := &s.parts[int(e.hash[s.level])%len(s.parts)]
	p.mu.Lock()
	defer p.mu.Unlock()
	p.entries++
	p.buffer = append(p.buffer, e.hash[:]...)
	p.buffer = binary.LittleEndian.AppendUint64(p.buffer, uint64(e.place))
	if len(p.buffer)+entrySize <= cap(p.buffer) {
		return nil
	}
	return p.write(s.dir)
}

func (p *part) write(dir string) (err error) {
	if p.file == nil {
		if p.file, err = temporary(dir); err != nil {
			return err
		}
	}
	if _, err := p.file.Write(p.buffer); err != nil {
		return fmt.Errorf("write temporary file: %w", err)
	}
	p.buffer = p.buffer[:0]
	return nil
}

// close frees the files and buffers.
func (s *spool) close() error {
	var errs []error
	for i := range s.parts {
		errs = append(errs, s.parts[i].close())
	}
	return errors.Join(errs...)
}

func (p *part) close() (err error) {
	p.buffer = nil
	if p.file != nil {
		err = p.file.Close()
		p.file = nil
	}
	return err
}

// each calls do for each entry. It stops at the first error.
func (p *part) each(do func(entry) error) error {
	in := io.Reader(bytes.NewReader(p.buffer))
	if p.file != nil {
		if _, err := p.file.Seek(0, io.SeekStart); err != nil {
			return err
		}
		in = io.MultiReader(bufio.NewReaderSize(p.file, 64<<10), in)
	}
	var b [entrySize]byte
	for {
		if _, err := io.ReadFull(in, b[:]); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("read temporary file: %w", err)
		}
		e := entry{hash: Hash(b[:]), place: place(binary.LittleEndian.Uint64(b[len(Hash{}):]))}
		if err := do(e); err != nil {
			return err
		}
	}
}

// temporary creates an unlinked file, which disappears when it is closed or the process ends.
func temporary(dir string) (*os.File, error) {
	f, err := os.CreateTemp(dir, "compare-*")
	if err != nil {
		return nil, fmt.Errorf("temporary file: %w", err)
	}
	if err := os.Remove(f.Name()); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}
