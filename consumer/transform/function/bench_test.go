package function_test

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"aws-streaming-pipeline/consumer/transform"
	"aws-streaming-pipeline/consumer/transform/function"
	"aws-streaming-pipeline/internal/awshttp"
	"aws-streaming-pipeline/internal/budget"
	"aws-streaming-pipeline/record"
)

// BenchmarkApply takes records from the decoded payload to the line of JSON, with and without a function, which answers at
// once over the loopback interface with each record as it is.
func BenchmarkApply(b *testing.B) {
	records := trips(2500)
	bytes := int64(0)
	var answer events.KinesisFirehoseResponse
	for i := range records {
		records[i].Data = fmt.Appendf(nil, `{"trip":%d,"pad":%q}`, i, strings.Repeat("x", 312))
		bytes += int64(len(records[i].Data))
		answer.Records = append(answer.Records, events.KinesisFirehoseResponseRecord{RecordID: records[i].EventID(), Result: "Ok", Data: records[i].Data})
	}
	text, err := json.Marshal(answer)
	if err != nil {
		b.Fatal(err)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // the benchmark fails if the answer does not come
		_, _ = w.Write(text)
	}))
	defer server.Close()
	name, err := function.ParseARN(arn)
	if err != nil {
		b.Fatal(err)
	}
	account := aws.Config{
		Region: "us-east-1", Credentials: credentials.NewStaticCredentialsProvider("test", "test", ""),
		HTTPClient: awshttp.Client(nil), BaseEndpoint: aws.String(server.URL),
	}
	called := function.New(function.Config{
		Function: name, Application: "app", Stream: func() string { return "" }, BufferSize: 1 << 20, Concurrency: 5, Timeout: time.Minute,
	}, function.Parts{Client: function.NewClient(account, name), Budget: budget.New(256<<20, nil), Log: slog.New(slog.DiscardHandler)})
	for _, c := range []struct {
		name  string
		stage transform.Stage
	}{{"none", nil}, {"function", called}} {
		b.Run(c.name, func(b *testing.B) {
			b.SetBytes(bytes)
			b.ReportAllocs()
			var line []byte
			before, rounds := processorTime(b), 0
			for b.Loop() {
				rounds++
				made := records
				if c.stage != nil {
					out, err := c.stage.Apply(b.Context(), shard, records)
					if err != nil {
						b.Fatal(err)
					}
					made = out.Records
				}
				for i := range made {
					if line, err = record.AppendJSONLine(line[:0], &made[i]); err != nil {
						b.Fatal(err)
					}
				}
			}
			b.ReportMetric((processorTime(b)-before).Seconds()*1e3/(float64(rounds)*float64(bytes)/1e6), "cpu-ms/MB")
		})
	}
}

// processorTime returns the processor time of this process, that of the server included.
func processorTime(b *testing.B) time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
