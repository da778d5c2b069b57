package batch

import (
	"slices"
	"strings"
	"time"

	"aws-streaming-pipeline/record"
)

// Intake is the input from a reader: what is to be delivered of whole Kinesis records, in the order of the shard. These may
// yield no record: what was read is covered all the same.
type Intake struct {
	Records []record.Record
	// Raw are those Kinesis records as they came, of which each is written to the backup; none without one. They include records
	// that yield nothing.
	Raw []record.Record
	// Last is the sequence number of the last Kinesis record that was read; empty if there is none.
	Last string
	// Bytes is the size of the payloads of those Kinesis records.
	Bytes int
	// FirstArrival and LastArrival are the arrival times of the first and the last Kinesis record that were read.
	FirstArrival, LastArrival time.Time
	// End means that the shard has ended: no more records will follow.
	End bool
}

// none reports whether there is nothing to append.
func (in Intake) none() bool { return in.Last == "" && !in.End }

// split cuts the intake in front of its n-th record, with which another Kinesis record begins.
func (in Intake) split(n int) (head, rest Intake) {
	if n == len(in.Records) {
		return in, Intake{}
	}
	before, after := &in.Records[n-1], &in.Records[n]
	bytes := in.Bytes * n / len(in.Records) // about: only the sum matters
	head = Intake{Records: in.Records[:n], Last: strings.Clone(before.SequenceNumber), Bytes: bytes, FirstArrival: in.FirstArrival, LastArrival: before.Arrival}
	rest = Intake{Records: in.Records[n:], Last: in.Last, Bytes: in.Bytes - bytes, FirstArrival: after.Arrival, LastArrival: in.LastArrival, End: in.End}
	raw := slices.IndexFunc(in.Raw, func(r record.Record) bool { return record.CompareSequence(r.SequenceNumber, head.Last) > 0 })
	if raw < 0 {
		raw = len(in.Raw)
	}
	head.Raw, rest.Raw = in.Raw[:raw], in.Raw[raw:]
	return head, rest
}

// some is the intake as far as it is tried at a time, and the rest. Both begin with a Kinesis record.
func (in Intake) some() (some, rest Intake) {
	for n := carefully; n < len(in.Records); n++ {
		if in.Records[n].SequenceNumber != in.Records[n-1].SequenceNumber {
			return in.split(n)
		}
	}
	return in, Intake{}
}
