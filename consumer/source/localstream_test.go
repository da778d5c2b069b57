package source

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/internal/budget"
	"aws-streaming-pipeline/internal/localstream"
)

// local is a stream of one shard in an in-process Kinesis, reached by the SDK over HTTP.
type local struct {
	server *localstream.Server
	client *kinesis.Client
	put    map[string]bool // payloads
}

const localName = "trips"

func newLocal(t *testing.T, faults *localstream.Faults) *local {
	t.Helper()
	server, err := localstream.Start("127.0.0.1:0", localstream.Options{Faults: faults})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	if err := server.CreateStream(localName, 1); err != nil {
		t.Fatal(err)
	}
	return &local{server: server, put: map[string]bool{}, client: clientOf(server.URL())}
}

func (l *local) produce(t *testing.T, n int) {
	t.Helper()
	in := &kinesis.PutRecordsInput{StreamName: aws.String(localName)}
	for range n {
		payload := fmt.Sprintf("payload %d", len(l.put))
		l.put[payload] = true
		in.Records = append(in.Records, types.PutRecordsRequestEntry{
			Data: []byte(payload), PartitionKey: aws.String(strconv.Itoa(len(l.put))),
		})
	}
	out, err := l.client.PutRecords(t.Context(), in)
	if err != nil || *out.FailedRecordCount != 0 {
		t.Fatalf("put %d records: %v", n, err)
	}
}

// quick reads without the pauses that the service would require.
func quick(c *Config) {
	c.Stream, c.MaxRecords, c.BytesPerSecond = localName, 50, 1<<40
	c.MinInterval, c.Idle, c.Tick = time.Millisecond, 5*time.Millisecond, 50*time.Millisecond
}

// readLocal reads a shard to its end, or until n records have come, and fails if a record is read twice.
func readLocal(t *testing.T, s *Source, shard string, from checkpoint.Position, n int, seen map[string]bool) (last string, end Fetch) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	r := s.Open(shard, from)
	defer r.Close()
	for got := 0; got < n; {
		f, err := r.Next(ctx)
		if err != nil {
			t.Fatalf("%d of %d records of %s: %v", got, n, shard, err)
		}
		for i := range f.Records {
			payload := string(f.Records[i].Data)
			if seen[payload] {
				t.Errorf("%q came twice", payload)
			}
			seen[payload] = true
			got++
		}
		if f.Last != "" {
			last = f.Last
		}
		if f.End {
			return last, f
		}
	}
	return last, end
}

func TestReader_FromALocalStreamWithFaultsReadsEveryRecordOnce(t *testing.T) {
	faults := localstream.NewFaults(1)
	l := newLocal(t, faults)
	for range 4 {
		l.produce(t, 250)
	}
	nth := 2
	for _, kind := range []localstream.FaultKind{
		localstream.Throttle, localstream.ServerError, localstream.LostRequest, localstream.LostAnswer,
		localstream.ExpiredIterator, localstream.LostAnswer, localstream.Throttle,
	} {
		faults.Plant(localstream.Rule{Kind: kind, Operation: "GetRecords", Nth: nth})
		nth += 2
	}
	faults.Plant(localstream.Rule{Kind: localstream.ServerError, Operation: "GetShardIterator", Nth: 2})

	s := newSource(l.client, quick)
	seen := map[string]bool{}
	readLocal(t, s, "shardId-000000000000", checkpoint.TrimHorizon, len(l.put), seen)
	if !maps.Equal(seen, l.put) {
		t.Errorf("%d of %d records were read", len(seen), len(l.put))
	}
	if unhit := faults.Unhit(); len(unhit) > 0 {
		t.Errorf("faults that never happened: %q", unhit)
	}
	// The SDK does not retry below us: each fault is seen here, once.
	for result, want := range map[string]float64{resultThrottled: 2, resultExpired: 1, resultError: 5} {
		if got := reading(t, s.metrics.GetRecords.WithLabelValues(result)); got != want {
			t.Errorf("%v calls counted as %s, want %v", got, result, want)
		}
	}
}

