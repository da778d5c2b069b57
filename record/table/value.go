package table

import (
	"encoding/binary"
	"math/big"
)

// Single values are encoded by the specification's appendix D, "Binary single-value serialization": numbers, dates and times
// as little-endian int or long, a boolean as one byte, a decimal as its unscaled value in the fewest bytes, big-endian
// two's complement, text and bytes as they are.

func appendInt(dst []byte, v int32) []byte { return binary.LittleEndian.AppendUint32(dst, uint32(v)) }

func appendLong(dst []byte, v int64) []byte { return binary.LittleEndian.AppendUint64(dst, uint64(v)) }

func readInt(value []byte) int32 { return int32(binary.LittleEndian.Uint32(value)) }

func readLong(value []byte) int64 { return int64(binary.LittleEndian.Uint64(value)) }

// appendMinimal appends a big-endian two's complement number without the bytes that its sign makes superfluous.
func appendMinimal(dst, number []byte) []byte {
	for len(number) > 1 && (number[0] == 0 && number[1] < 0x80 || number[0] == 0xff && number[1] >= 0x80) {
		number = number[1:]
	}
	return append(dst, number...)
}

// appendBig appends an unscaled decimal.
func appendBig(dst []byte, v *big.Int) []byte {
	size := v.BitLen()/8 + 1
	number := make([]byte, size)
	if v.Sign() < 0 {
		v = new(big.Int).Add(v, new(big.Int).Lsh(big.NewInt(1), uint(8*size)))
	}
	return appendMinimal(dst, v.FillBytes(number))
}

// readBig reads an unscaled decimal.
func readBig(value []byte) *big.Int {
	v := new(big.Int).SetBytes(value)
	if len(value) > 0 && value[0] >= 0x80 {
		v.Sub(v, new(big.Int).Lsh(big.NewInt(1), uint(8*len(value))))
	}
	return v
}
