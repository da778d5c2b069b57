package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"aws-streaming-pipeline/loader"
	"aws-streaming-pipeline/loader/postgres/pgddl"
	"aws-streaming-pipeline/record/schema"
	"aws-streaming-pipeline/record/table"
)

// state is a table as it was read.
type state struct {
	d  *Table
	id string // of the state, as pipeline_tables has it

	relation
	ledger     []ledgerRow
	complete   completeness
	definition *table.Definition
}

// relation is what the catalog says of the table.
type relation struct {
	oid     uint32
	columns []column // without those that were dropped
	// partitioned means by ranges of the arrival, days are the names of its partitions.
	partitioned bool
	days        []string
	owned       bool // the role may change the table
	last        int  // the number of its newest column, dropped or not
}

// column is a column of the table, and what fills it.
type column struct {
	number   int // of the attribute, which is never used for another column
	name     string
	typeName string // as PostgreSQL writes it, such as numeric(9,2)
	typ      *columnType
	modifier int
	required bool
	// given means that the column gets a value where none is copied: a default, an identity or a generated value. Values cannot
	// be copied into what is generated.
	given, generated bool
	// member fills it; empty for nothing.
	member string
}

// like reports whether a column is described alike, whatever fills it.
func (c column) like(other column) bool {
	same := c.typ.oid == other.typ.oid
	c.typ, c.member = other.typ, other.member
	return same && c == other
}

// Ledger implements loader.State.
func (s *state) Ledger() (batches []string) {
	for _, row := range s.ledger {
		batches = append(batches, row.Batch)
	}
	return batches
}

// Refused implements loader.Refuser.
func (s *state) Refused(batch string) int64 {
	for _, row := range s.ledger {
		if row.Batch == batch {
			return row.Refused
		}
	}
	return 0
}

// Definition implements loader.State.
func (s *state) Definition() *table.Definition { return s.definition }

// What a table may lack that a loader makes.
var (
	errNoTable   = errors.New("the table does not exist")
	errNoLedger  = errors.New("the loader's own tables do not exist")
	errUnclaimed = errors.New("the table has no row in " + pgddl.Tables)
)

// Load implements loader.Destination. It creates a table that was never there, and the loader's own tables, and adds the pipeline's
// own columns to one that does not have them, as far as the settings allow.
func (d *Table) Load(ctx context.Context, previous *table.Definition) (loader.State, error) {
	s, err := d.load(ctx, previous)
	if err != nil {
		return nil, fmt.Errorf("load table %s: %w", d.Name(), err)
	}
	missing := s.missing()
	if len(missing) == 0 || !d.Evolve || previous != nil && previous.UUID != s.definition.UUID {
		return s, nil
	}
	if changed, _, err := s.Evolve(ctx, missing); err != nil {
		return nil, err
	} else if !changed {
		return s, nil
	}
	if s, err = d.load(ctx, previous); err != nil {
		return nil, fmt.Errorf("load table %s: %w", d.Name(), err)
	}
	return s, nil
}

func (d *Table) load(ctx context.Context, previous *table.Definition) (*state, error) {
	session, err := d.open(ctx)
	if err != nil {
		return nil, err
	}
	defer session.close()
	for {
		s, err := session.read(ctx, previous)
		made := err
		switch {
		case errors.Is(err, errNoTable), errors.Is(err, errNoLedger):
			if err := d.creatable(previous, err); err != nil {
				return nil, err
			}
			made = session.create(ctx)
		case errors.Is(err, errUnclaimed):
			made = session.claim(ctx)
		case err == nil && s.complete.lacks && d.Create:
			if session.createComplete(ctx) != nil { // the table is loaded without it, and the next load tries again
				return s, nil
			}
		default:
			return s, err
		}
		if made != nil {
			return nil, made
		}
	}
}

// creatable returns why what is missing must not be created, or nil.
func (d *Table) creatable(previous *table.Definition, missing error) error {
	switch {
	case errors.Is(missing, errNoTable) && previous != nil:
		return fmt.Errorf("%w; it was there before, with UUID %s: restore it or, to go on with another one, see \"loader rebind\"", missing, previous.UUID)
	case previous != nil: // an empty ledger would have batches loaded again that are there
		return fmt.Errorf("%w; they were there before: restore %s, %s and %s or, to go on without them, see \"loader rebind\"", missing, pgddl.Tables, pgddl.Ledger, pgddl.Refused)
	case !d.Create:
		return fmt.Errorf("%w, and TABLE_CREATE=false: \"consumer ddl --postgres\" prints the statements that create them", missing)
	}
	return nil
}

// oldest is the number of the oldest server that is supported, 14.
const oldest = 140000

