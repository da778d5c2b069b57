package producer

import "time"

// What Kinesis takes (Amazon Kinesis Data Streams API Reference, "PutRecords", and Developer Guide, "Quotas and
// limits" and "Handle large records"). A record counts with its data and its partition key.
const (
	// maxCallRecords is the number of records of one call.
	maxCallRecords = 500
	// defaultCallBytes bounds a call. AWS now takes 10 MiB; endpoints that follow the older quota refuse more than
	// 5 MiB, which is room for 500 records of 10 KiB.
	defaultCallBytes = 5 << 20
	// DefaultMaxRecordBytes is the size of a record that every stream takes.
	DefaultMaxRecordBytes = 1 << 20
	// maxRecordBytes is the size to which a stream's own limit can be raised (UpdateMaxRecordSize), and the size of a
	// call.
	maxRecordBytes = 10 << 20
	// maxKeyLength is the length of a partition key in Unicode characters.
	maxKeyLength = 256

	// shardBytes and shardRecords are what one shard takes in a second. A record of more than shardBytes empties the
	// shard's reserve, which fills up again at this rate.
	shardBytes   = 1 << 20
	shardRecords = 1000
)

const (
	// paceWindow is the time in which a shard is given no more than its second's worth. What is over a second is for
	// calls that travel at different speeds.
	paceWindow = 1050 * time.Millisecond
	// paceShares is the number of calls that a shard's second is divided into. Small shares fill a second well; large
	// ones make fewer calls.
	paceShares = 8
)

// load is an amount of records.
type load struct{ records, bytes int }

func (l load) plus(m load) load  { return load{l.records + m.records, l.bytes + m.bytes} }
func (l load) minus(m load) load { return load{l.records - m.records, l.bytes - m.bytes} }
func (l load) within(m load) bool {
	return l.records <= m.records && l.bytes <= m.bytes
}
