package record

import (
	"bytes"
	"fmt"
	"slices"
	"time"

	"aws-streaming-pipeline/record/jsonscan"
)

const (
	// EventIDName is the name of the member that AppendJSONLine adds to every record.
	EventIDName = "event_id"
	// ArrivedAtName is the name of the member that AppendArrivalLine adds, too.
	ArrivedAtName = "_arrived_at"
)

// AppendJSONLine checks that the payload is one JSON object (RFC 8259) and appends it to dst as a line: its bytes
// unchanged, "event_id" as the last member of the object, and a line feed. It reads each byte once, allocates nothing if
// dst has room, and keeps nothing of r.
//
// There are four exceptions to "unchanged". White space around the object and a byte order mark before it are dropped:
// RFC 8259, section 8.1, allows a reader to ignore the mark, and a line must not contain it. Line feeds and carriage
// returns between tokens become spaces, because a line must not be broken; within strings they are always escaped, and
// are kept. If the object has members named "event_id" already, however spelled, their values are replaced, and none is
// added.
//
// It accepts what encoding/json and utf8.Valid accept, with two differences: encoding/json rejects the mark, and allows
// 10,000 levels of nesting rather than jsonscan.MaxDepth. Member names may repeat, and escaped surrogates may lack their
// partner: the grammar allows both.
//
// On error, which is always a *Fault, it returns dst with its original length. If the record already has a Fault, it
// returns that one. The sequence number must be decimal, as Kinesis's are.
func AppendJSONLine(dst []byte, r *Record) ([]byte, error) { return appendLine(dst, r, false) }

// AppendArrivalLine is AppendJSONLine, but adds "_arrived_at" after "event_id" and by the same rules: the time of the
// record's arrival as RFC 3339 has it, in UTC with milliseconds, such as "2026-01-31T10:00:00.123Z".
func AppendArrivalLine(dst []byte, r *Record) ([]byte, error) { return appendLine(dst, r, true) }

func appendLine(dst []byte, r *Record, arrival bool) ([]byte, error) {
	start, fault := findObject(r)
	if fault != nil {
		return dst, fault
	}
	line := NewObjectLine(dst, r, arrival)
	if fault := readObject(r.Data, start, &line); fault != nil {
		return dst, fault
	}
	return line.End(), nil
}

// CheckJSON returns the Fault with which AppendJSONLine would refuse the record, or nil.
func CheckJSON(r *Record) *Fault {
	start, fault := findObject(r)
	if fault != nil {
		return fault
	}
	return readObject(r.Data, start, nil)
}

// CheckJSONValue returns the Fault of a payload that is not a single JSON value, of any kind, or nil.
func CheckJSONValue(payload []byte) *Fault {
	start := jsonscan.Start(payload)
	if start >= len(payload) {
		return emptyPayload(payload)
	}
	end, p := jsonscan.Value(payload, start, 0)
	if p != jsonscan.None {
		return faultAt(p, end)
	}
	return nothingBehind(payload, end)
}

// findObject returns where the payload's object begins.
func findObject(r *Record) (start int, f *Fault) {
	if r.Fault != nil {
		return 0, r.Fault
	}
	start = jsonscan.Start(r.Data)
	if start >= len(r.Data) {
		return 0, emptyPayload(r.Data)
	}
	if r.Data[start] != '{' {
		return 0, notAnObject(r.Data, start)
	}
	return start, nil
}

// faultAt returns the Fault for a problem. It names the place, and quotes nothing of the payload.
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

func emptyPayload(b []byte) *Fault {
	return fault(CodeJSONEmpty, fmt.Sprintf("the payload is empty or white space; its size is %d bytes", len(b)))
}

// notAnObject distinguishes JSON values that are not objects from invalid JSON.
func notAnObject(b []byte, start int) *Fault {
	if end, p := jsonscan.Value(b, start, 0); p != jsonscan.None {
		return faultAt(p, end)
	}
	return fault(CodeJSONNotAnObject, fmt.Sprintf("the JSON value at byte %d is not an object", start))
}

// readObject checks the object at start, and that nothing follows it. If there is a line, it passes the members to it
// that the line replaces.
func readObject(b []byte, start int, line *ObjectLine) *Fault {
	i := jsonscan.Space(b, start+1)
	if i < len(b) && b[i] == '}' {
		return nothingBehind(b, i+1)
	}
	for {
		keyEnd, escaped, value, p := jsonscan.Key(b, i)
		if p != jsonscan.None {
			return faultAt(p, value)
		}
		valueEnd, p := jsonscan.Value(b, value, 1)
		if p != jsonscan.None {
			return faultAt(p, valueEnd)
		}
		if line != nil && line.Replaces(b[i+1:keyEnd-1], escaped) {
			line.Replace(b[i+1:keyEnd-1], escaped, value, valueEnd)
		}
		if valueEnd+1 < len(b) && b[valueEnd] == ',' && b[valueEnd+1] == '"' {
			i = valueEnd + 1
			continue
		}
		more, next, p := jsonscan.Separator(b, valueEnd, '}')
		if p != jsonscan.None {
			return faultAt(p, next)
		}
		if i = next; !more {
			return nothingBehind(b, i)
		}
	}
}

