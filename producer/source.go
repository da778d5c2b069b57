package producer

import "fmt"

// Source returns the rows of a table in order. It is used by one goroutine at a time. A Source that is an io.Closer is
// closed after its last row.
type Source interface {
	// Columns returns the names of the cells of a row, all different.
	Columns() ([]string, error)
	// Next returns the next row, which stays valid until Next is called again. It returns io.EOF after the last row
	// and a *BadRow for a row that cannot be read, and then continues with the row after it. Any other error ends the
	// source.
	Next() (Row, error)
}

// Row is one row of a table.
type Row struct {
	// Line is the line of the file on which the row begins, from 1; for a source without lines the number of the row.
	Line int64
	// Cells has one cell for each column.
	Cells [][]byte
}

// BadRow is a row that cannot be sent. Its text never contains the row's content.
type BadRow struct {
	Line   int64  // where the row begins, as Row.Line
	Reason string // what is wrong with it
}

func (b *BadRow) Error() string { return fmt.Sprintf("line %d: %s", b.Line, b.Reason) }
