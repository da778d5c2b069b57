package shred

import (
	"bytes"

	"aws-streaming-pipeline/record/schema"
)

const (
	// spread bounds what a byte of a record may add to the columns beside its values: places without a value, and bytes
	// of pointers in _extra. In a list of objects with hundreds of members, {} adds hundreds of places with three bytes,
	// and a record of 10 MiB would take up gigabytes. A strict schema refuses what is beyond; without a schema the record
	// goes to _extra whole.
	spread = 16
	// someSpread is free: a hundred elements of hundreds of members, nearly all of them absent, are nothing to a worker.
	someSpread = 64 << 10
)

// Spread is the most that one value of a record can add to the columns of a schema beside itself.
type Spread struct{ value int }

// SpreadOf returns the Spread of a schema.
func SpreadOf(s *schema.Schema) Spread {
	places := 0
	for _, c := range New(s, false).Columns() {
		if !c.Flat() {
			places++
		}
	}
	return Spread{places + longestPointer(s.Fields)}
}

// longestPointer returns the greatest length of a JSON Pointer to a value below one of the fields, without the value's own
// name.
func longestPointer(fields []*schema.Field) (longest int) {
	for _, f := range fields {
		below, steps := f, 0
		for below.Element != nil {
			below, steps = below.Element, steps+len("/9223372036854775807")
		}
		if below != f || f.Kind == schema.Group {
			longest = max(longest, 1+2*len(f.Name)+steps+longestPointer(below.Fields)) // escaped, a name may be twice as long
		}
	}
	return longest
}

// MayBeTooLarge reports whether a Shredder of the schema may find a record too large for its columns. It is quick and errs
// only towards true.
func (s Spread) MayBeTooLarge(record []byte) bool {
	if s.value == 0 {
		return false
	}
	values := 1
	for _, before := range []string{",", "{", "["} {
		values += bytes.Count(record, []byte(before))
	}
	// A value that goes to _extra adds its own name, too, which is in the record: at most twice as long when it is escaped.
	return values*(s.value+1) > (spread-2)*len(record)+someSpread
}
