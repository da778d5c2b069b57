package postgres

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"aws-streaming-pipeline/internal/test/emulator"
	"aws-streaming-pipeline/loader/rows"
	"aws-streaming-pipeline/record/jsonscan"
	"aws-streaming-pipeline/record/schema"
)

// asServer is what the database itself makes of a value's text.
const asServer = "the same as the server"

// encoded are values of records, and what a column has afterwards: asServer, the text of the column's value, or ! and the SQLSTATE of the
// refusal. In a text, the value of the record is a string's content or JSON text.
var encoded = []struct {
	typ  string
	want string
	json []string
}{
	{"boolean", asServer, []string{`true`, `false`, `null`}},
	{"boolean", "!22P02", []string{`"true"`, `1`, `0`, `"t"`, `[]`, `{}`}},
	{"smallint", asServer, []string{`0`, `-0`, `32767`, `-32768`, `32768`, `-32769`}},
	{"integer", asServer, []string{`2147483647`, `-2147483648`, `2147483648`, `-2147483649`}},
	{"bigint", asServer, []string{`9223372036854775807`, `-9223372036854775808`, `9223372036854775808`, `-9223372036854775809`, `99999999999999999999`,
		`100000000000000000`, `999999999999999999`, `-999999999999999999`, `1000000000000000000`, `0.5`, `-1.5`}},
	{"bigint", "1000", []string{`1e3`, `1000.000`, `1.0E+3`, `10000e-1`, `0.001e6`}},
	{"bigint", "9223372036854775807", []string{`9223372036854775807.0`, `9223372036854775807e0`, `922337203685477580.7e1`}},
	{"bigint", "-9223372036854775808", []string{`-9223372036854775808.00`}},
	{"bigint", "0", []string{`0e999999999999`, `-0.000`, `0E-5`}},
	{"bigint", "!22P02", []string{`"42"`, `true`, `1e-1`, `1e-99999999999999999999`, `[1]`}},
	{"bigint", "!22003", []string{`1e400`, `1e19`, `1e99999999999999999999`, `-9223372036854775809.0`}},
	{"real", asServer, []string{`0`, `-0`, `1.5`, `0.1`, `3.4028235e38`, `3.4028236e38`, `-3.4028235e38`, `1e39`, `1.17549435e-38`, `1e-45`, `7e-46`, `1e-46`,
		`16777217`, `0.30000001192092896`, `1e400`, `1e-400`}},
	{"double precision", asServer, []string{`0`, `-0`, `-0.0`, `1.5`, `0.1`, `1e22`, `1e23`, `9007199254740993`, `1.7976931348623157e308`, `1.7976931348623159e308`, `1e400`, `-1e400`,
		`5e-324`, `2e-324`, `1e-400`, `2.2250738585072011e-308`, `123456789012345678901234567890`, `0.000000000000000000000000000001`, `0e400`}},
	{"double precision", "!22P02", []string{`"1.5"`, `"NaN"`, `true`, `{}`}},
	{"numeric", asServer, []string{`0`, `-0`, `0.000`, `1`, `-1`, `10000`, `9999`, `99999`, `0.0001`, `0.00001`, `0.1`, `1.50`, `1.50e1`, `1.50e5`, `1e4`, `1e-4`, `1e-5`, `12345.6789`, `123456.789`,
		`1234567890123456789012345678901234567890.1234567890123456789012345678901234567890`, `1e131071`, `1e131072`, `9e-16383`, `1e-16384`, `0e-16383`, `0e-16384`, `-0.00000000012e7`, `100e-2`, `1e100000`, `12e-3`}},
	{"numeric", asServer, []string{"1" + strings.Repeat("0", 131071), "1" + strings.Repeat("0", 131072), "0." + strings.Repeat("0", 16382) + "1", "0." + strings.Repeat("1", 16384)}},
	{"numeric", "!22003", []string{`1e99999999999999999999`, `1e-99999999999999999999`}},
	{"numeric", "!22P02", []string{`"1"`, `true`, `"NaN"`, `"Infinity"`}},
	{"numeric(9,2)", asServer, []string{`1`, `-1.005`, `1.005`, `1.004`, `9999999.99`, `9999999.994`, `9999999.995`, `10000000`, `0.001`, `1e-300`, `1e7`}},
	{"numeric(38,10)", asServer, []string{`1234567890123456789012345678.0123456789`, `-1e-10`, `1e28`}},
	{"numeric(3,0)", asServer, []string{`999.4`, `999.5`, `-999`, `1e2`}},
	{"text", asServer, []string{`""`, `"a"`, `"ä𝄞"`, `"\u00e4\ud834\udd1e\n\t\"\\\/"`, `"NULL"`, `"\\N"`, `"` + strings.Repeat("long", 10000) + `"`, `42`, `-1.50e+3`, `1e400`, `true`, `false`, `null`,
		`{"a": [1, "\u0000"]}`, `[]`}},
	{"text", "\uFFFD", []string{`"\ud800"`, `"\udc00"`}},
	{"text", "!22021", []string{`"\u0000"`, `"a\u0000b"`}},
	{"varchar(3)", asServer, []string{`"abc"`, `"ä€𝄞"`, `""`, `123`}},
	{"varchar(3)", "!22001", []string{`"abcd"`, `1234`}},
	{"varchar(3)", "abc", []string{`"abc   "`}},
	{"char(3)", asServer, []string{`"abc"`, `"a"`, `""`}},
	{"char(3)", "!22001", []string{`"abcd"`}},
	{"name", asServer, []string{`"a"`, `"` + strings.Repeat("a", 63) + `"`}},
	{"name", "!22001", []string{`"` + strings.Repeat("a", 64) + `"`}},
	{"mood", asServer, []string{`"happy"`, `"sad, sad"`, `"no such mood"`, `""`, `null`}},
	{"json", asServer, []string{`{"a" : [1, 2.50], "a":null}`, `[]`, `1.50`, `true`, `{"a":"\u0000\ud800"}`, `1e999999`}},
	{"json", `"text"`, []string{`"text"`}},
	{"json", `"\u0000\u000a\"\\/ä𝄞"`, []string{`"\u0000\n\"\\\/\u00e4\ud834\udd1e"`}},
	{"jsonb", asServer, []string{`{"a" : [1, 2.50], "a":null, "b":{}}`, `[]`, `1.50`, `-0`, `1e3`, `true`, `{"a":"\\u0000"}`, `{"a":"\u0000"}`, `{"\u0000":1}`, `{"a":"\ud800"}`, `["\ud834\udd1e"]`, `["\\\u0000"]`,
		`1e131071`, `1e131072`, `[[[[[[{"a":[]}]]]]]]`, `["\udc00\ud800"]`}},
	{"jsonb", `"text"`, []string{`"text"`}},
	{"jsonb", "!22P05", []string{`"\u0000"`, `"a\u0000"`}},
	{"jsonb", asServer, []string{strings.Repeat("[", 999) + strings.Repeat("]", 999), strings.Repeat(`{"a":`, 500) + "1" + strings.Repeat("}", 500)}},
	{"citext", asServer, []string{`"Ab"`, `"ab"`, `1.50`, `null`}},
	{"citext", "!22021", []string{`"\u0000"`}},
	{"citext[]", `{Ab,NULL}`, []string{`["Ab",null]`}},
	{"uuid", asServer, []string{`"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"`, `"A0EEBC999C0B4EF8BB6D6BB9BD380A11"`, `"{a0eebc99-9c0b4ef8-bb6d6bb9-bd380a11}"`, `"a0ee-bc99-9c0b-4ef8-bb6d-6bb9-bd38-0a11"`,
		`""`, `"a0eebc99"`, `"{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"`, `"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a1g"`, `"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11-"`, `"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a1122"`,
		`"a-0eebc999c0b4ef8bb6d6bb9bd380a11"`, `"{}"`, `"a0eebc99--9c0b-4ef8-bb6d-6bb9bd380a11"`}},
	{"uuid", "!22P02", []string{`1`, `true`, `[]`}},
	{"date", asServer, []string{`"2014-08-14"`, `"1970-01-01"`, `"2000-02-29"`, `"1900-02-29"`, `"2100-02-28"`, `"0001-01-01"`, `"9999-12-31"`, `"2014-13-01"`, `"2014-02-30"`, `"2014-00-10"`, `"2014-01-00"`,
		`""`, `"today, or so"`}},
	{"date", "!22007", []string{`"20140814"`, `"2014-08-14T00:00:00Z"`, `20140814`, `true`, `"infinity"`, `"now"`, `"14.8.2014"`}},
	{"date", "0001-01-01 BC", []string{`"0000-01-01"`}},
	{"timestamp with time zone", asServer, []string{`"2014-08-14T12:00:00Z"`, `"2014-08-14T12:00:00.5Z"`, `"2014-08-14T12:00:00.123456Z"`, `"2014-08-14t12:00:00z"`, `"2014-08-14 12:00:00"`, `"2014-08-14T12:00:00+02:00"`,
		`"2014-08-14T23:59:59.999999-12:30"`, `"0001-01-01T00:00:00Z"`, `"0001-01-01T00:00:00+14:00"`, `"9999-12-31T23:59:59.999999Z"`, `"9999-12-31T23:59:59-12:00"`, `"2016-12-31T23:59:60Z"`, `"2016-12-31T23:59:60.5Z"`,
		`"2016-12-31T15:59:60-08:00"`, `"1969-12-31T23:59:59.999999Z"`, `"2014-08-14"`, `"2014-02-30T00:00:00Z"`, `"2014-08-14T25:00:00Z"`, `"2014-08-14T12:60:00Z"`, `"2014-08-14T12:00:61Z"`, `""`, `"soon"`}},
	{"timestamp with time zone", "2014-08-14 12:00:00.123456+00", []string{`"2014-08-14T12:00:00.1234569Z"`}},
	{"timestamp with time zone", "!22008", []string{`"2014-08-14T24:00:00Z"`}},
	{"timestamp with time zone", "!22007", []string{`1407967200`, `"now"`, `"infinity"`, `"1407967200"`, `true`}},
	{"timestamp without time zone", "2014-08-14 10:00:00", []string{`"2014-08-14T12:00:00+02:00"`, `"2014-08-14T10:00:00Z"`, `"2014-08-14 10:00:00"`}},
	{"timestamp without time zone", asServer, []string{`"0001-01-01T00:00:00Z"`, `"9999-12-31T23:59:59.999999Z"`, `"2014-08-14"`}},
	{"bigint[]", "{1,NULL,-3}", []string{`[1, null, -3.0]`}},
	{"bigint[]", "{}", []string{`[]`, `[ ]`}},
	{"bigint[]", "!22003", []string{`[1,9223372036854775808]`}},
	{"bigint[]", "!22P02", []string{`[[1],[2]]`, `{}`, `1`, `"{1,2}"`, `["1"]`, `[1.5]`, `[{}]`}},
	{"text[]", `{a,"b,\"c\"",NULL,"NULL","",1.50,true,"{\"a\":1}"}`, []string{`["a","b,\"c\"",null,"NULL","",1.50,true,{"a":1}]`}},
	{"text[]", "!22P02", []string{`[["a"]]`}},
	{"text[]", "!22021", []string{`["\u0000"]`}},
	{"numeric(9,2)[]", "{1.00,2.35}", []string{`[1,2.345]`}},
	{"numeric(9,2)[]", "!22003", []string{`[1e7]`}},
	{"timestamp with time zone[]", `{"2014-08-14 12:00:00+00"}`, []string{`["2014-08-14T12:00:00Z"]`}},
	{"date[]", `{2014-08-14,NULL}`, []string{`["2014-08-14",null]`}},
	{"boolean[]", `{t,f}`, []string{`[true,false]`}},
	{"double precision[]", `{0.1,-0}`, []string{`[0.1,-0]`}},
	{"uuid[]", `{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}`, []string{`["a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"]`}},
	{"jsonb[]", `{"[1, 2]","{\"a\": null}","\"x\"",NULL}`, []string{`[[1,2],{"a":null},"x",null]`}},
	{"mood[]", `{happy,NULL}`, []string{`["happy",null]`}},
	{"mood[]", "!22P02", []string{`["no such mood"]`}},
	{"positive", asServer, []string{`1`, `null`}},
	{"positive", "!23514", []string{`-1`}},
	{"positive", "!22P02", []string{`"1"`}},
	{"positive[]", "{1,2}", []string{`[1,2]`}},
	{"positive[]", "!23514", []string{`[1,-2]`}},
	{"short", asServer, []string{`"abc"`}},
	{"short", "!22001", []string{`"abcd"`}},
	{"pairs", "{1,2}", []string{`[1,2]`}},
	{"pairs", "!23514", []string{`[1,2,3]`}},
}

