package source

import (
	"bytes"
	"fmt"
	"strconv"

	"github.com/segmentio/asm/base64"

	"aws-streaming-pipeline/record/jsonscan"
)

// jsonReader reads the answer of GetRecords in AWS JSON 1.1. It unescapes strings and decodes payloads in place. It
// keeps its first error; after it nothing is read and everything is empty.
type jsonReader struct {
	b   []byte
	at  int
	err error
}

func (r *jsonReader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf("JSON at byte %d: %s", r.at, fmt.Sprintf(format, args...))
	}
	r.at = len(r.b)
}

// peek skips white space and returns the next byte; 0 at the end.
func (r *jsonReader) peek() byte {
	if r.at < len(r.b) && r.b[r.at] > ' ' {
		return r.b[r.at]
	}
	r.at = jsonscan.Space(r.b, r.at)
	if r.at < len(r.b) {
		return r.b[r.at]
	}
	return 0
}

func (r *jsonReader) expect(c byte, what string) {
	if r.peek() != c {
		r.fail("%s does not begin with %q", what, c)
		return
	}
	r.at++
}

// null skips a null, and reports whether there was one.
func (r *jsonReader) null() bool {
	if r.peek() == 'n' && bytes.HasPrefix(r.b[r.at:], []byte("null")) {
		r.at += 4
		return true
	}
	return false
}

// more reports whether the list or object has another element, which the caller then reads. first is true before the
// first one.
func (r *jsonReader) more(first *bool, end byte) bool {
	if r.err != nil {
		return false
	}
	c := r.peek()
	if c == end {
		r.at++
		return false
	}
	if *first {
		*first = false
		return true
	}
	r.expect(',', "the text after a value")
	return r.err == nil
}

// name reads the name of a member and the colon after it.
func (r *jsonReader) name() []byte {
	s := r.str("a name")
	r.expect(':', "the text after a name")
	return r.b[s.from:s.to]
}

// str reads a string.
func (r *jsonReader) str(what string) span {
	if r.peek() != '"' {
		r.fail("%s is not a string", what)
		return span{}
	}
	r.at++
	from := r.at
	n := bytes.IndexByte(r.b[from:], '"')
	if n < 0 {
		r.fail("%s is truncated", what)
		return span{}
	}
	if bytes.IndexByte(r.b[from:from+n], '\\') >= 0 {
		return r.unescape(what)
	}
	r.at = from + n + 1
	return span{uint32(from), uint32(from + n)}
}

// unescape reads the rest of a string and joins its bytes in place.
func (r *jsonReader) unescape(what string) span {
	from := r.at
	for r.at < len(r.b) && r.b[r.at] != '"' {
		if r.b[r.at] != '\\' {
			r.at++
			continue
		}
		end, p := jsonscan.Escape(r.b, r.at)
		if p == jsonscan.Malformed {
			r.fail("%s has an escape that is not JSON", what)
			return span{}
		}
		r.at = end
	}
	if r.at >= len(r.b) {
		r.fail("%s is truncated", what)
		return span{}
	}
	text := jsonscan.AppendUnescaped(r.b[:from], r.b[from:r.at])
	r.at++
	return span{uint32(from), uint32(len(text))}
}

// payload reads a base64 string and decodes it in place.
func (r *jsonReader) payload(what string) span {
	s := r.str(what)
	text := r.b[s.from:s.to]
	// Decode never writes past what it has read; TestPayload_IsDecodedInPlace holds it to that.
	n, err := base64.StdEncoding.Decode(text, text)
	if err != nil {
		r.fail("%s is not base64", what)
		return span{}
	}
	return span{s.from, s.from + uint32(n)}
}

// number reads a number.
func (r *jsonReader) number(what string) []byte {
	r.peek()
	from := r.at
	for r.at < len(r.b) {
		switch c := r.b[r.at]; {
		case c >= '0' && c <= '9', c == '-', c == '+', c == '.', c == 'e', c == 'E':
			r.at++
			continue
		}
		break
	}
	if r.at == from {
		r.fail("%s is not a number", what)
	}
	return r.b[from:r.at]
}

