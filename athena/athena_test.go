package athena_test

import (
	"flag"
	"os"
	"path/filepath"
	"testing"

	"aws-streaming-pipeline/athena"
)

var update = flag.Bool("write", false, "write ddl/ and the made parts of infra/athena.yml anew")

// bucket is the placeholder in ddl/ for the output bucket of a stage.
const bucket = "OUTPUT_BUCKET"

// statements returns the CREATE TABLE statement of each table.
func statements(t *testing.T, bucket string) map[string]string {
	t.Helper()
	trips, err := athena.Schema()
	if err != nil {
		t.Fatal(err)
	}
	made := make(map[string]string)
	for _, table := range athena.Tables(bucket) {
		ddl, err := trips.DDL(table)
		if err != nil {
			t.Fatal(err)
		}
		made[table.Name] = ddl
	}
	return made
}

func TestDDL_IsMadeFromTheSchema(t *testing.T) {
	made := statements(t, bucket)
	for name, ddl := range made {
		golden(t, filepath.Join("ddl", name+".sql"), ddl)
	}
	there, err := filepath.Glob("ddl/*.sql")
	if err != nil || len(there) != len(made)+1 { // and trips_compact.sql
		t.Errorf("ddl/ has %v (%v) for %d tables", there, err, len(made))
	}
}

// golden compares a file with its generated content, or writes it.
func golden(t *testing.T, path, want string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("%s is not what the tables and the schema say, go test ./athena -write makes it\n%s", path, want)
	}
}
