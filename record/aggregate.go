package record

import (
	"bytes"
	"crypto/md5"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"
)

// The format of an aggregate is that of "KPL Aggregated Record Format" (aggregation-format.md of
// awslabs/amazon-kinesis-producer): the magic number, a protobuf message, and the MD5 of the message.
//
//	message AggregatedRecord {
//	  repeated string partition_key_table     = 1;
//	  repeated string explicit_hash_key_table = 2;
//	  repeated Record records                 = 3;
//	}
//	message Record {
//	  required uint64 partition_key_index     = 1;
//	  optional uint64 explicit_hash_key_index = 2;
//	  required bytes  data                    = 3;
//	  repeated Tag    tags                    = 4;  // not used by KPL and KCL
//	}
const (
	aggregateMagic = "\xf3\x89\x9a\xc2"

	fieldPartitionKeyTable    protowire.Number = 1
	fieldExplicitHashKeyTable protowire.Number = 2
	fieldRecords              protowire.Number = 3

	fieldPartitionKeyIndex    protowire.Number = 1
	fieldExplicitHashKeyIndex protowire.Number = 2
	fieldData                 protowire.Number = 3
)

// DefaultMaxRecords is the default bound on the user records of one Kinesis record. Without a bound, a payload of 10 MiB
// could take memory for more than a million. It is far above what producers send: by default, KPL closes an aggregate at
// 51,200 bytes.
const DefaultMaxRecords = 250_000

// AppendRecords appends the user records of raw to dst: those inside if it is a KPL aggregate, otherwise raw itself. The
// user records' data share memory with raw's. SubSequence numbers them from 0 in their order, as in the KCL.
//
// A payload that begins with the magic number but does not end with the right MD5 is not an aggregate and is passed on
// unchanged, as in the Java KCL: another producer's binary data may begin with any bytes. If the MD5 is right but the
// user records cannot be read (not a protobuf message of that form, a table index out of range, no records, or more than
// DefaultMaxRecords or its size allows), raw is appended whole with a Fault: part of an aggregate is never delivered. The
// Java KCL delivers the records before a wrong index and drops the rest, which this pipeline must not.
func AppendRecords(dst []Record, raw Record) []Record {
	left := newBudget(&raw, DefaultMaxOpenedBytes, DefaultMaxRecords)
	dst, _ = appendUserRecords(dst, raw, &left, nil)
	return dst
}

// appendUserRecords is AppendRecords with its bounds. With a range, it drops an aggregate with a user record that belongs
// to another shard, and returns whether it did.
func appendUserRecords(dst []Record, raw Record, left *budget, in *HashRange) (out []Record, dropped bool) {
	message, ok := aggregateMessage(raw.Data)
	if raw.Fault != nil || !ok {
		return append(dst, raw), false
	}
	out, err := appendMessage(dst, raw, message, left)
	if err != nil {
		code := CodeAggregateCorrupt
		if errors.Is(err, errTooManyRecords) {
			code = CodeAggregateTooManyRecords
		}
		raw.Fault = fault(code, "split KPL aggregate: "+err.Error())
		return append(dst, raw), false
	}
	if in != nil {
		for i := len(dst); i < len(out); i++ {
			if !in.serves(&out[i]) {
				return dst, true
			}
		}
	}
	return out, false
}

// aggregateMessage returns the protobuf message of an aggregate, and false for any other payload.
func aggregateMessage(payload []byte) ([]byte, bool) {
	rest, ok := bytes.CutPrefix(payload, []byte(aggregateMagic))
	if !ok || len(rest) < md5.Size {
		return nil, false
	}
	message, trailer := rest[:len(rest)-md5.Size], rest[len(rest)-md5.Size:]
	if md5.Sum(message) != [md5.Size]byte(trailer) {
		return nil, false
	}
	return message, true
}

var errTooManyRecords = errors.New("too many user records")

// appendMessage appends the user records of a message, all or none.
func appendMessage(dst []Record, raw Record, message []byte, left *budget) ([]Record, error) {
	t, err := readTables(message)
	if err != nil {
		return dst, err
	}
	switch {
	case t.records == 0:
		return dst, errors.New("no user records")
	case t.records > left.parts:
		return dst, fmt.Errorf("%w: %d, the bound is %d", errTooManyRecords, t.records, left.parts)
	}
	out := slices.Grow(dst, t.records)
	err = eachField(message, func(f field) error {
		if f.number != fieldRecords || f.kind != protowire.BytesType {
			return nil
		}
		u := raw
		u.Aggregated = true
		u.SubSequence = len(out) - len(dst)
		if err := t.readRecord(&u, f.bytes); err != nil {
			return fmt.Errorf("user record %d: %w", u.SubSequence, err)
		}
		if !left.describe(&u) {
			return fmt.Errorf("%w: %d with their keys, in %d bytes", errTooManyRecords, t.records, len(message))
		}
		out = append(out, u)
		return nil
	})
	if err != nil {
		return dst, err
	}
	return out, nil
}

