package function

import (
	"encoding/base64"
	"encoding/json"
	"strconv"

	"github.com/google/uuid"

	"aws-streaming-pipeline/record"
)

// maxPayload is how many bytes a request or an answer may have (AWS Lambda Developer Guide, "Lambda quotas": 6 MB each for
// synchronous invocations; RequestTooLargeException says "must be smaller than 6291456 bytes").
const maxPayload = 6<<20 - 1

// call is one invocation: for records that follow one another, without those that need none.
type call struct {
	shard   string
	records []*record.Record
	results []*result // of the records
	size    int64     // of the request, at most
}

// cut divides the records of a fetch into calls, in their order. Payloads of a call have at most BufferSize bytes unless it
// has one record, and no request exceeds Lambda's bound: a record that does so alone fails.
func (t *Transform) cut(shard string, in []record.Record, results []result) []*call {
	var calls []*call
	var last *call
	payload := int64(0) // of the last call
	begun := t.beginning()
	for i := range in {
		r := &in[i]
		if r.Fault != nil {
			continue
		}
		size := requestBytes(r)
		if begun+size > maxPayload {
			results[i].fail(CodeRequestTooLarge, messages[CodeRequestTooLarge])
			results[i].fault.Function = t.cfg.Function.text
			continue
		}
		if last == nil || payload+int64(len(r.Data)) > t.cfg.BufferSize || last.size+size > maxPayload {
			last = &call{shard: shard, size: begun}
			calls = append(calls, last)
			payload = 0
		}
		last.records = append(last.records, r)
		last.results = append(last.results, &results[i])
		last.size += size
		payload += int64(len(r.Data))
	}
	return calls
}

// halves divides a call in two.
func (c *call) halves() (first, second *call) {
	n := len(c.records) / 2
	return &call{shard: c.shard, records: c.records[:n], results: c.results[:n], size: c.size},
		&call{shard: c.shard, records: c.records[n:], results: c.results[n:], size: c.size}
}

// fail fails all records of the call that have no fate yet.
func (c *call) fail(code string, attempts int, function ARN) {
	for _, r := range c.results {
		if r.fate == passed {
			r.fail(code, messages[code])
		}
	}
	c.settle(attempts, function)
}

// held returns the bytes that the new payloads and partition keys take up.
func (c *call) held() (n int64) {
	for _, r := range c.results {
		n += r.held()
	}
	return n
}

// settle adds to the faults of the call what error records say about it.
func (c *call) settle(attempts int, function ARN) {
	for _, r := range c.results {
		if r.fault != nil {
			r.fault.Attempts, r.fault.Function = attempts, function.text
		}
	}
}

func (r *result) fail(code, message string) {
	*r = result{fate: failed, fault: &record.Fault{Type: record.ProcessingFailed, Code: code, Message: message}}
}

// requestBytes returns what a record adds to a request, at most.
func requestBytes(r *record.Record) int64 {
	const members = len(`{"recordId":"","approximateArrivalTimestamp":,"data":"","kinesisRecordMetadata":{"sequenceNumber":"",`+
		`"subsequenceNumber":,"partitionKey":"","shardId":"","approximateArrivalTimestamp":}},`) + 128 // shard, numbers
	const escape = 6 // \u0000 for each byte of a text
	return int64(members + base64.StdEncoding.EncodedLen(len(r.Data)) + escape*(len(r.PartitionKey)+len(r.Shard)) + 3*len(r.SequenceNumber))
}

// beginning returns the size of a request without records, at most.
func (t *Transform) beginning() int64 { return int64(len(t.appendBeginning(nil))) + 64 }

// appendBeginning appends the request up to its first record. Members are in the order in which Firehose sends them.
func (t *Transform) appendBeginning(b []byte) []byte {
	b = append(b, `{"invocationId":"`...)
	b = append(b, uuid.NewString()...)
	b = append(b, `","sourceKinesisStreamArn":`...)
	b = appendText(b, t.cfg.Stream())
	b = append(b, `,"deliveryStreamArn":`...)
	b = appendText(b, t.cfg.Function.Of("firehose", "deliverystream/"+t.cfg.Application))
	b = append(b, `,"region":`...)
	b = appendText(b, t.cfg.Function.Region)
	return append(b, `,"records":[`...)
}

// appendRequest appends the request of a call. A record id is the record's event id, so that it is found in the logs of the
// function. Firehose's are the sequence number followed by six digits.
func (t *Transform) appendRequest(b []byte, c *call) []byte {
	b = t.appendBeginning(b)
	for i, r := range c.records {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, `{"recordId":"`...)
		b = r.AppendEventID(b)
		b = append(b, `","approximateArrivalTimestamp":`...)
		b = strconv.AppendInt(b, r.Arrival.UnixMilli(), 10)
		b = append(b, `,"data":"`...)
		b = base64.StdEncoding.AppendEncode(b, r.Data)
		b = append(b, `","kinesisRecordMetadata":{"sequenceNumber":"`...)
		b = append(b, r.SequenceNumber...)
		b = append(b, `","subsequenceNumber":`...)
		b = strconv.AppendInt(b, int64(r.SubSequence), 10)
		b = append(b, `,"partitionKey":`...)
		b = appendText(b, r.PartitionKey)
		b = append(b, `,"shardId":`...)
		b = appendText(b, c.shard)
		b = append(b, `,"approximateArrivalTimestamp":`...)
		b = strconv.AppendInt(b, r.Arrival.UnixMilli(), 10)
		b = append(b, "}}"...)
	}
	return append(b, "]}"...)
}

// appendText appends a text as JSON; bytes that are not UTF-8 become U+FFFD.
func appendText(b []byte, s string) []byte {
	text, _ := json.Marshal(s) // fails for no string
	return append(b, text...)
}
