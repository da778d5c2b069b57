package recordtest

import (
	"crypto/md5"

	"google.golang.org/protobuf/encoding/protowire"

	"aws-streaming-pipeline/record"
)

// Fields of an aggregate's message (github.com/awslabs/kinesis-aggregation, KPL aggregated record format).
const (
	partitionKeyTable protowire.Number = 1
	explicitKeyTable  protowire.Number = 2
	userRecords       protowire.Number = 3

	partitionKeyIndex protowire.Number = 1
	explicitKeyIndex  protowire.Number = 2
	userData          protowire.Number = 3
)

// AppendAggregate appends a KPL aggregate of the records' PartitionKey, ExplicitHashKey and Data to dst. Keys that occur
// more than once are written once.
func AppendAggregate(dst []byte, records []record.Record) []byte {
	dst = append(dst, "\xf3\x89\x9a\xc2"...)
	start := len(dst)
	partitions := make(map[string]uint64, len(records))
	explicit := make(map[string]uint64)
	for i := range records {
		dst = appendTableKey(dst, partitionKeyTable, partitions, records[i].PartitionKey)
	}
	for i := range records {
		if key := records[i].ExplicitHashKey; key != "" {
			dst = appendTableKey(dst, explicitKeyTable, explicit, key)
		}
	}
	var message []byte
	for i := range records {
		r := &records[i]
		message = protowire.AppendTag(message[:0], partitionKeyIndex, protowire.VarintType)
		message = protowire.AppendVarint(message, partitions[r.PartitionKey])
		if r.ExplicitHashKey != "" {
			message = protowire.AppendTag(message, explicitKeyIndex, protowire.VarintType)
			message = protowire.AppendVarint(message, explicit[r.ExplicitHashKey])
		}
		message = protowire.AppendTag(message, userData, protowire.BytesType)
		message = protowire.AppendBytes(message, r.Data)
		dst = protowire.AppendTag(dst, userRecords, protowire.BytesType)
		dst = protowire.AppendBytes(dst, message)
	}
	sum := md5.Sum(dst[start:])
	return append(dst, sum[:]...)
}

// appendTableKey appends a key to its table unless the table has it.
func appendTableKey(dst []byte, table protowire.Number, index map[string]uint64, key string) []byte {
	if _, ok := index[key]; ok {
		return dst
	}
	index[key] = uint64(len(index))
	dst = protowire.AppendTag(dst, table, protowire.BytesType)
	return protowire.AppendString(dst, key)
}
