package firehose

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"aws-streaming-pipeline/record/catalog"
)

// parquetCompressions are the values of COMPRESSION for those of ParquetSerDe (API reference).
var parquetCompressions = map[string]string{"UNCOMPRESSED": "none", "GZIP": "gzip", "SNAPPY": "snappy"}

// parquetDefaults are Firehose's defaults for options of Parquet files that the daemon does not have (API reference,
// "ParquetSerDe").
var parquetDefaults = map[string]string{
	"BlockSizeBytes": "268435456", "PageSizeBytes": "1048576", "MaxPaddingBytes": "0", "EnableDictionaryCompression": "false", "WriterVersion": "V1",
}

// conversion sets the columns of files, and reports whether the stream converts records. It does so unless it is turned off
// (API reference, "DataFormatConversionConfiguration").
func (m *importer) conversion(c *node, schema string) bool {
	if c == nil || off(c) || !m.known(c) {
		return false
	}
	c.get("Enabled").text()
	m.columnarFormat(c)
	m.deserializer(c.get("InputFormatConfiguration", "Deserializer"))
	exactCase := c.get("InputFormatConfiguration", "Deserializer", "OpenXJsonSerDe", "CaseInsensitive").is("false")
	m.schema(c.get("SchemaConfiguration"), exactCase, schema)
	return true
}

func (m *importer) columnarFormat(c *node) {
	serializer := c.get("OutputFormatConfiguration", "Serializer")
	if orc := serializer.get("OrcSerDe"); orc != nil {
		m.set("FORMAT", "parquet", orc.at, "in place of ORC")
		m.leave(orc, "the daemon writes no ORC files: Parquet files hold the same columns")
		return
	}
	parquet := serializer.get("ParquetSerDe")
	at := parquet
	if at == nil {
		at = c
	}
	m.set("FORMAT", "parquet", at.at, "each row also has its event_id, and _extra holds members without a column")
	compression := parquet.get("Compression")
	switch value, known := parquetCompressions[compression.text()]; {
	case compression == nil:
		m.set("COMPRESSION", "snappy", from(nil, at, "Compression", "Firehose's default"), "")
	case known:
		m.set("COMPRESSION", value, compression.at, "")
	case compression.expression != "":
		m.leave(compression, "COMPRESSION is missing: "+compression.unknown())
	default:
		m.wrong(compression, "UNCOMPRESSED, GZIP or SNAPPY")
	}
	for _, name := range slices.Sorted(maps.Keys(parquetDefaults)) {
		if n := parquet.get(name); n != nil && !n.is(parquetDefaults[name]) {
			m.leave(n, fmt.Sprintf("the layout within Parquet files cannot be set to %s; ROW_GROUP_SIZE bounds row groups in memory", n.value))
		}
	}
}

// deserializer names the options by which Firehose reads JSON in another way than the daemon (API reference, "OpenXJsonSerDe" and
// "HiveJsonSerDe").
func (m *importer) deserializer(d *node) {
	x := d.get("OpenXJsonSerDe")
	if n := x.get("CaseInsensitive"); n.is("false") {
		m.note(n, "as here: names of columns and members are compared by case")
	}
	if n := x.get("ConvertDotsInJsonKeysToUnderscores"); n.is("true") {
		m.leave(n, "columns have the names of the members, dots included")
	}
	if n := x.get("ColumnToJsonKeyMappings"); n != nil && len(n.members) > 0 {
		m.leave(n, "columns have the names of the members: rename them in the table or in a view")
	}
	if n := d.get("HiveJsonSerDe", "TimestampFormats"); n != nil {
		m.leave(n, "timestamps are read as RFC 3339, with a space or a T and with or without a zone; others go to the error prefix")
	}
}

// schema sets SCHEMA to the Glue table, or to a document of its columns (API reference, "SchemaConfiguration").
func (m *importer) schema(s *node, exactCase bool, document string) {
	s.get("RoleARN").skip()
	if s == nil {
		return
	}
	table := catalog.Source{
		Catalog: s.get("CatalogId").text(), Region: s.get("Region").text(), Database: s.get("DatabaseName").text(),
		Table: s.get("TableName").text(), Version: s.get("VersionId").text(), ExactCase: exactCase,
	}
	if table.Database == "" || table.Table == "" {
		return // the names are expressions, which are named as such
	}
	if table.Region == m.Region {
		table.Region = ""
	}
	if table.Version == "LATEST" {
		table.Version = ""
	}
	if _, err := catalog.ParseSource(table.String()); err != nil {
		m.leave(s, fmt.Sprintf("SCHEMA is missing: %s cannot be the value: %v", table, err))
		return
	}
	m.Glue = &table
	note := "the table is read at each start; numbers in timestamp columns need x-timestamp-unit in a document, which --glue-schema FILE writes"
	if document != "" {
		note = "the columns of " + table.String() + "; numbers in timestamp columns need x-timestamp-unit in the document"
	}
	m.set("SCHEMA", cmp.Or(document, table.String()), s.at, note)
}
