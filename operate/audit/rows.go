package audit

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"math"
	"os"
	"strings"
	"sync"

	"github.com/parquet-go/parquet-go"
	"golang.org/x/sync/errgroup"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/operate/objects"
	"aws-streaming-pipeline/record"
	"aws-streaming-pipeline/writers/layout"
)

// idsAtOnce is how many event ids are held in memory at a time. Only tests change it.
var idsAtOnce int64 = 4 << 20

// readBatch reads the files of a batch, several times if it has more ids than fit in memory.
func (a *auditor) readBatch(ctx context.Context, m *manifest) error {
	var rows int64
	for _, f := range m.Files {
		if f.Backup {
			info, err := a.Bucket.Head(ctx, f.Key)
			if err := a.checkInfo(m.Batch, f, info, err); err != nil {
				return err
			}
			continue
		}
		rows += f.Rows
	}
	ids := newIDs(m.Ranges, uint64(rows/idsAtOnce)+1)
	for turn := range ids.turns {
		ids.begin(turn, rows)
		g, gctx := errgroup.WithContext(ctx)
		g.SetLimit(downloads)
		for _, f := range m.Files {
			if !f.Backup {
				g.Go(func() error { return a.readFile(gctx, m.Batch, f, ids) })
			}
		}
		if err := g.Wait(); err != nil {
			return err
		}
	}
	for _, r := range ids.short() {
		a.found(Finding{Kind: Double, Batch: m.Batch, Shard: r.Shard, Message: fmt.Sprintf(
			"the range %s has %d records, but the files have fewer distinct event ids that fit it", span(r.Start, r.End), r.Records)})
	}
	return nil
}

// readFile downloads a file and checks its rows. Findings that do not depend on the turn are reported in the first one
// only.
func (a *auditor) readFile(ctx context.Context, batch string, f layout.ManifestFile, ids *ids) error {
	first := ids.turn == 0
	file, err := a.Bucket.Download(ctx, f.Key)
	if err != nil {
		if first {
			return a.checkInfo(batch, f, objects.Info{}, err)
		}
		return ignoreMissing(err)
	}
	defer file.Close()
	if first {
		if err := a.checkInfo(batch, f, file.Info, nil); err != nil {
			return err
		}
	}
	t := tally{ids: ids}
	err = eachID(file, f.Error, t.row)
	report := func(k Kind, format string, args ...any) {
		a.found(Finding{Kind: k, Batch: batch, Key: f.Key, Message: fmt.Sprintf(format, args...)})
	}
	if t.double.n > 0 {
		report(Double, "%d duplicate event ids in the batch: %s", t.double.n, t.double)
	}
	if !first {
		return nil
	}
	if err != nil {
		report(Unreadable, "after %d rows: %v", t.rows, err)
	} else if t.rows != f.Rows {
		report(WrongRows, "it has %d rows, but the manifest says %d", t.rows, f.Rows)
	}
	if t.outside.n > 0 {
		report(OutOfRange, "%d records are outside every range of the batch: %s", t.outside.n, t.outside)
	}
	if t.nameless > 0 {
		report(Unreadable, "%d rows have no event id", t.nameless)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.report.RowsRead += t.rows
	return nil
}

func ignoreMissing(err error) error {
	if errors.Is(err, objects.ErrNotFound) {
		return nil
	}
	return err
}

// tally is the result of reading one file.
type tally struct {
	ids      *ids
	guess    int // index of the range of the last id
	rows     int64
	nameless int64
	double   examples
	outside  examples
}

// examples counts ids and keeps the first few.
type examples struct {
	n    int64
	some []string
}

func (e *examples) add(id []byte) {
	e.n++
	if len(e.some) < 3 {
		e.some = append(e.some, string(id))
	}
}

func (e examples) String() string {
	text := strings.Join(e.some, ", ")
	if e.n > int64(len(e.some)) {
		text += ", ..."
	}
	return text
}

func (t *tally) row(id []byte) {
	t.rows++
	if len(id) == 0 {
		t.nameless++
		return
	}
	inside, again := t.ids.add(id, &t.guess)
	if !inside {
		t.outside.add(id)
	}
	if again {
		t.double.add(id)
	}
}

// EachID downloads a file of a batch and calls row with the event id of each of its rows. The id is empty for rows
// without one, such as those of FORMAT=firehose, and valid only during the call.
func EachID(ctx context.Context, bucket objects.Bucket, f layout.ManifestFile, row func(id []byte)) error {
	file, err := bucket.Download(ctx, f.Key)
	if err != nil {
		return err
	}
	defer file.Close()
	return eachID(file, f.Error, row)
}

// eachID calls row for each row of a file. It recognises the format by the first bytes.
func eachID(f *objects.File, errorLines bool, row func(id []byte)) error {
	var magic [4]byte
	if n, err := f.ReadAt(magic[:], 0); err != nil && !errors.Is(err, io.EOF) {
		return err
	} else if string(magic[:n]) == "PAR1" {
		return eachParquetID(f.File, f.Info.Size, row)
	}
	name := record.EventIDName
	if errorLines {
		name = "eventId"
	}
	find := newFinder(name)
	return objects.Lines(f, func(_ int, line []byte) error {
		row(find.id(line))
		return nil
	})
}

// eachParquetID reads the column of event ids.
func eachParquetID(f *os.File, size int64, row func(id []byte)) (err error) {
	// parquet-go can panic on damaged files: report that as an error of the file.
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("parquet: %v", p)
		}
	}()
	file, err := parquet.OpenFile(f, size, parquet.SkipPageIndex(true), parquet.SkipBloomFilters(true))
	if err != nil {
		return fmt.Errorf("parquet: %w", err)
	}
	column, ok := file.Schema().Lookup(record.EventIDName)
	if !ok {
		return fmt.Errorf("parquet: column %s is missing", record.EventIDName)
	}
	var rows int64
	count := func(id []byte) {
		rows++
		row(id)
	}
	for _, group := range file.RowGroups() {
		if err := readPages(group.ColumnChunks()[column.ColumnIndex].Pages(), count); err != nil {
			return fmt.Errorf("parquet: %w", err)
		}
	}
	if rows != file.NumRows() {
		return fmt.Errorf("parquet: the footer says %d rows, but column %s has %d", file.NumRows(), record.EventIDName, rows)
	}
	return nil
}

