package main_test

import (
	"bytes"
	"crypto/md5"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"aws-streaming-pipeline/record"
	"aws-streaming-pipeline/record/recordtest"
)

// Whatever is sent is accounted for: delivered, or in the error prefix with its bytes and the reason.
func TestConsumer_AccountsForEveryPayload(t *testing.T) {
	t.Parallel()
	corrupt := append([]byte{0xf3, 0x89, 0x9a, 0xc2}, "no protobuf"...)
	sum := md5.Sum([]byte("no protobuf"))
	corrupt = append(corrupt, sum[:]...)
	payloads := []struct {
		name      string
		data      []byte
		delivered int
		code      string // of its error record; empty for none
	}{
		{"a plain object", []byte(`{"n":1}`), 1, ""},
		{"a row of a megabyte", fmt.Appendf(nil, `{"POLYLINE":%q}`, strings.Repeat("[-8.6,41.1],", 80_000)), 1, ""},
		{"an object over several lines", []byte("{\n  \"n\": 2\n}\n"), 1, ""},
		{"no JSON", []byte("plain text"), 0, "Json.Malformed"},
		{"nothing", []byte{}, 0, "Json.Empty"},
		{"invalid UTF-8", []byte("{\"n\":\"\xff\"}"), 0, "Json.InvalidUTF8"},
		{"an array", []byte(`[1,2]`), 0, "Json.NotAnObject"},
		{"a truncated object", []byte(`{"n":1`), 0, "Json.Truncated"},
		{"an aggregate of three", recordtest.AppendAggregate(nil, []record.Record{
			{PartitionKey: "a", Data: []byte(`{"n":3}`)}, {PartitionKey: "b", Data: []byte(`{"n":4}`)}, {PartitionKey: "c", Data: []byte(`{"n":5}`)},
		}), 3, ""},
		{"an aggregate with one bad record", recordtest.AppendAggregate(nil, []record.Record{
			{PartitionKey: "a", Data: []byte(`{"n":6}`)}, {PartitionKey: "b", Data: []byte(`oops`)},
		}), 1, "Json.Malformed"},
		{"a corrupt aggregate", corrupt, 0, "Aggregate.Corrupt"},
		{"a plain object behind it", []byte(`{"n":7}`), 1, ""},
	}
	s := newSurroundings(t, 1)
	delivered, faults := 0, map[string]int{}
	for _, p := range payloads {
		if _, err := s.kinesis.PutRecord(t.Context(), &kinesis.PutRecordInput{
			StreamName: aws.String(streamName), PartitionKey: aws.String("key"), Data: p.data,
		}); err != nil {
			t.Fatalf("put %s: %v", p.name, err)
		}
		delivered += p.delivered
		if p.code != "" {
			faults[p.code]++
		}
	}
	consumer := s.start()
	errors := func() (n int) {
		for _, count := range faults {
			n += count
		}
		return n
	}()
	eventually(t, "all payloads accounted for", func() bool {
		return len(s.lines("data/")) >= delivered && len(s.lines("errors/")) >= errors
	})
	if err := consumer.terminate(); err != nil {
		t.Errorf("exit: %v\n%s", err, consumer.log)
	}

	ids := make(map[string]bool)
	for _, line := range s.lines("data/") {
		var r struct {
			EventID string `json:"event_id"`
		}
		if err := json.Unmarshal(line, &r); err != nil {
			t.Errorf("a delivered line is not JSON: %v", err)
		}
		ids[r.EventID] = true
	}
	if len(s.lines("data/")) != delivered || len(ids) != delivered {
		t.Errorf("%d records with %d event ids delivered, want %d", len(s.lines("data/")), len(ids), delivered)
	}
	for _, line := range s.lines("errors/processing-failed/") {
		e, err := record.ParseErrorLine(line)
		if err != nil {
			t.Fatal(err)
		}
		faults[e.Record.Fault.Code]--
		if !sent(e.Record.Data, func(yield func([]byte) bool) {
			for _, p := range payloads {
				if !yield(p.data) {
					return
				}
			}
		}) {
			t.Errorf("the bytes of an error record (%s) are not those of any payload", e.Record.Fault.Code)
		}
	}
	for code, n := range faults {
		if n != 0 {
			t.Errorf("error records with code %s: %d too few", code, n)
		}
	}
	if strings.Contains(consumer.log.String(), "plain text") {
		t.Error("a payload stands in the log")
	}
}

// sent reports whether data is one of the payloads or a part of one.
func sent(data []byte, payloads func(func([]byte) bool)) bool {
	for p := range payloads {
		if bytes.Contains(p, data) {
			return true
		}
	}
	return false
}
