package parquet

import (
	"fmt"
	"strings"
	"testing"
	"unsafe"

	"aws-streaming-pipeline/internal/pieces"
	"aws-streaming-pipeline/record"
)

// Waiting records are copies, whatever their size and whatever happens to the caller's memory. They come out in order,
// and all their memory is counted.
func TestWaiting_KeepsCopiesInOrder(t *testing.T) {
	var w waiting
	sizes := []int{10, 0, 100, pieces.Size - 1, 5000, pieces.Size, 3 * pieces.Size, 1}
	buffer := make([]byte, 0, 4*pieces.Size)
	const count = 400
	want := 0
	for n := range count {
		buffer = append(buffer[:0], fmt.Sprintf("s%d|k%d|", n, n)...)
		key := strings.Index(string(buffer), "|")
		end := len(buffer)
		for range sizes[n%len(sizes)] {
			buffer = append(buffer, byte('a'+n%26))
		}
		want += len(buffer) - end
		w.add(&record.Record{
			SequenceNumber: unsafe.String(&buffer[0], key), PartitionKey: unsafe.String(&buffer[key+1], end-key-2),
			Data: buffer[end:], SubSequence: n,
		})
	}
	clear(buffer[:cap(buffer)])
	if w.rows != count || w.bytes != want || w.held < want+count*int(unsafe.Sizeof(record.Record{})) || len(w.data()) != count {
		t.Fatalf("%d records of %d bytes hold %d; %d payloads", w.rows, w.bytes, w.held, len(w.data()))
	}
	n := 0
	w.take(func(r *record.Record) {
		data := strings.Repeat(string(rune('a'+n%26)), sizes[n%len(sizes)])
		if r.SequenceNumber != fmt.Sprintf("s%d", n) || r.PartitionKey != fmt.Sprintf("k%d", n) || r.ExplicitHashKey != "" ||
			string(r.Data) != data || r.SubSequence != n {
			t.Errorf("record %d is %s %s with %d bytes", n, r.SequenceNumber, r.PartitionKey, len(r.Data))
		}
		n++
	})
	if n != count || w.rows != 0 || w.held != 0 {
		t.Errorf("%d records came out, %d are left with %d bytes", n, w.rows, w.held)
	}
}
