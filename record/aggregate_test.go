package record_test

import (
	"bytes"
	"crypto/md5"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/awslabs/kinesis-aggregation/go/v2/deaggregator"
	kpl "github.com/awslabs/kinesis-aggregation/go/v2/records"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/protoadapt"

	"aws-streaming-pipeline/record"
	"aws-streaming-pipeline/record/recordtest"
)

const magic = "\xf3\x89\x9a\xc2"

var arrival = time.Date(2026, 3, 14, 15, 9, 26, 535e6, time.UTC)

// kinesisRecord is what the stream returns for a payload.
func kinesisRecord(data []byte) record.Record {
	return record.Record{SequenceNumber: sequence, PartitionKey: "a", Arrival: arrival, Data: data}
}

// sealed makes an aggregate of a protobuf message, whatever that holds.
func sealed(message []byte) []byte {
	sum := md5.Sum(message)
	return slices.Concat([]byte(magic), message, sum[:])
}

func userRecords() []record.Record {
	return []record.Record{
		{PartitionKey: "first", Data: []byte(`{"a":1}`)},
		{PartitionKey: "second", ExplicitHashKey: "170141183460469231731687303715884105728", Data: []byte(`{"a":2}`)},
		{PartitionKey: "first", Data: []byte{}},
		{PartitionKey: "", ExplicitHashKey: "0", Data: []byte("\x00\xff")},
		{PartitionKey: "Straße", ExplicitHashKey: "0", Data: bytes.Repeat([]byte("x"), 300)},
	}
}

func TestAppendRecords_TakesAnAggregateApartInItsOrder(t *testing.T) {
	sent := userRecords()
	raw := kinesisRecord(recordtest.AppendAggregate(nil, sent))
	got := record.AppendRecords([]record.Record{{SequenceNumber: "1"}}, raw)
	if len(got) != 1+len(sent) || got[0].SequenceNumber != "1" {
		t.Fatalf("got %d records", len(got))
	}
	for i, u := range got[1:] {
		want := raw
		want.Aggregated, want.SubSequence = true, i
		want.PartitionKey, want.ExplicitHashKey, want.Data = sent[i].PartitionKey, sent[i].ExplicitHashKey, sent[i].Data
		if !reflect.DeepEqual(u, want) {
			t.Errorf("user record %d is %+v, want %+v", i, u, want)
		}
	}
}

func TestAppendRecords_SharesTheMemoryOfThePayload(t *testing.T) {
	raw := kinesisRecord(recordtest.AppendAggregate(nil, userRecords()))
	got := record.AppendRecords(nil, raw)
	if cap(got[0].Data) != len(got[0].Data) {
		t.Error("appending to a user record would overwrite the next")
	}
	i := bytes.Index(raw.Data, []byte(`{"a":1}`))
	raw.Data[i+5] = '9'
	if string(got[0].Data) != `{"a":9}` {
		t.Error("the data was copied")
	}
}

func TestAppendRecords_AllocatesForTheTablesAndNotForEachRecord(t *testing.T) {
	var sent []record.Record
	for i := range 1000 {
		sent = append(sent, record.Record{PartitionKey: fmt.Sprint("key-", i), Data: []byte(`{"a":1}`)})
	}
	raw := kinesisRecord(recordtest.AppendAggregate(nil, sent))
	dst := make([]record.Record, 0, len(sent))
	if n := testing.AllocsPerRun(20, func() { record.AppendRecords(dst, raw) }); n > 5 {
		t.Errorf("%v allocations for an aggregate of %d records", n, len(sent))
	}
}

func TestAppendRecords_PassesOnWhatIsNoAggregate(t *testing.T) {
	whole := recordtest.AppendAggregate(nil, userRecords())
	wrongSum := bytes.Clone(whole)
	wrongSum[len(wrongSum)-1] ^= 1
	flipped := bytes.Clone(whole)
	flipped[10] ^= 1
	tests := []struct {
		name string
		data []byte
	}{
		{"nothing", nil},
		{"JSON", []byte(`{"a":1}`)},
		{"the magic number alone", []byte(magic)},
		{"a part of the magic number", []byte(magic[:3])},
		{"too short for a checksum", []byte(magic + "123456789012345")},
		{"wrong checksum", wrongSum},
		{"changed byte", flipped},
		{"cut off", whole[:len(whole)-1]},
		{"magic number further on", append([]byte(" "), whole...)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			raw := kinesisRecord(tt.data)
			if got := record.AppendRecords(nil, raw); len(got) != 1 || !reflect.DeepEqual(got[0], raw) {
				t.Errorf("got %+v", got)
			}
		})
	}
}

