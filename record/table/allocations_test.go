//go:build !race

package table

import "testing"

// The default partition costs no look at the payload and no memory. Under the race detector, pools drop what they are given.
func TestPartitioner_AllocatesNothingForTheSameTuple(t *testing.T) {
	for name, p := range map[string]*Partitioner{
		"arrival": partitioner(t, tripsSchema, PartitionField{1000, "d", 21, "day"}),
		"payload": partitioner(t, tripsSchema, PartitionField{1000, "d", 21, "day"}, PartitionField{1001, "x", 1, "bucket[16]"}, PartitionField{1002, "w", 9, "bucket[16]"}),
	} {
		r := trip(`{"text":"abc","wide":1.5}`)
		p.Tuple(r)
		if n := testing.AllocsPerRun(100, func() { p.Tuple(r) }); n > 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}
