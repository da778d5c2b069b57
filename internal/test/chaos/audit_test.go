package chaos

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// An audit without findings proves something only if it finds the faults that there are.
func TestAudit_FindsWhatIsWrong(t *testing.T) {
	data := func(id string) []byte { return fmt.Appendf(nil, `{"id":%q}`, id) }
	broken := func(id string) []byte {
		return fmt.Appendf(nil, `{"rawData":%q}`, base64.StdEncoding.EncodeToString([]byte(id)))
	}
	const one, two, bad = "chaos-000000001", "chaos-000000002", "chaos-000000003"
	accepted := map[string]place{one: inData, two: inData, bad: inError}
	manifests := func() map[string]manifest {
		var first, second manifest
		for text, m := range map[string]*manifest{
			`{"batch":"x","ranges":[{"shard":"s","start":"TRIM_HORIZON","end":"5","records":2}],"files":[{"bucket":"b","key":"data/a","rows":1,"bytes":10},{"bucket":"b","key":"errors/b","rows":1,"bytes":20},{"bucket":"b","key":"backup/d","rows":2,"bytes":40,"backup":true}]}`: &first,
			`{"batch":"y","ranges":[{"shard":"s","start":"5","end":"SHARD_END","records":1}],"files":[{"bucket":"b","key":"data/c","rows":1,"bytes":30}]}`:                                                                                                                          &second,
		} {
			if err := json.Unmarshal([]byte(text), m); err != nil {
				t.Fatal(err)
			}
		}
		return map[string]manifest{"x": first, "y": second}
	}
	type store struct {
		lines     map[string][][]byte
		sizes     map[string]int64
		manifests map[string]manifest
	}
	tests := []struct {
		name   string
		change func(*store)
		want   string // in the evidence; empty if all is well
	}{
		{"all is well", func(*store) {}, ""},
		{"a record is missing", func(s *store) { s.lines["b/data/c"] = nil }, "lost: " + two},
		{"a record is there twice", func(s *store) { s.lines["b/data/c"] = append(s.lines["b/data/c"], data(one)) }, "double: " + one},
		{"a record is in the error prefix", func(s *store) { s.lines["b/errors/b"] = [][]byte{broken(one)} }, "misplaced: " + one},
		{"a record was never sent", func(s *store) { s.lines["b/data/a"] = append(s.lines["b/data/a"], data("chaos-000000009")) }, `strange: "chaos-000000009"`},
		{"an object is in no manifest", func(s *store) { s.sizes["b/data/d"] = 1 }, "data/d is in no manifest"},
		{"an object is missing", func(s *store) { delete(s.sizes, "b/data/c") }, "data/c has 0 bytes"},
		{"an object is in two manifests", func(s *store) {
			m := s.manifests["y"]
			m.Files = append(m.Files, s.manifests["x"].Files[0])
			s.manifests["y"] = m
		}, "data/a is in two manifests"},
		{"an object is in another bucket than its manifest says", func(s *store) {
			delete(s.sizes, "b/data/c")
			s.sizes["a/data/c"] = 30
		}, "b/data/c has 0 bytes"},
		{"a range is missing", func(s *store) { delete(s.manifests, "x") }, "0 of 1 ranges join"},
		{"two ranges begin at one place", func(s *store) { s.manifests["y"].Ranges[0].Start = "TRIM_HORIZON" }, "two ranges begin at TRIM_HORIZON"},
		{"a range ends where none begins", func(s *store) { s.manifests["x"].Ranges[0].End = "4" }, "1 of 2 ranges join, the chain breaks at 4"},
		{"a record is in no backup", func(s *store) { s.lines["b/backup/d"] = s.lines["b/backup/d"][:1] }, bad + " is in backups 0 times"},
		{"a record is in two backups", func(s *store) { s.lines["b/backup/d"][1] = broken(bad + two) }, two + " is in backups 2 times"},
		{"a record was never sent and is in a backup", func(s *store) { s.lines["b/backup/d"][1] = broken(bad + "chaos-000000009") }, "the backups have 4 records, of 3"},
		{"rows and ranges differ", func(s *store) { s.manifests["y"].Ranges[0].Records = 7 }, "1 rows in its files and 7 records in its ranges"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := store{
				lines: map[string][][]byte{
					"b/data/a": {data(one)}, "b/data/c": {data(two)}, "b/errors/b": {broken(bad)}, "b/backup/d": {broken(one + two), broken(bad)},
				},
				sizes:     map[string]int64{"b/data/a": 10, "b/errors/b": 20, "b/data/c": 30, "b/backup/d": 40},
				manifests: manifests(),
			}
			tt.change(&s)
			v := &verdict{where: map[string][]string{}, kept: map[string]int{}}
			rows := map[string]int64{}
			for key, lines := range s.lines {
				prefix, _, _ := strings.Cut(strings.TrimPrefix(key, "b/"), "/")
				for _, line := range lines {
					v.take(prefix+"/", key, line, accepted)
				}
				rows[key] = int64(len(lines))
			}
			v.count(accepted)
			v.keptOnce(accepted)
			v.compare(s.manifests, s.sizes, rows)
			v.join(s.manifests)
			if v.ok() != (tt.want == "") || !strings.Contains(v.evidence(), tt.want) {
				t.Errorf("ok is %v, evidence:\n%swant %q", v.ok(), v.evidence(), tt.want)
			}
		})
	}
}

