package rows

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"time"

	"github.com/parquet-go/parquet-go"

	"aws-streaming-pipeline/record/schema"
)

const (
	parquetMagic = "PAR1"
	// maxHeld bounds the bytes of a row group that are read with one request and held until its rows have been read. The columns of a
	// larger one are read side by side, each through a buffer; these take as much memory together.
	maxHeld = 32 << 20
	// maxValues bounds the values that all columns have ready.
	maxValues = 32 << 10
)

// table reads Parquet as package writers/parquet writes it.
type table struct {
	stream *stream // of a file that is held as a whole
	bytes  *window
	file   *parquet.File
	group  int   // of the next row group
	left   int64 // rows of the one under way

	columns []*column // of the first level, but for the pipeline's own
	leaves  []*leaf   // of all levels, in the file's order
	eventID *leaf     // nil if there is none
	arrived *leaf     // nil if there is none
	extra   *leaf     // nil if there is none

	asked   map[string]int // the places of the members that are asked for
	scratch []byte         // text made of the row's single values
	nested  []byte         // text of its objects and arrays
	rest    []byte
	spilled spilled
}

// column is one of the first level.
type column struct {
	*node
	place int // among the values, or inRest
}

// openParquet reads the metadata of a file whose stream has been read up to its magic number.
func openParquet(s *stream, magic []byte, members []string) (_ source, err error) {
	defer decoded(&err)
	t := &table{stream: s, bytes: &window{object: s.object}, asked: make(map[string]int, len(members))}
	for i, name := range members {
		t.asked[name] = i
	}
	if s.object.size <= maxHeld {
		err = t.bytes.take(io.MultiReader(bytes.NewReader(magic), s), 0, s.object.size)
	} else {
		err = t.bytes.fetch(s.object.size-tailBytes, s.object.size)
	}
	if err = errors.Join(err, s.Close()); err != nil {
		return nil, err
	}
	if err := t.bytes.checkFooter(); err != nil {
		return nil, err
	}
	if err := t.open(pageBuffer); err != nil {
		return nil, err
	}
	if err := t.plan(); err != nil {
		return nil, err
	}
	if t.exceeds() {
		err = t.open(max(pageBuffer, maxHeld/len(t.leaves)))
	}
	return t, err
}

const (
	// tailBytes are read at once from the end of a file that is not held as a whole: mostly that is all of its metadata.
	tailBytes = 1 << 20
	// pageBuffer is the memory through which each column reads its pages.
	pageBuffer = 64 << 10
)

// open opens the file. Each column reads through a buffer of a size.
func (t *table) open(buffer int) (err error) {
	t.file, err = parquet.OpenFile(t.bytes, t.bytes.object.size,
		parquet.SkipMagicBytes(true), parquet.SkipPageIndex(true), parquet.SkipBloomFilters(true), parquet.ReadBufferSize(buffer))
	if err != nil {
		return torn("%w", err)
	}
	return nil
}

// exceeds reports whether there is a row group of more bytes than are held.
func (t *table) exceeds() bool {
	for i := range t.file.RowGroups() {
		if begin, end, err := t.extent(i); err == nil && end-begin > maxHeld {
			return true
		}
	}
	return false
}

// decoded turns what the decoder has panicked with into an error: it trusts what a file says of itself.
func decoded(err *error) {
	if p := recover(); p != nil {
		*err = torn("decode it: %v", p)
	}
}

// window is a part of an object in memory. What is outside is read by requests.
type window struct {
	object *object
	begin  int64
	held   []byte
}

// take reads the window's bytes.
func (w *window) take(from io.Reader, begin, size int64) error {
	if int64(cap(w.held)) < size {
		w.held = nil // so that the old bytes are not held beside the new ones
		w.held = make([]byte, size)
	}
	w.begin, w.held = begin, w.held[:size]
	if _, err := io.ReadFull(from, w.held); err != nil {
		w.held = nil
		return torn("%w", err)
	}
	return nil
}

// fetch reads the bytes from begin to end with a request.
func (w *window) fetch(begin, end int64) error {
	s := &stream{object: w.object, offset: begin, end: end}
	return errors.Join(w.take(s, begin, end-begin), s.Close())
}

// ReadAt implements io.ReaderAt.
func (w *window) ReadAt(p []byte, offset int64) (int, error) {
	if at := offset - w.begin; at >= 0 && at+int64(len(p)) <= int64(len(w.held)) {
		return copy(p, w.held[at:]), nil
	}
	return w.object.ReadAt(p, offset)
}

// checkFooter refuses metadata of a size that cannot be: the decoder would make room for it.
func (w *window) checkFooter() error {
	size := w.object.size
	if size < 12 {
		return torn("%d bytes are too few for Parquet", size)
	}
	var end [8]byte
	if _, err := w.ReadAt(end[:], size-8); err != nil {
		return torn("%w", err)
	}
	if length := int64(binary.LittleEndian.Uint32(end[:])); string(end[4:]) != parquetMagic || length > size-12 {
		return torn("its metadata of %d bytes does not end with %s", length, parquetMagic)
	}
	return nil
}

// plan finds the columns.
func (t *table) plan() error {
	holdsJSON, err := t.jsonColumns()
	if err != nil {
		return err
	}
	p := &planner{table: t, json: holdsJSON}
	for _, c := range t.file.Root().Columns() {
		n, err := p.node(c, 0, 0)
		if err != nil {
			return torn("column %q: %w", c.Name(), err)
		}
		own := map[string]**leaf{schema.EventIDColumn: &t.eventID, schema.ArrivedAtColumn: &t.arrived, schema.ExtraColumn: &t.extra}[c.Name()]
		if own != nil && n.leaf != nil {
			*own = n.leaf
			continue
		}
		place, ok := t.asked[c.Name()]
		if !ok {
			place = inRest
		}
		t.columns = append(t.columns, &column{n, place})
		if n.leaf == nil {
			t.spilled.known(n.name)
		}
	}
	for _, l := range t.leaves {
		l.values = make([]parquet.Value, 0, min(max(maxValues/len(t.leaves), 16), 512))
	}
	return nil
}

