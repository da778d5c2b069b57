package record

import (
	"math"
	"math/big"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
)

func TestParseFloat_KnowsWhichNumbersItGivesBack(t *testing.T) {
	for number, want := range map[string]bool{
		"0": true, "-0.0": true, "0e9999": true, "0.1": true, "1.50": true, "123456789012345": true, "1e23": true, "1e308": true,
		// Integers: the double is the integer or it is not.
		"9007199254740992": true, "9007199254740993": false, "9007199254740994": true, "100000000000000001": false,
		"18446744073709551615": false, "18446744073709551616": true, "18446744073709552000": false, "9007199254740993.0": false,
		"1.8446744073709551615e19": false, "-9223372036854775808": true, "1208925819614629174706176": true,
		// Decimals of 16 and 17 digits, as programs print doubles, and others.
		"0.30000000000000004": true, "0.10000000000000001": true, "-8.585675999999999": true, "8.007199254740984": true, "8.007199254740985": false, "600000000000000.2": true, "600000000000000.3": false,
		"1.2345678901234567": true, "1.2345678901234566": false, "41.14859000000000000": true, "3.14159265358979323846": false,
		// Below the normal range a double has fewer digits.
		"5e-324": true, "4.9e-324": true, "4e-324": false, "2.2250738585072014e-308": true, "1.23456789012345e-310": false,
	} {
		if _, exact, ok := ParseFloat([]byte(number), 64); !ok || exact != want {
			t.Errorf("%s: exact %v, %v, want %v", number, exact, ok, want)
		}
	}
	for _, number := range []string{"1e309", "-1e309", "1e-324", "-1e-400", "0.0000001e-400", "1e999999999", "1e-999999999"} {
		if v, _, ok := ParseFloat([]byte(number), 64); ok {
			t.Errorf("%s is within the range, as %v", number, v)
		}
	}
	for number, want := range map[string]bool{"0.1": true, "16777216": true, "16777217": false, "1.2345679": true, "1.23456789": false} {
		if _, exact, ok := ParseFloat([]byte(number), 32); !ok || exact != want {
			t.Errorf("%s in 32 bits: exact %v, %v, want %v", number, exact, ok, want)
		}
	}
	if v, _, ok := ParseFloat([]byte("1e-50"), 32); ok {
		t.Errorf("1e-50 is within the range of 32 bits, as %v", v)
	}
}

// The rule in arithmetic without bounds: the double lies within half a unit of the number's last digit.
func TestParseFloat_AgreesWithExactArithmetic(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	inexact := 0
	const rounds = 20_000
	for range rounds {
		v := math.Ldexp(1+r.Float64(), r.IntN(140)-70)
		number := strconv.FormatFloat(v, "ef"[r.IntN(2)], r.IntN(21), 64)
		if r.IntN(2) == 0 { // another last digit
			digits, exponent, _ := strings.Cut(number, "e")
			number = digits[:len(digits)-1] + strconv.Itoa(r.IntN(10))
			if exponent != "" {
				number += "e" + exponent
			}
		}
		v, exact, ok := ParseFloat([]byte(number), 64)
		if off := compareWithHalfADigit(t, number, v); ok && off != 0 && exact != (off < 0) {
			t.Fatalf("%s as %v: exact %v, but the difference to half a digit is %d", number, v, exact, off)
		}
		if !exact {
			inexact++
		}
	}
	if inexact < rounds/20 || inexact > rounds*19/20 {
		t.Errorf("%d of %d numbers are not exact: that proves little", inexact, rounds)
	}
}

func compareWithHalfADigit(t *testing.T, number string, v float64) int {
	t.Helper()
	exact, ok := new(big.Rat).SetString(number)
	if !ok {
		t.Fatalf("%s is not a number", number)
	}
	digits, power, _ := strings.Cut(number, "e")
	exponent, _ := strconv.Atoi(power)
	if whole, fraction, ok := strings.Cut(digits, "."); ok && whole != "" {
		exponent -= len(strings.TrimRight(fraction, "0"))
	}
	half := new(big.Rat).SetFrac64(1, 2)
	ten := new(big.Rat).SetInt64(10)
	if exponent < 0 {
		ten.Inv(ten)
	}
	for range max(exponent, -exponent) {
		half.Mul(half, ten)
	}
	off := new(big.Rat).Sub(new(big.Rat).SetFloat64(v), exact)
	return off.Abs(off).Cmp(half)
}

func BenchmarkParseFloat(b *testing.B) {
	for _, digits := range []int{6, 15, 16, 17} {
		b.Run(strconv.Itoa(digits)+" digits", func(b *testing.B) {
			r := rand.New(rand.NewPCG(1, uint64(digits)))
			numbers := make([][]byte, 1000)
			for i := range numbers {
				numbers[i] = strconv.AppendFloat(nil, r.Float64()*200-100, 'g', digits, 64)
			}
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				ParseFloat(numbers[i%len(numbers)], 64)
			}
		})
	}
}