// message helpers: what a correct encoder would not write.
func key(number protowire.Number, s string) []byte {
	return protowire.AppendString(protowire.AppendTag(nil, number, protowire.BytesType), s)
}

func user(fields ...[]byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(nil, 3, protowire.BytesType), slices.Concat(fields...))
}

func index(number protowire.Number, value uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(nil, number, protowire.VarintType), value)
}

func TestAppendRecords_KeepsACorruptAggregateWholeWithAFault(t *testing.T) {
	good := slices.Concat(key(1, "k"), user(index(1, 0), key(3, "data")))
	many := key(1, "k")
	for range record.DefaultMaxRecords + 1 {
		many = append(many, user(index(1, 0), key(3, ""))...)
	}
	tests := []struct {
		name    string
		message []byte
		code    string
		says    string
	}{
		{"empty message", nil, record.CodeAggregateCorrupt, "no user records"},
		{"keys alone", key(1, "k"), record.CodeAggregateCorrupt, "no user records"},
		{"partition key index too large", slices.Concat(good, user(index(1, 1), key(3, "x"))), record.CodeAggregateCorrupt, "user record 1: partition key index 1 of 1"},
		{"partition key index too large for an int", slices.Concat(good, user(index(1, 1<<63), key(3, "x"))), record.CodeAggregateCorrupt, "partition key index 9223372036854775808 of 1"},
		{"explicit hash key index too large", slices.Concat(good, user(index(1, 0), index(2, 0), key(3, "x"))), record.CodeAggregateCorrupt, "explicit hash key index 0 of 0"},
		{"no partition key index", slices.Concat(good, user(key(3, "x"))), record.CodeAggregateCorrupt, "no partition key index"},
		{"no data", slices.Concat(good, user(index(1, 0))), record.CodeAggregateCorrupt, "no data"},
		{"data of another type", slices.Concat(good, user(index(1, 0), index(3, 5))), record.CodeAggregateCorrupt, "no data"},
		{"records of another type", slices.Concat(key(1, "k"), index(3, 5)), record.CodeAggregateCorrupt, "no user records"},
		{"length beyond the message", slices.Concat(good, []byte{0x1a, 0x7f}), record.CodeAggregateCorrupt, "protobuf field at byte 13"},
		{"length beyond the user record", slices.Concat(good, user(index(1, 0), []byte{0x1a, 0x7f})), record.CodeAggregateCorrupt, "user record 1: protobuf field at byte 2"},
		{"tag cut off", append(bytes.Clone(good), 0x80), record.CodeAggregateCorrupt, "protobuf field at byte 13"},
		{"field number 0", append(bytes.Clone(good), 0x02, 0), record.CodeAggregateCorrupt, "protobuf field at byte 13"},
		{"group without end", append(bytes.Clone(good), 0x2b), record.CodeAggregateCorrupt, "protobuf field at byte 13"},
		{"no protobuf", []byte(`{"a":1}`), record.CodeAggregateCorrupt, "protobuf field at byte 0"},
		{"too many", many, record.CodeAggregateTooManyRecords, "the bound is 250000"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			raw := kinesisRecord(sealed(tt.message))
			before, after := kinesisRecord([]byte("1")), kinesisRecord([]byte("2"))
			got := record.AppendRecords(nil, before)
			got = record.AppendRecords(got, raw)
			got = record.AppendRecords(got, after)
			if len(got) != 3 || string(got[0].Data) != "1" || string(got[2].Data) != "2" {
				t.Fatalf("neighbours are lost: %d records", len(got))
			}
			fault := got[1].Fault
			if fault == nil || fault.Code != tt.code || fault.Type != record.ProcessingFailed || !strings.Contains(fault.Message, tt.says) {
				t.Fatalf("got fault %v, want %s: %s", fault, tt.code, tt.says)
			}
			got[1].Fault = nil
			if !reflect.DeepEqual(got[1], raw) {
				t.Errorf("the record has become %+v", got[1])
			}
		})
	}
}

