package jsonscan

// Space returns the offset of the first byte at or after i that is not JSON white space.
func Space(b []byte, i int) int {
	for i < len(b) && b[i] <= ' ' && (b[i] == ' ' || b[i] == '\n' || b[i] == '\r' || b[i] == '\t') {
		i++
	}
	return i
}

// Start returns the offset of the first byte that is neither JSON white space nor a byte order mark before it.
func Start(b []byte) int {
	i := 0
	if len(b) >= len(ByteOrderMark) && string(b[:len(ByteOrderMark)]) == ByteOrderMark {
		i = len(ByteOrderMark)
	}
	return Space(b, i)
}

// Value checks the JSON value that starts at i, without white space before it, and returns the offset after it. depth
// is the number of objects and arrays around it.
func Value(b []byte, i, depth int) (int, Problem) {
	if i >= len(b) {
		return len(b), Truncated
	}
	switch c := b[i]; {
	case c == '"':
		end, _, p := String(b, i+1)
		return end, p
	case c == '-' || c-'0' <= 9:
		return Number(b, i)
	case c == '{':
		return object(b, i, depth+1)
	case c == '[':
		return array(b, i, depth+1)
	case c == 't':
		if end, ok := Literal(b, i, "true"); ok {
			return end, None
		}
		return brokenLiteral(b, i, "true")
	case c == 'f':
		if end, ok := Literal(b, i, "false"); ok {
			return end, None
		}
		return brokenLiteral(b, i, "false")
	case c == 'n':
		if end, ok := Literal(b, i, "null"); ok {
			return end, None
		}
		return brokenLiteral(b, i, "null")
	}
	return i, Malformed
}

// object checks the object whose brace stands at i.
func object(b []byte, i, depth int) (int, Problem) {
	if depth > MaxDepth {
		return i, TooDeep
	}
	i = Space(b, i+1)
	if i < len(b) && b[i] == '}' {
		return i + 1, None
	}
	for {
		_, _, value, p := Key(b, i)
		if p != None {
			return value, p
		}
		if i, p = Value(b, value, depth); p != None {
			return i, p
		}
		i = Space(b, i)
		if i < len(b) && b[i] == ',' {
			i = Space(b, i+1)
			continue
		}
		if i < len(b) && b[i] == '}' {
			return i + 1, None
		}
		return here(b, i)
	}
}

// array checks the array whose bracket stands at i.
func array(b []byte, i, depth int) (int, Problem) {
	if depth > MaxDepth {
		return i, TooDeep
	}
	i = Space(b, i+1)
	if i < len(b) && b[i] == ']' {
		return i + 1, None
	}
	for {
		var p Problem
		if i, p = Value(b, i, depth); p != None {
			return i, p
		}
		i = Space(b, i)
		if i < len(b) && b[i] == ',' {
			i = Space(b, i+1)
			continue
		}
		if i < len(b) && b[i] == ']' {
			return i + 1, None
		}
		return here(b, i)
	}
}

// Key checks a member's name, which starts at i, and the colon. It returns the offset after the name's closing quote, whether
// the name has escapes, and the offset of the value; the latter is the offset of the Problem if there is one.
func Key(b []byte, i int) (end int, escaped bool, value int, p Problem) {
	if i >= len(b) || b[i] != '"' {
		value, p = here(b, i)
		return 0, false, value, p
	}
	end, escaped, p = String(b, i+1)
	if p != None {
		return 0, false, end, p
	}
	i = end
	if i >= len(b) || b[i] != ':' {
		i = Space(b, i)
		if i >= len(b) || b[i] != ':' {
			value, p = here(b, i)
			return 0, false, value, p
		}
	}
	return end, escaped, Space(b, i+1), None
}

// Separator reads what follows a member or an element: a comma, and then next is where the next one starts, or the closing
// byte, and then next is the offset after it.
func Separator(b []byte, i int, closing byte) (more bool, next int, p Problem) {
	if i < len(b) && b[i] <= ' ' {
		i = Space(b, i)
	}
	if i < len(b) {
		switch b[i] {
		case ',':
			i++
			if i < len(b) && b[i] <= ' ' {
				i = Space(b, i)
			}
			return true, i, None
		case closing:
			return false, i + 1, None
		}
	}
	i, p = here(b, i)
	return false, i, p
}

// Literal reports whether the literal (true, false or null) is at i, and returns the offset after it.
func Literal(b []byte, i int, literal string) (end int, ok bool) {
	end = i + len(literal)
	return end, end <= len(b) && string(b[i:end]) == literal
}

// brokenLiteral finds where the text at i departs from the literal.
func brokenLiteral(b []byte, i int, literal string) (int, Problem) {
	k := 0
	for i+k < len(b) && k < len(literal) && b[i+k] == literal[k] {
		k++
	}
	return here(b, i+k)
}
