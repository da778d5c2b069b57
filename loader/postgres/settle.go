package postgres

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/klauspost/compress/gzip"

	"aws-streaming-pipeline/loader/postgres/pgddl"
	"aws-streaming-pipeline/record"
	"aws-streaming-pipeline/writers/layout"
)

// Settle implements loader.Settler. A batch is settled some time after its commit, by the database's clock: if meanwhile a standby
// without the commit is promoted, the batch is still in the outbox and is loaded again. What the database asked now does not name is
// not settled. The rows of the batch that were refused are written to the error prefix before.
func (s *state) Settle(ctx context.Context, ids []string) (settled []string, err error) {
	session, err := s.d.open(ctx)
	if err != nil {
		return nil, err
	}
	defer session.close()
	err = session.reading(ctx, func(ctx context.Context) error {
		settled, err = session.settle(ctx, s, ids)
		return err
	})
	return settled, err
}

func (s *session) settle(ctx context.Context, st *state, ids []string) (settled []string, err error) {
	if err := s.checkServer(ctx); err != nil {
		return nil, err
	}
	due, err := s.due(ctx, st, ids)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", pgddl.Ledger, err)
	}
	for _, b := range due {
		if b.Refused > 0 {
			if err := s.writeRefused(ctx, st, b.Batch); err != nil {
				return nil, fmt.Errorf("write the refused rows of batch %s: %w", b.Batch, err)
			}
		}
		settled = append(settled, b.Batch)
	}
	return settled, nil
}

// ledgerRow is a row of the ledger.
type ledgerRow struct {
	Batch   string `db:"batch"`
	Refused int64  `db:"refused"`
}

func (s *session) due(ctx context.Context, st *state, ids []string) ([]ledgerRow, error) {
	found, err := s.Query(ctx, fmt.Sprintf("SELECT batch, refused FROM %s WHERE %s AND batch = ANY ($1) AND loaded_at <= pg_catalog.clock_timestamp() - interval '%d ms' ORDER BY batch",
		s.d.relation(pgddl.Ledger), st.mine(), s.d.Failover.Milliseconds()), ids)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(found, pgx.RowToStructByName[ledgerRow])
}

// maxErrorObject bounds the lines of an error object, which are held in memory.
const maxErrorObject = 32 << 20

// errorObjects are those of one batch. Keys and contents follow from the rows alone, so to write them again changes nothing.
type errorObjects struct {
	d     *Table
	batch string
	begun time.Time
	open  map[string]*bytes.Buffer // by the evaluated prefix
	parts map[string]int
	size  int
}

// writeRefused writes the refused rows of a batch to the error prefix: an object for each evaluated prefix, or several if they are
// large.
func (s *session) writeRefused(ctx context.Context, st *state, batch string) error {
	begun, _ := layout.BatchTime(batch)
	o := errorObjects{d: s.d, batch: batch, begun: begun, open: make(map[string]*bytes.Buffer), parts: make(map[string]int)}
	found, err := s.Query(ctx, fmt.Sprintf("SELECT arrived_at, line FROM %s WHERE %s AND batch = $1 ORDER BY file COLLATE \"C\", number",
		s.d.relation(pgddl.Refused), st.mine()), batch)
	if err != nil {
		return err
	}
	var arrived time.Time
	var line []byte
	_, err = pgx.ForEachRow(found, []any{&arrived, &line}, func() error { return o.add(ctx, arrived, line) })
	if err != nil {
		return err
	}
	return o.flush(ctx)
}

func (o *errorObjects) add(ctx context.Context, arrived time.Time, line []byte) error {
	prefix := o.d.Refused.Prefix(o.batch, record.PostgresFailed, arrived)
	if o.open[prefix] == nil {
		o.open[prefix] = new(bytes.Buffer)
	}
	o.open[prefix].Write(line)
	if o.size += len(line); o.size < maxErrorObject {
		return nil
	}
	return o.flush(ctx)
}

// flush writes the objects that are open.
func (o *errorObjects) flush(ctx context.Context) error {
	for prefix, lines := range o.open {
		var packed bytes.Buffer
		z := gzip.NewWriter(&packed)
		if _, err := z.Write(lines.Bytes()); err != nil {
			return err
		}
		if err := z.Close(); err != nil {
			return err
		}
		key := layout.RefusedFile(prefix+o.d.Refused.Stream, o.begun.In(o.d.Refused.Zone), o.batch, o.parts[prefix]).Key()
		if err := o.d.Refused.Put(ctx, key, packed.Bytes()); err != nil {
			return fmt.Errorf("put %s: %w", key, err)
		}
		o.parts[prefix]++
	}
	clear(o.open)
	o.size = 0
	return nil
}
