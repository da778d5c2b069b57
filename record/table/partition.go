package table

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"aws-streaming-pipeline/record/schema"
)

// Term is one term of a partition as the setting TABLE_PARTITION has it: a transform of a column.
type Term struct {
	Transform Transform
	Column    string // its name, with those of the structs around it before it, separated by dots
}

const termForms = "identity(column), year(column), month(column), day(column), hour(column), bucket(N,column) or truncate(W,column)"

var term = regexp.MustCompile(`^([a-z]+) *\( *(?:([0-9]+) *, *)?([^(), ](?:[^(),]*[^(), ])?) *\)$`)

// ParsePartition parses the setting TABLE_PARTITION: terms separated by commas, such as day(_arrived_at),bucket(16,customer).
// An empty text has none.
func ParsePartition(text string) ([]Term, error) {
	var terms []Term
	for _, part := range splitTerms(text) {
		t, err := parseTerm(part)
		if err != nil {
			return nil, err
		}
		terms = append(terms, t)
	}
	return terms, nil
}

// splitTerms splits a text at the commas outside of parentheses.
func splitTerms(text string) (parts []string) {
	if strings.TrimSpace(text) == "" {
		return nil
	}
	depth, start := 0, 0
	for i, c := range text {
		switch {
		case c == '(':
			depth++
		case c == ')':
			depth--
		case c == ',' && depth == 0:
			parts = append(parts, text[start:i])
			start = i + 1
		}
	}
	return append(parts, text[start:])
}

func parseTerm(text string) (Term, error) {
	text = strings.TrimSpace(text)
	m := term.FindStringSubmatch(text)
	if m == nil || m[1] == Void {
		return Term{}, fmt.Errorf("term %q: want %s", text, termForms)
	}
	name := m[1]
	if m[2] != "" {
		name += "[" + m[2] + "]"
	}
	transform, err := ParseTransform(name)
	if err != nil {
		return Term{}, fmt.Errorf("term %q: want %s, with N and W from 1 to %d", text, termForms, maxWidth)
	}
	return Term{transform, m[3]}, nil
}

// String returns the term as TABLE_PARTITION has it.
func (t Term) String() string {
	if t.Transform.Width > 0 {
		return fmt.Sprintf("%s(%d,%s)", t.Transform.Name, t.Transform.Width, t.Column)
	}
	return fmt.Sprintf("%s(%s)", t.Transform.Name, t.Column)
}

// firstPartitionField is the id of a new table's first partition field (specification, "Partition Specs").
const firstPartitionField = 1000

// NewSpec returns the partition spec of a new table with these columns. An error names the term and what would be right.
func NewSpec(terms []Term, columns []Column) (Spec, error) {
	var spec Spec
	for i, t := range terms {
		field, err := t.field(columns)
		if err == nil {
			err = t.repeats(terms[:i])
		}
		if err == nil && slices.ContainsFunc(spec.Fields, func(f PartitionField) bool { return f.Name == field.Name }) {
			err = fmt.Errorf("its name would be %s, which is that of another term", field.Name)
		}
		if err != nil {
			return Spec{}, fmt.Errorf("term %s: %w", t, err)
		}
		field.ID = firstPartitionField + i
		spec.Fields = append(spec.Fields, field)
	}
	return spec, nil
}

// suffixes follow the column's name in that of a partition field, as in Iceberg's own libraries.
var suffixes = map[string]string{
	Year: "_year", Month: "_month", Day: "_day", Hour: "_hour", Bucket: "_bucket", Truncate: "_trunc",
}

func (t Term) field(columns []Column) (PartitionField, error) {
	if t.Column == schema.ExtraColumn {
		return PartitionField{}, errors.New("want a column other than " + t.Column + ", which has what the others cannot have")
	}
	column, err := findColumn(columns, t.Column)
	if err != nil {
		return PartitionField{}, err
	}
	source, err := ParseType(column.Type)
	if err != nil {
		return PartitionField{}, errors.New("want a column with single values, not a " + column.Type)
	}
	if _, err := t.Transform.Result(source); err != nil {
		return PartitionField{}, err
	}
	name := strings.ReplaceAll(t.Column, ".", "_") + suffixes[t.Transform.Name]
	if i := slices.IndexFunc(columns, func(c Column) bool { return c.Name == name }); i >= 0 && columns[i].ID != column.ID {
		return PartitionField{}, fmt.Errorf("its name would be %s, which is that of another column", name)
	}
	return PartitionField{Name: name, Source: column.ID, Transform: t.Transform.String()}, nil
}

func findColumn(columns []Column, path string) (Column, error) {
	for _, c := range columns {
		if c.Name == path {
			return c, nil
		}
		if below, ok := strings.CutPrefix(path, c.Name+"."); ok && c.Type == "struct" {
			return findColumn(c.Fields, below)
		}
	}
	return Column{}, fmt.Errorf("there is no column %s", path)
}

// repeats refuses a term that another one makes superfluous, as Iceberg's own libraries do: the same kind of transform of the
// same column. Year, month, day and hour are one kind.
func (t Term) repeats(before []Term) error {
	for _, other := range before {
		if t.Column == other.Column && t.kind() == other.kind() {
			return fmt.Errorf("there is %s already", other)
		}
	}
	return nil
}

func (t Term) kind() string {
	switch t.Transform.Name {
	case Year, Month, Day, Hour:
		return "time"
	}
	return t.Transform.Name
}
