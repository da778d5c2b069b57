package lake

import (
	"errors"
	"maps"
	"slices"
	"testing"
)

// Table is a table of a Lake. Readers fail the test if the table cannot be read; what changes the table returns its error.
type Table struct {
	lake *Lake
	name string
}

// Row is a row by column. Numbers are float64, times RFC 3339, bytes hexadecimal.
type Row = map[string]any

// Field is a column or a field of a struct.
type Field struct {
	ID       int
	Name     string
	Type     string // as the Iceberg specification writes it; struct without its fields
	Required bool
	Fields   []Field
}

// Snapshot is a snapshot of a table.
type Snapshot struct {
	ID        int64
	Operation string // append, overwrite, replace or delete
	Summary   map[string]string
}

// File is a data file of a table.
type File struct {
	Path      string // such as s3://bucket/key
	Records   int
	Bytes     int64
	Partition []any
}

// Exists reports whether the catalog has the table.
func (t Table) Exists(tb testing.TB) bool {
	tb.Helper()
	err := t.change("properties", nil, nil)
	if err != nil && !errors.Is(err, ErrNoTable) {
		tb.Fatal(err)
	}
	return err == nil
}

// Query runs SQL in DuckDB, to which the table is the view t.
func (t Table) Query(tb testing.TB, sql string) (rows []Row) {
	tb.Helper()
	t.read(tb, "query", map[string]any{"sql": sql}, &rows)
	return rows
}

// Rows reads the rows that match a filter with pyiceberg, in its language, such as "fare > 10 and city = 'Rome'". An empty filter
// matches all.
func (t Table) Rows(tb testing.TB, filter string) (rows []Row) {
	tb.Helper()
	t.read(tb, "rows", map[string]any{"filter": filter}, &rows)
	return rows
}

// Schema returns the current columns.
func (t Table) Schema(tb testing.TB) (fields []Field) {
	tb.Helper()
	t.read(tb, "schema", nil, &fields)
	return fields
}

// Snapshots returns the snapshots that have not expired, oldest first.
func (t Table) Snapshots(tb testing.TB) (snapshots []Snapshot) {
	tb.Helper()
	t.read(tb, "snapshots", nil, &snapshots)
	return snapshots
}

// Properties returns the properties of the table.
func (t Table) Properties(tb testing.TB) (properties map[string]string) {
	tb.Helper()
	t.read(tb, "properties", nil, &properties)
	return properties
}

// Files returns the data files that pyiceberg plans to read for a filter, once for each time that the table names them.
func (t Table) Files(tb testing.TB, filter string) (files []File) {
	tb.Helper()
	t.read(tb, "files", map[string]any{"filter": filter}, &files)
	return files
}

// Size returns the number of manifests of the current snapshot, and the bytes of the table's metadata file.
func (t Table) Size(tb testing.TB) (manifests, metadata int) {
	tb.Helper()
	var size struct{ Manifests, Metadata int }
	t.read(tb, "manifests", nil, &size)
	return size.Manifests, size.Metadata
}

// Create creates the table, and its namespace if there is none, with columns as pairs of name and type, and a partition as pairs of
// column and transform.
func (t Table) Create(columns, partition [][2]string, properties map[string]string) error {
	return t.change("create", map[string]any{"columns": columns, "partition": partition, "properties": properties}, nil)
}

// Append adds rows in a commit.
func (t Table) Append(rows ...Row) error {
	return t.change("append", map[string]any{"rows": rows}, nil)
}

// Compact replaces all data files by new ones with the same rows, in a commit, and returns how many were replaced.
func (t Table) Compact() (replaced int, err error) {
	return replaced, t.change("compact", nil, &replaced)
}

// Expire expires all snapshots but the current one, and returns how many.
func (t Table) Expire() (expired int, err error) {
	return expired, t.change("expire", nil, &expired)
}

// Add adds an optional column of a primitive type.
func (t Table) Add(column, kind string) error {
	return t.change("add", map[string]any{"column": column, "type": kind}, nil)
}

// Rename renames a column.
func (t Table) Rename(column, name string) error {
	return t.change("rename", map[string]any{"column": column, "name": name}, nil)
}

// Drop drops a column.
func (t Table) Drop(column string) error {
	return t.change("drop", map[string]any{"column": column}, nil)
}

// DropTable removes the table from its catalog. Its files stay.
func (t Table) DropTable() error { return t.change("drop_table", nil, nil) }

// Rollback makes an earlier snapshot the current one.
func (t Table) Rollback(snapshot int64) error {
	return t.change("rollback", map[string]any{"snapshot": snapshot}, nil)
}

// Names returns the names of fields, in their order.
func Names(fields []Field) []string {
	names := make([]string, len(fields))
	for i, f := range fields {
		names[i] = f.Name
	}
	return names
}

// Doubles returns the paths that occur more than once, sorted.
func Doubles(files []File) []string {
	times := make(map[string]int)
	for _, f := range files {
		times[f.Path]++
	}
	maps.DeleteFunc(times, func(_ string, n int) bool { return n == 1 })
	return slices.Sorted(maps.Keys(times))
}

func (t Table) read(tb testing.TB, command string, with map[string]any, answer any) {
	tb.Helper()
	if err := t.change(command, with, answer); err != nil {
		tb.Fatal(err)
	}
}

func (t Table) change(command string, with map[string]any, answer any) error {
	request := map[string]any{"command": command, "table": t.name}
	maps.Copy(request, with)
	return t.lake.ask(request, answer)
}
