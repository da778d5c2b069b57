package catalogs_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/catalog"
	"github.com/apache/iceberg-go/table"
)

// ledger is a table property that the tests' commits change together with the head, as a loader's do.
const ledger = "test.ledger"

func create(ctx context.Context, s *site, c catalog.Catalog) (*table.Table, error) {
	schema := iceberg.NewSchema(0, iceberg.NestedField{ID: 1, Name: "event_id", Type: iceberg.PrimitiveTypes.String})
	return c.CreateTable(ctx, s.settings.URI.Identifier(), schema, catalog.WithProperties(iceberg.Properties{"format-version": "2"}))
}

func load(t *testing.T, s *site, c catalog.Catalog) *table.Table {
	t.Helper()
	tab, err := c.LoadTable(t.Context(), s.settings.URI.Identifier())
	must(t, err)
	return tab
}

func loaded(t *table.Table) []string {
	return strings.Fields(t.Properties().Get(ledger, ""))
}

// appendTo commits an empty snapshot that is named in the ledger, provided that the table is as it was read.
func appendTo(ctx context.Context, c catalog.Catalog, read *table.Table, id string) error {
	requirements := []table.Requirement{table.AssertTableUUID(read.Metadata().TableUUID()), table.AssertRefSnapshotID("main", head(read))}
	return commit(ctx, c, read, append(loaded(read), id), requirements)
}

func head(t *table.Table) *int64 {
	if s := t.CurrentSnapshot(); s != nil {
		return &s.SnapshotID
	}
	return nil
}

func commit(ctx context.Context, c catalog.Catalog, read *table.Table, ids []string, requirements []table.Requirement) error {
	snapshot := rand.Int64N(1 << 62)
	schema := 0
	_, _, err := c.CommitTable(ctx, read.Identifier(), requirements, []table.Update{
		table.NewAddSnapshotUpdate(&table.Snapshot{
			SnapshotID: snapshot, ParentSnapshotID: head(read), SequenceNumber: read.Metadata().LastSequenceNumber() + 1,
			TimestampMs: time.Now().UnixMilli(), ManifestList: fmt.Sprintf("%s/metadata/snap-%d.avro", read.Location(), snapshot),
			Summary: &table.Summary{Operation: table.OpAppend}, SchemaID: &schema,
		}),
		table.NewSetSnapshotRefUpdate("main", snapshot, table.BranchRef, 0, 0, 0),
		table.NewSetPropertiesUpdate(iceberg.Properties{ledger: strings.Join(ids, " ")}),
	})
	return err
}

func TestCatalogs_CommitToAnUnchangedTableOnly(t *testing.T) {
	for name, start := range sites {
		t.Run(name, func(t *testing.T) {
			s := start(t)
			c := s.open()
			_, err := c.LoadTable(t.Context(), s.settings.URI.Identifier())
			if !errors.Is(err, catalog.ErrNoSuchTable) {
				t.Fatalf("load a table that does not exist: %v", err)
			}
			t.Run("create race", func(t *testing.T) { createRace(t, s) })
			t.Run("conflict", func(t *testing.T) { conflict(t, s) })
			t.Run("race", func(t *testing.T) { race(t, s) })
			for _, f := range []fault{lost, doubled, late, down} {
				t.Run(string(f), func(t *testing.T) { faulty(t, s, f) })
			}
			if n := s.files.removed.Load(); n > 0 {
				t.Errorf("%d files were removed", n)
			}
		})
	}
}

