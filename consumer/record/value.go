package record

// SkipValue checks the JSON value that starts at offset i of b, without white space before it, and returns the offset
// behind it. ok is false if no value of RFC 8259 stands there, if its strings are not UTF-8, or if it is nested deeper
// than MaxDepth: what AppendJSONLine refuses, SkipValue refuses too. It allocates nothing.
func SkipValue(b []byte, i int) (end int, ok bool) {
	end, p := skipValue(b, i, 0)
	return end, p == fine
}

// SkipSpace returns the offset of the first byte at or after i that is not JSON white space; len(b) if there is none.
func SkipSpace(b []byte, i int) int { return skipSpace(b, i) }
