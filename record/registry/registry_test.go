package registry_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"path/filepath"
	"slices"
	"testing"

	"aws-streaming-pipeline/internal/test/emulator"
	"aws-streaming-pipeline/internal/test/registrytest"
	"aws-streaming-pipeline/record"
	"aws-streaming-pipeline/record/registry"
	"aws-streaming-pipeline/record/schema"
	"aws-streaming-pipeline/record/schema/shred"
)

// definitions are the schemas of the tests, by the names of their files.
var definitions = []string{"everything.avsc", "everything.proto", "older.proto", "trip.json"}

func newRegistry(service registry.Service) *registry.Registry {
	return registry.New(service, slog.New(slog.DiscardHandler), func(string) {})
}

// What fastavro and Google's Protobuf have written, by schemas that moto keeps, becomes the values that they were given.
func TestRegistry_GivesBackWhatOtherEncodersWereGiven(t *testing.T) {
	const each = 1000
	endpoint := emulator.Moto(t).URL
	ids := registrytest.Register(t, endpoint, definitions...)
	service, err := registry.NewGlue(t.Context(), registrytest.Account(endpoint))
	if err != nil {
		t.Fatal(err)
	}
	r := newRegistry(service)
	checkers := make(map[string]*shred.Checker)
	for _, file := range definitions {
		format := map[string]string{".avsc": "AVRO", ".proto": "PROTOBUF", ".json": "JSON"}[filepath.Ext(file)]
		document, err := registry.Definition{Format: format, Text: registrytest.Definition(t, file)}.JSONSchema("")
		if err != nil {
			t.Fatal(err)
		}
		s, err := schema.Parse(file, document)
		if err != nil {
			t.Fatal(err)
		}
		checkers[file] = shred.NewChecker(s)
	}
	values := make(map[string]int)
	for i, e := range registrytest.Encode(t, 1, each, ids) {
		if !r.Framed(e.Payload) {
			t.Fatalf("record %d of %s has no frame", i, e.File)
		}
		text, fault, err := r.Open(t.Context(), e.Payload, 1<<20, new(int))
		if fault != nil || err != nil {
			t.Fatalf("record %d of %s: %v, %v\npayload %s\nwant %s", i, e.File, fault, err, base64.StdEncoding.EncodeToString(e.Payload), e.Want)
		}
		if where := difference(parse(t, text), parse(t, []byte(e.Want)), &values, e.File); where != "" {
			t.Fatalf("record %d of %s: %s\n got %s\nwant %s", i, e.File, where, text, e.Want)
		}
		if _, err := checkers[e.File].AppendJSONLine(nil, &record.Record{SequenceNumber: "1", Data: text}); err != nil {
			t.Fatalf("record %d of %s does not pass its schema: %v: %s", i, e.File, err, text)
		}
	}
	t.Logf("values compared: %v", values)
	for _, name := range definitions {
		if values[name] < 2*each {
			t.Errorf("%d values of %s were compared", values[name], name)
		}
	}
}

func parse(t *testing.T, text []byte) any {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		t.Fatalf("more than one value: %s", text)
	}
	return v
}

// difference says where two values differ, and counts those that are equal. Numbers are equal if their exact values are.
func difference(got, want any, values *map[string]int, name string) string {
	switch want := want.(type) {
	case map[string]any:
		got, ok := got.(map[string]any)
		if !ok || len(got) != len(want) {
			return fmt.Sprintf("members are %v, want %v", got, want)
		}
		for k, w := range want {
			if _, ok := got[k]; !ok {
				return k + " is missing"
			}
			if d := difference(got[k], w, values, name); d != "" {
				return k + ": " + d
			}
		}
		return ""
	case []any:
		got, ok := got.([]any)
		if !ok || len(got) != len(want) {
			return fmt.Sprintf("elements are %v, want %v", got, want)
		}
		for i, w := range want {
			if d := difference(got[i], w, values, name); d != "" {
				return fmt.Sprintf("%d: %s", i, d)
			}
		}
		return ""
	case json.Number:
		g, ok := got.(json.Number)
		a, ok1 := new(big.Rat).SetString(string(g))
		b, ok2 := new(big.Rat).SetString(string(want))
		if !ok || !ok1 || !ok2 || a.Cmp(b) != 0 {
			return fmt.Sprintf("%v, want %v", got, want)
		}
	default:
		if got != want {
			return fmt.Sprintf("%q, want %q", got, want)
		}
	}
	(*values)[name]++
	return ""
}

// fixed is a registry of definitions by their ids.
type fixed map[string]registry.Definition

func (f fixed) SchemaVersion(_ context.Context, id string) (registry.Definition, error) {
	d, ok := f[id]
	if !ok {
		return d, registry.ErrUnknown
	}
	return d, nil
}

const anyID = "01234567-89ab-cdef-0123-456789abcdef"

var frame = append([]byte{3, 0}, 0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef, 0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef)

// open opens data of a definition.
func open(t testing.TB, format, definition string, data []byte, limit int) (string, *record.Fault) {
	t.Helper()
	r := newRegistry(fixed{anyID: {Format: format, Text: definition}})
	text, fault, err := r.Open(t.Context(), slices.Concat(frame, data), limit, new(int))
	if err != nil {
		t.Fatal(err)
	}
	if fault == nil && !json.Valid(text) {
		t.Fatalf("not JSON: %s", text)
	}
	return string(text), fault
}
