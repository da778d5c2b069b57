package postgres

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"aws-streaming-pipeline/loader"
	"aws-streaming-pipeline/loader/postgres/pgddl"
	"aws-streaming-pipeline/loader/rows"
	"aws-streaming-pipeline/record"
	"aws-streaming-pipeline/writers/layout"
)

// recorder writes refused rows to pipeline_refused, in the order of the files. It reads each of their files once more, for the whole
// records: to keep these for all rows would cost more than to read some again.
type recorder struct {
	w      *write
	reader *rows.Reader // of file; nil if there is none
	file   int
	tuples []byte
	line   []byte
}

// recordBytes is how much is written at a time.
const recordBytes = 4 << 20

// add adds rows, which come after those that were added before.
func (r *recorder) add(ctx context.Context, list []refused) error {
	for _, row := range list {
		f := r.w.files[row.file]
		found, err := r.find(ctx, row.origin)
		if err != nil {
			return f.problem(err)
		}
		r.w.countOf(row.origin).refused++
		r.append(f, row, found)
		if len(r.tuples) < recordBytes {
			continue
		}
		if err := r.flush(ctx); err != nil {
			return err
		}
	}
	return nil
}

// find returns a row as a whole.
func (r *recorder) find(ctx context.Context, at origin) (row *rows.Row, err error) {
	if r.reader == nil || r.file != at.file {
		if err := r.close(); err != nil {
			return nil, err
		}
		if r.reader, err = rows.Open(ctx, r.w.d.Bucket, r.w.files[at.file].File, nil); err != nil {
			r.reader = nil
			return nil, err
		}
		r.file = at.file
	}
	for {
		row, err := r.reader.Next()
		if errors.Is(err, io.EOF) || err == nil && row.Number > at.number {
			err = fmt.Errorf("row %d is no longer there", at.number)
		}
		if err != nil || row.Number == at.number {
			return row, err
		}
	}
}

func (r *recorder) close() error {
	if r.reader == nil {
		return nil
	}
	err := r.reader.Close()
	r.reader = nil
	return err
}

// append appends the tuple of a refused row.
func (r *recorder) append(f input, refused refused, row *rows.Row) {
	b := &r.w.addition.Batches[f.batch]
	rec := record.Record{Arrival: arrivalOf(row, b.ID), Data: whole(row)}
	if id, ok := parseEventID(row.EventID); ok {
		rec.SequenceNumber = id.sequence
		if len(id.numbers) > 0 {
			rec.Aggregated, rec.SubSequence = true, id.numbers[0]
		}
		if len(id.numbers) > 1 {
			rec.Split, rec.Part = true, id.numbers[1]
		}
		if len(id.numbers) > 2 {
			rec.Pieces, rec.Piece = true, id.numbers[2]
		}
		for _, shard := range b.Ranges {
			if shard.Contains(rec.SequenceNumber) {
				rec.Shard = shard.Shard
			}
		}
	}
	fault := record.Fault{Type: record.PostgresFailed, Code: loader.CodePostgresRefused, Message: refused.text()}
	r.line = record.AppendErrorLine(r.line[:0], &rec, &fault, record.Attempt{Count: 1, Ended: time.Now()})

	d := r.w.d
	t := binary.BigEndian.AppendUint16(r.tuples, 9)
	t = appendText(t, d.Application)
	t = binary.BigEndian.AppendUint32(append(t, 0, 0, 0, 4), r.w.oid)
	t = appendText(appendText(t, b.ID), "s3://"+f.Bucket+"/"+f.Key)
	t = binary.BigEndian.AppendUint64(append(t, 0, 0, 0, 8), uint64(refused.number))
	t = appendText(t, string(row.EventID))
	t = binary.BigEndian.AppendUint64(append(t, 0, 0, 0, 8), uint64(rec.Arrival.UnixMicro()-epoch))
	t = appendText(t, refused.code)
	r.tuples = appendText(t, string(r.line))
}

// arrivalOf returns when a row arrived, or when its batch was begun if the file does not say so or the database could not store it.
func arrivalOf(row *rows.Row, batch string) time.Time {
	if y := row.ArrivedAt.Year(); row.ArrivedAt.IsZero() || y < 1 || y > 9999 {
		begun, _ := layout.BatchTime(batch)
		return begun
	}
	return row.ArrivedAt
}

func appendText(dst []byte, text string) []byte {
	return append(binary.BigEndian.AppendUint32(dst, uint32(len(text))), text...)
}

// flush writes what was added.
func (r *recorder) flush(ctx context.Context) error {
	if len(r.tuples) == 0 {
		return nil
	}
	r.w.fence.begin()
	defer r.w.fence.end()
	tuples := io.MultiReader(strings.NewReader(copyHeader), bytes.NewReader(r.tuples), strings.NewReader(copyTrailer))
	_, err := r.w.session.conn.PgConn().CopyFrom(ctx, tuples, r.w.savepoint.end()+"COPY "+r.w.d.relation(pgddl.Refused)+
		" (application, relation, batch, file, number, event_id, arrived_at, sqlstate, line) FROM STDIN (FORMAT binary)")
	if err != nil {
		return fmt.Errorf("write refused rows: %w", err)
	}
	r.w.savepoint = noSavepoint
	r.tuples = r.tuples[:0]
	return nil
}

// refusalOf returns why a row was refused, without the values that PostgreSQL's messages quote. What a trigger raises is its owner's
// own text.
func refusalOf(err *pgconn.PgError) refusal {
	r := refusal{code: err.Code, message: err.Message, column: err.ColumnName}
	if strings.HasPrefix(err.Code, "22") {
		r.message = quoted.ReplaceAllString(err.Message, "")
	}
	if m := copyColumn.FindStringSubmatch(err.Where); m != nil && r.column == "" {
		r.column = m[1]
	}
	return r
}

var (
	// quoted is a value: `invalid input value for enum mood: "glad"`, `value "9999999999" is out of range for type integer`.
	quoted = regexp.MustCompile(`(?s): ".*"$| ".*"`)
	// copyColumn is the column in the context of an error of COPY.
	copyColumn = regexp.MustCompile(`(?m)^COPY [^\n]*?, [^\n0-9]*[0-9]+, \pL+ (.*)$`)
)

// text is the message of an error record.
func (r *refusal) text() string {
	if r.column == "" {
		return "SQLSTATE " + r.code + ": " + r.message
	}
	return "SQLSTATE " + r.code + ", column " + r.column + ": " + r.message
}