// read reads the table, the ledger and the catalog as they are at one moment.
func (s *session) read(ctx context.Context, previous *table.Definition) (st *state, err error) {
	err = s.reading(ctx, func(ctx context.Context) error {
		st, err = s.readAll(ctx, previous)
		return err
	})
	return st, err
}

func (s *session) readAll(ctx context.Context, previous *table.Definition) (*state, error) {
	if err := s.checkServer(ctx); err != nil {
		return nil, err
	}
	st := &state{d: s.d}
	if err := s.readRelation(ctx, &st.relation); err != nil {
		return nil, err
	}
	if err := s.checkTables(ctx); err != nil {
		return nil, err
	}
	if err := s.readColumns(ctx, &st.relation); err != nil {
		return nil, err
	}
	if err := s.checkKey(ctx, &st.relation); err != nil {
		return nil, err
	}
	d := &table.Definition{Schema: st.last}
	err := s.one(ctx, "SELECT uuid::text, state::text, commits FROM "+s.d.relation(pgddl.Tables)+" WHERE "+st.mine(), &d.UUID, &st.id, &d.Commits)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, errUnclaimed
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", pgddl.Tables, err)
	}
	found, err := s.Query(ctx, "SELECT batch, refused FROM "+s.d.relation(pgddl.Ledger)+" WHERE "+st.mine())
	if err == nil {
		st.ledger, err = pgx.CollectRows(found, pgx.RowToStructByName[ledgerRow])
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", pgddl.Ledger, err)
	}
	if err := s.readComplete(ctx, st); err != nil {
		return nil, err
	}
	st.definition = d
	st.define(previous)
	return st, st.checkColumns()
}

func (s *session) one(ctx context.Context, sql string, into ...any) error {
	return s.conn.QueryRow(ctx, sql, pgx.QueryExecModeExec).Scan(into...)
}

func (s *session) checkServer(ctx context.Context) error {
	var standby, readOnly bool
	var version int
	err := s.one(ctx, "SELECT pg_catalog.pg_is_in_recovery(), pg_catalog.current_setting('default_transaction_read_only')::bool, pg_catalog.current_setting('server_version_num')::int",
		&standby, &readOnly, &version)
	switch {
	case err != nil:
		return err
	case standby:
		return errors.New("the server is a standby: want the primary, such as the writer endpoint of a cluster")
	case readOnly:
		return errors.New("default_transaction_read_only is on: want a role and a database that may be written to")
	case version < oldest:
		return fmt.Errorf("the server has version %d.%d: want at least %d", version/10000, version%10000, oldest/10000)
	}
	return nil
}

func (s *session) readRelation(ctx context.Context, r *relation) error {
	var kind, persistence string
	var inserts, updates, policies bool
	err := s.conn.QueryRow(ctx, `SELECT c.oid, c.relkind::text, c.relpersistence::text, pg_catalog.pg_has_role(c.relowner, 'USAGE'),
	pg_catalog.row_security_active(c.oid), pg_catalog.has_table_privilege(c.oid, 'INSERT'), pg_catalog.has_table_privilege(c.oid, 'UPDATE') AND pg_catalog.has_table_privilege(c.oid, 'SELECT'),
	EXISTS (SELECT FROM pg_catalog.pg_partitioned_table p JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum = ANY (p.partattrs::int2[])
		WHERE p.partrelid = c.oid AND p.partstrat = 'r' AND p.partnatts = 1 AND a.attname = $3),
	ARRAY(SELECT p.relname::text FROM pg_catalog.pg_inherits i JOIN pg_catalog.pg_class p ON p.oid = i.inhrelid WHERE i.inhparent = c.oid)
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relname = $2`,
		pgx.QueryExecModeExec, s.d.ddl.Namespace, s.d.ddl.Name, schema.ArrivedAtColumn).
		Scan(&r.oid, &kind, &persistence, &r.owned, &policies, &inserts, &updates, &r.partitioned, &r.days)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return errNoTable
	case err != nil:
		return fmt.Errorf("read the table's description: %w", err)
	case kind != "r" && kind != "p":
		return errors.New("it is neither a table nor a partitioned table")
	case persistence != "p":
		return errors.New("it is UNLOGGED or temporary, so a crash empties it but not the ledger: want a permanent table")
	case policies && len(s.d.Key) == 0:
		return errors.New("row-level security applies to the role, and COPY does not work with it: want the table's owner or a role with BYPASSRLS")
	case !inserts:
		return errors.New("the role may not insert rows into it: GRANT INSERT")
	case len(s.d.Key) > 0 && !updates:
		return errors.New("the role may not replace its rows, which POSTGRES_KEY requires: GRANT SELECT, UPDATE")
	}
	return nil
}

