package pgproxy_test

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"aws-streaming-pipeline/internal/test/emulator"
	"aws-streaming-pipeline/internal/test/pgproxy"
)

var (
	commit = regexp.MustCompile(`(?i)\bcommit\b`)
	copies = regexp.MustCompile(`(?i)^copy`)
)

// ground is a database with an empty table, rows, and a proxy for its server.
type ground struct {
	server   *emulator.PostgreSQLServer
	database string
	proxy    *pgproxy.Proxy
	direct   *pgx.Conn
}

func newGround(t *testing.T, server *emulator.PostgreSQLServer) ground {
	t.Helper()
	database := server.CreateDatabase(t)
	g := ground{server, database, pgproxy.New(t, server.Address), server.Connect(t, database)}
	if _, err := g.direct.Exec(t.Context(), "CREATE TABLE rows (n int); CREATE TABLE state (commits int NOT NULL); INSERT INTO state VALUES (0)"); err != nil {
		t.Fatal(err)
	}
	return g
}

func (g ground) connect(t *testing.T) *pgx.Conn {
	t.Helper()
	config, err := pgx.ParseConfig(strings.Replace(g.server.DSN(g.database), g.server.Address, g.proxy.Address(), 1))
	if err != nil {
		t.Fatal(err)
	}
	conn, err := pgx.ConnectConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) }) // many a test has cut it
	return conn
}

// has checks how many rows there are, read past the proxy.
func (g ground) has(t *testing.T, want int) {
	t.Helper()
	var got int
	if err := g.direct.QueryRow(t.Context(), "SELECT count(*) FROM rows").Scan(&got); err != nil {
		t.Fatal(err)
	}
	if got != want {
		t.Errorf("there are %d rows, want %d", got, want)
	}
}

// noOther waits until the server has no connection but the test's own.
func (g ground) noOther(t *testing.T) {
	t.Helper()
	for {
		var n int
		if err := g.direct.QueryRow(t.Context(), "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND backend_type = 'client backend'").Scan(&n); err != nil {
			t.Fatal(err)
		}
		if n == 1 {
			return
		}
		time.Sleep(time.Millisecond)
	}
}

const once = "UPDATE state SET commits = CASE WHEN commits = 0 THEN 1 END"

// write copies three rows, in six messages, and commits them in one request with a statement that the database may refuse.
func write(ctx context.Context, conn *pgx.Conn, condition string) error {
	if _, err := conn.Exec(ctx, "BEGIN"); err != nil {
		return err
	}
	rows := iotest.OneByteReader(strings.NewReader("7\n7\n7\n"))
	if _, err := conn.PgConn().CopyFrom(ctx, rows, "COPY rows FROM STDIN"); err != nil {
		return err
	}
	batch := &pgx.Batch{}
	batch.Queue(condition)
	batch.Queue("COMMIT")
	return conn.SendBatch(ctx, batch).Close()
}

func each(t *testing.T, test func(t *testing.T, g ground)) {
	for _, major := range emulator.PostgreSQLVersions {
		t.Run(fmt.Sprint(major), func(t *testing.T) { test(t, newGround(t, emulator.PostgreSQL(t, major))) })
	}
}

func TestProxy_PassesOnWhatItDoesNotHit(t *testing.T) {
	each(t, func(t *testing.T, g ground) {
		if err := write(t.Context(), g.connect(t), once); err != nil {
			t.Fatal(err)
		}
		g.has(t, 3)
		if err := write(t.Context(), g.connect(t), once); code(err) != "23502" {
			t.Errorf("a second write ends with %v, want SQLSTATE 23502, not_null_violation", err)
		}
		g.has(t, 3)
	})
}

