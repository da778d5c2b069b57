package postgres

import (
	"context"
	"errors"
	"io"
	"time"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/loader"
	"aws-streaming-pipeline/loader/rows"
)

const (
	// chunkBytes and chunkRows bound the rows that are copied under one savepoint. They are held until the database has taken or
	// refused each. A few chunks are in memory at a time.
	chunkBytes = 8 << 20
	chunkRows  = 100_000
)

// origin is where a row comes from.
type origin struct {
	file   int // of the write
	number int64
}

// refused is a row that cannot be in the table.
type refused struct {
	origin
	refusal
}

// chunk is a run of rows, in the order of the files.
type chunk struct {
	tuples  []byte
	ends    []int    // of the tuples
	rows    []origin // of the tuples
	refused []refused
	days    map[time.Time]bool // on which the rows arrived; nil if nobody asks
}

func (c *chunk) full() bool {
	return len(c.tuples) >= chunkBytes || len(c.rows)+len(c.refused) >= chunkRows
}

// part returns the tuples of rows.
func (c *chunk) part(from, to int) []byte {
	begin := 0
	if from > 0 {
		begin = c.ends[from-1]
	}
	return c.tuples[begin:c.ends[to-1]]
}

func (c *chunk) reset() {
	c.tuples, c.ends, c.rows, c.refused = c.tuples[:0], c.ends[:0], c.rows[:0], c.refused[:0]
	clear(c.days)
}

// input is a file of a write.
type input struct {
	batch int // of the write
	id    string
	*checkpoint.File
}

// problem returns a *loader.Problem of the batch for an error that is the file's own.
func (f *input) problem(err error) error {
	p := &loader.Problem{Batch: f.id, Err: err}
	switch {
	case errors.Is(err, rows.ErrMissing), errors.Is(err, rows.ErrReplaced):
		p.Reason = loader.FileLost
	case errors.Is(err, rows.ErrTorn):
		p.Reason = loader.FileTorn
	default:
		return err
	}
	return p
}

// supply reads files and encodes their rows, while earlier chunks are copied.
type supply struct {
	d     *Table
	files []input
	fill  *filler
	daily bool

	full chan *chunk
	free chan *chunk
	err  error // set when full is closed
}

// chunksAhead is how many chunks there are: one that is copied, one that waits, one that is filled.
const chunksAhead = 3

// start begins to read. It ends with ctx; full is closed then, or after the last row.
func (s *supply) start(ctx context.Context) {
	s.full, s.free = make(chan *chunk), make(chan *chunk, chunksAhead)
	for range chunksAhead {
		c := &chunk{}
		if s.daily {
			c.days = make(map[time.Time]bool)
		}
		s.free <- c
	}
	go func() {
		defer close(s.full)
		s.err = s.run(ctx)
	}()
}

func (s *supply) run(ctx context.Context) error {
	c, err := s.next(ctx, nil)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ahead := s.openAhead(ctx)
	defer func() {
		cancel()
		for opening := range ahead { // which nobody reads any more
			if o := <-opening; o.err == nil {
				_ = o.reader.Close()
			}
		}
	}()
	for i, f := range s.files {
		opening, ok := <-ahead
		if !ok {
			return context.Cause(ctx)
		}
		o := <-opening
		if err = o.err; err == nil {
			c, err = s.read(ctx, c, i, o.reader)
		}
		if err != nil {
			return f.problem(err)
		}
	}
	_, err = s.next(ctx, c)
	return err
}

// openedAhead is how many files are opened before their turn: to open one takes a request, and most are small.
const openedAhead = 8

// opened is a file that was opened, or not.
type opened struct {
	reader *rows.Reader
	err    error
}

// openAhead opens the files in their order, a few before they are read. Whoever receives closes the readers.
func (s *supply) openAhead(ctx context.Context) <-chan chan opened {
	ahead := make(chan chan opened, openedAhead-1)
	go func() {
		defer close(ahead)
		for _, f := range s.files {
			opening := make(chan opened, 1)
			select {
			case ahead <- opening:
			case <-ctx.Done():
				return
			}
			go func() {
				r, err := rows.Open(ctx, s.d.Bucket, f.File, s.fill.members)
				opening <- opened{r, err}
			}()
		}
	}()
	return ahead
}

// next hands a chunk over, unless it is nil, and returns an empty one.
func (s *supply) next(ctx context.Context, done *chunk) (*chunk, error) {
	if done != nil {
		select {
		case s.full <- done:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
	select {
	case c := <-s.free:
		c.reset()
		return c, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// read reads a file, and closes it.
func (s *supply) read(ctx context.Context, c *chunk, i int, r *rows.Reader) (_ *chunk, err error) {
	defer func() { err = errors.Join(err, r.Close()) }()
	for {
		row, err := r.Next()
		if errors.Is(err, io.EOF) {
			return c, nil
		}
		if err != nil {
			return nil, err
		}
		if c.full() {
			if c, err = s.next(ctx, c); err != nil {
				return nil, err
			}
		}
		at := origin{i, row.Number}
		tuples, no := s.fill.append(c.tuples, row)
		if no != nil {
			c.refused = append(c.refused, refused{at, *no})
			continue
		}
		c.tuples, c.ends, c.rows = tuples, append(c.ends, len(tuples)), append(c.rows, at)
		if c.days != nil && !row.ArrivedAt.IsZero() {
			c.days[dayOf(row.ArrivedAt)] = true
		}
	}
}
