package lake_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"aws-streaming-pipeline/internal/localstream"
	"aws-streaming-pipeline/internal/test/emulator"
	"aws-streaming-pipeline/internal/test/gobuild"
	"aws-streaming-pipeline/internal/test/lake"
	"aws-streaming-pipeline/internal/test/race"
)

// ridesSchema is the schema of rides with more properties.
func ridesSchema(more string) string {
	return `{"type": "object", "required": ["ride"], "properties": {"ride": {"type": "string"}, "city": {"type": "string"},
		"began": {"type": "string", "format": "date-time"}, "fare": {"type": "number"}` + more + `}}`
}

// pipeline is a stream, a bucket and a catalog, with daemons and loaders as processes.
type pipeline struct {
	t       *testing.T
	stream  *localstream.Server
	env     []string
	catalog string
	store   emulator.Endpoint
	lake    *lake.Lake
	rides   lake.Table
	schema  string // file
	daemon  string // binary
	daemons []*program
	sent    int
}

func newPipeline(t *testing.T, more ...string) *pipeline {
	t.Helper()
	race.LeaveOut(t)
	const stream = "rides"
	p := &pipeline{t: t, store: emulator.Versitygw(t)}
	createBucket(t, p.store, "lake")
	p.catalog = emulator.IcebergCatalog(t, p.store, "s3://lake/tables")
	p.lake = lake.Open(t, p.catalog, p.store)
	p.rides = p.lake.Table("taxi.rides")
	var err error
	if p.stream, err = localstream.Start("127.0.0.1:0", localstream.Options{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.stream.Close() }) // its records are counted in the table
	api := kinesis.New(kinesis.Options{BaseEndpoint: aws.String(p.stream.URL()), Region: p.store.Region,
		Credentials: credentials.NewStaticCredentialsProvider(p.store.AccessKey, p.store.SecretKey, "")})
	if _, err := api.CreateStream(t.Context(), &kinesis.CreateStreamInput{StreamName: aws.String(stream), ShardCount: aws.Int32(2)}); err != nil {
		t.Fatal(err)
	}
	p.schema = filepath.Join(t.TempDir(), "schema.json")
	p.env = append([]string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(),
		"AWS_REGION=" + p.store.Region, "AWS_ACCESS_KEY_ID=" + p.store.AccessKey, "AWS_SECRET_ACCESS_KEY=" + p.store.SecretKey,
		"AWS_EC2_METADATA_DISABLED=true", "AWS_ENDPOINT_URL_KINESIS=" + p.stream.URL(), "AWS_ENDPOINT_URL_S3=" + p.store.URL,
		"AWS_ENDPOINT_URL_DYNAMODB=" + emulator.DynamoDBLocal(t).URL, "S3_PATH_STYLE=true",
		"STREAM_NAME=" + stream, "BUCKET=lake", "CHECKPOINT_TABLE=" + stream, "HTTP_ADDRESS=", "LOADER_HTTP_ADDRESS=", "LOG_FORMAT=text",
		"FAILOVER_TIME=2s", "COMMIT_INTERVAL=1s", "FORMAT=parquet", "SCHEMA=" + p.schema,
		"TABLE=rest+http://" + strings.TrimPrefix(p.catalog, "http://") + "/taxi.rides", "LOAD_INTERVAL=1s",
	}, more...)
	return p
}

// build compiles a command.
func build(t *testing.T, name string) string {
	t.Helper()
	return gobuild.Build(t, filepath.Join(t.TempDir(), name), "../../../cmd/"+name)
}

// program is a process of the pipeline.
type program struct {
	name    string
	process *os.Process
	log     *bytes.Buffer
	exited  chan error
}

// start runs a program until stop, or until the test ends.
func (p *pipeline) start(path string) *program {
	p.t.Helper()
	cmd := exec.Command(path)
	cmd.Env = p.env
	r := &program{name: filepath.Base(path), log: new(bytes.Buffer), exited: make(chan error, 1)}
	cmd.Stdout, cmd.Stderr = r.log, r.log
	if err := cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	r.process = cmd.Process
	go func() { r.exited <- cmd.Wait() }()
	p.t.Cleanup(func() {
		_ = r.process.Kill() // it has ended if all is well
		r.exited <- <-r.exited
		if p.t.Failed() {
			const shown = 4000
			p.t.Logf("the end of the log of %s:\n%s", r.name, r.log.Bytes()[max(0, r.log.Len()-shown):])
		}
	})
	return r
}