func TestProxy_CutsAtEachPoint(t *testing.T) {
	cases := []struct {
		name  string
		fault pgproxy.Fault
		rows  int
	}{
		{"before COPY", pgproxy.Fault{Statement: copies, At: pgproxy.Before}, 0},
		{"inside COPY", pgproxy.Fault{Statement: copies, At: pgproxy.Inside}, 0},
		{"after COPY", pgproxy.Fault{Statement: copies, At: pgproxy.After}, 0},
		{"before the first data", pgproxy.Fault{CopyData: 1, At: pgproxy.Before}, 0},
		{"inside the fourth", pgproxy.Fault{Statement: copies, CopyData: 4, At: pgproxy.Inside}, 0},
		{"after the last data", pgproxy.Fault{CopyData: 6, At: pgproxy.After}, 0},
		{"before COMMIT", pgproxy.Fault{Statement: commit, At: pgproxy.Before}, 0},
		{"inside the request with COMMIT", pgproxy.Fault{Statement: commit, At: pgproxy.Inside}, 0},
		{"after COMMIT, its answer is lost", pgproxy.Fault{Statement: commit, At: pgproxy.After}, 3},
	}
	for _, major := range emulator.PostgreSQLVersions {
		server := emulator.PostgreSQL(t, major)
		for _, c := range cases {
			t.Run(fmt.Sprint(major, " ", c.name), func(t *testing.T) {
				g := newGround(t, server)
				c.fault.Then = pgproxy.Cut
				planned := g.proxy.Plan(c.fault)
				if err := write(t.Context(), g.connect(t), once); err == nil || code(err) != "" {
					t.Errorf("the write ends with %v, want a lost connection", err)
				}
				if !planned.Hit() {
					t.Error("the fault has not happened")
				}
				g.noOther(t)
				g.has(t, c.rows)
			})
		}
	}
}

// The request that ends the transaction is known by all its statements.
func TestProxy_TellsWhatARequestHolds(t *testing.T) {
	each(t, func(t *testing.T, g ground) {
		never := g.proxy.Plan(pgproxy.Fault{Statement: regexp.MustCompile("ROLLBACK"), Then: pgproxy.Cut})
		dropped := g.proxy.Plan(pgproxy.Fault{Statement: commit, Then: pgproxy.Cut})
		dropped.Cancel()
		seen := g.proxy.Plan(pgproxy.Fault{Statement: commit})
		conn := g.connect(t)
		if err := write(t.Context(), conn, once); err != nil {
			t.Fatal(err)
		}
		if got := seen.Statements(); !slices.Equal(got, []string{once, "COMMIT"}) {
			t.Errorf("the request holds %q", got)
		}
		if never.Hit() || dropped.Hit() || never.Statements() != nil {
			t.Error("a fault has happened that was not due")
		}
	})
}

