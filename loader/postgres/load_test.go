package postgres

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/internal/test/emulator"
	"aws-streaming-pipeline/loader"
	"aws-streaming-pipeline/record/table"
)

func gunzip(t testing.TB, packed []byte) []string {
	t.Helper()
	z, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
}

const tripSchema = `{"properties":{
	"fare":{"x-parquet":"decimal(9,2)"}, "riders":{"type":"integer","x-parquet":"int32"}, "meters":{"type":"integer"}, "tip":{"type":"number"}, "paid":{"type":"boolean"},
	"zone":{"type":"string"}, "day":{"type":"string","format":"date"}, "at":{"type":"string","format":"date-time"},
	"tags":{"type":"array","items":{"type":"string"}}, "stops":{"type":"array","items":{"type":"object","properties":{"n":{"type":"integer"}}}},
	"driver":{"type":"object","properties":{"name":{"type":"string"}}}, "any":{}}}`

func TestTable_IsCreatedFromTheSchema(t *testing.T) {
	eachServer(t, func(t *testing.T, server *emulator.PostgreSQLServer) {
		s := newStage(t, server, withSchema(tripSchema))
		s.append(s.batch([]string{
			`{"fare":12.5,"riders":2,"meters":9000000000,"tip":0.1,"paid":true,"zone":"O'Hare \"T1\"","day":"2026-01-31","at":"2026-01-31T12:00:00.123456Z",` +
				`"tags":["a","b, c"],"stops":[{"n":1}],"driver":{"name":"Zoë"},"any":[1,{"x":null}],"unknown":{"k":1}}`, `{}`,
		}))
		s.expect(`SELECT a.attname, format_type(a.atttypid, a.atttypmod) FROM pg_attribute a WHERE attrelid = 'trips'::regclass AND attnum > 0 ORDER BY attnum`,
			`{"attname":"fare","format_type":"numeric(9,2)"}`, `{"attname":"riders","format_type":"integer"}`, `{"attname":"meters","format_type":"bigint"}`,
			`{"attname":"tip","format_type":"double precision"}`, `{"attname":"paid","format_type":"boolean"}`, `{"attname":"zone","format_type":"text"}`,
			`{"attname":"day","format_type":"date"}`, `{"attname":"at","format_type":"timestamp with time zone"}`, `{"attname":"tags","format_type":"text[]"}`,
			`{"attname":"stops","format_type":"jsonb"}`, `{"attname":"driver","format_type":"jsonb"}`, `{"attname":"any","format_type":"jsonb"}`,
			`{"attname":"event_id","format_type":"text"}`, `{"attname":"_arrived_at","format_type":"timestamp with time zone"}`, `{"attname":"_extra","format_type":"jsonb"}`)
		s.exec("SET TimeZone = 'UTC'")
		s.expect(`SELECT * FROM (SELECT fare, riders, meters, tip, paid, zone, day, at, tags, stops, driver, "any", event_id, _extra FROM trips ORDER BY event_id) q`,
			`{"fare":12.50,"riders":2,"meters":9000000000,"tip":0.1,"paid":true,"zone":"O'Hare \"T1\"","day":"2026-01-31","at":"2026-01-31T12:00:00.123456+00:00",`+
				`"tags":["a","b, c"],"stops":[{"n":1}],"driver":{"name":"Zoë"},"any":[1,{"x":null}],"event_id":"1","_extra":{"unknown":{"k":1}}}`,
			`{"fare":null,"riders":null,"meters":null,"tip":null,"paid":null,"zone":null,"day":null,"at":null,"tags":null,"stops":null,"driver":null,"any":null,"event_id":"2","_extra":null}`)
		s.expect(`SELECT rows, refused FROM pipeline_ledger`, `{"rows":2,"refused":0}`)
	})
}

func TestTable_HasWholeRecordsWithoutASchema(t *testing.T) {
	s := newStage(t, newest(t), nil)
	s.append(s.batch([]string{`{"a":1,"b":{"c":[]}}`, `{"zone":"x"}`}))
	s.expect(`SELECT event_id, _arrived_at IS NOT NULL AS at, record FROM trips ORDER BY event_id`,
		`{"event_id":"1","at":true,"record":{"a":1,"b":{"c":[]}}}`, `{"event_id":"2","at":true,"record":{"zone":"x"}}`)
}