func TestAppendRecords_ReadsWhatProtobufAllows(t *testing.T) {
	unknown := slices.Concat(
		protowire.AppendFixed32(protowire.AppendTag(nil, 9, protowire.Fixed32Type), 1),
		protowire.AppendFixed64(protowire.AppendTag(nil, 10, protowire.Fixed64Type), 1),
		index(11, 1), key(12, "x"))
	tag := protowire.AppendBytes(protowire.AppendTag(nil, 4, protowire.BytesType), key(1, "name"))
	message := slices.Concat(
		user(tag, key(3, "data"), index(1, 7), index(2, 0), unknown, index(1, 1)), // the last value counts
		unknown, key(2, "42"), key(1, "zero"), key(1, "one"))
	got := record.AppendRecords(nil, kinesisRecord(sealed(message)))
	// Index 7 is out of range even though it is overruled; nothing that writes it can be trusted.
	if len(got) != 1 || got[0].Fault == nil {
		t.Fatalf("got %+v", got)
	}
	message = bytes.Replace(message, index(1, 7), index(1, 0), 1)
	got = record.AppendRecords(nil, kinesisRecord(sealed(message)))
	if len(got) != 1 || got[0].Fault != nil || got[0].PartitionKey != "one" || got[0].ExplicitHashKey != "42" || string(got[0].Data) != "data" {
		t.Fatalf("got %+v", got)
	}
}

func TestAppendAggregate_IsReadByTheAWSLabsDeaggregator(t *testing.T) {
	sent := userRecords()
	aggregate := recordtest.AppendAggregate([]byte("before"), sent)
	aggregate, ok := bytes.CutPrefix(aggregate, []byte("before"))
	if !ok {
		t.Fatal("dst was overwritten")
	}
	seq := sequence
	got, err := deaggregator.DeaggregateRecords([]types.Record{{SequenceNumber: &seq, Data: aggregate}})
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != len(sent) {
		t.Fatalf("got %d records, want %d", len(got), len(sent))
	}
	for i := range got {
		if *got[i].PartitionKey != sent[i].PartitionKey || !bytes.Equal(got[i].Data, sent[i].Data) {
			t.Errorf("record %d: got %q %q", i, *got[i].PartitionKey, got[i].Data)
		}
	}
	var message kpl.AggregatedRecord
	if err := proto.Unmarshal(aggregate[4:len(aggregate)-md5.Size], protoadapt.MessageV2Of(&message)); err != nil {
		t.Fatal(err)
	}
	if n := len(message.PartitionKeyTable); n != 4 {
		t.Errorf("%d partition keys, want each of 4 once", n)
	}
	if n := len(message.ExplicitHashKeyTable); n != 2 {
		t.Errorf("%d explicit hash keys, want each of 2 once", n)
	}
	for i, u := range message.Records {
		want := sent[i].ExplicitHashKey
		if (u.ExplicitHashKeyIndex != nil) != (want != "") {
			t.Errorf("record %d: explicit hash key index %v", i, u.ExplicitHashKeyIndex)
		} else if want != "" && message.ExplicitHashKeyTable[*u.ExplicitHashKeyIndex] != want {
			t.Errorf("record %d: explicit hash key %q", i, message.ExplicitHashKeyTable[*u.ExplicitHashKeyIndex])
		}
	}
}

// awslabsAggregate encodes with the other implementation: every key apart, as the format allows.
func awslabsAggregate(t testing.TB, sent []record.Record) []byte {
	t.Helper()
	var m kpl.AggregatedRecord
	for i := range sent {
		n := uint64(i)
		m.PartitionKeyTable = append(m.PartitionKeyTable, sent[i].PartitionKey)
		u := &kpl.Record{PartitionKeyIndex: &n, Data: sent[i].Data}
		if sent[i].ExplicitHashKey != "" {
			h := uint64(len(m.ExplicitHashKeyTable))
			m.ExplicitHashKeyTable = append(m.ExplicitHashKeyTable, sent[i].ExplicitHashKey)
			u.ExplicitHashKeyIndex = &h
		}
		m.Records = append(m.Records, u)
	}
	message, err := proto.Marshal(protoadapt.MessageV2Of(&m))
	if err != nil {
		t.Fatal(err)
	}
	return sealed(message)
}

