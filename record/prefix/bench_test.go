package prefix

import (
	"fmt"
	"testing"
	"time"

	"aws-streaming-pipeline/record"
)

// payloads are trips as a stream brings them, of a few customers.
func benchRecords() []record.Record {
	at := time.Date(2026, 9, 9, 16, 0, 0, 0, time.UTC)
	var records []record.Record
	for i := range 64 {
		records = append(records, record.Record{
			Arrival: at.Add(time.Duration(i) * time.Second),
			Data: fmt.Appendf(nil, `{"TRIP_ID":"137263695862000%04d","CALL_TYPE":"B","ORIGIN_CALL":"","ORIGIN_STAND":%d,"TAXI_ID":"2000%04d",`+
				`"TIMESTAMP":"14079744%02d","DAY_TYPE":"A","MISSING_DATA":false,"POLYLINE":[[-8.618643,41.141412],[-8.618499,41.141376],[-8.620326,41.14251],[-8.622153,41.143815]],`+
				`"customer":{"id":"c-%d","plan":"gold"}}`, i, i, i, i, i%8),
		})
	}
	return records
}

func BenchmarkPartition(b *testing.B) {
	const errs = "errors/!{firehose:error-output-type}/"
	for _, c := range []struct {
		name   string
		config Config
	}{
		{"timestamp", Config{Data: "data/year=!{timestamp:yyyy}/month=!{timestamp:MM}/day=!{timestamp:dd}/hour=!{timestamp:HH}/", Error: errs}},
		{"paths", Config{Data: "data/customer=!{partitionKeyFromQuery:c}/!{timestamp:yyyy/MM/dd}/", Error: errs, Query: "{c:.customer.id}"}},
		{"jq", Config{
			Data: "data/customer=!{partitionKeyFromQuery:c}/day=!{partitionKeyFromQuery:d}/", Error: errs,
			Query: `{c:.customer.id,d:(.TIMESTAMP|tonumber|strftime("%Y-%m-%d"))}`,
		}},
	} {
		b.Run(c.name, func(b *testing.B) {
			r, err := New(c.config)
			if err != nil {
				b.Fatal(err)
			}
			records := benchRecords()
			if c.config.Query != "" { // otherwise no payload is looked at
				b.SetBytes(int64(len(records[0].Data)))
			}
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if _, err := r.Partition(&records[i%len(records)]); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkTimePattern(b *testing.B) {
	p, err := compilePattern("yyyy/MM/dd/HH")
	if err != nil {
		b.Fatal(err)
	}
	at := time.Date(2026, 9, 9, 16, 0, 0, 0, time.UTC)
	var room [64]byte
	b.ReportAllocs()
	for b.Loop() {
		p.appendTo(room[:0], at)
	}
}

// BenchmarkQuery times queries in common use that need the interpreter.
func BenchmarkQuery(b *testing.B) {
	for _, c := range []struct{ name, query string }{
		{"number", `{c:(.ORIGIN_STAND/2|floor)}`},
		{"product", `{c:(.ORIGIN_STAND*2.5)}`},
		{"difference", `{c:((.TIMESTAMP|tonumber)-.ORIGIN_STAND)}`},
		{"time", `{c:(.TIMESTAMP|tonumber|strftime("%Y-%m-%d"))}`},
		{"slice", `{c:.TIMESTAMP[0:6]}`},
		{"interpolation", `{c:"\(.CALL_TYPE)-\(.customer.plan)"}`},
		{"concatenation", `{c:(.CALL_TYPE+"-"+.customer.plan)}`},
		{"test", `{c:(.customer.id|test("^c-[0-9]"))}`},
		{"capture", `{c:(.customer.id|capture("-(?<n>[0-9]+)").n)}`},
		{"gsub", `{c:(.TRIP_ID|gsub("[^1-9]";"_"))}`},
		{"split", `{c:(.customer.id|split("-")[1])}`},
		{"condition", `{c:(if .ORIGIN_STAND > 10 then "large" else "small" end)}`},
		{"select", `{c:([.POLYLINE[]|select(.[0] < -8.6184)]|length)}`},
		{"update", `.customer.id |= ascii_downcase | {c:.customer.id}`},
		{"entries", `{c:(.customer|to_entries|map(.key)|join("-"))}`},
	} {
		b.Run(c.name, func(b *testing.B) {
			r, err := New(Config{Data: "c=!{partitionKeyFromQuery:c}/", Error: "errors/!{firehose:error-output-type}/", Query: c.query})
			if err != nil {
				b.Fatal(err)
			}
			records := benchRecords()
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if _, err := r.Partition(&records[i%len(records)]); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
