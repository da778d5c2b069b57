package shred

import (
	"fmt"
	"strings"
	"testing"

	"aws-streaming-pipeline/record"
	"aws-streaming-pipeline/record/schema"
)

const benchDocument = `{"required":["id"],"properties":{"id":{"type":"integer"},"ts":{"type":"string","format":"date-time"},
	"user":{"type":"string","maxLength":12},"price":{"type":"number","minimum":0},"ok":{"type":"boolean"},"text":{"type":"string"},
	"tags":{"type":"array","items":{"type":"string"}},
	"place":{"type":"object","properties":{"lat":{"type":"number"},"lon":{"type":"number"},"city":{"type":"string"}}}}}`

// benchRecords are 500 records with a text, as it stands between its quotes, and with more members.
func benchRecords(text, more string) (records []record.Record, size int64) {
	for n := range 500 {
		r := record.Record{SequenceNumber: "49639534253618452163495021582149063481234567890123456789", Data: fmt.Appendf(nil,
			`{"id":%d,"ts":"2026-01-02T03:04:%02dZ","user":"u%07d","price":%d.25,"ok":%t,"text":"%s","tags":["new","loyal customer"],`+
				`"place":{"lat":%d.5,"lon":-8.618643,"city":"Porto"}%s}`,
			n*7919, n%60, n*31, n%100, n%3 == 0, text, n%90, more)}
		records, size = append(records, r), size+int64(len(r.Data))
	}
	return records, size
}

// BenchmarkRecord takes 500 records a turn that satisfy a schema: as lines, and into columns.
func BenchmarkRecord(b *testing.B) {
	s, err := schema.Parse("bench", []byte(benchDocument))
	if err != nil {
		b.Fatal(err)
	}
	for _, c := range []struct{ name, text, more string }{
		{"plain", "request served", ""},
		{"long", strings.Repeat("the quick brown fox jumps over the lazy dog ", 20), ""},
		{"german", "Köln, Straße, größer, Übermaß und ähnliches für schöne Grüße", ""},
		{"cyrillic", "съешь же ещё этих мягких французских булок, да выпей чаю", ""},
		{"japanese", "吾輩は猫である。名前はまだ無い。どこで生れたか", ""},
		{"escapes", `{\"level\":\"info\",\"n\":7,\"text\":\"request served\"}`, ""},
		{"unicode_escapes", `K\u00f6ln \ud83d\ude00 gr\u00f6\u00dfer`, ""},
		{"undeclared", "x", `,"more":{"a":[1,2,3],"b":"some text of a member","c":{"d":null}},"other":[{"x":1.5},{"y":"zzz"}]`},
	} {
		records, size := benchRecords(c.text, c.more)
		run := func(name string, do func(r *record.Record) error, begin func()) {
			b.Run(c.name+"/"+name, func(b *testing.B) {
				b.SetBytes(size)
				b.ReportAllocs()
				for b.Loop() {
					begin()
					for i := range records {
						if err := do(&records[i]); err != nil {
							b.Fatal(err)
						}
					}
				}
			})
		}
		checker, dst := NewChecker(s), make([]byte, 0, 4<<10)
		run("line", func(r *record.Record) error {
			_, err := checker.AppendJSONLine(dst, r)
			return err
		}, func() {})
		columns := New(s, true)
		run("columns", func(r *record.Record) error {
			if fault := columns.Append(r); fault != nil {
				return fault
			}
			return nil
		}, columns.Reset)
	}
}
