package source

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdkhttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/internal/awshttp"
	"aws-streaming-pipeline/record"
)

// serverVariable makes the test binary serve answers, so that the reader's processor time excludes the service's.
const serverVariable = "SOURCE_BENCHMARK_SERVER"

func TestMain(m *testing.M) {
	if os.Getenv(serverVariable) != "" {
		serveAnswers()
		return
	}
	os.Exit(m.Run())
}

// shapes are the answers that are read: 8 MB of the taxi trips that the pipeline was made for, and 10,000 small records.
var shapes = []struct {
	name           string
	count, payload int
}{{"taxi", 6500, 1220}, {"narrow", 10_000, 309}}

func shapeAnswer(count, payload int) *kinesis.GetRecordsOutput {
	out := &kinesis.GetRecordsOutput{NextShardIterator: aws.String(strings.Repeat("i", 220)), MillisBehindLatest: aws.Int64(1)}
	for i := range count {
		data := bytes.Repeat([]byte(`{"trip":1372636858620000589,"at":[-8.618643,41.141412]},`), payload/50)[:payload]
		out.Records = append(out.Records, types.Record{
			SequenceNumber: aws.String(fmt.Sprintf("4964%052d", i)), PartitionKey: aws.String(fmt.Sprintf("2000%04d", i)), Data: data,
			ApproximateArrivalTimestamp: aws.Time(time.UnixMilli(1764106880123 + int64(i))),
		})
	}
	return out
}

// shapeEvents are the shapes as events of SubscribeToShard.
func shapeEvents() map[string][]byte {
	all := map[string][]byte{}
	for i, s := range shapes {
		var b bytes.Buffer
		e := &events{w: &b}
		for range eventsEach {
			out := shapeAnswer(s.count/eventsEach, s.payload)
			list := []map[string]any{}
			for _, r := range out.Records {
				list = append(list, map[string]any{
					"SequenceNumber": r.SequenceNumber, "PartitionKey": r.PartitionKey, "Data": r.Data,
					"ApproximateArrivalTimestamp": float64(r.ApproximateArrivalTimestamp.UnixMilli()) / 1000,
				})
			}
			if err := e.send("event", "SubscribeToShardEvent", map[string]any{
				"Records": list, "MillisBehindLatest": 1, "ContinuationSequenceNumber": "1",
			}); err != nil {
				panic(err)
			}
		}
		all[strconv.Itoa(i)] = b.Bytes()
	}
	return all
}

// eventsEach is how many events a shape is cut into.
const eventsEach = 10

// serveAnswers prints its address and certificate on standard output and serves until its standard input ends.
func serveAnswers() {
	bodies := map[string][]byte{}
	for i, s := range shapes {
		out := shapeAnswer(s.count, s.payload)
		bodies[strconv.Itoa(i)+contentTypeCBOR] = encodeCBOR(out)
		bodies[strconv.Itoa(i)+"application/x-amz-json-1.1"] = encodeJSON(out)
	}
	pushed := shapeEvents()
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		format := r.Header.Get("Content-Type")
		if strings.HasSuffix(r.Header.Get("X-Amz-Target"), "SubscribeToShard") {
			w.Header().Set("Content-Type", contentTypeEvents)
			err := (&events{w: w}).send("event", "initial-response", map[string]any{})
			for err == nil { // until the reader goes
				_, err = w.Write(pushed[r.URL.Path[1:2]])
			}
			return
		}
		body := bodies[r.URL.Path[1:2]+format]
		w.Header().Set("Content-Type", format)
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		w.Write(body)
	}))
	server.EnableHTTP2 = true
	server.StartTLS()
	json.NewEncoder(os.Stdout).Encode(serverAddress{server.URL, server.Certificate().Raw})
	io.Copy(io.Discard, os.Stdin)
}

type serverAddress struct {
	URL         string
	Certificate []byte
}

