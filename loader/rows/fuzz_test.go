package rows_test

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"time"

	"aws-streaming-pipeline/loader/rows"
	"aws-streaming-pipeline/record"
	"aws-streaming-pipeline/record/table"
	"aws-streaming-pipeline/writers/jsonl"
	"aws-streaming-pipeline/writers/parquet"
)

// FuzzReader reads records of any kind from both formats. That a changed record is not the same is the control.
func FuzzReader(f *testing.F) {
	for _, seed := range []string{
		`{"a":1,"b":"x","c":{"d":[1,2]}}`, `{"a":"1","a":null,"c":{"d":[1,"2"],"e":[{}]}}`, `{"b":1e400,"a":-0,"c":[]}`, ` { "\u0061" : "\ud800\"", "c" : {"d":[[1],null]} } `,
		`{"c":{"d":[null,{"a":1},[]],"e":[{"a":1},{"a":"1"},null,{"b":1}]}}`, `{"a":12345678901234567890,"b":{"c":1}}`, `{"":1,"a":{"":{}}}`, `{"a":0.30000000000000004}`, `[1]`, `{"a":1}{"a":2}`,
	} {
		f.Add([]byte(seed), []byte(`{"a":1,"c":{"d":[1]}}`))
		f.Add([]byte(`{"a":"x","c":{"e":[{"a":1}]}}`), []byte(seed))
	}
	f.Fuzz(func(t *testing.T, first, second []byte) {
		for _, data := range [][]byte{first, second} {
			// Names like pointers and like the pipeline's own columns are told apart as far as they can be; see the other tests.
			if len(data) > 2000 || bytes.ContainsAny(data, "/") || bytes.Contains(data, []byte(`\u00`)) || bytes.Contains(data, []byte("event_id")) || bytes.Contains(data, []byte("_arrived_at")) {
				t.Skip()
			}
		}
		var records []record.Record
		for i, data := range [][]byte{first, second, []byte(`{"a":0}`)} {
			records = append(records, record.Record{SequenceNumber: string(rune('1' + i)), Data: data, Arrival: time.UnixMilli(int64(i))})
		}
		_, _, records = written(t, mustLines(t, jsonl.None), records)
		members := []string{"a", "c", "x"}
		same(t, mustParquet(t, parquet.Options{ArrivedAt: true, InferRows: 2}), records, members)
		same(t, forTable(t, nil, []table.Column{
			column("a", "long"), column("b", "string"), column("c", "struct", column("d", "list", column("", "double")), column("e", "list", column("", "struct", column("a", "long")))),
			column("event_id", "string"), column("_arrived_at", "timestamptz"), column("_extra", "string"),
		}), records, members)
	})
}

// FuzzReader_Lines reads anything as a file: it ends with an error that is one of the file, or has the rows that were promised.
func FuzzReader_Lines(f *testing.F) {
	for _, c := range []jsonl.Compression{jsonl.None, jsonl.Gzip, jsonl.Snappy, jsonl.HadoopSnappy, jsonl.SnappyFramed, jsonl.Zip} {
		data, _, _ := written(f, mustLines(f, c), numbered(3))
		f.Add(data)
		f.Add(data[:len(data)-2])
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if bytes.HasPrefix(data, []byte("PAR1")) {
			t.Skip() // its metadata can ask for any memory
		}
		if err := readTo(t, data, 3); err != nil && !errors.Is(err, rows.ErrTorn) {
			t.Errorf("%v", err)
		}
	})
}

// readTo reads a file of a number of rows.
func readTo(t *testing.T, data []byte, count int) (err error) {
	b := newBucket(data)
	r, err := rows.Open(t.Context(), b, b.file(count), []string{"n"})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	for {
		if _, err := r.Next(); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
	}
}

func TestReader_NoticesBrokenParquet(t *testing.T) {
	data, n, _ := written(t, mustParquet(t, parquet.Options{ArrivedAt: true, Compression: parquet.Uncompressed}), numbered(20))
	if err := readTo(t, data, n); err != nil {
		t.Fatalf("the file as it was: %v", err)
	}
	tried, noticed := 0, 0
	for i := 0; i < len(data); i += 3 {
		tried++
		broken := bytes.Clone(data)
		broken[i] ^= 0x55
		switch err := readTo(t, broken, n); {
		case errors.Is(err, rows.ErrTorn):
			noticed++
		case err != nil:
			t.Errorf("byte %d: %v", i, err)
		}
	}
	t.Logf("%d of %d broken bytes were noticed", noticed, tried)
	if noticed < tried/2 { // the others are in statistics, indexes and names of the metadata
		t.Errorf("only %d of %d broken bytes were noticed", noticed, tried)
	}
}
