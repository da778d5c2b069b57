package lake_test

import (
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/jackc/pgx/v5"

	"aws-streaming-pipeline/checkpoint/dynamo"
	"aws-streaming-pipeline/internal/test/emulator"
)

// Records become rows exactly once in an Iceberg table and in PostgreSQL, while loaders are killed and the database goes away and
// comes back. While it is away, nothing else waits for it.
func TestPipeline_LoadsTwoTables(t *testing.T) {
	server := emulator.PostgreSQL(t, 18)
	p := newPipeline(t, "POSTGRES_DSN=user=postgres password=unneeded", "POSTGRES_TLS=disable", "POSTGRES_FAILOVER_WINDOW=1s")
	p.env = append(p.env, "TABLE=rest+http://"+strings.TrimPrefix(p.catalog, "http://")+"/taxi.rides,postgres://"+server.Address+"/postgres/rides")
	must(t, p.lake.CreateNamespace("taxi"))
	p.daemon = build(t, "consumer")
	loader := build(t, "loader")
	loaders := []*program{p.start(loader), p.start(loader)}
	p.restart("")
	ride := func(n int) map[string]any {
		return map[string]any{"city": "Rome", "fare": 1.25, "began": fmt.Sprintf("2026-01-%02dT08:%02d:00Z", 1+n%3, n%60)}
	}
	p.put(100, ride)
	p.loaded()
	p.until("all rides are in the database", func() bool { return p.rows(server) >= p.sent })

	time.Sleep(time.Millisecond)
	middle, before := time.Now().UTC().Truncate(time.Millisecond), p.sent
	must(t, server.Kill())
	p.put(100, ride)
	p.loaded() // into the lake
	if p.outbox() == 0 {
		t.Error("the outbox is empty while the database has yet to get its rows")
	}
	must(t, server.Start(t.Context()))
	p.until("the database has caught up", func() bool { return p.rows(server) >= p.sent })

	p.restart(`, "tip": {"type": "number"}`)
	for round := range 6 {
		p.put(40, func(n int) map[string]any {
			r := ride(n)
			r["tip"] = 0.5
			return r
		})
		time.Sleep(time.Duration(round) * 300 * time.Millisecond) // a kill at any moment is as good as at another one
		victim := round % len(loaders)
		must(t, loaders[victim].process.Kill())
		loaders[victim] = p.start(loader)
	}
	p.loaded()
	p.until("all rides are in the database", func() bool { return p.rows(server) >= p.sent })
	p.until("the outbox is empty", func() bool { return p.outbox() == 0 })
	p.stop(p.daemons...)
	p.stop(loaders...)

	row := p.rides.Query(t, "SELECT count(*) AS rows, count(DISTINCT ride) AS rides, count(DISTINCT event_id) AS events FROM t")[0]
	if want := fmt.Sprintf("map[events:%d rides:%[1]d rows:%[1]d]", p.sent); fmt.Sprint(row) != want {
		t.Errorf("the lake has %v, want %s", row, want)
	}
	conn := server.Connect(t, "postgres")
	var rows, rides, events, arrivals, tips int
	var fares float64
	const query = `SELECT count(*), count(DISTINCT ride), count(DISTINCT event_id), count(_arrived_at), count(tip), sum(fare) FROM rides WHERE city = 'Rome' AND began >= '2026-01-01'`
	if err := conn.QueryRow(t.Context(), query).Scan(&rows, &rides, &events, &arrivals, &tips, &fares); err != nil {
		t.Fatal(err)
	}
	if rows != p.sent || rides != p.sent || events != p.sent || arrivals != p.sent || tips != 240 || fares != 1.25*float64(p.sent) {
		t.Errorf("the database has %d rows of %d rides and %d events, %d arrivals, %d tips, fares %v; want %d of each, 240 tips",
			rows, rides, events, arrivals, tips, fares, p.sent)
	}
	p.replay(loader, server, middle, before)
}

