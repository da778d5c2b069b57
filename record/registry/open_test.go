package registry_test

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"math"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"aws-streaming-pipeline/internal/test/registrytest"
	"aws-streaming-pipeline/record"
	"aws-streaming-pipeline/record/registry"
)

func zipped(t testing.TB, data []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zlib.NewWriter(&b)
	if _, err := z.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// compressed is a frame whose data are zlib's.
func compressed() []byte {
	f := slices.Clone(frame)
	f[1] = 5
	return f
}

func TestRegistry_RefusesDamagedFrames(t *testing.T) {
	r := newRegistry(fixed{anyID: {Format: "JSON", Text: `{}`}})
	sound := slices.Concat(compressed(), zipped(t, []byte(`{"a":1}`)))
	if text, fault, err := r.Open(t.Context(), sound, 100, new(int)); string(text) != `{"a":1}` || fault != nil || err != nil {
		t.Fatalf("a sound frame gives %s, %v, %v", text, fault, err)
	}
	other := slices.Clone(frame)
	other[17]++
	for name, test := range map[string]struct {
		payload []byte
		code    string
	}{
		"nothing but the first byte": {[]byte{3}, record.CodeRegistryFrameCorrupt},
		"a byte too few":             {frame[:17], record.CodeRegistryFrameCorrupt},
		"another compression":        {slices.Concat([]byte{3, 1}, frame[2:], []byte(`{}`)), record.CodeRegistryFrameCorrupt},
		"no zlib stream":             {slices.Concat(compressed(), []byte(`{}`)), record.CodeRegistryFrameCorrupt},
		"a zlib stream cut off":      {sound[:len(sound)-1], record.CodeRegistryFrameCorrupt},
		"a zlib stream and more":     {append(slices.Clone(sound), 'x'), record.CodeRegistryFrameCorrupt},
		"a zlib bomb":                {slices.Concat(compressed(), zipped(t, make([]byte, 10<<20))), record.CodeRegistryTooLarge},
		"an unknown version":         {other, record.CodeRegistrySchemaUnknown},
	} {
		if text, fault, err := r.Open(t.Context(), test.payload, 1000, new(int)); fault == nil || fault.Code != test.code || text != nil || err != nil {
			t.Errorf("%s gives %q, %v, %v; want %s", name, text, fault, err, test.code)
		}
	}
}

// zlib in a frame inflates as far as gzip does (record.InflationBound), however much room there is.
func TestRegistry_BoundsWhatZlibInflatesTo(t *testing.T) {
	r := newRegistry(fixed{anyID: {Format: "JSON", Text: `{}`}})
	for size, code := range map[int]string{64 << 10: "", 64<<10 + 1: record.CodeRegistryTooLarge, 10 << 20: record.CodeRegistryTooLarge} {
		text, fault, err := r.Open(t.Context(), slices.Concat(compressed(), zipped(t, make([]byte, size))), record.DefaultMaxOpenedBytes, new(int))
		got := ""
		if fault != nil {
			got = fault.Code
		}
		if got != code || code == "" && len(text) != size || err != nil {
			t.Errorf("%d bytes inflate to %d, %v, %v; want %q", size, len(text), fault, err, code)
		}
	}
}

// The forms that the random records of other encoders do not meet.
func TestRegistry_WritesValuesByTheirSchemas(t *testing.T) {
	long := func(n int64) []byte { return binary.AppendVarint(nil, n) }
	const zebra = `syntax = "proto3"; message Zebra { google.protobuf.FieldMask mask = 1; google.protobuf.Any any = 2; optional float f = 3; }`
	mask := protowire.AppendString(protowire.AppendTag(nil, 1, protowire.BytesType), "a_b.c")
	for name, test := range map[string]struct {
		format, definition string
		data               []byte
		want               string
	}{
		"a bare name":                 {"AVRO", `"long"`, long(-7), `-7`},
		"a name without quotes":       {"AVRO", `long`, long(-7), `-7`},
		"nanoseconds":                 {"AVRO", `{"type":"long","logicalType":"timestamp-nanos"}`, long(1), `"1970-01-01T00:00:00.000000001Z"`},
		"local nanoseconds":           {"AVRO", `{"type":"long","logicalType":"local-timestamp-nanos"}`, long(-1), `"1969-12-31T23:59:59.999999999"`},
		"a UUID of 16 bytes":          {"AVRO", `{"type":"fixed","name":"U","size":16,"logicalType":"uuid"}`, frame[2:18], `"01234567-89ab-cdef-0123-456789abcdef"`},
		"a decimal of no bytes":       {"AVRO", `{"type":"bytes","logicalType":"decimal","precision":4,"scale":2}`, long(0), `0.00`},
		"a negative decimal":          {"AVRO", `{"type":"bytes","logicalType":"decimal","precision":4,"scale":3}`, []byte{2, 0xff}, `-0.001`},
		"a decimal without precision": {"AVRO", `{"type":"bytes","logicalType":"decimal","scale":2}`, []byte{2, 1}, `"AQ=="`},
		"a scale beyond precision":    {"AVRO", `{"type":"bytes","logicalType":"decimal","precision":1,"scale":2}`, []byte{2, 1}, `"AQ=="`},
		"a block that tells its size": {"AVRO", `{"type":"array","items":"int"}`, []byte{3, 4, 2, 4, 0}, `[1,2]`},
		"a namespace of a parent": {"AVRO", `{"type":"record","name":"a.b.R","fields":[{"name":"e","type":{"type":"enum","name":"E","symbols":["X"]}},{"name":"f","type":"a.b.E"}]}`,
			[]byte{0, 0}, `{"e":"X","f":"X"}`},
		"a mask": {"PROTOBUF", strings.Replace(zebra, ";", `; import "google/protobuf/field_mask.proto"; import "google/protobuf/any.proto";`, 1),
			slices.Concat([]byte{0}, protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), mask)), `{"mask":"a_b.c"}`},
		"a float that is not a number": {"PROTOBUF", strings.Replace(zebra, ";", `; import "google/protobuf/field_mask.proto"; import "google/protobuf/any.proto";`, 1),
			protowire.AppendFixed32(protowire.AppendTag([]byte{0}, 3, protowire.Fixed32Type), math.Float32bits(float32(math.Inf(-1)))), `{"f":"-Infinity"}`},
		"the last of a oneof": {"PROTOBUF", `syntax="proto3"; message M { oneof o { int32 a = 1; string b = 2; M m = 3; } }`,
			[]byte{0, 8, 1, 18, 1, 'x', 8, 2}, `{"a":2}`},
		"a message in pieces": {"PROTOBUF", `syntax="proto3"; message M { optional int32 a = 1; optional int32 b = 2; M m = 3; }`,
			[]byte{0, 26, 2, 8, 1, 26, 2, 16, 2, 26, 2, 8, 3}, `{"m":{"a":3,"b":2}}`},
		"an empty payload":   {"PROTOBUF", `syntax="proto3"; message M { int64 n = 1; repeated M ms = 2; }`, []byte{0}, `{"n":0,"ms":[]}`},
		"unknown fields":     {"PROTOBUF", `syntax="proto3"; message M { optional int64 n = 1; }`, []byte{0, 16, 1, 27, 8, 1, 28, 10, 1, 'x'}, `{}`},
		"a key of every map": {"PROTOBUF", `syntax="proto3"; message M { map<bool, int32> m = 1; }`, []byte{0, 10, 2, 16, 1, 10, 2, 16, 2, 10, 2, 8, 1}, `{"m":{"false":2,"true":0}}`},
	} {
		if text, fault := open(t, test.format, test.definition, test.data, 1000); fault != nil || text != test.want {
			t.Errorf("%s gives %s, %v; want %s", name, text, fault, test.want)
		}
	}
}