func nothingBehind(b []byte, end int) *Fault {
	if rest := jsonscan.Space(b, end); rest < len(b) {
		return fault(CodeJSONTrailingData, fmt.Sprintf("data after the object at byte %d", rest))
	}
	return nil
}

// ObjectLine appends a record as AppendJSONLine does, or AppendArrivalLine, while its caller checks the record's payload.
type ObjectLine struct {
	dst     []byte
	begin   int // of the line in dst
	r       *Record
	copied  int  // bytes of the payload that are in the line, or were left out
	arrival bool // adds _arrived_at

	hasEventID, hasArrival bool
}

// NewObjectLine starts a line at the end of dst, with the time of the arrival if arrival is set.
func NewObjectLine(dst []byte, r *Record, arrival bool) ObjectLine {
	return ObjectLine{dst: dst, begin: len(dst), r: r, arrival: arrival, copied: jsonscan.Start(r.Data)}
}

// Replaces reports whether the line has a value of its own for a member. The name is valid and without its quotes.
func (l *ObjectLine) Replaces(name []byte, escaped bool) bool {
	if escaped {
		return l.replacesEscaped(name)
	}
	return string(name) == EventIDName || l.arrival && string(name) == ArrivedAtName
}

func (l *ObjectLine) replacesEscaped(name []byte) bool {
	return isEscaped(name, EventIDName) || l.arrival && isEscaped(name, ArrivedAtName)
}

// Replace replaces the value, given by its offsets in the payload, of a member that Replaces reports. Call it in the order of
// the object's members.
func (l *ObjectLine) Replace(name []byte, escaped bool, value, end int) {
	if need := value - l.copied + len(l.r.SequenceNumber) + 64; need > cap(l.dst)-len(l.dst) {
		l.dst = slices.Grow(l.dst, max(need, len(l.dst))) // many such members: append would grow by a quarter each time
	}
	l.dst = append(l.dst, l.r.Data[l.copied:value]...)
	if string(name) == EventIDName || escaped && isEscaped(name, EventIDName) {
		l.dst = appendQuotedEventID(l.dst, l.r)
		l.hasEventID = true
	} else {
		l.dst = appendQuotedArrival(l.dst, l.r)
		l.hasArrival = true
	}
	l.copied = end
}

// End returns dst with the complete line. The payload must be a JSON object that AppendJSONLine accepts.
func (l *ObjectLine) End() []byte {
	b := l.r.Data
	end := bytes.LastIndexByte(b, '}')
	dst := append(l.dst, b[l.copied:end]...)
	if !l.hasEventID {
		if l.hasArrival || jsonscan.Space(b, l.copied+1) < end {
			dst = append(dst, ',')
		}
		dst = append(dst, `"`+EventIDName+`":`...)
		dst = appendQuotedEventID(dst, l.r)
	}
	if l.arrival && !l.hasArrival {
		dst = append(dst, `,"`+ArrivedAtName+`":`...)
		dst = appendQuotedArrival(dst, l.r)
	}
	dst = append(dst, '}')
	unbreak(dst[l.begin:])
	return append(dst, '\n')
}

func appendQuotedEventID(dst []byte, r *Record) []byte {
	dst = append(dst, '"')
	dst = r.AppendEventID(dst)
	return append(dst, '"')
}

func appendQuotedArrival(dst []byte, r *Record) []byte {
	dst = append(dst, '"')
	dst = r.Arrival.UTC().AppendFormat(dst, time.RFC3339) // four times as fast as a layout with milliseconds
	millis := r.Arrival.Nanosecond() / 1e6
	return append(dst[:len(dst)-len("Z")], '.', byte('0'+millis/100), byte('0'+millis/10%10), byte('0'+millis%10), 'Z', '"')
}

// isEscaped reports whether a name with escapes reads as another, which has none and is not longer than _arrived_at.
func isEscaped(name []byte, as string) bool {
	const longest = len(ArrivedAtName) * len(`\u0065`)
	var room [longest]byte
	return len(name) <= longest && string(jsonscan.AppendUnescaped(room[:0], name)) == as
}

// unbreak replaces the line breaks of a valid JSON text, all of them between tokens, with spaces.
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