const testTypes = `SET timezone = 'UTC'; SET extra_float_digits = 1; CREATE EXTENSION citext;
CREATE TYPE mood AS ENUM ('happy', 'sad, sad'); CREATE DOMAIN positive AS integer CHECK (value > 0); CREATE DOMAIN short AS varchar(3);
CREATE DOMAIN pairs AS integer[] CHECK (array_length(value, 1) = 2)`

// eachMajor runs a test on each major version, on an empty database.
func eachMajor(t *testing.T, test func(t *testing.T, conn *pgx.Conn)) {
	for _, major := range emulator.PostgreSQLVersions {
		t.Run(strconv.Itoa(major), func(t *testing.T) {
			test(t, emulator.PostgreSQL(t, major).Connect(t, "postgres"))
		})
	}
}

func mustExec(tb testing.TB, conn *pgx.Conn, sql string) {
	tb.Helper()
	if _, err := conn.Exec(tb.Context(), sql); err != nil {
		tb.Fatalf("%s: %v", sql, err)
	}
}

// columnTypes returns the types of a table's columns.
func columnTypes(tb testing.TB, conn *pgx.Conn, name string) (types []*columnType) {
	tb.Helper()
	rows, err := conn.Query(tb.Context(), "SELECT atttypid FROM pg_attribute WHERE attrelid = $1::regclass AND attnum > 0 ORDER BY attnum", name)
	if err != nil {
		tb.Fatal(err)
	}
	oids, err := pgx.CollectRows(rows, pgx.RowTo[uint32])
	if err != nil {
		tb.Fatal(err)
	}
	known, err := readTypes(tb.Context(), conn, oids)
	if err != nil {
		tb.Fatal(err)
	}
	for _, oid := range oids {
		types = append(types, known[oid])
	}
	return types
}

