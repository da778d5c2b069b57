package main_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"aws-streaming-pipeline/internal/test/emulator"
	"aws-streaming-pipeline/internal/test/race"
	"aws-streaming-pipeline/producer"
)

// gate is a proxy in front of a service. While it is shut, it closes every connection without an answer.
type gate struct {
	*httptest.Server
	shut    atomic.Bool
	refused atomic.Int64
}

func newGate(t *testing.T, service string) *gate {
	t.Helper()
	target, err := url.Parse(service)
	if err != nil {
		t.Fatal(err)
	}
	g := &gate{}
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(target)
		r.Out.Host = r.In.Host // it is signed
	}}
	g.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if g.shut.Load() {
			g.refused.Add(1)
			panic(http.ErrAbortHandler)
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(g.Close)
	return g
}

// outage is how long a service is unavailable; CONSUMER_TEST_OUTAGE=5m simulates a long outage.
func outage(t *testing.T) time.Duration {
	t.Helper()
	text := os.Getenv("CONSUMER_TEST_OUTAGE")
	if text == "" {
		return 12 * time.Second
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatalf("CONSUMER_TEST_OUTAGE: %v", err)
	}
	return d
}

func TestConsumer_WaitsOutAnOutageAndSaysWhatIsWrong(t *testing.T) {
	race.LeaveOut(t)
	t.Parallel()
	dynamodb := emulator.DynamoDBLocal(t)
	for _, test := range []struct{ service, check string }{{"S3", "s3"}, {"DynamoDB", "leases"}, {"Kinesis", "kinesis"}} {
		t.Run(test.service, func(t *testing.T) {
			t.Parallel()
			const rate = 400
			away := outage(t)
			s := newSurroundings(t, 2)
			gates := map[string]*gate{
				"S3": newGate(t, s.bucket.URL()), "DynamoDB": newGate(t, dynamodb.URL), "Kinesis": newGate(t, s.stream.URL()),
			}
			address := freeAddress(t)
			c := s.start("CHECKPOINT_FILE=", "CHECKPOINT_TABLE=outage-"+test.service, "FAILOVER_TIME=2s", "COMMIT_INTERVAL=1s", "HTTP_ADDRESS="+address,
				"AWS_ENDPOINT_URL_S3="+gates["S3"].URL, "AWS_ENDPOINT_URL_DYNAMODB="+gates["DynamoDB"].URL,
				"AWS_ENDPOINT_URL_KINESIS="+gates["Kinesis"].URL, "MEMORY_BUDGET=64MiB", "GOMEMLIMIT=256MiB")
			eventually(t, "the consumer is ready", func() bool { return readiness(address) == "" })

			trips := rate * int64((away + 6*time.Second).Seconds())
			p, err := producer.New(producer.Config{
				Stream:       streamName,
				Source:       func() (producer.Source, error) { return producer.Generate(trips, 4), nil },
				PartitionKey: "TRIP_ID",
				Rate:         rate,
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
			eventually(t, "trips are delivered", func() bool { return len(s.lines("data/")) > 0 })

			g := gates[test.service]
			g.shut.Store(true)
			began := time.Now()
			named := false
			within(t, away+patience, "readiness names the service that is away", func() bool {
				named = named || g.refused.Load() > 0 && strings.Contains(readiness(address), test.check)
				return named && time.Since(began) >= away
			})
			g.shut.Store(false)
			eventually(t, "the consumer is ready again", func() bool { return readiness(address) == "" })
			sending.Wait()
			eventually(t, "all trips delivered", func() bool { return int64(len(s.lines("data/"))) >= trips })
			if st, ok := status(t, address); !ok || st.BufferedBytes > st.MemoryBudget {
				t.Errorf("%d bytes held, more than the budget of %d", st.BufferedBytes, st.MemoryBudget)
			}
			if err := c.terminate(); err != nil {
				t.Errorf("exit: %v\n%s", err, c.log)
			}
			checkTrips(t, s, int(trips))
		})
	}
}

// readiness names the checks that fail; empty if the consumer is ready.
func readiness(address string) string {
	client := http.Client{Timeout: patience}
	answer, err := client.Get("http://" + address + "/readyz")
	if err != nil {
		return err.Error()
	}
	defer answer.Body.Close()
	var body struct {
		Checks []struct{ Name, Problem string }
	}
	if err := json.NewDecoder(answer.Body).Decode(&body); err != nil {
		return err.Error()
	}
	var failing []string
	for _, c := range body.Checks {
		if c.Problem != "" {
			failing = append(failing, c.Name)
		}
	}
	slices.Sort(failing)
	return strings.Join(failing, " ")
}