// The loader needs few rights where somebody else has created the tables by the printed statements.
func TestTable_NeedsFewRights(t *testing.T) {
	eachServer(t, func(t *testing.T, server *emulator.PostgreSQLServer) {
		for _, key := range []string{"", "n"} {
			s := newStage(t, server, func(o *Options) {
				withSchema(numbersSchema)(o)
				o.Create = false
				if key != "" {
					o.Key = []string{key}
				}
				connect, role := o.Connect, "weak_"+o.URI.Namespace[0]
				o.Connect = func(ctx context.Context) (*pgx.Conn, error) {
					conn, err := connect(ctx)
					if err == nil {
						_, err = conn.Exec(ctx, "SET SESSION AUTHORIZATION "+role)
					}
					return conn, err
				}
			})
			statements, err := s.to.ddl.Create()
			if err != nil {
				t.Fatal(err)
			}
			for _, statement := range append(statements, s.to.ddl.LedgerTables()...) {
				s.exec(statement)
			}
			role := "weak_" + s.to.URI.Namespace[0]
			s.exec("CREATE ROLE " + role + " LOGIN; GRANT INSERT ON trips TO " + role + "; GRANT SELECT, INSERT, UPDATE ON pipeline_tables, pipeline_complete TO " + role + "; GRANT SELECT, INSERT, DELETE ON pipeline_ledger, pipeline_refused TO " + role)
			if key != "" {
				s.exec("GRANT SELECT, UPDATE ON trips TO " + role)
			}
			s.append(s.batch([]string{`{"n":1}`, `{"n":"x"}`}))
			s.settle()
			s.expect("SELECT n FROM trips", `{"n":1}`)
			if changed, refused, err := s.load(nil).Evolve(t.Context(), []table.Column{{Name: "x", Member: "x", Type: "string"}}); changed || len(refused) != 1 || err != nil {
				t.Errorf("changed %t, refused %v, error %v; want the column refused", changed, refused, err)
			}
		}
	})
}

// What fills a column outlives its renaming, also that of the pipeline's own columns.
func TestTable_FillsRenamedColumns(t *testing.T) {
	s := newStage(t, newest(t), nil)
	before := s.load(nil).Definition()
	s.exec("ALTER TABLE trips RENAME record TO body; ALTER TABLE trips RENAME event_id TO id; ALTER TABLE trips RENAME _arrived_at TO at")
	st := s.load(before)
	if err := st.add(t, nil, s.batch([]string{`{"n":1}`})); err != nil {
		t.Fatal(err)
	}
	s.expect("SELECT id, body, at IS NOT NULL AS at FROM trips", `{"id":"1","body":{"n":1},"at":true}`)
}

func TestState_TellsHowManyRowsWereRefused(t *testing.T) {
	s := newStage(t, newest(t), nil)
	fair, foul := s.batch([]string{`{"n":1}`}), s.batch([]string{`{"n":2}`, `{"text":"a\u0000b"}`}, []string{`{"text":"\u0000"}`})
	s.append(fair, foul)
	st := s.load(nil)
	if none, two, unknown := st.Refused(fair.ID), st.Refused(foul.ID), st.Refused("another"); none != 0 || two != 2 || unknown != 0 {
		t.Errorf("refused are %d, %d and %d rows, want 0, 2 and 0", none, two, unknown)
	}
}

// The table shows up to when it is complete, with the data and without, whether or not an earlier release has set the database up.
func TestTable_ShowsUpToWhenItIsComplete(t *testing.T) {
	eachServer(t, func(t *testing.T, server *emulator.PostgreSQLServer) {
		s := newStage(t, server, nil)
		must := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		s.load(nil)
		shows := func(want string) loader.Stater {
			t.Helper()
			s.expect("SELECT application, complete_up_to = '"+want+"' AS same FROM pipeline_complete WHERE relation = 'trips'::regclass", `{"application":"test","same":true}`)
			var state loader.Stater = s.load(nil)
			if got := state.CompleteUpTo().UTC().Format(time.RFC3339Nano); got != want {
				t.Errorf("the table shows %s, want %s", got, want)
			}
			return state
		}
		at := func(text string) time.Time {
			parsed, err := time.Parse(time.RFC3339Nano, text)
			must(err)
			return parsed
		}
		const first, second, third = "2026-11-28T10:00:00.123Z", "2026-11-28T11:00:00Z", "2026-11-28T09:00:00Z"
		s.exec("DROP TABLE pipeline_complete") // as after an update
		s.to.Create = false
		old := s.load(nil)
		must(old.StateComplete(t.Context(), at(first)))
		must(old.Append(t.Context(), loader.Addition{Batches: []checkpoint.Batch{s.batch([]string{`{"n":1}`})}, CompleteUpTo: at(first)}))
		s.to.Create = true
		if state := s.load(nil); !state.CompleteUpTo().IsZero() {
			t.Errorf("before anything is known the table shows %s", state.CompleteUpTo())
		}
		s.expect("SELECT count(*) FROM pipeline_complete", `{"count":0}`)

		before := s.load(nil)
		keep := before.Ledger()
		must(s.load(nil).Append(t.Context(), loader.Addition{Batches: []checkpoint.Batch{s.batch([]string{`{"n":2}`})}, Keep: keep, CompleteUpTo: at(first)}))
		state := shows(first)
		if err := before.StateComplete(t.Context(), at(second)); !errors.Is(err, loader.ErrConflict) {
			t.Errorf("a statement on the state before: %v, want a conflict", err)
		}
		shows(first)
		must(state.StateComplete(t.Context(), at(second)))
		must(state.StateComplete(t.Context(), at(third))) // positions were moved back
		kept := shows(third)
		must(kept.StateComplete(t.Context(), at(second)))
		must(s.load(nil).Append(t.Context(), loader.Addition{Batches: []checkpoint.Batch{s.batch([]string{`{"n":3}`})}, Keep: s.load(nil).Ledger()}))
		shows(second)
		s.expect("SELECT count(*) FROM pipeline_ledger", `{"count":3}`)
	})
}
