package rows

import (
	"bytes"
	"errors"
	"io"
	"time"

	"aws-streaming-pipeline/record/jsonscan"
	"aws-streaming-pipeline/record/schema"
	"aws-streaming-pipeline/record/schema/shred"
	"aws-streaming-pipeline/writers/jsonl"
)

const (
	// lineRoom is the memory for lines to begin with.
	lineRoom = 256 << 10
	// maxLine bounds a line. Kinesis's greatest record has 10 MiB.
	maxLine = 64 << 20
)

// lines reads JSON Lines.
type lines struct {
	stream *stream
	plain  io.ReadCloser
	ended  error // what plain has ended with

	room       []byte
	start, end int // of what has been read and is not used yet

	names   map[string]int // of the members, by their place among the values or by what is below 0
	guesses []guess        // the members of the last records, in their order
	guessed int            // the one that is expected next
	scratch []byte         // unescaped text of the row
	rest    []byte
	dates   shred.Calendar
}

// The places of members that are not values.
const (
	inRest = -1 - iota
	isEventID
	isArrivedAt
)

// guess is a member's name as it stood in a record, with its quotes and colon.
type guess struct {
	name  []byte
	place int
}

// maxGuesses bounds what is remembered of records whose members are always others.
const maxGuesses = 200

func openLines(s *stream, first []byte, members []string) (source, error) {
	plain, err := jsonl.Open(io.MultiReader(bytes.NewReader(first), s))
	if err != nil {
		return nil, errors.Join(torn("%w", err), s.Close())
	}
	l := &lines{stream: s, plain: plain, room: make([]byte, lineRoom), names: make(map[string]int, len(members)+2)}
	for i, name := range members {
		l.names[name] = i
	}
	l.names[schema.EventIDColumn], l.names[schema.ArrivedAtColumn] = isEventID, isArrivedAt
	return l, nil
}

func (l *lines) close() error { return errors.Join(l.plain.Close(), l.stream.Close()) }

func (l *lines) next(row *Row) error {
	line, err := l.line()
	if err != nil {
		return err
	}
	row.EventID, row.ArrivedAt, row.Rest = nil, time.Time{}, nil
	clear(row.Values)
	l.scratch, l.rest = l.scratch[:0], l.rest[:0]
	if at, p := l.members(line, row); p != jsonscan.None {
		return torn("row %d: invalid JSON at byte %d", row.Number, at)
	}
	if len(l.rest) > 0 {
		l.rest = append(l.rest, '}')
		row.Rest = l.rest
	}
	return nil
}

// line returns the next line without its line feed. It is valid until the next call.
func (l *lines) line() ([]byte, error) {
	searched := l.start
	for {
		if i := bytes.IndexByte(l.room[searched:l.end], '\n'); i >= 0 {
			line := l.room[l.start : searched+i]
			l.start = searched + i + 1
			return line, nil
		}
		searched = l.end
		switch {
		case l.ended == io.EOF && l.start == l.end:
			return nil, io.EOF
		case l.ended == io.EOF:
			return nil, torn("it ends within a line")
		case l.ended != nil:
			return nil, torn("%w", l.ended)
		}
		if l.start > 0 && l.end == len(l.room) {
			l.end, searched = copy(l.room, l.room[l.start:l.end]), searched-l.start
			l.start = 0
		}
		if l.end == len(l.room) {
			if len(l.room) >= maxLine {
				return nil, torn("a line has more than %d bytes", maxLine)
			}
			l.room = append(l.room, make([]byte, len(l.room))...)
		}
		var n int
		n, l.ended = l.plain.Read(l.room[l.end:])
		l.end += n
	}
}

