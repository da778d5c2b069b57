// Package loadertest checks that a destination keeps the contract of package loader on a real server, while writes are lost,
// doubled and delayed and others write to the table.
package loadertest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/loader"
	"aws-streaming-pipeline/record/table"
)

// Fault is what happens to the next write that a loader sends to a table: to each attempt, if a client repeats it by itself.
type Fault int

// The faults.
const (
	// RequestLost: the write does not arrive, and is not answered.
	RequestLost Fault = iota + 1
	// AnswerLost: the write arrives, and is not answered.
	AnswerLost
	// Doubled: the write arrives twice, one after the other. The answer to the second is the answer.
	Doubled
	// Late: the write is not answered. It arrives when Table.Release is called.
	Late
)

// Table is an empty table on a server, with a network in between.
type Table interface {
	// Open returns the table as another loader sees it, through the network.
	Open() loader.Destination
	// Fail plans what happens to the next write.
	Fail(f Fault)
	// Hit reports whether the fault that was planned last has happened.
	Hit() bool
	// Release lets the late write arrive, whatever comes of it, and returns when it was answered. It does nothing if there is
	// none.
	Release(ctx context.Context) error

	// Write makes n data files for the table as it was defined, with descriptions, and returns them as a batch of that id.
	Write(ctx context.Context, d *table.Definition, id string, n int) (checkpoint.Batch, error)
	// Foreign appends data or rewrites files, as another writer does that knows nothing of loaders.
	Foreign(ctx context.Context) error
	// Expire drops the history of the table, as its care does.
	Expire(ctx context.Context) error
	// Live returns how often the rows of each file of Write are in the table, by "s3://bucket/key", read past the destination.
	Live(ctx context.Context) (map[string]int, error)
}

// LedgerOnly is implemented by a Table whose state may be that of its ledger alone: others write to it without changing its state.
type LedgerOnly interface {
	// LedgerOnly reports whether a write is applied after Foreign, as if nothing had happened.
	LedgerOnly() bool
}

func ledgerOnly(t Table) bool {
	l, ok := t.(LedgerOnly)
	return ok && l.LedgerOnly()
}

// FixedColumns is implemented by a Table that may get no new columns, because one has whole records.
type FixedColumns interface {
	// FixedColumns reports whether Evolve refuses all columns.
	FixedColumns() bool
}

func fixedColumns(t Table) bool {
	f, ok := t.(FixedColumns)
	return ok && f.FixedColumns()
}

// Check is one promise of a destination.
type Check struct {
	Name string
	Run  func(ctx context.Context, t Table) error
}

// Test runs all checks, each with a table of its own.
func Test(t *testing.T, open func(t *testing.T) Table) {
	for _, c := range Checks {
		t.Run(c.Name, func(t *testing.T) {
			if err := c.Run(t.Context(), open(t)); err != nil {
				t.Error(err)
			}
		})
	}
}

// Checks are all promises.
var Checks = []Check{
	{"names no batch at first", startsEmpty},
	{"appends files and ledger together", appends},
	{"replaces the ledger", replacesLedger},
	{"takes several batches at once", appendsSeveral},
	{"refuses a write on another state", refusesStaleState},
	{"refuses a write after another loader's", refusesStaleLedger},
	{"applies one of two writes on one state", appliesOneOfTwo},
	{"a lost request adds nothing", requestLost},
	{"a lost answer adds once", answerLost},
	{"a doubled request adds once", doubled},
	{"a late write that comes first adds once", lateAndAlone},
	{"a late write after the retry adds nothing", lateAfterRetry},
	{"a late write after another writer adds nothing, or once", lateAfterForeign},
	{"keeps the ledger through other writers and expiry", keepsLedger},
	{"evolves once", evolves},
	{"evolves once though the answer is lost", evolvesThoughUnanswered},
	{"takes files that were written before it evolved", takesOlderFiles},
	{"loads each batch once in a storm of faults", storm},
}

// loaded is a table as a check has loaded it.
type loaded struct {
	loader.State
	table Table
}

func load(ctx context.Context, t Table, previous *table.Definition) (loaded, error) {
	s, err := t.Open().Load(ctx, previous)
	if err != nil {
		return loaded{}, fmt.Errorf("load: %w", err)
	}
	return loaded{s, t}, nil
}

