package main_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"aws-streaming-pipeline/internal/localstream"
	"aws-streaming-pipeline/internal/test/emulator"
	"aws-streaming-pipeline/producer"
)

// DuckDB reads what the consumer has written, by the names of the columns and of the partitions.
const duckdbScript = `
import duckdb, json, sys
row = duckdb.sql(f"""SELECT count(*), count(DISTINCT event_id), sum(TAXI_ID), count(ORIGIN_CALL), count(*) FILTER (MISSING_DATA),
  sum(len(POLYLINE)), min(year) FROM read_parquet('{sys.argv[1]}/**/*.parquet', hive_partitioning = true)""").fetchall()[0]
print(json.dumps([int(v) for v in row]))
`

func TestConsumer_WritesParquetByASchemaThatDuckDBReads(t *testing.T) {
	t.Parallel()
	const trips = 3000
	script := filepath.Join(t.TempDir(), "read.py")
	if err := os.WriteFile(script, []byte(duckdbScript), 0o600); err != nil {
		t.Fatal(err)
	}
	schemaFile, err := filepath.Abs("../../athena/schema/trips.json")
	if err != nil {
		t.Fatal(err)
	}
	s := newSurroundings(t, 2)
	p, err := producer.New(producer.Config{
		Stream: streamName, PartitionKey: "TRIP_ID",
		Source: func() (producer.Source, error) { return producer.Generate(trips, 5), nil },
	}, s.kinesis)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, payload := range []string{`{"TRIP_ID":"x","TAXI_ID":"not a number"}`, `{"TRIP_ID":`} {
		if _, _, err := s.stream.Put(streamName, localstream.Entry{PartitionKey: "k", Data: []byte(payload)}); err != nil {
			t.Fatal(err)
		}
	}
	address := freeAddress(t)
	c := s.start("FORMAT=parquet", "SCHEMA="+schemaFile, "HTTP_ADDRESS="+address)
	eventually(t, "both bad records are in the error prefix", func() bool { return len(s.lines("errors/")) == 2 })
	eventually(t, "all trips are published", func() bool {
		st, ok := status(t, address)
		return ok && st.Pipeline.Totals.Records >= trips
	})
	if err := c.terminate(); err != nil {
		t.Errorf("exit: %v\n%s", err, c.log)
	}
	out, err := emulator.Python(t, script, filepath.Join(s.dir, "bucket", bucketName, "data")).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	var read [7]int64
	if err := json.Unmarshal(out, &read); err != nil {
		t.Fatal(err)
	}
	if want := expected(t, trips); read != want {
		t.Errorf("rows, event ids, sum of TAXI_ID, origin calls, missing data, characters, year:\n%v\n%v wanted", read, want)
	}
}

// expected is what the query answers, worked out from the rows of the producer's source.
func expected(t *testing.T, trips int64) (want [7]int64) {
	t.Helper()
	source := producer.Generate(trips, 5)
	columns, err := source.Columns()
	if err != nil {
		t.Fatal(err)
	}
	for range trips {
		row, err := source.Next()
		if err != nil {
			t.Fatal(err)
		}
		cell := make(map[string]string, len(columns))
		for i, name := range columns {
			cell[name] = string(row.Cells[i])
		}
		var taxi int64
		fmt.Sscan(cell["TAXI_ID"], &taxi)
		want[2] += taxi
		if v := cell["ORIGIN_CALL"]; v != "" && v != "NA" {
			want[3]++
		}
		if cell["MISSING_DATA"] == "True" {
			want[4]++
		}
		want[5] += int64(len(cell["POLYLINE"]))
	}
	want[0], want[1], want[6] = trips, trips, int64(time.Now().UTC().Year())
	return want
}
