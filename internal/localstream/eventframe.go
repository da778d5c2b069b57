package localstream

import (
	"encoding/binary"
	"hash/crc32"
)

// contentTypeEvents is the content type of an answer in the event stream encoding of AWS
// (application/vnd.amazon.eventstream): a sequence of messages, each with its lengths and their checksum, headers, a
// payload, and a checksum of all of it. Numbers are big-endian, checksums are CRC-32 (IEEE).
const contentTypeEvents = "application/vnd.amazon.eventstream"

const (
	framePreludeBytes = 12 // length of the message, length of the headers, checksum of the two
	headerIsString    = 7  // type of a header's value
)

// Headers of the messages of SubscribeToShard.
var (
	initialHeaders = eventHeaders("initial-response")
	eventsHeaders  = eventHeaders("SubscribeToShardEvent")
)

func eventHeaders(kind string) []byte {
	headers := appendHeader(nil, ":event-type", kind)
	headers = appendHeader(headers, ":content-type", "application/json")
	return appendHeader(headers, ":message-type", "event")
}

func exceptionHeaders(code string) []byte {
	headers := appendHeader(nil, ":exception-type", code)
	headers = appendHeader(headers, ":content-type", "application/json")
	return appendHeader(headers, ":message-type", "exception")
}

func appendHeader(dst []byte, name, value string) []byte {
	dst = append(append(dst, byte(len(name))), name...)
	dst = binary.BigEndian.AppendUint16(append(dst, headerIsString), uint16(len(value)))
	return append(dst, value...)
}

// beginFrame begins a message in dst, which is empty. The caller appends the payload to the result, and endFrame ends the
// message.
func beginFrame(dst, headers []byte) []byte {
	dst = append(dst, make([]byte, framePreludeBytes)...)
	binary.BigEndian.PutUint32(dst[4:], uint32(len(headers)))
	return append(dst, headers...)
}

func endFrame(frame []byte) []byte {
	binary.BigEndian.PutUint32(frame, uint32(len(frame)+crc32.Size))
	binary.BigEndian.PutUint32(frame[8:], crc32.ChecksumIEEE(frame[:8]))
	return binary.BigEndian.AppendUint32(frame, crc32.ChecksumIEEE(frame))
}
