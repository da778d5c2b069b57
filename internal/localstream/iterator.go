package localstream

import (
	"encoding/base64"
	"encoding/binary"
	"hash/crc32"
	"time"
)

// iterator is a position in a shard. Callers see an opaque string and may use it more than once.
type iterator struct {
	stream uint64 // serial
	shard  uint32 // index
	next   uint64 // ordinal of the first record that may be returned
	issued int64  // Unix milliseconds
	// continued marks the NextShardIterator of an answer: a caller that presents it has received everything before it.
	continued bool
}

const iteratorBytes = 8 + 4 + 8 + 8 + 1 + crc32.Size

func (it iterator) append(dst []byte) []byte {
	raw := make([]byte, 0, iteratorBytes)
	raw = binary.BigEndian.AppendUint64(raw, it.stream)
	raw = binary.BigEndian.AppendUint32(raw, it.shard)
	raw = binary.BigEndian.AppendUint64(raw, it.next)
	raw = binary.BigEndian.AppendUint64(raw, uint64(it.issued))
	if it.continued {
		raw = append(raw, 1)
	} else {
		raw = append(raw, 0)
	}
	raw = binary.BigEndian.AppendUint32(raw, crc32.ChecksumIEEE(raw))
	return base64.StdEncoding.AppendEncode(dst, raw)
}

func parseIterator(text string) (iterator, bool) {
	raw, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(raw) != iteratorBytes {
		return iterator{}, false
	}
	sum := raw[iteratorBytes-crc32.Size:]
	raw = raw[:iteratorBytes-crc32.Size]
	if crc32.ChecksumIEEE(raw) != binary.BigEndian.Uint32(sum) {
		return iterator{}, false
	}
	return iterator{
		stream:    binary.BigEndian.Uint64(raw),
		shard:     binary.BigEndian.Uint32(raw[8:]),
		next:      binary.BigEndian.Uint64(raw[12:]),
		issued:    int64(binary.BigEndian.Uint64(raw[20:])),
		continued: raw[28] == 1,
	}, true
}

// after returns the iterator after a page.
func (it iterator) after(p page, now time.Time) iterator {
	return iterator{stream: it.stream, shard: it.shard, next: p.next, issued: now.UnixMilli(), continued: true}
}

func (it iterator) expired(now time.Time) bool {
	return now.Sub(time.UnixMilli(it.issued)) > iteratorLife
}
