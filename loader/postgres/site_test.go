package postgres_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/jackc/pgx/v5"
	"github.com/parquet-go/parquet-go"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/internal/localbucket"
	"aws-streaming-pipeline/internal/test/emulator"
	"aws-streaming-pipeline/internal/test/pgproxy"
	"aws-streaming-pipeline/loader"
	"aws-streaming-pipeline/loader/loadertest"
	"aws-streaming-pipeline/loader/postgres"
	"aws-streaming-pipeline/record"
	"aws-streaming-pipeline/record/schema"
	"aws-streaming-pipeline/record/table"
)

// site is a server, a bucket with published files, and a proxy for the server, between which and our client faults are planted.
type site struct {
	t      *testing.T
	server *emulator.PostgreSQLServer
	proxy  *pgproxy.Proxy
	bucket *s3.Client
	tables int
}

const bucket = "files"

func newSite(t *testing.T, major int, options ...emulator.PostgreSQLOption) *site {
	t.Helper()
	server, err := localbucket.Start("127.0.0.1:0", t.TempDir())
	must(t, err)
	t.Cleanup(func() { must(t, server.Close()) })
	must(t, server.CreateBucket(bucket))
	s := &site{t: t, server: emulator.PostgreSQL(t, major, options...)}
	s.proxy = pgproxy.New(t, s.server.Address)
	s.bucket = s3.New(s3.Options{
		Region: "us-east-1", BaseEndpoint: aws.String(server.URL()), UsePathStyle: true,
		Credentials: credentials.NewStaticCredentialsProvider("local", "local", ""),
	})
	return s
}

// eachMajor runs a test with each server.
func eachMajor(t *testing.T, test func(t *testing.T, s *site)) {
	for _, major := range emulator.PostgreSQLVersions {
		t.Run(fmt.Sprint(major), func(t *testing.T) { test(t, newSite(t, major)) })
	}
}

// trips is a table in a schema of its own, for the suite of loadertest.
type trips struct {
	*site
	schema  string
	options postgres.Options
	// refused says that each file of Write has another row, which the database refuses.
	refused bool
	errors  errorObjects

	written int // rows
	foreign int
	fault   *pgproxy.Planned
	late    *pgproxy.Planned
}

// errorObjects are what was written to the error prefix.
type errorObjects struct {
	mu      sync.Mutex
	objects map[string][]byte
	puts    int
	lost    int // answers to be lost
}

func (o *errorObjects) put(_ context.Context, key string, content []byte) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if before, ok := o.objects[key]; ok && !bytes.Equal(before, content) {
		return fmt.Errorf("the error object %s is written again with another content", key)
	}
	o.objects[key] = content
	if o.puts++; o.puts <= o.lost {
		return errors.New("the answer is lost")
	}
	return nil
}

// tripsSchema declares the members that Write's rows have.
const tripsSchema = `{"type": "object", "properties": {"file": {"type": "string"}, "row": {"type": "integer"}}}`

// table returns a table that does not exist yet. With SCHEMA its files are Parquet, without it JSON Lines.
func (s *site) table(change func(*postgres.Options)) *trips {
	s.t.Helper()
	s.tables++
	p := &trips{site: s, schema: fmt.Sprint("test", s.tables), errors: errorObjects{objects: make(map[string][]byte)}}
	uri, err := table.ParseURI("postgres://db.example.com/postgres/" + p.schema + ".trips")
	must(s.t, err)
	p.options = postgres.Options{
		Application: "trips", URI: uri, Create: true, Evolve: true, Connect: p.connect, Bucket: s.bucket,
		Refused: postgres.RefusedFiles{
			Stream: "trips", Zone: time.UTC, Put: p.errors.put,
			Prefix: func(string, record.OutputType, time.Time) string { return "errors/" },
		},
	}
	change(&p.options)
	return p
}

func withoutSchema(*postgres.Options) {}

func withSchema(o *postgres.Options) {
	parsed, err := schema.Parse("trips.json", []byte(tripsSchema))
	if err != nil {
		panic(err)
	}
	o.Schema = parsed
}

func (p *trips) connect(ctx context.Context) (*pgx.Conn, error) {
	return pgx.Connect(ctx, "postgres://postgres@"+p.proxy.Address()+"/postgres?sslmode=disable")
}

// create has a loader create the table.
func (p *trips) create() *trips {
	p.t.Helper()
	p.load()
	return p
}

func (p *trips) load() loader.State {
	p.t.Helper()
	s, err := p.Open().Load(p.t.Context(), nil)
	must(p.t, err)
	return s
}

// direct connects past the proxy to the schema of the table.
func (p *trips) direct(ctx context.Context, server *emulator.PostgreSQLServer) (*pgx.Conn, error) {
	return pgx.Connect(ctx, server.DSN("postgres")+"&search_path="+p.schema)
}

// exec runs statements past the proxy, on a connection of its own: the server may have restarted since the last.
func (p *trips) exec(ctx context.Context, statements ...string) error {
	conn, err := p.direct(ctx, p.server)
	if err != nil {
		return err
	}
	for _, statement := range statements {
		if _, err = conn.Exec(ctx, statement); err != nil {
			break
		}
	}
	return errors.Join(err, conn.Close(ctx))
}

// Open implements loadertest.Table.
func (p *trips) Open() loader.Destination {
	p.t.Helper()
	d, err := postgres.New(p.options)
	must(p.t, err)
	return d
}

// commits is the one message that ends a write: the table's new state, the ledger, and COMMIT.
var commits = regexp.MustCompile(`(?s)\bUPDATE [^;]*pipeline_tables.*;\s*COMMIT\b`)

