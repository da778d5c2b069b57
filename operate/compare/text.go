package compare

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"aws-streaming-pipeline/record/jsonscan"
)

// maxRecord limits the length of a record in a text. A record has up to record.DefaultMaxOpenedBytes, 64 MiB, and an event
// id.
const maxRecord = 128 << 20

// errNotJSON means that a text has something that is not a JSON object or array.
var errNotJSON = errors.New("not a JSON object or array: --raw compares such records byte by byte, up to a line feed")

// texts splits a text into records: JSON objects and arrays, whatever white space is between them, which may be none. With
// raw, anything else up to a line feed is a record, too.
type texts struct {
	in     io.Reader
	raw    bool
	buffer []byte // what has been read
	at     int    // where the next record starts, or white space before it
	ended  bool   // nothing follows the buffer
	passed int64  // bytes before the buffer
}

func newTexts(in io.Reader, raw bool) *texts {
	return &texts{in: in, raw: raw, buffer: make([]byte, 0, 64<<10)}
}

// next returns the next record, which is valid until the following call, and whether it is JSON. At the end of the text it
// returns io.EOF.
func (t *texts) next() (record []byte, isJSON bool, err error) {
	for {
		i := t.start()
		if i == len(t.buffer) {
			if t.ended {
				return nil, false, io.EOF
			}
			if err := t.fill(); err != nil {
				return nil, false, err
			}
			continue
		}
		record, isJSON, whole := t.record(i)
		switch {
		case !whole:
			if err := t.fill(); err != nil {
				return nil, false, err
			}
			continue
		case record == nil:
			return nil, false, fmt.Errorf("byte %d of the text: %w", t.passed+int64(i), errNotJSON)
		}
		return record, isJSON, nil
	}
}

// start returns where the next record starts, after white space and byte order marks. A raw record starts at t.at, so it
// keeps the white space at its beginning.
func (t *texts) start() int {
	rest := t.buffer[t.at:]
	i := jsonscan.Space(rest, 0)
	i += jsonscan.Start(rest[i:])
	if last := bytes.LastIndexByte(rest[:i], '\n'); last >= 0 {
		t.at += last + 1
		i -= last + 1
	}
	return t.at + i
}

// record takes the record at i. It is not whole if it may go on after the buffer, and nil if it is not one.
func (t *texts) record(i int) (record []byte, isJSON, whole bool) {
	if c := t.buffer[i]; c == '{' || c == '[' {
		end, p := jsonscan.Value(t.buffer, i, 0)
		if p == jsonscan.None {
			t.at = end
			return t.buffer[i:end], true, true
		}
		// A character that the buffer cuts off is not valid UTF-8.
		if !t.ended && (p == jsonscan.Truncated || len(t.buffer)-end < 4) {
			return nil, false, false
		}
	}
	if len(t.buffer)-i < len(jsonscan.ByteOrderMark) && !t.ended {
		return nil, false, false
	}
	if !t.raw {
		return nil, false, true
	}
	end := bytes.IndexByte(t.buffer[t.at:], '\n')
	if end < 0 {
		if !t.ended {
			return nil, false, false
		}
		end = len(t.buffer) - t.at
	}
	record = t.buffer[t.at : t.at+end]
	t.at += end
	return record, false, true
}

// fill reads more of the text, at least as much as there is of the record under way: a long record is then scanned a few
// times only.
func (t *texts) fill() error {
	t.passed += int64(t.at)
	t.buffer = t.buffer[:copy(t.buffer, t.buffer[t.at:])]
	t.at = 0
	if len(t.buffer) > maxRecord {
		return fmt.Errorf("a record has more than %d bytes", maxRecord)
	}
	if 2*len(t.buffer) > cap(t.buffer) {
		t.buffer = append(make([]byte, 0, 4*len(t.buffer)), t.buffer...)
	}
	for len(t.buffer) < cap(t.buffer) {
		n, err := t.in.Read(t.buffer[len(t.buffer):cap(t.buffer)])
		t.buffer = t.buffer[:len(t.buffer)+n]
		if errors.Is(err, io.EOF) {
			t.ended = true
			return nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}
