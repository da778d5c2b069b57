package schema_test

import (
	"os"
	"strings"
	"testing"

	"aws-streaming-pipeline/record/schema"
)

// The columns of a document made of a Hive table have the table's types again, as DDL prints them.
func TestFromHive_KeepsTheColumns(t *testing.T) {
	var columns []schema.HiveColumn
	types := []string{
		"boolean", "tinyint", "smallint", "int", "bigint", "float", "double", "decimal(12,3)", "decimal", "string", "varchar(20)", "char(3)",
		"date", "timestamp", "TIMESTAMP", "array<int>", "map<string,double>", "struct<a:string,b:struct<c:array<bigint>>>", "array<struct<x:decimal(5,2),y:map<string,string>>>",
	}
	for i, t := range types {
		columns = append(columns, schema.HiveColumn{Name: "c" + string(rune('a'+i)), Type: t})
	}
	columns[0].Comment = `whether "it" is so`
	document, err := schema.FromHive("lake.trips", columns, false)
	if err != nil {
		t.Fatal(err)
	}
	s, err := schema.Parse("lake.trips", document)
	if err != nil {
		t.Fatal(err)
	}
	ddl, err := s.DDL(schema.Table{Name: "trips", Location: "s3://lake/trips/", Storage: schema.ParquetFiles})
	if err != nil {
		t.Fatal(err)
	}
	same := map[string]string{"tinyint": "int", "smallint": "int", "decimal": "decimal(10,0)", "varchar(20)": "string", "char(3)": "string", "TIMESTAMP": "timestamp"}
	for i, c := range columns {
		want := c.Type
		if as, other := same[want]; other {
			want = as
		}
		line := "  " + c.Name + " " + want
		if i == 0 {
			line += ` COMMENT 'whether "it" is so'`
		}
		if !strings.Contains(ddl, line+",\n") {
			t.Errorf("column %s of %s is not in\n%s", c.Name, c.Type, ddl)
		}
	}
	if *update {
		if err := os.WriteFile("testdata/hive.json", document, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if want, err := os.ReadFile("testdata/hive.json"); err != nil || string(want) != string(document) {
		t.Errorf("got\n%s\nwant\n%s, %v", document, want, err)
	}
}

func TestFromHive_NamesEachFault(t *testing.T) {
	_, err := schema.FromHive("t", []schema.HiveColumn{
		{"a", "binary", ""}, {"b", "array<int", ""}, {"c", "map<int,string>", ""}, {"d", "int>", ""}, {"e", "struct<x>", ""},
		{"f", "uniontype<int,string>", ""}, {"g", strings.Repeat("array<", 40) + "int", ""}, {"h", "string", ""},
	}, false)
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{
		`column a: type "binary": want a type that values of JSON have`, `column b: type "array<int": want > at ""`, `column c: type "map<int,string>": want texts as the keys`,
		`column d: type "int>": want the end of the type at ">"`, `column e: type "struct<x>": want name:type at "x>"`, `column f: type "uniontype`, `want at most 32 types within one another`,
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error does not say %s:\n%v", want, err)
		}
	}
	if strings.Contains(err.Error(), "column h") {
		t.Errorf("column h is sound: %v", err)
	}
	if _, err := schema.FromHive("t", nil, false); err == nil {
		t.Error("a table without columns has a schema")
	}
}

// A table that DDL made for the pipeline's files returns the columns of the records.
func TestFromHive_LeavesOutThePipelinesOwnColumns(t *testing.T) {
	columns := []schema.HiveColumn{{"n", "bigint", ""}, {"_extra", "string", ""}, {"event_id", "string", ""}, {"_arrived_at", "timestamp", ""}}
	document, err := schema.FromHive("lake.trips", columns, true)
	if err != nil {
		t.Fatal(err)
	}
	s, err := schema.Parse("lake.trips", document)
	if err != nil || len(s.Fields) != 1 || s.Fields[0].Name != "n" || s.IgnoreCase {
		t.Errorf("the fields are %v, %v", s, err)
	}
	if _, err := schema.FromHive("lake.trips", []schema.HiveColumn{{"n", "bigint", ""}, {"_extra", "map<string,string>", ""}}, true); err != nil {
		t.Log(err)
	} else {
		t.Error("a column _extra of another type is not the pipeline's own, and no column of records")
	}
	if _, err := schema.FromHive("lake.trips", columns[1:], true); err == nil {
		t.Error("a table without columns of records has a schema")
	}
}
