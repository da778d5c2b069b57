package main

import (
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/spf13/pflag"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/consumer"
	"aws-streaming-pipeline/internal/test/emulator"
	"aws-streaming-pipeline/internal/test/gobuild"
)

// The command of the README with --table builds itself again, loads every file once and proves it. DuckDB then runs the query that
// it prints.
func TestDemo_LoadsATableThatDuckDBReads(t *testing.T) {
	t.Parallel()
	folder := filepath.Join(t.TempDir(), "out")
	demo := exec.CommandContext(t.Context(), "go", "run", ".", "--table", "--records", "3000", "--http", "127.0.0.1:0", "--out", folder)
	demo.Env = gobuild.Environment()
	printed, err := demo.CombinedOutput()
	if err != nil {
		t.Fatalf("%v:\n%s", err, printed)
	}
	for _, want := range []string{
		"\n3000 of 3000 delivered, 0 duplicates\n", "\n3000 of 3000 in the table, 0 files twice\n", "\nThe table s3://trips/tables/trips has 3000 rows. ", " append ",
	} {
		if !strings.Contains(string(printed), want) {
			t.Errorf("%q is not printed:\n%s", want, printed)
		}
	}

	query := regexp.MustCompile(`duckdb -c "INSTALL iceberg; LOAD iceberg; (.+)"`).FindSubmatch(printed)
	if query == nil {
		t.Fatalf("no query is printed:\n%s", printed)
	}
	script := filepath.Join(t.TempDir(), "query.py")
	if err := os.WriteFile(script, []byte(`import pathlib, sys, duckdb, duckdb_extension_avro, duckdb_extension_iceberg
db = duckdb.connect(config={"autoinstall_known_extensions": "false", "autoload_known_extensions": "false"})
for module, name in ((duckdb_extension_avro, "avro"), (duckdb_extension_iceberg, "iceberg")):
    db.load_extension(str(next((pathlib.Path(module.__file__).parent / "extensions").rglob(name + ".duckdb_extension"))))
rows = db.sql(sys.argv[1]).fetchall()
print(len(rows), sum(trips for _, trips, _ in rows), sum(ids for _, _, ids in rows))
`), 0o600); err != nil {
		t.Fatal(err)
	}
	counted, err := emulator.Tables(t, script, string(query[1])).Output()
	if got := strings.TrimSpace(string(counted)); err != nil || got != "3 3000 3000" {
		t.Errorf("DuckDB counts %q, %v: want 3 kinds of calls, 3000 trips, 3000 ids", got, err)
	}
}

func TestContents_VerdictFindsWhatIsMissingOrTwice(t *testing.T) {
	for name, c := range map[string]struct {
		contents
		fault string
	}{
		"all":             {contents{files: []string{"a", "b"}, rows: 10}, ""},
		"a file missing":  {contents{files: []string{"a"}, rows: 5}, "5 of 10 rows and 1 of 2 files"},
		"a file twice":    {contents{files: []string{"a", "b", "a"}, rows: 15}, "more than once"},
		"twice, not rows": {contents{files: []string{"a", "b", "a"}, rows: 10}, "more than once"},
		"one for another": {contents{files: []string{"a", "a"}, rows: 10}, "10 of 10 rows and 1 of 2 files"},
		"rows missing":    {contents{files: []string{"a", "b"}, rows: 9}, "9 of 10 rows and 2 of 2 files"},
		"empty":           {contents{}, "0 of 10 rows and 0 of 2 files"},
	} {
		t.Run(name, func(t *testing.T) {
			err := c.verdict(io.Discard, 10, 2)
			if (err == nil) != (c.fault == "") || err != nil && !strings.Contains(err.Error(), c.fault) {
				t.Errorf("%v: want %q", err, c.fault)
			}
		})
	}
}

// waiting is a store with one batch that nobody loads, and the loader that does not.
type waiting struct {
	consumer.Store
	lake
	left []checkpoint.Batch
}

func (w waiting) Outbox(context.Context) ([]checkpoint.Batch, []checkpoint.UnknownBatch, error) {
	return w.left, nil, nil
}
func (w waiting) problem() string { return "the catalog is down" }

func TestLoading_SaysWhatIsNotInTheTable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := waiting{left: make([]checkpoint.Batch, 1)}
		if err := (loading{lake: w}).await(t.Context(), w); err == nil || err.Error() != "1 batches are not in the table after 3m0s: the catalog is down" {
			t.Errorf("%v", err)
		}
		w.left = nil // the control
		if err := (loading{lake: w}).await(t.Context(), w); err != nil {
			t.Errorf("nothing is left: %v", err)
		}
	})
}

// parse reads a command line as root does.
func parse(args string) (o options, err error) {
	f := pflag.NewFlagSet("demo", pflag.ContinueOnError)
	o.add(f)
	if err := f.Parse(strings.Fields(args)); err != nil {
		return o, err
	}
	return o, o.check(f.Changed)
}

func TestParse_TableMeansParquet(t *testing.T) {
	for args, want := range map[string]string{"": "jsonl", "--table": "parquet", "--table --format parquet": "parquet", "--table --format jsonl": ""} {
		o, err := parse(args)
		if (err == nil) != (want != "") || err == nil && o.format != want {
			t.Errorf("%s: format %s, %v", args, o.format, err)
		}
	}
}
