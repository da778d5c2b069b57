package schema

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Storage is how the files of a table are written.
type Storage string

const (
	ParquetFiles Storage = "parquet"
	JSONLines    Storage = "json" // read by the OpenX JSON SerDe
	Iceberg      Storage = "iceberg"
)

// Table says what DDL makes of a schema.
type Table struct {
	Database string // empty for none
	Name     string
	Location string // s3://bucket/prefix/
	Storage  Storage
	// Partitions are the partition columns in the order of the key. With partition projection (Athena User Guide,
	// "Partition projection") Athena works out the partitions from these ranges instead of looking them up.
	Partitions []Partition
	// LocationTemplate is where a partition lies, with ${column} for the columns' values. Empty is the Hive style,
	// Location followed by column=${column}/ for each.
	LocationTemplate string
	// Transforms partition an Iceberg table.
	Transforms []Transform
}

// Transform is a partition transform of a column, such as bucket(16, customer).
type Transform struct {
	Name   string // of the transform; identity is the column itself
	Width  int    // of bucket and truncate
	Column string
}

// Partition is a partition column.
type Partition struct {
	Name string
	// Type is Athena's type of the column, string if empty.
	Type string
	// Projection has the properties of projection.<name>: type, range, format, interval, interval.unit, digits or
	// values. Without any, the partitions have to be registered.
	Projection []Property
}

// Property is a table property.
type Property struct{ Key, Value string }

var (
	plainName   = regexp.MustCompile(`^[a-z_][a-z0-9_]*$`)
	scalarTypes = map[Kind]string{
		JSON: "string", String: "string", Int32: "int", Int64: "bigint", Float: "float", Double: "double",
		Boolean: "boolean", Date: "date", TimestampMillis: "timestamp", TimestampMicros: "timestamp",
	}
)

// DDL prints the CREATE EXTERNAL TABLE statement for Athena, or CREATE TABLE for an Iceberg table. Columns are in the
// schema's order, then _extra except for JSON lines, then event_id. An error names every fault of the table.
//
// Athena cannot create columns of type timestamptz (Athena User Guide, "Supported data types for Iceberg tables in Athena"),
// so timestamps are without a time zone, in UTC, and the column _arrived_at is left to the loader, which adds it.
func (s *Schema) DDL(t Table) (string, error) {
	if err := t.check(s); err != nil {
		return "", err
	}
	var b strings.Builder
	name := identifier(t.Name)
	if t.Database != "" {
		name = identifier(t.Database) + "." + name
	}
	if t.Storage == Iceberg {
		fmt.Fprintf(&b, "CREATE TABLE IF NOT EXISTS %s (\n%s\n)\n", name, strings.Join(s.columns(t.Storage), ",\n"))
		if len(t.Transforms) > 0 {
			b.WriteString("PARTITIONED BY (" + t.transforms() + ")\n")
		}
		fmt.Fprintf(&b, "LOCATION %s\nTBLPROPERTIES (\n%s\n);\n", literal(t.Location),
			list([]Property{{"table_type", "ICEBERG"}, {"format", "parquet"}, {"write_compression", "zstd"}}))
		return b.String(), nil
	}
	fmt.Fprintf(&b, "CREATE EXTERNAL TABLE IF NOT EXISTS %s (\n%s\n)\n", name, strings.Join(s.columns(t.Storage), ",\n"))
	if len(t.Partitions) > 0 {
		var columns []string
		for _, p := range t.Partitions {
			columns = append(columns, fmt.Sprintf("  %s %s", identifier(p.Name), p.athenaType()))
		}
		fmt.Fprintf(&b, "PARTITIONED BY (\n%s\n)\n", strings.Join(columns, ",\n"))
	}
	if t.Storage == ParquetFiles {
		b.WriteString("STORED AS PARQUET\n")
	} else {
		b.WriteString(s.serde())
	}
	fmt.Fprintf(&b, "LOCATION %s\n", literal(t.Location))
	b.WriteString(t.properties())
	b.WriteString(";\n")
	return b.String(), nil
}

