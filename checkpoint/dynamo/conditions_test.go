package dynamo_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/checkpoint/dynamo"
)

// Two emulators show that these conditions work by their effect; this test pins their text: without any one of them,
// records are lost or delivered twice.
func TestConditions_AreWhatThePromiseRestsOn(t *testing.T) {
	free := checkpoint.Lease{Shard: heldLease.Shard, Counter: 4, Checkpoint: "100"}
	ended := checkpoint.Lease{Shard: heldLease.Shard, Counter: 4, Checkpoint: checkpoint.ShardEnd}
	two := oneRange("200")
	two.Ranges[0].Load = 5000
	two.Ranges[0].LastArrival = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	two.Ranges = append(two.Ranges, checkpoint.Range{Shard: "shardId-000000000002", Start: checkpoint.TrimHorizon,
		End: checkpoint.ShardEnd, LeaseOwner: "w1", LeaseCounter: 7})
	row := `{"Attributes":` + leaseJSON("w1", 5, "100") + `}`
	for name, c := range map[string]struct {
		call    func(ctx context.Context, s *dynamo.Store) error
		answers []answer
		want    string
	}{
		"Commit": {
			func(ctx context.Context, s *dynamo.Store) error { return s.Commit(ctx, two) },
			[]answer{{operation: "TransactWriteItems", body: "{}"}},
			"put #batch/0193 if attribute_not_exists(leaseKey)\n" +
				"update shardId-000000000001 SET checkpoint = 200, lastArrival = 2026-01-02T03:04:05Z, load = 5000 " +
				"if checkpoint = 100 AND leaseCounter = 4 AND leaseOwner = w1\n" +
				"update shardId-000000000002 SET checkpoint = SHARD_END " +
				"if checkpoint = TRIM_HORIZON AND leaseCounter = 7 AND leaseOwner = w1",
		},
		"Bury": {
			func(ctx context.Context, s *dynamo.Store) error { _, err := s.Bury(ctx, "0193", "w1"); return err },
			[]answer{{operation: "PutItem", body: "{}"}},
			"put #batch/0193 if attribute_not_exists(leaseKey)",
		},
		"Batch": {
			func(ctx context.Context, s *dynamo.Store) error {
				_, err := s.Batch(ctx, "0193")
				if !errors.Is(err, checkpoint.ErrNotFound) {
					return fmt.Errorf("a tombstone is not a batch, but Batch returned %w", err)
				}
				return nil
			},
			[]answer{{operation: "GetItem", body: `{"Item":{"leaseKey":{"S":"#batch/0193"},"entityType":{"S":"TOMBSTONE"}}}`}},
			"get #batch/0193 consistently",
		},
		"NotePublished": {
			func(ctx context.Context, s *dynamo.Store) error { return s.NotePublished(ctx, "0193", []int{0, 2}) },
			[]answer{{operation: "UpdateItem", body: "{}"}},
			"update #batch/0193 ADD published [0 2] if entityType IN (BATCH, LISTED_BATCH, TABLE_BATCH)",
		},
		"Forget": {
			func(ctx context.Context, s *dynamo.Store) error { return s.Forget(ctx, "0193") },
			[]answer{{operation: "DeleteItem", body: "{}"}},
			"delete #batch/0193 if (attribute_not_exists(leaseKey) OR entityType IN (BATCH, LISTED_BATCH, TOMBSTONE) OR (entityType = TABLE_BATCH AND loaded = tables))",
		},
		"MarkPublished": {
			func(ctx context.Context, s *dynamo.Store) error {
				return s.MarkPublished(ctx, "0193", two.Ranges[0].LastArrival)
			},
			[]answer{{operation: "UpdateItem", body: row}},
			"update #batch/0193 SET publishedAt = if_not_exists(publishedAt, 2026-01-02T03:04:05Z) if entityType = TABLE_BATCH",
		},
		"MarkLoaded": {
			func(ctx context.Context, s *dynamo.Store) error { return s.MarkLoaded(ctx, "0193", "lake") },
			[]answer{{operation: "UpdateItem", body: row}},
			"update #batch/0193 ADD loaded [lake] if contains(tables, lake) AND entityType = TABLE_BATCH",
		},
		"PutTable of a new table": {
			func(ctx context.Context, s *dynamo.Store) error {
				_, err := s.PutTable(ctx, checkpoint.Table{Name: "lake"})
				return err
			},
			[]answer{{operation: "PutItem", body: "{}"}},
			"put #table/lake if attribute_not_exists(leaseKey)",
		},
		"PutTable": {
			func(ctx context.Context, s *dynamo.Store) error {
				_, err := s.PutTable(ctx, checkpoint.Table{Name: "lake", Version: 7})
				return err
			},
			[]answer{{operation: "PutItem", body: "{}"}},
			"put #table/lake if tableVersion = 7",
		},
		"Acquire of a held lease": {
			func(ctx context.Context, s *dynamo.Store) error {
				_, err := s.Acquire(ctx, heldLease, "w2")
				return err
			},
			[]answer{{operation: "UpdateItem", body: row}},
			"update shardId-000000000001 SET leaseOwner = w2, leaseCounter = 5 if leaseCounter = 4 AND leaseOwner = w1",
		},
		"Acquire of a free lease": {
			func(ctx context.Context, s *dynamo.Store) error { _, err := s.Acquire(ctx, free, "w2"); return err },
			[]answer{{operation: "UpdateItem", body: row}},
			"update shardId-000000000001 SET leaseOwner = w2, leaseCounter = 5 if leaseCounter = 4 AND attribute_not_exists(leaseOwner)",
		},
		"Release": {
			func(ctx context.Context, s *dynamo.Store) error { return s.Release(ctx, heldLease) },
			[]answer{{operation: "UpdateItem", body: row}},
			"update shardId-000000000001 REMOVE leaseOwner if leaseCounter = 4 AND leaseOwner = w1",
		},
		"Stop": {
			func(ctx context.Context, s *dynamo.Store) error {
				_, err := s.Stop(ctx, heldLease, two.Ranges[0].LastArrival)
				return err
			},
			[]answer{{operation: "UpdateItem", body: row}},
			"update shardId-000000000001 SET stopUntil = 2026-01-02T03:04:05Z, stopAfter = 100 " +
				"if leaseCounter = 4 AND leaseOwner = w1 AND checkpoint = 100",
		},
		"Rewind": {
			func(ctx context.Context, s *dynamo.Store) error { _, err := s.Rewind(ctx, heldLease, "50"); return err },
			[]answer{{operation: "TransactWriteItems", body: "{}"}},
			"update shardId-000000000001 SET checkpoint = 50, begin = 50, leaseCounter = 5 REMOVE leaseOwner, lastArrival " +
				"if leaseCounter = 4 AND leaseOwner = w1 AND checkpoint = 100\n" +
				"update #complete SET entityType = COMPLETE REMOVE upTo, at, shards ADD rewinds 1",
		},
		"RaiseComplete": {
			func(ctx context.Context, s *dynamo.Store) error {
				_, err := s.RaiseComplete(ctx, checkpoint.Complete{UpTo: two.Ranges[0].LastArrival, At: two.Ranges[0].LastArrival, Shards: 2})
				return err
			},
			[]answer{{operation: "UpdateItem", body: row}},
			"update #complete SET entityType = COMPLETE, upTo = 2026-01-02T03:04:05.000Z, at = 2026-01-02T03:04:05.000Z, shards = 2 " +
				"if attribute_not_exists(rewinds) AND (attribute_not_exists(upTo) OR upTo < 2026-01-02T03:04:05.000Z)",
		},
		"RaiseComplete after rewinds": {
			func(ctx context.Context, s *dynamo.Store) error {
				_, err := s.RaiseComplete(ctx, checkpoint.Complete{UpTo: two.Ranges[0].LastArrival, At: two.Ranges[0].LastArrival, Rewinds: 3})
				return err
			},
			[]answer{{operation: "UpdateItem", body: row}},
			"update #complete SET entityType = COMPLETE, upTo = 2026-01-02T03:04:05.000Z, at = 2026-01-02T03:04:05.000Z, shards = 0 " +
				"if rewinds = 3 AND (attribute_not_exists(upTo) OR upTo < 2026-01-02T03:04:05.000Z)",
		},
		"TakeLead of a new table": {
			func(ctx context.Context, s *dynamo.Store) error {
				_, err := s.TakeLead(ctx, checkpoint.Lead{}, "w1")
				return err
			},
			[]answer{{operation: "UpdateItem", body: row}},
			"update #leader SET entityType = LEADER, term = 1, worker = w1 if attribute_not_exists(leaseKey)",
		},
		"TakeLead": {
			func(ctx context.Context, s *dynamo.Store) error {
				_, err := s.TakeLead(ctx, checkpoint.Lead{Worker: "w1", Term: 7}, "w2")
				return err
			},
			[]answer{{operation: "UpdateItem", body: row}},
			"update #leader SET entityType = LEADER, term = 8, worker = w2 if term = 7 AND worker = w1",
		},
		"TakeLead after a leader resigned": {
			func(ctx context.Context, s *dynamo.Store) error {
				_, err := s.TakeLead(ctx, checkpoint.Lead{Term: 8}, "w2")
				return err
			},
			[]answer{{operation: "UpdateItem", body: row}},
			"update #leader SET entityType = LEADER, term = 9, worker = w2 if term = 8 AND attribute_not_exists(worker)",
		},
		"Resign": {
			func(ctx context.Context, s *dynamo.Store) error {
				return s.Resign(ctx, checkpoint.Lead{Worker: "w1", Term: 7})
			},
			[]answer{{operation: "UpdateItem", body: row}},
			"update #leader SET entityType = LEADER, term = 8 REMOVE worker if term = 7 AND worker = w1",
		},
		"Lead": {
			func(ctx context.Context, s *dynamo.Store) error { _, err := s.Lead(ctx); return err },
			[]answer{{operation: "GetItem", body: "{}"}},
			"get #leader consistently",
		},
		"Worker": {
			func(ctx context.Context, s *dynamo.Store) error { _, err := s.Worker(ctx, "w1"); return err },
			[]answer{{operation: "GetItem", body: `{"Item":{"leaseKey":{"S":"#worker/w1"},"entityType":{"S":"WORKER"},"heartbeat":{"N":"1"}}}`}},
			"get #worker/w1",
		},
		"GiveOrders": {
			func(ctx context.Context, s *dynamo.Store) error {
				return s.GiveOrders(ctx, "w1", checkpoint.Orders{Term: 7, Number: 3})
			},
			[]answer{{operation: "PutItem", body: "{}"}},
			"put #orders/w1 if (attribute_not_exists(leaseKey) OR term < 7 OR (term = 7 AND number <= 3))",
		},
		"Orders": {
			func(ctx context.Context, s *dynamo.Store) error {
				_, err := s.Orders(ctx, "w1")
				if !errors.Is(err, checkpoint.ErrNotFound) {
					return fmt.Errorf("there are none, but Orders returned %w", err)
				}
				return nil
			},
			[]answer{{operation: "GetItem", body: "{}"}},
			"get #orders/w1 consistently",
		},
		"Dismiss": {
			func(ctx context.Context, s *dynamo.Store) error { return s.Dismiss(ctx, "w1") },
			[]answer{{operation: "DeleteItem", body: "{}"}},
			"delete #orders/w1",
		},
		"DeleteLease": {
			func(ctx context.Context, s *dynamo.Store) error { return s.DeleteLease(ctx, ended) },
			[]answer{{operation: "DeleteItem", body: "{}"}},
			"delete shardId-000000000001 if leaseCounter = 4 AND attribute_not_exists(leaseOwner) AND checkpoint = SHARD_END",
		},
		"CreateLeases": {
			func(ctx context.Context, s *dynamo.Store) error {
				return s.CreateLeases(ctx, []checkpoint.Lease{{Shard: "shardId-000000000001", Checkpoint: checkpoint.TrimHorizon}})
			},
			[]answer{{operation: "PutItem", body: "{}"}},
			"put shardId-000000000001 if attribute_not_exists(leaseKey)",
		},
	} {
		t.Run(name, func(t *testing.T) {
			s, asked := scripted(t, c.answers...)
			must(t, c.call(t.Context(), s))
			var lines []string
			for _, r := range asked.asked[1:] { // after describing the table
				lines = append(lines, writes(r)...)
			}
			if got := strings.Join(lines, "\n"); got != c.want {
				t.Errorf("asked for\n%s\nwant\n%s", got, c.want)
			}
		})
	}
}

