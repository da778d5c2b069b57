package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"

	"aws-streaming-pipeline/consumer"
	"aws-streaming-pipeline/loader"
	"aws-streaming-pipeline/loader/postgres"
)

// databaseTable is what the names of the demo's tables in PostgreSQL begin with. Each run has one of its own.
const databaseTable = "demo_trips"

// setDatabase has the records loaded into a new table of the database.
func (o options) setDatabase(cfg *consumer.Config) {
	name := databaseTable + time.Now().Format("_20060102_150405")
	uri, local, err := postgres.TableAt(o.postgres, name)
	if err != nil {
		panic(err) // the options were checked
	}
	cfg.TableConfig.Table, cfg.PostgresDSN = uri.String(), o.postgres
	cfg.PostgresFailover = 0 // nobody waits for a standby
	if local {
		cfg.PostgresTLS = "disable"
	}
}

// database is a table in PostgreSQL.
type database struct {
	*loader.Loader
	connect func(context.Context) (*pgx.Conn, error)
	table   string
}

func openDatabase(ctx context.Context, st *stage, cfg consumer.Config, store consumer.Store, log *slog.Logger) (lake, error) {
	columns, err := consumer.LoadSchema(ctx, cfg.Schema, consumer.SchemaServices{AWS: st.aws, S3: st.s3()}, func(f func() error) error { return f() })
	if err != nil {
		return nil, err
	}
	uri, _ := cfg.PostgresTable()
	site := postgres.Site{Config: cfg, URI: uri, Schema: columns, Account: st.aws, Bucket: st.s3(), Log: log}
	to, err := postgres.Open(site)
	if err != nil {
		return nil, err
	}
	connector, err := site.Connector()
	if err != nil {
		return nil, err
	}
	conn, err := connector.Connect(ctx) // what is wrong with the connection is better said before anything is sent
	if err != nil {
		return nil, fmt.Errorf("--postgres: %w", err)
	}
	if err := conn.Close(ctx); err != nil {
		return nil, err
	}
	l, err := newLoader(to, st, cfg, store, log)
	if err != nil {
		return nil, err
	}
	return database{l, connector.Connect, uri.Table}, nil
}

func (d database) problem() string { return problemOf(d.Loader) }

// contents counts the rows by SQL.
func (d database) contents(ctx context.Context) (holdings, error) {
	conn, err := d.connect(ctx)
	if err != nil {
		return nil, err
	}
	defer conn.Close(ctx)
	h := rowsHeld{table: d.table}
	err = conn.QueryRow(ctx, "SELECT count(*), count(DISTINCT event_id) FROM "+d.table).Scan(&h.rows, &h.distinct)
	return h, err
}

// rowsHeld are the rows of a table in PostgreSQL.
type rowsHeld struct {
	table          string
	rows, distinct int64
}

func (h rowsHeld) print(out io.Writer, folder string) {
	fmt.Fprintf(out, "\nThe table %s has %d rows. The files that they were copied from are in the folder %s.\nQuery the table with psql and the same connection string:\n\n", h.table, h.rows, folder)
	fmt.Fprintf(out, "  psql \"$DSN\" -c 'SELECT \"CALL_TYPE\", count(*) AS trips, count(DISTINCT event_id) AS ids FROM %s GROUP BY 1'\n\n", h.table)
	fmt.Fprintf(out, "DROP TABLE %s removes it; the tables pipeline_* are the loader's own. See docs/postgres.md.\n\n", h.table)
}

func (h rowsHeld) verdict(out io.Writer, delivered int64, _ int) error {
	fmt.Fprintf(out, "%d of %d in the table, %d rows twice\n", h.distinct, delivered, h.rows-h.distinct)
	if h.rows != delivered || h.distinct != delivered {
		return errors.New("the rows of the table are not the records that were delivered")
	}
	return nil
}
