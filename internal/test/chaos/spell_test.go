package chaos

import (
	"encoding/json"
	"testing"
)

func TestWeather_SpellsMeetWhatTheyMatch(t *testing.T) {
	complete := func(worker int, object string) call {
		return call{worker: worker, service: S3, operation: Complete, object: object}
	}
	put := func(object string) call { return call{service: S3, operation: Put, object: object} }
	scan := call{service: DynamoDB, operation: "Scan"}
	tests := []struct {
		name  string
		spell spell
		calls []call
		met   []bool
	}{
		{"all requests of one daemon", spell{kind: Expired, worker: 1}, []call{complete(1, "b/a"), complete(0, "b/a"), {worker: 1, service: Kinesis, operation: Read}}, []bool{true, false, true}},
		{"one operation", spell{kind: Forbidden, worker: anyWorker, operation: "Scan"}, []call{scan, put("b/a")}, []bool{true, false}},
		{"one service", spell{kind: Exhausted, worker: anyWorker, service: DynamoDB}, []call{scan, put("b/a"), scan}, []bool{true, false, true}},
		{"once", spell{kind: Conflict, worker: anyWorker, operation: Commit, times: 1}, []call{{operation: Commit}, {operation: Commit}}, []bool{true, false}},
		{"all of the first object", spell{kind: Barred, worker: anyWorker, operation: Complete, binds: true},
			[]call{put("b/a"), complete(0, "b/a"), complete(1, "b/b"), complete(1, "b/a"), put("b/a"), put("b/b")}, []bool{false, true, false, true, true, false}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWeather(1)
			w.quiet = true // nothing but spells
			s := tt.spell
			w.cast(&s)
			for i, c := range tt.calls {
				c.worker = max(c.worker, 0)
				if kind := w.meet(c).kind; (kind == tt.spell.kind) != tt.met[i] {
					t.Errorf("request %d (%+v) met %q", i, c, kind)
				}
			}
			if total, kinds := w.faults(); total != 1 || kinds != 1 {
				t.Errorf("it counts as %d faults of %d kinds, want one", total, kinds)
			}
			w.lift(&s)
			for i, c := range tt.calls {
				if kind := w.meet(c).kind; kind != "" {
					t.Errorf("request %d met %q when the spell was lifted", i, kind)
				}
			}
		})
	}
}

func TestWeather_SpellsEndWhenItSettles(t *testing.T) {
	w := newWeather(1)
	w.quiet = true
	w.cast(&spell{kind: SlowComplete, worker: anyWorker, delay: 1 << 62})
	f := w.meet(call{operation: Complete})
	w.settle()
	f.wait() // would take years
	w.stir()
	if f := w.meet(call{operation: Complete}); f.kind != "" {
		t.Errorf("%q after the weather has settled", f.kind)
	}
}

// The daemon decides by the reasons of a cancelled transaction, one per item.
func TestRefusal_CancelsACommitWithReasons(t *testing.T) {
	var got struct {
		Type                string `json:"__type"`
		CancellationReasons []struct{ Code string }
	}
	a := refusal(call{service: DynamoDB, operation: Commit, shards: []string{"a", "b"}}, Conflict)
	if err := json.Unmarshal(a.body, &got); err != nil {
		t.Fatalf("%v in %s", err, a.body)
	}
	if r := got.CancellationReasons; got.Type != "TransactionCanceledException" || len(r) != 3 || r[0].Code != "None" || r[1].Code != "ConditionalCheckFailed" {
		t.Errorf("%s", a.body)
	}
}