func readPages(pages parquet.Pages, row func(id []byte)) (err error) {
	defer func() { err = errors.Join(err, pages.Close()) }()
	values := make([]parquet.Value, 1024)
	for {
		page, err := pages.ReadPage()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		for in, more := page.Values(), true; more; {
			n, err := in.ReadValues(values)
			for _, v := range values[:n] {
				row(v.ByteArray())
			}
			if err != nil && !errors.Is(err, io.EOF) {
				parquet.Release(page)
				return err
			}
			more = err == nil
		}
		parquet.Release(page)
	}
}

// finder extracts the event id from a line.
type finder struct {
	name   string
	member []byte // the name in quotes, the colon, and the quote that opens the value
}

func newFinder(name string) *finder { return &finder{name, []byte(`"` + name + `":"`)} }

var (
	lineEnd      = []byte(`"}`)
	arrivalStart = []byte(`","` + record.ArrivedAtName + `":"`) // after the end of another text
)

// id returns the event id of a line, or nil if it has none. The pipeline writes it as the last member of the object, or last but
// for the time of the arrival, so a line that ends with a quote and the closing brace ends with that member: inside a string
// the quotes would be escaped. If the payload already had an event id, it may be elsewhere, and the line is parsed.
func (f *finder) id(line []byte) []byte {
	if body, ok := bytes.CutSuffix(line, lineEnd); ok {
		i := bytes.LastIndexByte(body, '"') + 1
		if before, ok := bytes.CutSuffix(body[:i], arrivalStart); ok {
			body, i = before, bytes.LastIndexByte(before, '"')+1
		}
		if start := i - len(f.member); start > 0 && bytes.Equal(body[start:i], f.member) && (body[start-1] == ',' || body[start-1] == '{') {
			return body[i:]
		}
	}
	var members map[string]json.RawMessage
	var id string
	if json.Unmarshal(line, &members) != nil || json.Unmarshal(members[f.name], &id) != nil {
		return nil
	}
	return []byte(id)
}

