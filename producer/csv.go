package producer

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
)

// maxRowBytes bounds a row of a CSV as it stands in the file. A row whose object fits into the largest record that
// Kinesis takes (10 MiB) has at most twice as many bytes, all of them doubled quotes.
const maxRowBytes = 2*maxRecordBytes + 64<<10

// errRowTooLong says that a row has no end within maxRowBytes.
var errRowTooLong = errors.New("the row is too long")

// CSV reads a table in the format of RFC 4180 whose first row names the columns. Lines end with LF or CRLF, quoted and
// unquoted cells may be mixed, a quoted cell may hold line breaks, empty lines are passed over, and a byte order mark
// is dropped. Cells keep their bytes, blanks included; only blanks around the names in the header are dropped.
//
// A row that breaks the rules ends at the end of its first line, so a quote that is missing or too many costs that line
// and not the rest of the file. The standard library's reader would look for the end of the quote to the end of the
// file, in memory.
func CSV(r io.Reader) Source { return &csvSource{src: r, line: 1, buf: make([]byte, 64<<10)} }

// csvSource keeps the current row, and what was read ahead of it, in one buffer.
type csvSource struct {
	src io.Reader
	err error // of src, once it has failed or ended

	buf      []byte
	row, end int   // the current row begins at buf[row], what was read ends at buf[end]
	line     int64 // the line of buf[row]

	columns []string
	spans   []span
	cells   [][]byte
}

// span is where a cell lies, counted from the beginning of the row, quotes left out.
type span struct {
	from, to int
	escaped  bool // has doubled quotes
}

func (c *csvSource) Columns() ([]string, error) {
	if c.columns != nil {
		return c.columns, nil
	}
	if first, err := c.at(2); err == nil && first == 0xBF && bytes.HasPrefix(c.buf[c.row:], []byte("\xEF\xBB\xBF")) {
		c.row += 3
	}
	header, err := c.next()
	if err == io.EOF {
		return nil, errors.New("read CSV header: the file is empty")
	}
	if err != nil {
		return nil, fmt.Errorf("read CSV header: %w", err)
	}
	seen := make(map[string]bool, len(header.Cells))
	columns := make([]string, len(header.Cells))
	for i, cell := range header.Cells {
		columns[i] = strings.ToValidUTF8(strings.TrimSpace(string(cell)), "\uFFFD")
		if seen[columns[i]] {
			return nil, fmt.Errorf("read CSV header: column %q is there twice", columns[i])
		}
		seen[columns[i]] = true
	}
	c.columns = columns
	return columns, nil
}

func (c *csvSource) Next() (Row, error) {
	if _, err := c.Columns(); err != nil {
		return Row{}, err
	}
	row, err := c.next()
	if err != nil {
		return Row{}, err
	}
	if len(row.Cells) != len(c.columns) {
		return Row{}, &BadRow{row.Line, fmt.Sprintf("%d cells, the header has %d", len(row.Cells), len(c.columns))}
	}
	return row, nil
}

// next returns the next row, however many cells it has.
func (c *csvSource) next() (Row, error) {
	if err := c.passEmptyLines(); err != nil {
		return Row{}, c.readError(err)
	}
	line := c.line
	length, err := c.split()
	if err == errRowTooLong {
		err = &BadRow{line, fmt.Sprintf("no end of the row within %d bytes", maxRowBytes)}
	}
	if err != nil {
		if _, bad := err.(*BadRow); !bad {
			return Row{}, c.readError(err)
		}
		c.dropLine()
		return Row{}, err
	}
	row := c.buf[c.row : c.row+length]
	c.line += int64(bytes.Count(row, []byte{'\n'}))
	c.row += length
	c.cells = c.cells[:0]
	for _, s := range c.spans {
		cell := row[s.from:s.to]
		if s.escaped {
			cell = undouble(cell)
		}
		c.cells = append(c.cells, cell)
	}
	return Row{Line: line, Cells: c.cells}, nil
}

func (c *csvSource) readError(err error) error {
	if err == io.EOF {
		return err
	}
	return fmt.Errorf("read CSV line %d: %w", c.line, err)
}

func (c *csvSource) passEmptyLines() error {
	for {
		b, err := c.at(0)
		if err != nil {
			return err
		}
		length := 1
		if b == '\r' {
			b, err = c.at(1)
			if err == io.EOF {
				c.row = c.end
			}
			if err != nil {
				return err
			}
			length = 2
		}
		if b != '\n' {
			return nil
		}
		c.row += length
		c.line++
	}
}

// split finds the cells of the current row and returns its length with the line's end.
func (c *csvSource) split() (length int, err error) {
	c.spans = c.spans[:0]
	for pos, more := 0, true; more; {
		first, err := c.at(pos)
		if err != nil && err != io.EOF {
			return 0, err
		}
		var s span
		if first == '"' && err == nil {
			s, err = c.quoted(pos)
		} else {
			s, err = c.unquoted(pos)
		}
		if err != nil {
			return 0, err
		}
		c.spans = append(c.spans, s)
		pos = s.to
		if first == '"' {
			pos++
		}
		if pos, more, err = c.endOfCell(pos); err != nil {
			return 0, err
		}
		length = pos
	}
	return length, nil
}

