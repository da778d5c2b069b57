package shred

import (
	"cmp"
	"math"
	"math/bits"
	"strconv"
	"strings"

	"aws-streaming-pipeline/record"
	"aws-streaming-pipeline/record/jsonscan"
)

// scanInt reads the integer at b[i] if it is written as one, of 18 digits at most. ok is false for everything else,
// which may be an integer yet: exactInt tells.
func scanInt(b []byte, i int) (v int64, end int, ok bool) {
	negative := false
	if i < len(b) && b[i] == '-' {
		negative = true
		i++
	}
	start := i
	for i < len(b) {
		d := b[i] - '0'
		if d > 9 {
			break
		}
		v = v*10 + int64(d)
		i++
	}
	n := i - start
	if n == 0 || n > 18 || (n > 1 && b[start] == '0') {
		return 0, 0, false
	}
	if i < len(b) && (b[i] == '.' || b[i]|0x20 == 'e') {
		return 0, 0, false
	}
	if negative {
		v = -v
	}
	return v, i, true
}

// exactPower10 are the powers of ten that a double holds exactly.
var exactPower10 = [...]float64{
	1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20,
	1e21, 1e22,
}

// ScanDouble reads the number at b[i] as the double nearest to it. exact reports whether the double restores the number, as
// record.ParseFloat has it. ok is false if the number is malformed or beyond the range of a double.
func ScanDouble(b []byte, i int) (v float64, end int, exact, ok bool) {
	start := i
	negative := i < len(b) && b[i] == '-'
	if negative {
		i++
	}
	var mantissa uint64
	first := i
	for i < len(b) && b[i]-'0' <= 9 {
		mantissa = mantissa*10 + uint64(b[i]-'0')
		i++
	}
	digits := i - first
	if digits == 0 || digits > 1 && b[first] == '0' {
		return 0, 0, false, false
	}
	fraction := 0
	if i < len(b) && b[i] == '.' {
		i++
		point := i
		for i < len(b) && b[i]-'0' <= 9 {
			mantissa = mantissa*10 + uint64(b[i]-'0')
			i++
		}
		if fraction = i - point; fraction == 0 {
			return 0, 0, false, false
		}
	}
	plain := i >= len(b) || b[i]|0x20 != 'e'
	if !plain || digits+fraction > 19 || fraction >= len(exactPower10) {
		return parseDouble(b, start)
	}
	power := exactPower10[fraction]
	if mantissa <= 1<<53 {
		v = float64(mantissa)
		if fraction > 0 {
			v /= power // both operands are exact, so the quotient is correctly rounded
		}
	} else {
		v, _ = strconv.ParseFloat(string(b[first:i]), 64) // 19 digits are within the range
	}
	if mantissa >= 1e15 && !givesBack(v, mantissa, power) {
		return parseDouble(b, start) // not exact, but for a tie that rounds to even
	}
	if negative {
		v = -v
	}
	return v, i, true, true
}

// givesBack reports whether v, the double nearest to mantissa/power, comes closer than a half to the mantissa again when it is
// multiplied with the power. The mantissa has 16 to 19 digits.
func givesBack(v float64, mantissa uint64, power float64) bool {
	product := v * power
	rest := math.FMA(v, power, -product) // what rounding took from the product, exactly
	off := product - float64(mantissa)
	if mantissa > 1<<53 { // then the product is a whole number, and the mantissa may be no double
		off = float64(int64(uint64(product) - mantissa))
	}
	return math.Abs(off+rest) < 0.5
}

func parseDouble(b []byte, i int) (v float64, end int, exact, ok bool) {
	end, p := jsonscan.Number(b, i)
	if p != jsonscan.None {
		return 0, 0, false, false
	}
	v, exact, ok = record.ParseFloat(b[i:end], 64)
	return v, end, exact, ok
}

// uint128 is an unsigned integer of 128 bits.
type uint128 struct{ high, low uint64 }

// mulAdd returns u*10+d; ok is false on overflow.
func (u uint128) mulAdd(d uint64) (uint128, bool) {
	carry, low := bits.Mul64(u.low, 10)
	over, high := bits.Mul64(u.high, 10)
	high, c1 := bits.Add64(high, carry, 0)
	low, c2 := bits.Add64(low, d, 0)
	high, c3 := bits.Add64(high, 0, c2)
	return uint128{high, low}, over|c1|c3 == 0
}

// negate returns the two's complement.
func (u uint128) negate() uint128 {
	low, borrow := bits.Sub64(0, u.low, 0)
	high, _ := bits.Sub64(0, u.high, borrow)
	return uint128{high, low}
}

