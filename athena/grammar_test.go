package athena_test

import (
	"bytes"
	"encoding/json"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"aws-streaming-pipeline/athena"
	"aws-streaming-pipeline/internal/test/emulator"
	"aws-streaming-pipeline/record/schema"
)

// created is how an independent grammar of Athena parses a CREATE TABLE statement.
type created struct {
	Name            string            `json:"name"`
	Exists          bool              `json:"exists"`
	External        bool              `json:"external"`
	Columns         [][2]string       `json:"columns"`
	Partitions      [][2]string       `json:"partitions"`
	Serde           string            `json:"serde"`
	SerdeProperties map[string]string `json:"serde_properties"`
	Format          string            `json:"format"`
	Location        string            `json:"location"`
	Properties      map[string]string `json:"properties"`
}

// grammar runs testdata/grammar.py over files and decodes its output for each.
func grammar(t *testing.T, what string, files []string, into any) {
	t.Helper()
	env, _ := emulator.Tools(t)
	cmd := exec.CommandContext(t.Context(), "python3", append([]string{"testdata/grammar.py", what}, files...)...)
	cmd.Env = env
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err == nil {
		err = json.Unmarshal(out, into)
	}
	if err != nil {
		t.Fatalf("read %v: %v\n%s", files, err, stderr.String())
	}
}

func TestDDL_SaysToAnotherGrammarWhatAnIcebergTableIs(t *testing.T) {
	const file = "../record/schema/testdata/orders_iceberg.sql"
	understood := make(map[string]created)
	grammar(t, "ddl", []string{file}, &understood)
	got := understood[file]
	want := map[string]string{"table_type": "ICEBERG", "format": "parquet", "write_compression": "zstd"}
	if got.Name != "orders" || got.External || !got.Exists || got.Location != "s3://bucket/tables/orders/" || !reflect.DeepEqual(got.Properties, want) {
		t.Errorf("it is understood as %+v", got)
	}
	if i := slices.Index(got.Columns, [2]string{"at", "timestamp"}); i < 0 || len(got.Columns) != 8 {
		t.Errorf("the columns are %v", got.Columns)
	}
	if len(got.Partitions) != 3 {
		t.Errorf("it is partitioned by %v", got.Partitions)
	}
}

func TestDDL_SaysToAnotherGrammarWhatTheTablesAre(t *testing.T) {
	files, err := filepath.Glob("ddl/*.sql")
	if err != nil {
		t.Fatal(err)
	}
	understood := make(map[string]created)
	grammar(t, "ddl", files, &understood)

	columns := [][2]string{
		{"trip_id", "string"}, {"call_type", "string"}, {"origin_call", "bigint"}, {"origin_stand", "bigint"}, {"taxi_id", "bigint"},
		{"timestamp", "bigint"}, {"day_type", "string"}, {"missing_data", "boolean"}, {"polyline", "string"}, {"event_id", "string"},
	}
	for _, table := range athena.Tables(bucket) {
		got := understood[filepath.Join("ddl", table.Name+".sql")]
		if got.Name != table.Name || !got.Exists || !got.External || got.Location != table.Location {
			t.Errorf("%s is understood as %+v", table.Name, got)
		}
		wanted := columns
		if table.Storage == schema.ParquetFiles {
			wanted = slices.Insert(slices.Clone(columns), len(columns)-1, [2]string{"_extra", "string"})
		}
		if !reflect.DeepEqual(got.Columns, wanted) {
			t.Errorf("%s has the columns %v, want %v", table.Name, got.Columns, wanted)
		}
		var partitions [][2]string
		for _, p := range table.Partitions {
			kind := p.Type
			if kind == "" {
				kind = "string"
			}
			partitions = append(partitions, [2]string{p.Name, kind})
			for _, property := range p.Projection {
				if key := "projection." + p.Name + "." + property.Key; got.Properties[key] != property.Value {
					t.Errorf("%s has %s %q, want %q", table.Name, key, got.Properties[key], property.Value)
				}
			}
			if !strings.Contains(got.Properties["storage.location.template"], "${"+p.Name+"}") {
				t.Errorf("%s lies in %s, whatever %s is", table.Name, got.Properties["storage.location.template"], p.Name)
			}
		}
		if !reflect.DeepEqual(got.Partitions, partitions) {
			t.Errorf("%s has the partitions %v, want %v", table.Name, got.Partitions, partitions)
		}
		if table.Storage == schema.ParquetFiles {
			if got.Format != "PARQUET" || got.Serde != "" {
				t.Errorf("%s is stored as %s by %s", table.Name, got.Format, got.Serde)
			}
			continue
		}
		if got.Serde != "org.openx.data.jsonserde.JsonSerDe" || !strings.Contains(got.Format, "TextInputFormat") || got.SerdeProperties["mapping.trip_id"] != "TRIP_ID" {
			t.Errorf("%s is read by %s from %s with %v", table.Name, got.Serde, got.Format, got.SerdeProperties)
		}
	}
}
