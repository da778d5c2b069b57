// Package compare finds out whether two deliveries of one stream hold the same records, whatever their formats, and however
// their files were cut.
//
// Records are compared by the hash of their canonical form, as a multiset: a record that occurs twice on one side must occur
// twice on the other. What the pipeline adds to a record does not count.
//
// Each record leaves its hash and its place, 24 bytes, in temporary files that are partitioned by the hash. The partitions are
// then counted one after another, so memory does not depend on the number of records. Each object takes 8 bytes of memory.
package compare

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"aws-streaming-pipeline/writers/jsonl"
)

// Config configures a comparison.
type Config struct {
	Theirs, Ours Delivery
	Window       Window
	Rules        Rules
	// Raw also compares records that are not JSON, byte by byte up to a line feed.
	Raw bool
	// Examples is how many contents of each kind of difference are listed.
	Examples int
	// Show puts the examples' records into the report.
	Show bool
	// TempDir is where temporary files are; empty means os.TempDir.
	TempDir string
	// Memory bounds the bytes for hashes and counts; what readers hold of their files comes on top. 0 means DefaultMemory.
	Memory int64
	// Now returns the current time; nil means time.Now.
	Now func() time.Time
}

const (
	// DefaultMemory is the default of Config.Memory.
	DefaultMemory = 128 << 20
	// MinMemory is the least that Config.Memory may be.
	MinMemory = 1 << 20
)

// errColumns means that an object is in columns, and the comparison must follow the rules for columns.
var errColumns = errors.New("an object is in columns")

// Run compares the deliveries. An error means that the comparison did not finish.
func Run(ctx context.Context, c Config) (*Report, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	report, err := run(ctx, c)
	if errors.Is(err, errColumns) {
		// The hashes so far follow other rules. An object of each side is looked at first, so this is rare.
		c.Rules.Columns = true
		report, err = run(ctx, c)
	}
	return report, err
}

func (c *Config) check() error {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Memory == 0 {
		c.Memory = DefaultMemory
	}
	w := c.Window
	switch {
	case c.Memory < MinMemory:
		return fmt.Errorf("memory %d: want %d bytes or more", c.Memory, MinMemory)
	case c.Theirs.URL() == c.Ours.URL():
		return fmt.Errorf("%s: want two deliveries, not the same twice", c.Theirs.URL())
	case w.Margin < 0:
		return fmt.Errorf("margin %v: want 0 or more", w.Margin)
	case !w.From.IsZero() && !w.To.IsZero() && !w.From.Before(w.To):
		return fmt.Errorf("from %s to %s: want a window that is not empty", clock(w.From), clock(w.To))
	case !w.To.IsZero() && w.To.Add(w.Margin).After(c.Now()):
		return fmt.Errorf("to %s and a margin of %v: want an earlier time, since counterparts of the window's records may not have been delivered yet", clock(w.To), w.Margin)
	}
	return nil
}

// comparison is a comparison under way.
type comparison struct {
	Config
	catalog *catalog
	spool   *spool

	mu     sync.Mutex
	report *Report
}

func run(ctx context.Context, c Config) (r *Report, err error) {
	list, err := newCatalog(c.TempDir)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, list.close()) }()
	m := &comparison{Config: c, catalog: list, spool: newSpool(c.TempDir, 0, maxParts, c.Memory/4), report: newReport(c)}
	if err := m.readAll(ctx); err != nil {
		return nil, errors.Join(err, m.spool.close())
	}
	if r := m.report; r.Theirs.Records+r.Ours.Records == 0 {
		return nil, errors.Join(errors.New("neither side has a record: nothing is shown"), m.spool.close())
	} else if r.Theirs.Records+r.Ours.Records == r.Theirs.MarginRecords+r.Ours.MarginRecords {
		return nil, errors.Join(fmt.Errorf("the window from %s to %s has no record, only its margin of %v does: want a longer window", clock(c.Window.From), clock(c.Window.To), c.Window.Margin), m.spool.close())
	}
	findings := newFindings(c.Examples)
	if err := newTally(c.TempDir, c.Memory/4*3, findings.add).compare(m.spool); err != nil {
		return nil, err
	}
	return m.report, m.finish(ctx, findings)
}

