package emulator

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// Standby starts a standby of the server that receives its log by streaming, without being waited for, and can be promoted. It ends
// with the test.
func (s *PostgreSQLServer) Standby(tb testing.TB) *PostgreSQLServer {
	tb.Helper()
	standby := newPostgreSQL(tb, s.programs, s.Major)
	if err := s.backup(tb.Context(), standby); err != nil {
		tb.Fatal(err)
	}
	err := errors.Join(
		standby.write("standby.signal", false),
		standby.write("postgresql.conf", true, "port = "+standby.port(), "hot_standby = on",
			fmt.Sprintf("primary_conninfo = 'host=127.0.0.1 port=%s user=postgres'", s.port())))
	if err == nil {
		err = standby.Start(tb.Context())
	}
	if err != nil {
		tb.Fatal(err)
	}
	return standby
}

// backup copies the running server as the manual describes in "Making a Base Backup Using the Low Level API".
func (s *PostgreSQLServer) backup(ctx context.Context, to *PostgreSQLServer) error {
	conn, err := pgx.Connect(ctx, s.DSN("postgres"))
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }() // the backup is complete or has failed by then
	begin, end := "SELECT pg_backup_start('standby', true)", "SELECT labelfile FROM pg_backup_stop(false)"
	if s.Major < 15 {
		begin, end = "SELECT pg_start_backup('standby', true, false)", "SELECT labelfile FROM pg_stop_backup(false, false)"
	}
	if _, err := conn.Exec(ctx, begin); err != nil {
		return err
	}
	if err := copyCluster(s.file(""), to.file(""), to.owner); err != nil {
		return err
	}
	var label string
	if err := conn.QueryRow(ctx, end).Scan(&label); err != nil {
		return err
	}
	return errors.Join(to.write("backup_label", false, strings.TrimSuffix(label, "\n")), os.Remove(to.file("postmaster.pid")))
}

// CatchUp waits until a standby has applied all that its primary has committed.
func (s *PostgreSQLServer) CatchUp(ctx context.Context, primary *PostgreSQLServer) error {
	from, err := pgx.Connect(ctx, primary.DSN("postgres"))
	if err != nil {
		return err
	}
	defer func() { _ = from.Close(ctx) }() // it only read
	var end string
	if err := from.QueryRow(ctx, "SELECT pg_current_wal_flush_lsn()::text").Scan(&end); err != nil {
		return err
	}
	return s.until(ctx, "SELECT pg_last_wal_replay_lsn() >= '"+end+"'::pg_lsn")
}

// Detach has a standby receive no more of its primary's log, so that it lacks what is committed from now on.
func (s *PostgreSQLServer) Detach(ctx context.Context) error {
	conn, err := pgx.Connect(ctx, s.DSN("postgres"))
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }() // both statements were answered
	for _, statement := range []string{"ALTER SYSTEM SET primary_conninfo = ''", "SELECT pg_reload_conf()"} {
		if _, err := conn.Exec(ctx, statement); err != nil {
			return err
		}
	}
	return s.until(ctx, "SELECT NOT EXISTS (SELECT FROM pg_stat_wal_receiver)")
}

// Promote makes a primary of a standby.
func (s *PostgreSQLServer) Promote(ctx context.Context) error {
	return s.until(ctx, "SELECT pg_promote()")
}

// until asks the server until the answer is true.
func (s *PostgreSQLServer) until(ctx context.Context, question string) error {
	ctx, cancel := context.WithTimeout(ctx, readyBound)
	defer cancel()
	conn, err := pgx.Connect(ctx, s.DSN("postgres"))
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }() // it only asked
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for {
		var yes bool
		if err := conn.QueryRow(ctx, question).Scan(&yes); err != nil || yes {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s: %w", question, ctx.Err())
		case <-ticker.C:
		}
	}
}
