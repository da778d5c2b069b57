package postgres

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/loader/postgres/pgddl"
	"aws-streaming-pipeline/loader/rows"
	"aws-streaming-pipeline/record"
	"aws-streaming-pipeline/writers"
	"aws-streaming-pipeline/writers/jsonl"
	"aws-streaming-pipeline/writers/parquet"
)

// coerced are fields of SCHEMA with values that stand for the field's own, as records made from CSV have them.
var coerced = []struct {
	field  string
	values []string
}{
	{`"text":{"type":"string","x-null-values":["NA"]}`, []string{`"a"`, `""`, `"NA"`, `42.50`, `true`, `[1, "x"]`, `null`, `"\ud83d\ude00\n"`}},
	{`"int":{"type":"integer"}`, []string{`1`, `"1"`, `"+007"`, `1.0`, `"1e3"`, `""`, `null`, `-9223372036854775808`}},
	{`"int32":{"type":"integer","x-parquet":"int32"}`, []string{`1`, `"-1"`, `2147483647`}},
	{`"double":{"type":"number","x-non-finite":true}`, []string{`1.5`, `"0.1"`, `-0.0`, `1e300`, `"NaN"`, `"Infinity"`, `"-Infinity"`, `""`, `0.30000000000000004`, `12345678901234567890`}},
	{`"real":{"type":"number","x-parquet":"float"}`, []string{`0.1`, `"16777217"`, `3.4028235e38`, `0.30000001192092896`}},
	{`"money":{"type":"number","x-parquet":"decimal(9,2)"}`, []string{`1`, `"1.50"`, `-9999999.99`, `1e3`}},
	{`"wide":{"type":"number","x-parquet":"decimal(38,10)"}`, []string{`1234567890123456789012345678.0123456789`, `"-1e-10"`, `0`}},
	{`"flag":{"type":"boolean"}`, []string{`true`, `"FALSE"`, `""`, `false`}},
	{`"day":{"type":"string","format":"date"}`, []string{`"2014-08-14"`, `"0001-01-01"`, `"0000-02-29"`, `"9999-12-31"`, `""`}},
	{`"at":{"type":"string","format":"date-time"}`, []string{`"2014-08-14T12:00:00Z"`, `"2014-08-14 12:00:00.1234567"`, `"2014-08-14T12:00:00+05:30"`, `"0000-01-01T00:00:00Z"`, `""`}},
	{`"unix":{"type":"integer","x-parquet":"timestamp-micros","x-timestamp-unit":"s"}`, []string{`1407967200`, `"1407967200"`, `-1`}},
	{`"any":{}`, []string{`1.50`, `"1.50"`, `""`, `{"a": []}`, `"{}"`, `null`, `false`}},
	{`"texts":{"type":"array","items":{"type":["string","null"],"x-null-values":["NA"]}}`, []string{`["a",null,"NA",1,true,{}]`, `[]`, `null`}},
	{`"numbers":{"type":"array","items":{"type":["integer","null"]}}`, []string{`[1,"2",null,3.0]`, `[]`}},
	{`"group":{"type":"object","properties":{"a":{"type":"string"},"b":{"type":"object","properties":{"c":{"type":"boolean"}}}}}`, []string{`{"a":"x","b":{"c":true}}`, `{"a":"x"}`}},
}

