package athena_test

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"aws-streaming-pipeline/athena"
)

const compactTable = "ddl/trips_compact.sql"

func TestCompactTable_HasTheColumnsOfTheFunctionsTables(t *testing.T) {
	source := "ddl/trips_lambda.sql"
	understood := make(map[string]created)
	grammar(t, "ddl", []string{compactTable, source}, &understood)
	got := understood[compactTable]
	want := append(understood[source].Columns, [2]string{"path", "string"}, [2]string{"day", "date"})
	if !reflect.DeepEqual(got.Columns, want) {
		t.Errorf("the columns are %v, want %v", got.Columns, want)
	}
	properties := map[string]string{"table_type": "ICEBERG", "format": "parquet", "write_compression": "zstd"}
	if got.Name != "trips_compact" || got.External || !got.Exists || got.Location != "s3://"+bucket+"/compact/" || !reflect.DeepEqual(got.Properties, properties) {
		t.Errorf("it is understood as %+v", got)
	}
	if len(got.Partitions) != 2 || got.Partitions[0][0] != "path" || got.Partitions[1][0] != "day" {
		t.Errorf("it is partitioned by %v", got.Partitions)
	}
	for _, table := range athena.Tables(bucket) {
		if strings.HasPrefix(got.Location, table.Location) || strings.HasPrefix(table.Location, got.Location) {
			t.Errorf("%s and %s share files", table.Name, got.Name)
		}
	}
}

// createCompact makes trips_compact in DuckDB, with the columns of the DDL.
const createCompact = "CREATE TABLE trips_compact AS SELECT * EXCLUDE (\"date\"), 'lambda' AS path, DATE '2026-01-31' AS day FROM trips_lambda LIMIT 0"

// compact copies what both functions wrote with the saved queries, and looks with others whether all is there. DuckDB runs them, on a plain
// table: what is atomic in Iceberg, a statement, is atomic there too.
func compact(t *testing.T, folder string) {
	saved := make(map[string]string)
	grammar(t, "duckdb", queryFiles(t), &saved)
	query := func(name string) string {
		text, ok := saved["queries/"+name+".sql"]
		if !ok || text == "" {
			t.Fatalf("no query %s", name)
		}
		return text
	}
	lambda, firehose := query("compact-lambda"), query("compact-firehose")
	one := func(path string) string {
		return "path = '" + path + "' AND event_id = (SELECT min(event_id) FROM trips_compact)"
	}
	const agree = "[[firehose 3000 3000 0 0 0 0 0] [lambda 3000 3000 0 0 0 0 0]]"
	cases := map[string]struct {
		steps       []string
		check       string
		differences int
	}{
		"copied":               {steps: []string{lambda, firehose}, check: agree},
		"copied twice":         {steps: []string{lambda, firehose, firehose, lambda}, check: agree},
		"copied after a part":  {steps: []string{lambda, firehose, "DELETE FROM trips_compact WHERE taxi_id % 2 = 0", lambda, firehose}, check: agree},
		"beside the day after": {steps: []string{lambda, firehose, "UPDATE trips_compact SET day = DATE '2026-02-01' WHERE " + one("firehose"), firehose}, check: "[[firehose 3000 2999 0 0 0 0 0] [lambda 3000 3000 0 0 0 0 0]]"},
		"a double in the source": {
			steps: []string{"INSERT INTO trips_lambda SELECT * FROM trips_lambda ORDER BY event_id LIMIT 7", lambda, firehose},
			check: "[[firehose 3000 3000 0 0 0 0 0] [lambda 3007 3000 7 0 0 0 0]]",
		},
		// What must not go unnoticed.
		"one path only": {steps: []string{lambda}, check: "[[firehose 3000 0 0 3000 0 0 0] [lambda 3000 3000 0 0 0 0 0]]", differences: 100},
		"a row lost":    {steps: []string{lambda, firehose, "DELETE FROM trips_compact WHERE " + one("lambda")}, check: "[[firehose 3000 3000 0 0 0 0 0] [lambda 3000 2999 0 1 0 0 0]]", differences: 1},
		"a row double": {
			steps: []string{lambda, firehose, "INSERT INTO trips_compact SELECT * FROM trips_compact WHERE " + one("firehose")},
			check: "[[firehose 3000 3001 0 0 0 1 0] [lambda 3000 3000 0 0 0 0 0]]", differences: 1,
		},
		"a row double on the day after": {
			steps: []string{lambda, firehose, "INSERT INTO trips_compact SELECT * REPLACE (DATE '2026-02-01' AS day) FROM trips_compact WHERE " + one("firehose")},
			check: "[[firehose 3000 3000 0 0 0 1 0] [lambda 3000 3000 0 0 0 0 0]]", differences: 1,
		},
		"a column different": {
			steps: []string{lambda, firehose, "UPDATE trips_compact SET polyline = '[]' || polyline WHERE " + one("lambda")},
			check: "[[firehose 3000 3000 0 0 0 0 0] [lambda 3000 3000 0 1 1 0 0]]", differences: 2,
		},
		"a row of nowhere": {
			steps: []string{lambda, firehose, "INSERT INTO trips_compact SELECT * REPLACE ('0' AS event_id) FROM trips_compact WHERE " + one("lambda")},
			check: "[[firehose 3000 3000 0 0 0 0 0] [lambda 3000 3001 0 0 1 0 0]]", differences: 1,
		},
		"a row without an event_id": {
			steps: []string{"UPDATE trips_lambda SET event_id = NULL WHERE event_id = (SELECT min(event_id) FROM trips_lambda)", lambda, firehose},
			check: "[[firehose 3000 3000 0 0 0 0 0] [lambda 3000 2999 0 0 0 0 1]]", differences: 1,
		},
		"copied twice without a look at what is there": {
			steps: []string{lambda, lambda[:strings.Index(lambda, " AND NOT EXISTS")], firehose},
			check: "[[firehose 3000 3000 0 0 0 0 0] [lambda 3000 6000 0 0 0 3000 0]]", differences: 100,
		},
	}
	steps := make(map[string][]string)
	for name, c := range cases {
		steps[name] = slices.Concat([]string{createCompact}, c.steps)
	}
	rows := askCases(t, folder, steps, map[string]string{"check": query("compact-check"), "differences": query("compact-differences")})
	for name, c := range cases {
		if got := fmt.Sprint(rows[name]["check"]); got != c.check || len(rows[name]["differences"]) != c.differences {
			t.Errorf("%s: %v and %d differences, want %s and %d", name, got, len(rows[name]["differences"]), c.check, c.differences)
		}
	}
}

