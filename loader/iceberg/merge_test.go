package iceberg

import (
	"encoding/json"
	"fmt"
	"net/http"
	"testing"

	"github.com/apache/iceberg-go"
	icebergtable "github.com/apache/iceberg-go/table"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/loader"
	"aws-streaming-pipeline/record/table"
)

// Merging keeps the tuples of files, also of those from before the partition's source was widened or dropped.
func TestMerge_KeepsTuples(t *testing.T) {
	long := []byte{1, 0, 0, 0, 0, 0, 0, 0}
	types := iceberg.PrimitiveTypes
	for name, c := range map[string]struct {
		before, after iceberg.Type
		value         []byte
		merged        bool
	}{
		"widened int":       {types.Int32, types.Int64, []byte{1, 0, 0, 0}, true},
		"widened float":     {types.Float32, types.Float64, []byte{0, 0, 0, 63}, true},
		"widened decimal":   {iceberg.DecimalTypeOf(9, 2), iceberg.DecimalTypeOf(20, 2), []byte{0xfe}, true},
		"dropped long":      {types.Int64, nil, long, false},
		"dropped date":      {types.Date, nil, []byte{1, 0, 0, 0}, false},
		"boolean":           {types.Bool, types.Bool, []byte{1}, true},
		"negative decimal":  {iceberg.DecimalTypeOf(38, 2), iceberg.DecimalTypeOf(38, 2), []byte{0xfe}, true},
		"time before 1970":  {types.TimestampTz, types.TimestampTz, []byte{1, 0, 0, 0, 0, 0, 0, 0xff}, true},
		"time":              {types.Time, types.Time, long, true},
		"uuid":              {types.UUID, types.UUID, []byte("0123456789abcdef"), true},
		"fixed":             {iceberg.FixedTypeOf(4), iceberg.FixedTypeOf(4), []byte("0123"), true},
		"binary":            {types.Binary, types.Binary, []byte{0xff}, true},
		"null":              {types.String, types.String, nil, true},
		"text of no length": {types.String, types.String, []byte{}, true},
	} {
		t.Run(name, func(t *testing.T) {
			r := newOpenTable(t, "s3://lake/tables/trips", func(*http.Request) bool { return false })
			r.options.TablePartition = ""
			spec := iceberg.NewPartitionSpecID(1, iceberg.PartitionField{SourceIDs: []int{100}, FieldID: 1000, Name: "source", Transform: iceberg.IdentityTransform{}})
			r.change(c.before, &spec)
			l := must2(r.load(t.Context()))(t)
			d := table.Description{UUID: l.definition.UUID, Spec: l.definition.Spec.ID, Partition: [][]byte{c.value}}
			text := must2(json.Marshal(d))(t)
			var tuple string
			for i := range 7 {
				id := fmt.Sprint("b", i)
				b := checkpoint.Batch{ID: id, Files: []checkpoint.File{{Bucket: "lake", Key: "data/" + id, Rows: 1, Bytes: 1, Table: text}}}
				must(t, must2(r.load(t.Context()))(t).Append(t.Context(), loader.Addition{Batches: []checkpoint.Batch{b}}))
				if i == 1 {
					tuple = fmt.Sprint(r.tuples()["b0"])
				}
				switch {
				case i == 1 && c.after == nil:
					none := iceberg.NewPartitionSpecID(2)
					r.change(nil, &none)
				case i == 1 && !c.after.Equals(c.before):
					r.change(c.after, nil)
				}
			}
			tuples := r.tuples()
			if len(tuples) != 7 || fmt.Sprint(tuples["b0"]) != tuple || fmt.Sprint(tuples["b1"]) != tuple {
				t.Errorf("%d files, of which the first had the tuple %s: now %v", len(tuples), tuple, tuples)
			}
			manifests := must2(must2(r.load(t.Context()))(t).table.CurrentSnapshot().Manifests(l.destination.files))(t)
			if merged := len(manifests) < 7; merged != c.merged {
				t.Errorf("7 commits have left %d manifests, want them merged %t", len(manifests), c.merged)
			}
		})
	}
}

// change gives the table the column source, or drops it if of is nil, and a new spec.
func (r *openTable) change(of iceberg.Type, spec *iceberg.PartitionSpec) {
	r.t.Helper()
	l := must2(r.load(r.t.Context()))(r.t)
	now := l.table.Metadata().CurrentSchema()
	var fields []iceberg.NestedField
	for _, f := range now.Fields() {
		if f.Name != "source" {
			fields = append(fields, f)
		}
	}
	if of != nil {
		fields = append(fields, iceberg.NestedField{ID: 100, Name: "source", Type: of})
	}
	columns := []icebergtable.Update{icebergtable.NewAddSchemaUpdate(iceberg.NewSchema(now.ID+1, fields...)), icebergtable.NewSetCurrentSchemaUpdate(lastAdded)}
	var partition []icebergtable.Update
	if spec != nil {
		partition = []icebergtable.Update{icebergtable.NewAddPartitionSpecUpdate(spec, false), icebergtable.NewSetDefaultSpecUpdate(lastAdded)}
	}
	updates := append(columns, partition...)
	if of == nil {
		updates = append(partition, columns...)
	}
	updates = append(updates, icebergtable.NewSetPropertiesUpdate(map[string]string{"commit.manifest.min-count-to-merge": "3"}))
	must(r.t, l.commit(r.t.Context(), commit{updates: updates}))
}

// tuples returns the partition values of the batches' files, as their manifests' own schemas have them.
func (r *openTable) tuples() map[string]any {
	r.t.Helper()
	l := must2(r.load(r.t.Context()))(r.t)
	tuples := make(map[string]any)
	for _, m := range must2(l.table.CurrentSnapshot().Manifests(l.destination.files))(r.t) {
		for entry, err := range m.Entries(l.destination.files, true) {
			must(r.t, err)
			path := entry.DataFile().FilePath()
			tuples[path[len(path)-2:]] = entry.DataFile().Partition()[1000]
		}
	}
	return tuples
}
