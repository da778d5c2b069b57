package postgres

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/internal/test/emulator"
	"aws-streaming-pipeline/loader"
	"aws-streaming-pipeline/record/table"
)

func (st *state) add(t *testing.T, keep []string, batches ...checkpoint.Batch) error {
	t.Helper()
	return st.Append(t.Context(), loader.Addition{Batches: batches, Keep: keep})
}

// A state that is not the table's any more is refused: because another loader was faster, because its answer was lost, or because a
// promoted standby has come to the same number of commits by another way.
func TestState_IsTheTablesOrConflicts(t *testing.T) {
	s := newStage(t, newest(t), withSchema(numbersSchema))
	one, two := s.batch([]string{`{"n":1}`}), s.batch([]string{`{"n":2}`})
	st := s.load(nil)
	if err := st.add(t, nil, one); err != nil {
		t.Fatal(err)
	}
	for _, b := range []checkpoint.Batch{one, two} {
		if err := st.add(t, nil, b); !errors.Is(err, loader.ErrConflict) {
			t.Errorf("a write on another state ends with %v, want loader.ErrConflict", err)
		}
	}
	st = s.load(nil)
	s.exec("UPDATE pipeline_tables SET state = gen_random_uuid()") // the same number of commits
	if err := st.add(t, nil, two); !errors.Is(err, loader.ErrConflict) {
		t.Errorf("a write on another state with as many commits ends with %v, want loader.ErrConflict", err)
	}
	s.expect("SELECT n FROM trips", `{"n":1}`)
	s.append(two)
	s.expect("SELECT n FROM trips ORDER BY n", `{"n":1}`, `{"n":2}`)
	s.expect("SELECT commits FROM pipeline_tables", `{"commits":2}`)
}

// The table that is dropped and created again is another one, whatever its name is.
func TestTable_IsAnotherOneOnceItWasDropped(t *testing.T) {
	s := newStage(t, newest(t), nil)
	s.append(s.batch([]string{`{}`}))
	old := s.load(nil)
	s.exec("DROP TABLE trips")
	if _, err := s.to.Load(t.Context(), old.Definition()); err == nil || !strings.Contains(err.Error(), "restore it") {
		t.Errorf("a table that is gone: %v, want an error that says to restore it", err)
	}
	s.exec("CREATE TABLE trips (event_id text, record jsonb, _arrived_at timestamptz)")
	now := s.load(old.Definition())
	if now.Definition().UUID == old.Definition().UUID || len(now.Ledger()) > 0 {
		t.Error("the table that was created again is taken for the old one")
	}
	if err := old.add(t, nil, s.batch([]string{`{}`})); !errors.Is(err, loader.ErrConflict) {
		t.Errorf("a write to the old table ends with %v, want loader.ErrConflict", err)
	}
	s.expect("SELECT * FROM trips")
}

// A ledger that is gone is not created again: the batches that it named would be loaded twice.
func TestTable_DoesNotGoOnWithoutItsLedger(t *testing.T) {
	s := newStage(t, newest(t), nil)
	s.append(s.batch([]string{`{}`}))
	before := s.load(nil).Definition()
	s.exec("ALTER TABLE pipeline_ledger RENAME TO kept")
	if _, err := s.to.Load(t.Context(), before); err == nil || !strings.Contains(err.Error(), "restore pipeline_tables, pipeline_ledger") {
		t.Errorf("a ledger that is gone: %v, want an error that says to restore it", err)
	}
	s.exec("ALTER TABLE kept RENAME TO pipeline_ledger")
	if now := s.load(before); len(now.Ledger()) != 1 {
		t.Errorf("the restored ledger names %q, want one batch", now.Ledger())
	}
}

