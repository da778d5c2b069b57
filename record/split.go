package record

import (
	"bytes"
	"fmt"
	"slices"

	"aws-streaming-pipeline/record/jsonscan"
)

// splitter appends the parts of one payload to a slice of records: either all parts, or the whole payload with a Fault.
type splitter struct {
	dst   []Record
	first int // of the payload's records in dst
	whole Record
	left  *budget
	fault *Fault
}

// newSplitter makes room for the expected number of parts.
func newSplitter(dst []Record, whole Record, left *budget, expected int) *splitter {
	dst = slices.Grow(dst, min(expected, left.parts, left.descriptions/objectBytes+1))
	return &splitter{dst: dst, first: len(dst), whole: whole, left: left}
}

// add appends one part. It returns false if the bound is reached and splitting must end.
func (s *splitter) add(data []byte, f *Fault) bool {
	n := len(s.dst) - s.first
	part := s.whole
	part.Data, part.Fault = data, f
	part.Split, part.Part = true, n
	if n >= s.left.parts || n > 0 && !s.left.describe(&part) {
		s.fault = fault(CodeSplitTooManyRecords, fmt.Sprintf("a payload of %d bytes splits into more user records than the %d left for this Kinesis record", len(s.whole.Data), n))
		return false
	}
	if len(s.dst) == cap(s.dst) {
		s.dst = slices.Grow(s.dst, max(len(s.dst), 16)) // append grows by a quarter, and copies five times as much in all
	}
	s.dst = append(s.dst, part)
	return true
}

// records returns the slice with the parts. If there are none, or the whole has a fault, it holds the payload as received.
// A single part has no number.
func (s *splitter) records() []Record {
	n := len(s.dst) - s.first
	switch {
	case s.fault != nil || n == 0:
		s.whole.Fault = s.fault
		return append(s.dst[:s.first], s.whole)
	case n == 1:
		s.dst[s.first].Split = false
	default:
		s.left.parts -= n
	}
	return s.dst
}

// appendValues splits a payload at the ends of its JSON values.
func appendValues(dst []Record, u Record, left *budget) []Record {
	s := newSplitter(dst, u, left, 1)
	b := slices.Clip(u.Data)
	for i := jsonscan.Start(b); i < len(b); {
		end, p := jsonscan.Value(b, i, 0)
		if p != jsonscan.None {
			s.add(b[i:], faultAt(p, end-i))
			break
		}
		if !s.add(b[i:end:end], nil) {
			break
		}
		i = jsonscan.Space(b, end)
	}
	return s.records()
}

// appendLines splits a payload at its line feeds.
func appendLines(dst []Record, u Record, left *budget) []Record {
	s := newSplitter(dst, u, left, 1+bytes.Count(u.Data, []byte("\n")))
	for line := range bytes.Lines(u.Data) {
		line = bytes.Trim(line, " \t\r\n")
		if len(line) > 0 && !s.add(line[:len(line):len(line)], nil) {
			break
		}
	}
	return s.records()
}

// logEnvelope is a message of a CloudWatch Logs subscription (Amazon CloudWatch Logs User Guide, "Log group-level
// subscription filters", Example 1). All of it shares the payload's memory and is valid JSON.
type logEnvelope struct {
	messageType, owner, logGroup, logStream []byte // strings with their quotes
	logEvents                               []byte // an array of objects
	count                                   int    // of log events
}

// readLogEnvelope parses an envelope of log events. It accepts only the documented form.
func readLogEnvelope(payload []byte) (logEnvelope, bool) {
	var e logEnvelope
	ok := eachMember(payload, func(name, value []byte) {
		switch string(name) {
		case "messageType":
			e.messageType = value
		case "owner":
			e.owner = value
		case "logGroup":
			e.logGroup = value
		case "logStream":
			e.logStream = value
		case "logEvents":
			e.logEvents = value
		}
	})
	ok = ok && string(e.messageType) == `"DATA_MESSAGE"` && isJSONString(e.owner) && isJSONString(e.logGroup) &&
		isJSONString(e.logStream) && len(e.logEvents) > 0 && e.logEvents[0] == '['
	if !ok {
		return logEnvelope{}, false
	}
	eachElement(e.logEvents, func(event []byte) bool {
		_, ok = logMessage(event)
		e.count++
		return ok
	})
	return e, ok
}

func isJSONString(value []byte) bool { return len(value) > 0 && value[0] == '"' }

// logMessage returns the message of a log event, with its quotes. The event is a valid JSON value.
func logMessage(event []byte) (message []byte, ok bool) {
	ok = eachMember(event, func(name, value []byte) {
		if string(name) == "message" {
			message = value
		}
	})
	return message, ok && isJSONString(message)
}

