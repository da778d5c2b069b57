package registry_test

import (
	"encoding/binary"
	"math"
	"slices"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
)

// BenchmarkOpen opens a record of a usual kind in each format; MB/s are those of the payload.
func BenchmarkOpen(b *testing.B) {
	const avsc = `{"type":"record","name":"Trip","fields":[
		{"name":"trip_id","type":"string"},{"name":"taxi_id","type":"long"},{"name":"call_type","type":{"type":"enum","name":"Call","symbols":["A","B","C"]}},
		{"name":"at","type":{"type":"long","logicalType":"timestamp-millis"}},{"name":"fare","type":["null",{"type":"bytes","logicalType":"decimal","precision":9,"scale":2}]},
		{"name":"line","type":{"type":"array","items":"double"}}]}`
	const proto = `syntax = "proto3"; import "google/protobuf/timestamp.proto";
		message Trip { string trip_id = 1; int64 taxi_id = 2; Call call_type = 3; google.protobuf.Timestamp at = 4; string fare = 5; repeated double line = 6; }
		enum Call { A = 0; B = 1; C = 2; }`
	const id = "1372636858620000589"
	avro := append(binary.AppendVarint(nil, int64(len(id))), id...)
	avro = binary.AppendVarint(binary.AppendVarint(binary.AppendVarint(avro, 20000589), 1), 1372636858123)
	avro = append(avro, 2, 4, 0x12, 0x34)
	avro = binary.AppendVarint(avro, 20)
	var line []byte
	for i := range 20 {
		line = binary.LittleEndian.AppendUint64(line, math.Float64bits(-8.618643+float64(i)*1e-6))
	}
	avro = append(append(avro, line...), 0)
	message := protowire.AppendString(protowire.AppendTag([]byte{0}, 1, protowire.BytesType), id)
	message = protowire.AppendVarint(protowire.AppendTag(message, 2, protowire.VarintType), 20000589)
	message = protowire.AppendVarint(protowire.AppendTag(message, 3, protowire.VarintType), 1)
	at := protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), 1372636858)
	message = protowire.AppendBytes(protowire.AppendTag(message, 4, protowire.BytesType), at)
	message = protowire.AppendString(protowire.AppendTag(message, 5, protowire.BytesType), "46.60")
	message = protowire.AppendBytes(protowire.AppendTag(message, 6, protowire.BytesType), line)
	json, fault := open(b, "AVRO", avsc, avro, 1<<16)
	if fault != nil {
		b.Fatal(fault)
	}
	for _, bb := range []struct {
		name, format, definition string
		header, data             []byte
	}{
		{"Avro", "AVRO", avsc, frame, avro},
		{"Avro, zlib", "AVRO", avsc, compressed(), zipped(b, avro)},
		{"Protobuf", "PROTOBUF", proto, frame, message},
		{"JSON", "JSON", `{}`, frame, []byte(json)},
	} {
		b.Run(bb.name, func(b *testing.B) {
			r := newRegistry(fixed{anyID: {Format: bb.format, Text: bb.definition}})
			payload := slices.Concat(bb.header, bb.data)
			b.SetBytes(int64(len(payload)))
			b.ReportAllocs()
			for b.Loop() {
				if _, fault, err := r.Open(b.Context(), payload, 1<<20, new(int)); fault != nil || err != nil {
					b.Fatal(fault, err)
				}
			}
		})
	}
}
