package postgres

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"aws-streaming-pipeline/internal/test/emulator"
)

const numbersSchema = `{"properties":{"n":{"type":"integer"},"text":{"type":"string"}}}`

// A row that the database refuses goes to the error prefix with the reason; the others are in the table.
func TestTable_RefusesByRow(t *testing.T) {
	eachServer(t, func(t *testing.T, server *emulator.PostgreSQLServer) {
		s := newStage(t, server, withSchema(numbersSchema))
		s.load(nil)
		s.exec(`CREATE TYPE mood AS ENUM ('sad', 'ok'); CREATE DOMAIN small AS int CHECK (VALUE < 100); CREATE TABLE known (n int8 PRIMARY KEY);
			INSERT INTO known SELECT generate_series(0, 1000);
			ALTER TABLE trips ADD CHECK (n <> 13), ADD mood mood, ADD small small, ADD FOREIGN KEY (n) REFERENCES known, ADD late int8;
			CREATE UNIQUE INDEX ON trips (text); ALTER TABLE trips ADD CONSTRAINT later UNIQUE (late) DEFERRABLE INITIALLY DEFERRED;
			CREATE FUNCTION public.no() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF NEW.n = 77 THEN RAISE 'not on %', NEW.n; END IF; RETURN NEW; END $$;
			CREATE TRIGGER no AFTER INSERT ON trips FOR EACH ROW EXECUTE FUNCTION no()`)
		long := strings.Repeat("0123456789abcdef", 50)
		for i := range 8 {
			long += fmt.Sprintf("%x", i) + strings.ToUpper(long[:300])
		}
		b := s.batch([]string{
			`{"n":1}`, `{"n":"secret"}`, `{"n":99999999999999999999}`, `{"n":13}`, `{"n":2,"mood":"secret"}`, `{"n":3,"small":100}`, `{"n":5000}`,
			`{"n":4,"text":"a\u0000b"}`, `{"n":77}`, `{"n":5,"text":"twice"}`, `{"n":6,"text":"twice"}`, `{"n":7,"late":1}`, `{"n":8,"late":1}`,
		}, []string{`{"n":9,"more":{"k":[1]}}`, `{"n":13,"more":{"k":[1]}}`})
		s.append(b)
		s.expect(`SELECT n FROM trips ORDER BY n`, `{"n":1}`, `{"n":5}`, `{"n":7}`, `{"n":9}`)
		s.expect(`SELECT rows, refused FROM pipeline_ledger`, `{"rows":4,"refused":11}`)
		ids, lines := s.settle()
		if !slices.Equal(ids, []string{b.ID}) {
			t.Errorf("settled %q, want the batch", ids)
		}
		got := make(map[string][]string)
		for message, list := range lines {
			for _, l := range list {
				got[l.Record.SequenceNumber] = append(got[l.Record.SequenceNumber], message, string(l.Record.Data), l.Record.Shard, l.Record.Fault.Code)
			}
		}
		for id, want := range map[string][2]string{
			"2": {"SQLSTATE 22P02, column n", `{"n":"secret"}`}, "3": {"SQLSTATE 22003, column n", `{"n":99999999999999999999}`},
			"4": {"SQLSTATE 23514", `{"n":13}`}, "5": {"SQLSTATE 22P02", `{"n":2,"mood":"secret"}`}, "6": {"SQLSTATE 23514", `{"n":3,"small":100}`},
			"7": {"SQLSTATE 23503", `{"n":5000}`}, "8": {"SQLSTATE 22", `{"n":4,"text":"a\u0000b"}`}, "9": {"SQLSTATE P0001: not on 77", `{"n":77}`},
			"11": {"SQLSTATE 23505", `{"n":6,"text":"twice"}`}, "13": {"SQLSTATE 23505", `{"n":8,"late":1}`}, "15": {"SQLSTATE 23514", `{"n":13,"more":{"k":[1]}}`},
		} {
			line := got[id]
			delete(got, id)
			if len(line) != 4 || !strings.HasPrefix(line[0], want[0]) || line[1] != want[1] || line[2] != "shardId-000000000000" || line[3] != "Postgres.Refused" {
				t.Errorf("record %s: %q, want %q once", id, line, want)
			} else if strings.Contains(line[0], "secret") {
				t.Errorf("record %s: the message %q has a value", id, line[0])
			}
		}
		if len(got) > 0 {
			t.Errorf("other error records: %q", got)
		}
	})
}

// Whatever a trigger raises for a row is about that row.
func TestTable_RefusesWhatTriggersRaise(t *testing.T) {
	s := newStage(t, newest(t), withSchema(numbersSchema))
	s.load(nil)
	s.exec(`CREATE FUNCTION public.no() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
		CASE NEW.n WHEN 1 THEN NULL;
			WHEN 2 THEN RAISE 'no' USING ERRCODE = 'MY001';
			WHEN 3 THEN NEW.n := (SELECT v FROM generate_series(1, 2) v);
			WHEN 4 THEN SELECT v INTO STRICT NEW.n FROM generate_series(1, 0) v;
			WHEN 5 THEN ASSERT false;
			WHEN 6 THEN RAISE external_routine_exception;
			WHEN 7 THEN RAISE 'no' USING ERRCODE = '45000';
			WHEN 8 THEN RAISE insufficient_resources;
		END CASE; RETURN NEW; END $$;
		CREATE TRIGGER no BEFORE INSERT ON trips FOR EACH ROW EXECUTE FUNCTION no()`)
	s.append(s.batch([]string{`{"n":1}`, `{"n":2}`, `{"n":3}`, `{"n":4}`, `{"n":5}`, `{"n":6}`, `{"n":7}`, `{"n":9}`}))
	s.expect("SELECT n FROM trips", `{"n":1}`)
	s.expect("SELECT sqlstate FROM pipeline_refused ORDER BY number", `{"sqlstate":"MY001"}`, `{"sqlstate":"21000"}`, `{"sqlstate":"P0002"}`,
		`{"sqlstate":"P0004"}`, `{"sqlstate":"38000"}`, `{"sqlstate":"45000"}`, `{"sqlstate":"20000"}`)
	// The control: what is about the server is tried again.
	if err := s.load(nil).add(t, nil, s.batch([]string{`{"n":8}`})); !isCode(err, "53000") {
		t.Errorf("a lack of resources ends with %v, want it to fail the write", err)
	}
}

