package shred

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

// Text that lies in pieces comes out in one run, refused records leave no trace in it, and the pieces count at once: the
// accounts of many files that grow alike would all be late otherwise.
func TestText_JoinsWhatLiesInPieces(t *testing.T) {
	const document = `{"x-extra":false,"properties":{"t":{"type":"string"},"n":{"type":"integer"}}}`
	s := New(mustParse(t, document), false)
	r := rand.New(rand.NewPCG(1, 2))
	var text Text
	for round := range 3 { // the later ones with memory of those before
		s.Reset()
		var want strings.Builder
		column, size := s.Columns()[0], Headroom
		var ends []int // values before each chunk but the first
		rows := 0
		for want.Len() < 3*chunkBytes {
			n := r.IntN(2000)
			switch r.IntN(200) {
			case 0:
				n = 40 << 10 // more than a piece
			case 1:
				n = chunkBytes + 100
			}
			value := strings.Repeat(string(rune('a'+rows%26)), n)
			if r.IntN(4) == 0 {
				if s.Append(rec(fmt.Sprintf(`{"t":"%s","n":"no number"}`, value))) == nil {
					t.Fatal("the record was taken")
				}
			}
			if fault := s.Append(rec(fmt.Sprintf(`{"t":"%s","n":%d}`, value, rows))); fault != nil {
				t.Fatal(fault)
			}
			if size+4+n > chunkBytes && size > Headroom {
				ends = append(ends, rows)
				size = Headroom
			}
			size += 4 + n
			rows++
			fmt.Fprintf(&want, "%s%s", string([]byte{byte(n), byte(n >> 8), byte(n >> 16), 0}), value)
			if held := column.memory(); s.Memory() < held {
				t.Fatalf("%d bytes of memory, the text alone has %d", s.Memory(), held)
			}
		}
		var got strings.Builder
		var starts []int
		for i, chunk := range text.Chunks(column) {
			got.Write(chunk.Data[Headroom:])
			if i > 0 {
				starts = append(starts, chunk.FirstValue)
			}
		}
		if got.String() != want.String() {
			t.Fatalf("round %d: %d bytes are not the %d that were written", round, got.Len(), want.Len())
		}
		if fmt.Sprint(starts) != fmt.Sprint(ends) {
			t.Errorf("round %d: chunks begin with %v, want %v", round, starts, ends)
		}
		text.Forget()
	}
}
