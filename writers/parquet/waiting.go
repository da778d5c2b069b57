package parquet

import (
	"unsafe"

	"aws-streaming-pipeline/internal/pieces"
	"aws-streaming-pipeline/record"
)

// smallRun is the memory of the first records that wait, so that a file with few of them holds little.
const smallRun = 4 << 10

// waiting are records that wait for their columns.
type waiting struct {
	runs  []run
	rows  int
	bytes int // of payloads
	held  int // memory
}

// run are records that share one buffer. Hundreds of files have many that wait: a piece of memory that goes as a whole leaves no
// holes, as one for each record would.
type run struct {
	records []record.Record
	buf     []byte
}

// add keeps a copy. Of a record only the time of Append is sure: its strings, too, may lie in a buffer that is used again.
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

// begin makes a run with place for so many bytes.
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

// data are the payloads.
func (w *waiting) data() [][]byte {
	data := make([][]byte, 0, w.rows)
	for i := range w.runs {
		for j := range w.runs[i].records {
			data = append(data, w.runs[i].records[j].Data)
		}
	}
	return data
}

// take hands out the records, and gives their memory back as it goes.
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
