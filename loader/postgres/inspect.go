package postgres

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"aws-streaming-pipeline/loader/postgres/pgddl"
	"aws-streaming-pipeline/record/table"
)

// Inspection is a table as Inspect found it.
type Inspection struct {
	// Server is the version of the server, TLS that of the connection, empty without, and User and Database who is connected, and where.
	Server, TLS, User, Database string
	// Missing means that Load would create the table, and NoLedger that it would create the loader's own tables.
	Missing, NoLedger bool
	// Columns is the number of columns of a table that exists, Owned says that the role may change it, and Lacking are the pipeline's own
	// columns that it does not have.
	Columns int
	Owned   bool
	Lacking []string
}

// Inspect looks at the table in a transaction that only reads, and returns what Load would do. previous is the definition that a loader
// stored last, as JSON, or empty. Its errors are those that Load would return.
func (d *Table) Inspect(ctx context.Context, previous json.RawMessage) (in Inspection, err error) {
	var before *table.Definition
	if len(previous) > 0 {
		if err := json.Unmarshal(previous, &before); err != nil {
			return in, fmt.Errorf("read the definition that a loader stored: %w", err)
		}
	}
	session, err := d.open(ctx)
	if err != nil {
		return in, err
	}
	defer session.close()
	if encrypted, ok := session.conn.PgConn().Conn().(*tls.Conn); ok {
		in.TLS = tls.VersionName(encrypted.ConnectionState().Version)
	}
	err = session.reading(ctx, func(ctx context.Context) error {
		err := session.one(ctx, "SELECT pg_catalog.current_setting('server_version'), current_user::text, pg_catalog.current_database()::text", &in.Server, &in.User, &in.Database)
		if err != nil {
			return err
		}
		return session.inspect(ctx, before, &in)
	})
	if err != nil {
		return in, fmt.Errorf("load table %s: %w", d.Name(), err)
	}
	return in, nil
}

func (s *session) inspect(ctx context.Context, previous *table.Definition, in *Inspection) error {
	found, err := s.readAll(ctx, previous)
	in.Missing, in.NoLedger = errors.Is(err, errNoTable), errors.Is(err, errNoTable) || errors.Is(err, errNoLedger)
	switch {
	case in.NoLedger:
		if err := s.d.creatable(previous, err); err != nil {
			return err
		}
		return s.mayCreate(ctx)
	case errors.Is(err, errUnclaimed): // it will be
		found = &state{d: s.d}
		if err = s.readRelation(ctx, &found.relation); err == nil {
			err = s.readColumns(ctx, &found.relation)
		}
		found.definition = &table.Definition{Schema: found.last}
		found.define(previous)
	case err == nil && previous != nil && previous.UUID != found.definition.UUID:
		err = fmt.Errorf("it has UUID %s, and the one that was loaded into has %s: restore it or, to go on with this one, see \"loader rebind\"", found.definition.UUID, previous.UUID)
	}
	if err != nil {
		return err
	}
	in.Columns, in.Owned = len(found.columns), found.owned
	for _, c := range found.missing() {
		in.Lacking = append(in.Lacking, c.Member)
	}
	return found.checkColumns()
}

// mayCreate checks that the role may create what create creates: tables in the schema, and the schema if there is none (PostgreSQL
// manual, "Privileges").
func (s *session) mayCreate(ctx context.Context) error {
	var exists, may bool
	err := s.conn.QueryRow(ctx, `SELECT n.oid IS NOT NULL, CASE WHEN n.oid IS NULL THEN pg_catalog.has_database_privilege(pg_catalog.current_database(), 'CREATE')
	ELSE pg_catalog.has_schema_privilege(n.oid, 'CREATE') AND pg_catalog.has_schema_privilege(n.oid, 'USAGE') END
FROM (SELECT) one LEFT JOIN pg_catalog.pg_namespace n ON n.nspname = $1`, pgx.QueryExecModeExec, s.d.ddl.Namespace).Scan(&exists, &may)
	switch {
	case err != nil:
		return err
	case may:
		return nil
	case exists:
		return fmt.Errorf("the role may not create tables in the schema %s: GRANT USAGE, CREATE ON SCHEMA %s, or create them; \"consumer ddl --postgres\" prints the statements", s.d.ddl.Namespace, pgddl.Quote(s.d.ddl.Namespace))
	}
	return fmt.Errorf("the schema %s does not exist, and the role may not create it: GRANT CREATE ON DATABASE, or create it; \"consumer ddl --postgres\" prints the statements", s.d.ddl.Namespace)
}
