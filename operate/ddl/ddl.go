// Package ddl derives the Athena table over the data files of a daemon from the daemon's settings.
//
// The partition columns are projected (Athena User Guide, "Use partition projection with Amazon Athena"): Athena computes the folders of
// a query from the table's properties, and nothing has to be registered. New maps the expressions of PREFIX to the types of "Supported
// types for partition projection":
//
//	a date of several fields, such as yyyy/MM/dd/HH   date, with the fields as its format
//	one field of a time that is a number, such as MM  integer
//	one field of a time that is text, such as MMM     enum, of all its values
//	a partition key                                   enum if its values are given, otherwise injected
//
// Only folders count: what follows the last slash of PREFIX is a part of the files' names. What Athena cannot read or project is an error
// that says why.
package ddl

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"aws-streaming-pipeline/record/prefix"
	"aws-streaming-pipeline/record/schema"
)

// Layout is where the data files of a daemon are, and what else is in the bucket.
type Layout struct {
	// Location is the folder that contains what PREFIX begins with, such as s3://bucket/.
	Location string
	// Prefix is PREFIX, and Zone that of its times.
	Prefix string
	Zone   *time.Location
	// Stream is the name of the stream, with which the files' names go on.
	Stream string
	// FromYear is the first year of the table.
	FromYear int
	// Values are the values of partition keys, as they are in keys. A key without values has to be given in each query.
	Values map[string][]string
	// Taken are the names of the other columns.
	Taken []string
	// Others are key prefixes of files that are not data, by the settings that name them: of those that are written at the time At.
	Others map[string][]string
	At     time.Time
}

// Partitions is the part of a table that depends on the layout.
type Partitions struct {
	Location string
	Columns  []schema.Partition
	Template string // empty without columns
	Notes    []string
}

// New derives the partitions of a table. Its error says for each part of the layout that Athena cannot read or project why it cannot.
func New(l Layout) (Partitions, error) {
	pieces, err := prefix.Pieces(l.Prefix)
	if err != nil {
		return Partitions{}, fmt.Errorf("PREFIX=%q: %w", l.Prefix, err)
	}
	folders, name := cut(pieces)
	b := &builder{layout: l}
	if i := slices.IndexFunc(folders, func(p prefix.Piece) bool { return p.Random }); i >= 0 {
		folders, _ = cut(folders[:i])
		b.note("the folders from the first random string on are not partitions, because Athena cannot compute their names: it reads them all")
	}
	if slices.ContainsFunc(name, func(p prefix.Piece) bool { return p.Text == "" }) {
		b.note("what follows the last slash of PREFIX is a part of the files' names, and no partition")
	}
	b.columns(folders)
	b.check(name)
	if err := errors.Join(b.faults...); err != nil {
		return Partitions{}, fmt.Errorf("PREFIX=%q: %w", l.Prefix, err)
	}
	return b.partitions(), nil
}

// cut splits pieces after the last slash of their texts.
func cut(pieces []prefix.Piece) (folders, name []prefix.Piece) {
	for i := len(pieces) - 1; i >= 0; i-- {
		slash := strings.LastIndexByte(pieces[i].Text, '/')
		if slash < 0 {
			continue
		}
		folders = slices.Clone(pieces[:i+1])
		folders[i].Text = pieces[i].Text[:slash+1]
		if rest := pieces[i].Text[slash+1:]; rest != "" {
			name = append(name, prefix.Piece{Text: rest, Expression: pieces[i].Expression})
		}
		return folders, append(name, pieces[i+1:]...)
	}
	return nil, pieces
}

// Move returns the same partitions for files that have been moved to another folder, given as s3://bucket/prefix/.
func (p Partitions) Move(location string) Partitions {
	if p.Template != "" {
		p.Template = location + strings.TrimPrefix(p.Template, p.Location)
	}
	p.Location = location
	return p
}

// builder collects the columns of a table.
type builder struct {
	layout   Layout
	template []part
	made     []schema.Partition
	notes    []string
	faults   []error
}

// part is a part of the template: text, or a column with the pieces that it stands for.
type part struct {
	text   string
	column string
	pieces []prefix.Piece
}

func (b *builder) note(text string) { b.notes = append(b.notes, text) }
func (b *builder) fault(format string, args ...any) {
	b.faults = append(b.faults, fmt.Errorf(format, args...))
}

// columns makes a column for each run of pieces that becomes one.
func (b *builder) columns(pieces []prefix.Piece) {
	for len(pieces) > 0 {
		p := pieces[0]
		n := 1
		switch {
		case p.Text != "":
			b.template = append(b.template, part{text: p.Text})
		case p.Key != "":
			b.key(p)
		case p.Letter != 0:
			n = b.time(pieces)
		}
		pieces = pieces[n:]
	}
}

// column adds a column. Before is the text right before it, which names it if it is name=.
func (b *builder) column(name, typ string, pieces []prefix.Piece, projection ...schema.Property) {
	if n := len(b.template); n > 0 {
		segment := b.template[n-1].text[strings.LastIndexByte(b.template[n-1].text, '/')+1:]
		if given, ok := strings.CutSuffix(segment, "="); ok && given != "" {
			name = given
		}
	}
	name = b.free(columnName(name))
	b.made = append(b.made, schema.Partition{Name: name, Type: typ, Projection: projection})
	b.template = append(b.template, part{column: name, pieces: pieces})
}

// columnName makes a name of the letters that need no quotes.
func columnName(name string) string {
	name = strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '_' {
			return r
		}
		return '_'
	}, strings.ToLower(name))
	if name[0] < 'a' || name[0] > 'z' {
		return "p" + name
	}
	return name
}

// free returns a name that no other column has.
func (b *builder) free(name string) string {
	taken := func(name string) bool {
		other := func(p schema.Partition) bool { return p.Name == name }
		return slices.ContainsFunc(b.layout.Taken, func(t string) bool { return strings.EqualFold(t, name) }) || slices.ContainsFunc(b.made, other)
	}
	if !taken(name) {
		return name
	}
	wanted := name
	name = "partition_" + name
	for n := 2; taken(name); n++ {
		name = fmt.Sprintf("partition_%s_%d", wanted, n)
	}
	b.note(fmt.Sprintf("the partition column is called %s, because there is another column %s", name, wanted))
	return name
}

// key makes a column of a partition key.
func (b *builder) key(p prefix.Piece) {
	values := b.layout.Values[p.Key]
	if len(values) == 0 {
		b.column(p.Key, "string", []prefix.Piece{p}, schema.Property{Key: "type", Value: "injected"})
		b.note(fmt.Sprintf("each query has to name a value of %s, such as WHERE %[1]s = '...', as it is in the keys: its values are not known. --values %s=a,b,c lists them", b.made[len(b.made)-1].Name, p.Key))
		return
	}
	b.column(p.Key, "string", []prefix.Piece{p}, schema.Property{Key: "type", Value: "enum"}, schema.Property{Key: "values", Value: strings.Join(values, ",")})
}

// partitions returns what was collected. The location is the text before the first column, up to its last slash.
func (b *builder) partitions() Partitions {
	p := Partitions{Location: b.layout.Location, Columns: b.made, Notes: b.notes}
	var template strings.Builder
	head := ""
	for _, part := range b.template {
		if part.column != "" {
			template.WriteString("${" + part.column + "}")
			continue
		}
		template.WriteString(part.text)
		if !strings.Contains(template.String(), "${") {
			head = template.String()
		}
	}
	p.Location += head[:strings.LastIndexByte(head, '/')+1]
	if len(b.made) > 0 {
		p.Template = b.layout.Location + template.String()
	}
	return p
}
