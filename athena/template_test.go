package athena_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"aws-streaming-pipeline/athena"
)

const template = "../infra/athena.yml"

func TestTemplate_HasTheTablesOfTheDDL(t *testing.T) {
	made := statements(t, "${Bucket}")
	var b strings.Builder
	for _, table := range athena.Tables("${Bucket}") {
		b.WriteString(parseDDL(t, made[table.Name]).resource())
	}
	section(t, "tables", b.String())
}

func TestTemplate_HasTheQueriesOfTheFolder(t *testing.T) {
	var b strings.Builder
	for _, path := range queryFiles(t) {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		name := strings.TrimSuffix(filepath.Base(path), ".sql")
		fmt.Fprintf(&b, "  %sQuery:\n    Type: AWS::Athena::NamedQuery\n    Properties:\n      Name: %s\n", logicalID(name), name)
		fmt.Fprintf(&b, "      Description: %s\n      WorkGroup: !Ref Workgroup\n", quoted(firstSentence(string(text))))
		b.WriteString("      Database: !Ref Database\n      QueryString: |\n")
		for line := range strings.Lines(string(text)) {
			b.WriteString("        " + line)
		}
		b.WriteString("\n")
	}
	section(t, "queries", b.String())
}

// firstSentence returns the first sentence of the comment at the head of a query.
func firstSentence(query string) string {
	var words []string
	for line := range strings.Lines(query) {
		comment, ok := strings.CutPrefix(line, "-- ")
		if !ok {
			break
		}
		words = append(words, strings.TrimSpace(comment))
	}
	first, _, _ := strings.Cut(strings.Join(words, " ")+" ", ". ")
	return first
}

func queryFiles(t *testing.T) []string {
	t.Helper()
	paths, err := filepath.Glob("queries/*.sql")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no queries: %v", err)
	}
	return paths
}

// section compares a generated part of the template with its intended content, or writes it.
func section(t *testing.T, name, want string) {
	t.Helper()
	text, err := os.ReadFile(template)
	if err != nil {
		t.Fatal(err)
	}
	parts := regexp.MustCompile(`(?s)^(.*  # <` + name + `>[^\n]*\n)(.*)(  # </` + name + `>.*)$`).FindStringSubmatch(string(text))
	if parts == nil {
		t.Fatalf("%s has no part %s", template, name)
	}
	golden(t, template, parts[1]+strings.TrimSuffix(want, "\n")+"\n"+parts[3])
}

// statement is a parsed CREATE TABLE statement, in the terms of Glue.
type statement struct {
	name                          string
	columns, partitions           []column
	serde, input, output          string
	location                      string
	serdeProperties, tblProperies []property
}

type (
	column   struct{ name, kind, comment string }
	property struct{ key, value string }
)

// STORED AS PARQUET stands for this (Apache Hive, LanguageManual DDL, "Storage Formats").
const (
	parquetSerde  = "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe"
	parquetInput  = "org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat"
	parquetOutput = "org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat"
)

var (
	tableName  = regexp.MustCompile(`^CREATE EXTERNAL TABLE IF NOT EXISTS (\w+) \($`)
	columnLine = regexp.MustCompile("^  `?(\\w+)`? (\\w+)(?: COMMENT '(.*)')?,?$")
	propLine   = regexp.MustCompile(`^  '([^']+)' = '([^']*)',?$`)
	named      = regexp.MustCompile(`^(ROW FORMAT SERDE|STORED AS INPUTFORMAT|OUTPUTFORMAT|LOCATION) '([^']+)'$`)
)