func TestReader_FromALocalStreamGoesOnAfterASavedPosition(t *testing.T) {
	l := newLocal(t, nil)
	l.produce(t, 120)
	s := newSource(l.client, quick)
	seen := map[string]bool{}
	last, _ := readLocal(t, s, "shardId-000000000000", checkpoint.TrimHorizon, 50, seen)
	readLocal(t, s, "shardId-000000000000", checkpoint.Position(last), 70, seen)
	if !maps.Equal(seen, l.put) {
		t.Errorf("%d of %d records were read", len(seen), len(l.put))
	}
}

func TestReader_FromALocalStreamFollowsASplitAndAMerge(t *testing.T) {
	l := newLocal(t, nil)
	followASplitAndAMerge(t, l, newSource(l.client, quick))
}

func followASplitAndAMerge(t *testing.T, l *local, s *Source) {
	t.Helper()
	ctx := t.Context()
	l.produce(t, 100)
	if _, err := l.client.SplitShard(ctx, &kinesis.SplitShardInput{
		StreamName: aws.String(localName), ShardToSplit: aws.String("shardId-000000000000"),
		NewStartingHashKey: aws.String("170141183460469231731687303715884105728"),
	}); err != nil {
		t.Fatal(err)
	}
	l.produce(t, 100)
	children := []string{"shardId-000000000001", "shardId-000000000002"}
	if _, err := l.client.MergeShards(ctx, &kinesis.MergeShardsInput{
		StreamName: aws.String(localName), ShardToMerge: &children[0], AdjacentShardToMerge: &children[1],
	}); err != nil {
		t.Fatal(err)
	}
	l.produce(t, 100)

	seen := map[string]bool{}
	const all = 1 << 30
	if _, end := readLocal(t, s, "shardId-000000000000", checkpoint.TrimHorizon, all, seen); !slices.Equal(end.Children, children) {
		t.Errorf("children of the split: %q", end.Children)
	}
	for _, child := range children {
		if _, end := readLocal(t, s, child, checkpoint.TrimHorizon, all, seen); !slices.Equal(end.Children, []string{"shardId-000000000003"}) {
			t.Errorf("children of the merge: %q", end.Children)
		}
	}
	if len(seen) != 200 {
		t.Errorf("%d records before the merge", len(seen))
	}
	readLocal(t, s, "shardId-000000000003", checkpoint.TrimHorizon, 100, seen)
	if !maps.Equal(seen, l.put) {
		t.Errorf("%d of %d records were read", len(seen), len(l.put))
	}
}

// direct calls a Kinesis without a network, so that the test controls time, and each trip takes some of it.
type direct struct {
	kinesis *localstream.Kinesis
	way     time.Duration
	late    func() time.Duration // on the way there, beside; may be nil
	calls   map[string]int       // answers of GetRecords by status
}

