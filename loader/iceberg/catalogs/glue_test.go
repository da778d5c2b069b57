package catalogs_test

import (
	"errors"
	"testing"

	"github.com/apache/iceberg-go/catalog"
	"github.com/apache/iceberg-go/table"
)

// The SDK would repeat a call whose answer was lost, and would report the conflict with its own first attempt.
func TestGlue_CommitsOnce(t *testing.T) {
	s := sites["Glue"](t)
	c := s.open()
	read, err := create(t.Context(), s, c)
	must(t, err)
	s.faults.plant(lost)
	if err := appendTo(t.Context(), c, read, "first"); !errors.Is(err, errNetwork) || errors.Is(err, table.ErrCommitFailed) {
		t.Errorf("commit: %v", err)
	}
	if n := s.glue.Calls("UpdateTable"); n != 1 {
		t.Errorf("UpdateTable was called %d times", n)
	}
	expect(t, s, []string{"first"})
	// Control: what a second attempt would have reported.
	s.faults.plant(doubled)
	if err := appendTo(t.Context(), c, load(t, s, c), "second"); !errors.Is(err, table.ErrCommitFailed) {
		t.Errorf("doubled commit: %v", err)
	}
	expect(t, s, []string{"first", "second"})
}

// Control: in a catalog that does not check versions, a late commit takes back what came after it.
func TestGlue_NeedsVersions(t *testing.T) {
	s := sites["Glue"](t)
	c := s.open()
	read, err := create(t.Context(), s, c)
	must(t, err)
	s.faults.plant(late)
	if err := appendTo(t.Context(), c, read, "late"); err == nil {
		t.Fatal("the late commit was answered")
	}
	must(t, appendTo(t.Context(), c, read, "after"))
	s.glue.IgnoreVersions()
	s.faults.deliver(t)
	expect(t, s, []string{"late"})
}

func TestGlue_NamesTheDatabaseThatIsMissing(t *testing.T) {
	s := sites["Glue"](t)
	s.settings.URI.Namespace = []string{"pond"}
	if _, err := create(t.Context(), s, s.open()); !errors.Is(err, catalog.ErrNoSuchNamespace) {
		t.Errorf("create: %v", err)
	}
}
