package producer

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"aws-streaming-pipeline/internal/awshttp"
)

// wireClient returns a client whose calls the handler answers.
func wireClient(t *testing.T, handler http.HandlerFunc) *kinesis.Client {
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return kinesis.New(kinesis.Options{
		BaseEndpoint: &server.URL,
		Region:       "us-east-1",
		HTTPClient:   awshttp.Keep(nil),
		Credentials:  credentials.NewStaticCredentialsProvider("local", "local", ""),
	})
}

func TestWorthRetry_KnowsWhatPasses(t *testing.T) {
	fail := func(status int, code string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/x-amz-json-1.1")
			w.WriteHeader(status)
			fmt.Fprintf(w, `{"__type":%q,"message":"planted"}`, code)
		}
	}
	for _, test := range []struct {
		name   string
		answer http.HandlerFunc
		want   bool
	}{
		{"throttled", fail(400, "ProvisionedThroughputExceededException"), true},
		{"key service throttled", fail(400, "KMSThrottlingException"), true},
		{"internal failure", fail(500, "InternalFailure"), true},
		{"unavailable", fail(503, "ServiceUnavailable"), true},
		{"no such stream", fail(400, "ResourceNotFoundException"), false},
		{"access denied", fail(400, "AccessDeniedException"), false},
		{"invalid argument", fail(400, "InvalidArgumentException"), false},
		{"key disabled", fail(400, "KMSDisabledException"), false},
		{"too large", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusRequestEntityTooLarge) }, false},
		{"connection cut before the answer", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, true},
		{"connection cut in the answer", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "500")
			fmt.Fprint(w, `{"FailedRecordCount":0,"Records":[`)
		}, true},
		{"an answer that is not JSON", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"FailedRecordCount":0,"Rec`) }, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			var calls atomic.Int64
			client := wireClient(t, func(w http.ResponseWriter, r *http.Request) {
				calls.Add(1)
				test.answer(w, r)
			})
			_, err := client.PutRecords(t.Context(), &kinesis.PutRecordsInput{
				StreamName: aws.String("trips"),
				Records:    []types.PutRecordsRequestEntry{{Data: []byte("{}"), PartitionKey: aws.String("k")}},
			}, retryHere)
			if err == nil {
				t.Fatal("no error")
			}
			if got := worthRetry(err); got != test.want {
				t.Errorf("worth a retry: %v, want %v: %v", got, test.want, err)
			}
			if n := calls.Load(); n != 1 {
				t.Errorf("the SDK made %d calls", n)
			}
		})
	}
}
