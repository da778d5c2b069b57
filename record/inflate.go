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

// isGzip reports whether a payload begins like a gzip stream with its only compression method (RFC 1952, section 2.3).
// JSON text cannot.
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
	// maxInflation bounds what a byte of gzip or zlib inflates to. Deflate allows at most 1,032 bytes, JSON and logs take 5
	// to 30: a payload of zeros would need a hundred times the memory of others of its size.
	maxInflation = 100
	// smallInflation is always allowed.
	smallInflation = 64 << 10
)

// InflationBound returns the number of bytes that a compressed payload of size bytes may inflate to when limit bytes are left.
func InflationBound(size, limit int) int {
	return min(limit, max(maxInflation*size, smallInflation))
}

// inflate decompresses a gzip stream of one or more members to at most limit bytes, and at most maxInflation times its
// size.
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
			return nil, fault(CodeGzipTooLarge, fmt.Sprintf("%d bytes of gzip inflate to more than the %d bytes that their size and the budget of this Kinesis record allow", len(payload), limit))
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

// sizeHint estimates the inflated size from the length at the end of the stream. A payload can give a false one, so the
// estimate stays below the limit.
func sizeHint(payload []byte, limit int) int {
	if len(payload) < 4 {
		return 0
	}
	stated := int(binary.LittleEndian.Uint32(payload[len(payload)-4:]))
	return min(stated, limit, maxInflation*len(payload))
}
