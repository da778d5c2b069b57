package main_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestDDL_PrintsAnIcebergTable(t *testing.T) {
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
		"--partition-by day(at)":          "-iceberg",
		"--iceberg --partition-by day(":   `-partition-by="day("`,
		"--iceberg --partition-by day(x)": `partition by "x"`,
	} {
		out, err := exec.Command(path, append(base, strings.Fields(flags)...)...).CombinedOutput()
		if good := strings.Contains(string(out), "CREATE TABLE"); !strings.Contains(string(out), want) || (err == nil) != good {
			t.Errorf("%s: %v\n%s", flags, err, out)
		}
	}
}

func TestDDL_PrintsATableInPostgreSQL(t *testing.T) {
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
		"--postgres --table a.b.c":                       `-table="a.b.c"`,
		"--postgres --key customer":                      "POSTGRES_KEY names the column customer",
		"--unique --location s3://b/d/ --schema " + file: "-postgres, too",
	} {
		out, err := exec.Command(path, append([]string{"ddl"}, strings.Fields(flags)...)...).CombinedOutput()
		if good := strings.Contains(string(out), "CREATE TABLE"); !strings.Contains(string(out), want) || (err == nil) != good {
			t.Errorf("%s: %v\n%s", flags, err, out)
		}
	}
}
