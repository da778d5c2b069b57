package care

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/loader/rows"
	"aws-streaming-pipeline/writers/layout"
)

// batch is a batch of the window.
type batch struct {
	id      string
	sealed  time.Time
	ranges  []checkpoint.Range
	files   []checkpoint.File // with data
	waits   bool              // it is still to be loaded
	named   bool              // by the ledger
	skipped bool              // an operator had the table go without it

	rows    int64 // in its files
	refused int64 // of rows, by the database
	missing int64 // of rows, that are neither in the table nor refused
	example string
	// stale is the number of keys for which the table should have a row of this batch, or a later one, and does not.
	stale int64
}

func newBatch(m layout.Manifest) *batch {
	b := &batch{id: m.Batch, sealed: m.Created, ranges: m.Ranges}
	for _, f := range m.Files {
		if !f.Error && !f.Backup {
			b.files = append(b.files, checkpoint.File{Bucket: f.Bucket, Key: f.Key, Rows: f.Rows, Bytes: f.Bytes, ETag: f.ETag, Partition: f.Partition, Table: f.Table})
		}
	}
	return b
}

// createExpected makes the tables that rows of files are copied into: the number of the batch, the id, the time of arrival, and the
// texts of the key.
func createExpected(ctx context.Context, tx pgx.Tx, keys int) error {
	key := ""
	for i := range keys {
		key += fmt.Sprintf(", key%d text", i)
	}
	_, err := tx.Exec(ctx, "CREATE TEMPORARY TABLE pipeline_expected (batch int NOT NULL, id text NOT NULL, arrived timestamptz"+key+") ON COMMIT DROP; "+
		"CREATE TEMPORARY TABLE pipeline_refusals (id text NOT NULL) ON COMMIT DROP; "+
		"CREATE TEMPORARY TABLE pipeline_later (id text NOT NULL) ON COMMIT DROP", pgx.QueryExecModeSimpleProtocol)
	return err
}

// copyIn copies what f writes into a table, as COPY's text format.
func copyIn(ctx context.Context, tx pgx.Tx, table string, f func(*bufio.Writer) error) error {
	from, to := io.Pipe()
	go func() {
		w := bufio.NewWriterSize(to, 64<<10)
		err := f(w)
		if err == nil {
			err = w.Flush()
		}
		to.CloseWithError(err)
	}()
	_, err := tx.Conn().PgConn().CopyFrom(ctx, from, "COPY "+table+" FROM STDIN")
	from.CloseWithError(errors.New("the copy has ended"))
	return err
}

// copyRows copies the rows of the batches' files into pipeline_expected.
func (s *Site) copyRows(ctx context.Context, tx pgx.Tx, batches []*batch, key []keyColumn) error {
	members := make([]string, len(key))
	for i, k := range key {
		members[i] = k.member
	}
	var read error
	err := copyIn(ctx, tx, "pipeline_expected", func(w *bufio.Writer) error {
		for i, b := range batches {
			for j := range b.files {
				if read = s.eachRow(ctx, &b.files[j], members, func(id []byte, arrived time.Time, values [][]byte) error {
					b.rows++
					return writeRow(w, i, id, arrived, values)
				}); read != nil {
					return read
				}
			}
		}
		return nil
	})
	if read != nil {
		return read
	}
	if err != nil {
		return fmt.Errorf("copy the ids of the files' rows: %w", err)
	}
	_, err = tx.Exec(ctx, "ANALYZE pipeline_expected", pgx.QueryExecModeSimpleProtocol)
	return err
}

// eachRow calls f for each row of a file. A value is nil for null.
func (s *Site) eachRow(ctx context.Context, file *checkpoint.File, members []string, f func(id []byte, arrived time.Time, values [][]byte) error) error {
	r, err := rows.Open(ctx, s.Window.Bucket.API, file, members)
	if err != nil {
		return err
	}
	defer r.Close()
	values := make([][]byte, len(members))
	for {
		row, err := r.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if len(row.EventID) == 0 {
			return fmt.Errorf("file s3://%s/%s: row %d has no event_id", file.Bucket, file.Key, row.Number)
		}
		for i := range values {
			values[i] = text(&row.Values[i])
		}
		if err := f(row.EventID, row.ArrivedAt, values); err != nil {
			return err
		}
	}
}

func writeRow(w *bufio.Writer, number int, id []byte, arrived time.Time, values [][]byte) error {
	fmt.Fprintf(w, "%d\t", number)
	w.Write(escaped(id))
	w.WriteByte('\t')
	if arrived.IsZero() {
		w.WriteString(`\N`)
	} else {
		w.WriteString(arrived.UTC().Format("2006-01-02 15:04:05.999999+00"))
	}
	for _, v := range values {
		w.WriteByte('\t')
		if v == nil || bytes.IndexByte(v, 0) >= 0 { // no text has a zero byte, so the database has refused the row
			w.WriteString(`\N`)
		} else {
			w.Write(escaped(v))
		}
	}
	return w.WriteByte('\n')
}

var escapes = strings.NewReplacer(`\`, `\\`, "\t", `\t`, "\n", `\n`, "\r", `\r`)

// escaped escapes a value for COPY (PostgreSQL manual, COPY, "Text Format").
func escaped(v []byte) []byte {
	if !bytes.ContainsAny(v, "\\\t\n\r") {
		return v
	}
	return []byte(escapes.Replace(string(v)))
}

// read reads the manifests of the window, and then the outbox: a batch that is not in the outbox any more was loaded before the table
// is read, or skipped, of which a note was written before.
func (s *Site) read(ctx context.Context) (batches []*batch, err error) {
	err = s.Window.Each(ctx, func(m layout.Manifest) error {
		batches = append(batches, newBatch(m))
		return nil
	})
	if err != nil {
		return nil, err
	}
	outbox, _, err := s.Outbox.Outbox(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the outbox: %w", err)
	}
	waits := map[string]bool{}
	for _, b := range outbox {
		if slices.Contains(b.Tables, s.Window.Table) && !slices.Contains(b.Loaded, s.Window.Table) {
			waits[b.ID] = true
		}
	}
	skipped, err := s.Window.Skipped(ctx)
	if err != nil {
		return nil, err
	}
	for _, b := range batches {
		b.waits, b.skipped = waits[b.id], skipped[b.id]
	}
	return batches, nil
}

// text is a value as PostgreSQL reads it; nil for null.
func text(v *rows.Value) []byte {
	if v.Kind == rows.Null {
		return nil
	}
	return v.AppendText([]byte{})
}