// answers starts the server and returns a client for each shape.
func answers(tb testing.TB) (clients []*kinesis.Client) {
	tb.Helper()
	self, err := os.Executable()
	if err != nil {
		tb.Fatal(err)
	}
	server := exec.CommandContext(tb.Context(), self)
	server.Env = append(os.Environ(), serverVariable+"=1", "GOMAXPROCS=1")
	in, err := server.StdinPipe()
	if err != nil {
		tb.Fatal(err)
	}
	out, err := server.StdoutPipe()
	if err != nil {
		tb.Fatal(err)
	}
	if err := server.Start(); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { in.Close(); server.Wait() })
	var at serverAddress
	if err := json.NewDecoder(out).Decode(&at); err != nil {
		tb.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(at.Certificate)
	if err != nil {
		tb.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(certificate)
	client := awshttp.Keep(awshttp.Parallel(sdkhttp.NewBuildableClient().WithTransportOptions(func(t *http.Transport) {
		t.TLSClientConfig = &tls.Config{RootCAs: roots}
	})))
	for i := range shapes {
		clients = append(clients, kinesis.New(kinesis.Options{
			BaseEndpoint: aws.String(at.URL + "/" + strconv.Itoa(i)), Region: "us-east-1", HTTPClient: client,
			Credentials: credentials.NewStaticCredentialsProvider("key", "secret", ""),
		}))
	}
	return clients
}

// receivers turn one call into records, by the SDK alone and by this package.
var receivers = []struct {
	name string
	open func(testing.TB, *kinesis.Client) func() (count int, err error)
}{
	{"stock", func(b testing.TB, client *kinesis.Client) func() (int, error) {
		var list []record.Record
		return func() (int, error) {
			out, err := client.GetRecords(context.Background(), &kinesis.GetRecordsInput{ShardIterator: aws.String("it")}, once)
			if err != nil {
				return 0, err
			}
			list = list[:0]
			for i := range out.Records {
				r := &out.Records[i]
				list = append(list, record.Record{
					SequenceNumber: *r.SequenceNumber, PartitionKey: *r.PartitionKey, Arrival: *r.ApproximateArrivalTimestamp, Data: r.Data,
				})
			}
			return len(list), nil
		}
	}},
	{"json", func(b testing.TB, client *kinesis.Client) func() (int, error) { return receive(b, client, true) }},
	{"cbor", func(b testing.TB, client *kinesis.Client) func() (int, error) { return receive(b, client, false) }},
}

func receive(b testing.TB, client *kinesis.Client, inJSON bool) func() (int, error) {
	decoder, err := record.NewDecoder(record.DecoderOptions{})
	if err != nil {
		b.Fatal(err)
	}
	s := newSource(client, func(c *Config) {
		c.JSON = inJSON
		c.Decoder = func(string) (Decoder, error) { return decoder, nil }
	})
	r := s.Open("shard", checkpoint.TrimHorizon)
	if err := r.fetcher.place.prepare(); err != nil {
		b.Fatal(err)
	}
	return func() (int, error) {
		p := r.fetcher.way.(*poll)
		p.iterator, p.place.last = aws.String("it"), ""
		in := &fetched{}
		defer in.release(nil)
		if err := p.read(context.Background(), in, false); err != nil {
			return 0, err
		}
		return in.fetch.Count, nil
	}
}

// BenchmarkGetRecords receives answers over TLS from a server in another process, by the SDK's own protocol and by
// ours in both formats. cpu-ms/MB is the processor time of this process, system calls included, for each MB of payload.
func BenchmarkGetRecords(b *testing.B) {
	clients := answers(b)
	for i, shape := range shapes {
		for _, receiver := range receivers {
			b.Run(shape.name+"/"+receiver.name, func(b *testing.B) {
				receiveAll(b, shape.count, shape.payload, receiver.open(b, clients[i]))
			})
		}
	}
}

// BenchmarkSubscribeToShard receives events over TLS and HTTP/2, by the SDK and by this package; the unit is that of
// BenchmarkGetRecords.
func BenchmarkSubscribeToShard(b *testing.B) {
	clients := answers(b)
	for i, shape := range shapes {
		for _, receiver := range subscribers {
			b.Run(shape.name+"/"+receiver.name, func(b *testing.B) {
				next, closeAll := receiver.open(b, clients[i])
				defer closeAll()
				receiveAll(b, shape.count, shape.payload, next)
			})
		}
	}
}

// receiveAll calls next until that many records have come in each round.
func receiveAll(b *testing.B, count, payload int, next func() (int, error)) {
	if _, err := next(); err != nil { // connect
		b.Fatal(err)
	}
	b.SetBytes(int64(count * payload))
	b.ReportAllocs()
	before := processorTime()
	all := 0
	for b.Loop() {
		for got := 0; got < count; {
			n, err := next()
			if err != nil {
				b.Fatal(err)
			}
			got += n
			all += n
		}
	}
	took := processorTime() - before
	b.ReportMetric(took.Seconds()*1e3/(float64(all*payload)/1e6), "cpu-ms/MB")
	b.ReportMetric(0, "ns/op")
}

// subscribers turn some events into records.
var subscribers = []struct {
	name string
	open func(testing.TB, *kinesis.Client) (next func() (count int, err error), closeAll func())
}{
	{"stock", func(b testing.TB, client *kinesis.Client) (func() (int, error), func()) {
		out, err := client.SubscribeToShard(b.Context(), &kinesis.SubscribeToShardInput{
			ConsumerARN: aws.String("consumer"), ShardId: aws.String("shard"),
			StartingPosition: &types.StartingPosition{Type: types.ShardIteratorTypeTrimHorizon},
		})
		if err != nil {
			b.Fatal(err)
		}
		var list []record.Record
		return func() (int, error) {
			e, ok := <-out.GetStream().Events()
			if !ok {
				return 0, out.GetStream().Err()
			}
			list = list[:0]
			for _, r := range e.(*types.SubscribeToShardEventStreamMemberSubscribeToShardEvent).Value.Records {
				list = append(list, record.Record{
					SequenceNumber: *r.SequenceNumber, PartitionKey: *r.PartitionKey, Arrival: *r.ApproximateArrivalTimestamp, Data: r.Data,
				})
			}
			return len(list), nil
		}, func() { out.GetStream().Close() }
	}},
	{"push", func(b testing.TB, client *kinesis.Client) (func() (int, error), func()) {
		decoder, err := record.NewDecoder(record.DecoderOptions{})
		if err != nil {
			b.Fatal(err)
		}
		s := newSource(client, func(c *Config) {
			c.Stream, c.Consumer = "arn:stream", "arn:stream/consumer/files:1"
			c.Decoder = func(string) (Decoder, error) { return decoder, nil }
		})
		r := s.Open("shard", checkpoint.TrimHorizon)
		p := r.fetcher.way.(*push)
		if err := p.place.prepare(); err != nil {
			b.Fatal(err)
		}
		return func() (int, error) {
			if p.stream == nil {
				if err := p.subscribe(b.Context()); err != nil {
					return 0, err
				}
			}
			for {
				begun, err := p.stream.await(b.Context(), time.Now().Add(time.Minute))
				if err != nil || !begun {
					return 0, fmt.Errorf("begun %v: %w", begun, err)
				}
				in := &fetched{}
				a := in.answer(p.place.count)
				known, err := p.stream.event(a)
				if err == nil && known {
					p.place.last = "" // the events repeat
					if _, err := p.place.take(b.Context(), in, a); err != nil {
						return 0, err
					}
				}
				count := len(in.fetch.Records)
				in.release(nil)
				if count > 0 || err != nil {
					return count, err
				}
			}
		}, r.Close
	}},
}

// TestReceiving_CostsMuchLessThanTheSDKs holds ratios of the benchmarks, which are near five, with room for a machine
// that is busy with something else.
func TestReceiving_CostsMuchLessThanTheSDKs(t *testing.T) {
	if scrubbing {
		t.Skip("the race detector has costs of its own")
	}
	clients := answers(t)
	for i, shape := range shapes {
		took := map[string]time.Duration{}
		for _, r := range receivers {
			took[r.name] = receiving(t, shape.count, r.open(t, clients[i]))
		}
		for _, r := range subscribers {
			next, closeAll := r.open(t, clients[i])
			took["events, "+r.name] = receiving(t, shape.count, next)
			closeAll()
		}
		for _, want := range []struct {
			ours, sdk string
			ratio     float64
		}{{"cbor", "stock", 4}, {"events, push", "events, stock", 3.5}} {
			ratio := float64(took[want.sdk]) / float64(took[want.ours])
			t.Logf("%s: %s takes %.1f times %s", shape.name, want.sdk, ratio, want.ours)
			if ratio < want.ratio {
				t.Errorf("%s: the SDK's reader costs %.1f times ours (%s), want %v or more: %v", shape.name, ratio, want.ours, want.ratio, took)
			}
		}
	}
}

// receiving returns the processor time of some rounds in which count records are received.
func receiving(t *testing.T, count int, next func() (int, error)) time.Duration {
	runtime.GC() // everybody pays for his own garbage
	var before time.Duration
	const rounds = 24
	for round := range rounds + 2 {
		if round == 2 { // until then it connects and makes its buffers
			before = processorTime()
		}
		for got := 0; got < count; {
			n, err := next()
			if err != nil {
				t.Fatal(err)
			}
			got += n
		}
	}
	return processorTime() - before
}

func processorTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkDecode finds the records of an answer in CBOR that comes as from TLS, in pieces of 16 KiB.
func BenchmarkDecode(b *testing.B) {
	for _, shape := range shapes {
		body := encodeCBOR(shapeAnswer(shape.count, shape.payload))
		b.Run(shape.name, func(b *testing.B) {
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				a := &answer{expect: shape.count}
				r := &http.Response{ContentLength: int64(len(body)), Body: io.NopCloser(records16(body))}
				if err := a.read(r, wireCBOR); err != nil {
					b.Fatal(err)
				}
				if err := a.decode(wireCBOR); err != nil || len(a.entries.s) != shape.count {
					b.Fatal(len(a.entries.s), err)
				}
				a.release()
			}
		})
	}
}

// records16 reads b in pieces of at most 16 KiB.
func records16(b []byte) io.Reader { return &pieces{b} }

type pieces struct{ left []byte }

func (p *pieces) Read(to []byte) (int, error) {
	n := copy(to, p.left[:min(len(p.left), 16<<10)])
	if p.left = p.left[n:]; n == 0 {
		return 0, io.EOF
	}
	return n, nil
}
