package main_test

import (
	"encoding/json"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"aws-streaming-pipeline/consumer"
	"aws-streaming-pipeline/internal/test/emulator"
	"aws-streaming-pipeline/internal/test/race"
	"aws-streaming-pipeline/producer"
)

// status asks a consumer for its status.
func status(t *testing.T, address string) (s consumer.Status, ok bool) {
	t.Helper()
	client := http.Client{Timeout: 2 * time.Second}
	answer, err := client.Get("http://" + address + "/status.json")
	if err != nil {
		return s, false
	}
	defer answer.Body.Close()
	return s, json.NewDecoder(answer.Body).Decode(&s) == nil
}

// freeAddress is a loopback address that nobody listens on.
func freeAddress(t *testing.T) string {
	t.Helper()
	return emulator.FreeAddress(t)
}

// held counts the shards that a consumer holds.
func held(s consumer.Status) (n int) {
	for _, shard := range s.Shards {
		if shard.Mine {
			n++
		}
	}
	return n
}

// Two consumers share a table in DynamoDB. One is stopped under load: it commits and releases its leases, the other takes
// over, and no trip is lost or duplicated.
func TestConsumer_HandsItsShardsOverOnSIGTERM(t *testing.T) {
	race.LeaveOut(t)
	t.Parallel()
	const trips, shards = 8000, 4
	dynamodb := emulator.DynamoDBLocal(t)
	s := newSurroundings(t, shards)
	addresses := []string{freeAddress(t), freeAddress(t)}
	settings := func(n int) []string {
		return []string{
			"CHECKPOINT_FILE=", "CHECKPOINT_TABLE=fleet", "AWS_ENDPOINT_URL_DYNAMODB=" + dynamodb.URL, "FAILOVER_TIME=3s",
			"COMMIT_INTERVAL=5s", "HTTP_ADDRESS=" + addresses[n],
		}
	}
	first := s.start(settings(0)...)
	second := s.start(settings(1)...)
	eventually(t, "the shards are shared evenly", func() bool {
		a, okA := status(t, addresses[0])
		b, okB := status(t, addresses[1])
		return okA && okB && held(a) == shards/2 && held(b) == shards/2
	})

	p, err := producer.New(producer.Config{
		Stream:       streamName,
		Source:       func() (producer.Source, error) { return producer.Generate(trips, 3), nil },
		PartitionKey: "TRIP_ID",
		Rate:         trips / 16,
	}, s.kinesis)
	if err != nil {
		t.Fatal(err)
	}
	var sending sync.WaitGroup
	sending.Go(func() {
		if _, err := p.Run(t.Context()); err != nil {
			t.Errorf("send: %v", err)
		}
	})
	time.Sleep(6 * time.Second)
	stopped := time.Now()
	if err := first.terminate(); err != nil {
		t.Errorf("first consumer: %v\n%s", err, first.log)
	}
	eventually(t, "the second consumer holds all shards", func() bool {
		b, ok := status(t, addresses[1])
		return ok && held(b) == shards
	})
	t.Logf("handed over within %v", time.Since(stopped).Round(100*time.Millisecond))
	eventually(t, "all trips delivered", func() bool { return len(s.lines("data/")) >= trips })
	sending.Wait()
	agreesWithMetrics(t, addresses[1])
	if err := second.terminate(); err != nil {
		t.Errorf("second consumer: %v\n%s", err, second.log)
	}
	checkTrips(t, s, trips)
}

// agreesWithMetrics compares the status page with the metrics once the consumer is idle.
func agreesWithMetrics(t *testing.T, address string) {
	t.Helper()
	var page, scraped [4]float64
	eventually(t, "status page and metrics agree", func() bool {
		s, ok := status(t, address)
		if !ok {
			return false
		}
		page = [4]float64{float64(s.Pipeline.Totals.Records), float64(s.Pipeline.Totals.Bytes), float64(held(s)), float64(s.Pipeline.Outbox)}
		answer, err := http.Get("http://" + address + "/metrics")
		if err != nil {
			return false
		}
		defer answer.Body.Close()
		parser := expfmt.NewTextParser(model.UTF8Validation)
		families, err := parser.TextToMetricFamilies(answer.Body)
		if err != nil {
			t.Fatal(err)
		}
		for i, name := range []string{"consumer_records_total", "consumer_written_bytes_total", "consumer_leases_held", "consumer_outbox_batches"} {
			scraped[i] = 0
			for _, m := range families[name].GetMetric() {
				scraped[i] += m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
		return page == scraped
	})
	t.Logf("records, bytes, shards, outbox: page %v, metrics %v", page, scraped)
}

// checkTrips asserts that the bucket contains each trip once.
func checkTrips(t *testing.T, s *surroundings, trips int) {
	t.Helper()
	seen := make(map[string]int)
	for _, line := range s.lines("data/") {
		var trip struct {
			EventID string `json:"event_id"`
		}
		if err := json.Unmarshal(line, &trip); err != nil {
			t.Fatal(err)
		}
		seen[trip.EventID]++
	}
	double := 0
	for _, n := range seen {
		if n > 1 {
			double++
		}
	}
	if len(seen) != trips || double > 0 {
		t.Errorf("%d of %d trips delivered, %d of them more than once", len(seen), trips, double)
	}
	if n := len(s.lines("errors/")); n > 0 {
		t.Errorf("%d trips in the error prefix", n)
	}
}