func TestProxy_LetsAFrozenRequestGoOn(t *testing.T) {
	each(t, func(t *testing.T, g ground) {
		done := make(chan error)
		rows := 0
		for _, at := range []pgproxy.Point{pgproxy.Before, pgproxy.Inside, pgproxy.After} {
			frozen := g.proxy.Plan(pgproxy.Fault{Statement: commit, At: at, Then: pgproxy.Freeze})
			conn := g.connect(t)
			go func() { done <- write(t.Context(), conn, "SELECT 1") }()
			<-frozen.Happened()
			g.has(t, rows+map[pgproxy.Point]int{pgproxy.After: 3}[at])
			if err := frozen.Release(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := <-done; err != nil {
				t.Error(err)
			}
			rows += 3
			g.has(t, rows)
		}
	})
}

func TestProxy_DeliversARequestLate(t *testing.T) {
	each(t, func(t *testing.T, g ground) {
		late := g.proxy.Plan(pgproxy.Fault{Statement: commit, Then: pgproxy.Late})
		if err := late.Release(t.Context()); err != nil {
			t.Error(err)
		}
		if err := write(t.Context(), g.connect(t), once); err == nil || code(err) != "" || !late.Hit() {
			t.Errorf("the write ends with %v, want a lost connection", err)
		}
		g.has(t, 0)
		if err := late.Release(t.Context()); err != nil {
			t.Error(err)
		}
		g.has(t, 3)
		// One that comes after the retry is refused by the condition.
		second := "UPDATE state SET commits = CASE WHEN commits = 1 THEN 2 END"
		late = g.proxy.Plan(pgproxy.Fault{Statement: commit, Then: pgproxy.Late})
		if err := write(t.Context(), g.connect(t), second); err == nil || !late.Hit() {
			t.Errorf("the write ends with %v, want a lost connection", err)
		}
		if err := write(t.Context(), g.connect(t), second); err != nil {
			t.Error(err)
		}
		if err := late.Release(t.Context()); err != nil {
			t.Error(err)
		}
		g.has(t, 6)
	})
}

func TestProxy_DoublesATransaction(t *testing.T) {
	each(t, func(t *testing.T, g ground) {
		conn := g.connect(t)
		if _, err := conn.Exec(t.Context(), "INSERT INTO rows VALUES ($1)", 1); err != nil { // prepares a statement, is not doubled
			t.Fatal(err)
		}
		doubled := g.proxy.Plan(pgproxy.Fault{Statement: commit, At: pgproxy.After, Then: pgproxy.Double})
		if err := write(t.Context(), conn, once); code(err) != "23502" || !doubled.Hit() {
			t.Errorf("the write ends with %v, want the answer to the second", err)
		}
		g.has(t, 4)

		// The control: without the condition both apply.
		conn = g.connect(t)
		doubled = g.proxy.Plan(pgproxy.Fault{Statement: commit, At: pgproxy.After, Then: pgproxy.Double})
		if err := write(t.Context(), conn, "SELECT 1"); err != nil || !doubled.Hit() {
			t.Errorf("the write ends with %v", err)
		}
		g.has(t, 10)
		if err := write(t.Context(), conn, "SELECT 1"); err != nil {
			t.Errorf("the connection does not go on: %v", err)
		}
		g.has(t, 13)

		// Where the rows themselves cannot be there twice, the second transaction ends before COMMIT.
		if _, err := g.direct.Exec(t.Context(), "TRUNCATE rows; CREATE UNIQUE INDEX ON rows ((1))"); err != nil {
			t.Fatal(err)
		}
		doubled = g.proxy.Plan(pgproxy.Fault{Statement: commit, At: pgproxy.After, Then: pgproxy.Double})
		batch := &pgx.Batch{}
		batch.Queue("SELECT 1")
		batch.Queue("COMMIT")
		_, err := conn.Exec(t.Context(), "BEGIN; INSERT INTO rows VALUES (1)")
		if err := errors.Join(err, conn.SendBatch(t.Context(), batch).Close()); err != nil || !doubled.Hit() {
			t.Errorf("the write ends with %v", err)
		}
		g.has(t, 1)
	})
}

func TestProxy_CallsAtThePoint(t *testing.T) {
	each(t, func(t *testing.T, g ground) {
		killed := g.proxy.Plan(pgproxy.Fault{Statement: commit, At: pgproxy.After, Do: func() {
			if err := g.server.Kill(); err != nil {
				t.Error(err)
			}
		}, Then: pgproxy.Cut})
		if err := write(t.Context(), g.connect(t), once); err == nil || code(err) != "" || !killed.Hit() {
			t.Errorf("the write ends with %v, want a lost connection", err)
		}
		if err := g.server.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		g.direct = g.server.Connect(t, g.database)
		g.has(t, 3)
	})
}

func TestProxy_RefusesConnectionsAndMovesThem(t *testing.T) {
	g := newGround(t, emulator.PostgreSQL(t, 18))
	dsn := strings.Replace(g.server.DSN(g.database), g.server.Address, g.proxy.Address(), 1)
	g.proxy.Refuse(true)
	if _, err := pgx.Connect(t.Context(), dsn); err == nil || g.proxy.Refused() == 0 {
		t.Errorf("a refused connection ends with %v, %d are counted", err, g.proxy.Refused())
	}
	g.proxy.Refuse(false)
	g.database = "postgres" // which every server has
	for major, s := range map[int]*emulator.PostgreSQLServer{18: g.server, 14: emulator.PostgreSQL(t, 14)} {
		g.proxy.Move(s.Address)
		var version string
		if err := g.connect(t).QueryRow(t.Context(), "SHOW server_version").Scan(&version); err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(version, fmt.Sprint(major)) {
			t.Errorf("the server is %s, want %d", version, major)
		}
	}
}

// A client that gives up asks on another connection to cancel its query.
func TestProxy_PassesOnCancellation(t *testing.T) {
	g := newGround(t, emulator.PostgreSQL(t, 18))
	conn := g.connect(t)
	go func() {
		for {
			var n int
			if err := g.direct.QueryRow(t.Context(), "SELECT count(*) FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(600)'").Scan(&n); err != nil || n == 1 {
				break
			}
		}
		if err := conn.PgConn().CancelRequest(t.Context()); err != nil {
			t.Error(err)
		}
	}()
	if _, err := conn.Exec(t.Context(), "SELECT pg_sleep(600)"); code(err) != "57014" {
		t.Errorf("a query that is cancelled ends with %v, want SQLSTATE 57014, query_canceled", err)
	}
}

// code is the SQLSTATE of an error; empty if the server has not sent one.
func code(err error) string {
	if refused := (*pgconn.PgError)(nil); errors.As(err, &refused) {
		return refused.Code
	}
	return ""
}
