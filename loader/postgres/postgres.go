// Package postgres loads batches into tables of PostgreSQL: rows and ledger in one transaction.
//
// A write copies the rows of all files and then, in one message of the protocol, gives the table a new state on condition that it
// is still in the one that was read, changes the ledger, and commits. So it takes the only lock that other loaders wait for when
// nothing but the server itself is left to do: a loader that is frozen or slow holds nobody up.
//
// Everything is set within a transaction, and no statement is prepared under a name: a pooler that gives a connection away after
// each transaction, such as PgBouncer, may be in between.
package postgres

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"aws-streaming-pipeline/loader"
	"aws-streaming-pipeline/loader/postgres/pgddl"
	"aws-streaming-pipeline/loader/rows"
	"aws-streaming-pipeline/record"
	"aws-streaming-pipeline/record/schema"
	"aws-streaming-pipeline/record/table"
)

// Options are the settings of an application as far as they concern its table, and what reaches the table and the files.
type Options struct {
	// Application names the ledger. Several applications may load one table.
	Application string
	URI         table.URI
	// Schema is SCHEMA; nil without one.
	Schema *schema.Schema
	// Create says that a table that does not exist is created, TABLE_CREATE. Evolve says that columns may be added and widened,
	// TABLE_EVOLVE.
	Create, Evolve bool
	// Unique, Key and Daily are POSTGRES_UNIQUE, POSTGRES_KEY and POSTGRES_PARTITION=day.
	Unique bool
	Key    []string
	Daily  bool
	// Failover is POSTGRES_FAILOVER_WINDOW.
	Failover time.Duration

	// Connect opens a connection to the database. The table closes it.
	Connect func(context.Context) (*pgx.Conn, error)
	// Bucket has the published files.
	Bucket rows.Bucket
	// Refused writes the rows that the database refuses to the error prefix.
	Refused RefusedFiles
}

// RefusedFiles says where error objects are written, and writes them.
type RefusedFiles struct {
	// Stream and Zone are those of the daemon's keys.
	Stream string
	Zone   *time.Location
	// Prefix evaluates ERROR_PREFIX for a record of a batch. It returns the same text each time.
	Prefix func(batch string, t record.OutputType, arrival time.Time) string
	// Put writes an object, or replaces it.
	Put func(ctx context.Context, key string, content []byte) error
}

// Table is a table of a database. It implements loader.Destination.
type Table struct {
	Options
	ddl pgddl.Table

	mu sync.Mutex
	// covered are the names of partitions that need not be made, because another one has the rows of their day.
	covered map[string]bool
}

var (
	_ loader.Destination = (*Table)(nil)
	_ loader.Bounded     = (*Table)(nil)
	_ loader.Caretaker   = (*Table)(nil)
	_ loader.Settler     = (*state)(nil)
	_ loader.Refuser     = (*state)(nil)
)

// New returns a table. It makes no calls before Load.
func New(o Options) (*Table, error) {
	if o.URI.Kind != table.Postgres {
		return nil, fmt.Errorf("table %s: want one of PostgreSQL", o.URI)
	}
	return &Table{Options: o, covered: make(map[string]bool), ddl: pgddl.Table{
		Namespace: o.URI.Namespace[1], Name: o.URI.Table, Schema: o.Schema, Unique: o.Unique, Key: o.Key, Daily: o.Daily,
	}}, nil
}

// Name implements loader.Destination.
func (d *Table) Name() string { return d.URI.String() }

// MaxBytes implements loader.Bounded. The rows of that many bytes of compressed files are in one transaction.
func (d *Table) MaxBytes() int64 { return 256 << 20 }

// relation is the quoted name of a table in the table's schema.
func (d *Table) relation(name string) string { return d.ddl.Relation(name) }