func TestRegistry_RefusesWhatTheSchemaCannotHaveWritten(t *testing.T) {
	const record3 = `{"type":"record","name":"R","fields":[{"name":"a","type":"boolean"},{"name":"b","type":["null","string"]},{"name":"c","type":{"type":"enum","name":"E","symbols":["X"]}}]}`
	const tree = `{"type":"record","name":"T","fields":[{"name":"t","type":["null","T"]}]}`
	const m = `syntax="proto2"; message M { optional string s = 1; repeated fixed32 f = 2; optional M m = 3; }`
	for name, test := range map[string]struct {
		format, definition string
		data               []byte
		code               string
	}{
		"nothing":                       {"AVRO", record3, nil, record.CodeRegistryPayloadUnfit},
		"a boolean of 2":                {"AVRO", record3, []byte{2, 0, 0}, record.CodeRegistryPayloadUnfit},
		"a branch that is not there":    {"AVRO", record3, []byte{1, 4, 0}, record.CodeRegistryPayloadUnfit},
		"a branch below zero":           {"AVRO", record3, []byte{1, 1, 0}, record.CodeRegistryPayloadUnfit},
		"a symbol that is not there":    {"AVRO", record3, []byte{1, 0, 2}, record.CodeRegistryPayloadUnfit},
		"a string beyond the end":       {"AVRO", record3, []byte{1, 2, 0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1}, record.CodeRegistryPayloadUnfit},
		"a string of negative length":   {"AVRO", record3, []byte{1, 2, 1}, record.CodeRegistryPayloadUnfit},
		"a string that is not UTF-8":    {"AVRO", record3, []byte{1, 2, 2, 0xff, 0}, record.CodeJSONInvalidUTF8},
		"something behind":              {"AVRO", record3, []byte{1, 0, 0, 0}, record.CodeRegistryPayloadUnfit},
		"an int of 33 bits":             {"AVRO", `"int"`, binary.AppendVarint(nil, 1<<32), record.CodeRegistryPayloadUnfit},
		"a number without end":          {"AVRO", `"long"`, bytes.Repeat([]byte{0xff}, 20), record.CodeRegistryPayloadUnfit},
		"a year beyond 9999":            {"AVRO", `{"type":"int","logicalType":"date"}`, binary.AppendVarint(nil, 1<<30), record.CodeRegistryPayloadUnfit},
		"a time of day beyond midnight": {"AVRO", `{"type":"long","logicalType":"time-micros"}`, binary.AppendVarint(nil, math.MaxInt64), record.CodeRegistryPayloadUnfit},
		"a decimal of 1000 bytes":       {"AVRO", `{"type":"bytes","logicalType":"decimal","precision":4}`, append(binary.AppendVarint(nil, 1000), make([]byte, 1000)...), record.CodeJSONNumberTooLarge},
		"a count without meaning":       {"AVRO", `{"type":"array","items":"null"}`, append(binary.AppendVarint(nil, math.MinInt64), 0), record.CodeRegistryPayloadUnfit},
		"nulls without end":             {"AVRO", `{"type":"array","items":"null"}`, append(binary.AppendVarint(nil, math.MaxInt64), 0), record.CodeRegistryPayloadUnfit},
		"a tree too deep":               {"AVRO", tree, bytes.Repeat([]byte{2}, 2000), record.CodeJSONTooDeep},
		"a record in itself":            {"AVRO", `{"type":"record","name":"T","fields":[{"name":"t","type":"T"},{"name":"u","type":"T"}]}`, []byte{0}, record.CodeJSONTooDeep},
		"a message of no type":          {"PROTOBUF", m, []byte{1}, record.CodeRegistryPayloadUnfit},
		"no number of a type":           {"PROTOBUF", m, nil, record.CodeRegistryPayloadUnfit},
		"a field cut off":               {"PROTOBUF", m, []byte{0, 10, 5, 'x'}, record.CodeRegistryPayloadUnfit},
		"values cut off":                {"PROTOBUF", m, []byte{0, 18, 5, 1, 2, 3, 4, 5}, record.CodeRegistryPayloadUnfit},
		"a tag of the number 0":         {"PROTOBUF", m, []byte{0, 0}, record.CodeRegistryPayloadUnfit},
		"text that is not UTF-8":        {"PROTOBUF", m, []byte{0, 10, 1, 0xff}, record.CodeJSONInvalidUTF8},
		"messages too deep":             {"PROTOBUF", m, append([]byte{0}, nest(1500)...), record.CodeJSONTooDeep},
		"a required field":              {"PROTOBUF", `syntax="proto2"; message M { required int32 a = 1; }`, []byte{0}, record.CodeRegistryPayloadUnfit},
		"a Timestamp of the year 10000": {"PROTOBUF", `syntax="proto3"; import "google/protobuf/timestamp.proto"; message M { google.protobuf.Timestamp t = 1; }`,
			append([]byte{0, 10, 7, 8}, binary.AppendUvarint(nil, 253402300800)...), record.CodeRegistryPayloadUnfit},
	} {
		if text, fault := open(t, test.format, test.definition, test.data, 1<<20); fault == nil || fault.Code != test.code {
			t.Errorf("%s gives %.100s, %v; want %s", name, text, fault, test.code)
		}
	}
}

