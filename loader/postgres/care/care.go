// Package care examines a table in PostgreSQL: it audits its rows against the delivered files, and loads batches again that the
// database has lost.
//
// The ids of the files' rows are copied into a temporary table and compared there, so no number of rows takes memory of this
// program. All is done in one transaction, which is rolled back, so a pooler that gives connections away after each transaction may
// be in between.
package care

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/loader/manifests"
	"aws-streaming-pipeline/loader/postgres/pgddl"
	"aws-streaming-pipeline/record/schema"
	"aws-streaming-pipeline/record/table"
)

// Site is a table with what it was loaded from.
type Site struct {
	// Window has the manifests of the batches to look at. Its bucket also has the error objects.
	Window manifests.Window
	// Outbox names the batches that are still to be loaded.
	Outbox checkpoint.Tables
	// Application is that of the ledger.
	Application string
	Table       table.URI
	// Key is POSTGRES_KEY.
	Key []string
	// Definition is what a loader wrote of the table last; nil if there is none.
	Definition *table.Definition
	// Connect opens a connection to the database.
	Connect func(context.Context) (*pgx.Conn, error)
	// ErrorKey is the key of an error object with rows of a batch that the database has refused.
	ErrorKey func(batch string, arrival time.Time, part int) string
}

// columns are those of the table that an audit needs, quoted.
type columns struct {
	relation string
	oid      uint32
	eventID  string
	arrived  string // empty if the table has none
	sequence string // with a key
	key      []keyColumn
}

// keyColumn is a column of POSTGRES_KEY.
type keyColumn struct{ name, typ, member string }

// readColumns finds the columns, which their owner may have renamed since the definition was written.
func (s *Site) readColumns(ctx context.Context, tx pgx.Tx) (c columns, err error) {
	c.relation = s.relation(s.Table.Table)
	type column struct {
		Number int
		Name   string
		Type   string
	}
	found, err := tx.Query(ctx, `SELECT a.attnum::int, a.attname::text, pg_catalog.format_type(a.atttypid, a.atttypmod), a.attrelid
FROM pg_catalog.pg_attribute a WHERE a.attrelid = pg_catalog.to_regclass($1) AND a.attnum > 0 AND NOT a.attisdropped`, c.relation)
	if err != nil {
		return c, err
	}
	var all []column
	var one column
	if _, err := pgx.ForEachRow(found, []any{&one.Number, &one.Name, &one.Type, &c.oid}, func() error { all = append(all, one); return nil }); err != nil {
		return c, fmt.Errorf("read the columns of table %s: %w", s.Table, err)
	}
	if len(all) == 0 {
		return c, fmt.Errorf("table %s does not exist, or its schema may not be used", s.Table)
	}
	named := func(name string) string {
		for _, col := range all {
			if s.member(col.Number, col.Name) == name {
				return pgddl.Quote(col.Name)
			}
		}
		return ""
	}
	c.arrived = named(schema.ArrivedAtColumn)
	if c.eventID = named(schema.EventIDColumn); c.eventID == "" {
		return c, fmt.Errorf("table %s has no column for %s, so its rows cannot be told apart: add one, ALTER TABLE %s ADD COLUMN %[2]s text, which the loader fills in new rows",
			s.Table, schema.EventIDColumn, c.relation)
	}
	if len(s.Key) == 0 {
		return c, nil
	}
	if c.sequence = named(pgddl.SequenceColumn); c.sequence == "" {
		return c, fmt.Errorf("table %s has no column for %s, which POSTGRES_KEY needs", s.Table, pgddl.SequenceColumn)
	}
	for _, name := range s.Key {
		for _, col := range all {
			if col.Name == name {
				c.key = append(c.key, keyColumn{pgddl.Quote(name), col.Type, s.member(col.Number, name)})
			}
		}
	}
	if len(c.key) != len(s.Key) {
		return c, fmt.Errorf("POSTGRES_KEY=%q: table %s does not have all of these columns", strings.Join(s.Key, ","), s.Table)
	}
	return c, nil
}

// relation is the quoted name of a table in the schema of the table.
func (s *Site) relation(name string) string {
	return pgddl.Table{Namespace: s.Table.Namespace[1]}.Relation(name)
}

// member is the member that fills a column, or the pipeline's own name for it.
func (s *Site) member(number int, name string) string {
	if s.Definition == nil {
		return name
	}
	for _, c := range s.Definition.Columns {
		if c.ID == number {
			return c.Member
		}
	}
	return name
}

// begin begins the transaction of an audit. Files may take longer to read than the database lets a transaction wait.
func begin(ctx context.Context, conn *pgx.Conn) (pgx.Tx, error) {
	tx, err := conn.Begin(ctx)
	if err != nil {
		return nil, err
	}
	_, err = tx.Exec(ctx, "SELECT pg_catalog.set_config(name, '0', true) FROM pg_catalog.pg_settings WHERE name IN "+
		"('idle_in_transaction_session_timeout', 'statement_timeout', 'transaction_timeout')")
	return tx, err
}

// Identity returns the UUID that a loader has given the table, empty if none has yet. exists is false if there is no such table.
func (s *Site) Identity(ctx context.Context) (uuid string, exists bool, err error) {
	conn, err := s.Connect(ctx)
	if err != nil {
		return "", false, err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }() // nothing is to be kept
	var claimed bool
	err = conn.QueryRow(ctx, "SELECT pg_catalog.to_regclass($1) IS NOT NULL, pg_catalog.to_regclass($2) IS NOT NULL", s.relation(s.Table.Table), s.relation(pgddl.Tables)).
		Scan(&exists, &claimed)
	if err != nil || !exists || !claimed {
		return "", exists, err
	}
	err = conn.QueryRow(ctx, "SELECT coalesce(min(uuid::text), '') FROM "+s.relation(pgddl.Tables)+" WHERE application = $1 AND relation = pg_catalog.to_regclass($2)",
		s.Application, s.relation(s.Table.Table)).Scan(&uuid)
	return uuid, true, err
}