func TestAppendRecords_ReadsWhatTheAWSLabsEncodingWrites(t *testing.T) {
	sent := userRecords()
	got := record.AppendRecords(nil, kinesisRecord(awslabsAggregate(t, sent)))
	if len(got) != len(sent) {
		t.Fatalf("got %d records, want %d", len(got), len(sent))
	}
	for i := range got {
		if got[i].PartitionKey != sent[i].PartitionKey || got[i].ExplicitHashKey != sent[i].ExplicitHashKey || !bytes.Equal(got[i].Data, sent[i].Data) {
			t.Errorf("record %d: got %+v", i, got[i])
		}
	}
}

// FuzzAppendRecords seals any message with its right checksum. What the generated protobuf code of the AWS Labs library
// accepts, with its indices in range, must come out the same; everything else is one record with a fault.
func FuzzAppendRecords(f *testing.F) {
	for _, aggregate := range [][]byte{recordtest.AppendAggregate(nil, userRecords()), awslabsAggregate(f, userRecords())} {
		f.Add(aggregate[4 : len(aggregate)-md5.Size])
	}
	f.Add(slices.Concat(key(1, "k"), user(index(1, 1), key(3, "x"))))
	f.Add(slices.Concat(user(index(1, 0), key(3, "x"), key(4, "\x0a\x00")), key(1, "k")))
	f.Fuzz(func(t *testing.T, message []byte) {
		raw := kinesisRecord(sealed(message))
		got := record.AppendRecords(nil, raw)
		if len(got) == 0 {
			t.Fatal("the record is lost")
		}
		want, ok := reference(raw, message)
		if fault := got[0].Fault; fault != nil {
			got[0].Fault = nil
			if len(got) != 1 || !reflect.DeepEqual(got[0], raw) {
				t.Fatalf("a fault with %+v", got)
			}
			if ok && !strings.Contains(fault.Message, " of ") { // an index out of range that a later value overrules
				t.Fatalf("refused %x: %v", message, fault)
			}
			return
		}
		// Tags are not read here, so damage within them is not found.
		if ok && !reflect.DeepEqual(got, want) {
			t.Fatalf("got  %+v\nwant %+v", got, want)
		}
	})
}

// reference decodes a message with the generated code.
func reference(raw record.Record, message []byte) ([]record.Record, bool) {
	var m kpl.AggregatedRecord
	if err := proto.Unmarshal(message, protoadapt.MessageV2Of(&m)); err != nil || len(m.Records) == 0 {
		return nil, false
	}
	var out []record.Record
	for i, u := range m.Records {
		r := raw
		r.Aggregated, r.SubSequence, r.Data = true, i, u.Data
		if *u.PartitionKeyIndex >= uint64(len(m.PartitionKeyTable)) {
			return nil, false
		}
		r.PartitionKey = m.PartitionKeyTable[*u.PartitionKeyIndex]
		if u.ExplicitHashKeyIndex != nil {
			if *u.ExplicitHashKeyIndex >= uint64(len(m.ExplicitHashKeyTable)) {
				return nil, false
			}
			r.ExplicitHashKey = m.ExplicitHashKeyTable[*u.ExplicitHashKeyIndex]
		}
		out = append(out, r)
	}
	return out, true
}

func BenchmarkAppendRecords(b *testing.B) {
	var sent []record.Record
	for i := range 160 {
		sent = append(sent, record.Record{PartitionKey: fmt.Sprint("key-", i), Data: shapes()["narrow"]})
	}
	raw := kinesisRecord(recordtest.AppendAggregate(nil, sent))
	dst := make([]record.Record, 0, len(sent))
	b.SetBytes(int64(len(raw.Data)))
	b.ReportAllocs()
	for b.Loop() {
		if got := record.AppendRecords(dst, raw); len(got) != len(sent) {
			b.Fatal(len(got))
		}
	}
}
