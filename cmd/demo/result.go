package main

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/klauspost/compress/zstd"
	parquetgo "github.com/parquet-go/parquet-go"

	"aws-streaming-pipeline/writers/jsonl"
	"aws-streaming-pipeline/writers/parquet"
)

// result describes the contents of the bucket.
type result struct {
	sent      int64
	took      time.Duration
	delivered int64
	errors    int64
	distinct  int64 // event ids, or trips if unnamed
	unnamed   bool  // FORMAT=firehose writes payloads unchanged, without event ids: a trip is all that tells two apart
	trips     int64 // distinct TRIP_IDs
	resent    bool  // trips were sent again or by others, so that their number proves nothing
	sizes     []int64
}

// inspect reads every data file and every error file of the bucket.
func (r *result) inspect(folder string, o options) error {
	data := o.data()
	r.unnamed = o.format == jsonl.FirehoseKind.Name
	ids, trips := make(map[string]bool), make(map[string]bool)
	count := func(eventID, tripID string) {
		r.delivered++
		if r.unnamed {
			eventID = tripID
		}
		ids[eventID], trips[tripID] = true, true
	}
	err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		relative, err := filepath.Rel(folder, path)
		if err != nil {
			return err
		}
		key := filepath.ToSlash(relative)
		if strings.HasPrefix(key, "errors/") {
			return lines(path, func([]byte) error { r.errors++; return nil })
		}
		if !strings.HasPrefix(key, data) {
			return nil
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		r.sizes = append(r.sizes, info.Size())
		if filepath.Ext(path) == ".parquet" {
			return rows(path, count)
		}
		return lines(path, func(line []byte) error {
			var trip struct {
				EventID string `json:"event_id"`
				TripID  string `json:"TRIP_ID"`
			}
			if err := json.Unmarshal(line, &trip); err != nil {
				return fmt.Errorf("%s: %w", path, err)
			}
			count(trip.EventID, trip.TripID)
			return nil
		})
	})
	slices.Sort(r.sizes)
	r.distinct, r.trips = int64(len(ids)), int64(len(trips))
	return err
}

// rows calls count for each row of a Parquet file.
func rows(path string, count func(eventID, tripID string)) error {
	type trip struct {
		EventID string `parquet:"event_id"`
		TripID  string `parquet:"TRIP_ID,optional"`
	}
	trips, err := parquetgo.ReadFile[trip](path)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	for _, t := range trips {
		count(t.EventID, t.TripID)
	}
	return nil
}

// lines calls f for each line of a file, which is decompressed by its extension.
func lines(path string, f func([]byte) error) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	var in io.Reader = bufio.NewReaderSize(file, 1<<20)
	switch filepath.Ext(path) {
	case ".gz":
		if in, err = gzip.NewReader(in); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
	case ".zst":
		z, err := zstd.NewReader(in)
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		defer z.Close()
		in = z
	}
	scanner := bufio.NewScanner(in)
	scanner.Buffer(make([]byte, 1<<20), 16<<20)
	for scanner.Scan() {
		if err := f(scanner.Bytes()); err != nil {
			return err
		}
	}
	return scanner.Err()
}

func (r result) bytes() (sum int64) {
	for _, s := range r.sizes {
		sum += s
	}
	return sum
}

func (r result) print(out io.Writer) {
	var median, largest int64
	if n := len(r.sizes); n > 0 {
		median, largest = r.sizes[n/2], r.sizes[n-1]
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w)
	ids := "distinct event ids"
	if r.unnamed {
		ids = "distinct records"
	}
	for _, row := range []struct {
		name  string
		value any
	}{
		{"records sent", r.sent}, {"records delivered", r.delivered}, {ids, r.distinct}, {"distinct trips", r.trips},
		{"error records", r.errors}, {"files", len(r.sizes)}, {"bytes", megabytes(r.bytes())},
		{"median file", megabytes(median)}, {"largest file", megabytes(largest)}, {"took", r.took.Round(100 * time.Millisecond)},
	} {
		fmt.Fprintf(w, "%s\t%v\n", row.name, row.value)
	}
	w.Flush()
}

// printQuery says how to query the files.
func printQuery(out io.Writer, o options, folder string) {
	fmt.Fprintf(out, "\nThe files are in %s. Query them, for example with DuckDB:\n\n", folder)
	source, id := fmt.Sprintf("read_json('%s/data/**/*.jsonl*')", filepath.ToSlash(folder)), "event_id"
	switch o.format {
	case parquet.Kind.Name:
		source = fmt.Sprintf("'%s/data/**/*.parquet'", filepath.ToSlash(folder))
	case jsonl.FirehoseKind.Name:
		source, id = fmt.Sprintf("read_json('%s/data/**', format = 'newline_delimited')", filepath.ToSlash(folder)), "TRIP_ID"
	}
	fmt.Fprintf(out, "  duckdb -c \"SELECT CALL_TYPE, count(*) AS trips, count(DISTINCT %s) AS ids FROM %s GROUP BY ALL\"\n\n", id, source)
	fmt.Fprintf(out, "On AWS the same query runs in Athena over s3://%s/data/; for the table, see \"go run ./cmd/consumer ddl --help\".\n\n", bucketName)
}

func megabytes(n int64) string { return fmt.Sprintf("%.2f MB", float64(n)/1e6) }

// verdict returns an error unless every record was delivered exactly once.
func (r result) verdict(out io.Writer) error {
	duplicates := r.delivered - r.distinct
	fmt.Fprintf(out, "%d of %d delivered, %d duplicates\n", r.distinct, r.sent, duplicates)
	var faults []error
	if r.distinct+r.errors != r.sent {
		faults = append(faults, fmt.Errorf("%d records are missing", r.sent-r.distinct-r.errors))
	}
	if duplicates != 0 || r.trips != r.distinct && !r.resent {
		faults = append(faults, errors.New("records were delivered more than once"))
	}
	return errors.Join(faults...)
}
