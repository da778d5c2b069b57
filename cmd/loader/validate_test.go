package main

import (
	"io/fs"
	"path/filepath"
	"strings"
	"testing"

	"aws-streaming-pipeline/internal/command"
	"aws-streaming-pipeline/internal/test/glue"
)

// Before the first start, after it, and with what can be wrong, "loader validate" says what the loader will find, and changes nothing.
func TestValidate_SaysWhatTheLoaderWillFind(t *testing.T) {
	p := newPair(t)
	catalog := glue.Start(t)
	t.Setenv("AWS_ENDPOINT_URL_GLUE", catalog.URL)
	database := p.server.Connect(t, "postgres")
	sql := func(statements string) {
		t.Helper()
		if _, err := database.Exec(t.Context(), statements); err != nil {
			t.Fatal(err)
		}
	}
	sql("CREATE SCHEMA closed; CREATE TABLE closed.poor (id bigint); GRANT USAGE ON SCHEMA closed TO loader; GRANT SELECT ON closed.poor TO loader")
	check := func(name string, settings map[string]string, code int, want ...string) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			for name, value := range settings {
				t.Setenv(name, value)
			}
			before := p.everything(t)
			out, err := p.loader("validate")
			if got := command.ExitCode(err); got != code {
				t.Errorf("exit code %d, want %d:\n%s", got, code, out)
			}
			for _, text := range want {
				if !strings.Contains(out, text) {
					t.Errorf("there is no %q in\n%s", text, out)
				}
			}
			if strings.Contains(out, planted) {
				t.Errorf("it shows the password:\n%s", out)
			}
			if after := p.everything(t); after != before {
				t.Errorf("it has changed something: there was\n%s\nand there is\n%s", before, after)
			}
		})
	}
	alone := func(settings ...string) map[string]string { // without PostgreSQL
		all := map[string]string{"POSTGRES_DSN": "", "POSTGRES_TLS": "verify-full", "POSTGRES_FAILOVER_WINDOW": "5m", "TABLE": lake}
		for _, setting := range settings {
			name, value, _ := strings.Cut(setting, "=")
			all[name] = value
		}
		return all
	}
	address := p.server.Address
	check("before the first start", nil, 0,
		"ok    iceberg      "+lake+" does not exist; the loader creates it, which cannot be tried without creating it; metadata can be written under "+lake+"/metadata/",
		"ok    postgres     "+p.uri+": PostgreSQL 18", "user loader in database postgres; the table does not exist, and the loader may create it with its ledger",
		"warn  postgres     the connection is not encrypted", "ok    bucket       bucket: files can be read under manifests/outbox/ and data/year=")
	check("wrong password", map[string]string{"POSTGRES_DSN": "user=loader password=" + planted + "x"}, 1, "FAIL  postgres ", "check user and password", "ok    iceberg ")
	check("no server", map[string]string{"TABLE": "postgres://127.0.0.1:1/postgres/public.trips", "FORMAT": "jsonl", "TABLE_PARTITION": "day(_arrived_at)"}, 1, "FAIL  postgres ", "check host and port")
	check("no TLS", map[string]string{"POSTGRES_TLS": "verify-full"}, 1, "FAIL  postgres ", "POSTGRES_TLS=disable")
	check("closed schema", map[string]string{"TABLE": "postgres://" + address + "/postgres/closed.trips"}, 1, "FAIL  postgres ", `GRANT USAGE, CREATE ON SCHEMA "closed"`)
	check("missing schema", map[string]string{"TABLE": "postgres://" + address + "/postgres/none.trips"}, 1, "FAIL  postgres ", "the schema none does not exist, and the role may not create it")
	check("no privilege", map[string]string{"TABLE": "postgres://" + address + "/postgres/closed.poor"}, 1, "FAIL  postgres ", "GRANT INSERT")
	check("no creation", map[string]string{"TABLE_CREATE": "false"}, 1, "FAIL  postgres ", "FAIL  iceberg ", "TABLE_CREATE=false")
	check("missing database in Glue", alone("TABLE=glue://lake/trips"), 0, "ok    iceberg      glue://lake/trips and its namespace do not exist")
	check("no catalog", alone("TABLE=rest+http://127.0.0.1:1/lake.trips"), 1, "FAIL  iceberg ", "open the catalog")
	check("wrong partition", alone("TABLE_PARTITION=day(none)"), 1, "FAIL  iceberg ", "TABLE_PARTITION")
	check("no table", alone("TABLE=", "TABLE_PARTITION=day(_arrived_at)"), 2, `FAIL  settings     TABLE="": want the table to load`, "skip  bucket       because settings failed")

	runUntil(t, func() bool {
		return exists(t, p.client, "tables/trips/metadata/v1.metadata.json") && p.rows() == 0
	})
	check("after the first start", nil, 0, "ok    iceberg      "+lake+": format version 2, ", "partition _arrived_at_day; metadata can be written", "ok    postgres     ", "columns and its ledger")
	sql("ALTER TABLE public.trips OWNER TO postgres; GRANT INSERT, SELECT ON public.trips TO loader")
	check("not the owner", nil, 0, "warn  postgres     the role loader does not own the table")
	sql("REVOKE ALL ON public.pipeline_ledger FROM loader; ALTER TABLE public.pipeline_ledger OWNER TO postgres; REVOKE ALL ON public.pipeline_ledger FROM loader")
	check("no privilege on the ledger", nil, 1, "FAIL  postgres ", "the role may not use the loader's table pipeline_ledger")
}

// everything is what could be changed: the files of the bucket, and the tables of the database with their rows.
func (p *pair) everything(t *testing.T) string {
	t.Helper()
	var all []string
	err := filepath.WalkDir(filepath.Dir(p.store), func(path string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() && path != p.log {
			all = append(all, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	var tables string
	err = p.server.Connect(t, "postgres").QueryRow(t.Context(), `SELECT coalesce(string_agg(format('%s.%s %s', n.nspname, c.relname,
	query_to_xml(format('SELECT * FROM %I.%I', n.nspname, c.relname), true, false, '')), E'\n' ORDER BY c.oid), '')
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind = 'r' AND n.nspname NOT IN ('pg_catalog', 'information_schema')`).Scan(&tables)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(append(all, tables), "\n")
}