func scanned(tb testing.TB, json string) rows.Value {
	tb.Helper()
	v, end, _, p := rows.Scan([]byte(json), 0, 0, nil)
	if p != jsonscan.None || end != len(json) {
		tb.Fatalf("%s is not JSON", json)
	}
	return v
}

// copied writes a value into the table t by COPY and returns what the column then has, or ! and the SQLSTATE.
func copied(tb testing.TB, conn *pgx.Conn, e *encoder, v rows.Value) string {
	tb.Helper()
	data, refused := e.appendRow([]byte(copyHeader), []rows.Value{v})
	if refused != nil {
		if refused.column != "c" || refused.message == "" || len(v.Text) > 8 && strings.Contains(refused.message, string(v.Text)) {
			tb.Errorf("the refusal is %+v", refused)
		}
		return "!" + refused.code
	}
	_, err := conn.PgConn().CopyFrom(tb.Context(), bytes.NewReader(append(data, copyTrailer...)), "COPY t FROM STDIN (FORMAT binary)")
	if err != nil {
		return sqlState(tb, err)
	}
	var text *string
	if err := conn.QueryRow(tb.Context(), "DELETE FROM t RETURNING c::text", pgx.QueryExecModeExec).Scan(&text); err != nil {
		tb.Fatal(err)
	}
	return orNull(text)
}

