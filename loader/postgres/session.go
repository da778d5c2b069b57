package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"aws-streaming-pipeline/loader"
	"aws-streaming-pipeline/loader/postgres/pgddl"
)

// session is a connection for one call of the destination.
type session struct {
	conn *pgx.Conn
	d    *Table
}

// open opens a session. Close it.
func (d *Table) open(ctx context.Context) (*session, error) {
	conn, err := d.Connect(ctx)
	if err != nil {
		return nil, err
	}
	return &session{conn, d}, nil
}

// closing bounds the farewell to a server that may not answer.
const closing = 2 * time.Second

// close ends the session, and with it a transaction that is not committed.
func (s *session) close() {
	ctx, cancel := context.WithTimeout(context.Background(), closing)
	defer cancel()
	_ = s.conn.Close(ctx) // the server notices by itself
}

// Query implements querier, without statements that the server would have to remember.
func (s *session) Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error) {
	return s.conn.Query(ctx, sql, append([]any{pgx.QueryExecModeExec}, args...)...)
}

// run sends statements in one message of the protocol, and returns the values of the last that returns any. The server executes
// them only when all have arrived, and none after one that fails.
func (s *session) run(ctx context.Context, statements ...string) (values []string, err error) {
	results, err := s.conn.PgConn().Exec(ctx, strings.Join(statements, ";\n")).ReadAll()
	if err != nil {
		return nil, err
	}
	for _, r := range results {
		for _, row := range r.Rows {
			values = values[:0]
			for _, v := range row {
				values = append(values, string(v))
			}
		}
	}
	return values, nil
}

// settings are those of each transaction. Roles and databases may have others: statement_timeout would end a long COPY. The schema of
// the table is searched for the sake of its owner's triggers, after the system's own and before pg_temp, so that nobody can put
// something else in the place of either.
func (s *session) settings(lockTimeout time.Duration) string {
	d := s.d
	set := []string{
		"search_path = pg_catalog, " + pgddl.Quote(d.ddl.Namespace) + ", pg_temp",
		"application_name = " + pgddl.Literal(applicationName(d.Application, d.URI)),
		fmt.Sprintf("lock_timeout = %d", lockTimeout.Milliseconds()),
		"statement_timeout = 0",
		fmt.Sprintf("idle_in_transaction_session_timeout = %d", idleTimeout.Milliseconds()),
		"tcp_keepalives_idle = 30", "tcp_keepalives_interval = 10", "tcp_keepalives_count = 3", "tcp_user_timeout = 60000",
		"standard_conforming_strings = on", "client_encoding = 'UTF8'", "client_min_messages = error",
		"DateStyle = 'ISO'", "TimeZone = 'UTC'", "bytea_output = hex",
	}
	return "SET LOCAL " + strings.Join(set, "; SET LOCAL ")
}

const (
	// idleTimeout ends the transaction of a loader that has stopped between two statements. It is longer than a write may stand
	// still before the loader itself ends it.
	idleTimeout = 10 * time.Minute
	// lockTimeout bounds each wait of a write for a lock; see fence for what it waits for.
	lockTimeout = time.Minute
	// alterTimeout is that of a change of the table: those who want to read the table wait for the one that waits to change it.
	alterTimeout = 5 * time.Second
)

// durable has a commit wait for the disk, and for standbys if the database does so by default. A database may be set to less
// (PostgreSQL manual, synchronous_commit).
const durable = "SELECT pg_catalog.set_config('synchronous_commit', 'on', true) WHERE pg_catalog.current_setting('synchronous_commit') NOT IN ('on', 'remote_apply')"

// noLimit lets a transaction take as long as it needs. The setting is PostgreSQL 17's.
const noLimit = "SELECT pg_catalog.set_config(name, '0', true) FROM pg_catalog.pg_settings WHERE name = 'transaction_timeout'"

// reading calls f in a transaction that reads everything as it is at one moment. A policy that hides rows of the ledger is an error
// (PostgreSQL manual, "Row Security Policies").
func (s *session) reading(ctx context.Context, f func(context.Context) error) error {
	if _, err := s.run(ctx, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", s.settings(lockTimeout), "SET LOCAL row_security = off", noLimit); err != nil {
		return err
	}
	err := f(ctx)
	if _, end := s.run(ctx, "ROLLBACK"); err == nil {
		err = end
	}
	return err
}

