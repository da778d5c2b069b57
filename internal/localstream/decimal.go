package localstream

import (
	"math/bits"
	"strconv"
)

// wide is an unsigned integer of 192 bits, most significant word first: enough for hash keys (128 bits) and sequence
// numbers (186 bits), which the Kinesis API writes as decimal strings.
type wide [3]uint64

// chunk is the largest power of ten that fits in a word: decimal text is handled nineteen digits at a time.
const (
	chunk       = 1e19
	chunkDigits = 19
	// maxDigits is the longest text that cannot overflow 192 bits.
	maxDigits = 57
)

// maxHashKey is 2^128-1, the last key of a stream's hash ring.
var maxHashKey = wide{0, ^uint64(0), ^uint64(0)}

// parseWide parses a decimal without sign or leading zeros, by the API's pattern 0|([1-9]\d{0,128}). It rejects numbers
// of more than 57 digits, which neither hash keys nor sequence numbers have.
func parseWide[T string | []byte](text T) (wide, bool) {
	if len(text) == 0 || len(text) > maxDigits || (len(text) > 1 && text[0] == '0') {
		return wide{}, false
	}
	var n wide
	for start := 0; start < len(text); {
		end := min(start+chunkDigits, len(text))
		part, scale := uint64(0), uint64(1)
		for _, c := range []byte(text[start:end]) {
			if c < '0' || c > '9' {
				return wide{}, false
			}
			part, scale = part*10+uint64(c-'0'), scale*10
		}
		n = n.mulAdd(scale, part)
		start = end
	}
	return n, true
}

// mulAdd returns n*factor + summand, modulo 2^192.
func (n wide) mulAdd(factor, summand uint64) wide {
	var carry, overflow uint64
	high, low := bits.Mul64(n[2], factor)
	n[2], carry = bits.Add64(low, summand, 0)
	next := high + carry
	high, low = bits.Mul64(n[1], factor)
	n[1], overflow = bits.Add64(low, next, 0)
	n[0] = n[0]*factor + high + overflow
	return n
}

// append appends the decimal text.
func (n wide) append(dst []byte) []byte {
	var parts [4]uint64
	count := 0
	for {
		var rest uint64
		n[0], rest = n[0]/chunk, n[0]%chunk
		n[1], rest = bits.Div64(rest, n[1], chunk)
		n[2], rest = bits.Div64(rest, n[2], chunk)
		parts[count] = rest
		count++
		if n == (wide{}) {
			break
		}
	}
	dst = strconv.AppendUint(dst, parts[count-1], 10)
	for i := count - 2; i >= 0; i-- {
		var digits [chunkDigits]byte
		part := parts[i]
		for d := chunkDigits - 1; d >= 0; d-- {
			digits[d] = byte('0' + part%10)
			part /= 10
		}
		dst = append(dst, digits[:]...)
	}
	return dst
}

func (n wide) String() string { return string(n.append(make([]byte, 0, maxDigits))) }

// compare orders two numbers: negative if n is before m, 0 if they are the same.
func (n wide) compare(m wide) int {
	for i := range n {
		switch {
		case n[i] < m[i]:
			return -1
		case n[i] > m[i]:
			return 1
		}
	}
	return 0
}

// plusOne and minusOne add and subtract one, modulo 2^192.
func (n wide) plusOne() wide { return n.mulAdd(1, 1) }

func (n wide) minusOne() wide {
	var borrow uint64
	n[2], borrow = bits.Sub64(n[2], 1, 0)
	n[1], borrow = bits.Sub64(n[1], 0, borrow)
	n[0] -= borrow
	return n
}

// hashBoundary returns the first hash key of part i of n equal parts of the ring: i * 2^128 / n, rounded down.
func hashBoundary(i, n int) wide {
	// i < n keeps the dividend i*2^128 within 192 bits and the quotient within 128.
	_, rest := uint64(0), uint64(i)
	var boundary wide
	boundary[1], rest = bits.Div64(rest, 0, uint64(n))
	boundary[2], _ = bits.Div64(rest, 0, uint64(n))
	return boundary
}
