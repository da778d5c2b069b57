package main_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"aws-streaming-pipeline/internal/test/lambdatest"
	"aws-streaming-pipeline/internal/test/limits"
)

const functionARN = "arn:aws:lambda:eu-west-1:" + accountID + ":function:example:live"

// A function that was written for Firehose transforms the records of a consumer that is killed again and again, while its
// calls are throttled, fail and are not answered. Each record is delivered once as the function changed it, or is once in an
// error record, or was dropped.
func TestConsumer_TransformsEachRecordOnceWhenItIsKilled(t *testing.T) {
	t.Parallel()
	const kills, each = 4, 600
	const records = (kills + 1) * each
	function := &lambdatest.Front{Function: lambdatest.Start(t, lambdatest.Build(t, "aws-streaming-pipeline/cmd/transform-example"), nil), Timeout: time.Minute}
	var calls, planted atomic.Int64
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch n := calls.Add(1); {
		case n%7 == 3:
			planted.Add(1)
			w.Header().Set("X-Amzn-Errortype", "TooManyRequestsException")
			w.WriteHeader(http.StatusTooManyRequests)
		case n%11 == 5:
			planted.Add(1)
			w.Header().Set("X-Amz-Function-Error", "Unhandled")
			fmt.Fprint(w, `{"errorType":"Planted"}`)
		case n%13 == 6:
			planted.Add(1)
			panic(http.ErrAbortHandler)
		default:
			function.ServeHTTP(w, r)
		}
	}))
	defer front.Close()
	_, endpoint := limits.Before(t, limits.Lambda, front.URL)
	s := newSurroundings(t, 2)
	settings := []string{"TRANSFORM=lambda:" + functionARN, "TRANSFORM_BUFFER_SIZE=200kB", "AWS_ENDPOINT_URL_LAMBDA=" + endpoint,
		"PREFIX=data/customer=!{partitionKeyFromLambda:customer}/", "TRANSFORM_RETRIES=100"}
	for i := range int64(kills) {
		sendCustomers(t, s, int(i)*each, each)
		before := calls.Load()
		p := s.start(settings...)
		eventually(t, "calls are under way", func() bool { return calls.Load() > before+2*i }) // of ever more of its fetch
		p.kill()
	}
	sendCustomers(t, s, kills*each, each)
	last := s.start(settings...)
	const dropped = records / 5
	eventually(t, "all records are delivered", func() bool { return len(s.lines("data/"))+len(s.lines("errors/")) >= records-dropped })
	if err := last.terminate(); err != nil {
		t.Errorf("graceful stop: %v\n%s", err, last.log)
	}
	if planted.Load() == 0 {
		t.Errorf("none of %d calls has failed", calls.Load())
	}

	seen := make(map[int]string)
	once := func(n int, fate string) {
		if seen[n] != "" {
			t.Errorf("record %d is %s and %s", n, seen[n], fate)
		}
		seen[n] = fate
	}
	for customer := range 3 {
		for _, line := range s.lines(fmt.Sprintf("data/customer=c%%2F%d/", customer)) {
			var row struct {
				N               int
				Customer, Email string
			}
			if err := json.Unmarshal(line, &row); err != nil || row.Email != "***" || row.Customer != fmt.Sprint("c/", customer) {
				t.Fatalf("line %s of customer %d: %v", line, customer, err)
			}
			once(row.N, "delivered")
		}
	}
	for _, line := range s.lines("errors/processing-failed/") {
		var failed struct {
			RawData, ErrorCode, LambdaARN string
			AttemptsMade                  int
		}
		err := json.Unmarshal(line, &failed)
		raw, encoding := base64.StdEncoding.DecodeString(failed.RawData)
		number, _, _ := strings.Cut(string(raw), " ")
		n, syntax := strconv.Atoi(number)
		switch {
		case err != nil || encoding != nil:
			t.Fatalf("line %s: %v, %v", line, err, encoding)
		case syntax == nil && failed.ErrorCode == "Lambda.ProcessingFailedStatus" && failed.LambdaARN == functionARN && failed.AttemptsMade > 0:
			once(n, "failed")
		case failed.ErrorCode == "DynamicPartitioning.MetadataExtractionFailed":
			var row struct{ N int }
			if err := json.Unmarshal(raw, &row); err != nil {
				t.Fatalf("line %s: %v", line, err)
			}
			once(row.N, "without a partition")
		default:
			t.Errorf("error record %s", line)
		}
	}
	for n := range records {
		if want := fateOf(n); seen[n] != want {
			t.Errorf("record %d is %q, want %q", n, seen[n], want)
		}
	}
}

// echo is a function that changes nothing.
func echo(w http.ResponseWriter, r *http.Request) {
	var event events.KinesisFirehoseEvent
	if err := json.NewDecoder(r.Body).Decode(&event); err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	var out events.KinesisFirehoseResponse
	for _, r := range event.Records {
		out.Records = append(out.Records, events.KinesisFirehoseResponseRecord{RecordID: r.RecordID, Result: "Ok", Data: r.Data})
	}
	_ = json.NewEncoder(w).Encode(out) // the caller may have gone
}

// fateOf says how a record ends.
func fateOf(n int) string {
	switch n % 5 {
	case 0:
		return "" // dropped
	case 1:
		return "failed"
	case 2:
		return "without a partition"
	}
	return "delivered"
}

// sendCustomers sends records of each fate, large enough for several calls.
func sendCustomers(t *testing.T, s *surroundings, from, records int) {
	t.Helper()
	pad := strings.Repeat("x", 2000)
	for n := from; n < from+records; n += 100 {
		in := &kinesis.PutRecordsInput{StreamName: aws.String(streamName)}
		for i := n; i < n+100; i++ {
			data := fmt.Sprintf(`{"n":%d,"customer":"c/%d","email":"a@example.com","pad":%q}`, i, i%3, pad)
			switch fateOf(i) {
			case "":
				data = fmt.Sprintf(`{"n":%d,"test":true}`, i)
			case "failed":
				data = fmt.Sprintf("%d is not JSON", i)
			case "without a partition":
				data = fmt.Sprintf(`{"n":%d}`, i)
			}
			in.Records = append(in.Records, types.PutRecordsRequestEntry{PartitionKey: aws.String(strconv.Itoa(i)), Data: []byte(data)})
		}
		if out, err := s.kinesis.PutRecords(t.Context(), in); err != nil || *out.FailedRecordCount > 0 {
			t.Fatalf("send: %v, %+v", err, out)
		}
	}
}
