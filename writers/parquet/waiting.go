package parquet

import (
	"unsafe"

	"aws-streaming-pipeline/internal/pieces"
	"aws-streaming-pipeline/record"
)

// smallRun is the size of the first run in bytes, so that a file with few records takes little memory.
const smallRun = 4 << 10

// waiting holds records until the columns are known.
type waiting struct {
	runs  []run
	rows  int
	bytes int // of payloads
	held  int // memory
}

// run holds records in one buffer. Hundreds of files may hold many records: a buffer that is freed as a whole leaves no
// holes, as one per record would.
type run struct {
	records []record.Record
	buf     []byte
}

// add keeps a copy. A record is valid only during Append: its strings, too, may be in a buffer that is reused.
func (w *waiting) add(r *record.Record) {
	need := len(r.Data) + len(r.SequenceNumber) + len(r.PartitionKey) + len(r.ExplicitHashKey)
	last := len(w.runs) - 1
	if last < 0 || len(w.runs[last].buf)+need > cap(w.runs[last].buf) {
		w.begin(need)
		last++
	}
	in := &w.runs[last]
	kept := *r
	kept.Data = in.copy(r.Data)
	kept.SequenceNumber, kept.PartitionKey = in.text(r.SequenceNumber), in.text(r.PartitionKey)
	kept.ExplicitHashKey = in.text(r.ExplicitHashKey)
	before := cap(in.records)
	in.records = append(in.records, kept)
	w.held += (cap(in.records) - before) * int(unsafe.Sizeof(kept))
	w.rows++
	w.bytes += len(r.Data)
}

// begin starts a run with room for need bytes.
func (w *waiting) begin(need int) {
	var buf []byte
	switch size := max(need, min(smallRun<<min(len(w.runs), 8), pieces.Size)); size {
	case pieces.Size:
		buf = pieces.Get()[:0]
	default:
		buf = make([]byte, 0, size)
	}
	w.held += cap(buf)
	w.runs = append(w.runs, run{buf: buf})
}

func (r *run) copy(b []byte) []byte {
	n := len(r.buf)
	r.buf = append(r.buf, b...)
	return r.buf[n:len(r.buf):len(r.buf)]
}

func (r *run) text(s string) string {
	n := len(r.buf)
	r.buf = append(r.buf, s...)
	return unsafe.String(unsafe.SliceData(r.buf[n:]), len(s))
}

// data returns the payloads.
func (w *waiting) data() [][]byte {
	data := make([][]byte, 0, w.rows)
	for i := range w.runs {
		for j := range w.runs[i].records {
			data = append(data, w.runs[i].records[j].Data)
		}
	}
	return data
}

// take passes on the records, and releases their memory on the way.
func (w *waiting) take(use func(*record.Record)) {
	for i := range w.runs {
		r := &w.runs[i]
		for j := range r.records {
			use(&r.records[j])
		}
		if cap(r.buf) == pieces.Size {
			pieces.Put((*pieces.Piece)(r.buf[:pieces.Size]))
		}
		*r = run{}
	}
	*w = waiting{}
}
