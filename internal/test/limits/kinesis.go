package limits

import (
	"encoding/base64"
	"strings"
	"time"
)

// Limits of Kinesis: "Quotas and limits" in the Amazon Kinesis Data Streams Developer Guide, and the descriptions of the
// operations in the API reference.
const (
	maxGetRecords  = 10_000           // GetRecords, Limit
	readCalls      = 5                // GetRecords: transactions per second per shard
	readBytes      = 2 << 20          // "Quotas and limits": read per second per shard
	iteratorCalls  = 5                // GetShardIterator: transactions per second per account per open shard
	iteratorLife   = 5 * time.Minute  // GetShardIterator: "a shard iterator expires 5 minutes after it is returned"
	listCalls      = 1000             // ListShards: transactions per second per data stream
	summaryCalls   = 20               // DescribeStreamSummary: transactions per second per account
	consumerCalls  = 20               // DescribeStreamConsumer: transactions per second per stream
	subscribeCalls = 1                // SubscribeToShard: per second per registered consumer per shard
	exclusive      = 5 * time.Second  // SubscribeToShard: ResourceInUseException within this time of a successful call
	maxEntries     = 500              // PutRecords
	maxPutBytes    = 10 << 20         // PutRecords: the whole request, keys included
	maxRecordBytes = 10 << 20         // "Quotas and limits": the most that a stream can be set to
	maxKeyChars    = 256              // PutRecord: PartitionKey
	forgetAfter    = 10 * time.Minute // iterators; ours
)

type kinesisRules struct {
	iterators   map[string]iterator
	reads       map[string]*reads    // by shard
	calls       windows              // by operation and what they are counted by
	subscribed  map[string]time.Time // by consumer and shard
	lastCleared time.Time
}

// iterator is one that was answered.
type iterator struct {
	shard string // with its stream
	born  time.Time
}

// reads are the answers of one shard.
type reads struct {
	calls window
	paid  time.Time // when the rate has made up for everything answered
	over  bool      // an answer exceeded a second's bytes, which are not made up for yet
}

func newKinesisRules() *kinesisRules {
	return &kinesisRules{iterators: map[string]iterator{}, reads: map[string]*reads{}, calls: windows{}, subscribed: map[string]time.Time{}}
}

// stream returns the name of a call's stream.
func stream(in object) string {
	if name := in.text("StreamName"); name != "" {
		return name
	}
	arn := in.text("StreamARN") + in.text("ConsumerARN")
	_, resource, _ := strings.Cut(arn, ":stream/")
	name, _, _ := strings.Cut(resource, "/")
	return name
}

func (k *kinesisRules) check(c *call) *refusal {
	switch c.operation {
	case "GetRecords":
		return k.read(c)
	case "GetShardIterator":
		return k.rate(c, stream(c.in)+"/"+c.in.text("ShardId"), iteratorCalls, "ProvisionedThroughputExceededException")
	case "ListShards":
		return k.rate(c, stream(c.in), listCalls, "LimitExceededException")
	case "DescribeStreamSummary":
		return k.rate(c, "", summaryCalls, "LimitExceededException")
	case "DescribeStreamConsumer":
		return k.rate(c, stream(c.in), consumerCalls, "LimitExceededException")
	case "SubscribeToShard":
		return k.subscribe(c)
	case "PutRecords":
		return putRecords(c.in)
	case "PutRecord":
		return putRecord(c.in)
	}
	return nil
}

func (k *kinesisRules) rate(c *call, counted string, most int, code string) *refusal {
	if k.calls.take(c.operation+" "+counted, c.now, most) {
		return nil
	}
	return throttle(c.operation+" calls", code, "Rate exceeded for %s %s: %d per second.", c.operation, counted, most)
}

// read checks a GetRecords.
func (k *kinesisRules) read(c *call) *refusal {
	if limit := c.in.number("Limit"); limit > maxGetRecords {
		return refuse("GetRecords limit", "InvalidArgumentException", "Limit is %.0f, at most %d are allowed.", limit, maxGetRecords)
	}
	it, known := k.iterators[c.in.text("ShardIterator")]
	if !known {
		return nil
	}
	if age := c.now.Sub(it.born); age > iteratorLife {
		return refuse("iterator age", "ExpiredIteratorException", "The iterator is %v old, at most %v are allowed.", age, iteratorLife)
	}
	r := k.reads[it.shard]
	if r == nil {
		r = &reads{}
		k.reads[it.shard] = r
	}
	if !c.now.Before(r.paid) {
		r.over = false
	}
	const code = "ProvisionedThroughputExceededException"
	if r.over || r.paid.Sub(c.now) > time.Second {
		return throttle("GetRecords bytes", code, "Rate exceeded for shard %s: %d bytes per second.", it.shard, readBytes)
	}
	if !r.calls.take(c.now, readCalls) {
		return throttle("GetRecords calls", code, "Rate exceeded for shard %s: %d calls per second.", it.shard, readCalls)
	}
	return nil
}

