package prefix_test

import (
	"strings"
	"testing"
	"time"

	"aws-streaming-pipeline/record/prefix"
)

func TestBackup_PutsRecordsUnderTheTimeOfTheirArrival(t *testing.T) {
	lisbon, err := prefix.LoadZone("Europe/Lisbon")
	if err != nil {
		t.Fatal(err)
	}
	arrival := time.Date(2026, 7, 31, 23, 30, 0, 0, time.UTC)
	for text, want := range map[string]string{
		"backup/": "backup/2026/08/01/00/",
		"":        "2026/08/01/00/",
		"backup/day=!{timestamp:dd}/at=!{timestamp:HH}/": "backup/day=01/at=00/",
		"backup/all": "backup/all2026/08/01/00/",
	} {
		b, err := prefix.NewBackup(text, lisbon)
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		if got := b.Partition(arrival); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
		if earlier := b.Partition(arrival.Add(-time.Hour)); earlier == want {
			t.Errorf("%q: an hour earlier it is %q, too", text, earlier)
		}
	}
}

func TestBackup_DrawsRandomStringsForEachFile(t *testing.T) {
	b, err := prefix.NewBackup("backup/!{firehose:random-string}/!{timestamp:yyyy}/", nil)
	if err != nil {
		t.Fatal(err)
	}
	files := router(t, prefix.Config{Error: errorPrefix})
	partition := b.Partition(time.Now())
	if one, other := files.KeyPrefix(partition), files.KeyPrefix(partition); one == other || len(one) != len(other) {
		t.Errorf("got %q and %q", one, other)
	}
}

func TestNewBackup_RefusesWhatNeedsMoreThanTheTime(t *testing.T) {
	for text, want := range map[string]string{
		"b/!{partitionKeyFromQuery:a}/":    "no expressions but !{timestamp:...}",
		"b/!{firehose:error-output-type}/": "no expressions but !{timestamp:...}",
		"b/!{timestamp:":                   "closing brace",
		"b/../":                            `".."`,
		"b/!{timestamp:YYYY}/!{x:y}/":      "use yyyy",
		strings.Repeat("x", 600):           "512 characters",
	} {
		if _, err := prefix.NewBackup(text, nil); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: got %v, want %q", text, err, want)
		}
	}
}
