package source

import (
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"time"
	"unsafe"

	"aws-streaming-pipeline/record"
)

// maxBodyBytes bounds the body of an answer. One of maxAnswerBytes in base64 with maxRecords records takes about 16 MiB.
const maxBodyBytes = 64 << 20

// answer is the result of one call of GetRecords or one event of SubscribeToShard. Its records are views of its body:
// they are valid until release, and whoever keeps one of its strings or slices longer must copy it.
type answer struct {
	body    *slab[byte]
	entries *slab[entry]
	expect  int // estimated number of records
	// rest is what decode still has to read of the body; nil if all of it is there. failed is why that could not be read.
	rest   io.Reader
	failed error
	// wholly reports whether data need no decoding; it may be nil. Like the sequence numbers, the payloads are looked at while they are
	// in the processor's cache.
	wholly func(data []byte) bool

	date     time.Time // by the service's clock; zero if it did not say
	filled   bool      // the answer was read to its end
	listed   bool      // the answer has a list of records, however short
	ordered  bool      // each record's sequence number is greater than that of the one before; false if it is not known
	whole    bool      // each record is one user record, as wholly says; false if it is not known
	behind   int64
	told     bool   // the answer says how far it is behind
	next     string // NextShardIterator or ContinuationSequenceNumber; empty at the shard's end
	children []string
}

// entry says where in the body a record is.
type entry struct {
	sequence, key, data span
	arrival             int64 // Unix milliseconds
}

type span struct{ from, to uint32 }

const entryBytes = int(unsafe.Sizeof(entry{}))

var (
	bodies  = slabs[byte]{least: 16 << 10}
	entries = slabs[entry]{least: 64}
)

// read reads a body. In CBOR it leaves that to decode, which finds the records while they are still in the processor's
// cache: of answers of megabytes, nothing would be left there after the last byte.
func (a *answer) read(resp *http.Response, format wireFormat) error {
	if resp.ContentLength > maxBodyBytes {
		return fmt.Errorf("answer of %d bytes: want at most %d", resp.ContentLength, maxBodyBytes)
	}
	if resp.ContentLength >= 0 {
		a.body = bodies.get(int(resp.ContentLength))
		a.body.s = a.body.s[:resp.ContentLength]
		if format == wireCBOR {
			a.rest = resp.Body
			return nil
		}
		_, err := io.ReadFull(resp.Body, a.body.s)
		return err
	}
	a.body = bodies.get(0)
	for {
		b := a.body.s
		if len(b) > maxBodyBytes {
			return fmt.Errorf("answer of more than %d bytes", maxBodyBytes)
		}
		if len(b) == cap(b) {
			b = append(b, 0)[:len(b)]
		}
		n, err := resp.Body.Read(b[len(b):cap(b)])
		a.body.s = b[:len(b)+n]
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// decode finds the records in the body, and changes the body.
func (a *answer) decode(format wireFormat) error {
	a.entries = entries.get(a.expect)
	decode := decodeJSON
	if format == wireCBOR {
		decode = decodeCBOR
	}
	if err := decode(a); err != nil {
		return err
	}
	if !a.listed && a.next == "" {
		// Without this check, an empty answer would pass for a shard's end.
		return errors.New("the answer has no Records")
	}
	return nil
}

func (a *answer) bytes(s span) []byte { return a.body.s[s.from:s.to:s.to] }

// text is a view: it does not copy.
func (a *answer) text(s span) string {
	b := a.bytes(s)
	return unsafe.String(unsafe.SliceData(b), len(b))
}

// record returns the record of an entry, which shares memory with the body.
func (a *answer) record(e *entry) record.Record {
	return record.Record{
		SequenceNumber: a.text(e.sequence),
		PartitionKey:   a.text(e.key),
		Arrival:        time.UnixMilli(e.arrival).UTC(),
		Data:           a.bytes(e.data),
	}
}

// memory returns the bytes that the body takes up.
func (a *answer) memory() int { return cap(a.body.s) }

// free releases the list of records, which is no longer needed once they are taken out.
func (a *answer) free() {
	if a.entries != nil {
		entries.put(a.entries)
		a.entries = nil
	}
}

// release releases the answer's memory; its records are no longer valid.
func (a *answer) release() {
	a.free()
	if a.body == nil {
		return
	}
	if scrubbing {
		b := a.body.s[:cap(a.body.s)]
		for n := copy(b, "!"); n < len(b); n *= 2 {
			copy(b[n:], b[:n])
		}
	}
	bodies.put(a.body)
	a.body = nil
}

// millisFrom is the smallest number that counts as milliseconds where a time should be in seconds. As seconds it is in
// the year 5138, as milliseconds in 1973.
const millisFrom = 1e11

// epochMillis converts a point in time to Unix milliseconds. It is seconds with a fraction in AWS JSON 1.1 ("Timestamp
// formats", Smithy specification), and in CBOR by RFC 8949, section 3.4.2; but there the Java SDK, and therefore
// Kinesis, writes whole milliseconds.
func epochMillis(v float64) (millis int64, ok bool) {
	if math.Abs(v) < millisFrom {
		v = math.Round(v * 1000)
	}
	// The bounds also exclude infinities and NaN.
	if !(math.Abs(v) < 1e15) {
		return 0, false
	}
	return int64(v), true
}
