package pgddl_test

import (
	"strings"
	"testing"
	"time"

	"aws-streaming-pipeline/loader/postgres/pgddl"
	"aws-streaming-pipeline/record/schema"
)

func TestTable_NamesPartitionsWithinTheLimit(t *testing.T) {
	at := time.Date(2026, 1, 31, 23, 59, 0, 0, time.UTC)
	long := strings.Repeat("a", 60)
	names := map[string]bool{}
	for _, name := range []string{"trips", strings.Repeat("t", 63), long + "abc", long + "abd"} {
		day := pgddl.Table{Namespace: "public", Name: name}.Day(at)
		if len(day) > 63 || !strings.HasSuffix(day, "_20260131") || names[day] {
			t.Errorf("%s: the partition is %s, want a name of its own of at most 63 bytes", name, day)
		}
		names[day] = true
	}
	if !names["trips_20260131"] {
		t.Errorf("the partitions are %v, want a short name as it is", names)
	}
}

func TestCreate_QuotesAndLeavesOutWhatCannotBeAColumn(t *testing.T) {
	s, err := schema.Parse("trips", []byte(`{"properties":{"a\"b":{"type":"string"},"ctid":{"type":"string"},"`+strings.Repeat("x", 64)+`":{"type":"string"}}}`))
	if err != nil {
		t.Fatal(err)
	}
	statements, err := pgddl.Table{Namespace: `s"x`, Name: "T; --", Schema: s}.Create()
	if err != nil {
		t.Fatal(err)
	}
	want := "CREATE TABLE IF NOT EXISTS \"s\"\"x\".\"T; --\" (\n\t\"a\"\"b\" text,\n\t\"event_id\" text,\n\t\"_arrived_at\" timestamptz,\n\t\"_extra\" jsonb\n)"
	if len(statements) != 1 || statements[0] != want {
		t.Errorf("got %q, want %q", statements, want)
	}
}

func TestCreate_RefusesChoicesThatDoNotFit(t *testing.T) {
	for _, table := range []pgddl.Table{{Key: []string{"nowhere"}}, {Key: []string{"event_id"}, Daily: true}} {
		if _, err := table.Create(); err == nil || !strings.Contains(err.Error(), "POSTGRES_KEY") {
			t.Errorf("%+v: got %v, want an error that names POSTGRES_KEY", table, err)
		}
	}
}