// batch writes a batch for the table as it was loaded, and passes its files by Check.
func (l loaded) batch(ctx context.Context, id string, n int) (checkpoint.Batch, error) {
	b, err := l.table.Write(ctx, l.Definition(), id, n)
	if err != nil {
		return b, fmt.Errorf("write batch %s: %w", id, err)
	}
	return b, check(l.State, b)
}

func (l loaded) add(ctx context.Context, keep []string, batches ...checkpoint.Batch) error {
	return l.Append(ctx, loader.Addition{Batches: batches, Keep: keep})
}

// start loads a table and writes a batch of two files for it.
func start(ctx context.Context, t Table) (loaded, checkpoint.Batch, error) {
	l, err := load(ctx, t, nil)
	if err != nil {
		return l, checkpoint.Batch{}, err
	}
	b, err := l.batch(ctx, "one", 2)
	return l, b, err
}

// holds checks what a table has: which batches its ledger names, and which files are in it, each once.
func holds(ctx context.Context, t Table, ledger []string, files ...checkpoint.Batch) error {
	l, err := load(ctx, t, nil)
	if err != nil {
		return err
	}
	named := slices.Sorted(slices.Values(l.Ledger()))
	slices.Sort(ledger)
	if !slices.Equal(named, ledger) {
		err = fmt.Errorf("the ledger names %q, want %q", named, ledger)
	}
	return errors.Join(err, live(ctx, t, files...))
}

func live(ctx context.Context, t Table, batches ...checkpoint.Batch) error {
	got, err := t.Live(ctx)
	if err != nil {
		return fmt.Errorf("read the table: %w", err)
	}
	var errs []error
	for _, b := range batches {
		for _, f := range b.Files {
			name := "s3://" + f.Bucket + "/" + f.Key
			if got[name] != 1 {
				errs = append(errs, fmt.Errorf("file %s of batch %s is in the table %d times, want once", name, b.ID, got[name]))
			}
			delete(got, name)
		}
	}
	for name, n := range got {
		if n != 0 {
			errs = append(errs, fmt.Errorf("file %s is in the table %d times, want none", name, n))
		}
	}
	return errors.Join(errs...)
}

// unanswered says what is wrong with the error of a write that was not answered.
func unanswered(t Table, err error) error {
	switch {
	case !t.Hit():
		return errors.New("the fault has not happened: the check proves nothing")
	case err == nil:
		return errors.New("a write without an answer succeeds")
	}
	return nil
}

func conflicts(err error) error {
	if !errors.Is(err, loader.ErrConflict) {
		return fmt.Errorf("a write on another state ends with %v, want loader.ErrConflict", err)
	}
	return nil
}

func startsEmpty(ctx context.Context, t Table) error {
	l, err := load(ctx, t, nil)
	if err != nil {
		return err
	}
	if a, b := t.Open().Name(), t.Open().Name(); a != b || a == "" {
		return fmt.Errorf("two loaders call the table %q and %q", a, b)
	}
	if len(l.Ledger()) > 0 {
		return fmt.Errorf("the ledger names %q", l.Ledger())
	}
	return nil
}

func appends(ctx context.Context, t Table) error {
	l, b, err := start(ctx, t)
	if err != nil {
		return err
	}
	if err := live(ctx, t); err != nil { // written, not loaded
		return err
	}
	if err := l.add(ctx, nil, b); err != nil {
		return err
	}
	if len(l.Ledger()) > 0 {
		return errors.New("a state changes after it was read")
	}
	return holds(ctx, t, []string{"one"}, b)
}

func replacesLedger(ctx context.Context, t Table) error {
	l, one, err := start(ctx, t)
	if err != nil {
		return err
	}
	all := []checkpoint.Batch{one}
	if err := l.add(ctx, nil, one); err != nil {
		return err
	}
	for _, step := range []struct {
		id           string
		keep, ledger []string
	}{{"two", []string{"one"}, []string{"one", "two"}}, {"three", []string{"two"}, []string{"three", "two"}}, {"four", nil, []string{"four"}}} {
		if l, err = load(ctx, t, nil); err != nil {
			return err
		}
		b, err := l.batch(ctx, step.id, 1)
		if err == nil {
			err = l.add(ctx, step.keep, b)
		}
		if err != nil {
			return err
		}
		all = append(all, b)
		if err := holds(ctx, t, step.ledger, all...); err != nil {
			return fmt.Errorf("after batch %s: %w", step.id, err)
		}
	}
	return nil
}

