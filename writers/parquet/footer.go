package parquet

import (
	"encoding/binary"
	"fmt"

	"github.com/parquet-go/parquet-go/deprecated"
	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"

	"aws-streaming-pipeline/record/schema"
	"aws-streaming-pipeline/record/schema/shred"
)

var magic = []byte("PAR1")

// The structures below are those of the format package, except for the statistics, which lack two fields there: whether a
// bound is exact (parquet.thrift, Statistics, fields 7 and 8).
type (
	statistics struct {
		NullCount  int64             `thrift:"3,writezero"`
		MaxValue   []byte            `thrift:"5"`
		MinValue   []byte            `thrift:"6"`
		IsMaxExact thrift.Null[bool] `thrift:"7,optional"`
		IsMinExact thrift.Null[bool] `thrift:"8,optional"`
	}

	columnMetaData struct {
		Type                  format.Type                            `thrift:"1,required"`
		Encoding              thrift.Slice[format.Encoding]          `thrift:"2,required"`
		PathInSchema          thrift.Slice[string]                   `thrift:"3,required"`
		Codec                 format.CompressionCodec                `thrift:"4,required"`
		NumValues             int64                                  `thrift:"5,required"`
		TotalUncompressedSize int64                                  `thrift:"6,required"`
		TotalCompressedSize   int64                                  `thrift:"7,required"`
		DataPageOffset        int64                                  `thrift:"9,required"`
		DictionaryPageOffset  int64                                  `thrift:"11,optional"`
		Statistics            statistics                             `thrift:"12,optional,writezero"`
		EncodingStats         thrift.Slice[format.PageEncodingStats] `thrift:"13,optional"`
		BloomFilterOffset     int64                                  `thrift:"14,optional"`
		BloomFilterLength     int32                                  `thrift:"15,optional"`
	}

	columnChunk struct {
		FileOffset        int64          `thrift:"2,required"`
		MetaData          columnMetaData `thrift:"3,optional"`
		OffsetIndexOffset int64          `thrift:"4,optional"`
		OffsetIndexLength int32          `thrift:"5,optional"`
		ColumnIndexOffset int64          `thrift:"6,optional"`
		ColumnIndexLength int32          `thrift:"7,optional"`
	}

	rowGroup struct {
		Columns             thrift.Slice[columnChunk] `thrift:"1,required"`
		TotalByteSize       int64                     `thrift:"2,required"`
		NumRows             int64                     `thrift:"3,required"`
		FileOffset          int64                     `thrift:"5,optional"`
		TotalCompressedSize int64                     `thrift:"6,optional"`
		Ordinal             int16                     `thrift:"7,optional,writezero"`
	}

	fileMetaData struct {
		Version          int32                              `thrift:"1,required"`
		Schema           thrift.Slice[format.SchemaElement] `thrift:"2,required"`
		NumRows          int64                              `thrift:"3,required"`
		RowGroups        thrift.Slice[rowGroup]             `thrift:"4,required"`
		KeyValueMetadata thrift.Slice[format.KeyValue]      `thrift:"5,optional"`
		CreatedBy        string                             `thrift:"6,optional"`
		ColumnOrders     thrift.Slice[format.ColumnOrder]   `thrift:"7,optional"`
	}
)

// marshal encodes a structure in Thrift's compact protocol.
func marshal(v any) ([]byte, error) {
	b, err := thrift.Marshal(new(thrift.CompactProtocol), v)
	if err != nil {
		return nil, fmt.Errorf("encode parquet metadata %T: %w", v, err)
	}
	return b, nil
}

// footer is the end of a file, after its last row group.
type footer struct {
	meta   fileMetaData
	groups []*encodedGroup
	offset int64 // of the next byte in the file
	out    []byte
}

// write returns the indexes of all pages and the metadata.
func (f *footer) write() ([]byte, error) {
	for i, group := range f.groups {
		for j, chunk := range group.chunks {
			if len(chunk.columnIndex.NullPages) == 0 {
				continue // the chunk has no bounds
			}
			column := &f.meta.RowGroups[i].Columns[j]
			at, length, err := f.add(&chunk.columnIndex)
			if err != nil {
				return nil, err
			}
			column.ColumnIndexOffset, column.ColumnIndexLength = at, length
		}
	}
	for i, group := range f.groups {
		for j, chunk := range group.chunks {
			column := &f.meta.RowGroups[i].Columns[j]
			at, length, err := f.add(&chunk.offsetIndex)
			if err != nil {
				return nil, err
			}
			column.OffsetIndexOffset, column.OffsetIndexLength = at, length
		}
	}
	_, length, err := f.add(&f.meta)
	if err != nil {
		return nil, err
	}
	f.out = binary.LittleEndian.AppendUint32(f.out, uint32(length))
	return append(f.out, magic...), nil
}