// stop ends programs properly.
func (p *pipeline) stop(programs ...*program) {
	p.t.Helper()
	for _, r := range programs {
		if err := r.process.Signal(syscall.SIGTERM); err != nil {
			p.t.Errorf("stop %s: %v", r.name, err)
		}
	}
	for _, r := range programs {
		select {
		case err := <-r.exited:
			r.exited <- err
			if err != nil {
				p.t.Errorf("%s ended with %v", r.name, err)
			}
		case <-time.After(patience):
			p.t.Errorf("%s has not ended %v after SIGTERM", r.name, patience)
		}
	}
}

// put sends records that are made from their numbers.
func (p *pipeline) put(count int, record func(number int) map[string]any) {
	p.t.Helper()
	for range count {
		r := record(p.sent)
		r["ride"] = fmt.Sprintf("ride-%d", p.sent)
		data, err := json.Marshal(r)
		if err != nil {
			p.t.Fatal(err)
		}
		if _, _, err := p.stream.Put("rides", localstream.Entry{PartitionKey: fmt.Sprint(p.sent), Data: data}); err != nil {
			p.t.Fatal(err)
		}
		p.sent++
	}
}

// patience is what every wait in real time has, however busy the machine is.
const patience = 2 * time.Minute

// until waits for what other processes do.
func (p *pipeline) until(what string, done func() bool) {
	p.t.Helper()
	for end := time.Now().Add(patience); !done(); time.Sleep(200 * time.Millisecond) {
		if time.Now().After(end) {
			p.t.Fatalf("waited %v: %s", patience, what)
		}
	}
}

// loaded waits until the table has all records that were sent.
func (p *pipeline) loaded() {
	p.t.Helper()
	p.until("all records are in the table", func() bool { return p.count() >= p.sent })
}

// count returns the rows that DuckDB counts; 0 as long as there is no table.
func (p *pipeline) count() int {
	if !p.rides.Exists(p.t) {
		return 0
	}
	return int(p.rides.Query(p.t, "SELECT count(*) AS n FROM t")[0]["n"].(float64))
}

// column returns the column of a name; the zero value if there is none.
func (p *pipeline) column(name string) lake.Field {
	p.t.Helper()
	fields := p.rides.Schema(p.t)
	if i := slices.IndexFunc(fields, func(f lake.Field) bool { return f.Name == name }); i >= 0 {
		return fields[i]
	}
	return lake.Field{}
}

// Records become rows exactly once, while the members of the records and the columns of the table change.
func TestPipeline_LoadsEachRecordOnceThroughFiveEvolutions(t *testing.T) {
	p := newPipeline(t, "TABLE_PARTITION=day(began),bucket(4,city)")
	must(t, p.lake.CreateNamespace("taxi"))
	p.daemon = build(t, "consumer")
	loader := build(t, "loader")
	loaders := []*program{p.start(loader), p.start(loader)}
	p.restart("")

	cities := []string{"Rome", "Oslo", "Lima", "Bonn", "Cork"}
	ride := func(n int) map[string]any {
		return map[string]any{"city": cities[n%len(cities)], "fare": 1.25, "began": fmt.Sprintf("2026-01-%02dT08:%02d:00Z", 1+n%3, n%60)}
	}
	with := func(member string, value any) func(int) map[string]any {
		return func(n int) map[string]any {
			r := ride(n)
			r[member] = value
			return r
		}
	}
	p.put(200, ride)
	p.loaded()

	p.restart(`, "tip": {"type": "number"}, "driver": {"type": "object", "properties": {"name": {"type": "string"}}}`)
	p.put(20, with("tip", 0.5))
	p.put(20, with("driver", map[string]any{"name": "Ada"}))
	p.until("a new member is a column", func() bool { return p.column("tip").Type == "double" })
	p.until("a new object is a column", func() bool { return p.column("driver").Type == "struct" })

	must(t, p.rides.Add("meters", "int"))
	all := `, "tip": {"type": "number"}, "meters": {"type": "integer"},
		"driver": {"type": "object", "properties": {"name": {"type": "string"}, "stars": {"type": "integer"}}}`
	p.restart(all)
	p.put(20, with("driver", map[string]any{"name": "Ada", "stars": 5}))
	p.put(20, with("meters", 5_000_000_000))
	p.until("a new member of the object is part of it", func() bool { return len(p.column("driver").Fields) == 2 })
	p.until("a column that is too narrow is widened", func() bool { return p.column("meters").Type == "long" })

	must(t, p.rides.Rename("fare", "price"))
	must(t, p.rides.Drop("tip"))
	for range 2 {
		p.put(1, ride)
		p.loaded() // the second time by a loader that has read the table after the changes, and has described it
	}

	// From now on files have all columns.
	p.restart(all)
	p.put(100, func(n int) map[string]any {
		r := ride(n)
		r["tip"], r["meters"], r["driver"] = 0.5, 6_000_000_000, map[string]any{"name": "Ada", "stars": 5}
		return r
	})
	p.loaded()
	p.stop(p.daemons...)
	p.stop(loaders...)

	if names := lake.Names(p.rides.Schema(t)); slices.Contains(names, "tip") || slices.Contains(names, "fare") {
		t.Errorf("the columns are %v, with one that was dropped or renamed", names)
	}
	const query = `SELECT count(*) AS rows, count(DISTINCT ride) AS rides, count(DISTINCT event_id) AS events, sum(price) AS price,
		count(*) FILTER (meters = 6000000000) AS meters, count(*) FILTER (driver.stars = 5 AND driver.name = 'Ada') AS stars,
		count(*) FILTER (_extra LIKE '%"tip":0.5%') AS tips, count(_arrived_at) AS arrivals FROM t`
	row := p.rides.Query(t, query)[0]
	t.Logf("%v", row)
	for column, want := range map[string]float64{
		"rows": float64(p.sent), "rides": float64(p.sent), "events": float64(p.sent), "price": 1.25 * float64(p.sent),
		"meters": 100, "stars": 100, "tips": 100, "arrivals": float64(p.sent),
	} {
		if got, _ := row[column].(float64); got < want || got > want && column != "stars" && column != "tips" {
			t.Errorf("%s is %v, want %v", column, row[column], want)
		}
	}
	p.checkFiles("city = 'Rome' and began < '2026-01-02T00:00:00+00:00'", 2)
	p.checkReaders()
}

