package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/loader/postgres/pgddl"
	"aws-streaming-pipeline/record/schema"
	"aws-streaming-pipeline/record/table"
)

// Check implements loader.State. Any file will do; the columns wanted are those of SCHEMA.
func (s *state) Check(*checkpoint.File) (wanted []table.Column, err error) {
	if s.d.Schema == nil {
		return nil, nil
	}
	for _, f := range s.d.Schema.Fields {
		want := wantedFor(f)
		has := s.definition.Find(f.Name)
		switch {
		case has == nil && !slices.Contains(s.definition.Dropped, f.Name), has != nil && widens(has, &want):
			wanted = append(wanted, want)
		}
	}
	return wanted, nil
}

// wantedFor returns the column for a member of SCHEMA.
func wantedFor(f *schema.Field) table.Column {
	c := table.Column{Name: f.Name, Member: f.Name, Type: jsonb}
	scalars := map[schema.Kind]string{
		schema.String: table.String, schema.Int32: table.Int, schema.Int64: table.Long, schema.Float: table.Float,
		schema.Double: table.Double, schema.Boolean: table.Boolean, schema.Date: table.Date,
		schema.TimestampMillis: table.TimestampTZ, schema.TimestampMicros: table.TimestampTZ,
	}
	if f.Kind == schema.Decimal {
		c.Type = table.Type{Name: table.Decimal, Precision: f.Precision, Scale: f.Scale}.String()
	} else if t, ok := scalars[f.Kind]; ok {
		c.Type = t
	} else if f.Kind == schema.List {
		if e := wantedFor(f.Element); e.Element == nil && e.Type != jsonb {
			c.Type, c.Element = "list", &table.Column{Name: "element", Type: e.Type}
		}
	}
	return c
}

// missing returns those of the pipeline's own columns that the table does not have and did not have.
func (s *state) missing() (missing []table.Column) {
	types := map[string]string{"text": table.String, "timestamptz": table.TimestampTZ, "numeric": pgddl.SequenceColumn, jsonb: jsonb}
	for _, c := range pgddl.Own(s.d.Schema, len(s.d.Key) > 0) {
		if c.Name == pgddl.RecordColumn && !s.whole() {
			c.Name = schema.ExtraColumn // the table has columns of its owner's
		}
		if s.definition.Find(c.Name) == nil && !slices.Contains(s.definition.Dropped, c.Name) {
			missing = append(missing, table.Column{Name: c.Name, Member: c.Name, Type: types[c.Type]})
		}
	}
	return missing
}

// sqlType returns PostgreSQL's name of a wanted type; false if there is none.
func sqlType(c *table.Column) (string, bool) {
	switch c.Type {
	case "list":
		if c.Element == nil {
			return "", false
		}
		if element, ok := sqlType(c.Element); ok && c.Element.Element == nil && element != jsonb {
			return element + "[]", true
		}
		return jsonb, true
	case "struct", "map", jsonb:
		return jsonb, true
	case pgddl.SequenceColumn:
		return "numeric", true
	}
	t, err := table.ParseType(c.Type)
	if err != nil {
		return "", false
	}
	names := map[string]string{
		table.Boolean: "boolean", table.Int: "integer", table.Long: "bigint", table.Float: "real", table.Double: "double precision",
		table.Date: "date", table.Time: "time", table.Timestamp: "timestamp", table.TimestampTZ: "timestamptz", table.String: "text", table.UUID: "uuid",
	}
	if t.Name == table.Decimal {
		return fmt.Sprintf("numeric(%d,%d)", t.Precision, t.Scale), true
	}
	name, ok := names[t.Name]
	return name, ok
}

// widens reports whether a wanted type has all values of the one that a column has, and more.
func widens(has, want *table.Column) bool {
	from, err := table.ParseType(has.Type)
	if err != nil {
		return false
	}
	to, err := table.ParseType(want.Type)
	switch {
	case err != nil:
		return false
	case from.Name == table.Int && to.Name == table.Long, from.Name == table.Float && to.Name == table.Double:
		return true
	}
	return from.Name == table.Decimal && to.Name == table.Decimal && from.Scale == to.Scale && from.Precision < to.Precision
}

