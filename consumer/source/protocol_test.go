package source

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/aws/smithy-go/encoding/cbor"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/internal/awshttp"
	"aws-streaming-pipeline/internal/localstream"
	"aws-streaming-pipeline/internal/streams"
	"aws-streaming-pipeline/internal/test/emulator"
	"aws-streaming-pipeline/internal/test/limits"
)

func clientOf(url string) *kinesis.Client {
	return kinesis.New(kinesis.Options{
		BaseEndpoint: aws.String(url), Region: "us-east-1", HTTPClient: awshttp.Keep(nil),
		Credentials: credentials.NewStaticCredentialsProvider("key", "secret", ""),
	})
}

// odd are payloads and keys that may trip up a decoder.
func odd() (entries []types.PutRecordsRequestEntry) {
	for i, key := range []string{
		"key", `a "quoted" \ key / with	controls` + "\x01\x1f\x7f", "ключ 鍵 🔑", "<html> & '", strings.Repeat("k", 256), "\u2028\u2029",
	} {
		for _, n := range []int{1, 2, 3, 4, 30, 255, 256, 1000, 70_000} {
			data := make([]byte, n)
			for j := range data {
				data[j] = byte(i*31 + j*7)
			}
			entries = append(entries, types.PutRecordsRequestEntry{PartitionKey: aws.String(key), Data: data})
		}
	}
	return entries
}

func iteratorOf(t *testing.T, client *kinesis.Client, stream string) *string {
	t.Helper()
	shards, err := client.ListShards(t.Context(), &kinesis.ListShardsInput{StreamName: &stream})
	if err != nil {
		t.Fatal(err)
	}
	it, err := client.GetShardIterator(t.Context(), &kinesis.GetShardIteratorInput{
		StreamName: &stream, ShardId: shards.Shards[0].ShardId, ShardIteratorType: types.ShardIteratorTypeTrimHorizon,
	})
	if err != nil {
		t.Fatal(err)
	}
	return it.ShardIterator
}

// call makes one GetRecords through our protocol.
func call(ctx context.Context, client Client, iterator *string, f wireFormat, a *answer) error {
	_, err := client.GetRecords(ctx, &kinesis.GetRecordsInput{ShardIterator: iterator, Limit: aws.Int32(1000)}, once,
		func(o *kinesis.Options) { o.Protocol = protocol{ClientProtocol: o.Protocol, request: f, into: a} })
	return err
}

// The answers of four services, through the SDK's own protocol and through ours in both formats, are equal value by
// value. If a service does not speak Kinesis's CBOR, that is noticed.
func TestProtocol_ReadsWhatTheSDKReads(t *testing.T) {
	for _, test := range []struct {
		name  string
		start func(*testing.T) string
		cbor  bool
	}{
		{"localstream", func(t *testing.T) string {
			server, err := localstream.Start("127.0.0.1:0", localstream.Options{})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { server.Close() })
			return server.URL()
		}, true},
		{"kinesalite", func(t *testing.T) string { return emulator.Kinesalite(t).URL }, false},      // payloads are base64 in CBOR, too
		{"kinesis-local", func(t *testing.T) string { return emulator.KinesisLocal(t).URL }, false}, // the same
		{"moto", func(t *testing.T) string { return emulator.Moto(t).URL }, false},                  // knows no CBOR
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, endpoint := limits.Before(t, limits.Kinesis, test.start(t))
			client := clientOf(endpoint)
			stream := "protocol"
			if _, err := client.CreateStream(t.Context(), &kinesis.CreateStreamInput{StreamName: &stream, ShardCount: aws.Int32(1)}); err != nil {
				t.Fatal(err)
			}
			if err := kinesis.NewStreamExistsWaiter(client, func(o *kinesis.StreamExistsWaiterOptions) { o.MinDelay = 100 * time.Millisecond }).Wait(
				t.Context(), &kinesis.DescribeStreamInput{StreamName: &stream}, time.Minute); err != nil {
				t.Fatal(err)
			}
			put, err := client.PutRecords(t.Context(), &kinesis.PutRecordsInput{StreamName: &stream, Records: odd()})
			if err != nil || *put.FailedRecordCount > 0 {
				t.Fatalf("put: %v", err)
			}
			it := iteratorOf(t, client, stream)
			want, err := client.GetRecords(t.Context(), &kinesis.GetRecordsInput{ShardIterator: it, Limit: aws.Int32(1000)})
			if err != nil || len(want.Records) != len(odd()) {
				t.Fatalf("%d records through the SDK, %v", len(want.Records), err)
			}
			var inJSON answer
			if err := call(t.Context(), client, it, wireJSON, &inJSON); err != nil {
				t.Fatal(err)
			}
			compare(t, "JSON", &inJSON, want)

			var inCBOR answer
			err = call(t.Context(), client, it, wireCBOR, &inCBOR)
			if test.cbor {
				if err != nil {
					t.Fatal(err)
				}
				compare(t, "CBOR", &inCBOR, want)
				return
			}
			if f := new(format); err == nil || !f.refused(err) || f.request() != wireJSON {
				t.Errorf("CBOR is taken for understood: %v", err)
			}

			// A reader switches by itself.
			r := newSource(client, func(c *Config) { quick(c); c.Stream = streams.ID(stream) }).Open(shardOf(t, client, stream), checkpoint.TrimHorizon)
			defer r.Close()
			if got := read(t, r, len(odd())); len(got) != len(odd()) {
				t.Errorf("%d records read after the change to JSON", len(got))
			}
		})
	}
}

