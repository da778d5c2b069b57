// Package streams identifies Kinesis streams and their fan-out consumers by name or ARN.
package streams

import "strings"

// ID is the name of a stream, or its ARN, which may be in another account.
type ID string

// Name returns the stream's name.
func (id ID) Name() string {
	if !isARN(id) {
		return string(id)
	}
	_, name, _ := strings.Cut(string(id), ":stream/")
	return name
}

// ByName returns the StreamName of a request: nil if the stream is given by its ARN.
func (id ID) ByName() *string {
	if isARN(id) {
		return nil
	}
	return (*string)(&id)
}

// ByARN returns the StreamARN of a request: nil if the stream is given by its name.
func (id ID) ByARN() *string {
	if !isARN(id) {
		return nil
	}
	return (*string)(&id)
}

// Valid reports whether the ID matches the pattern of StreamName or StreamARN (Kinesis API Reference, PutRecords).
func (id ID) Valid() bool {
	name := id.Name()
	for _, b := range []byte(name) {
		letter := 'a' <= b|0x20 && b|0x20 <= 'z'
		if !letter && (b < '0' || b > '9') && b != '_' && b != '.' && b != '-' {
			return false
		}
	}
	return len(name) >= 1 && len(name) <= 128
}

// ConsumerID is the name of a fan-out consumer, or its ARN.
type ConsumerID string

// IsARN reports whether the consumer is given by ARN: then it must exist, and is not registered.
func (id ConsumerID) IsARN() bool { return isARN(id) }

// Of reports whether a consumer that is given by its ARN belongs to the stream with this ARN.
func (id ConsumerID) Of(stream string) bool {
	return strings.HasPrefix(string(id), stream+"/consumer/")
}

func isARN[T ~string](id T) bool { return strings.HasPrefix(string(id), "arn:") }
