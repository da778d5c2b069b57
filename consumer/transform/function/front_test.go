package function_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/prometheus/client_golang/prometheus"

	"aws-streaming-pipeline/consumer/transform/function"
	"aws-streaming-pipeline/internal/awshttp"
	"aws-streaming-pipeline/internal/budget"
	"aws-streaming-pipeline/internal/metrics"
	"aws-streaming-pipeline/record"
)

const arn = "arn:aws:lambda:eu-west-1:123456789012:function:mask:live"

// front is Lambda's endpoint: a server of HTTP whose network is in this process, so that time may be virtual.
type front struct {
	t      *testing.T
	answer func(n int, w http.ResponseWriter, event []byte) // of the nth call, from 1

	handlers sync.WaitGroup

	mu      sync.Mutex
	events  [][]byte
	paths   []string
	now     int // calls at the moment
	most    int // at a time
	log     bytes.Buffer
	metrics prometheus.Gatherer
	held    *budget.Budget
	memory  int64 // the budget; 0 for 256 MiB
}

func (f *front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.handlers.Add(1)
	defer f.handlers.Done()
	event, err := io.ReadAll(r.Body)
	if err != nil {
		return // the caller has gone
	}
	f.mu.Lock()
	f.events = append(f.events, event)
	f.paths = append(f.paths, r.URL.Path)
	n := len(f.events)
	f.now++
	f.most = max(f.most, f.now)
	f.mu.Unlock()
	defer func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.now--
	}()
	f.answer(n, w, event)
}

func (f *front) calls() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.events)
}

// Write is the log's.
func (f *front) Write(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.log.Write(p)
}

func (f *front) logged() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.log.String()
}

// network is a listener and its dialer.
type network struct {
	conns  chan net.Conn
	closed chan struct{}
}

func (n *network) Accept() (net.Conn, error) {
	select {
	case c := <-n.conns:
		return c, nil
	case <-n.closed:
		return nil, net.ErrClosed
	}
}

func (n *network) Close() error {
	close(n.closed)
	return nil
}

func (n *network) Addr() net.Addr { return &net.UnixAddr{Name: "lambda", Net: "unix"} }

func (n *network) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	ours, theirs := net.Pipe()
	select {
	case n.conns <- theirs:
		return ours, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// start returns a transform whose function is behind the front, and a function that ends the front.
func (f *front) start(adjust ...func(*function.Config)) (t *function.Transform, stop func()) {
	f.t.Helper()
	n := &network{conns: make(chan net.Conn), closed: make(chan struct{})}
	server := &http.Server{Handler: f, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)}
	var serving sync.WaitGroup
	serving.Go(func() { _ = server.Serve(n) }) // it always ends with an error
	wire := &http.Transport{DialContext: n.dial}
	name, err := function.ParseARN(arn)
	if err != nil {
		f.t.Fatal(err)
	}
	cfg := function.Config{
		Function: name, Application: "app", Stream: func() string { return "arn:aws:kinesis:eu-west-1:123456789012:stream/trips" },
		BufferSize: 1 << 20, Concurrency: 5, Retries: 3, Timeout: 5 * time.Minute,
	}
	for _, a := range adjust {
		a(&cfg)
	}
	account := aws.Config{
		Region: "us-east-1", Credentials: credentials.NewStaticCredentialsProvider("test", "test", ""),
		HTTPClient: awshttp.Client(&http.Client{Transport: wire}), BaseEndpoint: aws.String("http://lambda"),
	}
	registry := prometheus.NewRegistry()
	m := metrics.New(registry)
	f.metrics, f.held = registry, budget.New(cmp.Or(f.memory, 256<<20), m)
	log := slog.New(slog.NewTextHandler(f, nil))
	t = function.New(cfg, function.Parts{Client: function.NewClient(account, name), Budget: f.held, Metrics: m, Log: log})
	return t, func() {
		wire.CloseIdleConnections()
		_ = server.Close() // connections of calls that nobody waits for
		serving.Wait()
		f.handlers.Wait()
	}
}

// count returns how many calls had a result.
func (f *front) count(result string) int {
	f.t.Helper()
	families, err := f.metrics.Gather()
	if err != nil {
		f.t.Fatal(err)
	}
	for _, family := range families {
		for _, m := range family.Metric {
			if family.GetName() == "consumer_transform_calls_total" && m.Label[0].GetValue() == result {
				return int(m.Counter.GetValue())
			}
		}
	}
	return 0
}

var arrival = time.Date(2026, 11, 28, 12, 0, 0, 123e6, time.UTC)

// trips returns n records.
func trips(n int) []record.Record {
	list := make([]record.Record, n)
	for i := range list {
		list[i] = record.Record{
			SequenceNumber: fmt.Sprintf("4954698668313554428650745793632162567570019247115678%04d", i), PartitionKey: fmt.Sprint("trip-", i),
			Arrival: arrival.Add(time.Duration(i) * time.Millisecond), Data: fmt.Appendf(nil, `{"trip":%d}`, i),
		}
	}
	return list
}

// event decodes a request with AWS's own type.
func event(text []byte) (e events.KinesisFirehoseEvent, err error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	err = d.Decode(&e)
	return e, err
}

// upper answers Ok for all records, with the payload in upper case.
func upper(w http.ResponseWriter, text []byte) {
	e, err := event(text)
	if err != nil {
		http.Error(w, err.Error(), http.StatusTeapot)
		return
	}
	var answer events.KinesisFirehoseResponse
	for _, r := range e.Records {
		answer.Records = append(answer.Records, events.KinesisFirehoseResponseRecord{RecordID: r.RecordID, Result: "Ok", Data: bytes.ToUpper(r.Data)})
	}
	_ = json.NewEncoder(w).Encode(answer) // the caller may have gone
}

// fates describes records: their payload, or their code.
func fates(list []record.Record) string {
	var all []string
	for _, r := range list {
		text := string(r.Data)
		if r.Fault != nil {
			text = fmt.Sprintf("%s %d %s", r.Fault.Code, r.Fault.Attempts, r.Data)
		}
		all = append(all, text)
	}
	return strings.Join(all, "\n")
}
