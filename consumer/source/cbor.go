package source

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"

	"aws-streaming-pipeline/record"
)

// Major types of CBOR (RFC 8949, section 3.1), and the break that ends an item of indefinite length (section 3.2).
const (
	cborUint  = 0
	cborInt   = 1
	cborBytes = 2
	cborText  = 3
	cborList  = 4
	cborMap   = 5
	cborTag   = 6
	cborOther = 7

	cborNull  = 22
	cborBreak = 0xff

	// cborEpoch is the tag of a time as a number (section 3.4.2).
	cborEpoch = 1
	// maxCBORDepth bounds the nesting of skipped items.
	maxCBORDepth = 32
)

// cborReader reads one item after another. It keeps its first error; after it nothing is read and everything is empty.
type cborReader struct {
	b   []byte // what is there; its capacity has room for the rest
	at  int
	err error

	rest   io.Reader // where more comes from; nil if nothing does
	failed error     // of rest
}

// head is the beginning of an item.
type head struct {
	major byte
	info  byte // the lower five bits
	// arg is a number or a length. Without a length (indefinite) the item ends with a break.
	arg        uint64
	indefinite bool
}

func (r *cborReader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf("CBOR at byte %d: %s", r.at, fmt.Sprintf(format, args...))
	}
	r.at = len(r.b)
}

// has reports whether there are n more bytes, which it reads if need be.
func (r *cborReader) has(n uint64) bool {
	return n <= uint64(len(r.b)-r.at) || r.readOn(n)
}

// readOn reads what comes at once, but at least so much that there are n more bytes.
func (r *cborReader) readOn(n uint64) bool {
	here := len(r.b)
	if r.rest == nil || n > uint64(cap(r.b)-r.at) {
		return false
	}
	read, err := io.ReadAtLeast(r.rest, r.b[here:cap(r.b)], r.at+int(n)-here)
	r.b = r.b[:here+read]
	if err == nil {
		return true
	}
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	r.rest, r.failed = nil, err
	return false
}

func (r *cborReader) head() (h head) {
	if r.at >= len(r.b) && !r.readOn(1) {
		r.fail("the answer is truncated")
		return head{major: cborOther}
	}
	first := r.b[r.at]
	h.major, h.info = first>>5, first&31
	size := 0
	switch {
	case h.info < 24:
		h.arg = uint64(h.info)
	case h.info < 28:
		if size = 1 << (h.info - 24); !r.has(1 + uint64(size)) {
			r.fail("the answer is truncated")
			return head{major: cborOther}
		}
		rest := r.b[r.at+1:]
		switch size {
		case 1:
			h.arg = uint64(rest[0])
		case 2:
			h.arg = uint64(binary.BigEndian.Uint16(rest))
		case 4:
			h.arg = uint64(binary.BigEndian.Uint32(rest))
		case 8:
			h.arg = binary.BigEndian.Uint64(rest)
		}
	case h.info == 31 && h.major >= cborBytes && h.major <= cborMap:
		h.indefinite = true
	default:
		r.fail("byte %#02x does not begin an item", first)
		return head{major: cborOther}
	}
	r.at += 1 + size
	return h
}

// null skips a null, and reports whether there was one.
func (r *cborReader) null() bool {
	if r.at < len(r.b) && r.b[r.at] != cborOther<<5|cborNull {
		return false
	}
	return r.skipNull()
}

func (r *cborReader) skipNull() bool {
	if r.has(1) && r.b[r.at] == cborOther<<5|cborNull {
		r.at++
		return true
	}
	return false
}

// open reads the head of a list or a map.
func (r *cborReader) open(major byte, what string) (h head) {
	if h = r.head(); h.major != major {
		r.fail("%s is of major type %d, want %d", what, h.major, major)
	}
	return h
}

// more reports whether the list or map has another element, which the caller then reads.
func (r *cborReader) more(h *head) bool {
	if r.err != nil {
		return false
	}
	if !h.indefinite {
		h.arg--
		return h.arg != math.MaxUint64
	}
	if r.has(1) && r.b[r.at] == cborBreak {
		r.at++
		return false
	}
	return true
}

// str reads a string of a major type. Its chunks are joined in place.
func (r *cborReader) str(major byte, what string) span {
	h := r.open(major, what)
	if !h.indefinite {
		return r.take(h.arg)
	}
	whole := span{uint32(r.at), uint32(r.at)}
	for r.more(&h) {
		chunk := r.open(major, what)
		if chunk.indefinite {
			r.fail("nested chunks")
		}
		s := r.take(chunk.arg)
		whole.to += uint32(copy(r.b[whole.to:], r.b[s.from:s.to]))
	}
	return whole
}

// take skips n bytes.
func (r *cborReader) take(n uint64) span {
	if r.err != nil {
		return span{}
	}
	if !r.has(n) {
		r.fail("want %d bytes, %d left", n, len(r.b)-r.at)
		return span{}
	}
	s := span{uint32(r.at), uint32(r.at) + uint32(n)}
	r.at += int(n)
	return s
}

func (r *cborReader) text(what string) []byte {
	s := r.str(cborText, what)
	return r.b[s.from:s.to]
}

// textOrNull reads a text or a null.
func (r *cborReader) textOrNull(what string) string {
	if r.null() {
		return ""
	}
	return string(r.text(what))
}

