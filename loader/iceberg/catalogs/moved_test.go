package catalogs_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"

	"aws-streaming-pipeline/internal/localbucket"
	"aws-streaming-pipeline/internal/test/emulator"
)

// After the demo, its bucket is a folder. DuckDB reads a table there whose data files are under data/ at the table's location. It
// finds the files by what follows metadata/ or data/ in their paths, so it does not find data files that are elsewhere.
func TestEmbedded_IsReadFromTheFolderOfTheDemosBucket(t *testing.T) {
	for data, want := range map[string]string{"s3://lake/tables/trips/data": "4", "s3://lake/elsewhere": ""} {
		t.Run(data, func(t *testing.T) {
			dir := t.TempDir()
			server, err := localbucket.Start("127.0.0.1:0", dir)
			must(t, err)
			s := newSite(t, emulator.Endpoint{URL: server.URL(), Region: "us-east-1", AccessKey: "any", SecretKey: "any"}, "s3://lake/tables/trips", isVersion)
			c := s.open()
			tab, err := create(t.Context(), s, c)
			must(t, err)
			_, _, err = c.CommitTable(t.Context(), tab.Identifier(), nil, []table.Update{table.NewSetPropertiesUpdate(iceberg.Properties{"write.data.path": data})})
			must(t, err)
			for n := range 2 {
				_, err := load(t, s, c).AppendTable(t.Context(), rows(2*n, 2*n+1), 100, nil)
				must(t, err)
			}
			must(t, server.Close())

			out, err := emulator.Tables(t, countScript(t), filepath.Join(dir, "lake", "tables", "trips")).Output()
			if got := strings.TrimSpace(string(out)); got != want || (err == nil) != (want != "") {
				t.Errorf("DuckDB counts %q, %v", got, err)
			}
		})
	}
}

// countScript returns a script that counts the ids of a table in a folder.
func countScript(t *testing.T) string {
	t.Helper()
	script := filepath.Join(t.TempDir(), "count.py")
	must(t, os.WriteFile(script, []byte(`import pathlib, sys, duckdb, duckdb_extension_avro, duckdb_extension_iceberg
db = duckdb.connect(config={"autoinstall_known_extensions": "false", "autoload_known_extensions": "false"})
for module, name in ((duckdb_extension_avro, "avro"), (duckdb_extension_iceberg, "iceberg")):
    db.load_extension(str(next((pathlib.Path(module.__file__).parent / "extensions").rglob(name + ".duckdb_extension"))))
print(db.sql("SELECT count(DISTINCT event_id) FROM iceberg_scan('%s', allow_moved_paths = true)" % sys.argv[1]).fetchone()[0])
`), 0o600))
	return script
}
