package compare

import (
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"sync"
)

// object is an object to be read.
type object struct {
	side   side
	margin bool // of the window
	key    string
	etag   string // without quotes
	number int    // in the catalog
}

// catalog keeps the keys of the objects in an unlinked temporary file, so that an object takes 8 bytes of memory. It is safe
// for concurrent use.
type catalog struct {
	mu      sync.Mutex
	file    *os.File
	buffer  []byte
	written int64
	starts  []int64 // of the objects in the file
}

func newCatalog(dir string) (*catalog, error) {
	f, err := temporary(dir)
	if err != nil {
		return nil, err
	}
	return &catalog{file: f}, nil
}

const catalogBuffer = 64 << 10

// add numbers an object.
func (c *catalog) add(o object) (object, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if o.number = len(c.starts); o.number > maxNumber {
		return o, fmt.Errorf("more than %d objects: compare shorter windows", maxNumber)
	}
	c.starts = append(c.starts, c.written+int64(len(c.buffer)))
	for _, text := range []string{o.key, o.etag} {
		c.buffer = binary.LittleEndian.AppendUint32(c.buffer, uint32(len(text)))
		c.buffer = append(c.buffer, text...)
	}
	if len(c.buffer) < catalogBuffer {
		return o, nil
	}
	return o, c.flush()
}

func (c *catalog) flush() error {
	n, err := c.file.Write(c.buffer)
	c.written += int64(n)
	c.buffer = c.buffer[:0]
	return err
}

// at returns the object of a place.
func (c *catalog) at(p place) (o object, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.flush(); err != nil {
		return o, err
	}
	o = object{side: p.side(), margin: p.inMargin(), number: p.object()}
	in := io.NewSectionReader(c.file, c.starts[o.number], c.written-c.starts[o.number])
	for _, text := range []*string{&o.key, &o.etag} {
		var size [4]byte
		if _, err := io.ReadFull(in, size[:]); err != nil {
			return o, err
		}
		b := make([]byte, binary.LittleEndian.Uint32(size[:]))
		if _, err := io.ReadFull(in, b); err != nil {
			return o, err
		}
		*text = string(b)
	}
	return o, nil
}

func (c *catalog) close() error {
	return c.file.Close()
}
