package positions

import (
	"encoding/base64"
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
	"aws-streaming-pipeline/record"
	"aws-streaming-pipeline/record/recordtest"
)

// answers are the answers of GetRecords, in order; the last is repeated.
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

func TestArrivals_TellWhatIsLeftOfARecordAndWhetherItIsGone(t *testing.T) {
	const none checkpoint.Position = "none"
	arrival := time.Date(2026, 11, 1, 12, 0, 0, 250e6, time.UTC)
	holding := func(sequence string, data []byte) string {
		return fmt.Sprintf(`{"Records":[{"SequenceNumber":%q,"Data":%q,"PartitionKey":"k","ApproximateArrivalTimestamp":%.3f}],"NextShardIterator":"it","MillisBehindLatest":0}`,
			sequence, base64.StdEncoding.EncodeToString(data), float64(arrival.UnixMilli())/1000)
	}
	aggregate := recordtest.AppendAggregate(nil, []record.Record{{PartitionKey: "k", Data: []byte("0")}, {PartitionKey: "k", Data: []byte("1")}, {PartitionKey: "k", Data: []byte("2")}})
	found := func(sequence string) string { return holding(sequence, aggregate) }
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
		user     int64
		want     checkpoint.Position // empty for an error
		calls    int                 // 0 for any number
	}{
		{"the second of three", "", []string{found("100")}, 1, checkpoint.AtTimestamp(arrival), 1},
		{"the last of three", "", []string{found("100")}, 2, none, 1},
		{"a record that is not an aggregate", "", []string{holding("100", []byte("plain"))}, 0, none, 1},
		{"at once", "", []string{found("100")}, 0, checkpoint.AtTimestamp(arrival), 1},
		{"after empty answers", "", []string{empty, empty, empty, empty, empty, found("100")}, 0, checkpoint.AtTimestamp(arrival), 6},
		{"after an answer that looks like the tip", "", []string{tip, found("100")}, 0, checkpoint.AtTimestamp(arrival), 2},
		{"after throttling", "", []string{throttled, throttled, throttled, throttled, throttled, throttled, throttled, empty, found("100")}, 0, checkpoint.AtTimestamp(arrival), 9},
		{"dropped: a later record", "", []string{empty, found("1000")}, 0, none, 2},
		{"dropped: the shard ends", "", []string{empty, end}, 0, none, 2},
		{"dropped: nothing up to the tip", "", []string{empty, tip, tip, empty, tip}, 0, none, 7},
		{"dropped with its shard", missing, []string{empty}, 0, none, 0},
		{"never found", "", []string{empty}, 0, "", 0},
		{"throttled without end", "", []string{throttled}, 0, "", 0},
		{"refused", "", []string{fault("AccessDeniedException")}, 0, "", 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				stream := &answers{iterator: test.iterator, records: test.records}
				client := kinesis.New(kinesis.Options{
					Region: "us-east-1", Credentials: credentials.NewStaticCredentialsProvider("test", "test", ""),
					BaseEndpoint: aws.String("http://kinesis.test"), HTTPClient: stream,
				})
				began := time.Now()
				got, err := arrivals{client, "trips", slog.New(slog.DiscardHandler)}.before(t.Context(), "shardId-000000000000", "100", test.user)
				if err == nil && got == "" {
					got = none
				}
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