// Rows are made for the columns that were read. If these have changed since, or while the write waits for whoever changes them, the
// bytes would mean something else.
func TestState_ConflictsWhenColumnsHaveChanged(t *testing.T) {
	server := newest(t)
	const number = 4607182418800017408 // as bytes the double precision 1
	for _, change := range []string{
		"ALTER n TYPE double precision", "ALTER n TYPE timestamptz USING now()", "ALTER n TYPE text", "ALTER n TYPE numeric", "DROP n",
		"RENAME n TO m", "ADD more int", "ALTER n SET NOT NULL", "ALTER n TYPE bigint", // nothing
	} {
		t.Run(change, func(t *testing.T) {
			s := newStage(t, server, withSchema(numbersSchema))
			st, b := s.load(nil), s.batch([]string{fmt.Sprintf(`{"n":%d}`, number)})
			if _, err := s.conn.Exec(t.Context(), "BEGIN; ALTER TABLE trips "+change); err != nil {
				t.Fatal(err)
			}
			done := make(chan error, 1)
			go func() { done <- st.Append(t.Context(), loader.Addition{Batches: []checkpoint.Batch{b}}) }()
			for waits := false; !waits; time.Sleep(10 * time.Millisecond) { // for the lock
				if err := s.conn.QueryRow(t.Context(), "SELECT EXISTS (SELECT FROM pg_locks WHERE relation = 'trips'::regclass AND NOT granted)").Scan(&waits); err != nil {
					t.Fatal(err)
				}
			}
			s.exec("COMMIT")
			err := <-done
			if nothing := change == "ALTER n TYPE bigint"; nothing != (err == nil) || !nothing && !errors.Is(err, loader.ErrConflict) {
				t.Fatalf("the write ends with %v, want loader.ErrConflict", err)
			}
			if err == nil {
				s.expect("SELECT n FROM trips", fmt.Sprintf(`{"n":%d}`, number))
				return
			}
			s.expect("SELECT 1 FROM trips UNION SELECT 2 FROM pipeline_refused")
		})
	}
}

// A predecessor that is frozen after its rows are copied holds nobody up who loads the same rows: the unique index would have the
// successor wait, and it ends the predecessor.
func TestTable_EndsAFrozenPredecessor(t *testing.T) {
	s := newStage(t, newest(t), func(o *Options) { withSchema(numbersSchema)(o); o.Unique = true })
	b := s.batch([]string{`{"n":1}`})
	s.load(nil)
	frozen, err := pgx.Connect(t.Context(), s.server.DSN(s.to.URI.Namespace[0]))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = frozen.Close(context.Background()) }()
	hold := func(name string) {
		t.Helper()
		if _, err := frozen.Exec(t.Context(), "BEGIN; SET LOCAL application_name = '"+name+"'; INSERT INTO trips (n, event_id) VALUES (1, '1')"); err != nil {
			t.Fatal(err)
		}
	}
	// The control: whoever is not a loader of this table is waited for.
	hold("psql")
	ctx, cancel := context.WithTimeout(t.Context(), fenceAfter+3*fenceEvery)
	defer cancel()
	if err := s.load(nil).Append(ctx, loader.Addition{Batches: []checkpoint.Batch{b}}); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("the write ends with %v, want it to wait", err)
	}
	if _, err := frozen.Exec(t.Context(), "ROLLBACK"); err != nil {
		t.Fatalf("another client was ended: %v", err)
	}
	hold(applicationName(s.to.Application, s.to.URI))
	ctx, cancel = context.WithTimeout(t.Context(), lockTimeout/2) // when the server would end the wait
	defer cancel()
	if err := s.load(nil).Append(ctx, loader.Addition{Batches: []checkpoint.Batch{b}}); err != nil {
		t.Fatal(err)
	}
	s.expect("SELECT n FROM trips", `{"n":1}`)
	if _, err := frozen.Exec(t.Context(), "COMMIT"); err == nil {
		t.Error("the predecessor was not ended")
	}
}

