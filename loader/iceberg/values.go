package iceberg

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/apache/iceberg-go"

	"aws-streaming-pipeline/record/table"
)

// A file that was written before a column was widened has its values in the narrower type (Iceberg table specification, appendix D:
// readers accept a value of 4 bytes for a long or double). Not all readers do, so values are widened here.

// widenedValue returns a single value as one of type t.
func widenedValue(t iceberg.Type, value []byte) []byte {
	if len(value) != 4 {
		return value
	}
	bits := binary.LittleEndian.Uint32(value)
	switch t.(type) {
	case iceberg.Int64Type:
		return binary.LittleEndian.AppendUint64(nil, uint64(int64(int32(bits))))
	case iceberg.Float64Type:
		return binary.LittleEndian.AppendUint64(nil, math.Float64bits(float64(math.Float32frombits(bits))))
	}
	return value
}

// partitionOf decodes a partition tuple, by the ids of the partition fields.
func partitionOf(spec *iceberg.PartitionSpec, schema *iceberg.Schema, tuple [][]byte) (map[int]any, error) {
	if len(tuple) != spec.NumFields() {
		return nil, fmt.Errorf("partition spec %d: %d values: want %d", spec.ID(), len(tuple), spec.NumFields())
	}
	values := make(map[int]any, len(tuple))
	for i, field := range spec.PartitionType(schema).FieldList {
		value, err := partitionValue(field.Type, tuple[i])
		if err != nil {
			return nil, fmt.Errorf("partition field %s: %w", field.Name, err)
		}
		values[field.ID] = value
	}
	return values, nil
}

func partitionValue(t iceberg.Type, value []byte) (any, error) {
	if _, unknown := t.(iceberg.UnknownType); value == nil || unknown {
		return nil, nil // null; the source of an unknown one was dropped
	}
	literal, err := iceberg.LiteralFromBytes(t, widenedValue(t, value))
	if err != nil {
		return nil, err
	}
	return literal.Any(), nil
}

// dataFileOf returns a data file as a manifest has it. The file itself is not read.
func dataFileOf(spec *iceberg.PartitionSpec, schema *iceberg.Schema, location string, rows, bytes int64, d *table.Description) (iceberg.DataFile, error) {
	partition, err := partitionOf(spec, schema, d.Partition)
	if err != nil {
		return nil, err
	}
	b, err := iceberg.NewDataFileBuilder(*spec, iceberg.EntryContentData, location, iceberg.ParquetFile, partition, nil, nil, rows, bytes)
	if err != nil {
		return nil, err
	}
	sizes, values, nulls, nans := map[int]int64{}, map[int]int64{}, map[int]int64{}, map[int]int64{}
	lower, upper := map[int][]byte{}, map[int][]byte{}
	for _, m := range d.Columns {
		sizes[m.ID], values[m.ID], nulls[m.ID] = m.Size, m.Values, m.Nulls
		t, ok := schema.FindTypeByID(m.ID)
		if !ok {
			continue // dropped meanwhile
		}
		switch t.(type) {
		case iceberg.Float32Type, iceberg.Float64Type:
			if m.NaNs >= 0 {
				nans[m.ID] = m.NaNs
			}
		}
		if m.Lower != nil {
			lower[m.ID] = widenedValue(t, m.Lower)
		}
		if m.Upper != nil {
			upper[m.ID] = widenedValue(t, m.Upper)
		}
	}
	return b.ColumnSizes(sizes).ValueCounts(values).NullValueCounts(nulls).NaNValueCounts(nans).
		LowerBoundValues(lower).UpperBoundValues(upper).SplitOffsets(d.Splits).Build(), nil
}
