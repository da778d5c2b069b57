package chaos

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"aws-streaming-pipeline/internal/test/emulator"
)

// reaper ends connections of loaders to a database, kills their processes in its server, and the whole server.
type reaper struct {
	server *emulator.PostgreSQLServer
	dice   *dice
	// pace is the mean time between two acts.
	pace time.Duration
	acts tally
}

// until reaps until ctx ends, and leaves the server running.
func (r *reaper) until(ctx context.Context) error {
	for number := 0; sleep(ctx, r.dice.between(r.pace/2, r.pace*3/2)); number++ {
		// What has begun is finished, so that the server runs afterwards.
		act, err := r.reap(context.WithoutCancel(ctx), number)
		if err != nil {
			return err
		}
		r.acts.add(act)
	}
	return nil
}

func (r *reaper) reap(ctx context.Context, number int) (act string, err error) {
	if number%9 == 8 {
		if err := r.server.Kill(); err != nil {
			return "", err
		}
		return "server killed", r.server.Start(ctx)
	}
	conn, err := pgx.Connect(ctx, r.server.DSN("postgres"))
	if err != nil {
		return "", err
	}
	defer conn.Close(ctx)
	var process int
	// Most are gone within milliseconds, and come again with the next round.
	for end := time.Now().Add(2 * time.Second); process == 0 && time.Now().Before(end); sleep(ctx, time.Millisecond) {
		const find = `SELECT coalesce(max(pid), 0) FROM pg_stat_activity WHERE application_name LIKE 'aws-streaming-pipeline loader %'`
		if err := conn.QueryRow(ctx, find).Scan(&process); err != nil {
			return "", err
		}
	}
	switch {
	case process == 0:
		return "nobody there", nil
	case number%3 == 2:
		if err := r.server.KillBackend(process); err != nil {
			return "gone before", nil
		}
		return "process killed", r.server.Ready(ctx)
	}
	var ended bool
	if err := conn.QueryRow(ctx, "SELECT pg_terminate_backend($1)", process).Scan(&ended); err != nil {
		return "", err
	}
	if !ended {
		return "gone before", nil
	}
	return "connection ended", nil
}
