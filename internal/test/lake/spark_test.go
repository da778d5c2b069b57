package lake_test

import (
	"flag"
	"testing"

	"aws-streaming-pipeline/internal/test/emulator"
	"aws-streaming-pipeline/internal/test/lake"
)

var withSpark = flag.Bool("spark", false, "also read tables with Apache Spark, which takes half a gigabyte")

// Spark reads a table, and compacts it as its owner may.
func TestSpark_ReadsAndCompacts(t *testing.T) {
	if !*withSpark {
		t.Skip("LEFT OUT: tables read by Apache Spark, which takes 573 MB: make spark")
	}
	store := emulator.Versitygw(t)
	createBucket(t, store, "lake")
	catalog := emulator.IcebergCatalog(t, store, "s3://lake/warehouse")
	rides := lake.Open(t, catalog, store).Table("trips.rides")
	must(t, rides.Create([][2]string{{"id", "long"}, {"city", "string"}}, [][2]string{{"city", "bucket[4]"}}, nil))
	must(t, rides.Append(lake.Row{"id": 7, "city": "Rome"}))
	must(t, rides.Append(lake.Row{"id": 8, "city": "Rome"}))
	spark := emulator.Spark(t, catalog, store, "SELECT sum(id) AS ids FROM lake.trips.rides",
		"CALL lake.system.rewrite_data_files(table => 'trips.rides', options => map('rewrite-all', 'true'))")
	spark.Stderr = t.Output()
	out, err := spark.Output()
	const want = `[{"ids": 15}]
[{"rewritten_data_files_count": 2, "added_data_files_count": 1,`
	if err != nil || len(out) < len(want) || string(out[:len(want)]) != want {
		t.Errorf("Spark answers %s (%v)", out, err)
	}
	if got := len(rides.Files(t, "")); got != 1 {
		t.Errorf("the compacted table has %d files", got)
	}
}