func sqlState(tb testing.TB, err error) string {
	tb.Helper()
	if state, ok := errors.AsType[*pgconn.PgError](err); ok {
		return "!" + state.Code
	}
	tb.Fatal(err)
	return ""
}

func orNull(text *string) string {
	if text == nil {
		return "NULL"
	}
	return *text
}

// converted returns what the server makes of a value's text.
func converted(tb testing.TB, conn *pgx.Conn, typ string, v rows.Value) string {
	tb.Helper()
	var in any
	if v.Kind != rows.Null {
		in = string(v.AppendText(nil))
	}
	mustExec(tb, conn, "BEGIN")
	defer mustExec(tb, conn, "ROLLBACK")
	var out *string
	if err := conn.QueryRow(tb.Context(), "INSERT INTO t SELECT $1::text::"+typ+" RETURNING c::text", pgx.QueryExecModeExec, in).Scan(&out); err != nil {
		return sqlState(tb, err)
	}
	return orNull(out)
}

func TestEncoder_WritesWhatTheServerReads(t *testing.T) {
	eachMajor(t, func(t *testing.T, conn *pgx.Conn) {
		mustExec(t, conn, testTypes)
		compared := 0
		for _, test := range encoded {
			mustExec(t, conn, "DROP TABLE IF EXISTS t; CREATE TABLE t (c "+test.typ+")")
			e, err := newEncoder([]target{{name: "c", typ: columnTypes(t, conn, "t")[0]}}, false)
			if err != nil {
				t.Fatal(err)
			}
			for _, json := range test.json {
				v := scanned(t, json)
				want := test.want
				if want == asServer {
					want = converted(t, conn, test.typ, v)
					compared++
				}
				if got := copied(t, conn, e, v); got != want {
					t.Errorf("%s in %s: got %.200s, want %.200s", short(json), test.typ, got, want)
				}
			}
		}
		if compared < 150 {
			t.Errorf("only %d values were compared with the server's", compared)
		}
		// The control: a wrong byte is seen.
		mustExec(t, conn, "DROP TABLE t; CREATE TABLE t (c bigint)")
		e, err := newEncoder([]target{{name: "c", typ: columnTypes(t, conn, "t")[0]}}, false)
		if err != nil {
			t.Fatal(err)
		}
		if copied(t, conn, e, rows.Value{Kind: rows.Integer, Int: 41}) == converted(t, conn, "bigint", scanned(t, `42`)) {
			t.Error("41 was read as 42")
		}
	})
}

