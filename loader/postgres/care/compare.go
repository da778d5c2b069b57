package care

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"aws-streaming-pipeline/loader/postgres/pgddl"
	"aws-streaming-pipeline/operate/objects"
	"aws-streaming-pipeline/writers/layout"
)

// comparison is what the rows of the table are, compared with those of the files.
type comparison struct {
	batches []*batch
	doubles []rowsOf // by batch
	present int64    // ids of the files that are in the table
	foreign rowsOf
}

// rowsOf counts rows of one kind.
type rowsOf struct {
	batch   int
	count   int64
	example string // the id of one
}

// comparer compares in one transaction.
type comparer struct {
	*Site
	tx      pgx.Tx
	columns columns
	batches []*batch
	result  comparison
}

// compare compares the rows of the batches with the table. With foreign it also looks for rows of the window that are in no file.
func (s *Site) compare(ctx context.Context, batches []*batch, foreign bool) (*comparison, error) {
	conn, err := s.Connect(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }() // nothing is to be kept
	tx, err := begin(ctx, conn)
	if err != nil {
		return nil, err
	}
	for _, b := range batches {
		b.rows, b.refused, b.missing, b.stale, b.named, b.example = 0, 0, 0, 0, false, ""
	}
	c := &comparer{Site: s, tx: tx, batches: batches, result: comparison{batches: batches}}
	if c.columns, err = s.readColumns(ctx, tx); err != nil {
		return nil, err
	}
	steps := []func(context.Context) error{c.expect, c.readLedger, c.find, c.readRefused, c.readErrorObjects, c.countMissing, c.countDoubles}
	if len(s.Key) > 0 {
		steps = append(steps, c.countStale)
	}
	if foreign && c.columns.arrived != "" {
		steps = append(steps, c.findForeign)
	}
	for _, step := range steps {
		if err := step(ctx); err != nil {
			return nil, fmt.Errorf("compare table %s with the files: %w", s.Table, err)
		}
	}
	return &c.result, nil
}

func (c *comparer) expect(ctx context.Context) error {
	if err := createExpected(ctx, c.tx, len(c.columns.key)); err != nil {
		return err
	}
	return c.copyRows(ctx, c.tx, c.batches, c.columns.key)
}

// own is one of the loader's own tables, in the table's schema; empty if it does not exist.
func (c *comparer) own(ctx context.Context, name string) (string, error) {
	relation := c.relation(name)
	var exists bool
	err := c.tx.QueryRow(ctx, "SELECT pg_catalog.to_regclass($1) IS NOT NULL", relation).Scan(&exists)
	if err != nil || !exists {
		return "", err
	}
	return relation, nil
}

// mine is the condition for the rows of the loader's own tables that belong to the application and the table.
func (c *comparer) mine() string {
	return fmt.Sprintf(" WHERE application = %s AND relation = %d::pg_catalog.oid", pgddl.Literal(c.Application), c.columns.oid)
}

// readLedger notes which batches the ledger names. They are in the table, although they may be in the outbox, too.
func (c *comparer) readLedger(ctx context.Context) error {
	ledger, err := c.own(ctx, pgddl.Ledger)
	if err != nil || ledger == "" {
		return err
	}
	found, err := c.tx.Query(ctx, "SELECT batch FROM "+ledger+c.mine())
	if err != nil {
		return err
	}
	ids, err := pgx.CollectRows(found, pgx.RowTo[string])
	if err != nil {
		return err
	}
	named := make(map[string]bool, len(ids))
	for _, id := range ids {
		named[id] = true
	}
	for _, b := range c.batches {
		b.named = named[b.id]
	}
	return nil
}

