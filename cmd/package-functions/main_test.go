package main

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"aws-streaming-pipeline/internal/command"
	"aws-streaming-pipeline/internal/lambdas/bundle"
)

// dispatch runs the program.
func dispatch(t *testing.T, out io.Writer, args ...string) error {
	return command.Execute(t.Context(), root(), args, out, io.Discard)
}

func TestRun_WritesPackagesAndPrintsTheirHashes(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "dist")
	schema := filepath.Join(t.TempDir(), "trips.schema.json")
	if err := os.WriteFile(schema, []byte("{}"), 0o644); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := dispatch(t, &out, "--out", dir, "--functions", "init", "--arch", "amd64,arm64", "--add", schema); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"init-amd64.zip", "init-arm64.zip"} {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(out.String(), bundle.Hash(data)+"  "+filepath.Join(dir, name)) || !bytes.Contains(data, []byte("trips.schema.json")) {
			t.Errorf("%s: printed %s", name, &out)
		}
	}
}

func TestRun_RefusesWhatItDoesNotKnow(t *testing.T) {
	for _, args := range [][]string{
		{"--functions", "consumer"}, {"--arch", "386"}, {"--add", "absent.json"}, {"--wrong"},
	} {
		if err := dispatch(t, io.Discard, append(args, "--out", t.TempDir())...); err == nil {
			t.Errorf("%q: no error", args)
		}
	}
}
