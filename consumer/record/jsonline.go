package record

import (
	"bytes"
	"fmt"
	"slices"

	"aws-streaming-pipeline/consumer/record/jsonscan"
)

// EventIDName is the name of the member that AppendJSONLine adds to every record.
const EventIDName = "event_id"

// AppendJSONLine checks that the payload is one JSON object, as RFC 8259 writes it, and appends it to dst as a line:
// its bytes as they are, "event_id" as the last member of the object, and a line feed. It looks at each byte once,
// allocates nothing if dst has room, and keeps nothing of r.
//
// Four things are not taken over as they are. White space around the object and a byte order mark before it are
// dropped; RFC 8259, section 8.1, allows a reader to ignore the mark, and a line must not carry it. Line breaks and
// carriage returns between tokens become spaces, because a line must not be broken; within strings they can only stand
// escaped, and stay so. And where the object has members of the name "event_id" already, however spelled, their values
// are replaced instead of a second one being added.
//
// It accepts what encoding/json and utf8.Valid accept, but for the mark, which encoding/json refuses, and for nesting
// deeper than jsonscan.MaxDepth, which it allows up to 10,000 levels. Member names may repeat, and surrogates may be escaped
// without a partner: the grammar allows both.
//
// On error, which is always a *Fault, dst comes back with the length it had. A record that carries a Fault already
// gives that one. The sequence number has to be decimal, as Kinesis's are.
func AppendJSONLine(dst []byte, r *Record) ([]byte, error) {
	if r.Fault != nil {
		return dst, r.Fault
	}
	start := jsonscan.Start(r.Data)
	if start >= len(r.Data) {
		return dst, fault(CodeJSONEmpty, fmt.Sprintf("the payload is empty or white space; its size is %d bytes", len(r.Data)))
	}
	if r.Data[start] != '{' {
		return dst, notAnObject(r.Data, start)
	}
	line, end, problem := appendObject(dst, r, start)
	if problem != jsonscan.None {
		return dst, faultAt(problem, end)
	}
	if rest := jsonscan.Space(r.Data, end); rest < len(r.Data) {
		return dst, fault(CodeJSONTrailingData, fmt.Sprintf("data behind the object at byte %d", rest))
	}
	unbreak(line[len(dst):])
	return append(line, '\n'), nil
}

// faultAt makes the Fault of a problem. It names the place, and nothing of what stands there.
func faultAt(p jsonscan.Problem, offset int) *Fault {
	switch p {
	case jsonscan.Truncated:
		return fault(CodeJSONTruncated, fmt.Sprintf("the payload ends at byte %d, within a JSON value", offset))
	case jsonscan.InvalidUTF8:
		return fault(CodeJSONInvalidUTF8, fmt.Sprintf("invalid UTF-8 in a string at byte %d", offset))
	case jsonscan.TooDeep:
		return fault(CodeJSONTooDeep, fmt.Sprintf("nested deeper than %d levels at byte %d", jsonscan.MaxDepth, offset))
	default:
		return fault(CodeJSONMalformed, fmt.Sprintf("invalid JSON at byte %d", offset))
	}
}

// notAnObject tells other JSON values from what is no JSON at all.
func notAnObject(b []byte, start int) *Fault {
	if end, p := jsonscan.Value(b, start, 0); p != jsonscan.None {
		return faultAt(p, end)
	}
	return fault(CodeJSONNotAnObject, fmt.Sprintf("the JSON value at byte %d is not an object", start))
}

// appendObject checks the object at start and appends it with its event id. It returns the offset behind the object,
// or that of the problem; what it has appended then is of no use.
func appendObject(dst []byte, r *Record, start int) (line []byte, end int, p jsonscan.Problem) {
	b := r.Data
	copied := start
	replaced := false
	i := jsonscan.Space(b, start+1)
	empty := i < len(b) && b[i] == '}'
	for !empty {
		keyEnd, escaped, value, p := jsonscan.Key(b, i)
		if p != jsonscan.None {
			return dst, value, p
		}
		valueEnd, p := jsonscan.Value(b, value, 1)
		if p != jsonscan.None {
			return dst, valueEnd, p
		}
		if isEventID(b[i+1:keyEnd-1], escaped) {
			if need := value - copied + len(r.SequenceNumber) + 64; need > cap(dst)-len(dst) {
				dst = slices.Grow(dst, max(need, len(dst))) // many such members: append would grow by a quarter each time
			}
			dst = append(dst, b[copied:value]...)
			dst = appendQuotedEventID(dst, r)
			copied = valueEnd
			replaced = true
		}
		i = jsonscan.Space(b, valueEnd)
		if i < len(b) && b[i] == ',' {
			i = jsonscan.Space(b, i+1)
			continue
		}
		if i < len(b) && b[i] == '}' {
			break
		}
		if i >= len(b) {
			return dst, i, jsonscan.Truncated
		}
		return dst, i, jsonscan.Malformed
	}
	dst = append(dst, b[copied:i]...)
	if !replaced {
		if !empty {
			dst = append(dst, ',')
		}
		dst = append(dst, `"`+EventIDName+`":`...)
		dst = appendQuotedEventID(dst, r)
	}
	return append(dst, '}'), i + 1, jsonscan.None
}

func appendQuotedEventID(dst []byte, r *Record) []byte {
	dst = append(dst, '"')
	dst = r.AppendEventID(dst)
	return append(dst, '"')
}

// isEventID tells whether the name between a member's quotes, which is valid, reads "event_id".
func isEventID(name []byte, escaped bool) bool {
	const longest = len(EventIDName) * len(`\u0065`)
	if !escaped || len(name) > longest {
		return string(name) == EventIDName
	}
	var room [longest]byte
	return string(jsonscan.AppendUnescaped(room[:0], name)) == EventIDName
}

// unbreak replaces the line breaks of a valid JSON text, which only stand between tokens, by spaces.
func unbreak(line []byte) {
	for _, c := range []byte("\n\r") {
		for i := bytes.IndexByte(line, c); i >= 0; {
			line[i] = ' '
			next := bytes.IndexByte(line[i+1:], c)
			if next < 0 {
				break
			}
			i += 1 + next
		}
	}
}
