package localstream_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"aws-streaming-pipeline/internal/localstream"
)

// Approximate size of a taxi trip of the demo.
const tripBytes = 1200

// discard is a response that keeps nothing.
type discard struct {
	header http.Header
	status int
}

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) Write(p []byte) (int, error) { return len(p), nil }
func (d *discard) WriteHeader(status int)      { d.status = status }

// serve makes one call without a network.
func serve(tb testing.TB, k *localstream.Kinesis, operation string, body []byte) {
	request := httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(body))
	request.Header.Set("X-Amz-Target", "Kinesis_20131202."+operation)
	answer := discard{header: http.Header{}}
	k.ServeHTTP(&answer, request)
	if answer.status != http.StatusOK {
		tb.Fatalf("%s: %d", operation, answer.status)
	}
}

func putBody(records int) []byte {
	data := base64.StdEncoding.EncodeToString(bytes.Repeat([]byte("x"), tripBytes))
	entries := make([]string, records)
	for i := range entries {
		entries[i] = fmt.Sprintf(`{"Data":"%s","PartitionKey":"%d"}`, data, i)
	}
	return []byte(`{"StreamName":"` + trips + `","Records":[` + strings.Join(entries, ",") + `]}`)
}

// BenchmarkPutRecords stores requests of 500 trips in 4 shards, dropping the oldest; MB/s count payloads.
func BenchmarkPutRecords(b *testing.B) {
	k, err := localstream.New(localstream.Options{MaxBytes: 64 << 20, WhenFull: localstream.TrimOldest})
	if err != nil {
		b.Fatal(err)
	}
	if err := k.CreateStream(trips, 4); err != nil {
		b.Fatal(err)
	}
	body := putBody(500)
	b.SetBytes(500 * tripBytes)
	b.ReportAllocs()
	for b.Loop() {
		serve(b, k, "PutRecords", body)
	}
}

// filled is a Kinesis with that many trips in one shard.
func filled(b *testing.B, options localstream.Options, records int) *localstream.Kinesis {
	b.Helper()
	k, err := localstream.New(options)
	if err != nil {
		b.Fatal(err)
	}
	if err := k.CreateStream(trips, 1); err != nil {
		b.Fatal(err)
	}
	for i := range records {
		if _, _, err := k.Put(trips, localstream.Entry{PartitionKey: strconv.Itoa(i), Data: make([]byte, tripBytes)}); err != nil {
			b.Fatal(err)
		}
	}
	return k
}

// BenchmarkSubscribeToShard pushes 70,000 trips, about 80 MB, without a network; MB/s count payloads.
func BenchmarkSubscribeToShard(b *testing.B) {
	const records = 70_000
	k := filled(b, localstream.Options{SubscribeInterval: 1}, records)
	// The subscription ends with the shard.
	serve(b, k, "SplitShard", []byte(`{"StreamName":"`+trips+`","ShardToSplit":"shardId-000000000000","NewStartingHashKey":"1000"}`))
	var registered struct{ Consumer struct{ ConsumerARN string } }
	answer := httptest.NewRecorder()
	request := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(`{"StreamARN":"`+tripsARN+`","ConsumerName":"archive"}`))
	request.Header.Set("X-Amz-Target", "Kinesis_20131202.RegisterStreamConsumer")
	k.ServeHTTP(answer, request)
	if err := json.Unmarshal(answer.Body.Bytes(), &registered); err != nil {
		b.Fatal(err)
	}
	body := []byte(`{"ConsumerARN":"` + registered.Consumer.ConsumerARN + `","ShardId":"shardId-000000000000","StartingPosition":{"Type":"TRIM_HORIZON"}}`)
	b.SetBytes(records * tripBytes)
	b.ReportAllocs()
	for b.Loop() {
		serve(b, k, "SubscribeToShard", body)
	}
}

// BenchmarkGetRecords answers with pages of 7,000 trips, about 8 MB; MB/s count payloads.
func BenchmarkGetRecords(b *testing.B) {
	const records = 7000
	k := filled(b, localstream.Options{}, records)
	answer := httptest.NewRecorder()
	request := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(
		`{"StreamName":"`+trips+`","ShardId":"shardId-000000000000","ShardIteratorType":"TRIM_HORIZON"}`))
	request.Header.Set("X-Amz-Target", "Kinesis_20131202.GetShardIterator")
	k.ServeHTTP(answer, request)
	body := answer.Body.Bytes() // the answer's one member is the request's
	b.SetBytes(records * tripBytes)
	b.ReportAllocs()
	for b.Loop() {
		serve(b, k, "GetRecords", body)
	}
}