func (t Table) check(s *Schema) error {
	var faults []string
	if t.Name == "" {
		faults = append(faults, "the table has no name")
	}
	if !strings.HasPrefix(t.Location, "s3://") || !strings.HasSuffix(t.Location, "/") {
		faults = append(faults, fmt.Sprintf("location %q is not of the form s3://bucket/prefix/", t.Location))
	}
	if t.Storage != ParquetFiles && t.Storage != JSONLines && t.Storage != Iceberg {
		faults = append(faults, fmt.Sprintf("storage %q is not parquet, json or iceberg", t.Storage))
	}
	if t.Storage == Iceberg {
		faults = append(faults, t.checkIceberg(s)...)
	}
	projected := 0
	for _, p := range t.Partitions {
		if slices.ContainsFunc(s.Fields, func(f *Field) bool { return strings.EqualFold(f.Name, p.Name) }) {
			faults = append(faults, fmt.Sprintf("partition column %q is a column of the records too", p.Name))
		}
		if len(p.Projection) > 0 {
			projected++
		}
	}
	if projected > 0 && projected < len(t.Partitions) {
		faults = append(faults, "either all partition columns are projected or none")
	}
	if t.LocationTemplate != "" && projected == 0 {
		faults = append(faults, "a location template needs projected partition columns")
	}
	if len(faults) > 0 {
		return fmt.Errorf("table %q: %s", t.Name, strings.Join(faults, "; "))
	}
	return nil
}

// checkIceberg finds what an Iceberg table of Athena cannot have.
func (t Table) checkIceberg(s *Schema) (faults []string) {
	if len(t.Partitions) > 0 {
		faults = append(faults, "an Iceberg table has transforms instead of partition columns")
	}
	if names := mixedCase(s.Fields, ""); len(names) > 0 {
		faults = append(faults, fmt.Sprintf("Athena would name the columns %q in lower case, and records would not fill them: let the loader create the table", names))
	}
	for _, by := range t.Transforms {
		if !slices.ContainsFunc(s.Fields, func(f *Field) bool { return f.Name == by.Column }) && by.Column != EventIDColumn {
			faults = append(faults, fmt.Sprintf("partition by %q: want a column of the schema", by.Column))
		}
	}
	return faults
}

// mixedCase lists the fields whose names have capital letters, those of groups included.
func mixedCase(fields []*Field, at string) (names []string) {
	for _, f := range fields {
		name := at + f.Name
		if f.Name != strings.ToLower(f.Name) {
			names = append(names, name)
		}
		for element := f; element != nil; element = element.Element {
			names = append(names, mixedCase(element.Fields, name+".")...)
		}
	}
	return names
}

// transforms are those of PARTITIONED BY (Athena User Guide, "Create Iceberg tables").
func (t Table) transforms() string {
	var terms []string
	for _, by := range t.Transforms {
		column := identifier(by.Column)
		switch {
		case by.Name == "identity":
			terms = append(terms, column)
		case by.Width > 0:
			terms = append(terms, fmt.Sprintf("%s(%d, %s)", by.Name, by.Width, column))
		default:
			terms = append(terms, by.Name+"("+column+")")
		}
	}
	return strings.Join(terms, ", ")
}

func (p Partition) athenaType() string {
	if p.Type == "" {
		return "string"
	}
	return p.Type
}

func (s *Schema) columns(storage Storage) []string {
	var columns []string
	for _, f := range s.Fields {
		column := fmt.Sprintf("  %s %s", identifier(f.Name), athenaType(f))
		if f.Description != "" {
			column += " COMMENT " + literal(f.Description)
		}
		columns = append(columns, column)
	}
	if s.Extra && storage != JSONLines {
		columns = append(columns, fmt.Sprintf("  %s string COMMENT 'members without a column, as JSON'", identifier(ExtraColumn)))
	}
	return append(columns, fmt.Sprintf("  %s string COMMENT 'sequence number of the record, and its place in an aggregate'", EventIDColumn))
}

func athenaType(f *Field) string {
	switch f.Kind {
	case Decimal:
		return fmt.Sprintf("decimal(%d,%d)", f.Precision, f.Scale)
	case List:
		return "array<" + athenaType(f.Element) + ">"
	case Map:
		return "map<string," + athenaType(f.Element) + ">"
	case Group:
		var members []string
		for _, member := range f.Fields {
			members = append(members, identifier(member.Name)+":"+athenaType(member))
		}
		return "struct<" + strings.Join(members, ",") + ">"
	}
	return scalarTypes[f.Kind]
}

