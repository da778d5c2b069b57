package main

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"aws-streaming-pipeline/checkpoint"
)

// answers are what GetRecords gives, one after the other; the last is repeated.
type answers struct {
	iterator string // answer of GetShardIterator if it is an error
	records  []string
	calls    []time.Time
}

func (a *answers) Do(r *http.Request) (*http.Response, error) {
	body := `{"ShardIterator":"it"}`
	if strings.HasSuffix(r.Header.Get("X-Amz-Target"), ".GetRecords") {
		body = a.records[min(len(a.calls), len(a.records)-1)]
		a.calls = append(a.calls, time.Now())
	} else if a.iterator != "" {
		body = a.iterator
	}
	code := http.StatusOK
	if strings.Contains(body, "__type") {
		code = http.StatusBadRequest
	}
	return &http.Response{
		StatusCode: code, Header: http.Header{"Content-Type": {"application/x-amz-json-1.1"}},
		Body: io.NopCloser(strings.NewReader(body)), Request: r,
	}, nil
}

func TestArrivals_TellARecordThatIsFurtherOnFromOneThatIsGone(t *testing.T) {
	arrival := time.Date(2026, 11, 1, 12, 0, 0, 250e6, time.UTC)
	found := func(sequence string) string {
		return fmt.Sprintf(`{"Records":[{"SequenceNumber":%q,"Data":"","PartitionKey":"k","ApproximateArrivalTimestamp":%.3f}],"NextShardIterator":"it","MillisBehindLatest":0}`,
			sequence, float64(arrival.UnixMilli())/1000)
	}
	fault := func(kind string) string { return fmt.Sprintf(`{"__type":%q,"message":"no"}`, kind) }
	const (
		empty = `{"Records":[],"NextShardIterator":"it","MillisBehindLatest":5000}`
		tip   = `{"Records":[],"NextShardIterator":"it","MillisBehindLatest":0}`
		end   = `{"Records":[],"ChildShards":[],"MillisBehindLatest":0}`
	)
	throttled, missing := fault("ProvisionedThroughputExceededException"), fault("ResourceNotFoundException")
	for _, test := range []struct {
		name     string
		iterator string
		records  []string
		want     checkpoint.Position // empty for an error
		calls    int                 // 0 for any number
	}{
		{"at once", "", []string{found("100")}, checkpoint.AtTimestamp(arrival), 1},
		{"after empty answers", "", []string{empty, empty, empty, empty, empty, found("100")}, checkpoint.AtTimestamp(arrival), 6},
		{"after an answer that looks like the tip", "", []string{tip, found("100")}, checkpoint.AtTimestamp(arrival), 2},
		{"after throttling", "", []string{throttled, throttled, throttled, throttled, throttled, throttled, throttled, empty, found("100")}, checkpoint.AtTimestamp(arrival), 9},
		{"dropped: a later record", "", []string{empty, found("1000")}, "100", 2},
		{"dropped: the shard ends", "", []string{empty, end}, "100", 2},
		{"dropped: nothing up to the tip", "", []string{empty, tip, tip, empty, tip}, "100", 7},
		{"dropped with its shard", missing, []string{empty}, "100", 0},
		{"never found", "", []string{empty}, "", 0},
		{"throttled without end", "", []string{throttled}, "", 0},
		{"refused", "", []string{fault("AccessDeniedException")}, "", 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				stream := &answers{iterator: test.iterator, records: test.records}
				client := kinesis.New(kinesis.Options{
					Region: "us-east-1", Credentials: credentials.NewStaticCredentialsProvider("test", "test", ""),
					BaseEndpoint: aws.String("http://kinesis.test"), HTTPClient: stream,
				})
				began := time.Now()
				got, err := arrivals{client, "trips", slog.New(slog.DiscardHandler)}.before(t.Context(), "shardId-000000000000", "100")
				if got != test.want || (err == nil) != (test.want != "") || test.calls > 0 && len(stream.calls) != test.calls {
					t.Errorf("position %q, %v, after %d calls; want %q after %d", got, err, len(stream.calls), test.want, test.calls)
				}
				if took := time.Since(began); took > arrivalWait+time.Second {
					t.Errorf("it took %v", took)
				}
				if n := len(stream.calls); n > 1 && test.iterator == "" && !strings.Contains(test.name, "throttl") {
					if least := time.Duration(n-1) * time.Second / 5; stream.calls[n-1].Sub(stream.calls[0]) < least {
						t.Errorf("%d calls in %v: a shard takes five a second", n, stream.calls[n-1].Sub(stream.calls[0]))
					}
				}
			})
		})
	}
}
