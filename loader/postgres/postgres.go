// Package postgres loads batches into tables of PostgreSQL: rows and ledger in one transaction.
//
// A write copies the rows of all files and then, in one message of the protocol, adds one to the table's count of commits on
// condition that it is as it was read, changes the ledger, and commits. So it takes the only lock that other loaders wait for
// when nothing but the server itself is left to do: a loader that is frozen or slow holds nobody up.
package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"aws-streaming-pipeline/checkpoint"
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
	// Open reads a published file. The reader's Values are those of the members, in that order.
	Open func(ctx context.Context, f *checkpoint.File, members []string) (Reader, error)
	// Refused writes the rows that the database refuses to the error prefix.
	Refused RefusedFiles
}

// Reader reads the rows of a file, in the file's order. Close it.
type Reader interface {
	// Next returns the next row, which is valid until the following call, or io.EOF.
	Next() (*rows.Row, error)
	Close() error
}

// RefusedFiles says where error objects are written, and writes them.
type RefusedFiles struct {
	Bucket string
	// Stream and Zone are those of the daemon's keys, and Prefix evaluates ERROR_PREFIX.
	Stream string
	Zone   *time.Location
	Prefix func(t record.OutputType, arrival time.Time) string
	// Put writes an object, or replaces it.
	Put func(ctx context.Context, key string, content []byte) error
}
