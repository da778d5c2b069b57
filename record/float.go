package record

import (
	"math"
	"strconv"
)

// mostDigits is the number of significant digits above which no double gives a number back: the longest double has 767.
const mostDigits = 800

// ParseFloat returns the floating-point number of 64 or 32 bits that is nearest to a JSON number. exact tells that it gives
// the number back: rounded to the number's last digit it is the number again. So all numbers of up to 15 digits are exact
// in 64 bits, 17-digit decimals are that a program has printed from a double, and an integer is exact only if the double
// is that integer. ok is false for a number beyond the range: too large, or so small that it would become zero. The text
// must be a JSON number.
func ParseFloat(number []byte, bits int) (v float64, exact, ok bool) {
	v, err := strconv.ParseFloat(string(number), bits)
	digits := significantDigits(number)
	if err != nil || v == 0 && digits > 0 {
		return v, false, false
	}
	// Up to so many digits (DBL_DIG and FLT_DIG of ISO C) all numbers are exact that are not below the normal range.
	safe, leastNormal := 15, 0x1p-1022
	if bits == 32 {
		safe, leastNormal = 6, 0x1p-126
	}
	magnitude := math.Abs(v)
	switch {
	case digits == 0 || digits <= safe && magnitude >= leastNormal:
		return v, true, true
	case digits > mostDigits:
		return v, false, true
	}
	var room [32]byte
	return v, sameDigits(number, strconv.AppendFloat(room[:0], magnitude, 'e', digits-1, bits), digits), true
}

// significantDigits counts the digits of a number without leading zeros, and without the trailing zeros of a fraction.
func significantDigits(number []byte) int {
	digits, zeros := 0, 0
	fraction := false
	for _, c := range number {
		switch {
		case c == '.':
			fraction = true
		case c == '0' && fraction && digits > 0:
			zeros++
		case c == '0' && digits > 0:
			digits++
		case '1' <= c && c <= '9':
			digits += zeros + 1
			zeros = 0
		case c|0x20 == 'e':
			return digits
		}
	}
	return digits
}

// sameDigits compares a number's significant digits with those of the same number written as 1.2345e+06.
func sameDigits(number, written []byte, digits int) bool {
	if digits > 1 {
		written[1] = written[0] // over the point
		written = written[1:]
	}
	written = written[:digits]
	for _, c := range number {
		leading := c == '0' && len(written) == digits
		switch {
		case len(written) == 0:
			return true
		case c == '-' || c == '.' || leading:
			continue
		case c != written[0]:
			return false
		}
		written = written[1:]
	}
	return true
}
