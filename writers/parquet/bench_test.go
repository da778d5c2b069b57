package parquet

import (
	"math"
	"runtime"
	"strings"
	"testing"

	"aws-streaming-pipeline/record"
	"aws-streaming-pipeline/record/schema"
	"aws-streaming-pipeline/record/schema/shred"
	"aws-streaming-pipeline/writers"
)

// BenchmarkWrite encodes records into row groups of the default size, on one core.
func BenchmarkWrite(b *testing.B) {
	for _, s := range streams {
		lines := records(s.lines(32 << 20))
		for _, codec := range []Compression{Snappy, Zstd, Uncompressed} {
			b.Run(s.name+"/"+string(codec), func(b *testing.B) {
				f, err := New(Options{Schema: s.schema(), Compression: codec})
				if err != nil {
					b.Fatal(err)
				}
				write(b, f, lines)
			})
		}
	}
}

// BenchmarkTable is BenchmarkWrite for a table that has all columns of the schema.
func BenchmarkTable(b *testing.B) {
	for _, s := range streams {
		lines := records(s.lines(32 << 20))
		b.Run(s.name, func(b *testing.B) {
			write(b, formatFor(b, Options{Compression: Zstd}, mustView(b, definitionOf(s.schema()), s.schema())), lines)
		})
	}
}

func write(b *testing.B, f writers.Format, lines []record.Record) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	size := 0
	for i := range lines {
		size += len(lines[i].Data)
	}
	b.SetBytes(int64(size))
	b.ReportAllocs()
	out := 0
	for b.Loop() {
		l := f.NewLayout()
		block := l.NewBlock()
		for i := range lines {
			if err := block.Append(&lines[i]); err != nil {
				b.Fatal(err)
			}
		}
		e, err := block.Encode()
		if err != nil {
			b.Fatal(err)
		}
		p, err := l.Place(e)
		if err != nil {
			b.Fatal(err)
		}
		out = len(p)
		e.Release()
		if d, ok := l.(writers.Describer); ok {
			d.Describe()
		}
	}
	b.ReportMetric(float64(out)/float64(size), "out/in")
}

// BenchmarkShred decodes records into vectors, without encoding them.
func BenchmarkShred(b *testing.B) {
	for _, s := range streams {
		lines := records(s.lines(16 << 20))
		b.Run(s.name, func(b *testing.B) {
			shredder := shred.New(s.schema(), true)
			size := 0
			for i := range lines {
				size += len(lines[i].Data)
			}
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				shredder.Reset()
				for i := range lines {
					if fault := shredder.Append(&lines[i]); fault != nil {
						b.Fatal(fault)
					}
				}
			}
		})
	}
}

// ruled returns the streams' documents with rules of every kind that the scan checks.
var ruled = map[string]string{
	"taxi": `{"type":"object","x-extra":false,"additionalProperties":false,
	"required":["TRIP_ID","CALL_TYPE","TAXI_ID","TIMESTAMP","DAY_TYPE","MISSING_DATA","POLYLINE"],"properties":{
	"TRIP_ID":{"type":"string","minLength":1,"maxLength":24,"pattern":"^[0-9]+$"},"CALL_TYPE":{"type":"string","enum":["A","B","C"]},
	"ORIGIN_CALL":{"type":"string"},"ORIGIN_STAND":{"type":"string"},"TAXI_ID":{"type":"string","minLength":8,"maxLength":8},
	"TIMESTAMP":{"type":"string","minLength":10},"DAY_TYPE":{"type":"string","enum":["A","B","C"]},
	"MISSING_DATA":{"type":"string","enum":["True","False"]},"POLYLINE":{"type":"string","minLength":2}}}`,
	"narrow": `{"type":"object","x-extra":false,"additionalProperties":false,
	"required":["id","ts","user","sid","event","country","ok","code"],"properties":{
	"id":{"type":"integer","minimum":0},"ts":{"type":"string","format":"date-time"},"user":{"type":"string","pattern":"^u[0-9]{7}$"},
	"sid":{"type":"string","minLength":16,"maxLength":16},
	"event":{"type":"string","enum":["view","click","scroll","purchase","login","logout","search","share"]},
	"country":{"type":"string","minLength":2,"maxLength":2},"city":{"type":"string","maxLength":40},
	"device":{"type":"string","enum":["phone","tablet","desktop","tv"]},
	"os":{"type":"string"},"ver":{"type":"string"},"ok":{"type":"boolean"},"code":{"type":"integer","minimum":100,"maximum":599},
	"dur":{"type":"integer","minimum":0},"bytes":{"type":"integer","minimum":0},"price":{"type":["number","null"],"minimum":0},
	"lat":{"type":"number","minimum":-90,"maximum":90},"lon":{"type":"number","minimum":-180,"maximum":180},
	"ref":{"type":"string","maxLength":200},"n":{"type":"integer"},"new":{"type":"boolean"}}}`,
}

// BenchmarkValidate reports what rules add to the cost of decoding a record, both measured in turns:
//
//	us/record        CPU time of a record with rules
//	added-us/record  what of that a schema without rules does not take
func BenchmarkValidate(b *testing.B) {
	for _, s := range streams[:2] {
		b.Run(s.name, func(b *testing.B) {
			defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
			lines := records(s.lines(16 << 20))
			strict, err := schema.Parse(s.name, []byte(ruled[s.name]))
			if err != nil || strict.NeedsFull() {
				b.Fatalf("rules beyond the scan, or %v", err)
			}
			plain, with := shred.New(s.schema(), true), shred.New(strict, true)
			least := [2]float64{math.Inf(1), math.Inf(1)}
			for b.Loop() {
				for i, shredder := range []*shred.Shredder{plain, with} {
					shredder.Reset()
					began := cpuTime(b)
					for i := range lines {
						if fault := shredder.Append(&lines[i]); fault != nil {
							b.Fatal(fault)
						}
					}
					took := float64((cpuTime(b) - began).Nanoseconds()) / 1e3 / float64(len(lines))
					least[i] = min(least[i], took)
				}
			}
			b.ReportMetric(least[1], "us/record")
			b.ReportMetric(least[1]-least[0], "added-us/record")
		})
	}
}

// TestValidate_RulesOfTheBenchmarkBite checks that the benchmark's rules are effective: each kind rejects a record.
func TestValidate_RulesOfTheBenchmarkBite(t *testing.T) {
	line := string(streams[1].lines(1)[0])
	for _, c := range []struct{ old, new string }{
		{`"id":`, `"id":-`}, {`"user":"u`, `"user":"v`}, {`"sid":"`, `"sid":"0`}, {`"country":"`, `"country":"X`},
		{`"event":"`, `"event":"x`}, {`"code":`, `"code":9`}, {`"lat":`, `"lat":1e2,"x":`}, {`"ok":`, `"ko":`}, {`"lon":`, `"lon":-999,"y":`},
	} {
		changed := strings.Replace(line, c.old, c.new, 1)
		shredder := shred.New(mustParse(t, ruled["narrow"]), true)
		if fault := shredder.Append(newRecord(0, changed)); fault == nil || changed == line {
			t.Errorf("taken: %s", changed)
		}
	}
}