// readers is how many objects are read at a time.
func readers() int { return max(4, runtime.GOMAXPROCS(0)) }

// readAll spools the records of both sides.
func (m *comparison) readAll(ctx context.Context) error {
	if err := m.lookAtFirst(ctx); err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	work := make(chan object)
	g.Go(func() error {
		defer close(work)
		for _, s := range []side{theirs, ours} {
			for o, err := range m.delivery(s).objects(ctx, s, m.Window, m.report.side(s).SetAside) {
				if err == nil {
					o, err = m.catalog.add(o)
				}
				if err != nil {
					return err
				}
				select {
				case work <- o:
				case <-ctx.Done():
					return context.Cause(ctx)
				}
			}
		}
		return nil
	})
	for range readers() {
		g.Go(func() error {
			canon := newCanonizer(m.Rules)
			for o := range work {
				if err := m.spoolObject(ctx, canon, o); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return g.Wait()
}

// lookAtFirst finds out whether the first object of a side is in columns.
func (m *comparison) lookAtFirst(ctx context.Context) error {
	for _, s := range []side{theirs, ours} {
		for o, err := range m.delivery(s).objects(ctx, s, m.Window, make(map[string]int64)) {
			if err != nil {
				return err
			}
			err = m.read(ctx, o, func([]byte, bool) error { return io.EOF })
			if err != nil && !errors.Is(err, io.EOF) {
				return fmt.Errorf("read %s, record 1: %w", m.url(o), err)
			}
			break
		}
	}
	return nil
}

func (m *comparison) delivery(s side) Delivery {
	if s == theirs {
		return m.Theirs
	}
	return m.Ours
}

func (m *comparison) url(o object) string {
	return "s3://" + m.delivery(o.side).Bucket.Name + "/" + o.key
}

// spoolObject spools the records of an object.
func (m *comparison) spoolObject(ctx context.Context, canon *canonizer, o object) error {
	p := placeOf(o.side, o.margin, o.number)
	records := int64(0)
	err := m.read(ctx, o, func(record []byte, isJSON bool) error {
		if records > maxNumber {
			return fmt.Errorf("more than %d records in an object", maxNumber)
		}
		e := entry{place: p + place(records)}
		if isJSON {
			e.hash = canon.hash(record)
		} else {
			e.hash = rawHash(record)
		}
		records++
		return m.spool.add(e)
	})
	if err != nil {
		return fmt.Errorf("read %s, record %d: %w", m.url(o), records+1, err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.report.side(o.side).count(o.margin, records)
	return nil
}

// rawHash returns the hash of a record that is not JSON. No canonical form begins with a zero byte.
func rawHash(record []byte) Hash { return sum(append([]byte{0}, record...)) }

// read calls do for each record of an object, and whether it is JSON. The record is valid during the call.
func (m *comparison) read(ctx context.Context, o object, do func(record []byte, isJSON bool) error) (err error) {
	stream, err := m.delivery(o.side).Bucket.Open(ctx, o.key, o.etag)
	if err != nil {
		return err
	}
	defer stream.Close()
	in := bufio.NewReaderSize(stream, 256<<10)
	magic, err := in.Peek(len(parquetMagic))
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if string(magic) == parquetMagic {
		if !m.Rules.Columns {
			return errColumns
		}
		return m.readRows(in, do)
	}
	plain, err := jsonl.Open(in)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, plain.Close()) }()
	for t := newTexts(plain, m.Raw); ; {
		record, isJSON, err := t.next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := do(record, isJSON); err != nil {
			return err
		}
	}
}

// readRows reads a Parquet file, whose footer is at its end, from a temporary file.
func (m *comparison) readRows(in io.Reader, do func([]byte, bool) error) (err error) {
	var f *os.File
	if f, err = temporary(m.TempDir); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	size, err := io.Copy(f, in)
	if err != nil {
		return err
	}
	return eachRow(f, size, func(row []byte) error { return do(row, true) })
}