func TestTable_RefusesServersAndTablesThatCannotKeepThePromise(t *testing.T) {
	server := newest(t)
	for _, c := range []struct {
		name, prepare, want string
		change              func(*Options)
	}{
		{"no table", "", "consumer ddl --postgres", func(o *Options) { o.Create = false }},
		{"unlogged", "CREATE UNLOGGED TABLE trips (n int)", "permanent", nil},
		{"view", "CREATE VIEW trips AS SELECT 1 AS n", "neither a table", nil},
		{"required", "CREATE TABLE trips (n int, x bytea NOT NULL)", "column x is NOT NULL", nil},
		{"key without index", "CREATE TABLE trips (n int NOT NULL)", "no unique index", func(o *Options) { o.Key = []string{"n"} }},
		{"key may be null", "CREATE TABLE trips (n int UNIQUE)", "want NOT NULL", func(o *Options) { o.Key = []string{"n"} }},
		{"no such key", "", "POSTGRES_KEY", func(o *Options) { o.Key = []string{"n"} }},
		{"read only", "ALTER DATABASE %s SET default_transaction_read_only = on", "default_transaction_read_only", nil},
		{"no right", "CREATE TABLE trips (n int); CREATE ROLE weak_%[1]s LOGIN; GRANT CREATE ON SCHEMA public TO weak_%[1]s", "GRANT INSERT", asWeak},
		{"policies", "CREATE TABLE trips (n int); ALTER TABLE trips ENABLE ROW LEVEL SECURITY; CREATE ROLE weak_%[1]s LOGIN; " +
			"GRANT CREATE ON SCHEMA public TO weak_%[1]s; GRANT INSERT ON trips TO weak_%[1]s", "BYPASSRLS", asWeak},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStage(t, server, c.change)
			if c.prepare != "" {
				prepare := c.prepare
				if strings.Contains(prepare, "%") {
					prepare = fmt.Sprintf(prepare, s.to.URI.Namespace[0])
				}
				s.exec(prepare)
			}
			if _, err := s.to.Load(t.Context(), nil); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("loading ends with %v, want %q", err, c.want)
			}
		})
	}
}

// asWeak has a table used by a role with few rights.
func asWeak(o *Options) {
	connect := o.Connect
	o.Connect = func(ctx context.Context) (*pgx.Conn, error) {
		conn, err := connect(ctx)
		if err == nil {
			_, err = conn.Exec(ctx, "SET ROLE weak_"+o.URI.Namespace[0])
		}
		return conn, err
	}
}

// A batch is settled when it cannot be lost any more, by the database's clock, and only if the database still has it.
func TestState_SettlesWhatIsOldEnough(t *testing.T) {
	s := newStage(t, newest(t), func(o *Options) { withSchema(numbersSchema)(o); o.Failover = time.Hour })
	old, young, lost := s.batch([]string{`{"n":1}`, `{"n":"x"}`}), s.batch([]string{`{"n":2}`}), s.batch([]string{`{"n":3}`})
	s.append(old, young, lost)
	st := s.load(nil)
	settle := func(want ...string) {
		t.Helper()
		ids, err := st.Settle(t.Context(), []string{old.ID, young.ID, lost.ID})
		if err != nil || strings.Join(ids, " ") != strings.Join(want, " ") {
			t.Errorf("settled %q, %v; want %q", ids, err, want)
		}
	}
	settle()
	if n := len(s.errorLines()); n != 0 {
		t.Errorf("%d error records of a batch that may be lost", n)
	}
	s.exec("UPDATE pipeline_ledger SET loaded_at = now() - interval '61 min' WHERE batch <> '" + young.ID + "'; DELETE FROM pipeline_ledger WHERE batch = '" + lost.ID + "'")
	settle(old.ID)
	before := fmt.Sprint(s.bucket.objects)
	settle(old.ID)
	if fmt.Sprint(s.bucket.objects) != before || total(s.errorLines()) != 1 {
		t.Error("settling again changes the error objects, or there is not one error record")
	}
	if err := s.load(nil).add(t, []string{young.ID}, s.batch([]string{`{}`})); err != nil {
		t.Fatal(err)
	}
	s.expect("SELECT count(*) FROM pipeline_refused", `{"count":0}`)
}