func shardOf(t *testing.T, client *kinesis.Client, stream string) string {
	t.Helper()
	shards, err := client.ListShards(t.Context(), &kinesis.ListShardsInput{StreamName: &stream})
	if err != nil {
		t.Fatal(err)
	}
	return *shards.Shards[0].ShardId
}

func compare(t *testing.T, name string, got *answer, want *kinesis.GetRecordsOutput) {
	t.Helper()
	if len(got.entries.s) != len(want.Records) {
		t.Fatalf("%s: %d records, want %d", name, len(got.entries.s), len(want.Records))
	}
	for i := range got.entries.s {
		g, w := got.record(&got.entries.s[i]), &want.Records[i]
		if g.SequenceNumber != *w.SequenceNumber || g.PartitionKey != *w.PartitionKey || !slices.Equal(g.Data, w.Data) {
			t.Fatalf("%s: record %d is %q %q %x, want %q %q %x", name, i, g.SequenceNumber, g.PartitionKey, g.Data, *w.SequenceNumber, *w.PartitionKey, w.Data)
		}
		// The SDK truncates a fraction of a millisecond, we round it: a float64 is rarely exactly the intended decimal.
		if d := g.Arrival.Sub(*w.ApproximateArrivalTimestamp); d < 0 || d > time.Millisecond {
			t.Fatalf("%s: record %d arrived at %v, want %v", name, i, g.Arrival, *w.ApproximateArrivalTimestamp)
		}
	}
	if (got.next == "") != (want.NextShardIterator == nil) {
		t.Errorf("%s: next iterator %q", name, got.next)
	}
	var children []string
	for _, c := range want.ChildShards {
		children = append(children, *c.ShardId)
	}
	if !slices.Equal(got.children, children) {
		t.Errorf("%s: children %q, want %q", name, got.children, children)
	}
}

func TestProtocol_ReadsTheEndOfAShard(t *testing.T) {
	l := newLocal(t, nil)
	l.produce(t, 3)
	if _, err := l.client.SplitShard(t.Context(), &kinesis.SplitShardInput{
		StreamName: aws.String(localName), ShardToSplit: aws.String("shardId-000000000000"), NewStartingHashKey: aws.String("5"),
	}); err != nil {
		t.Fatal(err)
	}
	it := iteratorOf(t, l.client, localName)
	want, err := l.client.GetRecords(t.Context(), &kinesis.GetRecordsInput{ShardIterator: it})
	if err != nil || want.NextShardIterator != nil || len(want.ChildShards) != 2 {
		t.Fatalf("%+v, %v", want, err)
	}
	for _, f := range []wireFormat{wireCBOR, wireJSON} {
		var got answer
		if err := call(t.Context(), l.client, it, f, &got); err != nil {
			t.Fatal(err)
		}
		compare(t, fmt.Sprint(f), &got, want)
	}
}

// The request is signed as it is sent: its type and body match its format.
func TestProtocol_RequestsAreSigned(t *testing.T) {
	for f, contentType := range map[wireFormat]string{wireCBOR: contentTypeCBOR, wireJSON: "application/x-amz-json-1.1"} {
		key := aws.Credentials{AccessKeyID: "key", SecretAccessKey: "secret"}
		sent := &recorder{}
		client := kinesis.New(kinesis.Options{
			Region: "eu-west-1", HTTPClient: sent, Credentials: credentials.NewStaticCredentialsProvider(key.AccessKeyID, key.SecretAccessKey, ""),
		})
		_, err := client.GetRecords(t.Context(), &kinesis.GetRecordsInput{
			ShardIterator: aws.String("it"), Limit: aws.Int32(10_000), StreamARN: aws.String("arn:aws:kinesis:eu-west-1:123456789012:stream/trips"),
		}, once, func(o *kinesis.Options) {
			o.Protocol = protocol{ClientProtocol: o.Protocol, request: f, into: new(answer)}
		})
		if !errors.Is(err, errReset) {
			t.Fatal(err)
		}
		r := sent.request
		if r.Header.Get("Content-Type") != contentType || r.Header.Get("X-Amz-Target") != "Kinesis_20131202.GetRecords" ||
			r.ContentLength != int64(len(sent.body)) || r.URL.Host != "123456789012.data-kinesis.eu-west-1.amazonaws.com" && r.URL.Host != "kinesis.eu-west-1.amazonaws.com" {
			t.Errorf("%v %v, %d of %d bytes", r.URL, r.Header, r.ContentLength, len(sent.body))
		}
		at, err := time.Parse("20060102T150405Z", r.Header.Get("X-Amz-Date"))
		if err != nil {
			t.Fatal(err)
		}
		got := r.Header.Get("Authorization")
		r.Header.Del("Authorization")
		hash := sha256.Sum256(sent.body)
		if err := v4.NewSigner().SignHTTP(t.Context(), key, r, hex.EncodeToString(hash[:]), "kinesis", "eu-west-1", at); err != nil {
			t.Fatal(err)
		}
		if want := r.Header.Get("Authorization"); got != want {
			t.Errorf("%s: signed %s, want %s", contentType, got, want)
		}
		if f == wireCBOR {
			value, err := cbor.Decode(sent.body)
			want := cbor.Map{
				"ShardIterator": cbor.String("it"), "Limit": cbor.Uint(10_000), "StreamARN": cbor.String("arn:aws:kinesis:eu-west-1:123456789012:stream/trips"),
			}
			if err != nil || !reflect.DeepEqual(value, want) {
				t.Errorf("request %v, %v", value, err)
			}
		}
	}
}

