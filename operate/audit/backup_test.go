package audit_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"aws-streaming-pipeline/operate/audit"
	"aws-streaming-pipeline/writers/jsonl"
)

// Backups hold the same records as the other files, as they came: they are checked as objects, and their rows do not count.
func TestRun_CountsBackupsApart(t *testing.T) {
	s := newSite(t, lines(t, jsonl.None))
	s.backup = true
	s.fill()
	backups := func(c *audit.Config) { c.Prefixes = append(c.Prefixes, "backup/") }
	deepBackups := func(c *audit.Config) { backups(c); deep(c) }
	const records = 120 + 16 + 41 + 5
	for _, change := range []func(*audit.Config){backups, deepBackups} {
		r := s.audit(change)
		wantSound(t, r)
		if r.Backups != 4 || r.Records != records || r.Deep && r.RowsRead != records || !strings.Contains(text(t, r), "files (4 of them backups)") {
			t.Errorf("%d backups, %d records, %d rows read\n%s", r.Backups, r.Records, r.RowsRead, text(t, r))
		}
	}

	keys := s.keys("backup/")
	if len(keys) != 4 {
		t.Fatalf("the backups are %q", keys)
	}
	must(t, os.Truncate(filepath.Join(s.dir, keys[0]), 10))
	s.remove(keys[1])
	body, metadata := s.get(keys[2])
	s.put(strings.Replace(keys[2], "-00", "-07", 1), body, metadata)
	want := []audit.Kind{audit.MissingFile, audit.Unnamed, audit.WrongSize}
	slices.Sort(want)
	for _, change := range []func(*audit.Config){backups, deepBackups} {
		if r := s.audit(change); !slices.Equal(listed(r), want) {
			t.Errorf("found %v, want %v\n%s", listed(r), want, text(t, r))
		}
	}
}