func (f *footer) add(v any) (offset int64, length int32, err error) {
	b, err := marshal(v)
	if err != nil {
		return 0, 0, err
	}
	offset = f.offset + int64(len(f.out))
	f.out = append(f.out, b...)
	return offset, int32(len(b)), nil
}

// schemaElements lists the tree depth-first, as the footer requires.
func schemaElements(tree []*shred.Node) []format.SchemaElement {
	root := format.SchemaElement{Name: "schema", NumChildren: thrift.New(int32(len(tree)))}
	elements := []format.SchemaElement{root}
	for _, n := range tree {
		repetition := format.Optional
		if n.Column != nil && n.Column.MaxDef == 0 {
			repetition = format.Required
		}
		elements = appendElement(elements, n, n.Field.Name, repetition)
	}
	return elements
}

func appendElement(elements []format.SchemaElement, n *shred.Node, name string, repetition format.FieldRepetitionType) []format.SchemaElement {
	e := format.SchemaElement{Name: name, RepetitionType: thrift.New(repetition), FieldID: int32(n.Field.ID)}
	switch n.Field.Kind {
	case schema.Group:
		e.NumChildren = thrift.New(int32(len(n.Children)))
		elements = append(elements, e)
		for _, child := range n.Children {
			elements = appendElement(elements, child, child.Field.Name, format.Optional)
		}
		return elements
	case schema.List:
		e.NumChildren = thrift.New(int32(1))
		annotate(&e, deprecated.List, &format.ListType{})
		elements = append(elements, e, repeated("list", 1))
		return appendElement(elements, n.Element, "element", format.Optional)
	case schema.Map:
		e.NumChildren = thrift.New(int32(1))
		annotate(&e, deprecated.Map, &format.MapType{})
		elements = append(elements, e, repeated("key_value", 2))
		elements = appendElement(elements, n.Key, "key", format.Required)
		return appendElement(elements, n.Element, "value", format.Optional)
	}
	e.Type = thrift.New(physicalType(n.Field))
	annotateScalar(&e, n.Field)
	return append(elements, e)
}

func repeated(name string, children int32) format.SchemaElement {
	return format.SchemaElement{Name: name, RepetitionType: thrift.New(format.Repeated), NumChildren: thrift.New(children)}
}

func annotate(e *format.SchemaElement, converted deprecated.ConvertedType, logical format.LogicalTypeValue) {
	e.ConvertedType = thrift.New(converted)
	e.LogicalType = format.LogicalType{Value: logical}
}

func annotateScalar(e *format.SchemaElement, f *schema.Field) {
	switch f.Kind {
	case schema.String, schema.JSON:
		annotate(e, deprecated.UTF8, &format.StringType{})
	case schema.Date:
		annotate(e, deprecated.Date, &format.DateType{})
	case schema.TimestampMillis:
		unit := format.TimeUnit{Value: &format.MilliSeconds{}}
		annotate(e, deprecated.TimestampMillis, &format.TimestampType{IsAdjustedToUTC: true, Unit: unit})
	case schema.TimestampMicros:
		unit := format.TimeUnit{Value: &format.MicroSeconds{}}
		// Local timestamps have the annotation of the others, too (parquet-format, LogicalTypes.md, "TIMESTAMP").
		annotate(e, deprecated.TimestampMicros, &format.TimestampType{IsAdjustedToUTC: !f.Local, Unit: unit})
	case schema.Decimal:
		precision, scale := int32(f.Precision), int32(f.Scale)
		annotate(e, deprecated.Decimal, &format.DecimalType{Precision: precision, Scale: scale})
		e.Precision, e.Scale = thrift.New(precision), thrift.New(scale)
		if precision > 18 {
			e.TypeLength = thrift.New(int32(wideDecimalBytes))
		}
	}
}

// wideDecimalBytes is the size of a decimal with more than 18 digits.
const wideDecimalBytes = 16

// physicalType returns the type in which a column's values are stored.
func physicalType(f *schema.Field) format.Type {
	switch f.Kind {
	case schema.String, schema.JSON:
		return format.ByteArray
	case schema.Boolean:
		return format.Boolean
	case schema.Int32, schema.Date:
		return format.Int32
	case schema.Float:
		return format.Float
	case schema.Double:
		return format.Double
	case schema.Decimal:
		switch {
		case f.Precision <= 9:
			return format.Int32
		case f.Precision > 18:
			return format.FixedLenByteArray
		}
	}
	return format.Int64
}
