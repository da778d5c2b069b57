package shred

import (
	"fmt"
	"math/big"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

// Numbers are compared, and told whole from others, as arithmetic of arbitrary precision does it.
func TestNumbers_CompareExactly(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	digits := func(n int) string {
		b := make([]byte, n)
		for i := range b {
			b[i] = "0123456789"[rng.IntN(10)]
			if rng.IntN(3) == 0 {
				b[i] = '0'
			}
		}
		return string(b)
	}
	number := func() string {
		text := strings.TrimLeft(digits(1+rng.IntN(6)), "0")
		if text == "" {
			text = "0"
		}
		if rng.IntN(2) == 0 {
			text += "." + digits(1+rng.IntN(5))
		}
		if rng.IntN(3) == 0 {
			text += fmt.Sprintf("%c%d", "eE"[rng.IntN(2)], rng.IntN(9)-4)
		}
		if rng.IntN(3) == 0 {
			text = "-" + text
		}
		return text
	}
	equal := 0
	for range 200_000 {
		a, b := number(), number()
		x, _ := new(big.Rat).SetString(a)
		y, _ := new(big.Rat).SetString(b)
		if x.Cmp(y) == 0 {
			equal++
		}
		if got := compareNumbers([]byte(a), b); got != x.Cmp(y) {
			t.Fatalf("%s to %s: %d, want %d", a, b, got, x.Cmp(y))
		}
		if got := whole([]byte(a)); got != x.IsInt() {
			t.Fatalf("%s is whole: %v", a, got)
		}
	}
	if equal < 500 {
		t.Errorf("only %d pairs were equal", equal)
	}
}

// A few bytes that write a number of a gigabyte are compared without it.
func TestNumbers_AreNotComputed(t *testing.T) {
	s := mustParse(t, `{"properties":{"i":{"type":"integer","minimum":0},"n":{"type":"number","exclusiveMinimum":0,"maximum":1e300}}}`)
	checker := NewChecker(s)
	began := time.Now()
	for data, valid := range map[string]bool{
		`{"i":1e999999999}`: true, `{"i":-1e999999999}`: false, `{"i":1e-999999999}`: false, `{"n":1e-999999999}`: true, `{"n":0e999999999}`: false,
		`{"n":1e999999999}`: false, `{"i":1e99999999999999999999}`: true, `{"n":1e-99999999999999999999}`: true,
		`{"n":0.` + strings.Repeat("0", 1_000_000) + `1}`: true, `{"i":` + strings.Repeat("9", 1_000_000) + `}`: true,
	} {
		if _, err := checker.AppendJSONLine(nil, rec(data)); (err == nil) != valid {
			t.Errorf("%.40s: %v", data, err)
		}
	}
	t.Logf("took %v", time.Since(began))
}
