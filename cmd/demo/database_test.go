package main

import (
	"io"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"aws-streaming-pipeline/internal/test/emulator"
	"aws-streaming-pipeline/internal/test/gobuild"
)

// The command of the README with --postgres loads every trip once and proves it. The server then runs the query that it prints.
func TestDemo_LoadsADatabase(t *testing.T) {
	t.Parallel()
	server := emulator.PostgreSQL(t, 18)
	folder := filepath.Join(t.TempDir(), "out")
	dsn := "postgres://postgres:unneeded@" + server.Address + "/postgres"
	demo := exec.CommandContext(t.Context(), "go", "run", ".", "--postgres", dsn, "--records", "3000", "--http", "127.0.0.1:0", "--out", folder)
	demo.Env = gobuild.Environment()
	printed, err := demo.CombinedOutput()
	if err != nil {
		t.Fatalf("%v:\n%s", err, printed)
	}
	for _, want := range []string{"\n3000 of 3000 delivered, 0 duplicates\n", "\n3000 of 3000 in the table, 0 rows twice\n", "\nThe table demo_trips_", " has 3000 rows. "} {
		if !strings.Contains(string(printed), want) {
			t.Errorf("%q is not printed:\n%s", want, printed)
		}
	}
	if strings.Contains(string(printed), "unneeded") {
		t.Errorf("the password is printed:\n%s", printed)
	}
	query := regexp.MustCompile(`psql "\$DSN" -c '(.+)'`).FindSubmatch(printed)
	if query == nil {
		t.Fatalf("no query is printed:\n%s", printed)
	}
	rows, err := server.Connect(t, "postgres").Query(t.Context(), string(query[1]))
	if err != nil {
		t.Fatal(err)
	}
	kinds, all := 0, 0
	var kind string
	var trips, ids int
	_, err = pgx.ForEachRow(rows, []any{&kind, &trips, &ids}, func() error {
		kinds, all = kinds+1, all+trips
		if trips != ids {
			t.Errorf("%d trips of kind %s have %d ids", trips, kind, ids)
		}
		return nil
	})
	if err != nil || kinds != 3 || all != 3000 {
		t.Errorf("the query counts %d trips of %d kinds, %v; want 3000 of 3", all, kinds, err)
	}
}

func TestRowsHeld_VerdictFindsWhatIsMissingOrTwice(t *testing.T) {
	for name, test := range map[string]struct {
		held  rowsHeld
		right bool
	}{
		"all": {rowsHeld{rows: 10, distinct: 10}, true}, "one missing": {rowsHeld{rows: 9, distinct: 9}, false},
		"one twice": {rowsHeld{rows: 11, distinct: 10}, false}, "one for another": {rowsHeld{rows: 10, distinct: 9}, false},
	} {
		if err := test.held.verdict(io.Discard, 10, 1); (err == nil) != test.right {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestParse_ChecksTheDatabaseWithoutShowingIt(t *testing.T) {
	for args, want := range map[string]string{
		"--postgres postgres://me:hunter2@localhost/lake":         "",
		"--postgres postgres://me:hunter2@localhost":              "it names no database",
		"--postgres postgres://me:hunter2@localhost/la-ke":        "--postgres: want postgres://host/database/table",
		"--postgres postgres://me:hunter2@localhost/lake --table": "only one of --table and --postgres",
		"--postgres me:hunter2":                                   "want keyword=value pairs",
	} {
		_, err := parse(args)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter2")) {
			t.Errorf("%s: %v, want %q", args, err, want)
		}
	}
}