// Of the records with one key the one with the greatest sequence number is in the table, in whatever order they come.
func TestTable_ReplacesRowsByKey(t *testing.T) {
	eachServer(t, func(t *testing.T, server *emulator.PostgreSQLServer) {
		s := newStage(t, server, func(o *Options) {
			withSchema(`{"properties":{"id":{"type":"integer"},"part":{"type":"string"},"n":{"type":"integer"}}}`)(o)
			o.Key = []string{"id", "part"}
		})
		older := s.batch([]string{`{"id":1,"part":"a","n":1}`, `{"id":2,"part":"a","n":1}`, `{"id":4,"part":"a","n":1}`})
		newer := s.batch([]string{`{"id":1,"part":"a","n":2}`, `{"id":1,"part":"a","n":3}`, `{"id":1,"part":"b","n":4}`, `{"id":"x"}`, `{"part":"a"}`, `{"id":2,"part":"a"}`})
		s.load(nil)
		s.exec("ALTER TABLE trips ADD CHECK (n <> 4)")
		s.append(newer)
		s.append(older)
		s.expect("SELECT id, part, n, _sequence FROM trips ORDER BY id, part", `{"id":1,"part":"a","n":3,"_sequence":5}`,
			`{"id":2,"part":"a","n":null,"_sequence":9}`, `{"id":4,"part":"a","n":1,"_sequence":3}`)
		_, lines := s.settle()
		if total(lines) != 3 {
			t.Errorf("%d error records, want 3: a check, a value and a missing key", total(lines))
		}
	})
}

// A member with the name of the column that orders the rows stays in _extra.
func TestTable_KeepsAMemberNamedLikeItsOwnColumn(t *testing.T) {
	s := newStage(t, newest(t), func(o *Options) {
		withSchema(`{"properties":{"id":{"type":"integer"},"_sequence":{"type":"integer"}}}`)(o)
		o.Key = []string{"id"}
	})
	s.append(s.batch([]string{`{"id":1,"_sequence":9}`}))
	s.expect("SELECT id, _sequence, _extra FROM trips", `{"id":1,"_sequence":1,"_extra":{"_sequence":9}}`)
	if wanted, err := s.load(nil).Check(nil); err != nil || len(wanted) > 0 {
		t.Errorf("the table wants %v, %v; want nothing", wanted, err)
	}
}

func TestSequence_OrdersRecords(t *testing.T) {
	for id, want := range map[string]string{
		"49590338271490256608559692538361571095921575989136588898": "49590338271490256608559692538361571095921575989136588898",
		"7-3": "7.0000000003", "7-3-12": "7.00000000030000000012", "": "", "abc": "", "7-x": "", "7--1": "", "7-3-12-4": "7.000000000300000000120000000004", "7-1-2-3-4": "",
	} {
		if got := string(appendSequence(nil, []byte(id))); got != want {
			t.Errorf("%q: got %q, want %q", id, got, want)
		}
	}
}