func short(json string) string { return json[:min(len(json), 60)] }

// columnValues are values that only Parquet's columns have.
var columnValues = []struct {
	typ  string
	v    rows.Value
	want string
}{
	{"bigint", rows.Value{Kind: rows.Integer, Int: math.MinInt64}, "-9223372036854775808"},
	{"smallint", rows.Value{Kind: rows.Integer, Int: 40000}, "!22003"},
	{"numeric(9,2)", rows.Value{Kind: rows.Integer, Int: math.MinInt64}, "!22003"},
	{"numeric", rows.Value{Kind: rows.Integer, Int: math.MinInt64}, "-9223372036854775808"},
	{"numeric", rows.Value{Kind: rows.Double, Float: 1e23}, "100000000000000000000000"},
	{"numeric", rows.Value{Kind: rows.Double, Float: 0.1}, "0.1"},
	{"numeric", rows.Value{Kind: rows.Double, Float: math.NaN()}, "!22P02"},
	{"numeric", rows.Value{Kind: rows.Double, Float: math.Inf(1)}, "!22P02"},
	{"numeric", rows.Value{Kind: rows.Decimal, Text: []byte("-12345.678")}, "-12345.678"},
	{"bigint", rows.Value{Kind: rows.Double, Float: 1e15}, "1000000000000000"},
	{"bigint", rows.Value{Kind: rows.Double, Float: 0.5}, "!22P02"},
	{"double precision", rows.Value{Kind: rows.Double, Float: math.NaN()}, "NaN"},
	{"double precision", rows.Value{Kind: rows.Double, Float: math.Inf(-1)}, "-Infinity"},
	{"double precision", rows.Value{Kind: rows.Integer, Int: 1<<53 + 1}, "9.007199254740992e+15"},
	{"double precision", rows.Value{Kind: rows.Decimal, Text: []byte("0.1")}, "0.1"},
	{"real", rows.Value{Kind: rows.Double, Float: 0.1}, "0.1"},
	{"real", rows.Value{Kind: rows.Double, Float: math.NaN()}, "NaN"},
	{"real", rows.Value{Kind: rows.Double, Float: 1e300}, "!22003"},
	{"text", rows.Value{Kind: rows.Double, Float: 1e300}, "1e+300"},
	{"text", rows.Value{Kind: rows.Date, Int: -1}, "1969-12-31"},
	{"text", rows.Value{Kind: rows.Instant, Int: -1}, "1969-12-31T23:59:59.999999Z"},
	{"text", rows.Value{Kind: rows.Bool, Int: 1}, "true"},
	{"jsonb", rows.Value{Kind: rows.Instant, Int: 1_500_000}, `"1970-01-01T00:00:01.5Z"`},
	{"jsonb", rows.Value{Kind: rows.Double, Float: math.NaN()}, `"NaN"`},
	{"date", rows.Value{Kind: rows.Date, Int: 11016}, "2000-02-29"},
	{"date", rows.Value{Kind: rows.Date, Int: math.MaxInt32}, "!22008"},
	{"date", rows.Value{Kind: rows.Date, Int: 2147483493 - 2440588}, "5874897-12-31"},
	{"date", rows.Value{Kind: rows.Date, Int: -2440588}, "4714-11-24 BC"},
	{"date", rows.Value{Kind: rows.Date, Int: -2440589}, "!22008"},
	{"date", rows.Value{Kind: rows.Instant, Int: 0}, "!22007"},
	{"timestamptz", rows.Value{Kind: rows.Instant, Int: 0}, "1970-01-01 00:00:00+00"},
	{"timestamptz", rows.Value{Kind: rows.Instant, Int: math.MaxInt64}, "294247-01-10 04:00:54.775807+00"},
	{"timestamptz", rows.Value{Kind: rows.Instant, Int: math.MinInt64}, "!22008"},
	{"timestamptz", rows.Value{Kind: rows.Instant, Int: -2440588 * dayMicros}, "4714-11-24 00:00:00+00 BC"},
	{"timestamptz", rows.Value{Kind: rows.Instant, Int: -2440588*dayMicros - 1}, "!22008"},
	{"timestamptz", rows.Value{Kind: rows.Date, Int: 1}, "1970-01-02 00:00:00+00"},
	{"timestamptz", rows.Value{Kind: rows.Date, Int: math.MaxInt32}, "!22008"},
}

