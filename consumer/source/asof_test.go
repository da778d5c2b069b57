package source

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/internal/localstream"
	"aws-streaming-pipeline/internal/streams"
)

// serviceTime is far from the host's time, so that a test notices which of the two it gets.
var serviceTime = time.Date(2031, 2, 3, 4, 5, 6, 0, time.UTC)

// The service's time of a read that reached the tip is that of the request or earlier, whatever the host's clock says.
func TestReader_KnowsTheServicesTimeAtTheTip(t *testing.T) {
	for _, test := range []struct {
		name     string
		consumer string
	}{{"polled", ""}, {"pushed", "files"}} {
		t.Run(test.name, func(t *testing.T) {
			stream, err := localstream.New(localstream.Options{FanOutIdle: 50 * time.Millisecond})
			if err != nil {
				t.Fatal(err)
			}
			if err := stream.CreateStream("stream", 1); err != nil {
				t.Fatal(err)
			}
			const slow = 1500 * time.Millisecond
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				target := r.Header.Get("X-Amz-Target")
				if strings.HasSuffix(target, "GetRecords") || strings.HasSuffix(target, "SubscribeToShard") {
					time.Sleep(slow)
				}
				w.Header().Set("Date", serviceTime.Format(http.TimeFormat))
				stream.ServeHTTP(w, r)
			}))
			t.Cleanup(server.Close)
			r := newSource(clientOf(server.URL), func(c *Config) { c.Consumer = streams.ConsumerID(test.consumer) }).Open("shardId-000000000000", checkpoint.TrimHorizon)
			defer r.Close()
			began := time.Now()
			for {
				f, err := r.Next(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				took := time.Since(began)
				if !f.AsOf.IsZero() {
					if before := serviceTime.Sub(f.AsOf); !f.Tip || before < slow || before > took {
						t.Errorf("tip %t as of %v, %v before the answer's date, want %v to %v", f.Tip, f.AsOf, before, slow, took)
					}
					return
				}
				if f.Tip || took > 30*time.Second {
					t.Fatalf("%+v after %v has no time", f, took)
				}
			}
		})
	}
}

func TestReader_DoesNotGuessTheServicesTime(t *testing.T) {
	for name, c := range map[string]struct{ date, answer string }{
		"no date":                  {"", `{"Records":[],"NextShardIterator":"i","MillisBehindLatest":0}`},
		"not a date":               {"yesterday", `{"Records":[],"NextShardIterator":"i","MillisBehindLatest":0}`},
		"not told how far behind":  {"date", `{"Records":[],"NextShardIterator":"i"}`},
		"behind, and with records": {"date", `{"Records":[{"SequenceNumber":"1","PartitionKey":"k","Data":"eA==","ApproximateArrivalTimestamp":1}],"NextShardIterator":"i","MillisBehindLatest":5}`},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", "application/x-amz-json-1.1")
				w.Header()["Date"] = nil
				switch c.date {
				case "":
				case "date":
					w.Header().Set("Date", serviceTime.Format(http.TimeFormat))
				default:
					w.Header().Set("Date", c.date)
				}
				if strings.HasSuffix(r.Header.Get("X-Amz-Target"), "GetShardIterator") {
					fmt.Fprint(w, `{"ShardIterator":"i"}`)
					return
				}
				fmt.Fprint(w, c.answer)
			}))
			t.Cleanup(server.Close)
			r := newSource(clientOf(server.URL), nil).Open("shardId-000000000000", checkpoint.TrimHorizon)
			defer r.Close()
			f, err := r.Next(t.Context())
			if err != nil || f.Count == 0 && !f.Tip || !f.AsOf.IsZero() {
				t.Errorf("%+v, %v, want a read without a time", f, err)
			}
		})
	}
}
