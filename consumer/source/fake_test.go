package source

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/encoding/cbor"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"aws-streaming-pipeline/record"
)

// shard is a Kinesis of one shard: a list of records, with the service's limits for its readers. An iterator holds the
// number of records before it, and lives for five minutes.
type shard struct {
	FanOut // none: nobody subscribes here

	mu      sync.Mutex
	records []types.Record
	closed  bool
	perCall int              // records of one answer, at most
	latency time.Duration    // of each call
	clock   func() time.Time // of the service; nil if its answers have no date

	faults []fault // of the next calls of GetRecords, in order
	hit    int

	iterators []*kinesis.GetShardIteratorInput
	calls     []time.Time // of GetRecords
	throttles int
	paid      time.Time // limit of bytes
	gaps      int       // empty answers still to be given in the middle of the shard
	noBehind  bool      // leaves MillisBehindLatest out
	again     int       // records before its position that each new iterator returns again
}

// fault answers one GetRecords instead of the shard; without an error it lets the shard answer.
type fault struct{ err error }

const origin = 1_000_000_000 // sequence number of the first record

func sequence(i int) string { return strconv.Itoa(origin + i) }

// newShard makes a shard of n records with payloads of some bytes, one each second.
func newShard(n, bytes int) *shard {
	s := &shard{perCall: maxRecords}
	s.put(n, make([]byte, bytes))
	return s
}

func arrival(i int) time.Time { return time.Date(2026, 1, 1, 0, 0, i, 0, time.UTC) }

func (s *shard) put(n int, data []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for range n {
		i := len(s.records)
		s.records = append(s.records, types.Record{
			SequenceNumber: aws.String(sequence(i)), PartitionKey: aws.String("key"),
			ApproximateArrivalTimestamp: aws.Time(arrival(i)), Data: data,
		})
	}
}

func (s *shard) GetShardIterator(ctx context.Context, in *kinesis.GetShardIteratorInput, _ ...func(*kinesis.Options)) (*kinesis.GetShardIteratorOutput, error) {
	if err := s.wait(ctx); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.iterators = append(s.iterators, in)
	before := 0
	for ; before < len(s.records); before++ {
		r := &s.records[before]
		if in.ShardIteratorType == types.ShardIteratorTypeTrimHorizon ||
			in.ShardIteratorType == types.ShardIteratorTypeAtTimestamp && !r.ApproximateArrivalTimestamp.Before(*in.Timestamp) ||
			in.ShardIteratorType == types.ShardIteratorTypeAfterSequenceNumber && record.CompareSequence(*r.SequenceNumber, *in.StartingSequenceNumber) > 0 {
			break
		}
	}
	return &kinesis.GetShardIteratorOutput{ShardIterator: iterator(max(0, before-s.again))}, nil
}

func iterator(before int) *string {
	return aws.String(fmt.Sprintf("%d@%d", before, time.Now().UnixMilli()))
}

func (s *shard) GetRecords(ctx context.Context, in *kinesis.GetRecordsInput, options ...func(*kinesis.Options)) (*kinesis.GetRecordsOutput, error) {
	out, err := s.getRecords(ctx, in)
	if err != nil {
		return nil, err
	}
	var date string
	if s.clock != nil {
		date = s.clock().Format(http.TimeFormat)
	}
	return nil, hand(ctx, out, date, options)
}

// hand passes an answer to the protocol that the options set, as the SDK's client does.
func hand(ctx context.Context, out *kinesis.GetRecordsOutput, date string, options []func(*kinesis.Options)) error {
	var o kinesis.Options
	for _, option := range options {
		option(&o)
	}
	body := encodeCBOR(out)
	return o.Protocol.DeserializeResponse(ctx, nil, nil, &smithyhttp.Response{Response: &http.Response{
		StatusCode: 200, Header: http.Header{"Content-Type": {contentTypeCBOR}, "Date": {date}},
		ContentLength: int64(len(body)), Body: io.NopCloser(bytes.NewReader(body)),
	}}, nil)
}

// encodeCBOR writes an answer as Kinesis does to the SDK for Java.
func encodeCBOR(out *kinesis.GetRecordsOutput) []byte {
	list := make(cbor.List, len(out.Records))
	for i, r := range out.Records {
		list[i] = cbor.Map{
			"SequenceNumber": cbor.String(*r.SequenceNumber), "PartitionKey": cbor.String(*r.PartitionKey), "Data": cbor.Slice(r.Data),
			"ApproximateArrivalTimestamp": &cbor.Tag{ID: 1, Value: cbor.Uint(r.ApproximateArrivalTimestamp.UnixMilli())},
		}
	}
	m := cbor.Map{"Records": list}
	if out.MillisBehindLatest != nil {
		m["MillisBehindLatest"] = cbor.Uint(*out.MillisBehindLatest)
	}
	if out.NextShardIterator != nil {
		m["NextShardIterator"] = cbor.String(*out.NextShardIterator)
	}
	if out.ChildShards != nil {
		children := cbor.List{}
		for _, c := range out.ChildShards {
			children = append(children, cbor.Map{"ParentShards": cbor.List{cbor.String("parent")}, "ShardId": cbor.String(*c.ShardId)})
		}
		m["ChildShards"] = children
	}
	return cbor.Encode(m)
}