// exactScaled reads a JSON number, that jsonscan.Number has checked, times 10^scale. ok is false if that is not a whole
// number or has more than 38 digits.
func exactScaled(number []byte, scale int) (magnitude uint128, negative, ok bool) {
	if number[0] == '-' {
		negative = true
		number = number[1:]
	}
	// shift is the power of ten that the digits are still to be multiplied with; zeros wait until a digit follows, so
	// that 1.000 is whole.
	shift, zeros, digits := scale, 0, 0
	fraction := false
	i := 0
	for ; i < len(number) && number[i]|0x20 != 'e'; i++ {
		c := number[i]
		if c == '.' {
			fraction = true
			continue
		}
		if fraction {
			shift--
		}
		if c == '0' {
			if digits > 0 {
				zeros++
			}
			continue
		}
		if digits += zeros + 1; digits > 38 {
			return uint128{}, false, false
		}
		for ; zeros > 0; zeros-- {
			magnitude, _ = magnitude.mulAdd(0)
		}
		magnitude, _ = magnitude.mulAdd(uint64(c - '0'))
	}
	if digits == 0 {
		return uint128{}, false, true
	}
	if i < len(number) {
		exponent, err := strconv.Atoi(string(number[i+1:]))
		if err != nil || exponent > 1<<20 || exponent < -1<<20 {
			return uint128{}, false, false
		}
		shift += exponent
	}
	shift += zeros
	if shift < 0 || digits+shift > 38 {
		return uint128{}, false, false
	}
	for ; shift > 0; shift-- {
		magnitude, _ = magnitude.mulAdd(0)
	}
	return magnitude, negative, true
}

// exactInt reads a JSON number times 10^scale as an integer. ok is false if that is none, or none of 64 bits.
func exactInt(number []byte, scale int) (v int64, ok bool) {
	m, negative, ok := exactScaled(number, scale)
	switch {
	case !ok || m.high != 0:
		return 0, false
	case negative && m.low <= 1<<63:
		return -int64(m.low), true // of 2^63 the conversion is the least integer, and its negative is itself
	case m.low > math.MaxInt64:
		return 0, false
	}
	return int64(m.low), true
}

// numeral is a JSON number: 0.d1d2d3... times 10^point, where the digits stand in text from the first that is not 0 on, with the
// point of the number among them. Of zero there is no text.
type numeral struct {
	negative bool
	text     string
	point    int
}

// readNumeral splits a JSON number that jsonscan.Number has checked. An exponent beyond 10^15 is as good as any other.
func readNumeral(number string) numeral {
	const farthest = 1e15
	var n numeral
	n.negative = number[0] == '-'
	number = strings.TrimPrefix(number, "-")
	if e := strings.IndexAny(number, "eE"); e >= 0 {
		exponent, err := strconv.ParseInt(number[e+1:], 10, 64)
		if err != nil || exponent > farthest || exponent < -farthest {
			exponent = farthest
			if number[e+1] == '-' {
				exponent = -farthest
			}
		}
		n.point = int(exponent)
		number = number[:e]
	}
	whole := strings.IndexByte(number, '.')
	if whole < 0 {
		whole = len(number)
	}
	first := strings.IndexAny(number, "123456789")
	if first < 0 {
		return numeral{}
	}
	n.point += whole - first
	if first > whole {
		n.point++
	}
	n.text = strings.TrimRight(number[first:], "0.") // zeros of a whole number count in point alone
	return n
}

// whole reports whether a JSON number is an integer.
func whole(number []byte) bool {
	n := readNumeral(string(number))
	digits := len(n.text) - strings.Count(n.text, ".")
	return digits == 0 || digits <= n.point
}

// compareNumbers orders two JSON numbers by their exact values. It computes with no number that they write.
func compareNumbers(number []byte, literal string) int {
	if string(number) == literal {
		return 0
	}
	a, b := readNumeral(string(number)), readNumeral(literal)
	switch sa, sb := a.sign(), b.sign(); {
	case sa != sb || sa == 0:
		return cmp.Compare(sa, sb)
	case sa < 0:
		a, b = b, a
	}
	if a.point != b.point {
		return cmp.Compare(a.point, b.point)
	}
	return strings.Compare(strings.Replace(a.text, ".", "", 1), strings.Replace(b.text, ".", "", 1))
}

func (n numeral) sign() int {
	switch {
	case n.text == "":
		return 0
	case n.negative:
		return -1
	}
	return 1
}

// fits reports whether u has at most n digits, of 38.
func (u uint128) fits(n int) bool {
	limit := uint128{0, 1}
	for range n {
		limit, _ = limit.mulAdd(0) // 10^38 is below 2^127
	}
	return u.high < limit.high || u.high == limit.high && u.low < limit.low
}

func digit(c byte) bool { return c-'0' <= 9 }
