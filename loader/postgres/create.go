package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"aws-streaming-pipeline/loader/postgres/pgddl"
)

// create creates the table and the loader's own tables, as far as they do not exist. Loaders do it one after the other.
func (s *session) create(ctx context.Context) error {
	var namespace, exists bool
	err := s.conn.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_catalog.pg_namespace WHERE nspname = $1),
	EXISTS (SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relname = $2)`,
		pgx.QueryExecModeExec, s.d.ddl.Namespace, s.d.ddl.Name).Scan(&namespace, &exists)
	if err != nil {
		return err
	}
	var statements []string
	if !exists { // otherwise it is its owner's, and so are its indexes
		if statements, err = s.d.ddl.Create(); err != nil {
			return fmt.Errorf("create it: %w", err)
		}
	}
	statements = append(statements, s.d.ddl.LedgerTables()...)
	if !namespace {
		statements = slices.Insert(statements, 0, "CREATE SCHEMA IF NOT EXISTS "+pgddl.Quote(s.d.ddl.Namespace))
	}
	statements = slices.Concat([]string{"BEGIN", s.settings(lockTimeout), createOne}, statements, []string{"COMMIT"})
	_, err = s.run(ctx, statements...)
	if isCode(err, insufficientPrivilege) {
		return fmt.Errorf("create it: %w: \"consumer ddl --postgres\" prints the statements for a role that may", err)
	}
	if err != nil {
		return fmt.Errorf("create it: %w", err)
	}
	return nil
}

// createOne has loaders create their tables one after the other. Its number is any that nobody else takes.
const createOne = "SELECT pg_catalog.pg_advisory_xact_lock(7368124516302957)"

const insufficientPrivilege = "42501"

// claim gives the table its UUID. It does nothing if another loader was first.
func (s *session) claim(ctx context.Context) error {
	_, err := s.run(ctx, "BEGIN", s.settings(lockTimeout), fmt.Sprintf(
		`INSERT INTO %s (application, relation, uuid, state, commits)
SELECT %s, c.oid::regclass, pg_catalog.gen_random_uuid(), pg_catalog.gen_random_uuid(), 0 FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = %s AND c.relname = %s ON CONFLICT DO NOTHING`,
		s.d.relation(pgddl.Tables), pgddl.Literal(s.d.Application), pgddl.Literal(s.d.ddl.Namespace), pgddl.Literal(s.d.ddl.Name)), "COMMIT")
	if err != nil {
		return fmt.Errorf("add it to %s: %w", pgddl.Tables, err)
	}
	return nil
}

// isCode reports whether an error is the server's with one of the SQLSTATEs.
func isCode(err error, codes ...string) bool {
	answer, ok := errors.AsType[*pgconn.PgError](err)
	return ok && slices.Contains(codes, answer.Code)
}
