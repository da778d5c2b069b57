package postgres

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"aws-streaming-pipeline/loader/postgres/pgddl"
	"aws-streaming-pipeline/loader/rows"
	"aws-streaming-pipeline/record/schema"
)

// plan says how rows become those of the table.
type plan struct {
	targets []target
	sources []source // of the targets
	members []string // that readers are asked for
	coerce  bool
	names   string // of the columns, quoted, for COPY
}

// source is what fills a column.
type source int

// The sources. Others are the members' numbers.
const (
	fromEventID source = -1 - iota
	fromArrival
	fromRest
	fromRecord // fromRest, where that is the whole record
	fromSequence
)

// sources are those of the pipeline's own columns.
var sources = map[string]source{
	schema.EventIDColumn: fromEventID, schema.ArrivedAtColumn: fromArrival, schema.ExtraColumn: fromRest, pgddl.SequenceColumn: fromSequence,
}

func (s *state) plan() (plan, error) {
	p := plan{coerce: s.d.Schema != nil && s.d.Schema.Coerce}
	whole := s.whole()
	var names []string
	for _, c := range s.columns {
		if c.member == "" {
			continue
		}
		t := target{name: c.name, typ: c.typ}
		from, own := sources[c.member]
		if whole && c.member == pgddl.RecordColumn {
			from, own = fromRecord, true
		}
		if !own {
			t.field = s.d.field(c.member)
			from = source(len(p.members))
			p.members = append(p.members, c.member)
		}
		p.targets, p.sources = append(p.targets, t), append(p.sources, from)
		names = append(names, pgddl.Quote(c.name))
	}
	if len(s.d.Key) > 0 && !slices.Contains(p.sources, fromSequence) {
		return p, fmt.Errorf("the table has no column %s, which POSTGRES_KEY needs: add it with type numeric, or set TABLE_EVOLVE=true", pgddl.SequenceColumn)
	}
	p.names = strings.Join(names, ", ")
	if len(p.targets) == 0 {
		return p, errors.New("no column of the table has the name of a member of the records")
	}
	return p, nil
}

// filler makes the values of columns from rows. It is for one goroutine.
type filler struct {
	plan
	encoder  *encoder
	values   []rows.Value
	sequence []byte
}

func newFiller(p plan) (*filler, error) {
	e, err := newEncoder(p.targets, p.coerce)
	return &filler{plan: p, encoder: e, values: make([]rows.Value, len(p.targets))}, err
}

// append appends the tuple of a row.
func (f *filler) append(dst []byte, row *rows.Row) ([]byte, *refusal) {
	for i, from := range f.sources {
		v := &f.values[i]
		switch from {
		case fromEventID:
			*v = text(rows.String, row.EventID)
		case fromArrival:
			*v = rows.Value{}
			if !row.ArrivedAt.IsZero() {
				*v = rows.Value{Kind: rows.Instant, Int: row.ArrivedAt.UnixMicro()}
			}
		case fromRest:
			*v = text(rows.JSON, row.Rest)
		case fromRecord:
			*v = text(rows.JSON, whole(row))
		case fromSequence:
			f.sequence = appendSequence(f.sequence[:0], row.EventID)
			*v = text(rows.Decimal, f.sequence)
		default:
			*v = row.Values[from]
		}
	}
	return f.encoder.appendRow(dst, f.values)
}

// whole returns the record of a row of which no members were asked for.
func whole(row *rows.Row) []byte {
	if row.Rest == nil {
		return []byte("{}")
	}
	return row.Rest
}

// text returns a value with a text; null if there is none.
func text(kind rows.Kind, b []byte) rows.Value {
	if len(b) == 0 {
		return rows.Value{}
	}
	return rows.Value{Kind: kind, Text: b}
}

// eventID is the decoded id of a record.
type eventID struct {
	sequence string
	numbers  []int // of the record in an aggregate, of the part of a payload that was split, and of the piece that a transform made
}

// parseEventID decodes an id; ok is false if the pipeline does not make such ids.
func parseEventID(id []byte) (e eventID, ok bool) {
	parts := strings.Split(string(id), "-")
	e.sequence = parts[0]
	if e.sequence == "" || len(parts) > 4 || strings.Trim(e.sequence, "0123456789") != "" {
		return eventID{}, false
	}
	for _, part := range parts[1:] {
		n, err := strconv.Atoi(part)
		if err != nil || n < 0 || strconv.Itoa(n) != part {
			return eventID{}, false
		}
		e.numbers = append(e.numbers, n)
	}
	return e, true
}

// appendSequence appends the number that orders records: see pgddl.SequenceColumn. It appends nothing for an id that the pipeline does
// not make.
func appendSequence(dst, id []byte) []byte {
	e, ok := parseEventID(id)
	if !ok {
		return dst
	}
	dst = append(dst, e.sequence...)
	for i, n := range e.numbers {
		if i == 0 {
			dst = append(dst, '.')
		}
		dst = fmt.Appendf(dst, "%010d", n)
	}
	return dst
}