func TestTable_MakesPartitionsByDay(t *testing.T) {
	eachServer(t, func(t *testing.T, server *emulator.PostgreSQLServer) {
		s := newStage(t, server, func(o *Options) { withSchema(numbersSchema)(o); o.Daily, o.Unique = true, true })
		day := func(n int) time.Time { return dayOf(time.Now()).AddDate(0, 0, -n) }
		at := func(n int, arrived time.Time) string {
			return fmt.Sprintf(`{"n":%d,"_arrived_at":%q}`, n, arrived.Format("2006-01-02T15:04:05.000Z"))
		}
		s.load(nil)
		month := day(200)
		s.exec(fmt.Sprintf("CREATE TABLE owners PARTITION OF trips FOR VALUES FROM ('%s') TO ('%s')", month.Format(time.DateOnly), month.AddDate(0, 0, 30).Format(time.DateOnly)))
		absurd := time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)
		b := s.batch([]string{at(1, day(1)), at(2, day(0)), at(3, day(30)), at(4, absurd), at(5, time.Unix(0, 0)), at(6, day(0).Add(-time.Millisecond)), at(7, month.Add(time.Hour))})
		b.Ranges[0].FirstArrival, b.Ranges[0].LastArrival = time.Unix(0, 0), absurd // nobody's word is taken for it
		b.Ranges = nil
		s.append(b)
		part := func(n int) string { return "trips_" + day(n).Format("20060102") }
		s.expect("SELECT n, tableoid::regclass AS part FROM trips ORDER BY n", fmt.Sprintf(`{"n":1,"part":%q}`, part(1)), fmt.Sprintf(`{"n":2,"part":%q}`, part(0)),
			fmt.Sprintf(`{"n":3,"part":%q}`, part(30)), `{"n":4,"part":"trips_default"}`, `{"n":5,"part":"trips_default"}`, fmt.Sprintf(`{"n":6,"part":%q}`, part(1)), `{"n":7,"part":"owners"}`)
		c := s.batch([]string{at(8, day(2)), at(9, day(1))})
		c.Ranges[0].FirstArrival, c.Ranges[0].LastArrival = day(2), day(1).Add(time.Hour)
		s.append(c)
		if n := s.bucket.gets[c.Files[0].Key]; n != 1 {
			t.Errorf("the file of a batch that says when its records arrived was read %d times, want once", n)
		}
		s.expect("SELECT count(*) FROM pg_inherits WHERE inhparent = 'trips'::regclass", `{"count":6}`)
		s.expect("SELECT rows, refused FROM pipeline_ledger ORDER BY rows", `{"rows":2,"refused":0}`, `{"rows":7,"refused":0}`)
	})
}

