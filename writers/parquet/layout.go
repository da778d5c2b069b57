package parquet

import (
	"encoding/json"
	"fmt"
	"math"
	"sync"

	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"

	"aws-streaming-pipeline/record/schema"
	"aws-streaming-pipeline/record/schema/shred"
	"aws-streaming-pipeline/record/table"
	"aws-streaming-pipeline/writers"
)

// layout encodes one file.
type layout struct {
	format *Format

	mu      sync.Mutex
	vectors *vectors     // nil until the columns have been inferred
	extras  table.Extras // of sampled records, if the file is for a table; otherwise nil

	// For the goroutine that calls Begin, Place and End.
	offset int64
	rows   int64
	groups []*encodedGroup
	kept   int // memory of groups
}

var _ writers.Keeping = (*layout)(nil)

// Kept returns the memory that footer and indexes take until End.
func (l *layout) Kept() int { return l.kept }

// Begin returns the magic number.
func (l *layout) Begin() []byte { return magic }

// NewBlock returns an empty row group.
func (l *layout) NewBlock() writers.Block {
	b := &block{layout: l}
	if l.extras != nil {
		b.extras = table.Extras{}
	}
	if v := l.columns(); v != nil {
		b.use(v)
	}
	return b
}

// columns returns the file's columns, nil if they have not been inferred yet.
func (l *layout) columns() *vectors {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.vectors
}

// infer settles the file's columns, based on samples if they are not settled yet.
func (l *layout) infer(samples [][]byte) *vectors {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.vectors == nil {
		l.vectors = l.format.inferred.columns(samples)
	}
	return l.vectors
}

// addExtras takes note of what was in _extra.
func (l *layout) addExtras(extras table.Extras) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for key := range extras {
		l.extras.Add([]byte(key))
	}
}

// Place adds a row group to the file.
func (l *layout) Place(e writers.Encoded) ([]byte, error) {
	group, ok := e.Meta.(*encodedGroup)
	if !ok {
		return nil, fmt.Errorf("place row group: metadata is %T", e.Meta)
	}
	if group.rows == 0 {
		return nil, nil
	}
	if len(l.groups) == math.MaxInt16 {
		return nil, fmt.Errorf("place row group: the file already has the maximum of %d", math.MaxInt16)
	}
	group.shift(l.offset)
	l.groups = append(l.groups, group)
	l.kept += group.memory()
	l.offset += int64(len(e.Data))
	l.rows += group.rows
	return e.Data, nil
}

// End returns the indexes and the footer.
func (l *layout) End() ([]byte, error) {
	v := l.infer(nil)
	tree := v.get()
	defer v.put(tree)
	f := footer{offset: l.offset, groups: l.groups, meta: fileMetaData{
		Version: 2, Schema: schemaElements(tree.Tree()), NumRows: l.rows,
		CreatedBy:        l.format.createdBy(),
		KeyValueMetadata: append(thrift.Slice[format.KeyValue]{{Key: "aws-streaming-pipeline.schema", Value: v.name}}, jsonColumns(tree.Columns())...),
	}}
	for i, group := range l.groups {
		f.meta.RowGroups = append(f.meta.RowGroups, group.meta(int16(i)))
	}
	for range tree.Columns() {
		f.meta.ColumnOrders = append(f.meta.ColumnOrders, format.ColumnOrder{Value: &format.TypeDefinedOrder{}})
	}
	return f.write()
}

// jsonColumns returns the metadata that says which columns hold JSON text, for files that loaders read row by row.
func jsonColumns(columns []*shred.Column) []format.KeyValue {
	var numbers []int
	arrived := false
	for i, c := range columns {
		arrived = arrived || c.Path[0] == schema.ArrivedAtColumn
		if c.Field.Kind == schema.JSON && c.Path[0] != schema.ExtraColumn {
			numbers = append(numbers, i)
		}
	}
	if !arrived || len(numbers) == 0 {
		return nil
	}
	text, err := json.Marshal(numbers)
	if err != nil {
		panic(err) // numbers always marshal
	}
	return []format.KeyValue{{Key: schema.JSONColumnsKey, Value: string(text)}}
}

// createdBy has the form that readers parse: "application version v (build b)".
func (f *Format) createdBy() string {
	version := f.options.CreatedBy
	if version == "" {
		version = "dev"
	}
	return "aws-streaming-pipeline version " + version
}