// find counts how often the table has each id.
func (c *comparer) find(ctx context.Context) error {
	_, err := c.tx.Exec(ctx, fmt.Sprintf(`CREATE TEMPORARY TABLE pipeline_found ON COMMIT DROP AS
SELECT t.%s::text AS id, count(*) AS n FROM %s t WHERE t.%[1]s::text IN (SELECT id FROM pipeline_expected) GROUP BY 1;
ANALYZE pipeline_found`, c.columns.eventID, c.columns.relation), pgx.QueryExecModeSimpleProtocol)
	if err != nil {
		return err
	}
	return c.tx.QueryRow(ctx, "SELECT count(*) FROM pipeline_found").Scan(&c.result.present)
}

const absent = " NOT EXISTS (SELECT FROM pipeline_found f WHERE f.id = e.id)"

// readRefused notes the rows that the database has refused lately.
func (c *comparer) readRefused(ctx context.Context) error {
	refused, err := c.own(ctx, pgddl.Refused)
	if err != nil || refused == "" {
		return err
	}
	_, err = c.tx.Exec(ctx, "INSERT INTO pipeline_refusals SELECT event_id FROM "+refused+c.mine())
	return err
}

// readErrorObjects notes the rows that the database has refused before, which are in the error objects of their batches.
func (c *comparer) readErrorObjects(ctx context.Context) error {
	if c.ErrorKey == nil {
		return nil
	}
	type place struct {
		batch   int
		arrived time.Time
	}
	first := map[string]place{} // by the key of the first part
	found, err := c.tx.Query(ctx, "SELECT DISTINCT e.batch, e.arrived FROM pipeline_expected e WHERE e.arrived IS NOT NULL AND"+absent+
		" AND NOT EXISTS (SELECT FROM pipeline_refusals r WHERE r.id = e.id)")
	if err != nil {
		return err
	}
	var p place
	if _, err := pgx.ForEachRow(found, []any{&p.batch, &p.arrived}, func() error {
		first[c.ErrorKey(c.batches[p.batch].id, p.arrived, 0)] = p
		return nil
	}); err != nil {
		return err
	}
	if len(first) == 0 {
		return nil
	}
	var read error
	err = copyIn(ctx, c.tx, "pipeline_refusals", func(w *bufio.Writer) error {
		for _, p := range first {
			if read = c.copyErrorObjects(ctx, w, c.batches[p.batch].id, p.arrived); read != nil {
				return read
			}
		}
		return nil
	})
	return errors.Join(read, err)
}