// rewritten is the size in MiB up to which a table is rewritten for a wider type. Nobody can read it meanwhile. A numeric of more
// digits needs no rewriting (PostgreSQL manual, "ALTER TABLE", Notes).
const rewritten = 64

// change returns the action of ALTER TABLE that a wanted column takes; empty for none. ok is false if the table cannot have it. small says
// that the table may be rewritten.
func (s *state) change(want table.Column, small bool) (action string, ok bool) {
	typ, ok := sqlType(&want)
	if !ok || want.Member == "" || pgddl.BadName(want.Name) != nil {
		return "", false
	}
	i := slices.IndexFunc(s.columns, func(c column) bool { return c.member == want.Member })
	if i < 0 {
		if _, own := sources[want.Member]; !own && s.whole() {
			return "", false // it is in the column with the whole record
		}
		taken := slices.ContainsFunc(s.columns, func(c column) bool { return c.name == want.Name })
		if taken || slices.Contains(s.definition.Dropped, want.Member) {
			return "", false
		}
		return "ADD COLUMN " + pgddl.Quote(want.Name) + " " + typ, true
	}
	has := s.definition.Columns[i]
	switch {
	case widens(&want, &has), same(&has, &want):
		return "", true
	case !widens(&has, &want) || !strings.HasPrefix(has.Type, table.Decimal) && !small:
		return "", false
	}
	return "ALTER COLUMN " + pgddl.Quote(has.Name) + " TYPE " + typ, true
}

func same(a, b *table.Column) bool {
	if a.Element != nil && b.Element != nil {
		return a.Type == b.Type && same(a.Element, b.Element)
	}
	return a.Type == b.Type && a.Element == nil && b.Element == nil
}

// Evolve implements loader.State.
func (s *state) Evolve(ctx context.Context, wanted []table.Column) (changed bool, refused []table.Column, err error) {
	if !s.d.Evolve || !s.owned {
		return false, wanted, nil
	}
	small, err := s.small(ctx)
	if err != nil {
		return false, nil, fmt.Errorf("change table %s: %w", s.d.Name(), err)
	}
	var actions []string
	names := make(map[string]bool)
	for _, w := range wanted {
		action, ok := s.change(w, small)
		if ok = ok && !names[w.Name]; !ok {
			refused = append(refused, w)
		} else if action != "" {
			actions, names[w.Name] = append(actions, action), true
		}
	}
	if len(actions) == 0 {
		return false, refused, nil
	}
	err = s.alter(ctx, "ALTER TABLE "+s.d.relation(s.d.ddl.Name)+" "+strings.Join(actions, ", "))
	if answer, ok := errors.AsType[*pgconn.PgError](err); ok && answer.Code == tooManyColumns {
		return false, wanted, nil
	}
	if err != nil {
		return false, nil, fmt.Errorf("change table %s: %w", s.d.Name(), err)
	}
	return true, refused, nil
}

// small reports whether the table may be rewritten.
func (s *state) small(ctx context.Context) (small bool, err error) {
	session, err := s.d.open(ctx)
	if err != nil {
		return false, err
	}
	defer session.close()
	values, err := session.run(ctx, "BEGIN READ ONLY", session.settings(alterTimeout), fmt.Sprintf(
		"SELECT sum(pg_catalog.pg_relation_size(relid)) <= %d FROM (SELECT %d::pg_catalog.oid AS relid UNION SELECT relid::pg_catalog.oid FROM pg_catalog.pg_partition_tree(%[2]d)) AS parts",
		rewritten<<20, s.oid), "ROLLBACK")
	return err == nil && values[0] == "t", err
}

const tooManyColumns = "54011"

// alter changes the table, if it is still in this state.
func (s *state) alter(ctx context.Context, statement string) error {
	session, err := s.d.open(ctx)
	if err != nil {
		return err
	}
	defer session.close()
	process, err := session.begin(ctx, alterTimeout)
	if err != nil {
		return err
	}
	f := fence{d: s.d, process: process}
	defer f.watch(ctx)()
	f.begin()
	return session.commit(ctx, statement, s.advance())
}
