package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/firehose"
	"github.com/aws/aws-sdk-go-v2/service/firehose/types"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"aws-streaming-pipeline/internal/lambdas"
	"aws-streaming-pipeline/record"
)

// fakeFirehose answers each call by the next of its answers, and accepts all when there are none left. It refuses what
// breaks the service's limits.
type fakeFirehose struct {
	answers  []func(records []types.Record) ([]int, error) // the entries refused
	calls    [][]string
	accepted []string
}

func (f *fakeFirehose) PutRecordBatch(_ context.Context, in *firehose.PutRecordBatchInput, _ ...func(*firehose.Options)) (*firehose.PutRecordBatchOutput, error) {
	total := 0
	var call []string
	for _, r := range in.Records {
		if len(r.Data) > 1_024_000 {
			return nil, errors.New("a record is too large")
		}
		total += len(r.Data)
		call = append(call, string(r.Data))
	}
	if len(in.Records) == 0 || len(in.Records) > 500 || total > 4*1024*1024 {
		return nil, fmt.Errorf("%d records of %d bytes", len(in.Records), total)
	}
	f.calls = append(f.calls, call)
	var refused []int
	if len(f.answers) > 0 {
		var err error
		next := f.answers[0]
		f.answers = f.answers[1:]
		if refused, err = next(in.Records); err != nil {
			return nil, err
		}
	}
	out := &firehose.PutRecordBatchOutput{FailedPutCount: aws.Int32(int32(len(refused)))}
	for i := range in.Records {
		entry := types.PutRecordBatchResponseEntry{RecordId: aws.String("id")}
		if slices.Contains(refused, i) {
			entry = types.PutRecordBatchResponseEntry{ErrorCode: aws.String("ServiceUnavailableException"), ErrorMessage: aws.String("Slow down.")}
		} else {
			f.accepted = append(f.accepted, call[i])
		}
		out.RequestResponses = append(out.RequestResponses, entry)
	}
	return out, nil
}

func refuse(entries ...int) func([]types.Record) ([]int, error) {
	return func([]types.Record) ([]int, error) { return entries, nil }
}

func failWith(err error) func([]types.Record) ([]int, error) {
	return func([]types.Record) ([]int, error) { return nil, err }
}

// lines returns a number of lines of a size, each with a different beginning.
func lines(count, size int) []lambdas.Line {
	list := make([]lambdas.Line, count)
	for i := range list {
		text := make([]byte, max(size, 8))
		copy(text, fmt.Sprintf("%07d", i))
		list[i] = lambdas.Line{Record: &record.Record{SequenceNumber: fmt.Sprint(1000 + i)}, Text: text}
	}
	return list
}

func texts(list []lambdas.Line) []string {
	var all []string
	for _, l := range list {
		all = append(all, string(l.Text))
	}
	return all
}

// unavailable is an answer of 503.
var unavailable = &awshttp.ResponseError{ResponseError: &smithyhttp.ResponseError{
	Response: &smithyhttp.Response{Response: &http.Response{StatusCode: http.StatusServiceUnavailable}},
	Err:      &types.ServiceUnavailableException{},
}}

// timed sends lines and returns how long that took, in virtual time.
func timed(t *testing.T, client putter, all []lambdas.Line) (done sent, took time.Duration, err error) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		done, err = (&sender{client: client, stream: "s"}).send(t.Context(), all)
		took = time.Since(began)
	})
	return done, took, err
}

func TestSender_KeepsTheLimitsOfACall(t *testing.T) {
	for _, c := range []struct {
		name        string
		count, size int
		want        []int // records of the calls
	}{
		{"none", 0, 0, nil},
		{"one more than a call", 501, 10, []int{500, 1}},
		{"just the bytes of a call", 8, 512 << 10, []int{8}},
		{"a byte more each", 8, 512<<10 + 1, []int{7, 1}},
		{"the largest records", 9, maxRecordBytes, []int{4, 4, 1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := &fakeFirehose{}
			all := lines(c.count, c.size)
			done, took, err := timed(t, f, all)
			if err != nil || took != 0 {
				t.Fatalf("%v after %v", err, took)
			}
			var got []int
			for _, call := range f.calls {
				got = append(got, len(call))
			}
			if !slices.Equal(got, c.want) || done.records != c.count || done.bytes != size(all) || !slices.Equal(f.accepted, texts(all)) {
				t.Errorf("calls of %v, sent %+v", got, done)
			}
		})
	}
}