// recorder keeps a request and answers with an error.
type recorder struct {
	request *http.Request
	body    []byte
}

func (r *recorder) Do(request *http.Request) (*http.Response, error) {
	r.request = request
	var err error
	if r.body, err = io.ReadAll(request.Body); err != nil {
		return nil, err
	}
	return nil, errReset
}

// Errors of the service are the SDK's own in both formats, and not a reason to change the format.
func TestProtocol_GivesTheSDKsErrors(t *testing.T) {
	faults := localstream.NewFaults(1)
	l := newLocal(t, faults)
	it := iteratorOf(t, l.client, localName)
	for _, f := range []wireFormat{wireCBOR, wireJSON} {
		faults.Clear()
		for i, kind := range []localstream.FaultKind{localstream.Throttle, localstream.ExpiredIterator, localstream.ServerError} {
			faults.Plant(localstream.Rule{Kind: kind, Operation: "GetRecords", Nth: i + 1})
		}
		errs := make([]error, 5)
		for i := range errs {
			it := it
			if i == 3 {
				it = aws.String("none")
			}
			if i == 4 {
				if _, err := l.client.DeleteStream(t.Context(), &kinesis.DeleteStreamInput{StreamName: aws.String(localName)}); err != nil && f == wireCBOR {
					t.Fatal(err)
				}
			}
			errs[i] = call(t.Context(), l.client, it, f, new(answer))
			if new(format).refused(errs[i]) {
				t.Errorf("%v is taken for a refusal of CBOR", errs[i])
			}
		}
		_, throttled := errors.AsType[*types.ProvisionedThroughputExceededException](errs[0])
		_, expired := errors.AsType[*types.ExpiredIteratorException](errs[1])
		internal, _ := errors.AsType[*types.InternalFailureException](errs[2])
		_, invalid := errors.AsType[*types.InvalidArgumentException](errs[3])
		_, gone := errors.AsType[*types.ResourceNotFoundException](errs[4])
		if !throttled || !expired || internal == nil || !invalid || !gone {
			t.Errorf("format %d: %q", f, errs)
		}
		if internal != nil && internal.ErrorMessage() != "Internal failure (planted)." {
			t.Errorf("format %d: message %q", f, internal.ErrorMessage())
		}
	}
}

func TestFormat_ChangesOnceAndNotForTroubleOfAnotherKind(t *testing.T) {
	var f format
	if f.refused(errReset) || f.refused(errThrottled) || f.refused(errInternal) || f.refused(errDenied) {
		t.Error("a failure of another kind changes the format")
	}
	unknown := apiError("UnknownOperationException", http.StatusNotFound)
	if !f.refused(unknown) || f.request() != wireJSON {
		t.Error("an operation that is unknown does not change the format")
	}
	if f.refused(unknown) {
		t.Error("the format changes twice")
	}
	var proven format
	proven.works.Store(true)
	if proven.refused(unknown) {
		t.Error("the format changes after it was understood")
	}
}

// The answers of a client that does not pass the options on would be lost silently.
func TestReader_RefusesAClientThatReadsAnswersItself(t *testing.T) {
	var told error
	s := newSource(deaf{}, func(c *Config) {
		c.Tick = time.Millisecond
		c.Trouble = func(_ string, err error) { told = errors.Join(told, err) }
	})
	r := s.Open("shard", checkpoint.TrimHorizon)
	for range 100 {
		if f, err := r.Next(t.Context()); err != nil || f.Count > 0 || f.End {
			t.Fatalf("%+v, %v", f, err)
		}
	}
	r.Close()
	if told == nil || !strings.Contains(told.Error(), "by itself") {
		t.Errorf("trouble: %v", told)
	}
}

type deaf struct{ FanOut }

func (deaf) GetShardIterator(context.Context, *kinesis.GetShardIteratorInput, ...func(*kinesis.Options)) (*kinesis.GetShardIteratorOutput, error) {
	return &kinesis.GetShardIteratorOutput{ShardIterator: aws.String("it")}, nil
}

func (deaf) GetRecords(context.Context, *kinesis.GetRecordsInput, ...func(*kinesis.Options)) (*kinesis.GetRecordsOutput, error) {
	return &kinesis.GetRecordsOutput{}, nil
}
