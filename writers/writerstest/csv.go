package writerstest

import (
	"bytes"
	"encoding/csv"
	"fmt"

	"aws-streaming-pipeline/record"
	"aws-streaming-pipeline/writers"
)

// CSV is a format that the program does not have: a header and rows of sequence number and payload. Tests add it to
// formats.All to show that a format takes only a package and one line.
var CSV = writers.Kind{
	Name: "csv", Meaning: "rows of a sequence number and a payload",
	Compressions: []string{"none"},
	Open: func(o writers.Options) (writers.Format, error) {
		if o.Compression != "" && o.Compression != "none" {
			return nil, fmt.Errorf("csv: compression %q: want none", o.Compression)
		}
		return csvFormat{}, nil
	},
}

type csvFormat struct{}

func (csvFormat) Object() writers.Object {
	return writers.Object{Extension: ".csv", ContentType: "text/csv"}
}

func (csvFormat) NewLayout() writers.Layout { return csvFormat{} }

func (csvFormat) NewBlock() writers.Block                 { return new(csvBlock) }
func (csvFormat) Begin() []byte                           { return []byte("event_id,payload\n") }
func (csvFormat) Place(e writers.Encoded) ([]byte, error) { return e.Data, nil }
func (csvFormat) End() ([]byte, error)                    { return nil, nil }

type csvBlock struct {
	text bytes.Buffer
	rows int
}

func (b *csvBlock) Append(r *record.Record) error {
	if r.Fault != nil {
		return r.Fault
	}
	w := csv.NewWriter(&b.text)
	_ = w.Write([]string{r.SequenceNumber, string(r.Data)}) // a buffer never fails
	w.Flush()
	b.rows++
	return nil
}

func (b *csvBlock) Rows() int  { return b.rows }
func (b *csvBlock) Size() int  { return b.text.Len() }
func (b *csvBlock) Held() int  { return b.text.Cap() }
func (b *csvBlock) Full() bool { return b.text.Len() >= 1<<20 }

func (b *csvBlock) Encode() (writers.Encoded, error) {
	return writers.Encoded{Data: b.text.Bytes(), Rows: int64(b.rows)}, nil
}
