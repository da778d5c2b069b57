package schema_test

import (
	"errors"
	"strings"
	"testing"

	"aws-streaming-pipeline/record"
	"aws-streaming-pipeline/record/schema"
	"aws-streaming-pipeline/record/schema/shred"
)

// FuzzParse holds that whatever document is taken gives columns that records can be decoded into and that a table can
// be made of, and that whatever is not says so as Problems.
func FuzzParse(f *testing.F) {
	for _, document := range []string{
		`{"properties":{"a":{"type":"string","maxLength":3,"enum":["x","yy"]},"b":{"type":["integer","null"],"minimum":-1.5}},"required":["a"]}`,
		`{"title":"t","x-coerce":false,"x-extra":false,"properties":{"d":{"type":"number","x-parquet":"decimal(9,2)","x-null-values":["NA"]}}}`,
		`{"properties":{"g":{"type":"object","properties":{"l":{"type":"array","items":{"type":"string","format":"date"}}}}},"additionalProperties":false}`,
		`{"$defs":{"n":{"type":"object","properties":{"next":{"$ref":"#/$defs/n"}}}},"properties":{"n":{"$ref":"#/$defs/n"}}}`,
		`{"properties":{"m":{"type":"object","additionalProperties":{"type":"integer"}},"t":{"type":"integer","x-parquet":"timestamp-millis","x-timestamp-unit":"ms"}}}`,
		`{"properties":{"o":{"oneOf":[{"type":"string"},{"type":"number","multipleOf":2}]},"p":{"type":"string","pattern":"^a+$"}},"allOf":[{"required":["o"]}]}`,
	} {
		f.Add([]byte(document), []byte(`{"a":"x","b":1,"d":"NA","g":{"l":["2024-01-01"]},"n":{"next":{}},"m":{"k":1},"t":5,"o":4,"p":"aa"}`))
	}
	f.Fuzz(func(t *testing.T, document, data []byte) {
		s, err := schema.Parse("fuzz", document)
		if err != nil {
			var problems schema.Problems
			if !errors.As(err, &problems) || len(problems) == 0 {
				t.Fatalf("the error is %T: %v", err, err)
			}
			return
		}
		seen := map[string]bool{}
		for _, field := range s.Fields {
			if name := strings.ToLower(field.Name); name == "" || seen[name] {
				t.Fatalf("two columns are called %q", field.Name)
			} else {
				seen[name] = true
			}
		}
		shredder := shred.New(s, true)
		fault := shredder.Append(&record.Record{SequenceNumber: "1", Data: data})
		for _, c := range shredder.Columns() {
			if (c.Levels() > 0) != (fault == nil) {
				t.Fatalf("column %v has %d levels after %v", c.Path, c.Levels(), fault)
			}
		}
		table := schema.Table{Name: "t", Location: "s3://bucket/t/", Storage: schema.ParquetFiles}
		if ddl, err := s.DDL(table); err == nil && !strings.HasPrefix(ddl, "CREATE EXTERNAL TABLE") {
			t.Fatalf("no table: %s", ddl)
		}
	})
}