// nest is a message in messages of the field 3.
func nest(depth int) []byte {
	var b []byte
	for range depth {
		b = protowire.AppendBytes(protowire.AppendTag(nil, 3, protowire.BytesType), b)
	}
	return b
}

func TestRegistry_TellsWhichSchemasItCannotUse(t *testing.T) {
	for name, d := range map[string]registry.Definition{
		"no JSON":              {Format: "AVRO", Text: `{"type":`},
		"JSON and more":        {Format: "AVRO", Text: `{"type":"int"} x`},
		"an unknown name":      {Format: "AVRO", Text: `{"type":"array","items":"Missing"}`},
		"a name defined twice": {Format: "AVRO", Text: `["int",{"type":"fixed","name":"F","size":1},{"type":"fixed","name":"F","size":2}]`},
		"a record of nothing":  {Format: "AVRO", Text: `{"type":"record","name":"R"}`},
		"a size below zero":    {Format: "AVRO", Text: `{"type":"fixed","name":"F","size":-1}`},
		"no .proto file":       {Format: "PROTOBUF", Text: `message {`},
		"another file":         {Format: "PROTOBUF", Text: `syntax="proto3"; import "other.proto"; message M { Other o = 1; }`},
		"an unknown message":   {Format: "PROTOBUF", Text: `syntax="proto3"; message M { Other o = 1; }`},
		"a group":              {Format: "PROTOBUF", Text: `syntax="proto2"; message M { optional group G = 1 { } }`},
		"an edition":           {Format: "PROTOBUF", Text: `edition = "2023"; message M { }`},
		"another format":       {Format: "THRIFT", Text: `struct S {}`},
	} {
		if text, fault := open(t, d.Format, d.Text, []byte{0}, 1000); fault == nil || fault.Code != record.CodeRegistrySchemaUnusable || !strings.Contains(fault.Message, anyID) {
			t.Errorf("%s gives %s, %v", name, text, fault)
		}
	}
}

