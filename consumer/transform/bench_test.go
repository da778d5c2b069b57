package transform

import (
	"context"
	"fmt"
	"syscall"
	"testing"
	"time"

	"aws-streaming-pipeline/record"
)

// trips are records as a stream brings them.
func trips() (records []record.Record, bytes int64) {
	for i := range 1000 {
		r := came(1000+i, fmt.Sprintf(`{"TRIP_ID":"137263695862000%04d","CALL_TYPE":"%c","ORIGIN_CALL":"","ORIGIN_STAND":%d,"TAXI_ID":"2000%04d",`+
			`"TIMESTAMP":"14079744%02d","DAY_TYPE":"A","MISSING_DATA":false,"POLYLINE":[[-8.618643,41.141412],[-8.618499,41.141376],[-8.620326,41.14251],[-8.622153,41.143815]],`+
			`"customer":{"id":"c-%d","email":"c%d@example.com","plan":"gold"}}`, i, "ABC"[i%3], i, i, i%100, i%8, i))
		records = append(records, r)
		bytes += int64(len(r.Data))
	}
	return records, bytes
}

// BenchmarkQuery takes records to lines of JSON, without a transform and with some programs. cpu-ms/MB is the processor time
// of this process for each MB of payload. The figures of docs/transforms.md come from it.
func BenchmarkQuery(b *testing.B) {
	records, bytes := trips()
	for _, c := range []struct{ name, program string }{
		{"none", ""},
		{"filter", `select(.CALL_TYPE=="B")`},
		{"keep all", `.`},
		{"redact", `del(.customer.email)`},
		{"map", `{id:.TRIP_ID,taxi:.TAXI_ID,at:(.TIMESTAMP|tonumber),customer:.customer.id}`},
		{"split", `.TRIP_ID as $id|.POLYLINE[]|{id:$id,lon:.[0],lat:.[1]}`},
	} {
		b.Run(c.name, func(b *testing.B) {
			stage := Chain()
			if c.program != "" {
				stage = query(b, c.program)
			}
			b.SetBytes(bytes)
			b.ReportAllocs()
			var line []byte
			before, rounds := processorTime(), 0
			for b.Loop() {
				rounds++
				made := records
				if stage != nil {
					out, err := stage.Apply(context.Background(), "shard", records)
					if err != nil {
						b.Fatal(err)
					}
					made = out.Records
				}
				for i := range made {
					var err error
					if line, err = record.AppendJSONLine(line[:0], &made[i]); err != nil {
						b.Fatal(err)
					}
				}
			}
			b.ReportMetric((processorTime()-before).Seconds()*1e3/(float64(rounds)*float64(bytes)/1e6), "cpu-ms/MB")
		})
	}
}

func processorTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
