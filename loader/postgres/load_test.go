package postgres

import (
	"bytes"
	"compress/gzip"
	"io"
	"strings"
	"testing"

	"aws-streaming-pipeline/internal/test/emulator"
)

func gunzip(t *testing.T, packed []byte) []string {
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
