package table

import (
	"encoding/hex"
	"strings"
	"testing"
	"time"
)

// The vectors of the specification's appendix B, "32-bit Hash Requirements".
func TestHash_MatchesTheSpecification(t *testing.T) {
	micros := func(text string) []byte {
		at, err := time.Parse(time.RFC3339Nano, text)
		if err != nil {
			t.Fatal(err)
		}
		return appendLong(nil, at.UnixMicro())
	}
	for _, c := range []struct {
		source Type
		value  []byte
		want   int32
	}{
		{Type{Name: Int}, appendInt(nil, 34), 2017239379},
		{Type{Name: Long}, appendLong(nil, 34), 2017239379},
		{Type{Name: Decimal, Precision: 9, Scale: 2}, appendMinimal(nil, []byte{0, 0, 5, 0x8c}), -500754589},
		{Type{Name: Date}, appendInt(nil, 17486), -653330422},
		{Type{Name: Time}, appendLong(nil, int64((22*time.Hour+31*time.Minute+8*time.Second)/time.Microsecond)), -662762989},
		{Type{Name: Timestamp}, micros("2017-11-16T22:31:08Z"), -2047944441},
		{Type{Name: Timestamp}, micros("2017-11-16T22:31:08.000001Z"), -1207196810},
		{Type{Name: TimestampTZ}, micros("2017-11-16T14:31:08-08:00"), -2047944441},
		{Type{Name: TimestampTZ}, micros("2017-11-16T14:31:08.000001-08:00"), -1207196810},
		{Type{Name: String}, []byte("iceberg"), 1210000089},
		{Type{Name: UUID}, unhex(t, "f79c3e09677c4bbda4793f349cb785e7"), 1488055340},
		{Type{Name: Fixed, Length: 4}, []byte{0, 1, 2, 3}, -188683207},
		{Type{Name: Binary}, []byte{0, 1, 2, 3}, -188683207},
	} {
		if got := int32(hash(c.value, c.source)); got != c.want {
			t.Errorf("%s %x: got %d, want %d", c.source, c.value, got, c.want)
		}
	}
}

func unhex(t *testing.T, text string) []byte {
	t.Helper()
	b, err := hex.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// The examples of the specification's section "Truncate Transform Details", and what comes before 1970.
func TestTransform_Append(t *testing.T) {
	date, at := Type{Name: Date}, Type{Name: TimestampTZ}
	before := appendLong(nil, time.Date(1969, 12, 31, 23, 59, 59, 999999000, time.UTC).UnixMicro())
	for _, c := range []struct {
		transform string
		source    Type
		value     []byte
		want      []byte
	}{
		{"truncate[10]", Type{Name: Int}, appendInt(nil, 1), appendInt(nil, 0)},
		{"truncate[10]", Type{Name: Int}, appendInt(nil, -1), appendInt(nil, -10)},
		{"truncate[10]", Type{Name: Long}, appendLong(nil, -1), appendLong(nil, -10)},
		{"truncate[50]", Type{Name: Decimal, Precision: 9, Scale: 2}, []byte{0x04, 0x29}, []byte{0x04, 0x1a}}, // 10.65 -> 10.50
		{"truncate[3]", Type{Name: String}, []byte("iceberg"), []byte("ice")},
		{"truncate[3]", Type{Name: String}, []byte("äöü😀"), []byte("äöü")},
		{"truncate[3]", Type{Name: String}, []byte("ab"), []byte("ab")},
		{"truncate[3]", Type{Name: Binary}, []byte{1, 2, 3, 4, 5}, []byte{1, 2, 3}},
		{"year", at, before, appendInt(nil, -1)},
		{"month", at, before, appendInt(nil, -1)},
		{"day", at, before, appendInt(nil, -1)},
		{"hour", at, before, appendInt(nil, -1)},
		{"day", date, appendInt(nil, -1), appendInt(nil, -1)},
		{"month", date, appendInt(nil, -32), appendInt(nil, -2)},
		{"year", date, appendInt(nil, -366), appendInt(nil, -2)},
		{"month", date, appendInt(nil, 17486), appendInt(nil, 574)},
		{"year", date, appendInt(nil, 17486), appendInt(nil, 47)},
		{"identity", Type{Name: String}, []byte(""), []byte{}},
		{"void", Type{Name: String}, []byte("x"), nil},
	} {
		transform, err := ParseTransform(c.transform)
		if err != nil {
			t.Fatal(err)
		}
		if got := transform.Append(nil, c.value, c.source); string(got) != string(c.want) {
			t.Errorf("%s of %s %x: got %x, want %x", c.transform, c.source, c.value, got, c.want)
		}
	}
}

func TestTransform_SaysWhatItTakes(t *testing.T) {
	for text, want := range map[string]string{
		"bucket[0]":             "with N and W from 1 to 2147483647",
		"bucket[2147483648]":    "with N and W from 1 to 2147483647",
		"bucket[]":              "want identity, year",
		"bucket":                "want identity, year",
		"Day":                   "want identity, year",
		"day[2]":                "want identity, year",
		"truncate[99999999999]": "want identity, year",
	} {
		if _, err := ParseTransform(text); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), text) {
			t.Errorf("%s: %v", text, err)
		}
	}
	for text, source := range map[string]string{
		"bucket[4]": "double", "hour": "date", "day": "long", "truncate[4]": "uuid", "year": "string",
		"truncate[129]":        "decimal(2, 0)", // -99 would become -129, which has two bytes
		"truncate[2147483647]": "decimal(4, 4)",
	} {
		typ, err := ParseType(source)
		if err != nil {
			t.Fatal(err)
		}
		transform, err := ParseTransform(text)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := transform.Result(typ); err == nil || !strings.Contains(err.Error(), text) || !strings.Contains(err.Error(), source) {
			t.Errorf("%s of %s: %v", text, source, err)
		}
	}
	for text, source := range map[string]Type{"truncate[128]": {Name: Decimal, Precision: 2}, "truncate[10]": {Name: Decimal, Precision: 38}} {
		transform, _ := ParseTransform(text)
		if got, err := transform.Result(source); err != nil || got != source {
			t.Errorf("%s of %s: %v, %v", text, source, got, err)
		}
	}
}

func TestParseType_ReadsWhatStringWrites(t *testing.T) {
	for _, text := range []string{
		"boolean", "int", "long", "float", "double", "date", "time", "timestamp", "timestamptz", "string", "uuid", "binary", "fixed[16]",
		"decimal(9, 2)", "decimal(38, 38)", "decimal(1, 0)",
	} {
		if typ, err := ParseType(text); err != nil || typ.String() != text {
			t.Errorf("%s: %v, %v", text, typ, err)
		}
	}
	if typ, err := ParseType("decimal(9,2)"); err != nil || typ != (Type{Name: Decimal, Precision: 9, Scale: 2}) {
		t.Errorf("decimal(9,2): %v, %v", typ, err)
	}
	for _, text := range []string{"", "integer", "decimal", "decimal(39, 0)", "decimal(0, 0)", "decimal(2, 3)", "fixed[0]", "timestamp_ns", "struct"} {
		if typ, err := ParseType(text); err == nil || !strings.Contains(err.Error(), "want ") {
			t.Errorf("%q: %v, %v", text, typ, err)
		}
	}
}