// parseDDL parses a statement printed by schema.DDL. An unknown line fails the test.
func parseDDL(t *testing.T, ddl string) statement {
	t.Helper()
	var s statement
	where := ""
	for line := range strings.Lines(ddl) {
		line = strings.TrimSuffix(line, "\n")
		switch {
		case tableName.MatchString(line):
			s.name, where = tableName.FindStringSubmatch(line)[1], "columns"
		case line == "PARTITIONED BY (":
			where = "partitions"
		case line == "WITH SERDEPROPERTIES (":
			where = "serde"
		case line == "TBLPROPERTIES (":
			where = "table"
		case line == ")" || line == ");":
		case line == "STORED AS PARQUET":
			s.serde, s.input, s.output = parquetSerde, parquetInput, parquetOutput
			s.serdeProperties = []property{{"serialization.format", "1"}}
		case named.MatchString(line):
			m := named.FindStringSubmatch(line)
			switch m[1] {
			case "ROW FORMAT SERDE":
				s.serde = m[2]
			case "STORED AS INPUTFORMAT":
				s.input = m[2]
			case "OUTPUTFORMAT":
				s.output = m[2]
			case "LOCATION":
				s.location = m[2]
			}
		case (where == "serde" || where == "table") && propLine.MatchString(line):
			m := propLine.FindStringSubmatch(line)
			if where == "serde" {
				s.serdeProperties = append(s.serdeProperties, property{m[1], m[2]})
			} else {
				s.tblProperies = append(s.tblProperies, property{m[1], m[2]})
			}
		case columnLine.MatchString(line):
			m := columnLine.FindStringSubmatch(line)
			c := column{m[1], m[2], strings.ReplaceAll(m[3], `\'`, "'")}
			if where == "columns" {
				s.columns = append(s.columns, c)
			} else {
				s.partitions = append(s.partitions, c)
			}
		default:
			t.Fatalf("line not understood: %q", line)
		}
	}
	return s
}

// resource prints the Glue table as it is in the template.
func (s statement) resource() string {
	var b strings.Builder
	line := func(indent int, text string, args ...any) {
		b.WriteString(strings.Repeat(" ", indent) + fmt.Sprintf(text, args...) + "\n")
	}
	line(2, "%sTable:", logicalID(s.name))
	line(4, "Type: AWS::Glue::Table")
	line(4, "Properties:")
	line(6, "CatalogId: !Ref AWS::AccountId")
	line(6, "DatabaseName: !Ref Database")
	line(6, "TableInput:")
	line(8, "Name: %s", s.name)
	line(8, "TableType: EXTERNAL_TABLE")
	line(8, "Parameters:")
	line(10, `EXTERNAL: "TRUE"`)
	for _, p := range s.tblProperies {
		if p.key == "storage.location.template" {
			line(10, "%s:", p.key)
			writeSub(line, 12, p.value)
			continue
		}
		line(10, "%s: %s", p.key, quoted(p.value))
	}
	line(8, "PartitionKeys:")
	for _, c := range s.partitions {
		line(10, "- {Name: %s, Type: %s}", c.name, c.kind)
	}
	line(8, "StorageDescriptor:")
	line(10, "Location:")
	writeSub(line, 12, s.location)
	line(10, "InputFormat: %s", s.input)
	line(10, "OutputFormat: %s", s.output)
	line(10, "SerdeInfo:")
	line(12, "SerializationLibrary: %s", s.serde)
	line(12, "Parameters:")
	for _, p := range s.serdeProperties {
		line(14, "%s: %s", p.key, quoted(p.value))
	}
	line(10, "Columns:")
	for _, c := range s.columns {
		line(12, "- Name: %s", c.name)
		line(14, "Type: %s", c.kind)
		line(14, "Comment: %s", quoted(c.comment))
	}
	b.WriteString("\n")
	return b.String()
}

// writeSub writes a text in which ${Bucket} is the output bucket's name, and other ${} stay for Athena.
func writeSub(line func(int, string, ...any), indent int, text string) {
	text = strings.ReplaceAll(text, "${", "${!")
	text = strings.ReplaceAll(text, "${!Bucket}", "${Bucket}")
	line(indent, "Fn::Sub:")
	line(indent+2, "- %s", text)
	line(indent+2, "- Bucket:")
	line(indent+6, "Fn::ImportValue: !Sub ${Project}-${Stage}-OutputBucketName")
}

// quoted is a YAML scalar.
func quoted(s string) string { return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"` }

// logicalID makes TripsDaemon of trips_daemon and of trips-daemon.
func logicalID(name string) string {
	var b strings.Builder
	for _, word := range strings.FieldsFunc(name, func(r rune) bool { return r == '_' || r == '-' }) {
		b.WriteString(strings.ToUpper(word[:1]) + word[1:])
	}
	return b.String()
}