// jsonColumns returns which leaf columns hold JSON text: nothing in their types says so, but the metadata does.
func (t *table) jsonColumns() (map[int]bool, error) {
	text, ok := t.file.Lookup(schema.JSONColumnsKey)
	if !ok {
		return nil, nil
	}
	var numbers []int
	if err := json.Unmarshal([]byte(text), &numbers); err != nil {
		return nil, torn("metadata %s: %w", schema.JSONColumnsKey, err)
	}
	set := make(map[int]bool, len(numbers))
	for _, n := range numbers {
		set[n] = true
	}
	return set, nil
}

func (t *table) close() error {
	return errors.Join(t.closePages(), t.stream.Close())
}

func (t *table) closePages() (err error) {
	for _, l := range t.leaves {
		err = errors.Join(err, l.close())
	}
	return err
}

// next reads the row from all columns.
func (t *table) next(row *Row) (err error) {
	defer decoded(&err)
	for t.left == 0 {
		if err := t.nextGroup(); err != nil {
			return err
		}
	}
	t.left--
	clear(row.Values)
	t.scratch, t.nested, t.rest = t.scratch[:0], t.nested[:0], t.rest[:0]
	row.EventID, row.ArrivedAt, row.Rest = nil, time.Time{}, nil
	var v Value
	if t.eventID != nil {
		if err := t.flat(t.eventID, &v); err != nil {
			return err
		}
		row.EventID = v.Text
	}
	if t.arrived != nil {
		if err := t.flat(t.arrived, &v); err != nil {
			return err
		}
		row.ArrivedAt = time.UnixMicro(v.Int)
	}
	if err := t.readExtra(); err != nil {
		return err
	}
	for _, c := range t.columns {
		if err := t.member(c, row); err != nil {
			return err
		}
	}
	if err := t.addExtra(row); err != nil {
		return err
	}
	if len(t.rest) > 0 {
		t.rest = append(t.rest, '}')
		row.Rest = t.rest
	}
	return nil
}

// nextGroup begins a row group.
func (t *table) nextGroup() error {
	if err := t.closePages(); err != nil {
		return torn("%w", err)
	}
	groups := t.file.RowGroups()
	if t.group == len(groups) {
		return io.EOF
	}
	group := groups[t.group]
	if err := t.hold(t.group); err != nil {
		return err
	}
	t.group++
	chunks := group.ColumnChunks()
	if len(chunks) != len(t.leaves) {
		return torn("row group %d has %d columns: want %d", t.group-1, len(chunks), len(t.leaves))
	}
	for i, l := range t.leaves {
		l.pages = chunks[i].Pages()
	}
	t.left = group.NumRows()
	return nil
}

// hold reads the bytes of a row group, if they are not too many.
func (t *table) hold(group int) error {
	if t.bytes.begin == 0 && int64(len(t.bytes.held)) == t.bytes.object.size {
		return nil
	}
	begin, end, err := t.extent(group)
	if err != nil || end-begin > maxHeld {
		return err
	}
	return t.bytes.fetch(begin, end)
}

// extent returns where the bytes of a row group begin and end.
func (t *table) extent(group int) (begin, end int64, err error) {
	size := t.bytes.object.size
	begin = size
	for _, c := range t.file.Metadata().RowGroups[group].Columns {
		m := c.MetaData
		first := m.DataPageOffset
		if m.DictionaryPageOffset > 0 {
			first = min(first, m.DictionaryPageOffset)
		}
		if first < 0 || m.TotalCompressedSize < 0 || first > size-m.TotalCompressedSize {
			return 0, 0, torn("row group %d is not within the file", group)
		}
		begin, end = min(begin, first), max(end, first+m.TotalCompressedSize)
	}
	return min(begin, end), end, nil
}

// member reads the value of a column of the first level.
func (t *table) member(c *column, row *Row) error {
	if c.place == inRest {
		return t.restMember(c)
	}
	v := &row.Values[c.place]
	if c.leaf != nil {
		return t.flat(c.leaf, v)
	}
	begin := len(t.nested)
	t.spilled.enter(c.name)
	var ok bool
	var err error
	if t.nested, ok, err = t.appendJSON(t.nested, c.node); ok {
		v.Kind, v.Text = JSON, t.nested[begin:]
	}
	t.spilled.leave(0)
	return err
}

// restMember adds a column that was not asked for to the rest.
func (t *table) restMember(c *column) error {
	begin := len(t.rest)
	t.beginMember(c.quoted)
	t.spilled.enter(c.name)
	var ok bool
	var err error
	if t.rest, ok, err = t.appendJSON(t.rest, c.node); !ok {
		t.rest = t.rest[:begin]
	}
	t.spilled.leave(0)
	return err
}

// beginMember begins a member of the rest. name is in quotes.
func (t *table) beginMember(name []byte) {
	separator := byte(',')
	if len(t.rest) == 0 {
		separator = '{'
	}
	t.rest = append(append(append(t.rest, separator), name...), ':')
}

// flat reads the value of a column of the first level with single values.
func (t *table) flat(l *leaf, v *Value) error {
	p, err := l.take()
	if err != nil {
		return err
	}
	if p.IsNull() {
		*v = Value{}
		return nil
	}
	return t.value(l, p, v)
}

var errShort = torn("a column ends before its rows do")
