package prefix

import "unicode/utf8"

// appendEscaped appends the value of a partition key in a form that is safe in an object key, and that Hive, Spark and Athena
// can read back: it escapes what Hive's FileUtils.escapePathName escapes, that is, control characters and the characters
//
//	" # % ' * / : = ? \ [ ] ^ {
//
// each as %XX with its code. So a value stays within its segment of the path. In addition to Hive's list it escapes
//
//   - the control characters from U+0080 to U+009F, which Hive's reader accepts in this form;
//   - the dots of the values "." and "..", which would be steps in a path.
//
// These readers have no escape for characters that a listing of keys cannot contain: U+FFFE, U+FFFF and bytes that are
// not UTF-8 become U+FFFD.
//
// The value __HIVE_DEFAULT_PARTITION__ is kept, as Hive writes it: readers interpret it as NULL. Null and empty values
// never get here, because such a record has no partition.
func appendEscaped[T string | []byte](b []byte, v T) []byte {
	switch string(v) {
	case ".":
		return append(b, "%2E"...)
	case "..":
		return append(b, "%2E%2E"...)
	}
	for i := 0; i < len(v); {
		c := v[i]
		if c < utf8.RuneSelf {
			if escaped[c] {
				b = appendHex(b, c)
			} else {
				b = append(b, c)
			}
			i++
			continue
		}
		r, size := utf8.DecodeRuneInString(string(v[i:min(i+utf8.UTFMax, len(v))]))
		switch {
		case r < 0xa0:
			b = appendHex(b, byte(r))
		case unlistable(r):
			b = utf8.AppendRune(b, utf8.RuneError)
		default:
			b = utf8.AppendRune(b, r) // U+FFFD for a byte that is not UTF-8
		}
		i += size
	}
	return b
}

// appendSegmentSafe appends an escaped value to b. Readers such as Hive skip files and folders whose name begins with "_"
// or "." (Hive's FileUtils.HIDDEN_FILES_PATH_FILTER), so these are escaped, too, if the value begins a segment: otherwise
// its records would exist, but not be found.
func appendSegmentSafe[T string | []byte](b []byte, v T) []byte {
	begins := len(b) == 0 || b[len(b)-1] == '/'
	if begins && len(v) > 0 && (v[0] == '_' || v[0] == '.') && !dots(v) {
		return appendEscaped(appendHex(b, v[0]), v[1:])
	}
	return appendEscaped(b, v)
}

func dots[T string | []byte](v T) bool { return string(v) == "." || string(v) == ".." }

func appendHex(b []byte, c byte) []byte {
	const digits = "0123456789ABCDEF"
	return append(b, '%', digits[c>>4], digits[c&0xf])
}

// unlistable reports whether S3 cannot list a key with this character as XML (XML 1.0, "Characters"). Control characters
// are checked elsewhere.
func unlistable(r rune) bool { return r == 0xfffe || r == 0xffff }

// escaped holds the ASCII characters that Hive escapes.
var escaped = func() (set [utf8.RuneSelf]bool) {
	for c := range byte(0x20) {
		set[c] = true
	}
	for _, c := range []byte("\"#%'*/:=?\\\x7f{[]^") {
		set[c] = true
	}
	return set
}()
