package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"aws-streaming-pipeline/loader"
	"aws-streaming-pipeline/loader/postgres/pgddl"
)

// Append implements loader.State.
func (s *state) Append(ctx context.Context, a loader.Addition) error {
	err := s.append(ctx, a)
	if err != nil {
		return fmt.Errorf("append to table %s: %w", s.d.Name(), err)
	}
	return nil
}

func (s *state) append(ctx context.Context, a loader.Addition) error {
	p, err := s.plan()
	if err != nil {
		return err
	}
	if a.Progress == nil {
		a.Progress = func() {}
	}
	w := &write{state: s, plan: p, addition: a, counts: make([]count, len(a.Batches)), known: s.partitions()}
	for i := range a.Batches {
		for j := range a.Batches[i].Files {
			w.files = append(w.files, input{i, a.Batches[i].ID, &a.Batches[i].Files[j]})
		}
	}
	missing := &missingDays{}
	missing.addRanges(a.Batches, w)
	for {
		if err := s.addDays(ctx, missing, w.known); err != nil {
			return err
		}
		again := false
		if err = w.run(ctx); err != nil {
			missing, again = errors.AsType[*missingDays](err)
		}
		if !again {
			return err
		}
	}
}

// write is one transaction that appends.
type write struct {
	*state
	plan     plan
	addition loader.Addition
	files    []input
	counts   []count         // by batch
	known    map[string]bool // partitions; nil if none are made

	session   *session
	fence     *fence
	savepoint savepoint
	// records writes the refused rows.
	records *recorder
}

// count is how many rows of a batch are in the table, and how many are not.
type count struct{ rows, refused int64 }

func (w *write) countOf(row origin) *count { return &w.counts[w.files[row.file].batch] }

// run copies all rows, and commits.
func (w *write) run(ctx context.Context) (err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	fill, err := newFiller(w.plan)
	if err != nil {
		return err
	}
	if w.session, err = w.d.open(ctx); err != nil {
		return err
	}
	defer w.session.close()
	process, err := w.session.begin(ctx, lockTimeout)
	if err != nil {
		return err
	}
	clear(w.counts)
	w.fence = &fence{d: w.d, process: process}
	defer w.fence.watch(ctx)()
	if err := w.hold(ctx); err != nil {
		return err
	}
	if w.savepoint, err = noSavepoint, w.stage(ctx); err != nil {
		return err
	}
	w.records = &recorder{w: w}
	defer func() { err = errors.Join(err, w.records.close()) }()

	s := supply{d: w.d, files: w.files, fill: fill, daily: w.known != nil}
	s.start(ctx)
	defer func() {
		cancel()
		for range s.full { // until it has ended
		}
	}()
	missing := &missingDays{}
	for c := range s.full {
		for day := range c.days {
			missing.add(day, w)
		}
		if len(missing.days) == 0 { // otherwise the write begins anew when all days are known
			if err := w.copy(ctx, c); err != nil {
				return err
			}
		}
		w.addition.Progress()
		s.free <- c
	}
	if s.err != nil {
		return s.err
	}
	if len(missing.days) > 0 {
		return missing
	}
	if err := w.records.flush(ctx); err != nil {
		return err
	}
	w.fence.begin()
	defer w.fence.end()
	return w.session.commit(ctx, w.last()...)
}

// hold keeps the columns as they are until the end of the transaction, and checks that they are those that the rows are made for: in
// the binary format a bigint would become a double precision without an error. Whoever changes a column may have done so since, or
// may be waited for here.
func (w *write) hold(ctx context.Context) error {
	w.fence.begin()
	defer w.fence.end()
	if _, err := w.session.run(ctx, "LOCK TABLE ONLY "+w.d.relation(w.d.ddl.Name)+" IN ROW EXCLUSIVE MODE"); err != nil {
		return err
	}
	now := relation{oid: w.oid}
	if err := w.session.readColumns(ctx, &now); err != nil {
		return err
	}
	if !slices.EqualFunc(now.columns, w.columns, column.like) {
		return fmt.Errorf("%w: its columns have changed", loader.ErrConflict)
	}
	return nil
}

// last are the statements of the last message. The first of them is the one that others wait for.
func (w *write) last() []string {
	var ids, values []string
	for _, id := range w.addition.Keep {
		ids = append(ids, pgddl.Literal(id))
	}
	for i, b := range w.addition.Batches {
		ids = append(ids, pgddl.Literal(b.ID))
		values = append(values, fmt.Sprintf("(%s, %d, %s, pg_catalog.clock_timestamp(), %d, %d)",
			pgddl.Literal(w.d.Application), w.oid, pgddl.Literal(b.ID), w.counts[i].rows, w.counts[i].refused))
	}
	ledger, refused := w.d.relation(pgddl.Ledger), w.d.relation(pgddl.Refused)
	others := fmt.Sprintf("%s AND batch <> ALL (ARRAY[%s]::text[])", w.mine(), strings.Join(ids, ","))
	statements := []string{
		w.advance(),
		"DELETE FROM " + ledger + " WHERE " + others,
		"DELETE FROM " + refused + " WHERE " + others,
		"INSERT INTO " + ledger + " (application, relation, batch, loaded_at, rows, refused) VALUES " + strings.Join(values, ",\n"),
	}
	if w.complete.usable && !w.addition.CompleteUpTo.IsZero() {
		statements = append(statements, w.shows(w.addition.CompleteUpTo))
	}
	return statements
}