func TestEncoder_WritesValuesOfParquet(t *testing.T) {
	eachMajor(t, func(t *testing.T, conn *pgx.Conn) {
		mustExec(t, conn, testTypes)
		for _, test := range columnValues {
			mustExec(t, conn, "DROP TABLE IF EXISTS t; CREATE TABLE t (c "+test.typ+")")
			e, err := newEncoder([]target{{name: "c", typ: columnTypes(t, conn, "t")[0]}}, false)
			if err != nil {
				t.Fatal(err)
			}
			if got := copied(t, conn, e, test.v); got != test.want {
				t.Errorf("%+v in %s: got %s, want %s", test.v, test.typ, got, test.want)
			}
		}
	})
}

// bySchema are values of a member of a schema. coerce is that of the schema.
var bySchema = []struct {
	typ, field string
	coerce     bool
	json, want string
}{
	{"bigint", `{"type":"integer"}`, true, `"42"`, "42"},
	{"bigint", `{"type":"integer"}`, true, `"+0042"`, "42"},
	{"bigint", `{"type":"integer"}`, true, `"42.0"`, "42"},
	{"bigint", `{"type":"integer"}`, true, `""`, "NULL"},
	{"bigint", `{"type":"integer"}`, true, `"four"`, "!22P02"},
	{"bigint", `{"type":"integer"}`, false, `"42"`, "!22P02"},
	{"bigint", `{"type":"string","x-parquet":"int64"}`, false, `"42"`, "42"},
	{"bigint", `{"type":"integer","x-null-values":["NA"]}`, true, `"NA"`, "NULL"},
	{"numeric(9,2)", `{"type":"number","x-parquet":"decimal(9,2)"}`, true, `"12.50"`, "12.50"},
	{"boolean", `{"type":"boolean"}`, true, `"TRUE"`, "true"},
	{"boolean", `{"type":"boolean"}`, false, `"TRUE"`, "!22P02"},
	{"double precision", `{"type":"number","x-non-finite":true}`, true, `"NaN"`, "NaN"},
	{"double precision", `{"type":"number","x-non-finite":true}`, true, `"-Infinity"`, "-Infinity"},
	{"real", `{"type":"number","x-non-finite":true}`, true, `"Infinity"`, "Infinity"},
	{"double precision", `{"type":"number"}`, true, `"NaN"`, "!22P02"},
	{"double precision", `{"type":"number"}`, true, `" 1"`, "!22P02"},
	{"text", `{"type":"string"}`, true, `42.50`, "42.50"},
	{"text", `{"type":"string"}`, true, `""`, ""},
	{"text", `{"type":"string","x-null-values":["NA","0"]}`, true, `"NA"`, "NULL"},
	{"text", `{"type":"string","x-null-values":["NA","0"]}`, true, `0`, "NULL"},
	{"jsonb", `{}`, true, `""`, `""`},
	{"timestamptz", `{"type":"integer","x-parquet":"timestamp-micros","x-timestamp-unit":"s"}`, true, `1407967200`, "2014-08-13 22:00:00+00"},
	{"timestamptz", `{"type":"integer","x-parquet":"timestamp-micros","x-timestamp-unit":"ms"}`, true, `"1407967200001"`, "2014-08-13 22:00:00.001+00"},
	{"timestamptz", `{"type":"number","x-parquet":"timestamp-micros","x-timestamp-unit":"s"}`, true, `1407967200.5`, "2014-08-13 22:00:00.5+00"},
	{"timestamptz", `{"type":"integer","x-parquet":"timestamp-micros","x-timestamp-unit":"us"}`, true, `1e300`, "!22008"},
	{"timestamptz", `{"type":"string","format":"date-time"}`, true, `""`, "NULL"},
	{"timestamptz", `{"type":"string","format":"date-time"}`, true, `1407967200`, "!22007"},
	{"text[]", `{"type":"array","items":{"type":"string","x-null-values":["NA"]}}`, true, `["a","NA",1,[2],{}]`, `{a,NULL,1,[2],"{}"}`},
	{"bigint[]", `{"type":"array","items":{"type":["integer","null"]}}`, true, `["1",null]`, `{1,NULL}`},
	{"bigint[]", `{"type":"array","items":{"type":["integer","null"]}}`, false, `["1",null]`, "!22P02"},
}

