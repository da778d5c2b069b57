package record

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"

	"github.com/klauspost/compress/gzip"
)

// isGzip tells whether a payload begins like a gzip stream with its only compression method (RFC 1952, section 2.3).
// JSON text can not begin so.
func isGzip(payload []byte) bool {
	return bytes.HasPrefix(payload, []byte("\x1f\x8b\x08"))
}

// inflater is a gzip reader with its source, kept because its tables are large.
type inflater struct {
	source bytes.Reader
	gzip   gzip.Reader
}

var inflaters = sync.Pool{New: func() any { return new(inflater) }}

const (
	// maxInflation bounds what a byte of gzip or zlib inflates to. Deflate makes 1,032 of one at most, JSON and logs come to 5 to
	// 30: a payload of zeros would take a hundred times what others of its size take.
	maxInflation = 100
	// smallInflation is free.
	smallInflation = 64 << 10
)

// InflationBound is what a compressed payload of so many bytes may inflate to, if there are limit bytes left.
func InflationBound(size, limit int) int {
	return min(limit, max(maxInflation*size, smallInflation))
}

// inflate returns what a gzip stream of one or more members inflates to, at most limit bytes, and at most maxInflation
// times as many as it has.
func inflate(payload []byte, limit int) ([]byte, *Fault) {
	limit = InflationBound(len(payload), limit)
	z := inflaters.Get().(*inflater)
	defer func() {
		z.source.Reset(nil) // the pool must not keep the payload alive
		inflaters.Put(z)
	}()
	z.source.Reset(payload)
	if err := z.gzip.Reset(&z.source); err != nil {
		return nil, corruptGzip(0, err)
	}
	out := make([]byte, 0, sizeHint(payload, limit)+1) // one more, to see the end without growing
	for {
		if len(out) == cap(out) {
			out = slices.Grow(out, min(max(cap(out), 512), limit+1-len(out)))
		}
		n, err := z.gzip.Read(out[len(out):min(cap(out), limit+1)])
		out = out[:len(out)+n]
		switch {
		case len(out) > limit:
			return nil, fault(CodeGzipTooLarge, fmt.Sprintf("%d bytes of gzip inflate to more than %d bytes, the bound by their number and by what is left for this Kinesis record", len(payload), limit))
		case errors.Is(err, io.EOF):
			return out[:len(out):len(out)], nil
		case err != nil:
			return nil, corruptGzip(len(out), err)
		}
	}
}

func corruptGzip(inflated int, err error) *Fault {
	return fault(CodeGzipCorrupt, fmt.Sprintf("inflate gzip: %v after %d inflated bytes", err, inflated))
}

// sizeHint guesses the inflated size by the length that stands at the stream's end. A payload can lie about it, so the
// guess stays below the limit.
func sizeHint(payload []byte, limit int) int {
	if len(payload) < 4 {
		return 0
	}
	stated := int(binary.LittleEndian.Uint32(payload[len(payload)-4:]))
	return min(stated, limit, maxInflation*len(payload))
}
