package main_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"aws-streaming-pipeline/internal/localstream"
	"aws-streaming-pipeline/internal/test/emulator"
	"aws-streaming-pipeline/record"
	"aws-streaming-pipeline/record/recordtest"
)

// readNumbers counts rows, event ids and numbers, and adds the numbers up.
const readNumbers = `
import duckdb, json, sys
reader = {"jsonl": "read_json", "parquet": "read_parquet"}[sys.argv[1]]
print(json.dumps([int(v) for v in duckdb.sql(
  f"SELECT count(*), count(DISTINCT event_id), count(DISTINCT n), sum(n) FROM {reader}('{sys.argv[2]}/**/*')").fetchall()[0]]))
`

// A record that crashes a library, or keeps it busy for seconds, affects only itself: it goes to the error prefix under its
// code, all others are delivered once, and the worker stays ready.
func TestConsumer_LosesNothingToRecordsThatUpsetIt(t *testing.T) {
	t.Parallel()
	const good = 2000
	for _, format := range []string{"jsonl", "parquet"} {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			s := newSurroundings(t, 2)
			script, schema := filepath.Join(s.dir, "read.py"), filepath.Join(s.dir, "schema.json")
			for path, text := range map[string]string{script: readNumbers, schema: recordtest.Schema} {
				if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			put := func(key string, data []byte) {
				if _, _, err := s.stream.Put(streamName, localstream.Entry{PartitionKey: key, Data: data}); err != nil {
					t.Fatal(err)
				}
			}
			bad, codes := recordtest.Upsetting(), map[string]int{}
			for n := range good {
				put(fmt.Sprint(n), fmt.Appendf(nil, `{"n":%d,"price":%d.25}`, n, n))
				if n%200 == 100 { // each of them twice
					b := bad[n/200%len(bad)]
					put(fmt.Sprint("bad", n), b.Data)
					code := b.Line
					if format == "parquet" {
						code = b.Columns
					}
					codes[code]++
				}
			}

			address := freeAddress(t)
			c := s.start("FORMAT="+format, "COMPRESSION=none", "SCHEMA="+schema, "HTTP_ADDRESS="+address, "FAILOVER_TIME=10s")
			eventually(t, "the consumer is ready", func() bool { return readiness(address) == "" })
			delivered := fmt.Sprintf("consumer_records_total{application=\"streaming-pipeline\",result=\"delivered\"} %d\n", good)
			eventually(t, "the good records are delivered", func() bool {
				if problem := readiness(address); problem != "" {
					t.Errorf("not ready: %s", problem)
				}
				return strings.Contains(metricsOf(t, address), delivered)
			})
			eventually(t, "the bad records are in the error prefix", func() bool { return len(s.lines("errors/")) >= 2*len(bad) })
			if problem := readiness(address); problem != "" {
				t.Errorf("not ready: %s", problem)
			}
			for code, n := range codes {
				if line := fmt.Sprintf("consumer_record_faults_total{application=\"streaming-pipeline\",code=%q} %d\n", code, n); !strings.Contains(metricsOf(t, address), line) {
					t.Errorf("the metrics lack %s", line)
				}
			}
			if err := c.terminate(); err != nil {
				t.Errorf("exit: %v\n%s", err, c.log)
			}

			for _, line := range s.lines("errors/") {
				e, err := record.ParseErrorLine(line)
				if err != nil {
					t.Fatal(err)
				}
				codes[e.Record.Fault.Code]--
			}
			for code, n := range codes {
				if n != 0 {
					t.Errorf("%d more error records of %s put than found", n, code)
				}
			}
			out, err := emulator.Python(t, script, format, filepath.Join(s.dir, "bucket", bucketName, "data")).CombinedOutput()
			if err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			var read [4]int
			if err := json.Unmarshal(out, &read); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			if want := [4]int{good, good, good, good * (good - 1) / 2}; read != want {
				t.Errorf("rows, event ids, numbers and their sum: %v, want %v", read, want)
			}
		})
	}
}

// metricsOf returns the metrics that the consumer exports.
func metricsOf(t *testing.T, address string) string {
	t.Helper()
	answer, err := http.Get("http://" + address + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}