func appendsSeveral(ctx context.Context, t Table) error {
	l, err := load(ctx, t, nil)
	if err != nil {
		return err
	}
	var batches []checkpoint.Batch
	var ids []string
	for i := range 20 {
		b, err := l.batch(ctx, fmt.Sprint("batch-", i), 1+i%3)
		if err != nil {
			return err
		}
		batches, ids = append(batches, b), append(ids, b.ID)
	}
	if err := l.add(ctx, nil, batches...); err != nil {
		return err
	}
	return holds(ctx, t, ids, batches...)
}

func refusesStaleState(ctx context.Context, t Table) error {
	l, b, err := start(ctx, t)
	if err != nil {
		return err
	}
	if err := t.Foreign(ctx); err != nil {
		return err
	}
	if !ledgerOnly(t) {
		if err := conflicts(l.add(ctx, nil, b)); err != nil {
			return err
		}
		if err := holds(ctx, t, nil); err != nil {
			return err
		}
		if l, err = load(ctx, t, nil); err != nil {
			return err
		}
	}
	if err := l.add(ctx, nil, b); err != nil {
		return err
	}
	return holds(ctx, t, []string{"one"}, b)
}

func refusesStaleLedger(ctx context.Context, t Table) error {
	l, one, err := start(ctx, t)
	if err != nil {
		return err
	}
	two, err := l.batch(ctx, "two", 1)
	if err != nil {
		return err
	}
	if err := l.add(ctx, nil, one); err != nil {
		return err
	}
	if err := t.Foreign(ctx); err != nil {
		return err
	}
	if err := conflicts(l.add(ctx, nil, two)); err != nil {
		return err
	}
	return holds(ctx, t, []string{"one"}, one)
}

func appliesOneOfTwo(ctx context.Context, t Table) error {
	first, b, err := start(ctx, t)
	if err != nil {
		return err
	}
	second, err := load(ctx, t, nil)
	if err != nil {
		return err
	}
	errs := make(chan error, 2)
	for _, l := range []loaded{first, second} {
		go func() { errs <- l.add(ctx, nil, b) }()
	}
	a, z := <-errs, <-errs
	if (a == nil) == (z == nil) {
		return fmt.Errorf("of two writes on one state, one ends with %v and the other with %v", a, z)
	}
	if err := conflicts(errors.Join(a, z)); err != nil {
		return err
	}
	return holds(ctx, t, []string{"one"}, b)
}

func requestLost(ctx context.Context, t Table) error {
	l, b, err := start(ctx, t)
	if err != nil {
		return err
	}
	t.Fail(RequestLost)
	if err := unanswered(t, l.add(ctx, nil, b)); err != nil {
		return err
	}
	return holds(ctx, t, nil)
}

func answerLost(ctx context.Context, t Table) error {
	l, b, err := start(ctx, t)
	if err != nil {
		return err
	}
	t.Fail(AnswerLost)
	if err := unanswered(t, l.add(ctx, nil, b)); err != nil {
		return err
	}
	if err := holds(ctx, t, []string{"one"}, b); err != nil {
		return err
	}
	// The same write again, as one would without a look.
	if err := conflicts(l.add(ctx, nil, b)); err != nil {
		return err
	}
	return holds(ctx, t, []string{"one"}, b)
}

// A doubled request may be answered with success or as a conflict with itself.
func doubled(ctx context.Context, t Table) error {
	l, b, err := start(ctx, t)
	if err != nil {
		return err
	}
	t.Fail(Doubled)
	err = l.add(ctx, nil, b)
	if !t.Hit() {
		return errors.New("the fault has not happened: the check proves nothing")
	}
	if err != nil && !errors.Is(err, loader.ErrConflict) {
		return fmt.Errorf("a doubled write ends with %w", err)
	}
	return holds(ctx, t, []string{"one"}, b)
}

