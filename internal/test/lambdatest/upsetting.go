package lambdatest

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"aws-streaming-pipeline/record"
	"aws-streaming-pipeline/record/recordtest"
)

// Upsetting returns a batch of the given number of good records with those of recordtest among them, the codes of the error
// records with their numbers, and the setting of the schema.
func Upsetting(tb testing.TB, good int) (batch []Record, codes map[string]int, setting string) {
	tb.Helper()
	schema := filepath.Join(tb.TempDir(), "schema.json")
	if err := os.WriteFile(schema, []byte(recordtest.Schema), 0o600); err != nil {
		tb.Fatal(err)
	}
	codes = make(map[string]int)
	batch = Batch(good, nil)
	for i, p := range recordtest.Upsetting() {
		codes[p.Line]++
		batch = append(batch, Record{
			Shard: batch[0].Shard, Sequence: fmt.Sprintf("4959033827149025660855969253837%025d", i), PartitionKey: "k",
			Arrival: time.UnixMilli(1545084651000 + int64(good)), Data: p.Data,
		})
	}
	half := good / 2 // the bad ones in the middle
	return append(append(batch[:half:half], batch[good:]...), batch[half:good]...), codes, "SCHEMA=" + schema
}

// CheckCodes fails the test unless the lines are error records with these codes, each the given number of times.
func CheckCodes(tb testing.TB, lines string, codes map[string]int) {
	tb.Helper()
	got := make(map[string]int)
	for line := range strings.Lines(lines) {
		e, err := record.ParseErrorLine([]byte(line))
		if err != nil {
			tb.Fatal(err)
		}
		got[e.Record.Fault.Code]++
	}
	if !maps.Equal(got, codes) {
		tb.Errorf("error records %v, want %v", got, codes)
	}
}