// A statement copies one day of one path: one partition of the hundred that a statement of Athena may write.
func TestCompactQueries_NameOneDay(t *testing.T) {
	files, err := filepath.Glob("queries/compact-*.sql")
	if err != nil || len(files) != 5 {
		t.Fatalf("the queries are %v: %v", files, err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		other := strings.NewReplacer("2026-01-31", "", "2026/01/31", "").Replace(string(text))
		if other == string(text) || strings.Contains(other, "2026") {
			t.Errorf("%s names other days than 2026-01-31", file)
		}
	}
}

func TestCompactPage_SpeaksAnothersGrammarOfAthena(t *testing.T) {
	text, err := os.ReadFile("../docs/compact-small-files.md")
	if err != nil {
		t.Fatal(err)
	}
	var files []string
	for _, m := range regexp.MustCompile("(?ms)^```sql\n(.*?)^```").FindAllStringSubmatch(string(text), -1) {
		file := filepath.Join(t.TempDir(), "statement.sql")
		if err := os.WriteFile(file, []byte(m[1]), 0o600); err != nil {
			t.Fatal(err)
		}
		files = append(files, file)
	}
	understood := make(map[string]string)
	grammar(t, "duckdb", files, &understood)
	if len(files) != 3 || understood[files[0]] != "" || !strings.HasPrefix(understood[files[1]], "CREATE VIEW") || !strings.HasPrefix(understood[files[2]], "CREATE TABLE") {
		t.Errorf("the statements are understood as %q", understood)
	}
}

// The view of the guide has each event once, although both have delivered a part of them: the function the older ones, and the daemon the newer.
func moveByEventID(t *testing.T, folder string) {
	text, err := os.ReadFile("../docs/migrate-from-firehose.md")
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile("(?s)```sql\n(CREATE VIEW.*?);\n").FindStringSubmatch(string(text))
	if m == nil {
		t.Fatal("the guide has no view")
	}
	file := filepath.Join(t.TempDir(), "view.sql")
	view := strings.NewReplacer("2026-03-14", "2026-01-31", "month = 3", "month = 1", "BETWEEN 14 AND 15", "= 31").Replace(m[1])
	if err := os.WriteFile(file, []byte(view), 0o600); err != nil {
		t.Fatal(err)
	}
	spoken := make(map[string]string)
	grammar(t, "duckdb", []string{file}, &spoken)
	rows := askCases(t, folder, map[string][]string{"": {
		"DELETE FROM trips_lambda WHERE taxi_id % 3 = 0", "DELETE FROM trips_daemon WHERE taxi_id % 3 = 1", spoken[file],
	}}, map[string]string{
		"view": "SELECT count(*), count(DISTINCT event_id) FROM trips_all",
		"both": "SELECT count(*) > 100 FROM trips_daemon JOIN trips_lambda USING (event_id)",
	})[""]
	if got := fmt.Sprint(rows["view"], rows["both"]); got != fmt.Sprintf("[[%d %[1]d]] [[true]]", trips) {
		t.Errorf("the view has %s", got)
	}
}
