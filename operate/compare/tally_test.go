package compare

import (
	"crypto/sha256"
	"encoding/binary"
	"maps"
	"math/rand/v2"
	"runtime"
	"testing"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func hashOf(n int) Hash {
	h := sha256.Sum256(binary.LittleEndian.AppendUint64(nil, uint64(n)))
	return Hash(h[:16])
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// With little memory there are many partitions, whose counts are those that a map of all records gives; and the heap does not
// grow with the records.
func TestTally_CountsInBoundedMemory(t *testing.T) {
	const records, memory = 80_000, 256 << 10
	for _, test := range []struct {
		name     string
		contents int
		splits   bool
	}{{"all different", records, true}, {"all of the same content", 1, false}} {
		t.Run(test.name, func(t *testing.T) {
			r := rand.New(rand.NewPCG(3, 4))
			base := heap()
			s := newSpool(t.TempDir(), 0, maxParts, memory/4)
			want := make(map[Hash][2]int64)
			for n := range records {
				h := hashOf(r.IntN(test.contents))
				for _, side := range []side{theirs, ours} {
					if n%1000 == 7 && side == ours || n%1001 == 9 && side == theirs {
						c := want[h]
						c[side.other()]++
						want[h] = c
						continue
					}
					must(t, s.add(entry{h, placeOf(side, false, 3) + place(n)}))
				}
			}
			maps.DeleteFunc(want, func(_ Hash, c [2]int64) bool { return c[0] == c[1] })
			most, got := int64(0), make(map[Hash][2]int64)
			tally := newTally(t.TempDir(), memory/4*3, func(h Hash, c count) {
				got[h] = [2]int64{c.excess(theirs), c.excess(ours)}
				if len(got)%200 == 1 {
					most = max(most, heap())
				}
			})
			tally.most = 100 // fewer than there are in a partition
			must(t, tally.compare(s))
			for h, c := range want {
				c[0], c[1] = max(c[0]-c[1], 0), max(c[1]-c[0], 0)
				want[h] = c
			}
			if !maps.Equal(got, want) {
				t.Errorf("%d contents differ, want %d", len(got), len(want))
			}
			if (tally.splits > 0) != test.splits {
				t.Errorf("%d partitions were split", tally.splits)
			}
			// Beside the memory there are the maps of this test, and readers of files.
			if grown := most - base; grown > memory+1<<20 {
				t.Errorf("the heap has %d bytes more, want %d at most", grown, memory+1<<20)
			}
		})
	}
}

func TestPlace_KeepsWhatItIsMadeOf(t *testing.T) {
	for _, s := range []side{theirs, ours} {
		for _, margin := range []bool{false, true} {
			for _, n := range []int{0, 1, maxNumber} {
				p := placeOf(s, margin, n) + place(maxNumber-n)
				if p.side() != s || p.inMargin() != margin || p.object() != n || p.record() != maxNumber-n {
					t.Errorf("%v, margin %v, object %d becomes %v, %v, %d, record %d", s, margin, n, p.side(), p.inMargin(), p.object(), p.record())
				}
			}
		}
	}
}

// What a window and its margin show, for all small numbers of records: an excess is one wherever the other side's records
// beyond the margin are, and without a margin every difference is an excess.
func TestCount_FindsOnlyWhatTheMarginCannotExplain(t *testing.T) {
	const most = 4
	for n := range most * most * most * most {
		c := count{records: [2][2]int64{{int64(n % most), int64(n / most % most)}, {int64(n / most / most % most), int64(n / most / most / most)}}}
		for _, s := range []side{theirs, ours} {
			difference := max(c.of(s)-c.of(s.other()), 0)
			if c.excess(s)+c.edge(s) != max(difference, c.excess(s)) || c.excess(s) < 0 || c.edge(s) < 0 {
				t.Errorf("%v: %v has an excess of %d and an edge of %d", c.records, s, c.excess(s), c.edge(s))
			}
			if c.records[s][1] == 0 && c.records[s.other()][1] == 0 && c.excess(s) != difference {
				t.Errorf("%v: %v has an excess of %d", c.records, s, c.excess(s))
			}
			if c.records[s][0] <= c.of(s.other()) && c.excess(s) != 0 {
				t.Errorf("%v: %v has an excess of %d, although every record of the window has a counterpart", c.records, s, c.excess(s))
			}
		}
	}
}