// tables are the two lists of keys to which user records refer by index. The format allows them anywhere in the message,
// so they are read before the records.
type tables struct {
	partitionKeys    []string
	explicitHashKeys []string
	records          int // how many follow
}

// readTables reads the tables of a message. All keys share one string, so that their number costs no allocations.
func readTables(message []byte) (tables, error) {
	var (
		t                    tables
		text                 strings.Builder
		partitions, explicit int
	)
	size := 0
	err := eachField(message, func(f field) error {
		switch {
		case f.kind != protowire.BytesType:
		case f.number == fieldPartitionKeyTable:
			partitions++
			size += len(f.bytes)
		case f.number == fieldExplicitHashKeyTable:
			explicit++
			size += len(f.bytes)
		case f.number == fieldRecords:
			t.records++
		}
		return nil
	})
	if err != nil {
		return tables{}, err
	}
	text.Grow(size)
	t.partitionKeys = make([]string, 0, partitions)
	t.explicitHashKeys = make([]string, 0, explicit)
	err = eachField(message, func(f field) error {
		if f.kind != protowire.BytesType {
			return nil
		}
		start := text.Len()
		switch f.number {
		case fieldPartitionKeyTable:
			text.Write(f.bytes)
			t.partitionKeys = append(t.partitionKeys, text.String()[start:])
		case fieldExplicitHashKeyTable:
			text.Write(f.bytes)
			t.explicitHashKeys = append(t.explicitHashKeys, text.String()[start:])
		}
		return nil
	})
	return t, err
}

// readRecord sets the fields of u from the message of a user record.
func (t *tables) readRecord(u *Record, message []byte) error {
	var hasKey, hasData bool
	err := eachField(message, func(f field) error {
		switch {
		case f.number == fieldPartitionKeyIndex && f.kind == protowire.VarintType:
			if f.value >= uint64(len(t.partitionKeys)) {
				return fmt.Errorf("partition key index %d of %d", f.value, len(t.partitionKeys))
			}
			u.PartitionKey, hasKey = t.partitionKeys[f.value], true
		case f.number == fieldExplicitHashKeyIndex && f.kind == protowire.VarintType:
			if f.value >= uint64(len(t.explicitHashKeys)) {
				return fmt.Errorf("explicit hash key index %d of %d", f.value, len(t.explicitHashKeys))
			}
			u.ExplicitHashKey = t.explicitHashKeys[f.value]
		case f.number == fieldData && f.kind == protowire.BytesType:
			u.Data, hasData = f.bytes, true
		}
		return nil
	})
	switch {
	case err != nil:
		return err
	case !hasKey:
		return errors.New("no partition key index")
	case !hasData:
		return errors.New("no data")
	}
	return nil
}

// field is one field of a protobuf message.
type field struct {
	number protowire.Number
	kind   protowire.Type
	value  uint64 // of a varint
	bytes  []byte // of a length-delimited field; shares the message's memory
}

// eachField calls do for each field of a message, including unknown ones, in order. It stops at the first error.
func eachField(message []byte, do func(field) error) error {
	for rest := message; len(rest) > 0; {
		var f field
		var n int
		f.number, f.kind, n = protowire.ConsumeTag(rest)
		if n < 0 {
			return malformedField(message, rest, n)
		}
		size := 0
		switch f.kind {
		case protowire.VarintType:
			f.value, size = protowire.ConsumeVarint(rest[n:])
		case protowire.BytesType:
			f.bytes, size = protowire.ConsumeBytes(rest[n:])
			f.bytes = f.bytes[:len(f.bytes):len(f.bytes)]
		default:
			size = protowire.ConsumeFieldValue(f.number, f.kind, rest[n:])
		}
		if size < 0 {
			return malformedField(message, rest, size)
		}
		if err := do(f); err != nil {
			return err
		}
		rest = rest[n+size:]
	}
	return nil
}

func malformedField(message, rest []byte, code int) error {
	what := "malformed" // the texts of the protobuf module vary between builds
	if errors.Is(protowire.ParseError(code), io.ErrUnexpectedEOF) {
		what = "cut off"
	}
	return fmt.Errorf("protobuf field at byte %d: %s", len(message)-len(rest), what)
}
