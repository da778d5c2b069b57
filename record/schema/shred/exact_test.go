package shred

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"aws-streaming-pipeline/record"
	"aws-streaming-pipeline/record/schema"
)

// The scan has a short cut for most numbers: it must give the doubles and the verdicts of record.ParseFloat.
func TestScanDouble_AgreesWithParseFloat(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	inexact := 0
	const rounds = 50_000
	for range rounds {
		digits := strconv.FormatUint(r.Uint64()>>r.IntN(20), 10)
		point := r.IntN(len(digits))
		number := digits[:point] + "." + digits[point:]
		switch point {
		case 0:
			number = "0." + strings.Repeat("0", r.IntN(6)) + digits
		case 1:
			number = digits
		}
		if r.IntN(4) == 0 {
			number = "-" + number
		}
		want, wantExact, wantOK := record.ParseFloat([]byte(number), 64)
		v, end, exact, ok := ScanDouble([]byte(number+","), 0)
		if math.Float64bits(v) != math.Float64bits(want) || exact != wantExact || ok != wantOK || end != len(number) {
			t.Fatalf("%s: %v, exact %v, %v, want %v, exact %v, %v", number, v, exact, ok, want, wantExact, wantOK)
		}
		if !exact {
			inexact++
		}
	}
	if inexact < rounds/20 || inexact > rounds*19/20 {
		t.Errorf("%d of %d numbers are not exact: that proves little", inexact, rounds)
	}
}

func TestInferredColumns_TakeOnlyWhatTheyGiveBack(t *testing.T) {
	for _, c := range []struct {
		kind          schema.Kind
		takes, leaves []string
	}{
		{schema.Double, []string{`1`, `-0.0`, `0.1`, `9007199254740992`, `0.30000000000000004`, `1e23`, `18446744073709551616`, `5e-324`},
			[]string{`9007199254740993`, `100000000000000001`, `18446744073709551615`, `1e-400`, `1e400`, `4e-324`, `3.14159265358979323846`, `"1.5"`, `true`}},
		{schema.Int64, []string{`1`, `-9223372036854775808`, `1e3`}, []string{`9223372036854775808`, `1.5`, `"7"`, `"007"`}},
		{schema.Decimal, []string{`18446744073709551615`, `-1`}, []string{`1.5`, `1e38`, `"7"`}},
		{schema.Boolean, []string{`true`}, []string{`"true"`, `1`}},
		{schema.String, []string{`"a"`, `"\ud83d\ude00"`, `"\ufffd\\ud800"`}, []string{`"\ud800"`, `"a\ude00\ud83d"`, `7`}},
	} {
		s := &schema.Schema{Lenient: true, Extra: true, Fields: []*schema.Field{{Name: "v", Kind: c.kind, Precision: 38}}}
		for i, value := range append(append([]string{}, c.takes...), c.leaves...) {
			shredder := New(s, false)
			mustAppend(t, shredder, rec(`{"v":`+value+`}`))
			if column := shredder.Columns()[0]; (column.Values() == 1) != (i < len(c.takes)) {
				t.Errorf("%s column: of %s there are %d values", c.kind, value, column.Values())
			}
			extra := dump(shredder.Columns()[1])
			if kept := strings.Contains(extra, fmt.Sprintf("%q", `{"v":`+value+`}`)[1:]); kept != (i >= len(c.takes)) {
				t.Errorf("%s column: of %s _extra has %s", c.kind, value, extra)
			}
			if shredder.Rounded() != 0 {
				t.Errorf("%s column: %s was rounded", c.kind, value)
			}
		}
	}
}

func TestDeclaredColumns_CountWhatTheyRound(t *testing.T) {
	s := mustParse(t, `{"properties":{"d":{"type":"number"},"f":{"type":"number","x-parquet":"float"},"i":{"type":"integer"}}}`)
	shredder := New(s, false)
	for _, data := range []string{
		`{"d":9007199254740993,"f":16777217}`, `{"d":"18446744073709551615"}`, `{"d":0.1,"f":0.1}`, // three
		`{"d":9007199254740993,"i":1.5}`, `{"d":9007199254740993`, // refused
	} {
		shredder.Append(rec(data))
	}
	if got := shredder.Rounded(); got != 3 {
		t.Errorf("%d values were rounded, want 3", got)
	}
	if shredder.Reset(); shredder.Rounded() != 0 {
		t.Errorf("%d values were rounded after a reset", shredder.Rounded())
	}
	for _, tooSmall := range []string{`{"d":1e-400}`, `{"f":1e-46}`, `{"d":"-1e-324"}`} {
		if fault := shredder.Append(rec(tooSmall)); fault == nil || fault.Code != schema.CodeParse {
			t.Errorf("%s became zero: %v", tooSmall, fault)
		}
	}
}