// Of several processes that create the table, one does, and all see its table.
func createRace(t *testing.T, s *site) {
	const creators = 4
	var wg sync.WaitGroup
	created := make(chan *table.Table, creators)
	for range creators {
		c := s.open()
		wg.Go(func() {
			tab, err := create(t.Context(), s, c)
			switch {
			case err == nil:
				created <- tab
			case !errors.Is(err, catalog.ErrTableAlreadyExists) && !errors.Is(err, table.ErrCommitFailed):
				t.Errorf("create: %v", err)
			}
		})
	}
	wg.Wait()
	close(created)
	var first *table.Table
	for tab := range created {
		if first != nil {
			t.Errorf("two creators succeeded: %s and %s", first.Metadata().TableUUID(), tab.Metadata().TableUUID())
		}
		first = tab
	}
	got := load(t, s, s.open())
	if first == nil || got.Metadata().TableUUID() != first.Metadata().TableUUID() || got.Metadata().Version() != 2 {
		t.Fatalf("created %v, loaded %v of format %d", first, got.Metadata().TableUUID(), got.Metadata().Version())
	}
	if fs, err := got.FS(t.Context()); err != nil || fs != s.files {
		t.Errorf("the table reads and writes with %T, %v", fs, err)
	}
	if _, err := create(t.Context(), s, s.open()); !errors.Is(err, catalog.ErrTableAlreadyExists) {
		t.Errorf("create a table that exists: %v", err)
	}
}

// Of two commits that were made from the same state, the first is applied.
func conflict(t *testing.T, s *site) {
	one, other := s.open(), s.open()
	read, before := load(t, s, one), load(t, s, other)
	must(t, appendTo(t.Context(), one, read, "first"))
	if err := appendTo(t.Context(), other, before, "second"); err == nil {
		t.Error("a commit to a table that had changed was applied")
	}
	expect(t, s, append(loaded(read), "first"))
	// Control: without the assertion, it is applied, and the ledger forgets the first.
	must(t, commit(t.Context(), other, load(t, s, other), append(loaded(before), "control"), nil))
	expect(t, s, append(loaded(before), "control"))
}

func expect(t *testing.T, s *site, want []string) {
	t.Helper()
	tab := load(t, s, s.open())
	if got := loaded(tab); !slices.Equal(got, want) {
		t.Errorf("the ledger has %v, want %v", got, want)
	}
}

// Writers that look again after each error lose nothing and double nothing.
func race(t *testing.T, s *site) {
	const writers, commits, mostAttempts = 4, 3, 20
	before := loaded(load(t, s, s.open()))
	var wg sync.WaitGroup
	for w := range writers {
		c := s.open()
		wg.Go(func() {
			for n := range commits {
				id := fmt.Sprintf("race-%d-%d", w, n)
				for attempt := 0; ; attempt++ {
					tab, err := c.LoadTable(t.Context(), s.settings.URI.Identifier())
					if err != nil {
						t.Errorf("load: %v", err)
						return
					}
					if slices.Contains(loaded(tab), id) {
						break
					}
					if err := appendTo(t.Context(), c, tab, id); attempt == mostAttempts { // otherwise only the table tells
						t.Errorf("the last of %d attempts: %v", attempt, err)
						return
					}
				}
			}
		})
	}
	wg.Wait()
	got := loaded(load(t, s, s.open()))
	slices.Sort(got)
	if n := len(slices.Compact(slices.Clone(got))); n != len(got) || n != len(before)+writers*commits {
		t.Errorf("the ledger has %d ids, %d of them different, want %d", len(got), n, len(before)+writers*commits)
	}
}

// A commit that met a fault is in the table once or not at all, and no late one is applied after another commit.
func faulty(t *testing.T, s *site, f fault) {
	c := s.open()
	read := load(t, s, c)
	s.faults.plant(f)
	err := appendTo(t.Context(), c, read, string(f[:4]))
	if s.faults.planted() {
		t.Fatal("no commit met the fault")
	}
	if (err == nil) && f != doubled {
		t.Error("the commit reported success")
	}
	if f == lost && errors.Is(err, table.ErrCommitFailed) {
		t.Errorf("a commit that was applied is reported as refused: %v", err)
	}
	want := loaded(read)
	if f == lost || f == doubled {
		want = append(want, string(f[:4]))
	}
	expect(t, s, want)
	must(t, appendTo(t.Context(), c, load(t, s, c), "after"))
	if statuses := s.faults.deliver(t); (len(statuses) > 0) != (f == late) {
		t.Fatalf("late answers %v", statuses)
	}
	expect(t, s, append(want, "after"))
}
