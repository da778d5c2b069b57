package iceberg

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/apache/iceberg-go"

	"aws-streaming-pipeline/record/table"
)

// Partition values and bounds of all types are in a manifest what iceberg-go makes of the same literals.
func TestDataFile_HasValuesAsIcebergGoReadsThem(t *testing.T) {
	random := rand.New(rand.NewPCG(14, 2))
	for _, name := range []string{
		"boolean", "int", "long", "float", "double", "decimal(9, 2)", "decimal(18, 4)", "decimal(38, 0)", "date", "time", "timestamp",
		"timestamptz", "string", "uuid", "fixed[4]", "binary",
	} {
		t.Run(name, func(t *testing.T) {
			typ, err := table.ParseType(name)
			must(t, err)
			schema := iceberg.NewSchema(0, iceberg.NestedField{ID: 1, Name: "c", Type: theirType(t, typ)})
			spec := iceberg.NewPartitionSpecID(3, iceberg.PartitionField{SourceIDs: []int{1}, FieldID: 1000, Name: "c", Transform: iceberg.IdentityTransform{}})
			for range 200 {
				literal := randomLiteral(random, typ)
				value := append([]byte{}, encoded(t, literal)...) // iceberg-go encodes an empty text as nil, which is null here
				d := &table.Description{UUID: "any", Spec: 3, Partition: [][]byte{value}, Splits: []int64{4, 9},
					Columns: []table.Metrics{{ID: 1, Size: 5, Values: 7, Nulls: 2, NaNs: 1, Lower: value, Upper: value}}}
				f, err := dataFileOf(&spec, schema, "s3://lake/f", 7, 100, d)
				must(t, err)
				summary, read := throughManifest(t, spec, schema, f)
				if got, want := fmt.Sprint(read.Partition()[1000]), fmt.Sprint(literal.Any()); got != want {
					t.Fatalf("partition value %s is read as %s", want, got)
				}
				if !bytes.Equal(*summary.LowerBound, value) {
					t.Fatalf("the manifest's least partition value is %x, want %x", *summary.LowerBound, value)
				}
				if !bytes.Equal(read.LowerBoundValues()[1], value) || !bytes.Equal(read.UpperBoundValues()[1], value) {
					t.Fatalf("the bounds are %x and %x, want %x", read.LowerBoundValues()[1], read.UpperBoundValues()[1], value)
				}
				if got := fmt.Sprint(read.Count(), read.FileSizeBytes(), read.ColumnSizes(), read.ValueCounts(), read.NullValueCounts(), read.SplitOffsets(), read.SpecID()); got != "7 100 map[1:5] map[1:7] map[1:2] [4 9] 3" {
					t.Fatalf("counts, sizes, splits and spec are %s", got)
				}
			}
		})
	}
}

// throughManifest writes a file into a manifest and reads it.
func throughManifest(t *testing.T, spec iceberg.PartitionSpec, schema *iceberg.Schema, f iceberg.DataFile) (iceberg.FieldSummary, iceberg.DataFile) {
	t.Helper()
	var content bytes.Buffer
	id := int64(1)
	m, err := iceberg.WriteManifest("s3://lake/m", &content, 2, spec, schema, id, []iceberg.ManifestEntry{iceberg.NewManifestEntry(iceberg.EntryStatusADDED, &id, nil, nil, f)})
	must(t, err)
	entries, err := iceberg.ReadManifest(m, bytes.NewReader(content.Bytes()), true)
	must(t, err)
	return m.Partitions()[0], entries[0].DataFile()
}

// A file that was written before a column was widened has values of the narrower type.
func TestDataFile_WidensOlderValues(t *testing.T) {
	for _, c := range []struct {
		wide iceberg.Type
		old  iceberg.Literal
		want iceberg.Literal
	}{
		{iceberg.PrimitiveTypes.Int64, iceberg.NewLiteral(int32(-7)), iceberg.NewLiteral(int64(-7))},
		{iceberg.PrimitiveTypes.Float64, iceberg.NewLiteral(float32(1.5)), iceberg.NewLiteral(1.5)},
		{iceberg.PrimitiveTypes.Float64, iceberg.NewLiteral(float32(math.Inf(-1))), iceberg.NewLiteral(math.Inf(-1))},
		{iceberg.PrimitiveTypes.Int32, iceberg.NewLiteral(int32(-7)), iceberg.NewLiteral(int32(-7))},
	} {
		schema := iceberg.NewSchema(1, iceberg.NestedField{ID: 1, Name: "c", Type: c.wide})
		spec := iceberg.NewPartitionSpecID(0, iceberg.PartitionField{SourceIDs: []int{1}, FieldID: 1000, Name: "c", Transform: iceberg.IdentityTransform{}})
		value := encoded(t, c.old)
		f, err := dataFileOf(&spec, schema, "s3://lake/f", 1, 1, &table.Description{Partition: [][]byte{value}, Columns: []table.Metrics{{ID: 1, Lower: value, Upper: value}}})
		must(t, err)
		if want := encoded(t, c.want); f.Partition()[1000] != c.want.Any() || !bytes.Equal(f.LowerBoundValues()[1], want) || !bytes.Equal(f.UpperBoundValues()[1], want) {
			t.Errorf("%v as %s: partition %v, bounds %x and %x; want %x", c.old, c.wide, f.Partition()[1000], f.LowerBoundValues()[1], f.UpperBoundValues()[1], want)
		}
	}
}

func TestDataFile_RefusesTuplesOfAnotherShape(t *testing.T) {
	schema := iceberg.NewSchema(1, iceberg.NestedField{ID: 1, Name: "c", Type: iceberg.PrimitiveTypes.Int32})
	spec := iceberg.NewPartitionSpecID(0, iceberg.PartitionField{SourceIDs: []int{1}, FieldID: 1000, Name: "c", Transform: iceberg.IdentityTransform{}})
	for _, tuple := range [][][]byte{nil, {nil, nil}, {{1}}, {[]byte("12345678")}} {
		if got, err := partitionOf(&spec, schema, tuple); err == nil {
			t.Errorf("%x is read as %v", tuple, got)
		}
	}
	if got, err := partitionOf(&spec, schema, [][]byte{nil}); err != nil || got[1000] != nil {
		t.Errorf("null is read as %v, %v", got, err)
	}
}