// Fail implements loadertest.Table.
func (p *trips) Fail(f loadertest.Fault) {
	if p.fault != nil {
		p.fault.Cancel()
	}
	plan := map[loadertest.Fault]pgproxy.Fault{
		loadertest.RequestLost: {Statement: commits, At: pgproxy.Before, Then: pgproxy.Cut},
		loadertest.AnswerLost:  {Statement: commits, At: pgproxy.After, Then: pgproxy.Cut},
		loadertest.Doubled:     {Statement: commits, At: pgproxy.After, Then: pgproxy.Double},
		loadertest.Late:        {Statement: commits, At: pgproxy.Before, Then: pgproxy.Late},
	}
	p.fault = p.proxy.Plan(plan[f])
	if f == loadertest.Late {
		p.late = p.fault
	}
}

// Hit implements loadertest.Table.
func (p *trips) Hit() bool { return p.fault.Hit() }

// Release implements loadertest.Table.
func (p *trips) Release(ctx context.Context) error {
	if p.late == nil {
		return nil
	}
	return p.late.Release(ctx)
}

// LedgerOnly implements loadertest.LedgerOnly.
func (p *trips) LedgerOnly() bool { return true }

// FixedColumns implements loadertest.FixedColumns.
func (p *trips) FixedColumns() bool { return p.options.Schema == nil }

// rowsPerFile is how many rows each file of Write has.
const rowsPerFile = 3

// row is a row of a file.
type row struct {
	EventID   string    `parquet:"event_id"`
	ArrivedAt time.Time `parquet:"_arrived_at,timestamp(microsecond)"`
	File      string    `parquet:"file"`
	Row       int64     `parquet:"row"`
}

// Write implements loadertest.Table.
func (p *trips) Write(ctx context.Context, _ *table.Definition, id string, n int) (checkpoint.Batch, error) {
	b := checkpoint.Batch{ID: id, Tables: []string{p.options.URI.String()}}
	for i := range n {
		key := fmt.Sprintf("data/%s/%s-%d", p.schema, id, i)
		var file []row
		for r := range rowsPerFile {
			p.written++
			file = append(file, row{fmt.Sprint(p.written), time.Date(2026, 1, 2, 3, 4, 5, 678_000, time.UTC), "s3://" + bucket + "/" + key, int64(r)})
		}
		content, err := p.encode(file)
		if err != nil {
			return b, err
		}
		out, err := p.bucket.PutObject(ctx, &s3.PutObjectInput{Bucket: aws.String(bucket), Key: &key, Body: bytes.NewReader(content)})
		if err != nil {
			return b, err
		}
		f := checkpoint.File{Bucket: bucket, Key: key, Rows: rowsPerFile, Bytes: int64(len(content)), ETag: *out.ETag}
		if p.refused {
			f.Rows++
		}
		b.Files = append(b.Files, f)
	}
	return b, nil
}

func (p *trips) encode(file []row) ([]byte, error) {
	var content bytes.Buffer
	if p.options.Schema != nil {
		err := parquet.Write(&content, file)
		return content.Bytes(), err
	}
	zip := gzip.NewWriter(&content)
	const line = `{"event_id":%q,"_arrived_at":%q,"file":%q,"row":%d%s}` + "\n"
	for _, r := range file {
		fmt.Fprintf(zip, line, r.EventID, r.ArrivedAt.Format(time.RFC3339Nano), r.File, r.Row, "")
	}
	if p.refused {
		fmt.Fprintf(zip, line, file[0].EventID+"-0-0", file[0].ArrivedAt.Format(time.RFC3339Nano), file[0].File, rowsPerFile, `,"text":"\u0000"`)
	}
	err := zip.Close()
	return content.Bytes(), err
}

// Foreign implements loadertest.Table.
func (p *trips) Foreign(ctx context.Context) error {
	p.foreign++
	columns, values := "event_id, _arrived_at", fmt.Sprintf("'foreign-%d', now()", p.foreign)
	if p.options.Schema != nil {
		columns, values = columns+", file, row", values+", 'foreign', "+fmt.Sprint(p.foreign)
	}
	return p.exec(ctx, "INSERT INTO trips ("+columns+") VALUES ("+values+")", "UPDATE trips SET event_id = event_id")
}

// Expire implements loadertest.Table.
func (p *trips) Expire(ctx context.Context) error { return p.exec(ctx, "VACUUM FULL trips") }

// Live implements loadertest.Table.
func (p *trips) Live(ctx context.Context) (map[string]int, error) { return p.liveOn(ctx, p.server) }

// liveOn returns what a server has.
func (p *trips) liveOn(ctx context.Context, server *emulator.PostgreSQLServer) (map[string]int, error) {
	conn, err := p.direct(ctx, server)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close(ctx) }() // it only read
	column := "record ->> 'file'"
	if p.options.Schema != nil {
		column = "file"
	}
	found, err := conn.Query(ctx, "SELECT "+column+", event_id, count(*) FROM trips WHERE event_id NOT LIKE 'foreign-%' GROUP BY 1, 2")
	if err != nil {
		return nil, err
	}
	live, records := make(map[string]int), make(map[string]int)
	var file, id string
	var n int
	_, err = pgx.ForEachRow(found, []any{&file, &id, &n}, func() error {
		if before, ok := live[file]; ok && before != n {
			return fmt.Errorf("a row of %s is there %d times, another %d times", file, before, n)
		}
		live[file] = n
		records[file]++
		return nil
	})
	for file := range maps.Keys(records) {
		if err == nil && records[file] != rowsPerFile {
			err = fmt.Errorf("of %s there are %d of %d rows", file, records[file], rowsPerFile)
		}
	}
	return live, err
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
