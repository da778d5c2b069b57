package prefix

import (
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"aws-streaming-pipeline/record"
)

func TestEscape_KeepsAValueWithinItsSegment(t *testing.T) {
	for value, want := range map[string]string{
		"Lisboa":                     "Lisboa",
		"a/b":                        "a%2Fb",
		"../../etc":                  "..%2F..%2Fetc",
		".":                          "%2E",
		"..":                         "%2E%2E",
		"...":                        "...",
		"v1.2":                       "v1.2",
		"100%":                       "100%25",
		"%2F":                        "%252F",
		"a=b:c":                      "a%3Db%3Ac",
		`"#'*?\[]^{}`:                `%22%23%27%2A%3F%5C%5B%5D%5E%7B}`,
		"a b+c&d;e,f@g!h~i|j<k>l$m`": "a b+c&d;e,f@g!h~i|j<k>l$m`",
		"\x00\t\n\r\x1f\x7f":         "%00%09%0A%0D%1F%7F",
		"São Tomé 東京 😀":              "São Tomé 東京 😀",
		"a\u0085\u009fb\u00a0":       "a%85%9Fb\u00a0",
		"\ufffe\uffff":               "\ufffd\ufffd",
		"a\xff\xc3":                  "a\ufffd\ufffd",
		"__HIVE_DEFAULT_PARTITION__": "__HIVE_DEFAULT_PARTITION__",
		"_tmp":                       "_tmp",
	} {
		if got := string(appendEscaped(nil, value)); got != want {
			t.Errorf("%q becomes %q, want %q", value, got, want)
		}
	}
}

func TestPartition_DoesNotHideAValueFromReaders(t *testing.T) {
	r, err := New(Config{Data: "!{partitionKeyFromQuery:c}/x=!{partitionKeyFromQuery:c}/!{partitionKeyFromQuery:c}", Error: "!{firehose:error-output-type}/", Query: "{c:.c}"})
	if err != nil {
		t.Fatal(err)
	}
	for value, want := range map[string]string{
		"_tmp": "%5Ftmp/x=_tmp/%5Ftmp", ".git": "%2Egit/x=.git/%2Egit", "..": "%2E%2E/x=%2E%2E/%2E%2E", "_.": "%5F%2E/x=_./%5F%2E", "a_": "a_/x=a_/a_",
	} {
		got, err := r.Partition(&record.Record{Data: []byte(`{"c":` + strconv.Quote(value) + `}`)})
		if err != nil || got != want {
			t.Errorf("%q lies in %q, %v: want %q", value, got, err, want)
		}
	}
}

// unescapePathName is the reader's side, as Hive's FileUtils.unescapePathName: %XX is the character of that code.
func unescapePathName(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			if code, err := strconv.ParseUint(s[i+1:i+3], 16, 8); err == nil {
				b.WriteRune(rune(code))
				i += 2
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// readBack is what a value is after it has been a part of a key.
func readBack(value string) string {
	return strings.Map(func(r rune) rune { // bytes that are not UTF-8 come as U+FFFD
		if unlistable(r) {
			return utf8.RuneError
		}
		return r
	}, value)
}

// FuzzValue holds for values of any kind that they stay within their segments, come back as they were, and never make a
// key that is too long or cannot be listed.
func FuzzValue(f *testing.F) {
	for _, value := range []string{"Lisboa", "..", "/", "a/../b", "%2F", "\x00", "\u0085", "\xff", "\ufffe", "_x", strings.Repeat("\u20ac", 300), strings.Repeat("/", 200)} {
		f.Add(value)
	}
	r, err := New(Config{
		Data:  "data/!{partitionKeyFromQuery:c}/c=!{partitionKeyFromQuery:c}/!{firehose:random-string}/",
		Error: "!{firehose:error-output-type}/", Query: "{c:.c}",
	})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, value string) {
		payload, err := json.Marshal(map[string]string{"c": value})
		if err != nil {
			t.Fatal(err)
		}
		partition, err := r.Partition(&record.Record{Arrival: time.UnixMilli(0), Data: payload})
		if err != nil {
			fault, ok := errors.AsType[*record.Fault](err)
			if tooLong := ok && fault.Code == CodePrefixTooLong && len(value) > 50; value != "" && !tooLong {
				t.Errorf("%q: %v", value, err)
			}
			return
		}
		checkKeyPrefix(t, r.KeyPrefix(partition))
		segments := strings.Split(partition, "/")
		if len(segments) != 5 {
			t.Fatalf("%q makes the segments %q", value, segments)
		}
		hive, _ := strings.CutPrefix(segments[2], "c=")
		for _, segment := range []string{segments[1], hive} {
			// Hive's reader leaves an escape alone that ends the text one character early; a character behind it shows it.
			if back := strings.TrimSuffix(unescapePathName(segment+"\x7f"), "\x7f"); back != readBack(value) {
				t.Errorf("%q is written as %q and read as %q", value, segment, back)
			}
		}
	})
}

// checkKeyPrefix holds what every evaluated prefix has to be.
func checkKeyPrefix(t *testing.T, key string) {
	t.Helper()
	if len(key) > maxBytes || utf8.RuneCountInString(key) > maxCharacters {
		t.Errorf("key prefix %q has %d bytes", key, len(key))
	}
	if !utf8.ValidString(key) || strings.ContainsFunc(key, func(r rune) bool { return unicode.IsControl(r) || unlistable(r) }) {
		t.Errorf("key prefix %q has characters that cannot be listed", key)
	}
	for segment := range strings.SplitSeq(key, "/") {
		if segment == "." || segment == ".." {
			t.Errorf("key prefix %q has a segment of dots", key)
		}
	}
}