// begin begins a transaction that writes, and returns the number of its server process, which behind a pooler is not that of the
// connection. Constraints are checked with each statement, where a row can still be refused.
func (s *session) begin(ctx context.Context, lockTimeout time.Duration) (process string, err error) {
	values, err := s.run(ctx, "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE", s.settings(lockTimeout), noLimit, durable,
		"SET CONSTRAINTS ALL IMMEDIATE", "SELECT pg_catalog.pg_backend_pid()")
	if err != nil {
		return "", err
	}
	return values[0], nil
}

// commit sends statements and COMMIT in one message. They have to fail if the table is in another state; see advance.
func (s *session) commit(ctx context.Context, statements ...string) error {
	_, err := s.run(ctx, append(statements, "COMMIT")...)
	if err == nil {
		return nil
	}
	answer, ok := errors.AsType[*pgconn.PgError](err)
	switch {
	case !ok, severe(answer):
		// A server process may end after it has committed, such as one that waits for a standby. That a connection was closed does
		// not tell when: pgconn calls it safe to retry also if it broke while the answer was waited for.
		return fmt.Errorf("%w: %w", loader.ErrUnanswered, err)
	case answer.Code == divisionByZero:
		return fmt.Errorf("%w: %w", loader.ErrConflict, err)
	}
	return err
}

// divisionByZero is the SQLSTATE of advance where the table is in another state.
const divisionByZero = "22012"

// advance is the compare-and-set of the table's state, and fails if it is another one, or if the name is that of another table: rows
// are copied by the name, which stays the same from then on. A state has a random name: a number of commits
// is reached again by a standby that was promoted without the last ones.
func (s *state) advance() string {
	return fmt.Sprintf("WITH changed AS (UPDATE %s SET commits = commits + 1, state = pg_catalog.gen_random_uuid() WHERE %s AND uuid = %s AND state = %s AND relation = pg_catalog.to_regclass(%s) RETURNING 1) "+
		"SELECT 1 / pg_catalog.count(*) FROM changed",
		s.d.relation(pgddl.Tables), s.mine(), pgddl.Literal(s.definition.UUID), pgddl.Literal(s.id), pgddl.Literal(s.d.relation(s.d.ddl.Name)))
}

// unchanged fails as advance does, and changes nothing. Until the end of the transaction nobody else changes the state.
func (s *state) unchanged() string {
	return fmt.Sprintf("WITH same AS (SELECT FROM %s WHERE %s AND uuid = %s AND state = %s FOR UPDATE) SELECT 1 / pg_catalog.count(*) FROM same",
		s.d.relation(pgddl.Tables), s.mine(), pgddl.Literal(s.definition.UUID), pgddl.Literal(s.id))
}

// mine is the condition for the rows of the loader's own tables that belong to the application and the table.
func (s *state) mine() string {
	return fmt.Sprintf("application = %s AND relation = %d::pg_catalog.oid", pgddl.Literal(s.d.Application), s.oid)
}

// isRow reports whether an error is about a value or a constraint, so that a row can cause it (PostgreSQL manual, appendix A): class 22,
// data exceptions, 23, violations of constraints, 54, limits such as that of a row in an index or of the depth of JSON, and what
// triggers raise. These are the classes of PL/pgSQL, P0 and 20, of a query that returns several rows where one is wanted, 21, of
// functions in other languages, 38 and 39, and those that SQL leaves to its users: from I to Z but for PostgreSQL's own XX, and 45.
func isRow(err *pgconn.PgError) bool {
	if severe(err) || len(err.Code) < 2 {
		return false
	}
	switch class := err.Code[:2]; class {
	case "20", "21", "22", "23", "38", "39", "45", "54":
		return true
	default:
		return class[0] >= 'I' && class[0] <= 'Z' && class != "XX"
	}
}

// severe reports whether an error has ended the server's process.
func severe(err *pgconn.PgError) bool { return err.SeverityUnlocalized != "ERROR" }