// A hostile payload takes no more time and memory than an honest one of its size, but for a factor.
func TestRegistry_OpensHostilePayloadsAtTheCostOfHonestOnes(t *testing.T) {
	const size = 1 << 20
	avsc, proto := registrytest.Definition(t, "everything.avsc"), registrytest.Definition(t, "everything.proto")
	everything := messageNumber(t, "lake.test.Everything")
	repeat := func(prefix, unit []byte) []byte {
		return append(slices.Clone(prefix), bytes.Repeat(unit, size/len(unit))...)
	}
	field := func(n protowire.Number, v []byte) []byte {
		return protowire.AppendBytes(protowire.AppendTag(nil, n, protowire.BytesType), v)
	}
	const m = `syntax="proto2"; message M { optional string s = 1; repeated fixed32 f = 2; optional M m = 3; repeated M ms = 4; map<int32, M> by = 5; oneof o { int32 a = 6; int32 b = 7; } }`
	pieces := bytes.Repeat([]byte("x"), size)
	pieces = field(1, pieces)
	for range 900 {
		pieces = slices.Concat(field(3, field(1, nil)), field(3, pieces))
	}
	honest := slices.Concat([]byte{0}, bytes.Repeat(field(4, field(1, []byte("a short text"))), size/16))
	cost := func(format, definition string, data []byte) (time.Duration, uint64, *record.Fault) {
		r := newRegistry(fixed{anyID: {Format: format, Text: definition}})
		payload := slices.Concat(frame, data)
		if _, _, err := r.Open(t.Context(), frame, 64, new(int)); err != nil { // compiles the schema
			t.Fatal(err)
		}
		best, allocated := time.Hour, uint64(0)
		var fault *record.Fault
		for range 3 {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			began := time.Now()
			var err error
			_, fault, err = r.Open(t.Context(), payload, record.DefaultMaxOpenedBytes, new(int))
			best = min(best, time.Since(began))
			runtime.ReadMemStats(&after)
			if err != nil {
				t.Fatal(err)
			}
			allocated = after.TotalAlloc - before.TotalAlloc
		}
		return best, allocated, fault
	}
	base, baseBytes, fault := cost("PROTOBUF", m, honest)
	if fault != nil {
		t.Fatal(fault)
	}
	t.Logf("honest: %v, %d bytes allocated", base, baseBytes)
	for name, test := range map[string]struct {
		format, definition string
		data               []byte
	}{
		"nulls":                     {"AVRO", `{"type":"array","items":"null"}`, append(binary.AppendVarint(nil, math.MaxInt64), 0)},
		"empty records":             {"AVRO", `{"type":"array","items":{"type":"record","name":"R","fields":[]}}`, append(binary.AppendVarint(nil, math.MaxInt64), 0)},
		"arrays in arrays":          {"AVRO", `{"type":"record","name":"R","fields":[{"name":"a","type":{"type":"array","items":"R"}}]}`, bytes.Repeat([]byte{2}, size)},
		"blocks of one":             {"AVRO", `{"type":"array","items":"int"}`, append(bytes.Repeat([]byte{2, 0}, size/2), 0)},
		"zeros":                     {"AVRO", avsc, make([]byte, size)},
		"control characters":        {"AVRO", `"string"`, append(binary.AppendVarint(nil, size), make([]byte, size)...)},
		"empty messages":            {"PROTOBUF", m, repeat([]byte{0}, field(4, nil))},
		"empty entries":             {"PROTOBUF", m, repeat([]byte{0}, field(5, nil))},
		"a field again and again":   {"PROTOBUF", m, repeat([]byte{0}, field(1, nil))},
		"a oneof that changes":      {"PROTOBUF", m, repeat([]byte{0}, []byte{48, 1, 56, 1})},
		"fields out of order":       {"PROTOBUF", m, repeat([]byte{0}, slices.Concat(field(4, nil), field(2, nil)))},
		"messages in deep messages": {"PROTOBUF", m, append([]byte{0}, nest(990)...)},
		"messages in pieces":        {"PROTOBUF", m, append([]byte{0}, pieces...)},
		"unknown groups":            {"PROTOBUF", m, repeat([]byte{0}, []byte{123})},
		"zeros of Protobuf":         {"PROTOBUF", proto, append([]byte{byte(everything)}, make([]byte, size)...)},
	} {
		took, allocated, fault := cost(test.format, test.definition, test.data)
		t.Logf("%s: %v, %d bytes allocated, %v", name, took, allocated, fault)
		if allocated > 20*baseBytes {
			t.Errorf("%s: %d bytes are allocated, for an honest payload of that size %d", name, allocated, baseBytes)
		}
	}
}

// messageNumber is the number by which payloads of everything.proto name a message.
func messageNumber(t testing.TB, name string) int {
	t.Helper()
	names := []string{"lake.test.Everything", "lake.test.Everything.ByFlagEntry", "lake.test.Everything.ByNumberEntry", "lake.test.Everything.ByTextEntry",
		"lake.test.Everything.Inner", "lake.test.Everything.Inner.Leaf", "lake.test.Zebra"}
	return slices.Index(names, name)
}

func FuzzOpen(f *testing.F) {
	avsc, proto := registrytest.Definition(f, "everything.avsc"), registrytest.Definition(f, "everything.proto")
	f.Add(true, []byte{0})
	f.Add(false, []byte{0, 8, 1})
	f.Fuzz(func(t *testing.T, avro bool, data []byte) {
		format, definition := "PROTOBUF", proto
		if avro {
			format, definition = "AVRO", avsc
		}
		text, fault := open(t, format, definition, data, 1<<16)
		if fault == nil && len(text) > 1<<16 || fault != nil && fault.Code == record.CodeRecordPanicked {
			t.Errorf("%d bytes, %v", len(text), fault)
		}
	})
}
