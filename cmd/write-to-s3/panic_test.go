package main

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"aws-streaming-pipeline/internal/lambdas"
	"aws-streaming-pipeline/internal/test/lambdatest"
	"aws-streaming-pipeline/record"
)

// A panic that no record causes has the same result as an unavailable bucket.
func TestHandler_AnswersAPanicWithTheFirstRecord(t *testing.T) {
	var event events.KinesisEvent
	if err := json.Unmarshal(lambdatest.Event(t, lambdatest.Batch(10, nil)), &event); err != nil {
		t.Fatal(err)
	}
	decoder, err := record.NewDecoder(record.DecoderOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	h := &handler{
		bucket: bucket, decoder: decoder, objects: nil, // which panics
		log: slog.New(slog.NewJSONHandler(&out, nil)), metrics: lambdas.Reporting{MetricsNamespace: "n"}.Metrics(&out), now: time.Now,
	}
	a, err := h.handle(t.Context(), event)
	if err != nil || len(a.BatchItemFailures) != 1 || a.BatchItemFailures[0].ItemIdentifier != event.Records[0].Kinesis.SequenceNumber || a.S3Path != "" {
		t.Errorf("answer %+v, error %v", a, err)
	}
	if !strings.Contains(out.String(), `"BatchesFailed":1`) || !strings.Contains(out.String(), "nil pointer") {
		t.Errorf("the log is %s", out.String())
	}
}