// writes lists what a request asks for, one item per line, with names and values substituted.
func writes(r request) []string {
	verbs := map[string]string{"PutItem": "put", "UpdateItem": "update", "DeleteItem": "delete", "GetItem": "get"}
	if r.operation != "TransactWriteItems" {
		return []string{write(verbs[r.operation], r.body)}
	}
	var lines []string
	for _, item := range r.body["TransactItems"].([]any) {
		for verb, body := range item.(map[string]any) {
			lines = append(lines, write(strings.ToLower(verb), body.(map[string]any)))
		}
	}
	return lines
}

func write(verb string, body map[string]any) string {
	at := body["Key"]
	if at == nil {
		at = body["Item"]
	}
	line := verb + " " + scalar(at.(map[string]any)["leaseKey"])
	if update, ok := body["UpdateExpression"].(string); ok {
		line += " " + update
	}
	if condition, ok := body["ConditionExpression"].(string); ok {
		line += " if " + condition
	}
	if body["ConsistentRead"] == true {
		line += " consistently"
	}
	values, _ := body["ExpressionAttributeValues"].(map[string]any)
	for _, name := range slices.Backward(slices.Sorted(maps.Keys(values))) { // longer names before their prefixes
		line = strings.ReplaceAll(line, name, scalar(values[name]))
	}
	names, _ := body["ExpressionAttributeNames"].(map[string]any)
	for _, name := range slices.Backward(slices.Sorted(maps.Keys(names))) {
		line = strings.ReplaceAll(line, name, names[name].(string))
	}
	return line
}