// checkTables checks that the loader's own tables are there and can be used.
func (s *session) checkTables(ctx context.Context) error {
	names := []string{pgddl.Tables, pgddl.Ledger, pgddl.Refused}
	found, err := s.Query(ctx, `SELECT c.relname::text, pg_catalog.has_table_privilege(c.oid, 'SELECT') AND pg_catalog.has_table_privilege(c.oid, 'INSERT')
	AND pg_catalog.has_table_privilege(c.oid, CASE c.relname WHEN $3 THEN 'UPDATE' ELSE 'DELETE' END), c.relpersistence = 'p'
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relname = ANY ($2)`,
		s.d.ddl.Namespace, names, pgddl.Tables)
	if err != nil {
		return err
	}
	n := 0
	var name string
	var usable, logged bool
	_, err = pgx.ForEachRow(found, []any{&name, &usable, &logged}, func() error {
		n++
		switch {
		case !usable:
			return fmt.Errorf("the role may not use the loader's table %s: GRANT SELECT and INSERT, UPDATE on %s, DELETE on the others", name, pgddl.Tables)
		case !logged:
			return fmt.Errorf("the loader's table %s is UNLOGGED, so a crash empties it: want a permanent table", name)
		}
		return nil
	})
	if err == nil && n < len(names) {
		err = errNoLedger
	}
	return err
}

func (s *session) readColumns(ctx context.Context, r *relation) error {
	found, err := s.Query(ctx, `SELECT a.attnum::int, a.attname::text, pg_catalog.format_type(a.atttypid, a.atttypmod), a.atttypid, a.atttypmod, a.attnotnull,
	a.atthasdef OR a.attidentity <> '' OR a.attgenerated <> '', a.attgenerated <> '' OR a.attidentity = 'a', a.attisdropped
FROM pg_catalog.pg_attribute a WHERE a.attrelid = $1 AND a.attnum > 0 ORDER BY a.attnum`, r.oid)
	if err != nil {
		return err
	}
	var c column
	var oid uint32
	var dropped bool
	var oids []uint32
	_, err = pgx.ForEachRow(found, []any{&c.number, &c.name, &c.typeName, &oid, &c.modifier, &c.required, &c.given, &c.generated, &dropped}, func() error {
		if r.last = c.number; !dropped {
			r.columns, oids = append(r.columns, c), append(oids, oid)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("read the table's columns: %w", err)
	}
	types, err := readTypes(ctx, s, oids)
	if err != nil {
		return err
	}
	for i := range r.columns {
		r.columns[i].typ = types[oids[i]]
	}
	return nil
}

// checkKey checks that the database tells rows apart by POSTGRES_KEY.
func (s *session) checkKey(ctx context.Context, r *relation) error {
	if len(s.d.Key) == 0 {
		return nil
	}
	for _, key := range s.d.Key {
		i := slices.IndexFunc(r.columns, func(c column) bool { return c.name == key })
		switch {
		case i < 0:
			return fmt.Errorf("POSTGRES_KEY names the column %s, which the table does not have", key)
		case !r.columns[i].required:
			return fmt.Errorf("column %s of POSTGRES_KEY may be null, and nulls are not equal: want NOT NULL", key)
		}
	}
	var unique bool
	err := s.conn.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_catalog.pg_index i
	WHERE i.indrelid = $1 AND i.indisunique AND i.indimmediate AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL
	AND (SELECT pg_catalog.array_agg(a.attname::text ORDER BY a.attname::text COLLATE "C") FROM pg_catalog.pg_attribute a
		WHERE a.attrelid = i.indrelid AND a.attnum = ANY ((i.indkey::int2[])[0:i.indnkeyatts - 1])) = $2)`,
		pgx.QueryExecModeExec, r.oid, slices.Sorted(slices.Values(s.d.Key))).Scan(&unique)
	if err == nil && !unique {
		err = errors.New("no unique index has exactly the columns of POSTGRES_KEY: want one, or a primary key")
	}
	return err
}

// checkColumns returns an error if no row could be written.
func (s *state) checkColumns() error {
	var faults []string
	for _, c := range s.columns {
		switch {
		case c.member != "" || !c.required || c.given:
		case c.typ.supported():
			faults = append(faults, fmt.Sprintf("column %s is NOT NULL without a default, and nothing fills it", c.name))
		default:
			faults = append(faults, fmt.Sprintf("column %s is NOT NULL without a default, and of type %s, which records cannot fill", c.name, c.typeName))
		}
	}
	if len(faults) > 0 {
		return errors.New(strings.Join(faults, "; "))
	}
	return nil
}
