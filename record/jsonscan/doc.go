// Package jsonscan scans JSON text in place: it finds where a value ends and what is wrong with it, and builds no values.
//
// All parts of the pipeline that read records use these functions, so they agree on what is valid JSON: RFC 8259, in UTF-8,
// nested no deeper than MaxDepth. As the grammar allows, escaped surrogates may lack their partner, and members of an
// object may have the same name.
//
// A function takes the text and the offset at which to start, and returns the offset after what it has read, or a Problem
// and its offset. No function allocates memory, except AppendUnescaped if dst is too small.
package jsonscan

// MaxDepth bounds the nesting of objects and arrays, including the outermost one. RFC 8259, section 9, allows a bound;
// readers of our files have lower ones.
const MaxDepth = 1000

// ByteOrderMark is U+FEFF in UTF-8. RFC 8259, section 8.1, allows a reader to ignore one before the text.
const ByteOrderMark = "\xef\xbb\xbf"

// Problem is what is wrong with a text. It is found at the offending byte, or at the end of a text that ends too early.
type Problem uint8

const (
	None Problem = iota
	Malformed
	Truncated   // the text ends within a value
	InvalidUTF8 // in a string
	TooDeep     // at the bracket or brace that opens level MaxDepth+1
)

// here distinguishes malformed from truncated text: something is missing at i because the text ends, or because something
// else is there.
func here(b []byte, i int) (int, Problem) {
	if i >= len(b) {
		return len(b), Truncated
	}
	return i, Malformed
}