// restart replaces the daemons by new ones, which read the schema and the table's definition when they start.
func (p *pipeline) restart(more string) {
	p.t.Helper()
	p.stop(p.daemons...)
	must(p.t, os.WriteFile(p.schema, []byte(ridesSchema(more)), 0o600))
	p.daemons = []*program{p.start(p.daemon), p.start(p.daemon)}
}

// checkFiles checks that each file is in the table once, has the rows of one partition tuple with the given number of values, and that a filter
// on the columns of the partition plans no other files than those of its tuple.
func (p *pipeline) checkFiles(filter string, values int) {
	p.t.Helper()
	all, some := p.rides.Files(p.t, ""), p.rides.Files(p.t, filter)
	tuples := make(map[string]bool)
	for _, f := range some {
		if len(f.Partition) != values {
			p.t.Errorf("%s has the partition %v, want %d values", f.Path, f.Partition, values)
		}
		tuples[fmt.Sprint(f.Partition)] = true
	}
	rows := 0
	for _, f := range all {
		rows += f.Records
	}
	p.t.Logf("%d of %d files are planned for %s", len(some), len(all), filter)
	if len(tuples) != 1 || len(some) == 0 || 3*len(some) > len(all) {
		p.t.Errorf("%d of %d files of tuples %v are planned for %s", len(some), len(all), tuples, filter)
	}
	if double := lake.Doubles(all); len(double) > 0 || rows != p.sent {
		p.t.Errorf("files say %d rows of %d records; twice there are %v", rows, p.sent, double)
	}
}

// checkReaders checks that pyiceberg, Iceberg Java and, if asked for, Spark see what DuckDB does.
func (p *pipeline) checkReaders() {
	p.t.Helper()
	if rows := p.rides.Rows(p.t, "meters = 6000000000"); len(rows) != 100 {
		p.t.Errorf("pyiceberg reads %d rows with meters, want 100", len(rows))
	}
	java := emulator.ReadTable(p.t, p.catalog, p.store, "taxi.rides")
	java.Stderr = p.t.Output()
	out, err := java.Output()
	if got := strings.Count(string(out), "price=1.25"); err != nil || got != p.sent {
		p.t.Errorf("Iceberg Java reads %d rows (%v), want %d", got, err, p.sent)
	}
	if !*withSpark {
		return
	}
	spark := emulator.Spark(p.t, p.catalog, p.store, "SELECT count(DISTINCT ride) AS rides, sum(driver.stars) >= 500 AS stars, max(meters) AS meters FROM lake.taxi.rides")
	spark.Stderr = p.t.Output()
	out, err = spark.Output()
	if want := fmt.Sprintf("[{\"rides\": %d, \"stars\": true, \"meters\": 6000000000}]\n", p.sent); err != nil || string(out) != want {
		p.t.Errorf("Spark answers %s (%v), want %s", out, err, want)
	}
}
