package audit

import (
	"reflect"
	"testing"
	"time"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/writers/layout"
)

func TestChain_EndsWithWhatIsCoveredSinceTheLastMove(t *testing.T) {
	part := func(start, end checkpoint.Position, counter int64) checkpoint.Range {
		return checkpoint.Range{Shard: "s", Start: start, End: end, LeaseCounter: counter}
	}
	move := func(from, to checkpoint.Position, counter int64) layout.Move {
		return layout.Move{Shard: "s", From: from, To: to, Counter: counter}
	}
	late := checkpoint.AtTimestamp(time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC))
	later := move("200", "100", 9)
	for name, test := range map[string]struct {
		ranges []checkpoint.Range
		moves  []layout.Move
		want   End
	}{
		"in order":          {[]checkpoint.Range{part("0", "100", 1), part("100", "200", 3)}, nil, End{Segments: []Segment{{"0", "200"}}, Counter: 3, Highest: 3}},
		"in another order":  {[]checkpoint.Range{part("100", "200", 3), part("0", "100", 1)}, nil, End{Segments: []Segment{{"0", "200"}}, Counter: 3, Highest: 3}},
		"before the window": {[]checkpoint.Range{part("0", "100", 0), part("150", "200", 1)}, nil, End{Segments: []Segment{{"150", "200"}}, Counter: 1, Highest: 1}},
		"a gap": {[]checkpoint.Range{part("0", "100", 1), part("150", checkpoint.ShardEnd, 2)}, nil,
			End{Segments: []Segment{{"0", "100"}, {"150", checkpoint.ShardEnd}}, Counter: 2, Highest: 2}},
		"from a time": {[]checkpoint.Range{part("100", "200", 1), part(late, "100", 1)}, nil, End{Segments: []Segment{{late, "100"}, {"100", "200"}}, Counter: 1, Highest: 1}},
		"begun anew at a time": {[]checkpoint.Range{part("0", "100", 1), part(late, "300", 1), part("300", "400", 1)}, nil,
			End{Segments: []Segment{{late, "300"}, {"0", "100"}, {"300", "400"}}, Counter: 1, Highest: 1}},
		"after a rewind": {[]checkpoint.Range{part("0", "100", 1), part("50", "70", 3)}, []layout.Move{move("100", "50", 2)},
			End{Segments: []Segment{{"50", "70"}}, Since: 2, Counter: 3, Highest: 3}},
		"a rewind that no batch followed": {[]checkpoint.Range{part("0", "200", 7)}, []layout.Move{move("300", "0", 5), later},
			End{Segments: []Segment{{"0", "200"}}, Since: 5, Counter: 7, Highest: 9, Moved: &later}},
	} {
		c := newChain("s", test.moves)
		for _, r := range test.ranges {
			c.add(r, "b", r.LeaseCounter > 0)
		}
		test.want.Shard = "s"
		if got := c.end(); !reflect.DeepEqual(got, test.want) {
			t.Errorf("%s: %+v, want %+v", name, got, test.want)
		}
	}
}
