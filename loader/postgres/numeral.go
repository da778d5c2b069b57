package postgres

import (
	"bytes"
	"encoding/binary"
	"math"
	"strconv"
)

// numeral is a JSON number in decimal digits: 0.d1d2d3... times 10^point.
type numeral struct {
	negative bool
	digits   []byte // from the first digit that is not 0 to the last, perhaps with the number's point among them; empty for zero
	count    int    // of the digits
	point    int
	scale    int // digits after the number's point, as PostgreSQL counts them: 1.50e1 has one
}

// farthest is an exponent beyond which every number is out of range.
const farthest = 1 << 30

// readNumeral splits a JSON number.
func readNumeral(number []byte) (n numeral) {
	n.negative = number[0] == '-'
	if n.negative {
		number = number[1:]
	}
	exponent := 0
	if e := bytes.IndexAny(number, "eE"); e >= 0 {
		exponent = readExponent(number[e+1:])
		number = number[:e]
	}
	whole := bytes.IndexByte(number, '.')
	fraction := 0
	if whole < 0 {
		whole = len(number)
	} else {
		fraction = len(number) - whole - 1
	}
	n.scale = max(0, fraction-exponent)
	first, last := 0, len(number)
	for first < last && (number[first] == '0' || number[first] == '.') {
		first++
	}
	for last > first && (number[last-1] == '0' || number[last-1] == '.') {
		last--
	}
	if n.digits = number[first:last]; first == last {
		return n
	}
	n.point = whole - first + exponent
	if first > whole {
		n.point++
	}
	n.count = len(n.digits)
	if first < whole && whole < last {
		n.count--
	}
	return n
}

func readExponent(text []byte) int {
	exponent, err := strconv.Atoi(string(text))
	switch {
	case text[0] == '-' && (err != nil || exponent < -farthest):
		return -farthest
	case err != nil || exponent > farthest:
		return farthest
	}
	return exponent
}

// integer returns the number as an integer of 64 bits. whole is false if it is not an integer, and ok if it does not have 64 bits.
func (n numeral) integer() (v int64, whole, ok bool) {
	if n.count > n.point {
		return 0, n.count == 0, n.count == 0
	}
	if n.point > 19 {
		return 0, true, false
	}
	var magnitude uint64 // 19 digits are below 2^64
	for _, c := range n.digits {
		if c != '.' {
			magnitude = magnitude*10 + uint64(c-'0')
		}
	}
	for range n.point - n.count {
		magnitude *= 10
	}
	if n.negative {
		return -int64(magnitude), true, magnitude <= 1<<63 // the negative of the least integer is itself
	}
	return int64(magnitude), true, magnitude <= math.MaxInt64
}

// The bounds of numeric (src/backend/utils/adt/numeric.c): the scale of its header has 14 bits, and the weight of its first digit, which
// counts ten thousands, 16 bits with the sign.
const (
	maxScale = 1<<14 - 1
	maxPoint = 4 * (math.MaxInt16 + 1)
)

// appendNumeric appends the number as numeric_recv reads it: digits to the base 10000 with the weight of the first, the sign, and the
// scale. It does not round. ok is false if numeric cannot hold it.
func (n numeral) appendNumeric(dst []byte) (_ []byte, ok bool) {
	if n.scale > maxScale || n.point > maxPoint {
		return dst, false
	}
	if n.count == 0 {
		dst = append(dst, 0, 0, 0, 0, 0, 0)
		return binary.BigEndian.AppendUint16(dst, uint16(n.scale)), true
	}
	groups := floorDiv(n.point+3, 4) // before the point of the numeric
	at := 4*groups - n.point         // of the first digit in its group
	weight, sign := groups-1, uint16(0)
	if n.negative {
		sign = 0x4000
	}
	dst = binary.BigEndian.AppendUint16(dst, uint16((at+n.count+3)/4))
	dst = binary.BigEndian.AppendUint16(dst, uint16(int16(weight)))
	dst = binary.BigEndian.AppendUint16(dst, sign)
	dst = binary.BigEndian.AppendUint16(dst, uint16(n.scale))
	group := uint16(0)
	for _, c := range n.digits {
		if c == '.' {
			continue
		}
		group = group*10 + uint16(c-'0')
		if at++; at == 4 {
			dst = binary.BigEndian.AppendUint16(dst, group)
			group, at = 0, 0
		}
	}
	if at > 0 {
		for ; at < 4; at++ {
			group *= 10
		}
		dst = binary.BigEndian.AppendUint16(dst, group)
	}
	return dst, true
}

func floorDiv(a, b int) int {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}
