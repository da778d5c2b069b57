package s3sink

import (
	"hash/crc32"
	"io"
	"os"
	"sync"

	"aws-streaming-pipeline/internal/budget"
	"aws-streaming-pipeline/internal/pieces"
	"aws-streaming-pipeline/writers/spool"
)

// chunkSize is the unit in which parts allocate memory.
const chunkSize = pieces.Size

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// part is the content of one part: first the bytes spilled to disk, then those in memory. One goroutine fills it. Once it
// is complete, ReadAt is safe for concurrent use.
type part struct {
	number  int32
	budget  *budget.Budget
	account budget.Account // of the chunks: Part, later Sending
	crc     uint32         // CRC32C

	// Go's HTTP transport may still read a body for a moment after a request has been given up. The lock keeps it from
	// chunks that by then belong to another part.
	mu    sync.RWMutex
	freed bool

	disk   *spool.File // nil until the first spill
	chunks []*pieces.Piece
	tail   int // bytes in chunks
}

func newPart(number int32, b *budget.Budget) *part {
	return &part{number: number, budget: b, account: budget.Part}
}

// size returns the number of bytes in the part.
func (p *part) size() int64 { return p.onDisk() + int64(p.tail) }

func (p *part) onDisk() int64 {
	if p.disk == nil {
		return 0
	}
	return p.disk.Size()
}

// memory returns the number of bytes that the part takes from the budget.
func (p *part) memory() int64 { return int64(len(p.chunks)) * chunkSize }

// append copies b to the end of the part.
func (p *part) append(b []byte) {
	p.crc = crc32.Update(p.crc, castagnoli, b)
	for len(b) > 0 {
		free := p.tail % chunkSize
		if free == 0 {
			p.chunks = append(p.chunks, pieces.Get())
			p.budget.Add(p.account, chunkSize)
		}
		n := copy(p.chunks[len(p.chunks)-1][free:], b)
		p.tail += n
		b = b[n:]
	}
}

// spill moves the bytes in memory to disk. After spool.ErrFull the part is still complete, with some of it in memory.
func (p *part) spill(s *spool.Spool) error {
	if p.disk == nil {
		f, err := s.Create()
		if err != nil {
			return err
		}
		p.disk = f
	}
	for len(p.chunks) > 0 {
		n := min(p.tail, chunkSize)
		if err := p.disk.Append(p.chunks[0][:n]); err != nil {
			return err
		}
		p.tail -= n
		p.drop(1)
	}
	return nil
}

// drop releases the first n chunks.
func (p *part) drop(n int) {
	for i := range n {
		pieces.Put(p.chunks[i])
		p.chunks[i] = nil
	}
	p.chunks = p.chunks[n:]
	p.budget.Release(p.account, int64(n)*chunkSize)
}

// send moves the part's memory to the Sending account.
func (p *part) send() {
	p.budget.Move(p.account, budget.Sending, p.memory())
	p.account = budget.Sending
}

// body returns a reader of the whole part.
func (p *part) body() io.ReadSeeker { return io.NewSectionReader(p, 0, p.size()) }

// ReadAt implements io.ReaderAt. It fails after the part is freed.
func (p *part) ReadAt(b []byte, off int64) (int, error) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	if p.freed {
		return 0, os.ErrClosed
	}
	var done int
	for done < len(b) {
		n, err := p.readAt(b[done:], off+int64(done))
		done += n
		if err != nil {
			return done, err
		}
	}
	return done, nil
}

// readAt reads from one chunk, or from disk.
func (p *part) readAt(b []byte, off int64) (int, error) {
	spilled := p.onDisk()
	if off < spilled {
		return p.disk.ReadAt(b[:min(int64(len(b)), spilled-off)], off)
	}
	off -= spilled
	if off >= int64(p.tail) {
		return 0, io.EOF
	}
	in := off % chunkSize
	end := min(chunkSize, int64(p.tail)-off+in)
	return copy(b, p.chunks[off/chunkSize][in:end]), nil
}

// free releases memory and disk space.
func (p *part) free() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.freed = true
	p.drop(len(p.chunks))
	p.tail = 0
	if p.disk != nil {
		// The file is unlinked: an error on close loses nothing.
		_ = p.disk.Close()
		p.disk = nil
	}
}
