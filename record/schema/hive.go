package schema

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// HiveColumn is a column of a Hive table, such as one of the AWS Glue Data Catalog.
type HiveColumn struct{ Name, Type, Comment string }

// FromHive returns a JSON Schema document whose columns have the names and types of a Hive table (Apache Hive, "LanguageManual
// Types"). It requires no member, since a column of Hive may be null. The pipeline's own columns, which a table for its files has, are
// not in the document. Hive folds names to lower case, so the case of members does not matter unless exactCase is set. An error names
// each column whose type records in JSON cannot have.
func FromHive(title string, columns []HiveColumn, exactCase bool) ([]byte, error) {
	columns = slices.DeleteFunc(slices.Clone(columns), isOwn)
	if len(columns) == 0 {
		return nil, errors.New("want at least one column")
	}
	var faults []error
	var properties []string
	for _, c := range columns {
		p := hiveParser{rest: strings.Join(strings.Fields(c.Type), "")}
		keywords, err := p.document()
		if err != nil {
			faults = append(faults, fmt.Errorf("column %s: type %q: %w", c.Name, c.Type, err))
			continue
		}
		if c.Comment != "" {
			keywords += `,"description":` + quote(c.Comment)
		}
		properties = append(properties, quote(c.Name)+":{"+keywords+"}")
	}
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	folds := `,"x-ignore-case":true`
	if exactCase {
		folds = ""
	}
	document := `{"$schema":"https://json-schema.org/draft/2020-12/schema","title":` + quote(title) +
		`,"type":"object"` + folds + `,"properties":{` + strings.Join(properties, ",") + "}}"
	if _, err := Parse(title, []byte(document)); err != nil {
		return nil, err
	}
	var indented bytes.Buffer
	if err := json.Indent(&indented, []byte(document), "", "  "); err != nil {
		return nil, err
	}
	indented.WriteByte('\n')
	return indented.Bytes(), nil
}

// isOwn reports whether a column is one of those that the pipeline fills by itself, as DDL declares them.
func isOwn(c HiveColumn) bool {
	switch c.Name {
	case EventIDColumn, ExtraColumn:
		return strings.EqualFold(c.Type, "string")
	case ArrivedAtColumn:
		return strings.EqualFold(c.Type, "timestamp")
	}
	return false
}

// hiveScalars are the keywords of Hive's scalar types, after the type.
var hiveScalars = map[string][2]string{
	"boolean":   {"boolean", ""},
	"tinyint":   {"integer", `,"x-parquet":"int32","minimum":-128,"maximum":127`},
	"smallint":  {"integer", `,"x-parquet":"int32","minimum":-32768,"maximum":32767`},
	"int":       {"integer", `,"x-parquet":"int32"`},
	"integer":   {"integer", `,"x-parquet":"int32"`},
	"bigint":    {"integer", ""},
	"float":     {"number", `,"x-parquet":"float"`},
	"double":    {"number", ""},
	"decimal":   {"number", `,"x-parquet":"decimal(10,0)"`}, // Hive's default precision and scale
	"string":    {"string", ""},
	"date":      {"string", `,"format":"date"`},
	"timestamp": {"string", `,"format":"date-time"`},
}

var (
	hiveWord    = regexp.MustCompile(`^\w+`)
	hiveDecimal = regexp.MustCompile(`(?i)^decimal\(([0-9]+)(?:,([0-9]+))?\)`)
	hiveText    = regexp.MustCompile(`(?i)^(?:var)?char\([0-9]+\)`)
	hiveMember  = regexp.MustCompile(`^[^:,<>()]+:`)
)

// hiveParser reads a type and writes the keywords of its schema.
type hiveParser struct {
	rest  string
	depth int
}

func (p *hiveParser) document() (string, error) {
	keywords, err := p.keywords(false)
	if err == nil && p.rest != "" {
		err = fmt.Errorf("want the end of the type at %q", p.rest)
	}
	return keywords, err
}

// keywords reads one type.
func (p *hiveParser) keywords(nullable bool) (string, error) {
	if p.depth++; p.depth > maxDepth {
		return "", fmt.Errorf("want at most %d types within one another", maxDepth)
	}
	defer func() { p.depth-- }()
	switch {
	case p.take("array<"):
		element, err := p.keywords(true)
		return hiveType("array", nullable) + `,"items":{` + element + "}", p.closed(err)
	case p.take("map<"):
		if !p.take("string,") {
			return "", errors.New("want texts as the keys of a map, as JSON has them")
		}
		value, err := p.keywords(true)
		return hiveType("object", nullable) + `,"additionalProperties":{` + value + "}", p.closed(err)
	case p.take("struct<"):
		return p.members(nullable)
	}
	if m := hiveDecimal.FindStringSubmatch(p.rest); m != nil {
		p.rest = p.rest[len(m[0]):]
		scale := m[2]
		if scale == "" {
			scale = "0"
		}
		return hiveType("number", nullable) + `,"x-parquet":"decimal(` + m[1] + "," + scale + `)"`, nil
	}
	if text := hiveText.FindString(p.rest); text != "" {
		p.rest = p.rest[len(text):]
		return hiveType("string", nullable), nil
	}
	name := hiveWord.FindString(p.rest)
	scalar, known := hiveScalars[strings.ToLower(name)]
	if !known {
		return "", errors.New("want a type that values of JSON have, such as string, bigint, double, boolean, date, timestamp, decimal(p,s), array<...>, map<string,...> or struct<...>")
	}
	p.rest = p.rest[len(name):]
	return hiveType(scalar[0], nullable) + scalar[1], nil
}

// members reads the members of a struct.
func (p *hiveParser) members(nullable bool) (string, error) {
	var properties []string
	for {
		name := hiveMember.FindString(p.rest)
		if name == "" {
			return "", fmt.Errorf("want name:type at %q", p.rest)
		}
		p.rest = p.rest[len(name):]
		keywords, err := p.keywords(false)
		if err != nil {
			return "", err
		}
		properties = append(properties, quote(strings.TrimSuffix(name, ":"))+":{"+keywords+"}")
		if !p.take(",") {
			return hiveType("object", nullable) + `,"properties":{` + strings.Join(properties, ",") + "}", p.closed(nil)
		}
	}
}

// take reads a text, whose case does not matter.
func (p *hiveParser) take(text string) bool {
	if len(p.rest) < len(text) || !strings.EqualFold(p.rest[:len(text)], text) {
		return false
	}
	p.rest = p.rest[len(text):]
	return true
}

// closed reads the end of a type with parameters.
func (p *hiveParser) closed(err error) error {
	if err == nil && !p.take(">") {
		err = fmt.Errorf("want > at %q", p.rest)
	}
	return err
}

// hiveType is the type keyword. Members may always be null; elements of arrays and values of maps only if the type says so.
func hiveType(name string, nullable bool) string {
	if nullable {
		return `"type":["` + name + `","null"]`
	}
	return `"type":"` + name + `"`
}
