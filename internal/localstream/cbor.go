package localstream

import (
	"encoding/binary"
	"math"

	"github.com/aws/smithy-go/encoding/cbor"
)

// contentTypeCBOR marks calls in CBOR (RFC 8949). Operations and members are those of JSON; payloads are byte strings,
// and times are milliseconds with the time tag, as exchanged by the AWS SDK for Java and Kinesis.
const contentTypeCBOR = "application/x-amz-cbor-1.1"

// Major types of CBOR, in the upper three bits of an item's first byte.
const (
	cborUint  = 0 << 5
	cborBytes = 2 << 5
	cborText  = 3 << 5
	cborList  = 4 << 5
	cborMap   = 5 << 5
	cborTag   = 6 << 5
)

// appendCBORHead begins an item with a number or a length.
func appendCBORHead(dst []byte, major byte, arg uint64) []byte {
	switch {
	case arg < 24:
		return append(dst, major|byte(arg))
	case arg <= math.MaxUint8:
		return append(dst, major|24, byte(arg))
	case arg <= math.MaxUint16:
		return binary.BigEndian.AppendUint16(append(dst, major|25), uint16(arg))
	case arg <= math.MaxUint32:
		return binary.BigEndian.AppendUint32(append(dst, major|26), uint32(arg))
	}
	return binary.BigEndian.AppendUint64(append(dst, major|27), arg)
}

func appendCBORText[T string | []byte](dst []byte, text T) []byte {
	return append(appendCBORHead(dst, cborText, uint64(len(text))), text...)
}

func appendCBORError(dst []byte, e *apiError) []byte {
	dst = appendCBORHead(dst, cborMap, 2)
	dst = appendCBORText(appendCBORText(dst, "__type"), e.code)
	return appendCBORText(appendCBORText(dst, "message"), e.message)
}

func (r *getRecordsRequest) decodeCBOR(body []byte) error {
	value, err := cbor.Decode(body)
	if err != nil {
		return errorf(codeSerialization, "%s", err)
	}
	members, ok := value.(cbor.Map)
	if !ok {
		return errorf(codeSerialization, "the request is not a map")
	}
	for name, value := range members {
		text, isText := value.(cbor.String)
		number, isNumber := value.(cbor.Uint)
		switch {
		case name == "ShardIterator" && isText:
			r.ShardIterator = string(text)
		case name == "StreamARN" && isText:
			r.StreamARN = string(text)
		case name == "Limit" && isNumber:
			limit := int(min(number, math.MaxInt32))
			r.Limit = &limit
		default:
			return errorf(codeSerialization, "member %q is not a member of GetRecords, or has the wrong type", name)
		}
	}
	return nil
}

// appendPageCBOR writes the answer of GetRecords.
func (k *Kinesis) appendPageCBOR(c *call, sh *shard, it iterator, p page) {
	c.reserve(p.bytes + p.records*recordOverhead)
	out := appendCBORHead(c.out, cborMap, 3)
	out = appendCBORHead(appendCBORText(out, "Records"), cborList, uint64(p.records))
	var sequence [64]byte
	for _, run := range p.runs {
		for _, e := range run.entries {
			out = appendCBORHead(out, cborMap, 4)
			out = appendCBORText(appendCBORText(out, "SequenceNumber"), sh.stamp.sequence(e.ordinal).append(sequence[:0]))
			out = appendCBORHead(appendCBORText(out, "ApproximateArrivalTimestamp"), cborTag, 1)
			out = appendCBORHead(out, cborUint, uint64(e.arrival))
			data := run.data(e)
			out = appendCBORHead(appendCBORText(out, "Data"), cborBytes, uint64(len(data)))
			out = append(out, data...)
			out = appendCBORText(appendCBORText(out, "PartitionKey"), run.key(e))
		}
	}
	out = appendCBORHead(appendCBORText(out, "MillisBehindLatest"), cborUint, uint64(p.behind))
	if !p.end {
		c.out = appendCBORText(appendCBORText(out, "NextShardIterator"), it.after(p, c.now).append(nil))
		return
	}
	children := sh.childShards()
	out = appendCBORHead(appendCBORText(out, "ChildShards"), cborList, uint64(len(children)))
	for _, child := range children {
		out = appendCBORHead(out, cborMap, 3)
		out = appendCBORText(appendCBORText(out, "ShardId"), child.ShardID)
		out = appendCBORHead(appendCBORText(out, "ParentShards"), cborList, uint64(len(child.ParentShards)))
		for _, parent := range child.ParentShards {
			out = appendCBORText(out, parent)
		}
		out = appendCBORHead(appendCBORText(out, "HashKeyRange"), cborMap, 2)
		out = appendCBORText(appendCBORText(out, "StartingHashKey"), child.HashKeyRange.StartingHashKey)
		out = appendCBORText(appendCBORText(out, "EndingHashKey"), child.HashKeyRange.EndingHashKey)
	}
	c.out = out
}
