package prefix

import (
	"math/rand/v2"
	"strings"
)

const (
	// randomMark stands in a partition for each random string until a file is begun. It comes out of no expression:
	// templates have no control characters, and those of values are escaped.
	randomMark = "\x00"
	// randomLength is that of Firehose's random strings.
	randomLength = 11
)

// KeyPrefix returns the key prefix for a new file of a partition: the partition, with its random strings drawn. Files of
// one partition differ in it if the template has !{firehose:random-string}.
func (r *Router) KeyPrefix(partition string) string { return drawRandom(partition) }

func drawRandom(partition string) string {
	before, after, found := strings.Cut(partition, randomMark)
	if !found {
		return partition
	}
	b := make([]byte, 0, len(partition)+4*randomLength)
	for found {
		b = appendRandom(append(b, before...))
		before, after, found = strings.Cut(after, randomMark)
	}
	return string(append(b, before...))
}

// appendRandom appends a random string with the length and the characters of Firehose's. It spreads keys, and is no
// secret.
func appendRandom(b []byte) []byte {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	for range randomLength {
		b = append(b, letters[rand.IntN(len(letters))])
	}
	return b
}
