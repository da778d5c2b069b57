// Package record defines a record: its position in the stream, when it is valid, and what makes it unreadable.
//
// It is the only decoder of the pipeline: the daemon and the Lambda functions decode the same payloads, assign the
// same event ids and reject the same faults. It knows nothing of streams, files or tables.
//
// A Kinesis record goes through Decoder.Append, which splits KPL aggregates and, if so configured, inflates and splits
// payloads. It returns one Record per user record. AppendJSONLine checks such a record and writes it as a line of JSON;
// AppendErrorLine writes a record that could not be delivered, and ParseErrorLine reads it back.
//
// # Fault codes
//
// Fault codes are stable: tables, alarms and redrives may rely on them. Codes returns this list with its meanings.
//
//	Aggregate.Corrupt         a KPL aggregate with the right magic number and checksum, but no readable user records
//	Aggregate.TooManyRecords  a KPL aggregate with more user records than the bound or its size allows
//	Gzip.Corrupt              a gzip stream that is damaged or truncated after its header
//	Gzip.TooLarge             a gzip stream that inflates to more than the bound, or to more than 100 times its size
//	Json.Empty                an empty payload, or only white space
//	Json.InvalidUTF8          a JSON string that is not valid UTF-8
//	Json.Malformed            invalid JSON: an unexpected byte
//	Json.NotAnObject          a JSON value other than an object
//	Json.NumberTooLarge       a number with more than 400 digits or an exponent beyond 400, used by a schema or a query
//	Json.TooDeep              objects and arrays nested deeper than 1,000 levels
//	Json.TrailingData         something other than white space after the object
//	Json.Truncated            the payload ends within the object
//	Record.Panicked           a bug in this program: please report it, with the message
//	Registry.FrameCorrupt     a schema registry's frame that is damaged or truncated after its first byte
//	Registry.PayloadUnfit     data that do not match the schema that their frame names
//	Registry.SchemaUnknown    a frame that names a schema version unknown to the registry
//	Registry.SchemaUnusable   a frame that names a schema version whose definition cannot be used
//	Registry.TooLarge         framed data that decode to more than the bound, or zlib that inflates to more than 100 times its size
//	Route.Failed              no object key can be made for the record, for a reason without a code of its own: please report it, with the message
//	Split.TooLarge            log events that exceed the bound after splitting
//	Split.TooManyRecords      a payload that splits into more user records than the bound or its size allows
package record

import (
	"fmt"
	"strconv"
	"time"
)

// Record is one user record: a Kinesis record, or one of the user records in a KPL aggregate.
//
// Its strings and data may share memory with the response it came in, which is reused: to keep one of them after the
// call it was passed to, copy it.
type Record struct {
	// Shard is the id of the shard. Only error lines need it: until then it may be empty.
	Shard string
	// SequenceNumber is the decimal sequence number of the Kinesis record. All user records of an aggregate share it.
	SequenceNumber string
	// SubSequence is the record's index in its aggregate, from 0. It is meaningful only if Aggregated is set.
	SubSequence int
	// Aggregated is set if the record came in a KPL aggregate.
	Aggregated bool
	// Part is the record's index, from 0, in a payload that was split. It is meaningful only if Split is set.
	Part int
	// Piece is the record's index, from 0, among those that a transform made of one record. It is meaningful only if Pieces
	// is set.
	Piece int
	// Split is set if the payload held several user records, of which this is one.
	Split bool
	// Pieces is set if a transform made several records of one, of which this is one.
	Pieces bool
	// PartitionKey is the key that the producer set.
	PartitionKey string
	// ExplicitHashKey is the decimal hash key in an aggregate; empty if the producer set none.
	ExplicitHashKey string
	// Arrival is Kinesis's ApproximateArrivalTimestamp, with millisecond precision.
	Arrival time.Time
	// Data is the payload.
	Data []byte
	// Keys are the partition keys that a transform gave the record, by name; nil if it gave none. They are never changed, so
	// records may share them.
	Keys map[string]string
	// Fault is set if the payload could not be decoded or transformed; Data then holds the bytes as received.
	Fault *Fault
}

// AppendEventID appends the id of the record, unique in its stream: the sequence number, followed by "-n" with the
// sub-sequence number if the record came in an aggregate, by "-n" with the part number if its payload was split, and by
// "-n" with the number of the piece if a transform made several records of it.
//
// No two records share an id, although a single "-n" may mean any of them: records with the same sequence number came from
// one Kinesis record, which either is an aggregate or is not; every record of a split payload has a part number, and every
// record of several that a transform made of one has the number of its piece. The id depends only on the Kinesis record, the
// Decoder's options and how many records the transform made, so a replay yields the same ids.
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
	if r.Pieces {
		dst = append(dst, '-')
		dst = strconv.AppendInt(dst, int64(r.Piece), 10)
	}
	return dst
}

// EventID returns the id that AppendEventID appends.
func (r *Record) EventID() string { return string(r.AppendEventID(nil)) }

// OutputType is the kind of error output for a faulty record: the value of Firehose's !{firehose:error-output-type}.
type OutputType string

const (
	// ProcessingFailed marks records that could not be decoded, validated or routed.
	ProcessingFailed OutputType = "processing-failed"
	// FormatConversionFailed marks valid records that do not fit the columns of the output format.
	FormatConversionFailed OutputType = "format-conversion-failed"
	// PostgresFailed marks records that are delivered to files, but are refused by the table in PostgreSQL that files are loaded into.
	PostgresFailed OutputType = "postgres-failed"
)

// Fault is the reason why a record cannot be delivered. It is an error of the record, never of the pipeline: the record
// is written to the error prefix, and processing continues with the next one.
type Fault struct {
	Type    OutputType
	Code    string // documented and stable, such as CodeJSONMalformed; see Codes
	Message string // names the place, never the payload's content
	// Function is the ARN of the Lambda function that did not transform the record; empty for other faults.
	Function string
	// Attempts is how often that function was called.
	Attempts int
}

func (f *Fault) Error() string { return fmt.Sprintf("%s: %s", f.Code, f.Message) }

// CompareSequence compares two decimal sequence numbers as integers. It returns a negative number if a comes before b, 0 if
// they are equal, and a positive number otherwise.
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