// quoted returns the cell whose opening quote is at pos.
func (c *csvSource) quoted(pos int) (span, error) {
	s := span{from: pos + 1}
	for at := s.from; ; at += 2 {
		quote, err := c.index(at, '"')
		if err == io.EOF {
			return s, c.bad("has no closing quote")
		}
		if err != nil {
			return s, err
		}
		after, err := c.at(quote + 1)
		if err != nil && err != io.EOF {
			return s, err
		}
		if after != '"' || err == io.EOF {
			s.to = quote
			return s, nil
		}
		s.escaped = true
		at = quote
	}
}

// unquoted returns the cell that begins at pos and ends before a comma or the line's end.
func (c *csvSource) unquoted(pos int) (span, error) {
	to, atComma := pos, false
scan:
	for {
		for i, b := range c.buf[c.row+to : c.end] {
			switch b {
			case '"':
				return span{}, c.bad("has a quote and is not quoted")
			case ',', '\n':
				to += i
				atComma = b == ','
				break scan
			}
		}
		to = c.end - c.row
		if err := c.fill(); err == io.EOF {
			break
		} else if err != nil {
			return span{}, err
		}
	}
	if !atComma && to > pos && c.buf[c.row+to-1] == '\r' {
		to--
	}
	return span{from: pos, to: to}, nil
}

// endOfCell steps over what ends the cell before pos, and reports whether another cell follows in the row.
func (c *csvSource) endOfCell(pos int) (next int, more bool, err error) {
	b, err := c.at(pos)
	if b == '\r' && err == nil {
		pos++
		b, err = c.at(pos)
		if err == nil && b != '\n' {
			return 0, false, c.badEnd()
		}
	}
	switch {
	case err == io.EOF:
		return pos, false, nil
	case err != nil:
		return 0, false, err
	case b == ',':
		return pos + 1, true, nil
	case b == '\n':
		return pos + 1, false, nil
	}
	return 0, false, c.badEnd()
}

// badEnd refuses the cell that split has just added.
func (c *csvSource) badEnd() error {
	c.spans = c.spans[:len(c.spans)-1]
	return c.bad("goes on after its closing quote")
}

// bad refuses the row because of the cell after those that were found.
func (c *csvSource) bad(what string) error {
	return &BadRow{c.line, fmt.Sprintf("cell %d %s", len(c.spans)+1, what)}
}

// dropLine passes over the rest of the line at which the current row begins, without keeping it.
func (c *csvSource) dropLine() {
	for {
		if i := bytes.IndexByte(c.buf[c.row:c.end], '\n'); i >= 0 {
			c.row += i + 1
			c.line++
			return
		}
		c.row = c.end
		if c.fill() != nil {
			return // the next row finds the same error
		}
	}
}

// at returns the i-th byte of the row; io.EOF if the input ends before it.
func (c *csvSource) at(i int) (byte, error) {
	for c.row+i >= c.end {
		if err := c.fill(); err != nil {
			return 0, err
		}
	}
	return c.buf[c.row+i], nil
}

// index returns the place of the first b at from or after it, counted from the beginning of the row.
func (c *csvSource) index(from int, b byte) (int, error) {
	for {
		if c.row+from < c.end {
			if i := bytes.IndexByte(c.buf[c.row+from:c.end], b); i >= 0 {
				return from + i, nil
			}
			from = c.end - c.row
		}
		if err := c.fill(); err != nil {
			return 0, err
		}
	}
}

// fill reads on. It may move the row to another place in the buffer.
func (c *csvSource) fill() error {
	if c.err != nil {
		return c.err
	}
	if c.end == len(c.buf) {
		copy(c.buf, c.buf[c.row:c.end])
		c.row, c.end = 0, c.end-c.row
	}
	if c.end == len(c.buf) {
		if len(c.buf) >= maxRowBytes {
			return errRowTooLong
		}
		larger := make([]byte, min(2*len(c.buf), maxRowBytes))
		copy(larger, c.buf[:c.end])
		c.buf = larger
	}
	for range 100 {
		n, err := c.src.Read(c.buf[c.end:])
		c.end += n
		c.err = err
		if n > 0 {
			return nil
		}
		if err != nil {
			return err
		}
	}
	c.err = io.ErrNoProgress
	return c.err
}

// undouble makes one quote of two, in place.
func undouble(cell []byte) []byte {
	out := cell[:0]
	for {
		i := bytes.IndexByte(cell, '"')
		if i < 0 {
			return append(out, cell...)
		}
		out = append(out, cell[:i+1]...)
		cell = cell[i+2:]
	}
}

// WriteCSV writes all rows of a source with a header, every cell in quotes, as the taxi trip set is written.
func WriteCSV(w io.Writer, s Source) error {
	columns, err := s.Columns()
	if err != nil {
		return err
	}
	cells := make([][]byte, len(columns))
	for i, name := range columns {
		cells[i] = []byte(name)
	}
	out := bufio.NewWriterSize(w, 64<<10)
	var line []byte
	for {
		line = appendCSV(line[:0], cells)
		if _, err := out.Write(line); err != nil {
			return fmt.Errorf("write CSV: %w", err)
		}
		row, err := s.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		cells = row.Cells
	}
	if err := out.Flush(); err != nil {
		return fmt.Errorf("write CSV: %w", err)
	}
	return nil
}

func appendCSV(dst []byte, cells [][]byte) []byte {
	for i, cell := range cells {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, '"')
		dst = append(dst, bytes.ReplaceAll(cell, []byte(`"`), []byte(`""`))...)
		dst = append(dst, '"')
	}
	return append(dst, '\n')
}
