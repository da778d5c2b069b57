package record

import (
	"math"
	"strconv"
)

// mostDigits is the number of significant digits above which no double represents a number exactly: the longest has 767.
const mostDigits = 800

// ParseFloat returns the floating-point number of 64 or 32 bits nearest to a JSON number. exact reports whether rounding it
// to the number's last digit restores the number. So in 64 bits, all numbers of up to 15 digits are exact, as are 17-digit
// decimals that a program printed from a double; an integer is exact only if the double equals it. ok is false for a number
// out of range: too large, or so small that it would become zero. The text must be a JSON number.
func ParseFloat(number []byte, bits int) (v float64, exact, ok bool) {
	v, err := strconv.ParseFloat(string(number), bits)
	digits := significantDigits(number)
	if err != nil || v == 0 && digits > 0 {
		return v, false, false
	}
	// With up to this many digits (DBL_DIG and FLT_DIG of ISO C), all numbers within or above the normal range are exact.
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
	if n, places, ok := decimal(number, digits); ok {
		if off := math.Abs(residue(magnitude, n, places)); math.Abs(off-0.5) > 0.01 {
			return v, off < 0.5, true
		}
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

// powersOfTen are those that a double represents exactly.
var powersOfTen = [...]float64{1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18,
	1e19, 1e20, 1e21, 1e22}

// decimal returns the magnitude of a number as n/10^places. ok is false if the number has an exponent, or more digits or
// places than residue is precise for.
func decimal(number []byte, digits int) (n uint64, places int, ok bool) {
	if digits > 17 {
		return 0, 0, false
	}
	fraction := false
	for _, c := range number {
		switch {
		case c == '.':
			fraction = true
			continue
		case c == '-':
			continue
		case c|0x20 == 'e':
			return 0, 0, false
		case digits == 0: // zeros at the end of the fraction
			continue
		}
		if n = 10*n + uint64(c-'0'); n > 0 {
			digits--
		}
		if fraction {
			places++
		}
	}
	return n, places, places < len(powersOfTen)
}

// residue returns the difference between v and the number n/10^places near it, in units of the number's last digit, with
// an error below a thousandth: the product is rounded only after the subtraction.
func residue(v float64, n uint64, places int) float64 {
	near := float64(n)
	return math.FMA(v, powersOfTen[places], -near) - float64(int64(n)-int64(near))
}

// sameDigits compares a number's significant digits with those of a double in the form 1.2345e+06.
func sameDigits(number, written []byte, digits int) bool {
	if digits > 1 {
		written[1] = written[0] // overwrites the point
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
