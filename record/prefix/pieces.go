package prefix

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"time"
)

// Piece is a part of a data prefix: text, a field of a time, a partition key or a random string.
type Piece struct {
	// Text is text as it is in keys; empty for other pieces.
	Text string
	// Letter is the letter of a time's field, such as y, and Count how often it is repeated; 0 for other pieces.
	Letter byte
	Count  int
	// Key is the name of a partition key; empty for other pieces.
	Key string
	// Random is set for a random string.
	Random bool
	// Expression tells the expressions of the prefix apart, from 1: the fields of a time have one number, as has the text between
	// them. It is 0 for text outside expressions.
	Expression int
}

// Pieces returns the parts of a data prefix in their order, with what is appended to a prefix without expressions.
func Pieces(data string) ([]Piece, error) {
	text, _, _ := Complete(data, "!{firehose:error-output-type}/")
	t, err := parse(text, time.UTC)
	if err != nil {
		return nil, err
	}
	var pieces []Piece
	expression := 0
	for _, p := range t.pieces {
		if p.kind != kindText {
			expression++
		}
		switch p.kind {
		case kindText:
			pieces = append(pieces, Piece{Text: p.text})
		case kindTime:
			for _, f := range p.time {
				pieces = append(pieces, Piece{Text: f.literal, Letter: f.letter, Count: f.count, Expression: expression})
			}
		case kindRandom:
			pieces = append(pieces, Piece{Random: true, Expression: expression})
		case kindKey, kindGiven:
			pieces = append(pieces, Piece{Key: p.text, Expression: expression})
		default:
			return nil, errors.New("want no !{firehose:error-output-type}: only the error prefix may have it")
		}
	}
	return pieces, nil
}

// Time returns what a time's field is in the keys of records that arrive then, in the zone of the time.
func (p Piece) Time(at time.Time) string {
	f := timeField{letter: p.Letter, count: p.Count}
	return string(f.appendTo(nil, at))
}

// few are the letters of fields that have a few values, such as the names of the months, or the offsets of a zone.
const few = "GMLQqdDEaHkKhVOXxZ"

// Values returns what a time's field becomes in the years from first to last, in alphabetical order. ok is false for fields that may have
// thousands of values.
func (p Piece) Values(zone *time.Location, first, last int) (values []string, ok bool) {
	if p.Letter == 0 || strings.IndexByte(few, p.Letter) < 0 {
		return nil, false
	}
	seen := make(map[string]bool)
	for at := time.Date(first, 1, 1, 0, 0, 0, 0, zone); at.Year() <= last; at = at.Add(time.Hour) {
		seen[p.Time(at)] = true
	}
	return slices.Sorted(maps.Keys(seen)), true
}
