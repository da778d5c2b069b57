package lake_test

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"aws-streaming-pipeline/internal/test/emulator"
	"aws-streaming-pipeline/internal/test/lake"
)

// The readers agree on a table that has been appended to, evolved, compacted and expired by its owner.
func TestLake_ReadsWhatItsOwnerChanges(t *testing.T) {
	store := emulator.Versitygw(t)
	createBucket(t, store, "lake")
	catalog := emulator.IcebergCatalog(t, store, "s3://lake/warehouse")
	rides := lake.Open(t, catalog, store).Table("trips.rides")
	must(t, rides.Create([][2]string{{"id", "string"}, {"city", "string"}, {"fare", "double"}, {"began", "timestamptz"}},
		[][2]string{{"city", "bucket[4]"}, {"began", "day"}}, nil))

	var rows []lake.Row
	for i := range 20 {
		rows = append(rows, lake.Row{"id": strconv.Itoa(i), "city": []string{"Rome", "Oslo"}[i%2], "fare": float64(i),
			"began": fmt.Sprintf("2026-01-%02dT10:00:00+00:00", 1+i/10)})
	}
	must(t, rides.Append(rows[:10]...))
	must(t, rides.Append(rows[10:]...))
	const second = "SELECT count(*) AS n, count(DISTINCT id) AS ids FROM t WHERE began >= TIMESTAMPTZ '2026-01-02 00:00:00+00'"
	if got := fmt.Sprint(rides.Query(t, second)); got != "[map[ids:10 n:10]]" {
		t.Errorf("DuckDB counts %v on the second day", got)
	}
	first := rides.Files(t, "city = 'Rome' and began < '2026-01-02T00:00:00+00:00'")
	if all := rides.Files(t, ""); len(all) != 4 || len(first) != 1 || first[0].Records != 5 {
		t.Errorf("pyiceberg plans %v of %v", first, all)
	}

	must(t, rides.Rename("fare", "price"))
	must(t, rides.Drop("id"))
	if replaced, err := rides.Compact(); replaced != 4 || err != nil {
		t.Errorf("the compaction replaced %d files, %v", replaced, err)
	}
	if expired, err := rides.Expire(); expired != 2 || err != nil {
		t.Errorf("%d snapshots have expired, %v", expired, err)
	}
	if got := fmt.Sprint(lake.Names(rides.Schema(t))); got != "[city price began]" {
		t.Errorf("the columns are %s", got)
	}
	snapshots := rides.Snapshots(t)
	if len(snapshots) != 1 || snapshots[0].Operation != "overwrite" {
		t.Errorf("the snapshots are %v", snapshots)
	}
	const sum = "SELECT count(*) AS n, sum(price) AS price FROM t"
	if got := fmt.Sprint(rides.Query(t, sum)); got != "[map[n:20 price:190]]" {
		t.Errorf("after compaction and expiry DuckDB counts %s", got)
	}
	if got := rides.Rows(t, "price > 17"); len(got) != 2 || got[0]["price"].(float64)+got[1]["price"].(float64) != 37 {
		t.Errorf("pyiceberg reads %v", got)
	}
	if manifests, metadata := rides.Size(t); manifests == 0 || metadata == 0 {
		t.Errorf("%d manifests, %d bytes of metadata", manifests, metadata)
	}
	must(t, rides.Add("seats", "int"))
	must(t, rides.Append(lake.Row{"price": 1.5, "seats": 3, "began": "2026-01-03T10:00:00+00:00"}))
	java := emulator.ReadTable(t, catalog, store, "trips.rides")
	java.Stderr = t.Output()
	out, err := java.Output()
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	if err != nil || len(lines) != 21 || !slices.Contains(lines, "city=null\tprice=1.5\tbegan=2026-01-03T10:00Z\tseats=3") {
		t.Errorf("Iceberg Java reads %s (%v)", out, err)
	}

	must(t, rides.DropTable())
	if err := rides.Append(rows[0]); !errors.Is(err, lake.ErrNoTable) {
		t.Errorf("append to no table: %v", err)
	}
}

// A table without a catalog is found by its version hint.
func TestLake_ReadsATableByItsLocation(t *testing.T) {
	store := emulator.Versitygw(t)
	client := createBucket(t, store, "lake")
	l := lake.Open(t, emulator.IcebergCatalog(t, store, "s3://lake/warehouse"), store)
	rides := l.Table("trips.rides")
	must(t, rides.Create([][2]string{{"id", "long"}}, nil, nil))
	must(t, rides.Append(lake.Row{"id": 7}))
	const folder = "warehouse/trips/rides/metadata/"
	list, err := client.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: aws.String("lake"), Prefix: aws.String(folder)})
	must(t, err)
	var newest string
	for _, o := range list.Contents {
		if strings.HasSuffix(*o.Key, ".metadata.json") {
			newest = *o.Key // they begin with their version
		}
	}
	_, err = client.CopyObject(t.Context(), &s3.CopyObjectInput{Bucket: aws.String("lake"), CopySource: aws.String("lake/" + newest),
		Key: aws.String(folder + "v2.metadata.json")})
	must(t, err)
	_, err = client.PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String("lake"), Key: aws.String(folder + "version-hint.text"),
		Body: strings.NewReader("2")})
	must(t, err)

	here := lake.Open(t, "", store).Table("s3://lake/warehouse/trips/rides")
	if got := fmt.Sprint(here.Query(t, "SELECT id FROM t")); got != "[map[id:7]]" {
		t.Errorf("DuckDB reads %s", got)
	}
	if got := fmt.Sprint(here.Rows(t, "id = 7")); got != "[map[id:7]]" {
		t.Errorf("pyiceberg reads %s", got)
	}
}

func createBucket(t *testing.T, endpoint emulator.Endpoint, name string) *s3.Client {
	t.Helper()
	client := s3.New(s3.Options{BaseEndpoint: &endpoint.URL, Region: endpoint.Region, UsePathStyle: true,
		Credentials: credentials.NewStaticCredentialsProvider(endpoint.AccessKey, endpoint.SecretKey, "")})
	if _, err := client.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: aws.String(name)}); err != nil {
		t.Fatal(err)
	}
	return client
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
