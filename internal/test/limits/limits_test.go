package limits

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/smithy-go/encoding/cbor"
)

// stub is a service that accepts everything.
type stub struct {
	answer string
	format string // of the answer
	asked  int
	body   string // of the last request
}

func (s *stub) RoundTrip(r *http.Request) (*http.Response, error) {
	s.asked++
	if r.Body != nil {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		s.body = string(body)
	}
	return &http.Response{
		StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {s.format}},
		Body: io.NopCloser(strings.NewReader(s.answer)), Request: r,
	}, nil
}

// bench is a Proxy in front of a stub, with a clock of its own.
type bench struct {
	*Proxy
	t    *testing.T
	stub *stub
	at   time.Time
}

func newBench(t *testing.T, service Service) *bench {
	t.Helper()
	p, err := New(service, "http://127.0.0.1:1")
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{Proxy: p, t: t, stub: &stub{answer: "{}", format: "application/x-amz-json-1.1"}, at: time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)}
	p.next = b.stub
	p.now = func() time.Time { return b.at }
	return b
}

// do sends a request and returns the code of its refusal, empty if it passed.
func (b *bench) do(r *http.Request) string {
	b.t.Helper()
	before := b.stub.asked
	in, err := b.RoundTrip(r)
	if err != nil {
		b.t.Fatal(err)
	}
	content, err := io.ReadAll(in.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	if passed := b.stub.asked > before; passed != (in.StatusCode == http.StatusOK) {
		b.t.Errorf("status %d, and the service was asked: %v", in.StatusCode, passed)
	}
	if in.StatusCode == http.StatusOK {
		return ""
	}
	var said struct {
		Type string `json:"__type"`
	}
	if json.Unmarshal(content, &said) == nil {
		return said.Type
	}
	return decodeXML(content).text("Code")
}

// call sends a request of the JSON protocols.
func (b *bench) call(operation string, in any) string {
	b.t.Helper()
	body, err := json.Marshal(in)
	if err != nil {
		b.t.Fatal(err)
	}
	r, err := http.NewRequest(http.MethodPost, "http://service/", bytes.NewReader(body))
	if err != nil {
		b.t.Fatal(err)
	}
	r.Header.Set("X-Amz-Target", "Service_1."+operation)
	r.Header.Set("Content-Type", "application/x-amz-json-1.0")
	return b.do(r)
}

const formatCBOR = "application/x-amz-cbor-1.1"

// cbor sends a request in CBOR, which is cheap for large payloads.
func (b *bench) cbor(operation string, in cbor.Map) string {
	b.t.Helper()
	r, err := http.NewRequest(http.MethodPost, "http://service/", bytes.NewReader(cbor.Encode(in)))
	if err != nil {
		b.t.Fatal(err)
	}
	r.Header.Set("X-Amz-Target", "Kinesis_20131202."+operation)
	r.Header.Set("Content-Type", formatCBOR)
	return b.do(r)
}

// s3 sends a request of S3 with a body of the given size that takes no memory.
func (b *bench) s3(method, path string, size int64, header ...string) string {
	b.t.Helper()
	r, err := http.NewRequest(method, "http://service/bucket/"+path, http.NoBody)
	if err != nil {
		b.t.Fatal(err)
	}
	r.ContentLength = size
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	return b.do(r)
}

// complete sends a CompleteMultipartUpload of some parts, given as number and checksum.
func (b *bench) complete(path string, parts ...string) string {
	b.t.Helper()
	var doc strings.Builder
	doc.WriteString(`<CompleteMultipartUpload xmlns="http://s3.amazonaws.com/doc/2006-03-01/">`)
	for i := 0; i < len(parts); i += 2 {
		fmt.Fprintf(&doc, "<Part><PartNumber>%s</PartNumber><ETag>e</ETag><ChecksumCRC32C>%s</ChecksumCRC32C></Part>", parts[i], parts[i+1])
	}
	doc.WriteString("</CompleteMultipartUpload>")
	r, err := http.NewRequest(http.MethodPost, "http://service/bucket/"+path, strings.NewReader(doc.String()))
	if err != nil {
		b.t.Fatal(err)
	}
	return b.do(r)
}

// begin makes an upload with the id u.
func (b *bench) begin(header ...string) {
	b.t.Helper()
	b.stub.answer = "<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>"
	if code := b.s3("POST", "key?uploads", 0, header...); code != "" {
		b.t.Fatalf("begin: %s", code)
	}
}

type (
	m = map[string]any
	l = []any
)

func text(n int) m { return m{"S": strings.Repeat("x", n)} }

// Each rule has a request at its limit, which passes, and one beyond it, which is refused with the service's own error.
func TestProxy_RefusesWhatIsBeyondALimit(t *testing.T) {
	put := func(value any) m { return m{"TableName": "t", "Item": m{"k": text(1), "v": value}} }
	table := func(b *bench) {
		b.stub.answer = `{"Table":{"TableName":"t","KeySchema":[{"AttributeName":"k","KeyType":"HASH"}]}}`
		if code := b.call("DescribeTable", m{"TableName": "t"}); code != "" {
			b.t.Fatal(code)
		}
	}
	puts := func(n int, size int) m {
		var actions l
		for i := range n {
			actions = append(actions, m{"Put": m{"TableName": "t", "Item": m{"k": m{"S": fmt.Sprintf("%03d", i)}, "v": text(size)}}})
		}
		return m{"TransactItems": actions}
	}
	record := func(size int) cbor.Map {
		return cbor.Map{"PartitionKey": cbor.String("kkkk"), "Data": cbor.Slice(make([]byte, size))}
	}
	records := func(n, size int) cbor.Map {
		var entries cbor.List
		for range n {
			entries = append(entries, record(size))
		}
		return cbor.Map{"StreamName": cbor.String("s"), "Records": entries}
	}
	iterator := func(b *bench) {
		b.stub.answer = `{"ShardIterator":"i"}`
		if code := b.call("GetShardIterator", m{"StreamName": "s", "ShardId": "1"}); code != "" {
			b.t.Fatal(code)
		}
		b.stub.answer = `{"NextShardIterator":"i"}`
	}
	// times makes a call several times within a second, and returns the last result.
	times := func(b *bench, n int, operation string, in m) (code string) {
		for range n {
			code = b.call(operation, in)
		}
		return code
	}
	answers := func(b *bench, n int) {
		b.stub.format = formatCBOR
		b.stub.answer = string(cbor.Encode(cbor.Map{
			"NextShardIterator": cbor.String("i"), "Records": cbor.List{cbor.Map{"Data": cbor.Slice(make([]byte, n))}},
		}))
	}
	signed := func(b *bench, age time.Duration) (string, string) {
		return "X-Amz-Date", b.at.Add(-age).Format("20060102T150405Z")
	}
	tests := []struct {
		rule    string
		service Service
		// send makes the request at the limit or beyond it.
		send func(b *bench, beyond int) string
		code string
	}{
		{"item size", DynamoDB, func(b *bench, beyond int) string {
			return b.call("PutItem", put(text(maxItemBytes-3+beyond)))
		}, "ValidationException"},
		{"item size", DynamoDB, func(b *bench, beyond int) string {
			return b.call("TransactWriteItems", m{"TransactItems": l{m{"Put": put(text(maxItemBytes - 3 + beyond))}}})
		}, "TransactionCanceledException"},
		{"item size", DynamoDB, func(b *bench, beyond int) string {
			return b.call("BatchWriteItem", m{"RequestItems": m{"t": l{m{"PutRequest": put(text(maxItemBytes - 3 + beyond))}}}})
		}, "ValidationException"},
		{"key size", DynamoDB, func(b *bench, beyond int) string {
			table(b)
			return b.call("GetItem", m{"TableName": "t", "Key": m{"k": text(maxKeyBytes + beyond)}})
		}, "ValidationException"},
		{"expression size", DynamoDB, func(b *bench, beyond int) string {
			return b.call("UpdateItem", m{"UpdateExpression": strings.Repeat("x", maxExpressionBytes+beyond)})
		}, "ValidationException"},
		{"expression size", DynamoDB, func(b *bench, beyond int) string {
			return b.call("Scan", m{"FilterExpression": strings.Repeat("x", maxExpressionBytes+beyond)})
		}, "ValidationException"},
		{"transaction items", DynamoDB, func(b *bench, beyond int) string {
			return b.call("TransactWriteItems", puts(maxActions+beyond, 1))
		}, "ValidationException"},
		{"transaction size", DynamoDB, func(b *bench, beyond int) string {
			return b.call("TransactWriteItems", puts(16, maxTransactionBytes/16-5+beyond)) // k, 3 digits, v
		}, "ValidationException"},
		{"token length", DynamoDB, func(b *bench, beyond int) string {
			return b.call("TransactWriteItems", m{"ClientRequestToken": strings.Repeat("x", maxTokenChars+beyond)})
		}, "ValidationException"},
		{"token content", DynamoDB, func(b *bench, beyond int) string {
			in := puts(1, 1)
			in["ClientRequestToken"] = "token"
			if code := b.call("TransactWriteItems", in); code != "" {
				b.t.Error(code)
			}
			in["TransactItems"] = puts(1, 1+beyond)["TransactItems"]
			return b.call("TransactWriteItems", in)
		}, "IdempotentParameterMismatchException"},
		{"one action per item", DynamoDB, func(b *bench, beyond int) string {
			table(b)
			check := m{"ConditionCheck": m{"TableName": "t", "Key": m{"k": m{"S": fmt.Sprintf("%03d", 1-beyond)}}}}
			in := puts(1, 1)
			in["TransactItems"] = append(in["TransactItems"].(l), check)
			return b.call("TransactWriteItems", in)
		}, "ValidationException"},
		{"BatchWriteItem items", DynamoDB, func(b *bench, beyond int) string {
			return b.call("BatchWriteItem", m{"RequestItems": m{"t": slices.Repeat(l{m{"PutRequest": put(text(1))}}, maxBatchWrites+beyond)}})
		}, "ValidationException"},
		{"BatchGetItem items", DynamoDB, func(b *bench, beyond int) string {
			return b.call("BatchGetItem", m{"RequestItems": m{"t": m{"Keys": slices.Repeat(l{m{"k": text(1)}}, maxBatchReads+beyond)}}})
		}, "ValidationException"},
		{"signature age", DynamoDB, func(b *bench, beyond int) string { return b.aged("GetItem", 5*time.Minute, beyond) }, "InvalidSignatureException"},
		{"signature age", Kinesis, func(b *bench, beyond int) string { return b.aged("ListShards", -5*time.Minute, -beyond) }, "InvalidSignatureException"},

		{"signature age", S3, func(b *bench, beyond int) string {
			name, date := signed(b, 15*time.Minute+time.Duration(beyond)*time.Second)
			return b.s3("HEAD", "key", 0, name, date)
		}, "RequestTimeTooSkewed"},
		{"key length", S3, func(b *bench, beyond int) string {
			return b.s3("PUT", strings.Repeat("%C3%A4", maxKey/2)+strings.Repeat("x", beyond), 1)
		}, "KeyTooLongError"},
		{"metadata size", S3, func(b *bench, beyond int) string {
			return b.s3("PUT", "key", 1, "x-amz-meta-name", strings.Repeat("x", maxMetadata-4+beyond))
		}, "MetadataTooLarge"},
		{"metadata size", S3, func(b *bench, beyond int) string {
			return b.s3("POST", "key?uploads", 0, "x-amz-meta-name", strings.Repeat("x", maxMetadata-4+beyond))
		}, "MetadataTooLarge"},
		{"header size", S3, func(b *bench, beyond int) string {
			return b.s3("PUT", "key", 1, "X-Other", strings.Repeat("x", maxHeader-7+beyond))
		}, "RequestHeaderSectionTooLarge"},
		{"object size in one request", S3, func(b *bench, beyond int) string { return b.s3("PUT", "key", maxPutObject+int64(beyond)) }, "EntityTooLarge"},
		{"part number", S3, func(b *bench, beyond int) string {
			return b.s3("PUT", fmt.Sprintf("key?uploadId=u&partNumber=%d", maxPartNumber+beyond), 1)
		}, "InvalidArgument"},
		{"part number", S3, func(b *bench, beyond int) string {
			return b.s3("PUT", fmt.Sprintf("key?uploadId=u&partNumber=%d", 1-beyond), 1)
		}, "InvalidArgument"},
		{"part size", S3, func(b *bench, beyond int) string {
			return b.s3("PUT", "key?uploadId=u&partNumber=1", maxPartBytes+int64(beyond))
		}, "EntityTooLarge"},
		{"part checksum", S3, func(b *bench, beyond int) string {
			b.begin(algorithmHeader, "CRC32C")
			return b.s3("PUT", "key?uploadId=u&partNumber=1", 1, []string{"X-Amz-Checksum-Crc32c", "X-Amz-Checksum-Crc32"}[beyond], "c")
		}, "InvalidRequest"},
		{"smallest part", S3, func(b *bench, beyond int) string {
			b.begin()
			b.s3("PUT", "key?uploadId=u&partNumber=1", minPartBytes-int64(beyond))
			b.s3("PUT", "key?uploadId=u&partNumber=2", 1)
			return b.complete("key?uploadId=u", "1", "", "2", "")
		}, "EntityTooSmall"},
		{"order of parts", S3, func(b *bench, beyond int) string {
			return b.complete("key?uploadId=u", "1", "", []string{"2", "1"}[beyond], "")
		}, "InvalidPartOrder"},
		{"parts of an upload", S3, func(b *bench, beyond int) string {
			return b.complete("key?uploadId=u", []string{"1", ""}[:2-2*beyond]...)
		}, "MalformedXML"},
		{"checksums in Complete", S3, func(b *bench, beyond int) string {
			b.begin(algorithmHeader, "CRC32C")
			b.s3("PUT", "key?uploadId=u&partNumber=1", 1, "X-Amz-Checksum-Crc32c", "c")
			return b.complete("key?uploadId=u", "1", []string{"c", ""}[beyond])
		}, "InvalidRequest"},
		{"checksums in Complete", S3, func(b *bench, beyond int) string {
			b.begin(algorithmHeader, "CRC32C")
			b.s3("PUT", "key?uploadId=u&partNumber=1", 1, "X-Amz-Checksum-Crc32c", "c")
			return b.complete("key?uploadId=u", "1", []string{"c", "d"}[beyond])
		}, "InvalidPart"},
		{"object size", S3, func(b *bench, beyond int) string {
			b.begin()
			var parts []string
			for i := range 1024 {
				number := fmt.Sprint(i + 1)
				b.s3("PUT", "key?uploadId=u&partNumber="+number, maxPartBytes)
				parts = append(parts, number, "")
			}
			if beyond > 0 {
				b.s3("PUT", "key?uploadId=u&partNumber=1025", 1)
				parts = append(parts, "1025", "")
			}
			return b.complete("key?uploadId=u", parts...)
		}, "EntityTooLarge"},

		{"GetRecords limit", Kinesis, func(b *bench, beyond int) string {
			return b.call("GetRecords", m{"ShardIterator": "i", "Limit": maxGetRecords + beyond})
		}, "InvalidArgumentException"},
		{"iterator age", Kinesis, func(b *bench, beyond int) string {
			iterator(b)
			b.at = b.at.Add(iteratorLife + time.Duration(beyond)*time.Second)
			return b.call("GetRecords", m{"ShardIterator": "i"})
		}, "ExpiredIteratorException"},
		{"GetRecords calls", Kinesis, func(b *bench, beyond int) string {
			iterator(b)
			return times(b, readCalls+beyond, "GetRecords", m{"ShardIterator": "i"})
		}, "ProvisionedThroughputExceededException"},
		{"GetRecords bytes", Kinesis, func(b *bench, beyond int) string { // more than 2 MiB at once must be made up for
			iterator(b)
			answers(b, 10<<20)
			if code := b.call("GetRecords", m{"ShardIterator": "i"}); code != "" {
				b.t.Error(code)
			}
			b.at = b.at.Add(5*time.Second - time.Duration(beyond)*time.Millisecond)
			return b.call("GetRecords", m{"ShardIterator": "i"})
		}, "ProvisionedThroughputExceededException"},
		{"GetRecords bytes", Kinesis, func(b *bench, beyond int) string {
			iterator(b)
			answers(b, 1<<20+beyond)
			return times(b, 3, "GetRecords", m{"ShardIterator": "i"})
		}, "ProvisionedThroughputExceededException"},
		{"GetShardIterator calls", Kinesis, func(b *bench, beyond int) string {
			return times(b, iteratorCalls+beyond, "GetShardIterator", m{"StreamName": "s", "ShardId": "1"})
		}, "ProvisionedThroughputExceededException"},
		{"ListShards calls", Kinesis, func(b *bench, beyond int) string {
			return times(b, listCalls+beyond, "ListShards", m{"StreamName": "s"})
		}, "LimitExceededException"},
		{"DescribeStreamSummary calls", Kinesis, func(b *bench, beyond int) string {
			return times(b, summaryCalls+beyond, "DescribeStreamSummary", m{"StreamName": "s"})
		}, "LimitExceededException"},
		{"DescribeStreamConsumer calls", Kinesis, func(b *bench, beyond int) string {
			return times(b, consumerCalls+beyond, "DescribeStreamConsumer", m{"ConsumerARN": "arn:aws:kinesis:r:1:stream/s/consumer/c:1"})
		}, "LimitExceededException"},
		{"SubscribeToShard calls", Kinesis, func(b *bench, beyond int) string {
			return times(b, subscribeCalls+beyond, "SubscribeToShard", m{"ConsumerARN": "c", "ShardId": "1"})
		}, "LimitExceededException"},
		{"SubscribeToShard exclusivity", Kinesis, func(b *bench, beyond int) string {
			in := m{"ConsumerARN": "c", "ShardId": "1"}
			if code := b.call("SubscribeToShard", in); code != "" {
				b.t.Error(code)
			}
			b.at = b.at.Add(exclusive - time.Duration(beyond)*time.Millisecond)
			return b.call("SubscribeToShard", in)
		}, "ResourceInUseException"},
		{"PutRecords records", Kinesis, func(b *bench, beyond int) string { return b.cbor("PutRecords", records(maxEntries+beyond, 1)) }, "ValidationException"},
		{"PutRecords bytes", Kinesis, func(b *bench, beyond int) string {
			return b.cbor("PutRecords", records(10, maxPutBytes/10-4+beyond))
		}, "InvalidArgumentException"},
		{"record bytes", Kinesis, func(b *bench, beyond int) string {
			return b.cbor("PutRecord", record(maxRecordBytes-4+beyond))
		}, "InvalidArgumentException"},
		{"partition key", Kinesis, func(b *bench, beyond int) string {
			return b.call("PutRecord", m{"PartitionKey": strings.Repeat("ä", maxKeyChars+beyond)})
		}, "ValidationException"},
	}
	for _, tt := range tests {
		t.Run(tt.rule, func(t *testing.T) {
			b := newBench(t, tt.service)
			if code := tt.send(b, 0); code != "" || len(b.Refused()) > 0 {
				t.Errorf("at the limit: %s, refused %v", code, b.Refused())
			}
			b = newBench(t, tt.service)
			if code := tt.send(b, 1); code != tt.code {
				t.Errorf("beyond it: %q, want %s", code, tt.code)
			}
			for rule, n := range b.Refused() {
				if rule.Name != tt.rule || n != 1 {
					t.Errorf("refused by %v %d times", rule, n)
				}
			}
		})
	}
}

// aged sends a call that was signed the given time ago.
func (b *bench) aged(operation string, age time.Duration, seconds int) string {
	b.t.Helper()
	r, err := http.NewRequest(http.MethodPost, "http://service/", strings.NewReader("{}"))
	if err != nil {
		b.t.Fatal(err)
	}
	r.Header.Set("X-Amz-Target", "Service_1."+operation)
	r.Header.Set("X-Amz-Date", b.at.Add(-age-time.Duration(seconds)*time.Second).Format("20060102T150405Z"))
	return b.do(r)
}

// Rates recover, and each shard has its own.
func TestProxy_LetsCallsThroughAgainAfterASecond(t *testing.T) {
	b := newBench(t, Kinesis)
	in := m{"StreamName": "s", "ShardId": "1"}
	for range 2 {
		for range iteratorCalls {
			if code := b.call("GetShardIterator", in); code != "" {
				t.Fatal(code)
			}
		}
		if code := b.call("GetShardIterator", in); code == "" {
			t.Error("a call beyond the rate has passed")
		}
		if code := b.call("GetShardIterator", m{"StreamName": "s", "ShardId": fmt.Sprint(b.at)}); code != "" {
			t.Errorf("another shard: %s", code)
		}
		b.at = b.at.Add(time.Second)
	}
	if refused := b.Refused(); refused[Rule{"GetShardIterator calls", true}] != 2 {
		t.Errorf("refused %v", refused)
	}
}

// Kinesis is called in CBOR, where payloads are bytes, and in JSON, where they are Base64.
func TestProxy_ReadsCBOR(t *testing.T) {
	b := newBench(t, Kinesis)
	if code := b.cbor("GetRecords", cbor.Map{"ShardIterator": cbor.String("i"), "Limit": cbor.Uint(maxGetRecords + 1)}); code != "InvalidArgumentException" {
		t.Errorf("%q", code)
	}
	answer, err := decode(http.Header{"Content-Type": {formatCBOR}}, cbor.Encode(cbor.Map{
		"Records": cbor.List{cbor.Map{
			"Data": cbor.Slice("payload"), "PartitionKey": cbor.String("key"),
			"ApproximateArrivalTimestamp": &cbor.Tag{ID: 1, Value: cbor.Float64(1.5)},
		}},
	}))
	if err != nil {
		t.Fatal(err)
	}
	inJSON := object{"Data": base64.StdEncoding.EncodeToString([]byte("payload")), "PartitionKey": "key"}
	for _, record := range []object{asObject(answer.list("Records")[0]), inJSON} {
		if size := recordSize(record); size != 10 {
			t.Errorf("the record has %d bytes, want 10", size)
		}
	}
}

// The examples follow "DynamoDB item sizes and formats": its own examples, and its rules.
func TestValueSize(t *testing.T) {
	tests := []struct {
		value string
		size  int
	}{
		{`{"S":"ä€"}`, 5},
		{`{"B":"AAEC"}`, 3},
		{`{"N":"123"}`, 3},
		{`{"N":"-1200"}`, 3},
		{`{"N":"0.0012e5"}`, 2},
		{`{"NULL":true}`, 1},
		{`{"BOOL":false}`, 1},
		{`{"SS":["a","bc"]}`, 3},
		{`{"L":[{"S":"a"},{"BOOL":true}]}`, 3 + 2 + 2},
		{`{"M":{"a":{"S":"bc"}}}`, 3 + 1 + 3},
	}
	for _, tt := range tests {
		var value object
		if err := json.Unmarshal([]byte(tt.value), &value); err != nil {
			t.Fatal(err)
		}
		if size := valueSize(value); size != tt.size {
			t.Errorf("%s has %d bytes, want %d", tt.value, size, tt.size)
		}
	}
}

// A token counts for ten minutes, in whatever order the attributes of an item are written.
func TestProxy_KnowsTokens(t *testing.T) {
	b := newBench(t, DynamoDB)
	send := func(items string) string {
		r, err := http.NewRequest(http.MethodPost, "http://service/", strings.NewReader(`{"ClientRequestToken":"t","TransactItems":[`+items+`]}`))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("X-Amz-Target", "DynamoDB_20120810.TransactWriteItems")
		return b.do(r)
	}
	const one, same, other = `{"Put":{"Item":{"a":{"S":"1"},"b":{"S":"2"}}}}`, `{"Put":{"Item":{"b":{"S":"2"},"a":{"S":"1"}}}}`, `{"Put":{"Item":{"a":{"S":"2"}}}}`
	for _, step := range []struct{ items, code string }{{one, ""}, {same, ""}, {other, "IdempotentParameterMismatchException"}} {
		if code := send(step.items); code != step.code {
			t.Errorf("%s: %q, want %q", step.items, code, step.code)
		}
	}
	b.at = b.at.Add(tokenLife + time.Second)
	if code := send(other); code != "" {
		t.Errorf("after the token's life: %s", code)
	}
}

func TestProxy_EndsPagesEarly(t *testing.T) {
	b := newBench(t, DynamoDB)
	for in, want := range map[string]string{
		`{"TableName":"t"}`:               `{"Limit":25,"TableName":"t"}`,
		`{"Limit":100,"TotalSegments":4}`: `{"Limit":25,"TotalSegments":4}`,
		`{"Limit":1}`:                     `{"Limit":1}`,
	} {
		var object m
		if err := json.Unmarshal([]byte(in), &object); err != nil {
			t.Fatal(err)
		}
		if code := b.call("Scan", object); code != "" || b.stub.body != want {
			t.Errorf("%s: %s, the service got %s, want %s", in, code, b.stub.body, want)
		}
	}
}

// A program does not notice the Proxy in front of its emulator, and a refusal fails its test.
func TestBefore_FailsTheTestOfARefusedCall(t *testing.T) {
	var hosts []string
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		hosts = append(hosts, r.Host)
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		_, _ = w.Write(body)
	}))
	defer backend.Close()
	for _, expected := range [][]string{nil, {"key length"}} {
		watch := &watched{TB: t}
		_, endpoint := Before(watch, S3, backend.URL, expected...)
		for _, step := range []struct {
			key    string
			status int
		}{{"key", 200}, {strings.Repeat("x", maxKey+1), 400}} {
			r, err := http.NewRequest(http.MethodPut, endpoint+"/bucket/"+step.key, strings.NewReader("content"))
			if err != nil {
				t.Fatal(err)
			}
			r.Host = "signed.example"
			in, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			content, err := io.ReadAll(in.Body)
			if err = errors.Join(err, in.Body.Close()); err != nil {
				t.Fatal(err)
			}
			if in.StatusCode != step.status || (string(content) == "content") != (step.status == 200) {
				t.Errorf("status %d, %s", in.StatusCode, content)
			}
		}
		watch.cleanup()
		if watch.failed != (expected == nil) {
			t.Errorf("expected %q: the test has failed: %v", expected, watch.failed)
		}
	}
	if !slices.Equal(hosts, []string{"signed.example", "signed.example"}) {
		t.Errorf("hosts %q", hosts)
	}
}

// watched is a test that may fail.
type watched struct {
	testing.TB
	cleanup func()
	failed  bool
}

func (w *watched) Helper()               {}
func (w *watched) Cleanup(f func())      { w.cleanup = f }
func (w *watched) Errorf(string, ...any) { w.failed = true }
