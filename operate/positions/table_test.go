package positions

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"aws-streaming-pipeline/checkpoint"
)

func TestTable_IsSortedAndGivesAges(t *testing.T) {
	now := time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)
	table := NewTable(checkpoint.Snapshot{
		Application: checkpoint.Application{
			Identity: checkpoint.Identity{Application: "trips", Stream: "stream", StreamCreated: now.Add(-24 * time.Hour)}, Initial: checkpoint.TrimHorizon, Importing: "theirs",
		},
		Leases: []checkpoint.Lease{
			{Shard: "shard-2", Owner: "worker-1", Counter: 3, Checkpoint: "200", Arrival: now.Add(-90 * time.Second), Load: 1_300_000},
			{Shard: "shard-1", Counter: 4, Checkpoint: checkpoint.ShardEnd, Arrival: now.Add(-time.Hour)}, // there is nothing to be late with
		},
		Lead:       checkpoint.Lead{Worker: "worker-1", Term: 3},
		Workers:    []checkpoint.Worker{{ID: "worker-2", Beat: 1}, {ID: "worker-1", Beat: 7, Address: "10.0.0.1:8080", Version: "v1"}},
		Batches:    []checkpoint.Batch{{ID: "b", Worker: "worker-1", Created: now.Add(-time.Minute)}, {ID: "a", Worker: "worker-1", Created: now.Add(-time.Hour)}},
		Tombstones: []string{"d", "c"},
	}, now)
	var text bytes.Buffer
	must(t, table.WriteText(&text))
	const want = `application trips, stream stream created 2026-01-01T12:00:00Z, first position TRIM_HORIZON
leader worker-1, term 3

the import from theirs is not finished: daemons wait for it

SHARD    OWNER     COUNTER  AGE    LOAD        CHECKPOINT
shard-1  -         4        -      -           SHARD_END
shard-2  worker-1  3        1m30s  1.24 MiB/s  200

WORKER    BEAT  SHARDS  ADDRESS        VERSION
worker-1  7     1       10.0.0.1:8080  v1
worker-2  1     0       -              -

OUTBOX  WORKER    SEALED                AGE
a       worker-1  2026-01-02T11:00:00Z  1h0m0s
b       worker-1  2026-01-02T11:59:00Z  1m0s

2 shards, 2 workers, 2 batches in the outbox, 2 tombstones
`
	if text.String() != want {
		t.Errorf("it says\n%s\nwant\n%s", &text, want)
	}
	text.Reset()
	must(t, NewTable(checkpoint.Snapshot{Lead: checkpoint.Lead{Term: 4}}, now).WriteText(&text))
	if !strings.Contains(text.String(), "\nleader -, term 4\n") {
		t.Errorf("after the leader resigned it says\n%s", &text)
	}
	document, err := json.Marshal(NewTable(checkpoint.Snapshot{}, now))
	must(t, err)
	const empty = `{"application":{"name":"","stream":"","stream_created":"0001-01-01T00:00:00Z","initial":""},"shards":[],"workers":[],"outbox":[],"tombstones":null}`
	if string(document) != empty {
		t.Errorf("an empty table is %s, want %s", document, empty)
	}
}