const (
	// leastEventBytes is the least average size of log events: CloudWatch Logs gives each an id of 56 digits and a timestamp.
	leastEventBytes = 64
	someEventBytes  = 4096
)

// appendLogEvents splits an envelope into its log events.
func appendLogEvents(dst []Record, u Record, e logEnvelope, mode LogEventMode, left *budget) []Record {
	s := newSplitter(dst, u, left, e.count)
	switch {
	case e.count*leastEventBytes > len(u.Data)+someEventBytes:
		s.fault = fault(CodeSplitTooManyRecords, fmt.Sprintf("%d log events in a payload of %d bytes: each takes at least %d bytes", e.count, len(u.Data), leastEventBytes))
	case mode == LogEventsMessage:
		s.addMessages(e)
	default:
		s.addEvents(e)
	}
	return s.records()
}

// addMessages adds the text of each event's message.
func (s *splitter) addMessages(e logEnvelope) {
	var unescaped []byte // holds the texts that are escaped in the payload; never longer than it
	eachElement(e.logEvents, func(event []byte) bool {
		message, _ := logMessage(event)
		text := message[1 : len(message)-1]
		if bytes.IndexByte(text, '\\') >= 0 {
			if unescaped == nil {
				unescaped = make([]byte, 0, len(e.logEvents))
			}
			start := len(unescaped)
			unescaped = jsonscan.AppendUnescaped(unescaped, text)
			text = unescaped[start:]
		}
		return s.add(text[:len(text):len(text)], nil)
	})
}

// maxEventGrowth bounds how many times larger a payload may become by the names added to each event. CloudWatch Logs
// allows names of 512 characters (CreateLogGroup, CreateLogStream), and most events have hundreds: a payload hardly
// doubles.
const maxEventGrowth = 16

// addEvents adds each event's object, with the envelope's members as its last ones.
func (s *splitter) addEvents(e logEnvelope) {
	const ownerName, groupName, streamName = `,"owner":`, `,"logGroup":`, `,"logStream":`
	added := len(ownerName) + len(e.owner) + len(groupName) + len(e.logGroup) + len(streamName) + len(e.logStream)
	size := len(e.logEvents) + e.count*added
	if most := min(s.left.bytes, maxEventGrowth*len(s.whole.Data)); size > most {
		s.fault = fault(CodeSplitTooLarge, fmt.Sprintf("the %d log events of a payload of %d bytes take up more than the %d bytes, including the names of their log, that its size and the budget of this Kinesis record allow", e.count, len(s.whole.Data), most))
		return
	}
	s.left.bytes -= size
	objects := make([]byte, 0, size)
	eachElement(e.logEvents, func(event []byte) bool {
		start := len(objects)
		objects = append(objects, event[:len(event)-1]...)
		objects = append(objects, ownerName...)
		objects = append(objects, e.owner...)
		objects = append(objects, groupName...)
		objects = append(objects, e.logGroup...)
		objects = append(objects, streamName...)
		objects = append(objects, e.logStream...)
		objects = append(objects, '}')
		return s.add(objects[start:len(objects):len(objects)], nil)
	})
}

// eachMember calls do for each member of a JSON object, with the name as spelled between its quotes. It returns false
// if the text is not a single valid object; do may have been called before it notices.
func eachMember(text []byte, do func(name, value []byte)) bool {
	i := jsonscan.Start(text)
	if i >= len(text) || text[i] != '{' {
		return false
	}
	i = jsonscan.Space(text, i+1)
	for i < len(text) && text[i] != '}' {
		nameEnd, _, value, p := jsonscan.Key(text, i)
		if p != jsonscan.None {
			return false
		}
		end, p := jsonscan.Value(text, value, 1)
		if p != jsonscan.None {
			return false
		}
		do(text[i+1:nameEnd-1], text[value:end])
		i = jsonscan.Space(text, end)
		if i < len(text) && text[i] == ',' {
			if i = jsonscan.Space(text, i+1); i < len(text) && text[i] == '}' {
				return false
			}
			continue
		}
		break
	}
	return i < len(text) && text[i] == '}' && jsonscan.Space(text, i+1) == len(text)
}

// eachElement calls do for each element of a valid JSON array until it returns false.
func eachElement(array []byte, do func(value []byte) bool) {
	for i := jsonscan.Space(array, 1); array[i] != ']'; {
		end, _ := jsonscan.Value(array, i, 1)
		if !do(array[i:end]) {
			return
		}
		if i = jsonscan.Space(array, end); array[i] == ',' {
			i = jsonscan.Space(array, i+1)
		}
	}
}
