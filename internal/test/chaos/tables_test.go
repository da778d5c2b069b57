package chaos

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/jackc/pgx/v5"

	"aws-streaming-pipeline/internal/test/emulator"
	"aws-streaming-pipeline/internal/test/gobuild"
	"aws-streaming-pipeline/internal/test/lake"
	"aws-streaming-pipeline/internal/test/limits"
)

// earlier is the daemon of a release before tables, for a rolling upgrade.
var earlier = flag.String("chaos.earlier", "", "binary of an earlier release, which daemons over tables run in the first half of a storm")

const (
	namespace = "storm"
	warehouse = "lake" // the bucket of the tables' metadata
	// catalogHost exists only for the loaders' HTTP proxy, so that the table has one name for all processes.
	catalogHost = "catalog.test"
)

// tableSteps are the requests at which processes are killed and frozen: each step of a batch from its manifest to its end in the
// outbox, and of a commit to the table.
var tableSteps = []string{Put, Publish, Load, Metadata, Append, Loaded, Forget}

// Every record that the stream accepts is a row of the table once, and a row of a database, whatever happens to daemons, loaders and
// the database's server, and whatever the table's other owner does meanwhile. Without the ledger, rows are doubled.
func TestStormOverTables(t *testing.T) {
	s := newSurroundings(t)
	s.loader = gobuild.Build(t, filepath.Join(s.dir, "loader"), "../../../cmd/loader", s.impatient(t)...)
	if _, err := s.s3.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: aws.String(warehouse)}); err != nil {
		t.Fatal(err)
	}
	s.backends[Catalog] = emulator.IcebergCatalog(t, s.bucket, "s3://"+warehouse+"/tables")
	l := lake.Open(t, s.backends[Catalog], s.bucket)
	if err := l.CreateNamespace(namespace); err != nil {
		t.Fatal(err)
	}
	t.Run("the loaders load every record exactly once", func(t *testing.T) {
		t.Parallel()
		s.loadTable(t, l)
	})
	t.Run("commits without the ledger do not", func(t *testing.T) {
		t.Parallel()
		s.doubleTable(t, l)
	})
}

// impatient returns options of a build of the loader in which another one takes over after seconds, which otherwise takes longer
// than a short storm. The long form has the real times, and stepped clocks.
func (s *surroundings) impatient(t *testing.T) []string {
	t.Helper()
	if long() {
		return s.options
	}
	const file = "../../../loader/seat.go"
	path, err := filepath.Abs(file)
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for real, brief := range map[string]string{"beatEvery = 10 * time.Second": "beatEvery = time.Second / 2", "silence = 45 * time.Second": "silence = 3 * time.Second"} {
		if strings.Count(string(source), real) != 1 {
			t.Fatalf("%s does not say %q once", file, real)
		}
		source = []byte(strings.Replace(string(source), real, brief, 1))
	}
	changed, overlay := filepath.Join(s.dir, "seat.go"), filepath.Join(s.dir, "loader-overlay.json")
	list, err := json.Marshal(map[string]any{"Replace": map[string]string{path: changed}})
	if err = errors.Join(err, os.WriteFile(changed, source, 0o600), os.WriteFile(overlay, list, 0o600)); err != nil {
		t.Fatal(err)
	}
	return append(slices.Clone(s.options), "-overlay", overlay)
}

