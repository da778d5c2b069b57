package checkpoint

import "testing"

func TestRange_HoldsWhatLiesAfterItsStartUpToItsLastRecord(t *testing.T) {
	for _, test := range []struct {
		name     string
		r        Range
		sequence string
		want     bool
	}{
		{"before the start", Range{Start: "100", Last: "200"}, "99", false},
		{"the start", Range{Start: "100", Last: "200"}, "100", false},
		{"after the start", Range{Start: "100", Last: "200"}, "101", true},
		{"the last", Range{Start: "100", Last: "200"}, "200", true},
		{"after the last", Range{Start: "100", Last: "200"}, "201", false},
		{"longer, and so after the last", Range{Start: "100", Last: "200"}, "1500", false},
		{"at the horizon", Range{Start: TrimHorizon, Last: "200"}, "1", true},
		{"the last of a shard that has ended", Range{Start: "100", End: ShardEnd, Last: "200"}, "200", true},
		{"of a range without records", Range{Start: "100", End: ShardEnd}, "150", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := test.r.Contains(test.sequence); got != test.want {
				t.Errorf("contains %s: %t, want %t", test.sequence, got, test.want)
			}
		})
	}
}
