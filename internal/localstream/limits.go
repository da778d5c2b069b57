package localstream

import "time"

// Limits of the service, from "Quotas and limits" in the Amazon Kinesis Data Streams Developer Guide and from the API
// reference of the operations.
const (
	maxEntries            = 500      // PutRecords: records per request
	maxPutRecordsBytes    = 10 << 20 // PutRecords: keys and data per request
	defaultMaxRecordKiB   = 1 << 10  // key and data of a record, unless the stream says otherwise
	largestMaxRecordKiB   = 10 << 10
	maxKeyChars           = 256
	maxGetRecords         = 10_000
	maxGetRecordsBytes    = 10 << 20
	iteratorLife          = 5 * time.Minute
	tokenLife             = 5 * time.Minute
	maxListedShards       = 1000
	maxDescribedShards    = 100
	maxListedStreams      = 100
	defaultRetentionHours = 24
	maxRetentionHours     = 8760
	onDemandShards        = 4
	maxConsumers          = 20 // of a stream that is provisioned or on demand without the advantage mode
	maxCreatingConsumers  = 5  // of an account
	maxListedConsumers    = 100
	maxEventBytes         = 1 << 20 // SubscribeToShard: keys and data of an event, unless one record has more

	shardWriteBytes   = 1 << 20 // per second and shard
	shardWriteRecords = 1000    // per second and shard
	shardReadBytes    = 2 << 20 // per second and shard
	shardReadCalls    = 5       // per second and shard
	consumerReadBytes = 2 << 20 // per second, shard and consumer with enhanced fan-out
)

// writeLimit limits a shard's writers to a rate of bytes and records, with a burst of one second. The zero value is an
// idle shard.
type writeLimit struct {
	at             time.Time
	bytes, records float64 // used part of the burst
}

// take reports whether a record may be written, and counts it if so. A record above the burst passes if the shard has
// been idle, and delays the next ones: that is how the service accepts records of up to 10 MiB.
func (l *writeLimit) take(now time.Time, bytes int) bool {
	if elapsed := now.Sub(l.at).Seconds(); elapsed > 0 {
		l.bytes = max(0, l.bytes-elapsed*shardWriteBytes)
		l.records = max(0, l.records-elapsed*shardWriteRecords)
		l.at = now
	}
	if l.records+1 > shardWriteRecords || (l.bytes > 0 && l.bytes+float64(bytes) > shardWriteBytes) {
		return false
	}
	l.bytes += float64(bytes)
	l.records++
	return true
}

// readLimit limits a shard's readers to five calls in any second, and to 2 MiB per second. An answer may exceed the bytes
// of a second; then calls are refused until the average is met, five seconds after an answer of 10 MiB.
type readLimit struct {
	calls [shardReadCalls]time.Time // the last calls; oldest at next
	next  int
	paid  time.Time // when the rate has made up for all bytes answered
	over  bool      // the answers exceed a second's bytes and have not been made up for
}

func (l *readLimit) allow(now time.Time) bool {
	if !now.Before(l.paid) {
		l.over = false
	}
	if l.over || now.Sub(l.calls[l.next]) < time.Second {
		return false
	}
	l.calls[l.next] = now
	l.next = (l.next + 1) % len(l.calls)
	return true
}

// answered counts the bytes of the answer to an allowed call.
func (l *readLimit) answered(now time.Time, bytes int) {
	if l.paid.Before(now) {
		l.paid = now
	}
	l.paid = l.paid.Add(time.Duration(bytes) * time.Second / shardReadBytes)
	l.over = l.over || l.paid.Sub(now) > time.Second
}
