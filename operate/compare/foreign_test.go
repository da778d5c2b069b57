package compare_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"aws-streaming-pipeline/internal/test/emulator"
	"aws-streaming-pipeline/operate/compare"
)

// foreignRecord is a record as a producer would have sent it, whose columns testdata/foreign.py writes.
func foreignRecord(n int) string {
	if n%10 == 9 {
		return fmt.Sprintf(`{"id":%d,"name":null}`, n)
	}
	tags := []string{"null", `"x"`, fmt.Sprintf(`"%dy"`, n)}
	counts := []string{fmt.Sprintf(`"a":%d`, n), `"b c":null`}
	inner := []string{`{"c":"d"}`, `{}`, "null"}
	a := fmt.Sprint(n)
	if n%2 == 1 {
		a = "null"
	}
	return fmt.Sprintf(`{"large":%d, "id":%d,"at":"2026-03-14T10:%02d:%02d.12+01:00","day":"2026-03-%02d","price":%d.%02d,"small":-%d.%d,"name":"caf\u00e9 \"%d\"",`+
		`"tags":[%s],"way":[[-8.618643,41.10],[],[%v]],"counts":{%s},"inner":{"b":[%s],"a":%s},"single":%d.%d,"ok":%v}`,
		uint64(1)<<63+uint64(n), n, n/60%60, n%60, 1+n%28, n*1001/100, n*1001%100, n%1000/10, n%10, n,
		strings.Join(tags[:min(n%4, 3)], ","), float64(n)/8, strings.Join(counts[:min(n%3, 2)], ","), strings.Join(inner[:min(n%4, 3)], ","), a, n/10, n%10, n%2 == 0)
}

// Parquet of other writers, with their own ways of lists and times, has the records that its rows were made of.
func TestRun_ReadsParquetOfOtherWriters(t *testing.T) {
	const records = 600
	dir := t.TempDir()
	if out, err := emulator.Python(t, "testdata/foreign.py", dir, fmt.Sprint(records)).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var text strings.Builder
	for n := range records {
		r := foreignRecord(n)
		if !json.Valid([]byte(r)) {
			t.Fatal(r)
		}
		text.WriteString(r)
	}
	for _, name := range []string{"plain", "hive", "pages", "integers", "duckdb"} {
		t.Run(name, func(t *testing.T) {
			file, err := os.ReadFile(filepath.Join(dir, name))
			must(t, err)
			s := newStore(t)
			s.put("firehose/1", file)
			s.put("data/1", []byte(text.String()))
			show := func(c *compare.Config) { c.Show, c.Examples = true, 1 }
			r := s.compare(show)
			wantCounts(t, r, nil)
			if r.Theirs.Records != records || !r.Columns {
				t.Errorf("%d records, columns %v", r.Theirs.Records, r.Columns)
			}
			for _, f := range r.Findings {
				t.Logf("%s: %s", f.Kind, f.Examples[0].Payload)
			}
			for _, change := range [][2]string{{`"a":358`, `"a":359`}, {`"c":"d"`, `"c":"D"`}, {`.12+01:00`, `.13+01:00`}, {`[],[44`, `[[]],[44`}, {`:9223372036854776158`, `:9223372036854776159`}} {
				changed := strings.Replace(text.String(), change[0], change[1], 1)
				if changed == text.String() {
					t.Fatalf("%s does not occur", change[0])
				}
				s.put("data/1", []byte(changed))
				wantCounts(t, s.compare(nil), map[compare.Kind]int64{compare.MissingInOurs: 1, compare.MissingInTheirs: 1})
			}
		})
	}
}
