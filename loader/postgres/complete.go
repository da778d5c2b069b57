package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"aws-streaming-pipeline/loader/postgres/pgddl"
)

// completeness is what pipeline_complete says of the table. A loader works without it: databases that an earlier release has set up
// may not have it, and the role may not be allowed to use it.
type completeness struct {
	usable bool // the role may use pipeline_complete
	lacks  bool // there is none, and the role may create it
	upTo   time.Time
}

func (s *session) readComplete(ctx context.Context, st *state) error {
	err := s.conn.QueryRow(ctx, `SELECT coalesce(pg_catalog.has_table_privilege(c.oid, 'SELECT') AND pg_catalog.has_table_privilege(c.oid, 'INSERT') AND pg_catalog.has_table_privilege(c.oid, 'UPDATE'), false),
	c.oid IS NULL AND pg_catalog.has_schema_privilege(n.oid, 'CREATE')
FROM pg_catalog.pg_namespace n LEFT JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = $2 WHERE n.nspname = $1`,
		pgx.QueryExecModeExec, s.d.ddl.Namespace, pgddl.Complete).Scan(&st.complete.usable, &st.complete.lacks)
	if err != nil || !st.complete.usable {
		return err
	}
	err = s.one(ctx, "SELECT complete_up_to FROM "+s.d.relation(pgddl.Complete)+" WHERE "+st.mine(), &st.complete.upTo)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return fmt.Errorf("read %s: %w", pgddl.Complete, err)
	}
	return nil
}

// createComplete creates pipeline_complete in a database that an earlier release has set up.
func (s *session) createComplete(ctx context.Context) error {
	_, err := s.run(ctx, "BEGIN", s.settings(lockTimeout), createOne, s.d.ddl.CompleteTable(), "COMMIT")
	return err
}

// CompleteUpTo implements loader.Stater.
func (s *state) CompleteUpTo() time.Time { return s.complete.upTo }

// StateComplete implements loader.Stater. It leaves the state of the table as it is. It does nothing where pipeline_complete cannot
// be used.
func (s *state) StateComplete(ctx context.Context, upTo time.Time) error {
	if !s.complete.usable {
		return nil
	}
	session, err := s.d.open(ctx)
	if err != nil {
		return err
	}
	defer session.close()
	if _, err := session.begin(ctx, lockTimeout); err != nil {
		return err
	}
	return session.commit(ctx, s.unchanged(), s.shows(upTo))
}

// shows returns the statement that shows up to when the table is complete. It goes back after positions were moved back.
func (s *state) shows(upTo time.Time) string {
	return fmt.Sprintf("INSERT INTO %s (application, relation, complete_up_to) VALUES (%s, %d, %s) ON CONFLICT (application, relation) DO UPDATE SET complete_up_to = EXCLUDED.complete_up_to",
		s.d.relation(pgddl.Complete), pgddl.Literal(s.d.Application), s.oid, pgddl.Literal(upTo.UTC().Format(time.RFC3339Nano)))
}