// maxCounter is the maximum number of digits of a 64-bit number.
const maxCounter = 20

// ownNumbers reports whether a sequence number may occur in several shards. Those of AWS are unique within their stream
// (Amazon Kinesis API Reference, PutRecord: "unique across all records in the stream") and have 56 digits. Some emulators
// count from 1 in each shard.
func ownNumbers(sequence string) bool { return len(sequence) <= maxCounter }

// ids holds the event ids of one batch or, if it is read in several turns, those whose hash belongs to the current turn.
//
// An id does not name its shard. If each shard counts on its own, an id may belong to a record of every shard whose range
// it fits, and may occur that many times. A duplicate that takes the place of another record then goes unnoticed, but
// leaves a range with fewer distinct ids than records: short finds it.
type ids struct {
	ranges      []checkpoint.Range
	turn, turns uint64
	seeds       [2]maphash.Seed

	mu   sync.Mutex
	seen map[[2]uint64]uint8 // occurrences by 128-bit hash, which makes collisions negligible
	// most limits the size of seen. A file with many more rows than its manifest says is a finding, whatever its ids are.
	most  int
	rows  int64 // in all turns
	found bool  // whether there was a duplicate, or an id outside every range
	// fitting counts the distinct ids that fit each range, in all turns. It is kept only if shards count on their own.
	fitting []int64
}

func newIDs(ranges []checkpoint.Range, turns uint64) *ids {
	return &ids{
		ranges: ranges, turns: turns, seeds: [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()},
		most: int(2 * idsAtOnce), fitting: make([]int64, len(ranges)),
	}
}

// begin starts a turn. rows is the number of rows of the batch.
func (s *ids) begin(turn uint64, rows int64) {
	s.turn, s.seen = turn, make(map[[2]uint64]uint8, rows/int64(s.turns))
}

// add adds an id. It reports whether the id fits a range of the batch, and whether it has occurred so often that it must
// be a duplicate. guess points to the index of the range of the previous id.
func (s *ids) add(id []byte, guess *int) (inside, again bool) {
	cut, _, _ := bytes.Cut(id, []byte{'-'})
	sequence := string(cut)
	inside = s.inRange(sequence, guess)
	h := [2]uint64{maphash.Bytes(s.seeds[0], id), maphash.Bytes(s.seeds[1], id)}
	if h[0]%s.turns != s.turn {
		return inside, false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rows++
	before, known := s.seen[h]
	if before < math.MaxUint8 && (known || len(s.seen) < s.most) {
		s.seen[h] = before + 1
	}
	once := uint8(1)
	if inside && ownNumbers(sequence) {
		once = s.fit(sequence, before == 0)
	}
	again = before >= once
	s.found = s.found || again || !inside
	return inside, again
}

// fit returns how many ranges a sequence number fits, and counts it for each if it is new.
func (s *ids) fit(sequence string, isNew bool) (n uint8) {
	for i := range s.ranges {
		if s.ranges[i].Contains(sequence) {
			n++
			if isNew {
				s.fitting[i]++
			}
		}
	}
	return n
}

// short returns the ranges with more records than distinct ids that fit them. It does so only if nothing else was found:
// as many rows as records, no duplicate, and no id outside every range.
func (s *ids) short() []checkpoint.Range {
	var records int64
	for _, r := range s.ranges {
		records += r.Records
	}
	if records != s.rows || s.found {
		return nil
	}
	var list []checkpoint.Range
	for i, r := range s.ranges {
		if s.fitting[i] < r.Records && ownNumbers(r.Last) {
			list = append(list, r)
		}
	}
	return list
}

func (s *ids) inRange(sequence string, guess *int) bool {
	if _, ok := checkpoint.Position(sequence).SequenceNumber(); !ok {
		return false
	}
	for i := range s.ranges {
		at := (*guess + i) % len(s.ranges)
		if s.ranges[at].Contains(sequence) {
			*guess = at
			return true
		}
	}
	return false
}
