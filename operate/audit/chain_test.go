package audit

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/writers/layout"
)

// ranges of one shard that join, cut at random.
func randomChain(rng *rand.Rand, n int) []checkpoint.Range {
	at := checkpoint.TrimHorizon
	list := make([]checkpoint.Range, 0, n)
	position := 1_000
	for i := range n {
		position += 1 + rng.IntN(100)
		end := checkpoint.Position(fmt.Sprint(position))
		if i == n-1 {
			end = checkpoint.ShardEnd
		}
		list = append(list, checkpoint.Range{Shard: "s", Start: at, End: end, LeaseCounter: int64(1 + i/10), Records: 1})
		at = end
	}
	return list
}

func judge(list []checkpoint.Range) (gaps, overlaps int, c *chain) {
	c = newChain("s", nil)
	var found []Finding
	for i, r := range list {
		found = append(found, c.add(r, fmt.Sprint("batch-", i), true)...)
	}
	end, _ := c.finish()
	for _, f := range append(found, end...) {
		switch f.Kind {
		case Gap:
			gaps++
		case Overlap:
			overlaps++
		}
	}
	return gaps, overlaps, c
}

// Whatever the order of manifests, adjoining ranges are one segment, a missing range is one gap, and a duplicate range is
// an overlap.
func TestChain_DoesNotDependOnTheOrderOfRanges(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 500 {
		n := 3 + rng.IntN(40)
		list := randomChain(rng, n)
		shuffled := append([]checkpoint.Range(nil), list...)
		rng.Shuffle(n, func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		gaps, overlaps, c := judge(shuffled)
		if gaps+overlaps > 0 || len(c.epochs[0].segments) != 1 || c.Records != int64(n) || c.End != checkpoint.ShardEnd {
			t.Fatalf("a chain of %d: %d gaps, %d overlaps, %d segments", n, gaps, overlaps, len(c.epochs[0].segments))
		}

		lost := list[1+rng.IntN(n-2)]
		var rest []checkpoint.Range
		for _, r := range shuffled {
			if r != lost {
				rest = append(rest, r)
			}
		}
		if gaps, overlaps, _ := judge(rest); gaps != 1 || overlaps != 0 {
			t.Fatalf("without %s: %d gaps, %d overlaps", span(lost.Start, lost.End), gaps, overlaps)
		}
		double := append(shuffled, shuffled[rng.IntN(n)])
		if gaps, overlaps, _ := judge(double); gaps != 0 || overlaps != 1 {
			t.Fatalf("with one twice: %d gaps, %d overlaps", gaps, overlaps)
		}
	}
}

func TestChain_KeepsNoRangesButTheLast(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	_, _, c := judge(randomChain(rng, 10_000))
	if len(c.epochs[0].segments) != 1 || len(c.recent) > rememberedRanges {
		t.Errorf("%d segments and %d ranges are kept", len(c.epochs[0].segments), len(c.recent))
	}
	// A range that overlaps one that is no longer remembered is found nevertheless.
	if found := c.add(checkpoint.Range{Shard: "s", Start: "1200", End: "1201"}, "late", true); len(found) != 1 || found[0].Kind != Overlap {
		t.Errorf("found %+v", found)
	}
}

func TestChain_Moves(t *testing.T) {
	r := func(start, end checkpoint.Position, counter int64) checkpoint.Range {
		return checkpoint.Range{Shard: "s", Start: start, End: end, LeaseCounter: counter}
	}
	move := func(from, to checkpoint.Position, counter int64) layout.Move {
		return layout.Move{Shard: "s", From: from, To: to, Counter: counter}
	}
	at := checkpoint.AtTimestamp(time.Date(2026, 3, 14, 9, 0, 0, 0, time.UTC))
	for _, test := range []struct {
		name   string
		moves  []layout.Move
		ranges []checkpoint.Range
		kinds  []Kind
		borne  int
	}{
		{"a rewind", []layout.Move{move("300", "100", 3)}, []checkpoint.Range{r("100", "300", 2), r("100", "400", 4)}, nil, 1},
		{"a rewind to a time", []layout.Move{move("300", at, 3)}, []checkpoint.Range{r("100", "300", 2), r(at, "400", 4)}, nil, 1},
		{"a rewind from the end", []layout.Move{move(checkpoint.ShardEnd, "100", 3)},
			[]checkpoint.Range{r("100", checkpoint.ShardEnd, 2), r("100", checkpoint.ShardEnd, 4)}, nil, 1},
		{"a skip", []layout.Move{move("300", "500", 3)}, []checkpoint.Range{r("100", "300", 2), r("500", "600", 4)}, nil, 1},
		{"two rewinds without records between", []layout.Move{move("300", "200", 3), move("200", "100", 4)},
			[]checkpoint.Range{r("100", "300", 2), r("100", "400", 5)}, nil, 2},
		{"two rewinds with a batch between", []layout.Move{move("300", "200", 3), move("250", "100", 5)},
			[]checkpoint.Range{r("100", "300", 2), r("200", "250", 4), r("100", "400", 6)}, nil, 2},
		{"one that never took place", []layout.Move{move("300", "100", 3)}, []checkpoint.Range{r("100", "300", 2), r("300", "400", 3)}, nil, 0},
		{"one to another place", []layout.Move{move("300", "100", 3)}, []checkpoint.Range{r("100", "300", 2), r("200", "400", 4)}, []Kind{Overlap}, 0},
		{"one from another place", []layout.Move{move("300", "100", 3)}, []checkpoint.Range{r("100", "350", 2), r("100", "400", 4)}, []Kind{Overlap}, 0},
		{"one for a jump ahead that is none", []layout.Move{move("300", "100", 3)}, []checkpoint.Range{r("100", "300", 2), r("500", "600", 4)}, []Kind{Gap}, 0},
		{"one that mends a gap", []layout.Move{move("400", "200", 3)},
			[]checkpoint.Range{r("100", "200", 2), r("300", "400", 2), r("200", "500", 4)}, nil, 1},
		{"one that mends half of a gap", []layout.Move{move("400", "250", 3)},
			[]checkpoint.Range{r("100", "200", 2), r("300", "400", 2), r("250", "500", 4)}, []Kind{Gap}, 1},
		{"one that may mend a gap or not", []layout.Move{move("400", checkpoint.TrimHorizon, 3)},
			[]checkpoint.Range{r("100", "200", 2), r("300", "400", 2), r(checkpoint.TrimHorizon, "500", 4)}, []Kind{Gap}, 1},
		{"a double delivery before it", []layout.Move{move("300", "100", 3)},
			[]checkpoint.Range{r("100", "300", 2), r("200", "300", 1), r("100", "400", 4)}, []Kind{Overlap}, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := newChain("s", test.moves)
			var found []Finding
			for i, r := range test.ranges {
				found = append(found, c.add(r, fmt.Sprint("batch-", i), true)...)
			}
			end, moves := c.finish()
			var kinds []Kind
			for _, f := range append(found, end...) {
				kinds = append(kinds, f.Kind)
			}
			if fmt.Sprint(kinds) != fmt.Sprint(test.kinds) || len(moves) != test.borne {
				t.Errorf("found %q and %d moves, want %q and %d", kinds, len(moves), test.kinds, test.borne)
			}
		})
	}
}