// replay delivers what arrived before a time again, into tables of its own, and waits for them as an operator does.
func (p *pipeline) replay(loader string, server *emulator.PostgreSQLServer, until time.Time, want int) {
	p.t.Helper()
	tables := []string{"rest+http://" + strings.TrimPrefix(p.catalog, "http://") + "/taxi.again", "postgres://" + server.Address + "/postgres/again"}
	p.env = append(p.env, "APPLICATION_NAME=again", "CHECKPOINT_TABLE=again", "PREFIX=again/", "MANIFEST_PREFIX=manifests-again/",
		"TABLE="+strings.Join(tables, ","), "STOP_POSITION="+until.Format(time.RFC3339Nano))
	running := p.start(loader)
	daemon := p.start(p.daemon)
	select {
	case err := <-daemon.exited:
		if daemon.exited <- err; err != nil {
			p.t.Errorf("the replay ended with %v", err)
		}
	case <-time.After(patience):
		p.t.Fatalf("the replay has not ended within %v", patience)
	}
	for _, uri := range tables {
		cmd := exec.Command(p.daemon, "wait", "--until", until.Format(time.RFC3339Nano), "--table", uri, "--timeout", patience.String())
		cmd.Env = p.env
		if out, err := cmd.CombinedOutput(); err != nil {
			p.t.Errorf("wait for %s: %v\n%s", uri, err, out)
		}
	}
	cmd := exec.Command(p.daemon, "wait", "--until", until.Add(time.Minute).Format(time.RFC3339Nano), "--table", tables[1], "--timeout", "0s")
	cmd.Env = p.env
	if out, err := cmd.CombinedOutput(); cmd.ProcessState.ExitCode() != 1 {
		p.t.Errorf("wait for more than was replayed: %v\n%s", err, out)
	}
	p.stop(running)

	row := p.lake.Table("taxi.again").Query(p.t, "SELECT count(*) AS rows, count(DISTINCT event_id) AS events FROM t")[0]
	if all := fmt.Sprintf("map[events:%d rows:%[1]d]", want); fmt.Sprint(row) != all {
		p.t.Errorf("the replay has %v in the lake, want %s", row, all)
	}
	const query = `SELECT count(*), count(DISTINCT again.event_id), count(rides.event_id) FROM again LEFT JOIN rides USING (event_id, ride, fare)`
	var rows, events, same int
	if err := server.Connect(p.t, "postgres").QueryRow(p.t.Context(), query).Scan(&rows, &events, &same); err != nil {
		p.t.Fatal(err)
	}
	if rows != want || events != want || same != want {
		p.t.Errorf("the replay has %d rows of %d events in the database, %d of them as in the original; want %d", rows, events, same, want)
	}
}

// outbox counts the batches that are not in all their tables.
func (p *pipeline) outbox() int {
	p.t.Helper()
	endpoint := ""
	for _, variable := range p.env {
		if url, ok := strings.CutPrefix(variable, "AWS_ENDPOINT_URL_DYNAMODB="); ok {
			endpoint = url
		}
	}
	store, err := dynamo.Open(p.t.Context(), dynamo.Config{
		AWS: aws.Config{Region: p.store.Region, BaseEndpoint: &endpoint,
			Credentials: credentials.NewStaticCredentialsProvider(p.store.AccessKey, p.store.SecretKey, "")},
		Table: "rides",
	})
	if err != nil {
		p.t.Fatal(err)
	}
	batches, _, err := store.Outbox(p.t.Context())
	if err := errors.Join(err, store.Close()); err != nil {
		p.t.Fatal(err)
	}
	return len(batches)
}

// rows counts the rides in the database; 0 as long as it does not answer or has no table.
func (p *pipeline) rows(server *emulator.PostgreSQLServer) (n int) {
	p.t.Helper()
	conn, err := pgx.Connect(p.t.Context(), server.DSN("postgres"))
	if err != nil {
		return 0
	}
	defer conn.Close(p.t.Context())
	if err := conn.QueryRow(p.t.Context(), "SELECT count(*) FROM rides").Scan(&n); err != nil {
		return 0
	}
	return n
}
