package catalogs_test

import (
	"fmt"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"aws-streaming-pipeline/internal/test/lake"
	"aws-streaming-pipeline/record/table"
)

// Tables of all catalogs are written through our IO. Those of the embedded catalog are read by DuckDB's iceberg_scan and pyiceberg's
// StaticTable, which start at the version hint, by the location alone.
func TestCatalogs_TablesAreReadByOthers(t *testing.T) {
	for name, start := range sites {
		t.Run(name, func(t *testing.T) {
			s := start(t)
			c := s.open()
			_, err := create(t.Context(), s, c)
			must(t, err)
			for n := range 3 {
				_, err := load(t, s, c).AppendTable(t.Context(), rows(2*n, 2*n+1), 100, nil)
				must(t, err)
			}
			all, err := load(t, s, s.open()).Scan().ToArrowTable(t.Context())
			if err != nil || all.NumRows() != 6 {
				t.Fatalf("scan: %v, %v", all, err)
			}
			if n := s.files.removed.Load(); n > 0 {
				t.Errorf("%d files were removed", n)
			}
			var read lake.Table
			switch s.settings.URI.Kind {
			case table.Embedded:
				read = lake.Open(t, "", s.s3).Table(s.settings.URI.String())
			case table.REST:
				read = lake.Open(t, s.settings.URI.Endpoint, s.s3).Table("lake.trips")
			default:
				return // nothing that reads Glue runs here
			}
			if got := fmt.Sprint(read.Query(t, "SELECT count(*) AS n, count(DISTINCT event_id) AS ids FROM t")); got != "[map[ids:6 n:6]]" {
				t.Errorf("DuckDB counts %s", got)
			}
			if got := read.Rows(t, "event_id = '4'"); len(got) != 1 {
				t.Errorf("pyiceberg reads %v", got)
			}
			if got := read.Snapshots(t); len(got) != 3 {
				t.Errorf("pyiceberg sees %d snapshots", len(got))
			}
		})
	}
}

func rows(ids ...int) arrow.Table {
	b := array.NewRecordBuilder(memory.DefaultAllocator, arrow.NewSchema([]arrow.Field{{Name: "event_id", Type: arrow.BinaryTypes.String, Nullable: true}}, nil))
	for _, id := range ids {
		b.Field(0).(*array.StringBuilder).Append(fmt.Sprint(id))
	}
	return array.NewTableFromRecords(b.Schema(), []arrow.RecordBatch{b.NewRecordBatch()})
}
