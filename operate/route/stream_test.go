package route_test

import (
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"aws-streaming-pipeline/internal/localstream"
	"aws-streaming-pipeline/operate/route"
)

// inProcess hands requests to a Kinesis without a network, so that all time is virtual. It counts operations.
type inProcess struct {
	to http.Handler

	mu    sync.Mutex
	calls map[string]int
}

// called returns how often each operation was called.
func (p *inProcess) called() map[string]int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return maps.Clone(p.calls)
}

func (p *inProcess) RoundTrip(r *http.Request) (*http.Response, error) {
	_, operation, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	p.mu.Lock()
	p.calls[operation]++
	p.mu.Unlock()
	answer := httptest.NewRecorder()
	p.to.ServeHTTP(answer, r)
	return answer.Result(), nil
}

// stream is a stream of two shards on virtual time, with the service's limit of five reads per second and shard.
func stream(t *testing.T) (*localstream.Kinesis, *kinesis.Client, *inProcess) {
	t.Helper()
	k, err := localstream.New(localstream.Options{LimitReads: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := k.CreateStream("trips", 2); err != nil {
		t.Fatal(err)
	}
	transport := &inProcess{to: k, calls: make(map[string]int)}
	client := kinesis.New(kinesis.Options{
		Region: "us-east-1", Credentials: credentials.NewStaticCredentialsProvider("k", "s", ""), BaseEndpoint: aws.String("http://kinesis"),
		HTTPClient: &http.Client{Transport: transport}, RetryMaxAttempts: 1,
	})
	return k, client, transport
}

func put(t *testing.T, k *localstream.Kinesis, first, n int) {
	t.Helper()
	for i := first; i < first+n; i++ {
		if _, _, err := k.Put("trips", localstream.Entry{PartitionKey: fmt.Sprint("k", i), Data: fmt.Appendf(nil, `{"n":%d}`, i)}); err != nil {
			t.Error(err)
		}
	}
}

func TestNewest_ReadsTheNewestRecordsOfAllShards(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k, client, transport := stream(t)
		put(t, k, 0, 50)
		time.Sleep(3 * time.Hour)
		for i := range 20 {
			put(t, k, 50+i, 1)
			time.Sleep(time.Second)
		}
		time.Sleep(time.Minute)
		began := time.Now()
		samples, notes, err := route.Newest{Stream: "trips", Count: 30}.Read(t.Context(), client)
		if err != nil || len(notes) > 0 || len(samples) != 30 {
			t.Fatalf("%d samples, %q, %v", len(samples), notes, err)
		}
		seen := make(map[string]bool)
		for i, s := range samples {
			seen[string(s.Record.Data)] = true
			if s.Hashes == nil || s.Record.Shard == "" || s.Record.SequenceNumber == "" || i > 0 && s.Record.Arrival.Before(samples[i-1].Record.Arrival) {
				t.Errorf("sample %d: %+v", i, s)
			}
		}
		for i := 50; i < 70; i++ {
			if !seen[fmt.Sprintf(`{"n":%d}`, i)] {
				t.Errorf("record %d of the newest is missing", i)
			}
		}
		if len(seen) != 30 {
			t.Errorf("%d different records", len(seen))
		}
		if n := transport.called()["GetRecords"]; n > 2*12 || time.Since(began) > 15*time.Second {
			t.Errorf("%d reads in %v", n, time.Since(began))
		}
		for operation := range transport.called() {
			if operation != "ListShards" && operation != "GetShardIterator" && operation != "GetRecords" {
				t.Errorf("it calls %s", operation)
			}
		}
	})
}

func TestNewest_ReadsOneShardOrAllThatThereIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k, client, _ := stream(t)
		put(t, k, 0, 20)
		time.Sleep(time.Second)
		all, _, err := route.Newest{Stream: "trips", Count: 100}.Read(t.Context(), client)
		if err != nil || len(all) != 20 {
			t.Errorf("%d samples, %v", len(all), err)
		}
		one := route.Newest{Stream: "trips", Count: 100, Shard: all[0].Record.Shard}
		some, _, err := one.Read(t.Context(), client)
		if err != nil || len(some) == 0 || len(some) == 20 {
			t.Errorf("%d samples, %v", len(some), err)
		}
		for _, s := range some {
			if s.Record.Shard != one.Shard {
				t.Errorf("a record of %s", s.Record.Shard)
			}
		}
		one.Shard = "shardId-9"
		if _, _, err := one.Read(t.Context(), client); err == nil || !strings.Contains(err.Error(), `--shard="shardId-9": want a shard of the stream, such as shardId-000000000000`) {
			t.Errorf("%v", err)
		}
	})
}

// A stream that is written to faster than it is read does not keep it for ever.
func TestNewest_StopsAfterABoundedNumberOfCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k, client, transport := stream(t)
		put(t, k, 0, 5)
		busy := &writing{inProcess: transport, write: func() { put(t, k, 1000, 10) }}
		client = kinesis.New(client.Options(), func(o *kinesis.Options) { o.HTTPClient = &http.Client{Transport: busy} })
		samples, notes, err := route.Newest{Stream: "trips", Count: 10_000, Shard: "shardId-000000000000"}.Read(t.Context(), client)
		if err != nil || len(samples) == 0 || transport.called()["GetRecords"] > 25 {
			t.Errorf("%d samples after %d reads, %q, %v", len(samples), transport.called()["GetRecords"], notes, err)
		}
	})
}

// writing writes to the stream before each read.
type writing struct {
	*inProcess
	write func()
}

func (w *writing) RoundTrip(r *http.Request) (*http.Response, error) {
	w.write()
	return w.inProcess.RoundTrip(r)
}