// copyErrorObjects writes the ids in the error objects of a batch, of which there may be several with the same prefix, or none.
func (c *comparer) copyErrorObjects(ctx context.Context, w *bufio.Writer, batch string, arrived time.Time) error {
	for part := 0; ; part++ {
		key := c.ErrorKey(batch, arrived, part)
		file, err := c.Window.Bucket.Download(ctx, key)
		if errors.Is(err, objects.ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		err = objects.Lines(file, func(_ int, line []byte) error {
			var l struct {
				EventID string `json:"eventId"`
			}
			if json.Unmarshal(line, &l) != nil {
				return errors.New("a line is not an error record")
			}
			w.Write(escaped([]byte(l.EventID)))
			return w.WriteByte('\n')
		})
		err = errors.Join(err, file.Close())
		if err != nil {
			return fmt.Errorf("error object s3://%s/%s: %w", c.Window.Bucket.Name, key, err)
		}
	}
}

// countMissing counts, of each batch, the rows that are not in the table, and which of them were refused.
func (c *comparer) countMissing(ctx context.Context) error {
	found, err := c.tx.Query(ctx, `SELECT e.batch, count(*) FILTER (WHERE r.id IS NOT NULL), count(*) FILTER (WHERE r.id IS NULL), coalesce(min(e.id) FILTER (WHERE r.id IS NULL), '')
FROM pipeline_expected e LEFT JOIN (SELECT DISTINCT id FROM pipeline_refusals) r ON r.id = e.id WHERE`+absent+" GROUP BY e.batch")
	if err != nil {
		return err
	}
	var batch int
	var refused, missing int64
	var example string
	_, err = pgx.ForEachRow(found, []any{&batch, &refused, &missing, &example}, func() error {
		b := c.batches[batch]
		b.refused, b.missing, b.example = refused, missing, example
		return nil
	})
	return err
}

// countDoubles finds ids that the table has more often than the files.
func (c *comparer) countDoubles(ctx context.Context) error {
	found, err := c.tx.Query(ctx, `SELECT e.batch, sum(f.n - e.n)::bigint, min(e.id)
FROM (SELECT id, min(batch) AS batch, count(*) AS n FROM pipeline_expected GROUP BY id) e JOIN pipeline_found f ON f.id = e.id WHERE f.n > e.n GROUP BY e.batch ORDER BY e.batch`)
	if err != nil {
		return err
	}
	c.result.doubles, err = pgx.CollectRows(found, toRowsOf)
	return err
}

func toRowsOf(row pgx.CollectableRow) (r rowsOf, err error) {
	err = row.Scan(&r.batch, &r.count, &r.example)
	return r, err
}

// order is the number by which the newest of the rows with the same key is known: the sequence number, and behind the point ten digits each
// of the numbers that follow it in the id: see pgddl.SequenceColumn. An id that the pipeline does not make has none.
const order = `CASE WHEN e.id ~ '^[0-9]+(-[0-9]+){0,3}$' THEN (split_part(e.id, '-', 1) || CASE WHEN split_part(e.id, '-', 2) <> '' THEN
	'.' || lpad(split_part(e.id, '-', 2), 10, '0') || CASE WHEN split_part(e.id, '-', 3) <> '' THEN lpad(split_part(e.id, '-', 3), 10, '0') ELSE '' END
	|| CASE WHEN split_part(e.id, '-', 4) <> '' THEN lpad(split_part(e.id, '-', 4), 10, '0') ELSE '' END ELSE '' END)::numeric END`

// countStale counts, by batch, the keys for which the table has neither the row of the greatest sequence number in the files nor a later one.
func (c *comparer) countStale(ctx context.Context) error {
	var texts, names, same []string
	for i, k := range c.columns.key {
		// A text that is not a value of the column's type, or of a domain, is that of a row that the database has refused.
		_, err := c.tx.Exec(ctx, fmt.Sprintf("CREATE FUNCTION pg_temp.pipeline_key%d(v text) RETURNS %s LANGUAGE plpgsql AS $f$ BEGIN RETURN v::%[2]s; EXCEPTION WHEN data_exception OR integrity_constraint_violation THEN RETURN NULL; END $f$",
			i, k.typ), pgx.QueryExecModeSimpleProtocol)
		if err != nil {
			return err
		}
		texts = append(texts, fmt.Sprintf("pg_temp.pipeline_key%d(e.key%[1]d) AS k%[1]d", i))
		names = append(names, fmt.Sprintf("k%d", i))
		same = append(same, fmt.Sprintf("t.%s = n.k%d", k.name, i))
	}
	waiting := []int32{}
	for i, b := range c.batches {
		if b.waiting() || b.skipped {
			waiting = append(waiting, int32(i))
		}
	}
	key := strings.Join(names, ", ")
	found, err := c.tx.Query(ctx, fmt.Sprintf(`SELECT n.batch, count(*), min(n.id) FROM (
	SELECT DISTINCT ON (%[1]s) * FROM (SELECT e.batch, e.id, %[2]s AS sequence, %[3]s FROM pipeline_expected e
		WHERE NOT e.batch = ANY ($1) AND NOT EXISTS (SELECT FROM pipeline_refusals r WHERE r.id = e.id)) e
	WHERE sequence IS NOT NULL ORDER BY %[1]s, sequence DESC
) n LEFT JOIN %[4]s t ON %[5]s WHERE t.%[6]s IS NULL OR t.%[6]s < n.sequence GROUP BY n.batch`,
		key, order, strings.Join(texts, ", "), c.columns.relation, strings.Join(same, " AND "), c.columns.sequence), waiting)
	if err != nil {
		return err
	}
	list, err := pgx.CollectRows(found, toRowsOf)
	for _, r := range list {
		b := c.batches[r.batch]
		b.stale, b.example = r.count, r.example
	}
	return err
}

const (
	// longestFill is how long a batch may be open before it is sealed: a day, the longest commit interval, plus a margin.
	longestFill = 25 * time.Hour
	// clocks is how far those of Kinesis and of a worker may differ.
	clocks = time.Minute
)

// findForeign finds rows that arrived in the window and are in none of its files, nor in those of the batches that were sealed after it.
func (c *comparer) findForeign(ctx context.Context) error {
	from := "-infinity"
	if !c.Window.From.IsZero() {
		from = c.Window.From.Add(clocks).UTC().Format(time.RFC3339Nano)
	}
	_, err := c.tx.Exec(ctx, fmt.Sprintf(`CREATE TEMPORARY TABLE pipeline_foreign ON COMMIT DROP AS
SELECT t.%[1]s::text AS id FROM %[2]s t WHERE t.%[1]s IS NOT NULL AND t.%[3]s >= '%[4]s'::timestamptz AND t.%[3]s < '%[5]s'::timestamptz
	AND NOT EXISTS (SELECT FROM pipeline_expected e WHERE e.id = t.%[1]s::text)`,
		c.columns.eventID, c.columns.relation, c.columns.arrived, from, c.Window.To.UTC().Format(time.RFC3339Nano)), pgx.QueryExecModeSimpleProtocol)
	if err != nil {
		return err
	}
	if err := c.countForeign(ctx); err != nil || c.result.foreign.count == 0 {
		return err
	}
	known := map[string]bool{}
	for _, b := range c.batches {
		known[b.id] = true
	}
	// A manifest may have been written since the window was read.
	after := c.Window
	after.From, after.To = c.Window.To.Add(-longestFill), c.Window.To.Add(longestFill)
	errDone := errors.New("done")
	err = after.Each(ctx, func(m layout.Manifest) error {
		if known[m.Batch] {
			return nil
		}
		if err := c.without(ctx, newBatch(m)); err != nil {
			return err
		}
		if c.result.foreign.count == 0 {
			return errDone
		}
		return nil
	})
	if errors.Is(err, errDone) {
		return nil
	}
	return err
}

// without takes the rows of a batch out of the foreign ones.
func (c *comparer) without(ctx context.Context, b *batch) error {
	var read error
	err := copyIn(ctx, c.tx, "pipeline_later", func(w *bufio.Writer) error {
		for i := range b.files {
			read = c.eachRow(ctx, &b.files[i], nil, func(id []byte, _ time.Time, _ [][]byte) error {
				w.Write(escaped(id))
				return w.WriteByte('\n')
			})
			if read != nil {
				return read
			}
		}
		return nil
	})
	if err = errors.Join(read, err); err != nil {
		return err
	}
	_, err = c.tx.Exec(ctx, "DELETE FROM pipeline_foreign f USING pipeline_later l WHERE l.id = f.id; TRUNCATE pipeline_later", pgx.QueryExecModeSimpleProtocol)
	if err != nil {
		return err
	}
	return c.countForeign(ctx)
}

func (c *comparer) countForeign(ctx context.Context) error {
	return c.tx.QueryRow(ctx, "SELECT count(*), coalesce(min(id), '') FROM pipeline_foreign").Scan(&c.result.foreign.count, &c.result.foreign.example)
}

// waiting reports whether a batch is still to be loaded.
func (b *batch) waiting() bool { return b.waits && !b.named }

// whole reports whether nothing of a batch is in the table, so that it can be loaded again.
func (b *batch) whole() bool { return b.missing > 0 && b.missing+b.refused == b.rows }

// sortByID sorts batches by the time at which they were begun.
func sortByID(batches []*batch) {
	slices.SortFunc(batches, func(a, b *batch) int { return strings.Compare(a.id, b.id) })
}