// The rows of a table are compared with the files of those batches that are to be loaded.
func TestAudit_ComparesTheTableWithTheFiles(t *testing.T) {
	var loaded, elder manifest
	for text, m := range map[string]*manifest{
		`{"batch":"x","tables":["t"],"files":[{"bucket":"b","key":"data/a"},{"bucket":"b","key":"errors/e"}]}`: &loaded,
		`{"batch":"y","files":[{"bucket":"b","key":"data/c"}]}`:                                                &elder,
	} {
		if err := json.Unmarshal([]byte(text), m); err != nil {
			t.Fatal(err)
		}
	}
	files := map[string][]string{"b/data/a": {"1", "2"}, "b/data/c": {"3"}}
	for _, tt := range []struct {
		name  string
		table []string
		want  string
	}{
		{"all is well", []string{"2", "1"}, ""},
		{"a row is missing", []string{"1"}, "2 of b/data/a is in the table 0 times, want 1"},
		{"a row is doubled", []string{"1", "2", "2"}, "2 of b/data/a is in the table 2 times, want 1"},
		{"a batch without a table is loaded", []string{"1", "2", "3"}, "3 of b/data/c is in the table 1 times, want 0"},
		{"a row is nobody's", []string{"1", "2", "4"}, "4 is in the table and in no file"},
	} {
		v := &verdict{}
		v.load(map[string]manifest{"x": loaded, "y": elder}, files, tt.table)
		if v.ok() != (tt.want == "") || !strings.Contains(v.evidence(), tt.want) || v.tabled != 2 {
			t.Errorf("%s: ok is %v, %d rows expected, evidence:\n%swant %q", tt.name, v.ok(), v.tabled, v.evidence(), tt.want)
		}
	}
}

func TestUnconditional_LeavesOnlyTheMove(t *testing.T) {
	const commit = `{"ClientRequestToken":"t","TransactItems":[
		{"Put":{"ConditionExpression":"attribute_not_exists(#leaseKey)","ExpressionAttributeNames":{"#leaseKey":"leaseKey"}}},
		{"Update":{"ConditionExpression":"#checkpoint = :old_checkpoint AND #leaseOwner = :old_leaseOwner",
			"UpdateExpression":"SET #checkpoint = :new_checkpoint, #lastArrival = :new_lastArrival",
			"ExpressionAttributeNames":{"#checkpoint":"checkpoint","#leaseOwner":"leaseOwner","#lastArrival":"lastArrival"},
			"ExpressionAttributeValues":{":old_checkpoint":{"S":"1"},":new_checkpoint":{"S":"2"},":old_leaseOwner":{"S":"w"},":new_lastArrival":{"S":"t"}}}}]}`
	out := string(unconditional(call{operation: Commit}, []byte(commit)))
	for _, gone := range []string{":old_checkpoint", "#leaseOwner", "ClientRequestToken"} {
		if strings.Contains(out, gone) {
			t.Errorf("%s is still in %s", gone, out)
		}
	}
	for _, kept := range []string{"attribute_not_exists", `"#checkpoint"`, `":new_checkpoint"`, `":new_lastArrival"`, "SET"} {
		if !strings.Contains(out, kept) {
			t.Errorf("%s is no longer in %s", kept, out)
		}
	}
	if other := []byte(`{"ConditionExpression":"x"}`); !slices.Equal(unconditional(call{operation: Tombstone}, other), other) {
		t.Error("another request was changed")
	}
}

// The ids of snapshots have more digits than a float64, and other properties stay.
func TestLedgerless_LeavesTheAppend(t *testing.T) {
	const commit = `{"requirements":[{"type":"assert-ref-snapshot-id","ref":"main","snapshot-id":6331831850262969871}],"updates":[
		{"action":"add-snapshot","snapshot":{"snapshot-id":5966244316498626639}},
		{"action":"set-properties","updates":{"aws-streaming-pipeline.ledger.trips":"b1,b2","owner":"us"}}]}`
	out := string(ledgerless(call{operation: Append}, []byte(commit)))
	if strings.Contains(out, "b1") {
		t.Errorf("the ledger is still in %s", out)
	}
	for _, kept := range []string{"6331831850262969871", "5966244316498626639", `"owner":"us"`, "assert-ref-snapshot-id"} {
		if !strings.Contains(out, kept) {
			t.Errorf("%s is no longer in %s", kept, out)
		}
	}
}
