package main_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"aws-streaming-pipeline/internal/test/emulator"
)

func TestDDL_PrintsAnIcebergTable(t *testing.T) {
	t.Parallel()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "orders.json")
	if err := os.WriteFile(file, []byte(`{"properties":{"customer":{"type":"string"},"at":{"type":"string","format":"date-time"}}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	base := []string{"ddl", "--schema", file, "--table", "lake.orders", "--location", "s3://bucket/tables/orders/"}
	for flags, want := range map[string]string{
		"--iceberg --partition-by day(at),bucket(16,customer)": "PARTITIONED BY (day(at), bucket(16, customer))\n",
		"--iceberg":                       "'table_type' = 'ICEBERG'",
		"--partition-by day(at)":          "--iceberg",
		"--iceberg --partition-by day(":   `--partition-by="day("`,
		"--iceberg --partition-by day(x)": `partition by "x"`,
	} {
		out, err := exec.Command(path, append(base, strings.Fields(flags)...)...).CombinedOutput()
		if good := strings.Contains(string(out), "CREATE TABLE"); !strings.Contains(string(out), want) || (err == nil) != good {
			t.Errorf("%s: %v\n%s", flags, err, out)
		}
	}
}

func TestDDL_PrintsATableInPostgreSQL(t *testing.T) {
	t.Parallel()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "orders.json")
	if err := os.WriteFile(file, []byte(`{"properties":{"customer":{"type":"string"},"at":{"type":"string","format":"date-time"}}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	for flags, want := range map[string]string{
		"--postgres --table sales.orders --schema " + file + " --key customer": "CREATE TABLE IF NOT EXISTS \"sales\".\"orders\" (\n\t\"customer\" text,\n\t\"at\" timestamptz,",
		"--postgres --table orders --daily --unique":                           `ON "public"."orders" ("event_id", "_arrived_at")`,
		"--postgres":                                     `"record" jsonb`,
		"--postgres --table a.b.c":                       `--table="a.b.c"`,
		"--postgres --key customer":                      "POSTGRES_KEY names the column customer",
		"--unique --location s3://b/d/ --schema " + file: "--postgres, too",
	} {
		out, err := exec.Command(path, append([]string{"ddl"}, strings.Fields(flags)...)...).CombinedOutput()
		if good := strings.Contains(string(out), "CREATE TABLE"); !strings.Contains(string(out), want) || (err == nil) != good {
			t.Errorf("%s: %v\n%s", flags, err, out)
		}
	}
}

// The owner of the database runs the printed statements, twice by mistake. The loader, which may create nothing, finds tables that
// take rows.
func TestDDL_PrintsStatementsThatPostgreSQLRuns(t *testing.T) {
	t.Parallel()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "orders.json")
	if err := os.WriteFile(file, []byte(`{"properties":{"customer":{"type":"string"},"at":{"type":"string","format":"date-time"},
		"price":{"x-parquet":"decimal(9,2)"},"tags":{"type":"array","items":{"type":"string"}},"select":{"type":"integer"},"a \"b\"":{"type":"object"}}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	const own = "INSERT INTO %[1]s (event_id, _arrived_at) VALUES ('1', '2026-01-31T10:00:00.123Z')"
	for _, major := range emulator.PostgreSQLVersions {
		server := emulator.PostgreSQL(t, major)
		owner := server.Connect(t, "postgres")
		run := func(c *pgx.Conn, sql string) error {
			_, err := c.Exec(t.Context(), sql)
			return err
		}
		if err := run(owner, "CREATE ROLE loader LOGIN; CREATE SCHEMA sales; GRANT USAGE ON SCHEMA sales TO loader"); err != nil {
			t.Fatal(err)
		}
		loader := server.Connect(t, "postgres")
		if err := run(loader, "SET ROLE loader"); err != nil {
			t.Fatal(err)
		}
		for i, c := range []struct{ flags, row, again string }{
			{"", own, ""},
			{"--unique", own, "23505"},
			{"--daily", own, ""},
			{"--daily --unique", own, "23505"},
			{"--schema " + file + " --key customer,at", `INSERT INTO %[1]s (event_id, _arrived_at, _sequence, customer, at) VALUES ('1', now(), 7.5, 'a', '2026-01-31T10:00:00Z')`, "23505"},
			{"--schema " + file, `INSERT INTO %[1]s (event_id, price, tags, "select", "a ""b""", _extra) VALUES ('1', 1.25, '{a,b}', 9007199254740993, '{"x":1}', '{"y":2}')`, ""},
		} {
			name := fmt.Sprint("sales.orders", i)
			text, err := exec.Command(path, append([]string{"ddl", "--postgres", "--table", name}, strings.Fields(c.flags)...)...).CombinedOutput()
			out := string(text)
			if err != nil {
				t.Fatalf("%s: %v\n%s", c.flags, err, out)
			}
			if err := run(loader, out); err == nil {
				t.Errorf("PostgreSQL %d: the loader may create tables", major)
			}
			for range 2 {
				if err := run(owner, out); err != nil {
					t.Fatalf("PostgreSQL %d, %s: %v\n%s", major, c.flags, err, out)
				}
			}
			if err := run(owner, "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA sales TO loader"); err != nil {
				t.Fatal(err)
			}
			row := fmt.Sprintf(c.row, name)
			if err := run(loader, row); err != nil {
				t.Errorf("PostgreSQL %d, %s: %v", major, c.flags, err)
			}
			code := ""
			if err, ok := errors.AsType[*pgconn.PgError](run(loader, row)); ok {
				code = err.Code
			}
			if code != c.again {
				t.Errorf("PostgreSQL %d, %s: the row again gives %q, want %q", major, c.flags, code, c.again)
			}
		}
		for _, own := range []string{
			"INSERT INTO sales.pipeline_tables VALUES ('a', 'sales.orders0', gen_random_uuid(), gen_random_uuid(), 0)",
			"INSERT INTO sales.pipeline_complete VALUES ('a', 'sales.orders0', now())",
			"INSERT INTO sales.pipeline_ledger VALUES ('a', 'sales.orders0', 'b', now(), 1, 0)",
			`INSERT INTO sales.pipeline_refused VALUES ('a', 'sales.orders0', 'b', 's3://b/k', 0, '1', now(), '22003', '\x00')`,
		} {
			if err := run(loader, own); err != nil {
				t.Errorf("PostgreSQL %d: %s: %v", major, own, err)
			}
		}
	}
}