func TestSender_SendsAgainOnlyWhatWasRefused(t *testing.T) {
	f := &fakeFirehose{answers: []func([]types.Record) ([]int, error){refuse(3, 499), failWith(unavailable), refuse(0)}}
	all := lines(600, 10)
	done, took, err := timed(t, f, all)
	if err != nil {
		t.Fatal(err)
	}
	// Refused are 2, then all of the 102 left, then 1.
	if done.records != 600 || done.retried != 2+102+1 || len(done.left) != 0 {
		t.Errorf("sent %+v", done)
	}
	slices.Sort(f.accepted)
	if !slices.Equal(f.accepted, texts(all)) {
		t.Errorf("%d lines were accepted", len(f.accepted))
	}
	if f.calls[1][0] != string(all[3].Text) || f.calls[1][1] != string(all[499].Text) || f.calls[1][2] != string(all[500].Text) {
		t.Errorf("the second call begins with %q", f.calls[1][:3])
	}
	// The second refusal is the second in a row, the third follows progress.
	if longest := 2*lambdas.Retries.Bound(1) + lambdas.Retries.Bound(2); took == 0 || took > longest {
		t.Errorf("it took %v, want up to %v", took, longest)
	}
}

func TestSender_WaitsUpToABoundUntilItsTimeIsUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		var calls []time.Time
		f := &fakeFirehose{}
		for range 10_000 {
			f.answers = append(f.answers, func([]types.Record) ([]int, error) {
				calls = append(calls, time.Now())
				return nil, unavailable
			})
		}
		all := lines(1, 10)
		done, err := (&sender{client: f, stream: "s"}).send(ctx, all)
		if err == nil || len(done.left) != 1 || ctx.Err() == nil {
			t.Errorf("error %v, %d left, the context says %v", err, len(done.left), ctx.Err())
		}
		for i := 1; i < len(calls); i++ {
			if wait := calls[i].Sub(calls[i-1]); wait > lambdas.Retries.Bound(i) {
				t.Errorf("after %d failures it waits %v, want up to %v", i, wait, lambdas.Retries.Bound(i))
			}
		}
		if len(calls) < 30 {
			t.Errorf("%d calls in a minute, want one each two seconds at least", len(calls))
		}
	})
}

func TestSender_LeavesInOrderWhatItCanNotSendInTime(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	f := &fakeFirehose{answers: []func([]types.Record) ([]int, error){refuse(7, 9), func([]types.Record) ([]int, error) {
		cancel()
		return []int{0}, nil
	}}}
	all := lines(600, 10)
	done, err := (&sender{client: f, stream: "s"}).send(ctx, all)
	if err == nil {
		t.Fatal("no error")
	}
	// The second call was of 7, 9 and 500 to 599, and refused was its first.
	if len(done.left) != 1 || string(done.left[0].Text) != string(all[7].Text) || done.records != 599 {
		t.Errorf("%d left from %q, %d sent", len(done.left), done.left[0].Text, done.records)
	}
}

func TestSender_GivesUpAtOnceOnWhatDoesNotPass(t *testing.T) {
	denied := &smithy.GenericAPIError{Code: "AccessDeniedException", Message: "no"}
	f := &fakeFirehose{answers: []func([]types.Record) ([]int, error){refuse(), failWith(denied)}}
	all := lines(1200, 10)
	done, took, err := timed(t, f, all)
	if !errors.Is(err, denied) || took != 0 || done.records != 500 || string(done.left[0].Text) != string(all[500].Text) || len(done.left) != 700 {
		t.Errorf("error %v, %d sent, %d left", err, done.records, len(done.left))
	}
}

func BenchmarkSender(b *testing.B) {
	all := lines(1000, 400)
	s := &sender{client: discard{}, stream: "s"}
	b.SetBytes(int64(size(all)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.send(b.Context(), all); err != nil {
			b.Fatal(err)
		}
	}
}

type discard struct{}

func (discard) PutRecordBatch(context.Context, *firehose.PutRecordBatchInput, ...func(*firehose.Options)) (*firehose.PutRecordBatchOutput, error) {
	return &firehose.PutRecordBatchOutput{}, nil
}

// What was accepted before a panic is not sent again: the batch is retried from the first line that was not.
func TestSender_KeepsCountAtAPanic(t *testing.T) {
	f := &fakeFirehose{answers: []func([]types.Record) ([]int, error){
		func([]types.Record) ([]int, error) { return nil, nil },
		func([]types.Record) ([]int, error) { panic("secret") },
	}}
	var lines []lambdas.Line
	for n := range 600 {
		lines = append(lines, lambdas.Line{Record: &record.Record{SequenceNumber: fmt.Sprint(n)}, Text: fmt.Appendf(nil, "%d\n", n)})
	}
	s := &sender{client: f, stream: "trips"}
	done, err := s.send(t.Context(), lines)
	if err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("error %v, want that of the panic without its text", err)
	}
	if done.records != 500 || len(done.left) != 100 || done.left[0].Record.SequenceNumber != "500" {
		t.Errorf("%d sent, %d left", done.records, len(done.left))
	}
}
