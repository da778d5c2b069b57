package parquet

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"aws-streaming-pipeline/internal/test/emulator"
	"aws-streaming-pipeline/record"
)

// hostile makes values that are hard for columns, most of them numbers.
type hostile struct{ *rand.Rand }

// value is any JSON value.
func (h hostile) value() string {
	switch h.IntN(20) {
	case 0:
		return []string{`true`, `null`, `"x"`, `{}`, `[]`, `"\u0000"`}[h.IntN(6)]
	case 1:
		return `"` + h.number() + `"`
	}
	return h.number()
}

func (h hostile) number() string {
	sign := []string{"", "", "-"}[h.IntN(3)]
	switch h.IntN(8) {
	case 0: // next to where doubles and integers end
		edge := []uint64{1 << 53, 1 << 62, 1 << 63, math.MaxUint64 - 40, 1e15, 1e17}[h.IntN(6)]
		return sign + strconv.FormatUint(edge+h.Uint64N(40), 10)
	case 1: // as programs print doubles
		v := math.Ldexp(1+h.Float64(), h.IntN(200)-100)
		return sign + strconv.FormatFloat(v, "efg"[h.IntN(3)], []int{-1, -1, 16, 17, h.IntN(25)}[h.IntN(5)], 64)
	case 2: // at the ends of the range
		return sign + h.digits(1+h.IntN(18)) + "e" + strconv.Itoa([]int{-325, -310, 300, 308, -400, 400, 99999}[h.IntN(7)])
	case 3:
		return []string{"-0", "0", "0.0", "-0e5", "0e-999", "1.0", "1e3", "1.50", "1E+2", "100e-2", "1e23"}[h.IntN(11)]
	case 4:
		return sign + h.digits(1+h.IntN(40))
	case 5:
		return sign + h.digits(1+h.IntN(20)) + "." + strconv.FormatUint(h.Uint64()>>h.IntN(64), 10)
	}
	return sign + h.tame()
}

// digits returns an integer of n digits.
func (h hostile) digits(n int) string {
	b := []byte{byte('1' + h.IntN(9))}
	for len(b) < n {
		b = append(b, byte('0'+h.IntN(10)))
	}
	return string(b)
}

// tame is an ordinary number.
func (h hostile) tame() string {
	return fmt.Sprintf("%d.%02d", h.IntN(10_000), h.IntN(100))
}

// document is a record. The early ones settle the types of inferred columns: double, integer, decimal, text, list and
// group.
func (h hostile) document(early bool) string {
	if early {
		return fmt.Sprintf(`{"n":%s,"i":%d,"d":%d,"t":%s,"l":[%s],"g":{"n":%s},"s":"a"}`,
			h.tame(), h.Int64(), h.Uint64()|1<<63, h.number(), h.tame(), h.tame())
	}
	var members []string
	for _, name := range []string{"n", "i", "d", "t", "l", "g", "s", "u"} {
		value := h.value()
		switch {
		case h.IntN(3) > 0:
			continue
		case name == "l" && h.IntN(8) > 0:
			value = "[" + value + "," + h.tame() + "]"
		case name == "g" && h.IntN(8) > 0:
			value = `{"n":` + value + "}"
		case name == "s" && h.IntN(8) > 0:
			value = `"s"`
		}
		members = append(members, `"`+name+`":`+value)
	}
	return "{" + strings.Join(members, ",") + "}"
}

// A value is read back unchanged, is in _extra, or its record was refused because of it: inferred columns round nothing;
// declared ones round to the nearest double, and count that.
func TestFile_ChangesNoValueInSilence(t *testing.T) {
	const documents = 100_000
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	cmd := emulator.Python(t, "testdata/exact.py", path("documents.jsonl"), path("inferred.parquet"), "pyarrow", path("declared.parquet"), "duckdb")

	told := 0
	declared := mustFormat(t, Options{Rounded: func(n int) { told += n }, Schema: mustParse(t, `{"x-coerce":false,"properties":{
		"n":{"type":["number","null"]},"i":{"type":["integer","null"]},"d":{"type":["number","null"],"x-parquet":"decimal(38,10)"},
		"l":{"type":["array","null"],"items":{"type":["number","null"]}},
		"g":{"type":["object","null"],"properties":{"n":{"type":["number","null"]}}},"s":{"type":["string","null"]}}}`)})
	h := hostile{rand.New(rand.NewPCG(7, 11))}
	var text bytes.Buffer
	var all, taken []record.Record
	judge := declared.NewLayout().NewBlock()
	for i := range documents {
		r := record.Record{SequenceNumber: strconv.Itoa(i), Data: []byte(h.document(i < defaultInferRows))}
		text.Write(append(r.Data, '\n'))
		all = append(all, r)
		if judge.Append(&r) == nil {
			taken = append(taken, r)
		}
	}
	save(t, path("documents.jsonl"), text.Bytes())
	save(t, path("inferred.parquet"), writeFile(t, mustFormat(t, Options{}), all))
	save(t, path("declared.parquet"), writeFile(t, declared, taken))

	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v:\n%s", err, out)
	}
	t.Logf("%d documents:\n%s", documents, out)
	for line := range lines(out) {
		engine, counts, _ := strings.Cut(line, ":")
		var equal, rounded, extra, wrong, refused int
		if _, err := fmt.Sscanf(counts, " %d equal, %d rounded, %d in _extra, %d wrong, %d documents refused", &equal, &rounded, &extra, &wrong, &refused); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		wantRounded, refuses := 0, false // inferred
		if engine == "duckdb" {
			wantRounded, refuses = told, true
			if told < documents/100 {
				t.Errorf("only %d numbers were rounded: that proves little", told)
			}
		}
		if wrong > 0 || rounded != wantRounded || (refused > 0) != refuses || equal < documents/2 || extra < documents/10 {
			t.Errorf("%s; told of %d rounded", line, told)
		}
	}
}
