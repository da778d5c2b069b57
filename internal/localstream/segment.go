package localstream

import "sort"

// Sizes of a segment's arena. A shard starts small and doubles, so that a thousand idle shards cost little and a busy one
// is trimmed in steps of a mebibyte.
const (
	firstArenaBytes = 16 << 10
	maxArenaBytes   = 1 << 20
	// entryBytes is the memory of an entry, and arenaPerEntry the arena per entry: a segment holds at most
	// cap(arena)/arenaPerEntry entries, so that its charge is known in advance, whatever the size of the records.
	entryBytes    = 32
	arenaPerEntry = 128
)

// entry locates a record in the arena of its segment: the partition key is at offset, followed by the data.
type entry struct {
	ordinal   uint64
	arrival   int64 // Unix milliseconds
	offset    uint32
	dataBytes uint32
	keyBytes  uint16
}

// segment is a sequence of records. Records never change, so a reader may use a snapshot without a lock while later
// records are appended.
type segment struct {
	arena   []byte
	entries []entry
	limit   int // maximum number of entries
	charge  int64
}

// segmentCharge is the maximum memory of a segment with this arena.
func segmentCharge(arenaBytes int) int64 {
	return int64(arenaBytes) + int64(entryLimit(arenaBytes))*entryBytes
}

func entryLimit(arenaBytes int) int { return arenaBytes/arenaPerEntry + 1 }

func newSegment(arenaBytes int) *segment {
	return &segment{
		arena:  make([]byte, 0, arenaBytes),
		limit:  entryLimit(arenaBytes),
		charge: segmentCharge(arenaBytes),
	}
}

func (g *segment) fits(bytes int) bool {
	return len(g.arena)+bytes <= cap(g.arena) && len(g.entries) < g.limit
}

func (g *segment) append(ordinal uint64, arrival int64, key, data []byte) {
	g.entries = append(g.entries, entry{
		ordinal:   ordinal,
		arrival:   arrival,
		offset:    uint32(len(g.arena)),
		dataBytes: uint32(len(data)),
		keyBytes:  uint16(len(key)),
	})
	g.arena = append(append(g.arena, key...), data...)
}

func (g *segment) last() entry { return g.entries[len(g.entries)-1] }

// run is a snapshot of consecutive records of one segment.
type run struct {
	arena   []byte
	entries []entry
}

func (r run) key(e entry) []byte {
	return r.arena[e.offset : e.offset+uint32(e.keyBytes)]
}

func (r run) data(e entry) []byte {
	start := e.offset + uint32(e.keyBytes)
	return r.arena[start : start+e.dataBytes]
}

// search returns the index of the first entry for which after holds, given that it holds for all later ones.
func (g *segment) search(after func(entry) bool) int {
	return sort.Search(len(g.entries), func(i int) bool { return after(g.entries[i]) })
}
