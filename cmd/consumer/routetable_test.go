package main_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/checkpoint/local"
	"aws-streaming-pipeline/operate/route"
	"aws-streaming-pipeline/record/table"
)

// With TABLE, route reads the definition that the loader has written, as the daemon does. Without one it says what it leaves out.
func TestRoute_ReadsTheDefinitionOfTheTable(t *testing.T) {
	s := newSurroundings(t, 1)
	sample := filepath.Join(s.dir, "sample.jsonl")
	if err := os.WriteFile(sample, []byte(`{"region":"eu"}`+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	const name = "glue://lake/trips"
	settings := []string{"TABLE=" + name, "FORMAT=parquet"}
	note := func(r route.Report) string { return strings.Join(r.Notes, "\n") }
	if r := s.routes(settings, "--sample", sample); len(r.Sent[0].Records[0].Table) > 0 || !strings.Contains(note(r), "the table glue://lake/trips is left out") {
		t.Errorf("%+v", r)
	}
	store, err := local.Open(filepath.Join(s.dir, "checkpoints.db"))
	if err != nil {
		t.Fatal(err)
	}
	columns := table.ColumnsOf(nil)
	for i := range columns {
		columns[i].ID = i + 1
	}
	terms, err := table.ParsePartition("day(_arrived_at)")
	if err != nil {
		t.Fatal(err)
	}
	spec, err := table.NewSpec(terms, columns)
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(table.Definition{UUID: "u", Columns: columns, Spec: spec})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := store.PutTable(t.Context(), checkpoint.Table{Name: name, Definition: text}); err != nil {
		t.Fatal(err)
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	r := s.routes(settings, "--sample", sample, "--at", "2026-01-31T10:00:00Z")
	if got := r.Sent[0].Records[0].Table; len(got) != 1 || got[0] != (table.Value{Field: "_arrived_at_day", Text: "2026-01-31"}) || len(r.Notes) > 0 {
		t.Errorf("%+v, %q", got, r.Notes)
	}
}
