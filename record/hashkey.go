package record

import (
	"crypto/md5"
	"encoding/binary"
	"fmt"
	"math/big"
	"math/bits"
)

// HashKey is a point in the 128-bit key space that Kinesis divides among its shards.
type HashKey struct{ High, Low uint64 }

// HashKeyOf returns the hash key of a partition key: its MD5 as a big-endian number (Kinesis Data Streams API Reference,
// PutRecord: "an MD5 hash function is used to map partition keys to 128-bit integer values").
func HashKeyOf(partitionKey string) HashKey {
	sum := md5.Sum([]byte(partitionKey))
	return HashKey{binary.BigEndian.Uint64(sum[:8]), binary.BigEndian.Uint64(sum[8:])}
}

// parseHashKey parses a hash key in Kinesis's form: a decimal number from 0 to 2^128-1.
func parseHashKey(decimal string) (HashKey, error) {
	var k HashKey
	if decimal == "" {
		return HashKey{}, fmt.Errorf("parse hash key: empty")
	}
	for i := range len(decimal) {
		digit := decimal[i] - '0'
		if digit > 9 {
			return HashKey{}, fmt.Errorf("parse hash key %q: not a decimal number", decimal)
		}
		var over bool
		if k, over = k.timesTenPlus(uint64(digit)); over {
			return HashKey{}, fmt.Errorf("parse hash key %q: above 2^128-1", decimal)
		}
	}
	return k, nil
}

func (k HashKey) timesTenPlus(digit uint64) (product HashKey, over bool) {
	carry, low := bits.Mul64(k.Low, 10)
	beyond, high := bits.Mul64(k.High, 10)
	low, c := bits.Add64(low, digit, 0)
	high, c = bits.Add64(high, carry, c)
	return HashKey{high, low}, beyond|c != 0
}

// Compare returns a negative number if k is less than o, 0 if they are equal, and a positive number otherwise.
func (k HashKey) Compare(o HashKey) int {
	switch {
	case k.High < o.High || k.High == o.High && k.Low < o.Low:
		return -1
	case k == o:
		return 0
	}
	return 1
}

// String returns the key as a decimal number, as Kinesis writes it.
func (k HashKey) String() string {
	n := new(big.Int).SetUint64(k.High)
	n.Lsh(n, 64)
	return n.Or(n, new(big.Int).SetUint64(k.Low)).String()
}

// HashRange is the range of hash keys that a shard serves, from First to Last inclusive.
type HashRange struct{ First, Last HashKey }

// ParseHashRange parses StartingHashKey and EndingHashKey of a shard's HashKeyRange.
func ParseHashRange(starting, ending string) (HashRange, error) {
	first, err := parseHashKey(starting)
	if err != nil {
		return HashRange{}, fmt.Errorf("starting hash key: %w", err)
	}
	last, err := parseHashKey(ending)
	if err != nil {
		return HashRange{}, fmt.Errorf("ending hash key: %w", err)
	}
	if last.Compare(first) < 0 {
		return HashRange{}, fmt.Errorf("hash range from %s to %s is empty", first, last)
	}
	return HashRange{first, last}, nil
}

// Contains reports whether the shard serves k.
func (r HashRange) Contains(k HashKey) bool {
	return r.First.Compare(k) <= 0 && k.Compare(r.Last) <= 0
}

// serves reports whether the shard serves the user record: by its explicit hash key if it has one, otherwise by its
// partition key. A hash key that is not a number counts as served: nothing shows that it belongs to another shard.
func (r HashRange) serves(u *Record) bool {
	if u.ExplicitHashKey == "" {
		return r.Contains(HashKeyOf(u.PartitionKey))
	}
	k, err := parseHashKey(u.ExplicitHashKey)
	return err != nil || r.Contains(k)
}