// members reads the object of a line into the row. It returns the offset of a problem.
func (l *lines) members(b []byte, row *Row) (int, jsonscan.Problem) {
	if len(b) == 0 || b[0] != '{' {
		return 0, jsonscan.Malformed
	}
	i := jsonscan.Space(b, 1)
	if i < len(b) && b[i] == '}' {
		return l.nothingAfter(b, i+1)
	}
	rest := -1 // where the members begin that are to be copied next
	l.guessed = 0
	for more := true; more; {
		key := i
		place, value, p := l.key(b, i)
		if p != jsonscan.None {
			return value, p
		}
		var end int
		if place == inRest {
			end, p = jsonscan.Value(b, value, 1)
		} else if end, p = l.value(b, value, &place, row); place != inRest && rest >= 0 {
			l.keep(b[rest:key])
			rest = -1
		}
		if p != jsonscan.None {
			return end, p
		}
		if place == inRest && rest < 0 {
			rest = key
		}
		if end+1 < len(b) && b[end] == ',' && b[end+1] == '"' {
			i = end + 1
			continue
		}
		if more, i, p = jsonscan.Separator(b, end, '}'); p != jsonscan.None {
			return i, p
		}
		if !more && rest >= 0 {
			l.keep(b[rest:end])
		}
	}
	return l.nothingAfter(b, i)
}

func (l *lines) nothingAfter(b []byte, i int) (int, jsonscan.Problem) {
	if i = jsonscan.Space(b, i); i < len(b) {
		return i, jsonscan.Malformed
	}
	return i, jsonscan.None
}

// keep copies members that stand one after the other, perhaps with a comma and space at their end.
func (l *lines) keep(members []byte) {
	members = bytes.TrimRight(members, " \t\r\n")
	if n := len(members); members[n-1] == ',' {
		members = members[:n-1]
	}
	if len(l.rest) == 0 {
		l.rest = append(l.rest, '{')
	} else {
		l.rest = append(l.rest, ',')
	}
	l.rest = append(l.rest, members...)
}

// key reads the name of a member, which begins at i, and returns its place and where its value begins.
func (l *lines) key(b []byte, i int) (place, value int, p jsonscan.Problem) {
	for k := l.guessed; k < min(len(l.guesses), l.guessed+2); k++ { // most often one optional member is missing
		if g := &l.guesses[k]; len(b)-i > len(g.name) && string(b[i:i+len(g.name)]) == string(g.name) {
			if value = i + len(g.name); b[value] <= ' ' {
				value = jsonscan.Space(b, value)
			}
			l.guessed = k + 1
			return g.place, value, jsonscan.None
		}
	}
	end, escaped, value, p := jsonscan.Key(b, i)
	if p != jsonscan.None {
		return 0, value, p
	}
	name := b[i+1 : end-1]
	if escaped {
		begin := len(l.scratch)
		l.scratch = jsonscan.AppendUnescaped(l.scratch, name)
		name = l.scratch[begin:]
	}
	place, known := l.names[string(name)]
	if !known {
		place = inRest
	}
	if b[end] == ':' {
		l.remember(b[i:end+1], place)
	}
	return place, value, jsonscan.None
}

// remember takes note of a member's name, with its colon.
func (l *lines) remember(name []byte, place int) {
	switch {
	case len(name) > 64 || l.guessed >= maxGuesses:
		return
	case l.guessed == len(l.guesses):
		l.guesses = append(l.guesses, guess{})
	}
	g := &l.guesses[l.guessed]
	g.name, g.place = append(g.name[:0], name...), place
	l.guessed++
}

// value reads the value of a member with a place. A further value of one name goes to the rest: it changes the place.
func (l *lines) value(b []byte, i int, place *int, row *Row) (int, jsonscan.Problem) {
	v, end, scratch, p := Scan(b, i, 1, l.scratch)
	l.scratch = scratch
	switch at := *place; {
	case p != jsonscan.None:
	case at == isEventID:
		row.EventID = v.Text
	case at == isArrivedAt:
		if micros, ok := l.dates.Timestamp(v.Text); ok {
			row.ArrivedAt = time.UnixMicro(micros)
		}
	case row.Values[at].Kind == Null:
		row.Values[at] = v
	case v.Kind != Null:
		*place = inRest
	}
	return end, p
}