func (k *kinesisRules) subscribe(c *call) *refusal {
	name := c.in.text("ConsumerARN") + " " + c.in.text("ShardId")
	if at, ok := k.subscribed[name]; ok && c.now.Sub(at) < exclusive && c.now.Sub(at) >= time.Second {
		return throttle("SubscribeToShard exclusivity", "ResourceInUseException", "Another subscription to %s is younger than %v.", name, exclusive)
	}
	return k.rate(c, name, subscribeCalls, "LimitExceededException")
}

func putRecords(in object) *refusal {
	entries := in.list("Records")
	if len(entries) > maxEntries {
		return refuse("PutRecords records", "ValidationException", "%d records, at most %d are allowed.", len(entries), maxEntries)
	}
	total := 0
	for _, entry := range entries {
		if r := putRecord(asObject(entry)); r != nil {
			return r
		}
		total += recordSize(asObject(entry))
	}
	if total > maxPutBytes {
		return refuse("PutRecords bytes", "InvalidArgumentException", "The records have %d bytes, at most %d are allowed.", total, maxPutBytes)
	}
	return nil
}

func putRecord(record object) *refusal {
	if n := len([]rune(record.text("PartitionKey"))); n > maxKeyChars {
		return refuse("partition key", "ValidationException", "PartitionKey has %d characters, at most %d are allowed.", n, maxKeyChars)
	}
	if size := recordSize(record); size > maxRecordBytes {
		return refuse("record bytes", "InvalidArgumentException", "The record has %d bytes, at most %d are allowed.", size, maxRecordBytes)
	}
	return nil
}

// recordSize counts the payload before Base64, and the key.
func recordSize(record object) int {
	size := len(record.text("PartitionKey"))
	switch data := record["Data"].(type) {
	case []byte:
		return size + len(data)
	case string:
		return size + base64.StdEncoding.DecodedLen(len(data)) - strings.Count(data, "=")
	}
	return size
}

func (k *kinesisRules) wants(c *call) bool {
	return c.operation == "GetShardIterator" || c.operation == "GetRecords"
}

func (k *kinesisRules) learn(c *call, out object) {
	k.clear(c.now)
	switch c.operation {
	case "GetShardIterator":
		k.iterators[out.text("ShardIterator")] = iterator{shard: stream(c.in) + "/" + c.in.text("ShardId"), born: c.now}
	case "SubscribeToShard":
		k.subscribed[c.in.text("ConsumerARN")+" "+c.in.text("ShardId")] = c.now
	case "GetRecords":
		k.learnRecords(c, out)
	}
}

func (k *kinesisRules) learnRecords(c *call, out object) {
	it, known := k.iterators[c.in.text("ShardIterator")]
	if !known {
		return
	}
	if next := out.text("NextShardIterator"); next != "" {
		k.iterators[next] = iterator{shard: it.shard, born: c.now}
	}
	bytes := 0
	for _, record := range out.list("Records") {
		bytes += recordSize(asObject(record))
	}
	k.reads[it.shard].answered(c.now, bytes)
}

// answered counts an answer. After an answer of 10 MB, calls are refused for five seconds ("Quotas and limits").
func (r *reads) answered(now time.Time, bytes int) {
	if r.paid.Before(now) {
		r.paid = now
	}
	r.paid = r.paid.Add(time.Duration(float64(bytes) / readBytes * float64(time.Second)))
	r.over = r.over || bytes > readBytes
}

// clear forgets iterators that have long expired.
func (k *kinesisRules) clear(now time.Time) {
	if now.Sub(k.lastCleared) < time.Minute {
		return
	}
	k.lastCleared = now
	for name, it := range k.iterators {
		if now.Sub(it.born) > forgetAfter {
			delete(k.iterators, name)
		}
	}
}
