package record

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// AppendPayloads appends the payloads of a Kinesis record as Amazon Data Firehose hands them on before it processes them: a KPL
// aggregate is split into its records ("Use the KPL with Amazon Data Firehose": "Firehose de-aggregates the records before it
// delivers them to the destination"), and nothing else is opened. There is no separator. An aggregate that cannot be read is
// appended whole.
func AppendPayloads(dst []byte, raw *Record) []byte {
	if _, aggregate := aggregateMessage(raw.Data); !aggregate {
		return append(dst, raw.Data...)
	}
	for _, user := range wholeRecords(raw) {
		dst = append(dst, user.Data...)
	}
	return dst
}

// wholeRecords is AppendRecords, and yields the Kinesis record itself if that panics.
func wholeRecords(raw *Record) (users []Record) {
	defer keepWhole(&users, nil, raw)
	return AppendRecords(nil, *raw)
}

// AppendBackupLine appends one line of JSON with everything that Kinesis returned for a Kinesis record, under the names that
// error lines use:
//
//	rawData (base64), arrivalTimestamp (milliseconds since 1970), shardId, sequenceNumber, partitionKey
//
// A KPL aggregate is in rawData whole. Kinesis does not return the explicit hash key with which a record was put.
func AppendBackupLine(dst []byte, raw *Record) []byte {
	l := lineWriter{append(dst, '{')}
	l.base64("rawData", raw.Data)
	l.int("arrivalTimestamp", raw.Arrival.UnixMilli())
	l.text("shardId", raw.Shard)
	l.text("sequenceNumber", raw.SequenceNumber)
	l.text("partitionKey", raw.PartitionKey)
	return append(l.b, '}', '\n')
}

// ParseBackupLine parses a line that AppendBackupLine wrote, with or without its line feed. The result shares no memory with
// the line.
func ParseBackupLine(line []byte) (Record, error) {
	var m errorMembers
	if err := json.Unmarshal(line, &m); err != nil {
		return Record{}, fmt.Errorf("parse backup line: %w", err)
	}
	switch {
	case m.ErrorCode != nil || m.LastErrorCode != nil:
		return Record{}, errors.New("parse backup line: it is an error record")
	case m.RawData == nil:
		return Record{}, errors.New("parse backup line: no rawData")
	case m.SequenceNumber == "":
		return Record{}, errors.New("parse backup line: no sequenceNumber")
	}
	return Record{
		Shard: m.ShardID, SequenceNumber: m.SequenceNumber, PartitionKey: m.PartitionKey, Arrival: time.UnixMilli(m.ArrivalTimestamp).UTC(), Data: *m.RawData,
	}, nil
}

// FirstHashKey returns the hash key of the first user record of a KPL aggregate, in decimal; false for any other record. An
// aggregate that is put again with it goes to the shard that serves that user record: the partition key of an aggregate says
// nothing ("KPL Aggregated Record Format").
func (r *Record) FirstHashKey() (decimal string, aggregate bool) {
	users := wholeRecords(r)
	if len(users) == 0 || !users[0].Aggregated {
		return "", false
	}
	if key := users[0].ExplicitHashKey; key != "" {
		if _, err := parseHashKey(key); err == nil {
			return key, true
		}
	}
	return HashKeyOf(users[0].PartitionKey).String(), true
}