// The partition for tomorrow is there before its first row. A reader may keep it from being made for a while; another time it is.
func TestTable_MakesTomorrowsPartition(t *testing.T) {
	s := newStage(t, newest(t), func(o *Options) { o.Daily = true })
	s.load(nil)
	reader := s.server.Connect(t, s.to.URI.Namespace[0])
	if _, err := reader.Exec(t.Context(), "BEGIN; SELECT count(*) FROM trips"); err != nil {
		t.Fatal(err)
	}
	if err := s.to.Care(t.Context()); !isCode(err, "55P03") {
		t.Errorf("while somebody reads: %v, want a lock timeout", err)
	}
	if _, err := reader.Exec(t.Context(), "COMMIT"); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := s.to.Care(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	s.expect("SELECT count(*) FROM pg_inherits WHERE inhparent = 'trips'::regclass", `{"count":2}`)

	undivided := newStage(t, newest(t), nil)
	undivided.load(nil)
	if err := undivided.to.Care(t.Context()); err != nil {
		t.Errorf("a table without partitions: %v", err)
	}
}

// Two loaders that make the same partitions at once, and append.
func TestTable_MakesPartitionsOnceForTwoLoaders(t *testing.T) {
	s := newStage(t, newest(t), func(o *Options) { o.Daily = true })
	s.load(nil)
	var lines []string
	for i := range 20 {
		lines = append(lines, fmt.Sprintf(`{"_arrived_at":%q}`, time.Now().UTC().AddDate(0, 0, -i).Format("2006-01-02T15:04:05.000Z")))
	}
	b := s.batch(lines)
	other, err := New(s.to.Options)
	if err != nil {
		t.Fatal(err)
	}
	errs := make(chan error, 2)
	for _, d := range []*Table{s.to, other} {
		go func() {
			st, err := d.Load(t.Context(), nil)
			if err == nil {
				err = st.Append(t.Context(), loader.Addition{Batches: []checkpoint.Batch{b}})
			}
			errs <- err
		}()
	}
	a, z := <-errs, <-errs
	if err := errors.Join(a, z); err != nil && (!errors.Is(err, loader.ErrConflict) || a != nil && z != nil) {
		t.Errorf("two loaders end with %v and %v, want one of them to succeed, and the other to conflict at most", a, z)
	}
	s.expect("SELECT count(*) FROM trips", `{"count":20}`)
	s.expect("SELECT count(*) FROM trips_default", `{"count":0}`)
}

func TestState_EvolvesByTheSchema(t *testing.T) {
	eachServer(t, func(t *testing.T, server *emulator.PostgreSQLServer) {
		s := newStage(t, server, withSchema(`{"properties":{"n":{"type":"integer"},"gone":{"type":"string"},"named":{"type":"string"},"fare":{"x-parquet":"decimal(5,2)"},
			"i":{"x-parquet":"int32"},"owners":{"type":"string"}}}`))
		first := s.load(nil)
		s.exec(`ALTER TABLE trips DROP gone; ALTER TABLE trips RENAME named TO other; ALTER TABLE trips ALTER owners TYPE int USING NULL`)
		s.to.Schema = mustSchema(`{"properties":{"n":{"type":"integer"},"gone":{"type":"string"},"named":{"type":"string"},"fare":{"x-parquet":"decimal(9,2)"},
			"i":{"type":"integer"},"owners":{"type":"string"},"fresh":{"type":"array","items":{"type":"integer"}},"deep":{"type":"object","properties":{"k":{"type":"string"}}},
			"ctid":{"type":"string"},"` + strings.Repeat("x", 64) + `":{"type":"string"}}}`)
		st := s.load(first.Definition())
		wanted, err := st.Check(&checkpoint.File{})
		if err != nil {
			t.Fatal(err)
		}
		late := *st
		changed, refused, err := st.Evolve(t.Context(), wanted)
		if err != nil || !changed || len(refused) != 2 {
			t.Errorf("changed %t, refused %v, error %v; want a change, and the two bad names refused", changed, refused, err)
		}
		if _, _, err := late.Evolve(t.Context(), []table.Column{{Name: "late", Member: "late", Type: "string"}}); !errors.Is(err, loader.ErrConflict) {
			t.Errorf("a change of a table that has changed ends with %v, want loader.ErrConflict", err)
		}
		st = s.load(first.Definition())
		if wanted, err := st.Check(&checkpoint.File{}); err != nil || len(wanted) != 2 {
			t.Errorf("then wanted are %v, %v; want the two bad names", wanted, err)
		}
		if err := st.add(t, nil, s.batch([]string{`{"n":1,"gone":"g","named":"m","fare":1234567.89,"i":9000000000,"fresh":[1],"deep":{"k":"v"},"ctid":"c"}`})); err != nil {
			t.Fatal(err)
		}
		s.expect("SELECT n, other, fare, i, fresh, deep, _extra FROM trips",
			`{"n":1,"other":"m","fare":1234567.89,"i":9000000000,"fresh":[1],"deep":{"k":"v"},"_extra":{"gone":"g","ctid":"c"}}`)
	})
}

// Who reads the table for long holds up a change of it, but not the loader, nor those who read it, for longer than a moment.
func TestState_DoesNotWaitLongToEvolve(t *testing.T) {
	s := newStage(t, newest(t), withSchema(numbersSchema))
	st := s.load(nil)
	s.exec("BEGIN; SELECT count(*) FROM trips")
	if changed, _, err := st.Evolve(t.Context(), []table.Column{{Name: "x", Member: "x", Type: "string"}}); changed || !isCode(err, "55P03") {
		t.Errorf("changed %t, error %v; want it to give up", changed, err)
	}
	if err := st.add(t, nil, s.batch([]string{`{"n":1}`})); err != nil {
		t.Errorf("a write meanwhile ends with %v", err)
	}
	s.exec("COMMIT")
}

// A table of the owner's: columns by their names, with defaults and generated ones left alone, in a schema with an odd name.
func TestTable_FillsATableOfItsOwners(t *testing.T) {
	s := newStage(t, newest(t), func(o *Options) { o.URI.Namespace[1] = `O"dd`; o.URI.Table = `tr"ips; --` })
	name := `"O""dd"."tr""ips; --"`
	s.exec(`CREATE SCHEMA "O""dd"; CREATE TABLE ` + name + ` (id bigserial PRIMARY KEY, always int GENERATED ALWAYS AS IDENTITY, n numeric, "a ""b" text,
		twice numeric GENERATED ALWAYS AS (n * 2) STORED, at timestamptz DEFAULT now(), addr inet)`)
	s.append(s.batch([]string{`{"n":1.5,"a \"b":"x","id":99,"at":"never","addr":"::1","more":true}`}))
	s.expect(`SELECT id, always, n, "a ""b", twice, at > now() - interval '1 min' AS at, addr, event_id, _extra FROM `+name,
		`{"id":1,"always":1,"n":1.5,"a \"b":"x","twice":3.0,"at":true,"addr":null,"event_id":"1","_extra":{"id":99,"at":"never","addr":"::1","more":true}}`)
}

// A file that is gone or damaged is its batch's own problem: the loader writes the others.
func TestState_NamesTheBatchOfABadFile(t *testing.T) {
	s := newStage(t, newest(t), withSchema(numbersSchema))
	for want, spoil := range map[loader.Reason]func(key string){
		loader.FileLost: func(key string) { delete(s.bucket.objects, key) },
		loader.FileTorn: func(key string) {
			text := s.bucket.objects[key]
			s.bucket.objects[key] = bytes.Repeat([]byte(" "), len(text))
		},
	} {
		good, bad := s.batch([]string{`{"n":1}`}), s.batch([]string{`{"n":2}`}, []string{`{"n":3}`})
		for range 20 { // some of which are open already
			good.Files = append(good.Files, s.batch([]string{`{"n":4}`}).Files...)
		}
		spoil(bad.Files[1].Key)
		err := s.load(nil).add(t, nil, bad, good)
		p, ok := errors.AsType[*loader.Problem](err)
		if !ok || p.Batch != bad.ID || p.Reason != want {
			t.Errorf("%s: the write ends with %v, want the batch named", want, err)
		}
	}
	s.expect("SELECT n FROM trips")
}

// A commit waits for the disk, and a long write is not ended, whatever the role and the database are set to.
func TestTable_OverridesSettingsThatWouldLoseRows(t *testing.T) {
	s := newStage(t, newest(t), withSchema(numbersSchema))
	s.load(nil)
	database := s.to.URI.Namespace[0]
	s.exec("ALTER DATABASE " + database + " SET synchronous_commit = off; ALTER DATABASE " + database + " SET statement_timeout = '1min'; " +
		"ALTER DATABASE " + database + " SET transaction_timeout = '1min'; ALTER DATABASE " + database + " SET search_path = nowhere; " +
		"ALTER DATABASE " + database + " SET default_transaction_isolation = serializable")
	for _, setting := range []string{"synchronous_commit", "statement_timeout", "transaction_timeout", "search_path", "transaction_isolation"} {
		s.exec(fmt.Sprintf("ALTER TABLE trips ADD %[1]s text DEFAULT current_setting('%[1]s')", setting))
	}
	s.append(s.batch([]string{`{"n":1}`}))
	s.expect("SELECT synchronous_commit, statement_timeout, transaction_timeout, search_path, transaction_isolation FROM trips",
		`{"synchronous_commit":"on","statement_timeout":"0","transaction_timeout":"0","search_path":"pg_catalog, public, pg_temp","transaction_isolation":"read committed"}`)
	s.exec("ALTER DATABASE " + database + " SET synchronous_commit = remote_apply")
	s.append(s.batch([]string{`{"n":2}`}))
	s.expect("SELECT synchronous_commit FROM trips WHERE n = 2", `{"synchronous_commit":"remote_apply"}`)
}

func TestTable_RefusesAStandby(t *testing.T) {
	server := newest(t)
	s := newStage(t, server, nil)
	s.append(s.batch([]string{`{}`}))
	settled := s.load(nil)
	standby := server.Standby(t)
	s.to.Connect = func(ctx context.Context) (*pgx.Conn, error) {
		return pgx.Connect(ctx, standby.DSN(s.to.URI.Namespace[0]))
	}
	if _, err := s.to.Load(t.Context(), nil); err == nil || !strings.Contains(err.Error(), "is a standby") {
		t.Errorf("loading ends with %v, want the standby refused", err)
	}
	if ids, err := settled.Settle(t.Context(), settled.Ledger()); err == nil || len(ids) > 0 {
		t.Errorf("a standby settles %q, %v", ids, err)
	}
}