// serde names the OpenX JSON SerDe. Hive's names are in lower case, so names that are not are mapped.
func (s *Schema) serde() string {
	properties := []Property{{"case.insensitive", "true"}, {"ignore.malformed.json", "false"}}
	for _, f := range s.Fields {
		if lower := strings.ToLower(f.Name); lower != f.Name {
			properties = append(properties, Property{"mapping." + lower, f.Name})
		}
	}
	return "ROW FORMAT SERDE 'org.openx.data.jsonserde.JsonSerDe'\nWITH SERDEPROPERTIES (\n" + list(properties) + "\n)\n" +
		"STORED AS INPUTFORMAT 'org.apache.hadoop.mapred.TextInputFormat'\n" +
		"OUTPUTFORMAT 'org.apache.hadoop.hive.ql.io.HiveIgnoreKeyTextOutputFormat'\n"
}

func (t Table) properties() string {
	properties := []Property{{"classification", string(t.Storage)}}
	projected := false
	template := t.Location
	for _, p := range t.Partitions {
		for _, property := range p.Projection {
			projected = true
			properties = append(properties, Property{"projection." + p.Name + "." + property.Key, property.Value})
		}
		template += p.Name + "=${" + p.Name + "}/"
	}
	if projected {
		if t.LocationTemplate != "" {
			template = t.LocationTemplate
		}
		properties = append(properties, Property{"projection.enabled", "true"}, Property{"storage.location.template", template})
	}
	return "TBLPROPERTIES (\n" + list(properties) + "\n)"
}

func list(properties []Property) string {
	var lines []string
	for _, p := range properties {
		lines = append(lines, fmt.Sprintf("  %s = %s", literal(p.Key), literal(p.Value)))
	}
	return strings.Join(lines, ",\n")
}

// identifier quotes names as Hive's DDL needs it.
func identifier(name string) string {
	lower := strings.ToLower(name)
	if plainName.MatchString(lower) && lower[0] != '_' && !slices.Contains(reserved, lower) {
		return lower
	}
	return "`" + strings.ReplaceAll(lower, "`", "``") + "`"
}

// literal quotes text as Hive does; a doubled quote would vanish there.
func literal(s string) string { return "'" + escapeLiteral.Replace(s) + "'" }

var escapeLiteral = strings.NewReplacer(`\`, `\\`, "'", `\'`, "\n", " ", "\r", " ")

// reserved are words that Athena's DDL does not take as names without quotes (Athena User Guide, "Reserved keywords").
var reserved = []string{
	"all", "alter", "and", "array", "as", "authorization", "between", "bigint", "binary", "boolean", "both", "by",
	"case", "cast", "char", "column", "conf", "constraint", "commit", "create", "cross", "cube", "current",
	"current_date", "current_timestamp", "cursor", "database", "date", "dayofweek", "decimal", "delete", "describe",
	"distinct", "div", "double", "drop", "else", "end", "exchange", "exists", "extended", "external", "extract",
	"false", "fetch", "float", "floor", "following", "for", "foreign", "from", "full", "function", "grant", "group",
	"grouping", "having", "if", "import", "in", "inner", "insert", "int", "integer", "intersect", "interval", "into",
	"is", "join", "lateral", "left", "less", "like", "local", "macro", "map", "more", "none", "not", "null",
	"numeric", "of", "on", "only", "or", "order", "out", "outer", "over", "partialscan", "partition", "percent",
	"preceding", "precision", "preserve", "primary", "procedure", "range", "reads", "reduce", "references", "regexp",
	"revoke", "right", "rlike", "rollback", "rollup", "row", "rows", "select", "set", "smallint", "start", "table",
	"tablesample", "then", "time", "timestamp", "to", "transform", "trigger", "true", "truncate", "unbounded",
	"union", "uniquejoin", "update", "user", "using", "utc_timestamp", "values", "varchar", "views", "when", "where",
	"window", "with",
}
