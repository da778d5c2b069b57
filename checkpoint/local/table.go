package local

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	bolt "go.etcd.io/bbolt"

	"aws-streaming-pipeline/checkpoint"
)

// tables is the state. Each table is a bucket of the file with JSON values, so any bbolt viewer can show it.
type tables struct {
	application table[checkpoint.Application]
	leases      table[checkpoint.Lease]
	workers     table[checkpoint.Worker]
	outbox      table[outboxRow]
	// listed are the batches in the outbox whose files are in an object. Releases that do not know lists do not read
	// this table: they would publish such a batch without its files.
	listed table[outboxRow]
	// further are the batches in the outbox that need more than publishing and forgetting. Each row names its kind. This
	// release knows kindTables and leaves other rows alone. Earlier releases do not read this table.
	further table[outboxRow]
	// destinations are the tables that batches are loaded into.
	destinations table[checkpoint.Table]
	// complete has at most one row. Earlier releases do not read this table.
	complete table[checkpoint.Complete]
	// lead has at most one row, and orders one for each worker that has some. Earlier releases read neither.
	lead   table[checkpoint.Lead]
	orders table[ordersRow]
}

// outboxRow is a batch that is committed but not yet forgotten, or a tombstone.
type outboxRow struct {
	Tombstone bool      `json:"tombstone,omitempty"`
	Worker    string    `json:"worker"`
	Created   time.Time `json:"created,omitzero"`
	// Batch is the whole batch, without its files if it has a list. It stays encoded, so that callers do not share
	// memory with the store.
	Batch json.RawMessage `json:"batch,omitempty"`
	// Published is the Published field of the batch.
	Published []int `json:"published,omitempty"`
	// Kind is the kind of a batch in the table further.
	Kind string `json:"kind,omitempty"`

	// Of a batch that is to be loaded into tables.
	Tables      []string  `json:"tables,omitempty"`
	PublishedAt time.Time `json:"published_at,omitzero"`
	Loaded      []string  `json:"loaded,omitempty"`
}

// kindTables is the kind of batches that are to be loaded into tables.
const kindTables = "TABLE_BATCH"

// header is the batch as Scan shows it.
func (r outboxRow) header(id string) checkpoint.Batch {
	return checkpoint.Batch{
		ID: id, Worker: r.Worker, Created: r.Created,
		Tables: slices.Clone(r.Tables), PublishedAt: r.PublishedAt, Loaded: slices.Clone(r.Loaded),
	}
}

// Keys of the only rows of their tables.
const (
	theApplication = "application"
	theComplete    = "complete"
	theLead        = "lead"
)

func newTables() tables {
	return tables{
		application: newTable[checkpoint.Application]("application"),
		leases:      newTable[checkpoint.Lease]("leases"),
		workers:     newTable[checkpoint.Worker]("workers"),
		outbox:      newTable[outboxRow]("outbox"),
		listed:      newTable[outboxRow]("listed"),
		further:     newTable[outboxRow]("further"),

		destinations: newTable[checkpoint.Table]("destinations"),
		complete:     newTable[checkpoint.Complete]("complete"),
		lead:         newTable[checkpoint.Lead]("lead"),
		orders:       newTable[ordersRow]("orders"),
	}
}

// load reads the file, and creates missing buckets.
func (t *tables) load(db *bolt.DB) error {
	return db.Update(func(tx *bolt.Tx) error {
		return errors.Join(t.application.load(tx), t.leases.load(tx), t.workers.load(tx), t.outbox.load(tx), t.listed.load(tx),
			t.further.load(tx), t.destinations.load(tx), t.complete.load(tx), t.lead.load(tx), t.orders.load(tx))
	})
}

// of returns the table that holds a batch or tombstone, or nil if there is none.
func (t *tables) of(id string) *table[outboxRow] {
	for _, other := range []*table[outboxRow]{&t.listed, &t.further} {
		if _, ok := other.rows[id]; ok {
			return other
		}
	}
	return &t.outbox
}

// unknown returns ErrUnknownKind if the batch is of an unknown kind.
func (t *tables) unknown(id string) error {
	if row, ok := t.further.rows[id]; ok && row.Kind != kindTables {
		return fmt.Errorf("batch %s is of kind %q: %w", id, row.Kind, checkpoint.ErrUnknownKind)
	}
	return nil
}

// batch finds a batch or a tombstone by its id.
func (t *tables) batch(id string) (outboxRow, bool) {
	row, ok := t.of(id).rows[id]
	return row, ok
}

type table[T any] struct {
	name string
	rows map[string]T
}

func newTable[T any](name string) table[T] { return table[T]{name, map[string]T{}} }

func (t *table[T]) load(tx *bolt.Tx) error {
	bucket, err := tx.CreateBucketIfNotExists([]byte(t.name))
	if err != nil {
		return fmt.Errorf("bucket %s: %w", t.name, err)
	}
	return bucket.ForEach(func(key, value []byte) error {
		var row T
		if err := json.Unmarshal(value, &row); err != nil {
			return fmt.Errorf("bucket %s: row %q: %w", t.name, key, err)
		}
		t.rows[string(key)] = row
		return nil
	})
}

// sorted returns the keys in order, so that two reads of one state are equal.
func (t *table[T]) sorted() []string { return slices.Sorted(maps.Keys(t.rows)) }

func (t *table[T]) put(c *change, key string, row T) error {
	value, err := json.Marshal(row)
	if err != nil {
		return fmt.Errorf("encode row %q: %w", key, err)
	}
	c.writes = append(c.writes, write{t.name, key, value, func() { t.rows[key] = row }})
	return nil
}

func (t *table[T]) remove(c *change, key string) {
	c.writes = append(c.writes, write{t.name, key, nil, func() { delete(t.rows, key) }})
}

// change is what one call writes.
type change struct{ writes []write }

type write struct {
	bucket, key string
	value       []byte // nil removes the row
	apply       func() // does the same in memory
}

// save writes the change to the file in one transaction.
func (c *change) save(db *bolt.DB) error {
	if db == nil || len(c.writes) == 0 {
		return nil
	}
	return db.Update(func(tx *bolt.Tx) error {
		for _, w := range c.writes {
			if err := w.save(tx.Bucket([]byte(w.bucket))); err != nil {
				return fmt.Errorf("bucket %s: row %q: %w", w.bucket, w.key, err)
			}
		}
		return nil
	})
}

func (w write) save(bucket *bolt.Bucket) error {
	if w.value == nil {
		return bucket.Delete([]byte(w.key))
	}
	return bucket.Put([]byte(w.key), w.value)
}

func (c *change) apply() {
	for _, w := range c.writes {
		w.apply()
	}
}