// newDirect makes one with a stream of one shard that has the limits of Kinesis.
func newDirect(t *testing.T, way time.Duration) *direct {
	t.Helper()
	k, err := localstream.New(localstream.Options{LimitReads: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := k.CreateStream(localName, 1); err != nil {
		t.Fatal(err)
	}
	return &direct{kinesis: k, way: way, calls: map[string]int{}}
}

func (d *direct) client() *kinesis.Client {
	return kinesis.New(kinesis.Options{
		BaseEndpoint: aws.String("http://local"), Region: "us-east-1", HTTPClient: d,
		Credentials: credentials.NewStaticCredentialsProvider("key", "secret", ""),
	})
}

func (d *direct) put(t *testing.T, n, bytes int) {
	t.Helper()
	for range n {
		if _, _, err := d.kinesis.Put(localName, localstream.Entry{PartitionKey: "key", Data: make([]byte, bytes)}); err != nil {
			t.Fatal(err)
		}
	}
}

func (d *direct) Do(r *http.Request) (*http.Response, error) {
	time.Sleep(d.way)
	if d.late != nil {
		time.Sleep(d.late())
	}
	w := httptest.NewRecorder()
	d.kinesis.ServeHTTP(w, r)
	time.Sleep(d.way)
	if strings.HasSuffix(r.Header.Get("X-Amz-Target"), "GetRecords") {
		d.calls[w.Result().Status]++
	}
	return w.Result(), nil
}

// Kinesis gives a shard's readers 2 MB and five calls per second. A reader uses 99 % of that, limited by the bytes or
// by its own four calls, and nothing is refused: from the start, and after a time without records.
func TestReader_TakesWhatTheLimitsOfAShardAllow(t *testing.T) {
	for _, test := range []struct {
		name        string
		max         int // records of a call
		n           int // records
		least, most float64
	}{
		{"answers of 10 MB", maxRecords, 4500, 0.99 * readBytesPerSecond, 2 << 20},
		{"answers of 1 MB", 100, 1500, 0.99 * readBytesPerSecond, 2 << 20},
		{"answers of 300 kB", 30, 600, 1.19e6, 1.2e6}, // the calls are the limit
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newDirect(t, 10*time.Millisecond)
				s := newSource(d.client(), func(c *Config) {
					c.Stream, c.MaxRecords, c.Budget = localName, test.max, budget.New(256<<20, nil)
				})
				r := s.Open("shardId-000000000000", checkpoint.TrimHorizon)
				defer r.Close()
				for range 2 {
					d.put(t, test.n, 10_000)
					var first, last time.Time
					got, bytes := 0, 0
					for got < test.n {
						f, err := r.Next(t.Context())
						if err != nil {
							t.Fatal(err)
						}
						if f.Count == 0 {
							continue
						}
						if last = time.Now(); got == 0 {
							first = last
						}
						if got += f.Count; got < test.n {
							bytes += f.Bytes // the last answer's share of the time is still to come
						}
					}
					if rate := float64(bytes) / last.Sub(first).Seconds(); rate < test.least || rate > test.most {
						t.Errorf("%.0f bytes per second, want %.0f", rate, test.least)
					}
					for idle := time.Now(); time.Since(idle) < time.Minute; {
						if _, err := r.Next(t.Context()); err != nil {
							t.Fatal(err)
						}
					}
				}
				r.Close() // it reads ahead
				if len(d.calls) != 1 || d.calls["200 OK"] == 0 {
					t.Errorf("answers of Kinesis: %v", d.calls)
				}
			})
		})
	}
}

// Kinesis counts when a call arrives, which may be long after it was made. Calls that follow must not come too early
// for that, whether limited by their number or by the bytes of a large answer.
func TestReader_IsNotThrottledWhereCallsArriveLate(t *testing.T) {
	for _, test := range []struct {
		name             string
		n, bytes, answer int // records, of some bytes, so many in an answer
		least            float64
	}{
		{"small answers", 3000, 10, 10, 3 * 10 * 10},
		{"answers of 2.5 MB", 10_000, 10_000, 250, 1.8e6},
		{"answers of 10 MB", 20_000, 10_000, maxRecords, 1.9e6},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newDirect(t, 5*time.Millisecond)
				d.put(t, test.n, test.bytes)
				random := rand.New(rand.NewPCG(1, 1))
				late := 0
				d.late = func() time.Duration {
					if random.IntN(4) > 0 {
						return 0
					}
					late++
					return time.Duration(random.Int64N(int64(400 * time.Millisecond)))
				}
				s := newSource(d.client(), func(c *Config) { c.Stream, c.MaxRecords = localName, test.answer })
				r := s.Open("shardId-000000000000", checkpoint.TrimHorizon)
				began := time.Now()
				bytes := 0
				for got := 0; got < test.n; {
					f, err := r.Next(t.Context())
					if err != nil {
						t.Fatal(err)
					}
					if got += f.Count; got < test.n {
						bytes += f.Bytes // the last answer's share of the time is still to come
					}
				}
				took := time.Since(began)
				r.Close()
				if len(d.calls) != 1 || late < 3 {
					t.Errorf("answers of Kinesis: %v, %d calls late", d.calls, late)
				}
				if rate := float64(bytes) / took.Seconds(); rate < test.least {
					t.Errorf("%.0f bytes a second", rate)
				}
			})
		})
	}
}
