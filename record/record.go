// Package record says what a record is: where in the stream it stands, when it is valid, and what makes it unreadable.
//
// It is the one decoder of the pipeline: the daemon and the Lambda functions take the same payloads apart, give the
// same event ids and refuse the same faults. It knows nothing of streams, files or tables.
//
// A Kinesis record goes through Decoder.Append, which takes KPL aggregates apart and, where it is told to, inflates
// and splits payloads. What comes out is one Record for each user record. AppendJSONLine checks such a record and
// writes it as a line of JSON; AppendErrorLine writes what could not be delivered, and ParseErrorLine reads it back.
//
// # Fault codes
//
// A Fault's code is stable: tables, alarms and re-drives may rely on it. Codes returns this list with its meanings.
//
//	Aggregate.Corrupt         the magic number and checksum of a KPL aggregate, but no readable user records inside
//	Aggregate.TooManyRecords  a KPL aggregate of more user records than the bound, or than its size allows
//	Gzip.Corrupt              a gzip header, but the stream is damaged or cut off
//	Gzip.TooLarge             a gzip stream that inflates to more than the bound, or to more than 100 times its size
//	Json.Empty                no bytes but white space
//	Json.InvalidUTF8          a JSON string with bytes that are not UTF-8
//	Json.Malformed            not JSON: a byte that may not stand where it stands
//	Json.NotAnObject          a JSON value other than an object
//	Json.NumberTooLarge       a number of more than 400 digits, or with an exponent beyond 400, where a schema or a query computes with it
//	Json.TooDeep              objects and arrays nested deeper than 1,000 levels
//	Json.TrailingData         something other than white space after the object
//	Json.Truncated            the payload ends within the object
//	Record.Panicked           this program failed on the record: please report it, with the message
//	Registry.FrameCorrupt     the first byte of a schema registry's frame, but the rest of it is damaged or cut off
//	Registry.PayloadUnfit     data that the schema named by their frame cannot have written
//	Registry.SchemaUnknown    a frame names a schema version that the registry does not have
//	Registry.SchemaUnusable   a frame names a schema version whose definition cannot be used
//	Registry.TooLarge         framed data that come to more than the bound when opened, or zlib that inflates to more than 100 times its size
//	Route.Failed              no key can be made for the record, for a reason that has no code of its own: please report it, with the message
//	Split.TooLarge            log events that take up more than the bound after splitting
//	Split.TooManyRecords      a payload that splits into more user records than the bound, or than its size allows
package record

import (
	"fmt"
	"strconv"
	"time"
)

// Record is one user record: a Kinesis record, or one of the user records that a KPL aggregate carries.
//
// Its strings and its data may share memory with the answer that brought it, which is used again: whoever keeps one of
// them for longer than the call that it was passed to copies it.
type Record struct {
	// Shard is the id of the shard. Only error lines need it: it may be empty before.
	Shard string
	// SequenceNumber is the decimal sequence number of the Kinesis record. All user records of an aggregate share it.
	SequenceNumber string
	// SubSequence counts the user records of one aggregate from 0. It has a meaning only if Aggregated is set.
	SubSequence int
	// Aggregated tells that the record came inside a KPL aggregate.
	Aggregated bool
	// Part counts from 0 the user records into which one payload was split. It has a meaning only if Split is set.
	Part int
	// Split tells that the payload held several user records, and this is one of them.
	Split bool
	// PartitionKey is the key that the sender gave.
	PartitionKey string
	// ExplicitHashKey is the decimal hash key inside an aggregate; empty if the sender gave none.
	ExplicitHashKey string
	// Arrival is Kinesis's ApproximateArrivalTimestamp, millisecond precision.
	Arrival time.Time
	// Data is the payload.
	Data []byte
	// Fault is set where the payload could not be taken apart; Data then holds the bytes as they came.
	Fault *Fault
}

// AppendEventID appends the id that makes the record unique in its stream: the sequence number, then for a record of an
// aggregate "-n" with its sub-sequence number, then for a part of a split payload "-n" with its part number.
//
// No two records share an id, although "-n" alone may stand for either: what shares a sequence number came out of one
// Kinesis record, which is an aggregate or is not, and a payload that was split leaves no record without a part number.
// The id follows from the Kinesis record and the Decoder's options alone, so that a replay gives the same ids.
func (r *Record) AppendEventID(dst []byte) []byte {
	dst = append(dst, r.SequenceNumber...)
	if r.Aggregated {
		dst = append(dst, '-')
		dst = strconv.AppendInt(dst, int64(r.SubSequence), 10)
	}
	if r.Split {
		dst = append(dst, '-')
		dst = strconv.AppendInt(dst, int64(r.Part), 10)
	}
	return dst
}

// EventID returns the id of AppendEventID as a string.
func (r *Record) EventID() string { return string(r.AppendEventID(nil)) }

// OutputType is the kind of error output that a faulty record belongs to, the value of Firehose's
// !{firehose:error-output-type}.
type OutputType string

const (
	// ProcessingFailed marks records that could not be decoded, validated or routed.
	ProcessingFailed OutputType = "processing-failed"
	// FormatConversionFailed marks valid records that do not fit the columns of the output format.
	FormatConversionFailed OutputType = "format-conversion-failed"
)

// Fault says why a record cannot be delivered. It is an error of the record, never of the pipeline: the record goes to
// the error prefix and the next one is taken.
type Fault struct {
	Type    OutputType
	Code    string // documented and stable, as CodeJSONMalformed; see Codes
	Message string // names the place, never the payload's content
}

func (f *Fault) Error() string { return fmt.Sprintf("%s: %s", f.Code, f.Message) }

// CompareSequence orders two decimal sequence numbers as integers: negative if a is before b, 0 if they are the same.
func CompareSequence(a, b string) int {
	if len(a) != len(b) {
		return len(a) - len(b)
	}
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}
