package prefix

import (
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

// appendRandom appends a random string with the length and characters of Firehose's. It spreads keys, and is not a secret.
func appendRandom(b []byte) []byte {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	for range randomLength {
		b = append(b, letters[rand.IntN(len(letters))])
	}
	return b
}