func TestFinder_TakesTheIDOfTheObjectAndNoOther(t *testing.T) {
	find := newFinder("event_id")
	for line, want := range map[string]string{
		`{"n":1,"event_id":"12-3"}`:                         "12-3",
		`{"event_id":"12"}`:                                 "12",
		`{"event_id":"12","n":1}`:                           "12",
		`{"event_id":"12","n":"x"}`:                         "12",
		`{"event_id":"12","n":{"event_id":"13"}}`:           "12",
		`{"event_id":"12","n":"\",\"event_id\":\"13"}`:      "12",
		`{"event_id":"12","a\"event_id":"13"}`:              "12",
		`{"n":{"event_id":"13"}}`:                           "",
		`{"n":"\"event_id\":\"13"}`:                         "",
		`{"event_id":12}`:                                   "",
		`{"n":1`:                                            "",
		``:                                                  "",
		`{"event_id":"12","my_event_id":"13"}`:              "12",
		`{"n":"x","event_id":"12-3","_arrived_at":"2026"}`:  "12-3",
		`{"event_id":"12","n":"x","_arrived_at":"2026"}`:    "12",
		`{"event_id":"12","n":7,"_arrived_at":"2026"}`:      "12",
		`{"_arrived_at":"2026","n":7,"event_id":"12"}`:      "12",
		`{"event_id":"12","a\",\"_arrived_at\":\"":"2026"}`: "12",
		`{"n":"\",\"event_id\":\"13","_arrived_at":"2026"}`: "",
		`{"event_id":"12", "s":"event_id\":\"14", "t":"x"}`: "12",
	} {
		if got := string(find.id([]byte(line))); got != want {
			t.Errorf("%s: got %q, want %q", line, got, want)
		}
	}
}

// Sequence numbers of AWS are unique in their stream even though the ranges of its shards overlap.
func TestIDs_AreOnceInAStreamOfAWS(t *testing.T) {
	const number = "49590338271490256608559692538361571095921575989136588"
	s := newIDs([]checkpoint.Range{
		{Shard: "a", Start: number + "100", Last: number + "300", Records: 1}, {Shard: "b", Start: number + "150", Last: number + "400", Records: 1},
	}, 1)
	s.begin(0, 2)
	guess := 0
	for i, want := range []bool{false, true} {
		if inside, again := s.add([]byte(number+"200-3"), &guess); !inside || again != want {
			t.Errorf("time %d: inside %v, again %v", i, inside, again)
		}
	}
}

func BenchmarkTally_Row(b *testing.B) {
	line := []byte(`{"TRIP_ID":"1372636858620000589","CALL_TYPE":"C","POLYLINE":"[[-8.618643,41.141412]]","event_id":"49590338271490256608559692538361571095921575989136588898-17"}`)
	s := newIDs([]checkpoint.Range{
		{Start: "1", Last: "2"}, {Start: checkpoint.TrimHorizon, Last: "49590338271490256608559692538361571095921575989136588999"},
	}, 1)
	s.begin(0, 1<<20)
	t := tally{ids: s}
	find := newFinder("event_id")
	b.SetBytes(int64(len(line)))
	b.ReportAllocs()
	for b.Loop() {
		t.row(find.id(line))
	}
}