func lateAndAlone(ctx context.Context, t Table) error {
	l, b, err := start(ctx, t)
	if err != nil {
		return err
	}
	t.Fail(Late)
	if err := unanswered(t, l.add(ctx, nil, b)); err != nil {
		return err
	}
	if err := holds(ctx, t, nil); err != nil {
		return err
	}
	if err := t.Release(ctx); err != nil {
		return err
	}
	return holds(ctx, t, []string{"one"}, b)
}

func lateAfterRetry(ctx context.Context, t Table) error {
	l, b, err := start(ctx, t)
	if err != nil {
		return err
	}
	t.Fail(Late)
	if err := unanswered(t, l.add(ctx, nil, b)); err != nil {
		return err
	}
	if l, err = load(ctx, t, nil); err != nil {
		return err
	}
	if err := l.add(ctx, nil, b); err != nil {
		return err
	}
	if err := t.Release(ctx); err != nil {
		return err
	}
	return holds(ctx, t, []string{"one"}, b)
}

func lateAfterForeign(ctx context.Context, t Table) error {
	l, b, err := start(ctx, t)
	if err != nil {
		return err
	}
	t.Fail(Late)
	if err := unanswered(t, l.add(ctx, nil, b)); err != nil {
		return err
	}
	if err := t.Foreign(ctx); err != nil {
		return err
	}
	if err := t.Release(ctx); err != nil {
		return err
	}
	if ledgerOnly(t) {
		return holds(ctx, t, []string{"one"}, b)
	}
	return holds(ctx, t, nil)
}

func keepsLedger(ctx context.Context, t Table) error {
	l, b, err := start(ctx, t)
	if err != nil {
		return err
	}
	if err := l.add(ctx, nil, b); err != nil {
		return err
	}
	for _, other := range []func(context.Context) error{t.Foreign, t.Expire, t.Foreign, t.Foreign, t.Expire} {
		if err := other(ctx); err != nil {
			return err
		}
		if err := holds(ctx, t, []string{"one"}, b); err != nil {
			return err
		}
	}
	return nil
}

// fresh is a column that no table has.
var fresh = table.Column{Name: "loadertest_fresh", Member: "loadertest_fresh", Type: "string"}

// evolved counts the columns of the member, and checks that the others have kept their ids.
func evolved(ctx context.Context, t Table, before *table.Definition) error {
	l, err := load(ctx, t, before)
	if err != nil {
		return err
	}
	now := l.Definition()
	n := 0
	for _, c := range now.Columns {
		if c.Member == fresh.Member {
			n++
		}
	}
	if n != 1 {
		return fmt.Errorf("the table has %d columns for the member %s, want 1", n, fresh.Member)
	}
	for _, c := range before.Columns {
		if i := slices.IndexFunc(now.Columns, func(o table.Column) bool { return o.ID == c.ID && o.Name == c.Name && o.Member == c.Member }); i < 0 {
			return fmt.Errorf("column %d, %s, is gone or is another one", c.ID, c.Name)
		}
	}
	return nil
}

// evolving loads a table that says what its columns are; others need not evolve.
func evolving(ctx context.Context, t Table) (l loaded, skip bool, err error) {
	l, err = load(ctx, t, nil)
	return l, err == nil && l.Definition() == nil, err
}

func evolves(ctx context.Context, t Table) error {
	l, skip, err := evolving(ctx, t)
	if skip || err != nil {
		return err
	}
	before := l.Definition()
	changed, refused, err := l.Evolve(ctx, []table.Column{fresh})
	if fixedColumns(t) {
		if err != nil || changed || len(refused) != 1 {
			return fmt.Errorf("adding a column: changed %t, refused %v, error %v; want it refused", changed, refused, err)
		}
		return unchanged(ctx, t, before)
	}
	if err != nil || !changed || len(refused) > 0 {
		return fmt.Errorf("adding a column: changed %t, refused %v, error %v; want a change alone", changed, refused, err)
	}
	if l, err = load(ctx, t, before); err != nil {
		return err
	}
	if changed, refused, err := l.Evolve(ctx, []table.Column{fresh}); err != nil || changed || len(refused) > 0 {
		return fmt.Errorf("adding it again: changed %t, refused %v, error %v; want none", changed, refused, err)
	}
	other := fresh
	other.Type = "boolean"
	if changed, refused, err := l.Evolve(ctx, []table.Column{other}); err != nil || changed || len(refused) != 1 {
		return fmt.Errorf("changing string to boolean: changed %t, refused %v, error %v; want it refused", changed, refused, err)
	}
	return evolved(ctx, t, before)
}