// integer reads an integer or a null.
func (r *cborReader) integer(what string) int64 {
	if r.null() {
		return 0
	}
	h := r.head()
	switch {
	case h.arg > math.MaxInt64 || h.major > cborInt:
		r.fail("%s is not a 64-bit integer", what)
		return 0
	case h.major == cborInt:
		return -1 - int64(h.arg)
	}
	return int64(h.arg)
}

// time reads a point in time, tagged or not, in Unix milliseconds.
func (r *cborReader) time(what string) int64 {
	if r.null() {
		return 0
	}
	h := r.head()
	if h.major == cborTag {
		if h.arg != cborEpoch {
			r.fail("%s has tag %d, want %d", what, h.arg, cborEpoch)
		}
		h = r.head()
	}
	var v float64
	switch {
	case h.major == cborUint:
		v = float64(h.arg)
	case h.major == cborInt:
		v = -1 - float64(h.arg)
	case h.major == cborOther && h.info == 25:
		v = half(uint16(h.arg))
	case h.major == cborOther && h.info == 26:
		v = float64(math.Float32frombits(uint32(h.arg)))
	case h.major == cborOther && h.info == 27:
		v = math.Float64frombits(h.arg)
	default:
		r.fail("%s is not a number", what)
	}
	millis, ok := epochMillis(v)
	if !ok {
		r.fail("%s is not a time: %v", what, v)
	}
	return millis
}

// half returns the value of a 16-bit float (RFC 8949, appendix D).
func half(bits uint16) float64 {
	exponent, mantissa := int(bits>>10&31), float64(bits&1023)
	v := math.NaN()
	switch {
	case exponent == 0:
		v = math.Ldexp(mantissa, -24)
	case exponent < 31:
		v = math.Ldexp(mantissa+1024, exponent-25)
	case mantissa == 0:
		v = math.Inf(1)
	}
	if bits>>15 == 1 {
		return -v
	}
	return v
}

// skip skips one item of any type.
func (r *cborReader) skip(depth int) {
	if depth > maxCBORDepth {
		r.fail("nested deeper than %d", maxCBORDepth)
		return
	}
	h := r.head()
	switch h.major {
	case cborBytes, cborText:
		if !h.indefinite {
			r.take(h.arg)
			return
		}
		for r.more(&h) {
			r.skip(depth + 1)
		}
	case cborList, cborMap:
		for r.more(&h) {
			r.skip(depth + 1)
			if h.major == cborMap {
				r.skip(depth + 1)
			}
		}
	case cborTag:
		r.skip(depth + 1)
	}
}

// decodeCBOR reads the answer of GetRecords in CBOR, and the rest of its body. Payloads, keys and sequence numbers stay
// where they are.
func decodeCBOR(a *answer) error {
	r := cborReader{b: a.body.s}
	if a.rest != nil {
		r.b, r.rest = a.body.s[:0:len(a.body.s)], a.rest
	}
	defer func() { a.rest, a.failed = nil, r.failed }()
	a.ordered, a.whole = true, a.wholly != nil
	var last span // the sequence number of the record before
	for top := r.open(cborMap, "the answer"); r.more(&top); {
		switch string(r.text("a name")) {
		case "Records":
			if r.null() {
				continue
			}
			a.listed = true
			for list := r.open(cborList, "Records"); r.more(&list); {
				e := r.entry()
				a.ordered = a.ordered && (last == span{} || record.CompareSequence(a.text(e.sequence), a.text(last)) > 0)
				a.whole = a.whole && a.wholly(a.bytes(e.data))
				a.entries.s, last = append(a.entries.s, e), e.sequence
			}
		case "NextShardIterator":
			a.next = r.textOrNull("NextShardIterator")
		case "MillisBehindLatest":
			a.behind, a.told = r.integer("MillisBehindLatest"), true
		case "ChildShards":
			if r.null() {
				continue
			}
			for list := r.open(cborList, "ChildShards"); r.more(&list); {
				a.children = append(a.children, r.childShard())
			}
		default:
			r.skip(0)
		}
	}
	if r.err == nil && r.has(1) {
		r.fail("%d bytes after the answer", len(r.b)-r.at)
	}
	return r.err
}

func (r *cborReader) entry() (e entry) {
	for members := r.open(cborMap, "a record"); r.more(&members); {
		name := r.text("a name")
		if r.null() {
			continue
		}
		switch string(name) {
		case "SequenceNumber":
			e.sequence = r.str(cborText, "SequenceNumber")
		case "PartitionKey":
			e.key = r.str(cborText, "PartitionKey")
		case "Data":
			e.data = r.str(cborBytes, "Data")
		case "ApproximateArrivalTimestamp":
			e.arrival = r.time("ApproximateArrivalTimestamp")
		default:
			r.skip(0)
		}
	}
	if e.sequence.from == e.sequence.to {
		r.fail("a record has no SequenceNumber")
	}
	return e
}

func (r *cborReader) childShard() (id string) {
	for members := r.open(cborMap, "a child shard"); r.more(&members); {
		if string(r.text("a name")) == "ShardId" {
			id = r.textOrNull("ShardId")
			continue
		}
		r.skip(0)
	}
	return id
}

// cborError reads the body of an error.
func cborError(body []byte) (code, message string, err error) {
	r := cborReader{b: body}
	for members := r.open(cborMap, "an error"); r.more(&members); {
		switch string(r.text("a name")) {
		case "__type":
			code = r.textOrNull("__type")
		case "message", "Message":
			message = r.textOrNull("message")
		default:
			r.skip(0)
		}
	}
	return code, message, r.err
}
