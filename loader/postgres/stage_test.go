package postgres

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/jackc/pgx/v5"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/internal/test/emulator"
	"aws-streaming-pipeline/loader"
	"aws-streaming-pipeline/record"
	"aws-streaming-pipeline/record/schema"
	"aws-streaming-pipeline/record/table"
	"aws-streaming-pipeline/writers/layout"
)

// bucket holds objects in memory.
type bucket struct {
	mu      sync.Mutex
	objects map[string][]byte
	gets    map[string]int
	open    int // bodies
}

// body is that of an object, which has to be closed.
type body struct {
	io.Reader
	close func()
}

func (b *body) Close() error {
	b.close()
	return nil
}

// GetObject implements rows.Bucket.
func (b *bucket) GetObject(_ context.Context, in *s3.GetObjectInput, _ ...func(*s3.Options)) (*s3.GetObjectOutput, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	content, ok := b.objects[*in.Key]
	if !ok {
		return nil, &types.NoSuchKey{}
	}
	b.gets[*in.Key]++
	b.open++
	closed := sync.OnceFunc(func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.open--
	})
	out := &s3.GetObjectOutput{Body: &body{bytes.NewReader(content), closed}, ContentLength: aws.Int64(int64(len(content)))}
	if in.Range != nil {
		first, last := 0, len(content)-1
		if _, err := fmt.Sscanf(*in.Range, "bytes=%d-%d", &first, &last); err != nil && first == 0 {
			return nil, err
		}
		out.Body = &body{bytes.NewReader(content[first : last+1]), closed}
		out.ContentRange = aws.String(fmt.Sprintf("bytes %d-%d/%d", first, last, len(content)))
	}
	return out, nil
}

func (b *bucket) put(_ context.Context, key string, content []byte) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.objects[key] = content
	return nil
}

// stage is a table in a database of its own, with files for it.
type stage struct {
	t      testing.TB
	server *emulator.PostgreSQLServer
	to     *Table
	bucket *bucket
	conn   *pgx.Conn // reads the table past the destination
	n      int64     // records so far
}

func newStage(t testing.TB, server *emulator.PostgreSQLServer, change func(*Options)) *stage {
	t.Helper()
	database := server.CreateDatabase(t)
	uri, err := table.ParseURI("postgres://" + server.Address + "/" + database + "/trips")
	if err != nil {
		t.Fatal(err)
	}
	s := &stage{t: t, server: server, bucket: &bucket{objects: make(map[string][]byte), gets: make(map[string]int)}, conn: server.Connect(t, database)}
	t.Cleanup(func() {
		s.bucket.mu.Lock()
		defer s.bucket.mu.Unlock()
		if s.bucket.open != 0 {
			t.Errorf("%d files were left open", s.bucket.open)
		}
	})
	o := Options{
		Application: "test", URI: uri, Create: true, Evolve: true, Bucket: s.bucket,
		Connect: func(ctx context.Context) (*pgx.Conn, error) { return pgx.Connect(ctx, server.DSN(database)) },
		Refused: RefusedFiles{
			Stream: "trips", Zone: time.UTC, Put: s.bucket.put,
			Prefix: func(_ string, t record.OutputType, at time.Time) string {
				return "errors/" + string(t) + at.Format("/2006/01/02/")
			},
		},
	}
	if change != nil {
		change(&o)
	}
	if s.to, err = New(o); err != nil {
		t.Fatal(err)
	}
	return s
}

func withSchema(document string) func(*Options) {
	return func(o *Options) { o.Schema = mustSchema(document) }
}

func mustSchema(document string) *schema.Schema {
	s, err := schema.Parse("trips", []byte(document))
	if err != nil {
		panic(err)
	}
	return s
}

// began is when the records of a stage arrive.
var began = time.Now().UTC().Truncate(24 * time.Hour).Add(-12 * time.Hour)