// scalar returns the value of an attribute of any type.
func scalar(attribute any) string {
	for _, v := range attribute.(map[string]any) {
		return fmt.Sprint(v)
	}
	return ""
}

func TestScan_JoinsItsPages(t *testing.T) {
	page := func(n int, more string) answer { // each page has one item of each kind
		return answer{operation: "Scan", body: fmt.Sprintf(`{%[2]s"Items":[
			{"leaseKey":{"S":"shardId-%[1]d"},"entityType":{"S":"LEASE"},"leaseCounter":{"N":"1"},"checkpoint":{"S":"100"}},
			{"leaseKey":{"S":"#worker/w%[1]d"},"entityType":{"S":"WORKER"},"heartbeat":{"N":"1"}},
			{"leaseKey":{"S":"#batch/b%[1]d"},"entityType":{"S":"BATCH"},"worker":{"S":"w1"}},
			{"leaseKey":{"S":"#batch/t%[1]d"},"entityType":{"S":"TOMBSTONE"}}]}`, n, more)}
	}
	script := &script{t: t, answers: []answer{
		{operation: "DescribeTable", body: tableActive}, page(1, `"LastEvaluatedKey":{"leaseKey":{"S":"#batch/t1"}},`), page(2, ""),
	}}
	s, err := dynamo.Open(t.Context(), scriptedConfig(script))
	must(t, err)
	snap, err := s.Scan(t.Context())
	must(t, err)
	if len(snap.Leases) != 2 || len(snap.Workers) != 2 || len(snap.Batches) != 2 || len(snap.Tombstones) != 2 {
		t.Errorf("found %+v, want two of each", snap)
	}
}
