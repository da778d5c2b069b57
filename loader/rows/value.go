package rows

import "aws-streaming-pipeline/record/jsonscan"

// Scan reads the JSON value at b[i], where depth objects and arrays are around it, and returns its end. v.Text is a part of b, or of
// scratch, to which the text of strings with escapes is appended.
func Scan(b []byte, i, depth int, scratch []byte) (v Value, end int, room []byte, p jsonscan.Problem) {
	if i >= len(b) {
		return v, len(b), scratch, jsonscan.Truncated
	}
	switch c := b[i]; {
	case c == '"':
		var escaped bool
		if end, escaped, p = jsonscan.String(b, i+1); p != jsonscan.None {
			return v, end, scratch, p
		}
		v.Kind, v.Text = String, b[i+1:end-1]
		if escaped {
			begin := len(scratch)
			scratch = jsonscan.AppendUnescaped(scratch, v.Text)
			v.Text = scratch[begin:]
		}
		return v, end, scratch, jsonscan.None
	case c == '-' || c-'0' <= 9:
		if end, p = jsonscan.Number(b, i); p == jsonscan.None {
			v.Kind, v.Text = Number, b[i:end]
		}
		return v, end, scratch, p
	case c == '{' || c == '[':
		v.Kind = JSON
	case c == 't':
		v.Kind, v.Int = Bool, 1
	case c == 'f':
		v.Kind = Bool
	}
	if end, p = jsonscan.Value(b, i, depth); p != jsonscan.None {
		return Value{}, end, scratch, p
	}
	if v.Kind == JSON {
		v.Text = b[i:end]
	}
	return v, end, scratch, jsonscan.None
}