// Two values that differ may be the same key for the index, which PostgreSQL finds only when it writes the second.
func TestTable_ReplacesRowsByTheIndexsCollation(t *testing.T) {
	s := newStage(t, newest(t), func(o *Options) { o.Key = []string{"id"} })
	s.exec(`CREATE TABLE trips (id text NOT NULL, n int, _sequence numeric, event_id text);
		CREATE COLLATION either (provider = icu, locale = 'und-u-ks-level2', deterministic = false); CREATE UNIQUE INDEX ON trips (id COLLATE either)`)
	s.append(s.batch([]string{`{"id":"a","n":1}`, `{"id":"A","n":2}`, `{"id":"b","n":3}`}))
	s.expect("SELECT n FROM trips ORDER BY n", `{"n":2}`, `{"n":3}`)
}

// Whatever the role or the database has set by default, rows are loaded, refused and settled.
func TestTable_DoesNotDependOnTheSettingsOfTheDatabase(t *testing.T) {
	s := newStage(t, newest(t), withSchema(numbersSchema))
	for _, setting := range []string{
		"bytea_output = 'escape'", "DateStyle = 'German'", "IntervalStyle = 'sql_standard'", "TimeZone = 'Asia/Tokyo'",
		"standard_conforming_strings = off", "search_path = 'nowhere'", "default_transaction_isolation = 'serializable'", "array_nulls = off",
	} {
		s.exec("ALTER DATABASE " + s.to.URI.Namespace[0] + " SET " + setting)
	}
	b := s.batch([]string{`{"n":1}`, `{"n":"x"}`})
	s.append(b)
	if ids, lines := s.settle(); !slices.Equal(ids, []string{b.ID}) || total(lines) != 1 {
		t.Errorf("settled %q with %d error records, want the batch and one", ids, total(lines))
	}
	s.expect("SELECT n, _arrived_at FROM trips", fmt.Sprintf(`{"n":1,"_arrived_at":%q}`, began.Add(time.Millisecond).Format("2006-01-02T15:04:05.000+00:00")))
}

// 10,000 rows of which 100 are refused, by a check that the error of COPY names or by a foreign key that it does not name.
func TestTable_FindsFewRefusedRowsWithFewTries(t *testing.T) {
	server := newest(t)
	for _, c := range []struct {
		name, constraint string
		refused          func(i int) bool
		most             float64 // copies of a row on average
	}{
		{"check", "CHECK (n >= 0)", func(i int) bool { return i%100 == 50 }, 3},
		{"foreign key", "FOREIGN KEY (n) REFERENCES known", func(i int) bool { return i%100 == 50 }, 8},
		{"one of all, foreign key", "FOREIGN KEY (n) REFERENCES known", func(i int) bool { return i == 7777 }, 4},
		{"all, check", "CHECK (n >= 0)", func(i int) bool { return true }, 3},
		{"all, foreign key", "FOREIGN KEY (n) REFERENCES known", func(i int) bool { return true }, 4},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStage(t, server, withSchema(numbersSchema))
			s.load(nil)
			const rows = 10_000
			s.exec(`CREATE TABLE known (n int8 PRIMARY KEY); INSERT INTO known SELECT generate_series(1, 10000); ALTER TABLE trips ADD ` + c.constraint +
				`; CREATE SEQUENCE tries; ALTER TABLE trips ADD try int8 DEFAULT nextval('tries')`)
			var lines []string
			want := 0
			for i := range rows {
				n := i + 1
				if c.refused(i) {
					n = -n
					want++
				}
				lines = append(lines, fmt.Sprintf(`{"n":%d}`, n))
			}
			s.append(s.batch(lines))
			s.expect(`SELECT rows, refused FROM pipeline_ledger`, fmt.Sprintf(`{"rows":%d,"refused":%d}`, rows-want, want))
			s.expect(`SELECT count(*), count(DISTINCT n) AS differ FROM trips`, fmt.Sprintf(`{"count":%d,"differ":%d}`, rows-want, rows-want))
			s.expect(`SELECT count(DISTINCT event_id) AS ids FROM pipeline_refused`, fmt.Sprintf(`{"ids":%d}`, want))
			var copies int
			if err := s.conn.QueryRow(t.Context(), "SELECT last_value FROM tries").Scan(&copies); err != nil {
				t.Fatal(err)
			}
			t.Logf("%d rows were copied %d times", rows, copies)
			if float64(copies) > c.most*rows {
				t.Errorf("%d rows were copied %d times, want at most %v times as often", rows, copies, c.most)
			}
			if _, lines := s.settle(); want != total(lines) {
				t.Errorf("%d error records, want %d", total(lines), want)
			}
		})
	}
}

func total[K comparable, V any](lists map[K][]V) (n int) {
	for _, l := range lists {
		n += len(l)
	}
	return n
}