// overTable completes a configuration like fill, for daemons whose files are loaded into a table of that name, and into a database
// if there is another table.
func (s *surroundings) overTable(t *testing.T, l *lake.Lake, c config, name string, others ...string) config {
	t.Helper()
	c = s.fill(t, c, name, s.daemon)
	// The columns are those of records at first; the loaders add what comes later.
	err := l.Table(namespace+"."+name).Create([][2]string{{"id", "string"}, {"padding", "string"}}, [][2]string{{"id", "bucket[3]"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	uri, location := "rest+http://"+catalogHost+"/"+namespace+"."+name, "s3://"+warehouse+"/tables/"+namespace+"/"+name
	var database []string
	if len(others) > 0 {
		database = []string{"POSTGRES_DSN=user=postgres", "POSTGRES_TLS=disable", "POSTGRES_FAILOVER_WINDOW=2s"}
	}
	uri = strings.Join(append([]string{uri}, others...), ",")
	files := c.Settings
	c.Settings = func(pick func(...string) string) []string {
		return append(files(pick), "TRANSFORM_QUERY=", "FORMAT=parquet", "TABLE="+uri, "TABLE_LOCATION="+location)
	}
	if c.Allow, err = publishedOverTable(s.bucket.Region, name, c.Buckets[0], uri, location); err != nil {
		t.Fatal(err)
	}
	c.Loaders.Name, c.Loaders.Binary, c.Loaders.Services = "loader", s.loader, []Service{DynamoDB, S3, Catalog}
	c.Loaders.Settings = func(pick func(...string) string) []string {
		return append(append(c.Settings(pick), "LOAD_INTERVAL=1s", "LOADER_HTTP_ADDRESS="), database...)
	}
	return c
}

// overTables is the storm that loaders have to survive: the long form if there is a duration, or else the short one.
func overTables(duration time.Duration) config {
	c := weatherOf(duration)
	c.Duration, c.Rate, c.Grows = 15*time.Second, 60, 5*time.Second
	c.Loaders.Workers, c.Earlier = 3, *earlier
	c.Strikes, c.Steps, c.Silenced, c.Buckets = strikes, tableSteps, nil, nil
	if duration > 0 {
		c.Duration, c.Grows = duration, duration/10
	}
	c.Goals = goals(c, duration > 0)
	for _, kind := range []Kind{LostAnswer, LateRequest, Doubled, Echoed} {
		c.Goals = append(c.Goals, goal{[]Kind{kind}, Append})
	}
	return c
}

func (s *surroundings) loadTable(t *testing.T, l *lake.Lake) {
	const name = "rides"
	c := overTables(*duration)
	c.Backends = map[Service]string{Catalog: s.backends[Catalog], Kinesis: s.backends[Kinesis]}
	for _, service := range []Service{DynamoDB, S3} {
		_, c.Backends[service] = limits.Before(t, limits.Service(service), s.backends[service])
	}
	server := emulator.PostgreSQL(t, 18)
	c = s.overTable(t, l, c, name, "postgres://"+server.Address+"/postgres/"+name)
	st := s.begin(t, c)
	table := l.Table(namespace + "." + name)
	owner := &meddler{table: table, dice: newDice(s.seed, 4), pace: 700 * time.Millisecond}
	reaper := &reaper{server: server, dice: newDice(s.seed, 5), pace: time.Second}
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for _, others := range []interface{ until(context.Context) error }{owner, reaper} {
		wg.Go(func() {
			if err := others.until(ctx); err != nil {
				t.Error(err)
			}
		})
	}
	st.blow(t.Context())
	cancel()
	wg.Wait()

	b := buckets{s.s3, c.Buckets}
	took, err := st.catchUp(t.Context(), b, calmBound)
	if err != nil {
		t.Error(err)
	}
	left, err := s.emptied(t, name)
	if err != nil {
		t.Error(err)
	}
	if err := st.stop(); err != nil {
		t.Error(err)
	}
	if err := st.err(); err != nil {
		t.Error(err)
	}
	rows, own := rowsOf(t, table)
	v, err := inspectTable(t.Context(), b, st.load.ledger(), filesOf(t, l, c.Buckets), rows)
	if err != nil {
		t.Fatal(err)
	}
	if *earlier == "" { // which keeps none
		v.keptOnce(st.load.ledger())
	}
	t.Logf("\n%s", st.report(v, took+left))
	manifests, metadata := table.Size(t)
	t.Logf("table: %d rows of the stream, %d of its owner (%s); %d snapshots, %d manifests, %d bytes of metadata",
		v.tabled, len(own), &owner.acts, len(table.Snapshots(t)), manifests, metadata)
	for _, exit := range st.exits {
		t.Logf("ended by itself: %s", exit)
	}
	t.Logf("database: %s", &reaper.acts)
	if got := idsIn(t, server, name); !slices.Equal(got, rows) {
		t.Errorf("the database has %d rows, of them %d double; the table has %d", len(got), len(got)-len(slices.Compact(slices.Clone(got))), len(rows))
	}
	if reaper.acts.count("connection ended")+reaper.acts.count("process killed") == 0 {
		t.Error("no connection to the database was ended: the storm did not reach it")
	}
	if !v.ok() {
		t.Errorf("records are lost, duplicated or misplaced:\n%s", v.evidence())
	}
	if want := slices.Sorted(slices.Values(owner.rows())); !slices.Equal(own, want) {
		t.Errorf("the owner's rows are %v, want %v", own, want)
	}
	if double := lake.Doubles(table.Files(t, "")); len(double) > 0 {
		t.Errorf("files are in the table more than once: %v", double)
	}
	if names := lake.Names(table.Schema(t)); !slices.Contains(names, "extra1") || !slices.Contains(names, "extra2") {
		t.Errorf("the columns are %v, without members that the records got in the storm", names)
	}
	s.checkTable(t, name)
	st.checkWeather(t)
	checkLogs(t, st.cfg.Dir)
}

// doubleTable runs a storm in which the commits do not write the ledger. Rows must be doubled.
func (s *surroundings) doubleTable(t *testing.T, l *lake.Lake) {
	const name = "ledgerless"
	c := config{
		Duration: 15 * time.Second, Overtime: time.Minute, Workers: 1, Rate: 30, Traps: 1, Quiet: true, Tidy: true, Rewrite: ledgerless,
		Goals: []goal{{[]Kind{KillIn}, Append}, {[]Kind{FreezeIn}, Append}},
		Steps: []string{Append}, Actions: []action{freezeAfter, killAfter}, Backends: s.backends,
		Times: times{Strike: 900 * time.Millisecond, Freeze: 5 * time.Second, Outage: time.Hour},
	}
	c.Loaders.Workers = 2
	st := s.begin(t, s.overTable(t, l, c, name))
	st.blow(t.Context())
	table := l.Table(namespace + "." + name)
	all, double := 0, 0
	until(t, "rows are doubled", func() bool {
		rows, _ := rowsOf(t, table)
		all = len(rows)
		double = all - len(slices.Compact(rows))
		return double > 0
	})
	t.Logf("%d rows of %d records, of them %d double", all, st.load.size(), double)
}

// rowsOf returns the sorted ids of the rows of a table: those of the stream, and those of the table's owner.
func rowsOf(t *testing.T, table lake.Table) (stream, own []string) {
	t.Helper()
	for _, row := range table.Query(t, "SELECT id FROM t ORDER BY id") {
		if id := fmt.Sprint(row["id"]); strings.HasPrefix(id, "own-") {
			own = append(own, id)
		} else {
			stream = append(stream, id)
		}
	}
	return stream, own
}

// idsIn returns the sorted ids of the rows in a database.
func idsIn(t *testing.T, server *emulator.PostgreSQLServer, table string) []string {
	t.Helper()
	rows, err := server.Connect(t, "postgres").Query(t.Context(), `SELECT record->>'id' AS id FROM `+table+` ORDER BY record->>'id' COLLATE "C"`)
	if err != nil {
		t.Fatal(err)
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return ids
}

// filesOf returns the ids in each data file, by object.
func filesOf(t *testing.T, l *lake.Lake, buckets []string) map[string][]string {
	t.Helper()
	files := map[string][]string{}
	for _, bucket := range buckets {
		const query = "SELECT id, filename FROM read_parquet('s3://%s/%s**/*.parquet', filename = true, union_by_name = true)"
		for _, row := range l.Query(t, fmt.Sprintf(query, bucket, dataPrefix)) {
			object := strings.TrimPrefix(fmt.Sprint(row["filename"]), "s3://")
			files[object] = append(files[object], fmt.Sprint(row["id"]))
		}
	}
	return files
}

// emptied waits until no batch is left to load.
func (s *surroundings) emptied(t *testing.T, name string) (took time.Duration, err error) {
	t.Helper()
	began := time.Now()
	for left := s.batches(t, name); left > 0; left = s.batches(t, name) {
		if time.Since(began) > calmBound {
			return calmBound, fmt.Errorf("%d batches are still to be loaded %v after the last was published", left, calmBound)
		}
		time.Sleep(300 * time.Millisecond)
	}
	return time.Since(began), nil
}

func (s *surroundings) batches(t *testing.T, name string) int {
	t.Helper()
	snapshot := s.snapshot(t, name)
	return len(snapshot.Batches) + len(snapshot.Published)
}
