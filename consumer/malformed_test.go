package consumer

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/parquet-go/parquet-go"

	"aws-streaming-pipeline/athena"
	"aws-streaming-pipeline/internal/localstream"
	"aws-streaming-pipeline/record/schema"
)

// malformed makes payloads that something is wrong with, or nearly; each by a rule of its own.
var malformed = map[string]func(*rand.Rand) []byte{
	"truncated": func(r *rand.Rand) []byte {
		row := trip(r)
		return row[:r.IntN(len(row))]
	},
	"deep nesting": func(r *rand.Rand) []byte {
		n := 500 + r.IntN(2000)
		return []byte(`{"a":` + strings.Repeat("[", n) + strings.Repeat("]", n) + `}`)
	},
	"huge numbers": func(r *rand.Rand) []byte {
		return fmt.Appendf(nil, `{"TRIP_ID":"1","TAXI_ID":%s1e%d}`, strings.Repeat("9", 1+r.IntN(400)), r.IntN(1000))
	},
	"duplicate names": func(*rand.Rand) []byte { return []byte(`{"TRIP_ID":"1","TRIP_ID":"2","event_id":"mine","event_id":3}`) },
	"invalid UTF-8": func(r *rand.Rand) []byte {
		row := trip(r)
		row[r.IntN(len(row))] = byte(0x80 + r.IntN(0x80))
		return row
	},
	"NUL": func(r *rand.Rand) []byte {
		row := trip(r)
		row[r.IntN(len(row))] = 0
		return row
	},
	"byte order mark": func(r *rand.Rand) []byte { return append([]byte("\xef\xbb\xbf"), trip(r)...) },
	"long string": func(r *rand.Rand) []byte {
		return fmt.Appendf(nil, `{"TRIP_ID":"1","POLYLINE":%q}`, strings.Repeat("x", 50_000+r.IntN(50_000)))
	},
	"wrong types": func(r *rand.Rand) []byte {
		values := []string{`[]`, `{}`, `true`, `"x"`, `1.5`, `null`, `-0`, `"1e999"`, `""`}
		return fmt.Appendf(nil, `{"TRIP_ID":%s,"TAXI_ID":%s,"MISSING_DATA":%s}`,
			values[r.IntN(len(values))], values[r.IntN(len(values))], values[r.IntN(len(values))])
	},
	"lone surrogates": func(*rand.Rand) []byte { return []byte(`{"TRIP_ID":"\ud800","POLYLINE":"\udc00\ud83d\ude00"}`) },
	"no object": func(r *rand.Rand) []byte {
		return []byte([]string{`[]`, `1`, `"x"`, `null`, ``, ` `, `{`, `}`}[r.IntN(8)])
	},
	"random bytes": func(r *rand.Rand) []byte {
		b := make([]byte, r.IntN(200))
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		return b
	},
	"mutated": func(r *rand.Rand) []byte {
		row := trip(r)
		for range 1 + r.IntN(4) {
			row[r.IntN(len(row))] = `{}[]",:\0e-. x`[r.IntN(14)]
		}
		return row
	},
}

func trip(r *rand.Rand) []byte {
	return fmt.Appendf(nil, `{"TRIP_ID":"%d","CALL_TYPE":"B","ORIGIN_CALL":"","TAXI_ID":"%d","TIMESTAMP":"1372636858","MISSING_DATA":"False","POLYLINE":"[[-8.6,41.1]]"}`,
		r.Uint64(), 20000000+r.IntN(500))
}

// Whatever the payloads are, each is delivered or in the error prefix, and no shard stands still. Each form of delivery has others.
func TestDaemon_AccountsForTenThousandMalformedRecords(t *testing.T) {
	const each = 2_500
	trips, err := schema.Parse("trips.json", athena.TripsSchema)
	if err != nil {
		t.Fatal(err)
	}
	for n, test := range []struct {
		name   string
		schema *schema.Schema
		adjust func(*Config)
	}{
		{"JSON lines", nil, func(c *Config) { c.Format = "jsonl" }},
		{"JSON lines by a schema", trips, func(c *Config) { c.Format = "jsonl" }},
		{"Parquet by a schema", trips, func(c *Config) { c.Format = "parquet" }},
		{"Parquet without a schema", nil, func(c *Config) { c.Format = "parquet" }},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			st := newStage(t, 4, localstream.Options{})
			st.schema = test.schema
			rng := rand.New(rand.NewPCG(uint64(n), 1))
			sent := 0
			for sent < each {
				for _, kind := range slices.Sorted(maps.Keys(malformed)) {
					if _, _, err := st.stream.Put("stream", localstream.Entry{PartitionKey: fmt.Sprint(sent), Data: malformed[kind](rng)}); err != nil {
						t.Fatalf("put %s: %v", kind, err)
					}
					sent++
				}
			}
			d := st.daemon(func(c *Config) {
				test.adjust(c)
				c.Failover, c.CommitInterval = time.Second, time.Hour
			})
			ctx, stop := context.WithCancel(t.Context())
			var running sync.WaitGroup
			running.Go(func() {
				if err := d.Run(ctx); err != nil {
					t.Errorf("run: %v", err)
				}
			})
			eventually(t, "all records are taken in", func() bool { return d.Taken() >= int64(sent) })
			stop()
			running.Wait()
			delivered, errors := st.rows("data"), st.rows("errors")
			t.Logf("%d sent, %d delivered, %d in the error prefix", sent, delivered, errors)
			if delivered+errors != sent || delivered < sent/20 || errors < sent/20 {
				t.Errorf("%d sent, %d delivered, %d in the error prefix", sent, delivered, errors)
			}
		})
	}
}

// rows counts the records in the files under a folder of the bucket.
func (st *stage) rows(folder string) (n int) {
	st.t.Helper()
	root := filepath.Join(st.folder, "bucket", folder)
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		body, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if filepath.Ext(path) == ".parquet" {
			file, err := parquet.OpenFile(bytes.NewReader(body), int64(len(body)))
			if err == nil {
				n += int(file.NumRows())
			}
			return err
		}
		var in io.Reader = bytes.NewReader(body)
		if filepath.Ext(path) == ".gz" {
			if in, err = gzip.NewReader(in); err != nil {
				return err
			}
		}
		lines := bufio.NewScanner(in)
		lines.Buffer(nil, 16<<20)
		for lines.Scan() {
			if !json.Valid(lines.Bytes()) {
				return fmt.Errorf("%s: line %d is not JSON", path, n)
			}
			n++
		}
		return lines.Err()
	})
	if err != nil {
		st.t.Fatal(err)
	}
	return n
}