func (s *shard) getRecords(ctx context.Context, in *kinesis.GetRecordsInput) (*kinesis.GetRecordsOutput, error) {
	if err := s.wait(ctx); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	recent := 0
	for _, t := range s.calls {
		if now.Sub(t) < time.Second {
			recent++
		}
	}
	s.calls = append(s.calls, now)
	if recent >= 5 || s.paid.After(now) {
		s.throttles++
		return nil, &types.ProvisionedThroughputExceededException{}
	}
	if s.hit < len(s.faults) {
		s.hit++
		if err := s.faults[s.hit-1].err; err != nil {
			return nil, err
		}
	}
	before, made, _ := strings.Cut(*in.ShardIterator, "@")
	first, _ := strconv.Atoi(before)
	if at, _ := strconv.ParseInt(made, 10, 64); now.Sub(time.UnixMilli(at)) > 5*time.Minute {
		return nil, &types.ExpiredIteratorException{}
	}
	return s.answer(now, first, int(*in.Limit)), nil
}

func (s *shard) answer(now time.Time, first, limit int) *kinesis.GetRecordsOutput {
	out := &kinesis.GetRecordsOutput{}
	next, bytes := first, 0
	if s.gaps > 0 {
		s.gaps--
	} else {
		for ; next < len(s.records) && next-first < min(limit, s.perCall); next++ {
			n := len(s.records[next].Data)
			if bytes+n > maxAnswerBytes {
				break
			}
			bytes += n
			out.Records = append(out.Records, s.records[next])
		}
	}
	s.paid = now.Add(time.Duration(float64(bytes) / readBytesPerSecond * float64(time.Second)))
	if !s.noBehind {
		out.MillisBehindLatest = aws.Int64(int64(len(s.records)-next) * 1000)
	}
	if !s.closed || next < len(s.records) {
		out.NextShardIterator = iterator(next)
	} else {
		out.ChildShards = []types.ChildShard{{ShardId: aws.String("child-1")}, {ShardId: aws.String("child-2")}}
	}
	return out
}

func (s *shard) wait(ctx context.Context) error {
	select {
	case <-time.After(s.latency):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *shard) callTimes() []time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]time.Time(nil), s.calls...)
}

// Errors as the SDK returns them.
var (
	errThrottled = &smithy.OperationError{ServiceID: "Kinesis", OperationName: "GetRecords", Err: &types.ProvisionedThroughputExceededException{}}
	errExpired   = &smithy.OperationError{ServiceID: "Kinesis", OperationName: "GetRecords", Err: &types.ExpiredIteratorException{}}
	errKMS       = &types.KMSThrottlingException{}
	errDenied    = &smithy.GenericAPIError{Code: "AccessDeniedException", Message: "no"}
	errInternal  = &smithyhttp.ResponseError{
		Response: &smithyhttp.Response{Response: &http.Response{StatusCode: 500}},
		Err:      &smithy.GenericAPIError{Code: "InternalFailure"},
	}
	errReset = errors.New("read tcp: connection reset by peer")
)

// raw is a decoder that splits nothing.
type raw struct{}

func (raw) Append(_ context.Context, dst []record.Record, r record.Record) ([]record.Record, error) {
	return append(dst, r), nil
}

func noDecoder(string) (Decoder, error) { return raw{}, nil }

// read calls Next until n Kinesis records have come, and returns their sequence numbers.
func read(t *testing.T, r *Reader, n int) []string {
	t.Helper()
	var got []string
	for deadline := time.Now().Add(time.Hour); len(got) < n; {
		f, err := r.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for i := range f.Records {
			got = append(got, strings.Clone(f.Records[i].SequenceNumber))
		}
		if f.Count > 0 && f.Last != got[len(got)-1] {
			t.Fatalf("Last is %s after %s", f.Last, got[len(got)-1])
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d of %d records after an hour", len(got), n)
		}
	}
	return got
}

func wantSequences(t *testing.T, got []string, first, n int) {
	t.Helper()
	if len(got) != n {
		t.Fatalf("%d records, want %d", len(got), n)
	}
	for i, s := range got {
		if s != sequence(first+i) {
			t.Fatalf("record %d is %s, want %s", i, s, sequence(first+i))
		}
	}
}

func apiError(code string, status int) error {
	return &smithyhttp.ResponseError{
		Response: &smithyhttp.Response{Response: &http.Response{StatusCode: status}}, Err: &smithy.GenericAPIError{Code: code},
	}
}
