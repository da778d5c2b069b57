// Package jsonscan reads JSON text where it stands: it finds where a value ends and what is wrong with it, and makes nothing
// of what it reads.
//
// Everything of the pipeline that looks at records reads them by these functions, so that all of it takes the same text for
// JSON: RFC 8259, in UTF-8, nested no deeper than MaxDepth. Of strings that are escaped, surrogates may lack their partner,
// and members of one object may have the same name, as the grammar allows.
//
// A function takes the text and the offset where it begins to read, and returns the offset after what it has read, or a
// Problem and the offset where that is. No function allocates memory, but for AppendUnescaped where dst is too small.
package jsonscan

// MaxDepth is how deep objects and arrays may be nested, the outermost one counted. RFC 8259, section 9, allows a bound;
// readers of our files have lower ones than this.
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

// here tells malformed from truncated: what is missing at i is missing because the text ends, or because something else
// stands there.
func here(b []byte, i int) (int, Problem) {
	if i >= len(b) {
		return len(b), Truncated
	}
	return i, Malformed
}