// unchanged checks that the table has the same columns.
func unchanged(ctx context.Context, t Table, before *table.Definition) error {
	l, err := load(ctx, t, before)
	if err != nil {
		return err
	}
	if now := l.Definition(); now.Schema != before.Schema || len(now.Columns) != len(before.Columns) {
		return fmt.Errorf("the table has %d columns of schema %d, want %d of schema %d", len(now.Columns), now.Schema, len(before.Columns), before.Schema)
	}
	return nil
}

func evolvesThoughUnanswered(ctx context.Context, t Table) error {
	for _, f := range []Fault{AnswerLost, RequestLost, Doubled} {
		l, skip, err := evolving(ctx, t)
		if skip || fixedColumns(t) || err != nil {
			return err
		}
		before := l.Definition()
		if before.Find(fresh.Member) != nil {
			break
		}
		t.Fail(f)
		if _, _, err := l.Evolve(ctx, []table.Column{fresh}); f != Doubled {
			if err := unanswered(t, err); err != nil {
				return err
			}
		}
		if l, err = load(ctx, t, before); err != nil {
			return err
		}
		if _, _, err := l.Evolve(ctx, []table.Column{fresh}); err != nil {
			return fmt.Errorf("adding the column again: %w", err)
		}
		if err := evolved(ctx, t, before); err != nil {
			return err
		}
	}
	return nil
}

func takesOlderFiles(ctx context.Context, t Table) error {
	l, skip, err := evolving(ctx, t)
	if skip || err != nil {
		return err
	}
	older, err := l.batch(ctx, "older", 2)
	if err != nil {
		return err
	}
	if _, _, err := l.Evolve(ctx, []table.Column{fresh}); err != nil {
		return err
	}
	if l, err = load(ctx, t, l.Definition()); err != nil {
		return err
	}
	newer, err := l.batch(ctx, "newer", 2)
	if err != nil {
		return err
	}
	if err := check(l.State, older); err != nil {
		return err
	}
	if err := l.add(ctx, nil, older, newer); err != nil {
		return err
	}
	return holds(ctx, t, []string{"newer", "older"}, older, newer)
}

// storm loads batches by the rule, a few at a time, while each write meets a fault or another writer.
func storm(ctx context.Context, t Table) error {
	const batches, tries = 24, 400
	rng := rand.New(rand.NewPCG(1, 14))
	l, err := load(ctx, t, nil)
	if err != nil {
		return err
	}
	var all, waiting []checkpoint.Batch
	for i := range batches {
		b, err := l.batch(ctx, fmt.Sprint("batch-", i), 1)
		if err != nil {
			return err
		}
		all = append(all, b)
	}
	waiting = slices.Clone(all)
	late := false
	for range tries {
		if len(waiting) == 0 && !late {
			return live(ctx, t, all...)
		}
		if l, err = load(ctx, t, nil); err != nil {
			return err
		}
		waiting = slices.DeleteFunc(waiting, func(b checkpoint.Batch) bool { return slices.Contains(l.Ledger(), b.ID) })
		switch f := Fault(rng.IntN(8)); {
		case late && rng.IntN(2) == 0:
			if err := t.Release(ctx); err != nil {
				return err
			}
			late = false
		case f == 5:
			err = t.Foreign(ctx)
		case f == 6:
			err = t.Expire(ctx)
		case f > 0 && f <= Late && !(f == Late && late) && len(waiting) > 0:
			late = late || f == Late
			t.Fail(f)
		}
		if err != nil {
			return err
		}
		if len(waiting) > 0 {
			// The batches of the last writes stay in the ledger as long as a late write may name them.
			_ = l.add(ctx, l.Ledger(), waiting[:min(3, len(waiting))]...) // only the next look tells
		}
	}
	return fmt.Errorf("%d batches are not loaded after %d tries", len(waiting), tries)
}

// check passes the files of a batch by State.Check, as a loader does.
func check(s loader.State, b checkpoint.Batch) error {
	for _, f := range b.Files {
		if _, err := s.Check(&f); err != nil {
			return fmt.Errorf("the table refuses %s: %w", f.Key, err)
		}
	}
	return nil
}
