package prefix

import (
	"crypto/sha256"
	"math/rand/v2"
	"strings"
)

const (
	// randomMark represents each random string in a partition until a file is begun. No expression yields it: templates
	// have no control characters, and those in values are escaped.
	randomMark = "\x00"
	// randomLength is the length of Firehose's random strings.
	randomLength = 11
)

// KeyPrefix returns the key prefix for a new file of a partition: the partition, with its random strings drawn. It differs
// between the files of a partition if the template has !{firehose:random-string}.
func (r *Router) KeyPrefix(partition string) string { return drawRandom(partition, rand.IntN) }

// KeyPrefixOf returns a key prefix for a partition that is the same whenever the seed is, so that a file can be written again.
func (r *Router) KeyPrefixOf(partition, seed string) string {
	return drawRandom(partition, rand.New(rand.NewChaCha8(sha256.Sum256([]byte(seed+"\x00"+partition)))).IntN)
}

// Undrawn returns a partition for people to read, with {random} where random strings are to be drawn.
func Undrawn(partition string) string { return strings.ReplaceAll(partition, randomMark, "{random}") }

// drawRandom draws the random strings of a partition. intN returns a random number below its argument.
func drawRandom(partition string, intN func(int) int) string {
	before, after, found := strings.Cut(partition, randomMark)
	if !found {
		return partition
	}
	b := make([]byte, 0, len(partition)+4*randomLength)
	for found {
		b = appendRandom(append(b, before...), intN)
		before, after, found = strings.Cut(after, randomMark)
	}
	return string(append(b, before...))
}

// appendRandom appends a random string with the length and characters of Firehose's. It spreads keys, and is not a secret.
func appendRandom(b []byte, intN func(int) int) []byte {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	for range randomLength {
		b = append(b, letters[intN(len(letters))])
	}
	return b
}
