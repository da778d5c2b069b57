package care_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/jackc/pgx/v5"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/internal/test/emulator"
	"aws-streaming-pipeline/loader"
	"aws-streaming-pipeline/loader/manifests"
	"aws-streaming-pipeline/loader/postgres"
	"aws-streaming-pipeline/loader/postgres/care"
	"aws-streaming-pipeline/operate/objects"
	"aws-streaming-pipeline/record"
	"aws-streaming-pipeline/record/schema"
	"aws-streaming-pipeline/record/table"
	"aws-streaming-pipeline/writers/layout"
	"aws-streaming-pipeline/writers/writerstest"
)

const (
	bucket   = "bucket"
	document = `{"properties": {"id": {"type": "integer"}, "fare": {"type": "number"}}}`
	perFile  = 5
)

// site is a bucket with files, and a table in a real database that a real destination loads.
type site struct {
	t      *testing.T
	client *s3.Client
	admin  *pgx.Conn
	to     *postgres.Table
	of     *care.Site
	outbox outbox
	n      int // of batches
	rows   int // so far
	began  time.Time

	numbers string // behind the sequence number in event ids
}

// outbox is what is read of the store.
type outbox struct {
	checkpoint.Tables
	batches []checkpoint.Batch
}

func (o *outbox) Outbox(context.Context) ([]checkpoint.Batch, []checkpoint.UnknownBatch, error) {
	return o.batches, nil, nil
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// sites counts the sites, each of which has a schema of its own.
var sites atomic.Int64

func newSite(t *testing.T, server *emulator.PostgreSQLServer, change func(*postgres.Options)) *site {
	t.Helper()
	namespace := fmt.Sprint("site", sites.Add(1))
	uri, err := table.ParseURI("postgres://" + server.Address + "/postgres/" + namespace + ".trips")
	must(t, err)
	endpoint, _ := writerstest.LocalBucket(t, bucket)
	s := &site{t: t, client: writerstest.Client(endpoint, "key", "secret", nil), admin: server.Connect(t, "postgres"), began: time.Now().Add(-60 * time.Hour).Truncate(time.Second)}
	s.run("SET search_path = " + namespace)
	columns, err := schema.Parse("trips.json", []byte(document))
	must(t, err)
	connect := func(ctx context.Context) (*pgx.Conn, error) { return pgx.Connect(ctx, server.DSN("postgres")) }
	prefix := func(_ string, t record.OutputType, at time.Time) string {
		return "errors/" + string(t) + at.Format("/2006-01-02/")
	}
	o := postgres.Options{
		Application: "taxi", URI: uri, Schema: columns, Create: true, Evolve: true, Connect: connect, Bucket: s.client,
		Refused: postgres.RefusedFiles{Stream: "stream", Zone: time.UTC, Prefix: prefix, Put: func(ctx context.Context, key string, content []byte) error {
			s.put(key, content)
			return nil
		}},
	}
	if change != nil {
		change(&o)
	}
	s.to, err = postgres.New(o)
	must(t, err)
	s.of = &care.Site{
		Window: manifests.Window{Bucket: objects.Bucket{API: s.client, Name: bucket}, Prefix: "manifests/", Table: uri.String(), To: time.Now()},
		Outbox: &s.outbox, Application: "taxi", Table: uri, Key: o.Key, Connect: connect,
		ErrorKey: func(batch string, arrival time.Time, part int) string {
			begun, _ := layout.BatchTime(batch)
			return layout.RefusedFile(prefix(batch, record.PostgresFailed, arrival)+"stream", begun.UTC(), batch, part).Key()
		},
	}
	return s
}

func (s *site) put(key string, content []byte) {
	s.t.Helper()
	_, err := s.client.PutObject(s.t.Context(), &s3.PutObjectInput{Bucket: new(bucket), Key: &key, Body: bytes.NewReader(content)})
	must(s.t, err)
}

// batch delivers a batch with two files and its manifest. A record is the members of a row.
func (s *site) batch(record func(i int) string) checkpoint.Batch {
	s.t.Helper()
	s.n++
	begun := s.began.Add(time.Duration(s.n) * time.Hour)
	b := checkpoint.Batch{ID: idAt(begun, s.n), Worker: "worker", Created: begun.Add(time.Minute).UTC(), Tables: []string{s.to.Name()},
		Ranges: []checkpoint.Range{{Shard: "shard-0", Start: checkpoint.Position(fmt.Sprint(s.rows)), End: checkpoint.Position(fmt.Sprint(s.rows + 2*perFile)), LeaseOwner: "worker"}}}
	for i := range 2 {
		var text bytes.Buffer
		for range perFile {
			s.rows++
			fmt.Fprintf(&text, "{%s,\"_arrived_at\":%q,\"event_id\":\"%d%s\"}\n", record(s.rows), begun.UTC().Format("2006-01-02T15:04:05.000Z"), s.rows, s.numbers)
		}
		key := layout.File{Name: "data/stream", Clock: begun.UTC(), Batch: b.ID, Number: i, Extension: ".jsonl"}.Key()
		s.put(key, text.Bytes())
		b.Files = append(b.Files, checkpoint.File{Bucket: bucket, Key: key, Rows: perFile, Bytes: int64(text.Len())})
	}
	body, err := layout.EncodeManifest(b)
	must(s.t, err)
	s.put(layout.ManifestPlace(b, bucket, "manifests/").Key, body)
	return b
}

func trip(i int) string { return fmt.Sprintf(`"id":%d,"fare":1.5`, i) }

// idAt returns a batch id of that time.
func idAt(at time.Time, n int) string {
	ms := at.UnixMilli()
	return fmt.Sprintf("%08x-%04x-7000-8000-%012x", ms>>16, ms&0xffff, n)
}

func (s *site) loadState(ctx context.Context) (loader.State, error) { return s.to.Load(ctx, nil) }

// load loads batches, settles them, and has the ledger forget them with the next write.
func (s *site) load(batches ...checkpoint.Batch) {
	s.t.Helper()
	ctx := s.t.Context()
	for _, b := range batches {
		state, err := s.loadState(ctx)
		must(s.t, err)
		must(s.t, state.Append(ctx, loader.Addition{Batches: []checkpoint.Batch{b}}))
		state, err = s.loadState(ctx)
		must(s.t, err)
		settled, err := state.(loader.Settler).Settle(ctx, []string{b.ID})
		must(s.t, err)
		if len(settled) != 1 {
			s.t.Fatalf("batch %s is not settled", b.ID)
		}
	}
}

func (s *site) run(statements ...string) {
	s.t.Helper()
	for _, statement := range statements {
		tag, err := s.admin.Exec(s.t.Context(), statement)
		if err != nil {
			s.t.Fatalf("%s: %v", statement, err)
		}
		if strings.HasPrefix(statement, "DELETE") && tag.RowsAffected() == 0 {
			s.t.Fatalf("%s: nothing is deleted", statement)
		}
	}
}

func (s *site) count(where string) (n int) {
	s.t.Helper()
	must(s.t, s.admin.QueryRow(s.t.Context(), "SELECT count(*) FROM trips WHERE "+where).Scan(&n))
	return n
}

func (s *site) audit() *care.Report {
	s.t.Helper()
	r, err := care.Audit(s.t.Context(), s.of)
	must(s.t, err)
	return r
}

// found lists findings and warnings, as kind:batch:rows with the number of the batch.
func found(r *care.Report, batches ...checkpoint.Batch) (list []string) {
	for _, f := range slices.Concat(r.Findings, r.Warnings) {
		i := slices.IndexFunc(batches, func(b checkpoint.Batch) bool { return b.ID == f.Batch })
		list = append(list, fmt.Sprintf("%s:%d:%d", f.Kind, i, f.Rows))
	}
	return list
}

func eachServer(t *testing.T, test func(t *testing.T, server *emulator.PostgreSQLServer)) {
	for _, major := range emulator.PostgreSQLVersions {
		t.Run(fmt.Sprint(major), func(t *testing.T) { test(t, emulator.PostgreSQL(t, major)) })
	}
}

// Each case does one thing to a sound table.
func TestAudit_FindsWhatOthersDid(t *testing.T) {
	eachServer(t, func(t *testing.T, server *emulator.PostgreSQLServer) {
		for _, c := range []struct {
			name  string
			do    func(s *site, b []checkpoint.Batch)
			found []string
			says  string
		}{
			{"nothing", func(*site, []checkpoint.Batch) {}, nil, "sound: each row of a loaded batch is in the table exactly once"},
			{"a row is deleted", func(s *site, _ []checkpoint.Batch) { s.run("DELETE FROM trips WHERE event_id = '3'") },
				[]string{"missing-row:0:1"}, "1 of its 10 rows are not in the table and were not refused: they were deleted, such as event_id 3"},
			{"a batch is lost", func(s *site, _ []checkpoint.Batch) {
				s.run("DELETE FROM trips WHERE id BETWEEN 11 AND 20")
			}, []string{"missing-row:1:10"}, `"loader reload" loads it again`},
			{"a batch that the ledger names is lost", func(s *site, _ []checkpoint.Batch) {
				s.run("DELETE FROM trips WHERE id BETWEEN 21 AND 30")
			}, []string{"missing-row:2:10"}, "although the ledger names the batch"},
			{"a row is doubled", func(s *site, _ []checkpoint.Batch) {
				s.run("INSERT INTO trips SELECT * FROM trips WHERE event_id = '12'")
			},
				[]string{"double-row:1:1"}, "such as event_id 12"},
			{"a batch is loaded twice, without the ledger", func(s *site, b []checkpoint.Batch) {
				s.run("DELETE FROM pipeline_ledger")
				s.load(b[2])
			}, []string{"double-row:2:10"}, "10 rows too many"},
			{"another program takes one of our ids", func(s *site, _ []checkpoint.Batch) {
				s.run("INSERT INTO trips (event_id, id) VALUES ('1', 77)")
			}, []string{"double-row:0:1"}, "NOT SOUND"},
			{"another program writes a row of its own", func(s *site, _ []checkpoint.Batch) {
				s.run("INSERT INTO trips (event_id, _arrived_at) VALUES ('other', now() - interval '50 hours'), (NULL, now() - interval '50 hours')")
			}, []string{"foreign-row:-1:1"}, "warning foreign-row: 1 rows that arrived in this time are in no file"},
			{"an operator skipped a batch", func(s *site, b []checkpoint.Batch) {
				s.run("DELETE FROM trips WHERE id BETWEEN 11 AND 20")
				note := layout.Skip{Batch: b[1].ID, Table: s.to.Name(), At: time.Now(), By: "op@host", Reason: "a test"}
				body, err := note.Encode()
				must(s.t, err)
				s.put(note.Key("manifests/", "attempt"), body)
			}, []string{"skipped-batch:1:10"}, "warning skipped-batch"},
			{"a batch waits", func(s *site, b []checkpoint.Batch) {
				s.outbox.batches = append(s.outbox.batches, s.batch(trip))
			}, nil, "1 batches are still to be loaded"},
			{"a batch is loaded and held back", func(s *site, b []checkpoint.Batch) { s.outbox.batches = b[2:] }, nil, "3 batches loaded"},
			{"a batch is held back and lost a row", func(s *site, b []checkpoint.Batch) {
				s.outbox.batches = b[2:]
				s.run("DELETE FROM trips WHERE id = 25")
			}, []string{"missing-row:2:1"}, "NOT SOUND"},
			{"columns are renamed", func(s *site, _ []checkpoint.Batch) {
				state, err := s.loadState(s.t.Context())
				must(s.t, err)
				s.of.Definition = state.Definition()
				s.run("ALTER TABLE trips RENAME event_id TO origin", "ALTER TABLE trips RENAME _arrived_at TO at", "DELETE FROM trips WHERE origin = '4'")
			}, []string{"missing-row:0:1"}, "such as event_id 4"},
			{"the window is another", func(s *site, b []checkpoint.Batch) {
				s.run("DELETE FROM trips WHERE id = 1 OR id = 21")
				s.of.Window.From, s.of.Window.To = b[1].Created, b[2].Created
			}, nil, "1 batches loaded with 2 files and 10 rows: 10 event ids"},
		} {
			t.Run(c.name, func(t *testing.T) {
				s := newSite(t, server, nil)
				b := []checkpoint.Batch{s.batch(trip), s.batch(trip), s.batch(trip)}
				s.load(b...)
				c.do(s, b)
				r := s.audit()
				var text bytes.Buffer
				must(t, r.WriteText(&text))
				clean := !slices.ContainsFunc(c.found, func(f string) bool { return !strings.HasPrefix(f, "foreign") && !strings.HasPrefix(f, "skipped") })
				if got := found(r, b...); !slices.Equal(got, c.found) || r.Sound != clean || !strings.Contains(text.String(), c.says) {
					t.Errorf("it finds %q, want %q; it says\n%s", got, c.found, text.String())
				}
				if body, err := json.Marshal(r); err != nil || !bytes.Contains(body, []byte(`"findings":[`)) {
					t.Errorf("%s, %v", body, err)
				}
			})
		}
	})
}

// Rows that the database has refused are known from its own table at first, and from the error objects later.
func TestAudit_CountsRefusedRows(t *testing.T) {
	eachServer(t, func(t *testing.T, server *emulator.PostgreSQLServer) {
		s := newSite(t, server, nil)
		must(t, func() error { _, err := s.loadState(t.Context()); return err }())
		s.run("ALTER TABLE trips ADD CHECK (id % 4 <> 0)")
		one := s.batch(trip)
		s.load(one)
		for _, step := range []string{"from pipeline_refused", "from the error objects"} {
			r := s.audit()
			if !r.Sound || r.Refused != int64(s.rows/4) || r.Present != int64(s.rows-s.rows/4) {
				t.Errorf("%s: %+v", step, r)
			}
			s.load(s.batch(trip)) // the ledger forgets the batch before
		}
		var n int
		must(t, s.admin.QueryRow(t.Context(), "SELECT count(DISTINCT batch) FROM pipeline_refused").Scan(&n))
		if n != 1 {
			t.Errorf("pipeline_refused has rows of %d batches", n)
		}
		s.of.ErrorKey = nil // the control: without the error objects they are missing
		if r := s.audit(); r.Sound || r.Counts[care.Missing] == 0 {
			t.Errorf("without the error objects: %+v", r)
		}
	})
}

// Of rows with the same key, the table has the newest; older ones are not missing.
func TestAudit_KnowsTheNewestRowOfAKey(t *testing.T) {
	eachServer(t, func(t *testing.T, server *emulator.PostgreSQLServer) {
		s := newSite(t, server, func(o *postgres.Options) { o.Key = []string{"id"} })
		odd := func(i int) string {
			if i%10 == 9 {
				return `"id":"not a number"` // refused
			}
			return fmt.Sprintf(`"id":%d,"fare":%d`, i%3, i)
		}
		b := []checkpoint.Batch{s.batch(odd), s.batch(odd)}
		s.load(b...)
		if r := s.audit(); !r.Sound || r.Refused != 2 || r.Superseded != 15 || r.Present != 3 || len(r.Warnings) > 0 {
			t.Errorf("sound: %+v", r)
		}
		s.run("UPDATE trips SET event_id = '5', _sequence = 5 WHERE id = 2")
		if r := s.audit(); !slices.Equal(found(r, b...), []string{"stale-row:1:1"}) {
			t.Errorf("with an older row: %+v", r)
		}
		s.run("UPDATE trips SET event_id = '999', _sequence = 999 WHERE id = 2")
		if r := s.audit(); !r.Sound {
			t.Errorf("with a later row: %+v", r)
		}
		s.run("DELETE FROM trips WHERE id = 1")
		r := s.audit()
		if !slices.Equal(found(r, b...), []string{"stale-row:1:1", "foreign-row:-1:1"}) {
			t.Errorf("without a row: %+v", r)
		}
		s.run("DELETE FROM pipeline_ledger") // as the next write does
		done, err := care.Reload(t.Context(), s.of, s.loadState, true)
		must(t, err)
		if done.Batches != 1 || s.count("id = 1") != 1 || s.count("_sequence = 999") != 1 || s.count("true") != 3 {
			t.Errorf("reload: %+v", done)
		}
	})
}

// The ids of pieces of a split payload of an aggregate have three numbers after the sequence number.
func TestAudit_KnowsTheNewestRowOfPieces(t *testing.T) {
	s := newSite(t, emulator.PostgreSQL(t, emulator.PostgreSQLVersions[0]), func(o *postgres.Options) { o.Key = []string{"id"} })
	s.numbers = "-1-0-2"
	row := func(i int) string { return fmt.Sprintf(`"id":%d`, i%3) }
	b := []checkpoint.Batch{s.batch(row), s.batch(row)}
	s.load(b...)
	if r := s.audit(); !r.Sound || r.Present != 3 || s.count("_sequence > 18") != 3 {
		t.Errorf("sound: %+v", r)
	}
	s.run("UPDATE trips SET event_id = '5-1-0-2', _sequence = 5.000000000100000000000000000002 WHERE id = 2")
	if r := s.audit(); !slices.Equal(found(r, b...), []string{"stale-row:1:1"}) {
		t.Errorf("with an older row: %+v", r)
	}
}

// Keys are compared as the table's types have them, and their texts are passed on unchanged.
func TestAudit_ComparesKeysByTheirTypes(t *testing.T) {
	eachServer(t, func(t *testing.T, server *emulator.PostgreSQLServer) {
		s := newSite(t, server, func(o *postgres.Options) {
			columns, err := schema.Parse("trips.json", []byte(`{"properties": {"zone": {"type": "string"}, "fare": {"type": "number"}, "day": {"type": "string"}, "code": {"type": "string"}}}`))
			must(t, err)
			o.Schema, o.Key = columns, []string{"zone", "fare", "day", "code"}
		})
		namespace := s.of.Table.Namespace[1]
		s.run("CREATE SCHEMA "+namespace, "CREATE DOMAIN code AS text CHECK (VALUE <> 'bad')",
			"CREATE TABLE trips (zone text, fare numeric(9,1), day date, code code, event_id text, _arrived_at timestamptz, _sequence numeric, PRIMARY KEY (zone, fare, day, code))")
		zones := []string{`a\tb`, `c\\d`, `e\nf\r`, `\"g'h`, "\u00e9\U0001f600"}
		record := func(i int) string {
			code, fare := "good", "1.26"
			if i == 5 {
				code = "bad" // refused, by the domain
			}
			if i > 10 {
				fare = "1.31" // the same when it is rounded
			}
			return fmt.Sprintf(`"zone":"%s","fare":%s,"day":"2026-01-%02d","code":%q`, zones[i%len(zones)], fare, 1+i%2, code)
		}
		b := []checkpoint.Batch{s.batch(record), s.batch(record)}
		s.load(b...)
		if n := s.count("fare = 1.3 AND event_id::int > 10"); n != 10 || s.count("true") != 10 {
			t.Fatalf("the table has %d new rows of %d", n, s.count("true"))
		}
		if r := s.audit(); !r.Sound || r.Refused != 1 || r.Superseded != 9 || r.Present != 10 {
			t.Errorf("sound: %+v", r)
		}
		s.run("DELETE FROM trips WHERE position(chr(92) IN zone) > 0 AND day = '2026-01-01'")
		if r := s.audit(); !slices.Equal(found(r, b...), []string{"stale-row:1:1"}) {
			t.Errorf("without a row: %q", found(r, b...))
		}
	})
}

// Without SCHEMA the ids are in a column all the same; a table without that column cannot be audited.
func TestAudit_TakesTablesWithoutSchemaButNotWithoutIDs(t *testing.T) {
	server := emulator.PostgreSQL(t, 18)
	s := newSite(t, server, func(o *postgres.Options) { o.Schema = nil })
	b := s.batch(trip)
	s.load(b)
	if r := s.audit(); !r.Sound || r.Present != 2*perFile {
		t.Errorf("without SCHEMA: %+v", r)
	}
	s.run("DELETE FROM trips WHERE record->>'id' = '2'")
	if r := s.audit(); !slices.Equal(found(r, b), []string{"missing-row:0:1"}) {
		t.Errorf("without a row: %+v", r)
	}
	s.run("ALTER TABLE trips DROP COLUMN event_id")
	if _, err := care.Audit(t.Context(), s.of); err == nil || !strings.Contains(err.Error(), "ADD COLUMN event_id text") {
		t.Errorf("without the column: %v", err)
	}
	s.run("DROP TABLE trips")
	if _, err := care.Audit(t.Context(), s.of); err == nil || !strings.Contains(err.Error(), "does not exist") {
		t.Errorf("without the table: %v", err)
	}
}

// Whole batches that are lost are loaded again, and nothing else.
func TestReload_LoadsWhatIsLost(t *testing.T) {
	eachServer(t, func(t *testing.T, server *emulator.PostgreSQLServer) {
		s := newSite(t, server, nil)
		must(t, func() error { _, err := s.loadState(t.Context()); return err }())
		s.run("ALTER TABLE trips ADD CHECK (id % 7 <> 0)")
		b := []checkpoint.Batch{s.batch(trip), s.batch(trip), s.batch(trip), s.batch(trip)}
		s.load(b...)
		waits := s.batch(trip)
		s.outbox.batches = []checkpoint.Batch{waits}
		s.run("DELETE FROM trips WHERE id <= 20 OR id = 25") // as an old backup has it
		if r := s.audit(); !slices.Equal(found(r, b...), []string{"missing-row:0:9", "missing-row:1:9", "missing-row:2:1"}) {
			t.Errorf("the loss is %q", found(r, b...))
		}
		would, err := care.Reload(t.Context(), s.of, s.loadState, false)
		must(t, err)
		if would.Batches != 2 || would.Files != 4 || would.Rows != 20 || !slices.Equal(would.Partial, []string{b[2].ID}) || s.count("id <= 20") != 0 {
			t.Errorf("without apply: %+v", would)
		}
		for want := int64(2); want >= 0; want -= 2 {
			done, err := care.Reload(t.Context(), s.of, s.loadState, true)
			must(t, err)
			if done.Batches != want || s.count("id <= 20") != 18 || s.count("id > 20") != 16 {
				t.Errorf("with apply: %+v, the table has %d and %d rows", done, s.count("id <= 20"), s.count("id > 20"))
			}
		}
		if r := s.audit(); !slices.Equal(found(r, b...), []string{"missing-row:2:1"}) || r.Waiting != 1 || r.Refused != 5 {
			t.Errorf("after it: %+v", r)
		}
	})
}

// overtaken is a state in which another writer is faster.
type overtaken struct {
	loader.State
	by func()
}

func (o overtaken) Append(ctx context.Context, a loader.Addition) error {
	o.by()
	return o.State.Append(ctx, a)
}

// Another writer changes the table between the look and the write: the write fails, and is tried again after another look.
func TestReload_LooksAgainAfterAConflict(t *testing.T) {
	server := emulator.PostgreSQL(t, 18)
	for _, c := range []struct {
		name    string
		by      func(s *site, lost, late checkpoint.Batch)
		batches int64
	}{
		{"a loader", func(s *site, _, late checkpoint.Batch) { s.load(late) }, 1},
		{"another reload", func(s *site, lost, late checkpoint.Batch) { s.load(late, lost) }, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSite(t, server, nil)
			lost, kept := s.batch(trip), s.batch(trip)
			s.load(lost, kept)
			s.run("DELETE FROM trips WHERE id <= 10")
			late := s.batch(trip)
			s.outbox.batches = []checkpoint.Batch{late}
			writes := 0
			done, err := care.Reload(t.Context(), s.of, func(ctx context.Context) (loader.State, error) {
				state, err := s.loadState(ctx)
				if writes > 0 {
					return state, err
				}
				return overtaken{state, func() {
					if writes++; writes == 1 {
						c.by(s, lost, late)
					}
				}}, err
			}, true)
			must(t, err)
			if done.Batches != c.batches || writes != 1 || s.count("true") != 30 || s.count("id <= 10") != 10 {
				t.Errorf("%+v after %d writes of the first state; the table has %d rows, %d of them of the batch", done, writes, s.count("true"), s.count("id <= 10"))
			}
		})
	}
}

func TestIdentity_IsThatOfTheTableNow(t *testing.T) {
	server := emulator.PostgreSQL(t, 14)
	s := newSite(t, server, nil)
	identity := func() string {
		uuid, exists, err := s.of.Identity(t.Context())
		must(t, err)
		return fmt.Sprint(exists, uuid != "")
	}
	if got := identity(); got != "false false" {
		t.Errorf("before the table is created: %s", got)
	}
	state, err := s.loadState(t.Context())
	must(t, err)
	uuid, _, err := s.of.Identity(t.Context())
	must(t, err)
	if uuid != state.Definition().UUID || identity() != "true true" {
		t.Errorf("UUID %q, want %q", uuid, state.Definition().UUID)
	}
	s.run("DROP TABLE trips", "CREATE TABLE trips (event_id text)")
	if got := identity(); got != "true false" {
		t.Errorf("of another table: %s", got)
	}
}