// batch publishes a batch with one file for each list of records, which are JSON objects. Their ids are 1, 2, 3 ...
func (s *stage) batch(files ...[]string) checkpoint.Batch {
	s.t.Helper()
	b := checkpoint.Batch{ID: layout.NewBatchID(), Tables: []string{s.to.Name()}}
	for i, lines := range files {
		var text strings.Builder
		for _, line := range lines {
			s.n++
			line, ok := strings.CutSuffix(line, "}")
			if !ok {
				s.t.Fatalf("record %q is not an object", line)
			}
			if line != "{" {
				line += ","
			}
			if !strings.Contains(line, `"_arrived_at"`) {
				line += fmt.Sprintf(`"_arrived_at":%q,`, began.Add(time.Duration(s.n)*time.Millisecond).Format("2006-01-02T15:04:05.000Z"))
			}
			fmt.Fprintf(&text, "%s\"event_id\":\"%d\"}\n", line, s.n)
		}
		key := fmt.Sprintf("data/%s-%03d.jsonl", b.ID, i)
		s.bucket.objects[key] = []byte(text.String())
		b.Files = append(b.Files, checkpoint.File{Bucket: "lake", Key: key, Rows: int64(len(lines)), Bytes: int64(text.Len())})
	}
	b.Ranges = []checkpoint.Range{{Shard: "shardId-000000000000", Start: "TRIM_HORIZON", End: checkpoint.Position(fmt.Sprint(s.n)), Records: s.n, Last: fmt.Sprint(s.n)}}
	return b
}

func (s *stage) load(previous *table.Definition) *state {
	s.t.Helper()
	st, err := s.to.Load(s.t.Context(), previous)
	if err != nil {
		s.t.Fatal(err)
	}
	return st.(*state)
}

// append loads the table and appends batches to it.
func (s *stage) append(batches ...checkpoint.Batch) {
	s.t.Helper()
	st := s.load(nil)
	if err := st.Append(s.t.Context(), loader.Addition{Batches: batches, Keep: st.Ledger()}); err != nil {
		s.t.Fatal(err)
	}
}

// settle has the table settle everything, and returns the batches and the lines of the error objects by the message.
func (s *stage) settle() (ids []string, lines map[string][]record.ErrorLine) {
	s.t.Helper()
	st := s.load(nil)
	ids, err := st.Settle(s.t.Context(), st.Ledger())
	if err != nil {
		s.t.Fatal(err)
	}
	return ids, s.errorLines()
}

func (s *stage) exec(sql string) {
	s.t.Helper()
	if _, err := s.conn.Exec(s.t.Context(), sql); err != nil {
		s.t.Fatalf("%s: %v", sql, err)
	}
}

// rows returns the rows of a query as JSON.
func (s *stage) rows(sql string) (rows []string) {
	s.t.Helper()
	found, err := s.conn.Query(s.t.Context(), "SELECT row_to_json(q)::text FROM ("+sql+") q")
	if err == nil {
		rows, err = pgx.CollectRows(found, pgx.RowTo[string])
	}
	if err != nil {
		s.t.Fatalf("%s: %v", sql, err)
	}
	return rows
}

// expect compares the rows of a query with those wanted, as JSON.
func (s *stage) expect(sql string, want ...string) {
	s.t.Helper()
	if got := s.rows(sql); !slices.EqualFunc(got, want, sameJSON) {
		s.t.Errorf("%s:\ngot\t%s\nwant\t%s", sql, strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
	}
}

func sameJSON(a, b string) bool {
	var x, y any
	if json.Unmarshal([]byte(a), &x) != nil || json.Unmarshal([]byte(b), &y) != nil {
		return false
	}
	p, err := json.Marshal(x)
	q, err2 := json.Marshal(y)
	return err == nil && err2 == nil && bytes.Equal(p, q)
}

// servers are those that each test may use.
func eachServer(t *testing.T, run func(t *testing.T, server *emulator.PostgreSQLServer)) {
	for _, major := range emulator.PostgreSQLVersions {
		t.Run(fmt.Sprint(major), func(t *testing.T) { run(t, emulator.PostgreSQL(t, major)) })
	}
}

func newest(t *testing.T) *emulator.PostgreSQLServer {
	return emulator.PostgreSQL(t, emulator.PostgreSQLVersions[len(emulator.PostgreSQLVersions)-1])
}

func (s *stage) errorLines() map[string][]record.ErrorLine {
	s.t.Helper()
	lines := make(map[string][]record.ErrorLine)
	for _, key := range slices.Sorted(maps.Keys(s.bucket.objects)) {
		if !strings.HasPrefix(key, "errors/") {
			continue
		}
		for _, line := range gunzip(s.t, s.bucket.objects[key]) {
			l, err := record.ParseErrorLine([]byte(line))
			if err != nil {
				s.t.Fatal(err)
			}
			lines[l.Record.Fault.Message] = append(lines[l.Record.Fault.Message], l)
		}
	}
	return lines
}