func (r *jsonReader) integer(what string) int64 {
	if r.null() {
		return 0
	}
	text := r.number(what)
	if r.err != nil {
		return 0
	}
	v, err := strconv.ParseInt(string(text), 10, 64)
	if err != nil {
		r.fail("%s: %v", what, err)
	}
	return v
}

// time reads seconds with a fraction as Unix milliseconds.
func (r *jsonReader) time(what string) int64 {
	text := r.number(what)
	if millis, ok := plainSeconds(text); ok {
		return millis
	}
	v, err := strconv.ParseFloat(string(text), 64)
	millis, ok := epochMillis(v)
	if r.err == nil && (err != nil || !ok) {
		r.fail("%s is not a time: %s", what, text)
	}
	return millis
}

// plainSeconds reads digits with at most three after a point, the usual form of a time.
func plainSeconds(text []byte) (millis int64, ok bool) {
	point := bytes.IndexByte(text, '.')
	if point < 1 || point > 11 || len(text) < point+2 || len(text) > point+4 {
		return 0, false
	}
	for i, c := range text {
		if i == point {
			continue
		}
		if c < '0' || c > '9' {
			return 0, false
		}
		millis = millis*10 + int64(c-'0')
	}
	for range point + 4 - len(text) {
		millis *= 10
	}
	return millis, true
}

func (r *jsonReader) skip() {
	r.peek()
	end, p := jsonscan.Value(r.b, r.at, 0)
	if p != jsonscan.None {
		r.fail("want a value")
		return
	}
	r.at = end
}

// decodeJSON reads the answer of GetRecords in JSON, or an event of SubscribeToShard.
func decodeJSON(a *answer) error {
	r := jsonReader{b: a.body.s}
	r.expect('{', "the answer")
	for first := true; r.more(&first, '}'); {
		switch string(r.name()) {
		case "Records":
			if r.null() {
				continue
			}
			a.listed = true
			r.expect('[', "Records")
			for first := true; r.more(&first, ']'); {
				a.entries.s = append(a.entries.s, r.entry())
			}
		case "NextShardIterator":
			a.next = r.textOrNull("NextShardIterator")
		case "ContinuationSequenceNumber":
			a.next = r.textOrNull("ContinuationSequenceNumber")
		case "MillisBehindLatest":
			a.behind, a.told = r.integer("MillisBehindLatest"), true
		case "ChildShards":
			if r.null() {
				continue
			}
			r.expect('[', "ChildShards")
			for first := true; r.more(&first, ']'); {
				a.children = append(a.children, r.childShard())
			}
		default:
			r.skip()
		}
	}
	if r.peek(); r.err == nil && r.at != len(r.b) {
		r.fail("%d bytes after the answer", len(r.b)-r.at)
	}
	return r.err
}

func (r *jsonReader) textOrNull(what string) string {
	if r.null() {
		return ""
	}
	s := r.str(what)
	return string(r.b[s.from:s.to])
}

func (r *jsonReader) entry() (e entry) {
	r.expect('{', "a record")
	for first := true; r.more(&first, '}'); {
		name := r.name()
		if r.null() {
			continue
		}
		switch string(name) {
		case "SequenceNumber":
			e.sequence = r.str("SequenceNumber")
		case "PartitionKey":
			e.key = r.str("PartitionKey")
		case "Data":
			e.data = r.payload("Data")
		case "ApproximateArrivalTimestamp":
			e.arrival = r.time("ApproximateArrivalTimestamp")
		default:
			r.skip()
		}
	}
	if e.sequence.from == e.sequence.to {
		r.fail("a record has no SequenceNumber")
	}
	return e
}

func (r *jsonReader) childShard() (id string) {
	r.expect('{', "a child shard")
	for first := true; r.more(&first, '}'); {
		if string(r.name()) == "ShardId" {
			id = r.textOrNull("ShardId")
			continue
		}
		r.skip()
	}
	return id
}