// Tables that are loaded from JSON Lines and from Parquet have the same rows, also where records have texts for numbers and times, and
// whatever SCHEMA does not declare. The control is a row that is only in one of them.
func TestEncoder_BothFormatsGiveTheSameTable(t *testing.T) {
	var fields []string
	for _, c := range coerced {
		fields = append(fields, c.field)
	}
	s := mustSchema(`{"type":"object","properties":{` + strings.Join(fields, ",") + `}}`)
	random := rand.New(rand.NewPCG(1, 2))
	var records []record.Record
	for i := range 400 {
		var members []string
		for k, c := range coerced {
			if random.IntN(3) > 0 {
				name, _, _ := strings.Cut(c.field, ":")
				members = append(members, name+":"+c.values[(i+k)%len(c.values)])
			}
		}
		if random.IntN(4) == 0 {
			members = append(members, `"further":{"x": 1.0}`)
		}
		records = append(records, record.Record{SequenceNumber: fmt.Sprint(i), Data: []byte("{" + strings.Join(members, ",") + "}"), Arrival: time.UnixMilli(int64(i))})
	}
	eachMajor(t, func(t *testing.T, conn *pgx.Conn) {
		kinds := map[string]writers.Kind{"lines": jsonl.Kind, "columns": parquet.Kind}
		for name, kind := range kinds {
			format, err := kind.Open(writers.Options{Schema: s, ArrivedAt: true})
			if err != nil {
				t.Fatal(err)
			}
			var columns []string
			for _, c := range append(pgddl.Members(s), pgddl.Own(s, false)...) {
				columns = append(columns, pgddl.Quote(c.Name)+" "+c.Type)
			}
			mustExec(t, conn, "CREATE TABLE "+name+" ("+strings.Join(columns, ",")+")")
			data := encodedFile(t, format, records)
			p := plan{coerce: s.Coerce}
			for i, typ := range columnTypes(t, conn, name) {
				if i < len(s.Fields) {
					p.members, p.sources = append(p.members, s.Fields[i].Name), append(p.sources, source(i))
					p.targets = append(p.targets, target{s.Fields[i].Name, typ, s.Fields[i]})
					continue
				}
				own := pgddl.Own(s, false)[i-len(s.Fields)].Name
				p.sources, p.targets = append(p.sources, sources[own]), append(p.targets, target{own, typ, nil})
			}
			copyFile(t, conn, name, p, data, len(records))
		}
		const both = "SELECT (SELECT count(*) FROM (SELECT l::text FROM lines l EXCEPT SELECT c::text FROM columns c) d) + (SELECT count(*) FROM (SELECT c::text FROM columns c EXCEPT SELECT l::text FROM lines l) d)"
		differ := func() (n int) {
			if err := conn.QueryRow(t.Context(), both).Scan(&n); err != nil {
				t.Fatal(err)
			}
			return n
		}
		if n := differ(); n > 0 {
			t.Errorf("%d rows are only in one of the tables", n)
			for _, query := range []string{"SELECT l::text FROM lines l EXCEPT SELECT c::text FROM columns c", "SELECT c::text FROM columns c EXCEPT SELECT l::text FROM lines l"} {
				found, err := conn.Query(t.Context(), query+" ORDER BY 1 LIMIT 3")
				if err != nil {
					t.Fatal(err)
				}
				texts, err := pgx.CollectRows(found, pgx.RowTo[string])
				t.Logf("%s: %v\n%s", query, err, strings.Join(texts, "\n"))
			}
		}
		mustExec(t, conn, `UPDATE columns SET "int" = coalesce("int", 0) + 1 WHERE event_id = '7'`)
		if n := differ(); n != 2 {
			t.Errorf("after a change %d rows differ, want 2", n)
		}
	})
}

// copyFile copies the rows of a file into a table.
func copyFile(t *testing.T, conn *pgx.Conn, name string, p plan, data []byte, count int) {
	t.Helper()
	fill, err := newFiller(p)
	if err != nil {
		t.Fatal(err)
	}
	files := &bucket{objects: map[string][]byte{"k": data}, gets: map[string]int{}}
	r, err := rows.Open(t.Context(), files, &checkpoint.File{Bucket: "b", Key: "k", Rows: int64(count), Bytes: int64(len(data))}, p.members)
	if err != nil {
		t.Fatal(err)
	}
	tuples := []byte(copyHeader)
	for {
		row, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		var no *refusal
		if tuples, no = fill.append(tuples, row); no != nil {
			t.Fatalf("%s: row %d: %+v", name, row.Number, no)
		}
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.PgConn().CopyFrom(t.Context(), bytes.NewReader(append(tuples, copyTrailer...)), "COPY "+name+" FROM STDIN (FORMAT binary)"); err != nil {
		t.Fatal(err)
	}
}