func TestEncoder_CoercesWhatSchemaSays(t *testing.T) {
	eachMajor(t, func(t *testing.T, conn *pgx.Conn) {
		mustExec(t, conn, testTypes)
		for _, test := range bySchema {
			s, err := schema.Parse("test", fmt.Appendf(nil, `{"type":"object","x-coerce":%t,"properties":{"c":%s}}`, test.coerce, test.field))
			if err != nil {
				t.Fatal(err)
			}
			mustExec(t, conn, "DROP TABLE IF EXISTS t; CREATE TABLE t (c "+test.typ+")")
			e, err := newEncoder([]target{{name: "c", typ: columnTypes(t, conn, "t")[0], field: s.Fields[0]}}, s.Coerce)
			if err != nil {
				t.Fatal(err)
			}
			if got := copied(t, conn, e, scanned(t, test.json)); got != test.want {
				t.Errorf("%s of %s, coerced %t, in %s: got %s, want %s", test.json, test.field, test.coerce, test.typ, got, test.want)
			}
		}
	})
}

func TestTypes_TellWhatRecordsCannotFill(t *testing.T) {
	eachMajor(t, func(t *testing.T, conn *pgx.Conn) {
		mustExec(t, conn, testTypes+`; CREATE TYPE pair AS (a int, b int); CREATE DOMAIN blob AS bytea;
			CREATE TABLE t (a bytea, b interval, c inet, d money, e int2vector, f pair, g bytea[], h blob, i int4range, j time, k xml, l oid, m "char", n point, o pair[])`)
		for i, typ := range columnTypes(t, conn, "t") {
			if typ.supported() {
				t.Errorf("column %d of type %s is supported", i, typ.name)
			}
			if _, err := newEncoder([]target{{name: "c", typ: typ}}, false); err == nil || !strings.Contains(err.Error(), typ.name) {
				t.Errorf("an encoder for type %s: %v", typ.name, err)
			}
		}
	})
}
