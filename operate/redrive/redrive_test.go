package redrive_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/md5"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"aws-streaming-pipeline/internal/awshttp"
	"aws-streaming-pipeline/internal/localbucket"
	"aws-streaming-pipeline/internal/localstream"
	"aws-streaming-pipeline/operate/objects"
	"aws-streaming-pipeline/operate/redrive"
	"aws-streaming-pipeline/record"
)

const (
	bucketName = "out"
	streamName = "trips"
)

// site is a bucket with error objects and a stream.
type site struct {
	t       *testing.T
	s3      *s3.Client
	kinesis *kinesis.Client
	stream  *localstream.Server
	faults  *localstream.Faults
	runs    int
}

func newSite(t *testing.T) *site {
	t.Helper()
	s := &site{t: t, faults: localstream.NewFaults(1)}
	bucket, err := localbucket.Start("127.0.0.1:0", t.TempDir())
	must(t, err)
	t.Cleanup(func() { bucket.Close() })
	must(t, bucket.CreateBucket(bucketName))
	s.stream, err = localstream.Start("127.0.0.1:0", localstream.Options{Faults: s.faults})
	must(t, err)
	t.Cleanup(func() { s.stream.Close() })
	must(t, s.stream.CreateStream(streamName, 2))
	test := credentials.NewStaticCredentialsProvider("test", "test", "")
	s.s3 = s3.New(s3.Options{Region: "us-east-1", Credentials: test, BaseEndpoint: aws.String(bucket.URL()), UsePathStyle: true, HTTPClient: awshttp.Keep(nil)})
	s.kinesis = kinesis.New(kinesis.Options{Region: "us-east-1", Credentials: test, BaseEndpoint: aws.String(s.stream.URL()), HTTPClient: awshttp.Keep(nil)})
	return s
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

var arrival = time.Date(2026, 3, 14, 9, 0, 0, 0, time.UTC)

// failed returns the n-th faulty record; every third has another code.
func failed(n int) record.Record {
	code := record.CodeJSONMalformed
	if n%3 == 0 {
		code = record.CodeJSONEmpty
	}
	return record.Record{
		Shard: "shardId-000000000000", SequenceNumber: fmt.Sprint(1000 + n), PartitionKey: fmt.Sprint("key-", n),
		Arrival: arrival.Add(time.Duration(n) * time.Second), Data: fmt.Appendf(nil, "payload %d", n),
		Fault: &record.Fault{Type: record.ProcessingFailed, Code: code, Message: "planted"},
	}
}

func errorLines(records ...record.Record) []byte {
	var b []byte
	for i := range records {
		b = record.AppendErrorLine(b, &records[i], records[i].Fault, record.Attempt{Count: 1, Ended: arrival})
	}
	return b
}

// plant writes an error object with records first to last.
func (s *site) plant(key string, first, last int) {
	s.t.Helper()
	var list []record.Record
	for n := first; n <= last; n++ {
		list = append(list, failed(n))
	}
	s.put(key, errorLines(list...))
}

func (s *site) put(key string, body []byte) {
	s.t.Helper()
	if strings.HasSuffix(key, ".gz") {
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		_, err := z.Write(body)
		must(s.t, errors.Join(err, z.Close()))
		body = b.Bytes()
	}
	_, err := s.s3.PutObject(s.t.Context(), &s3.PutObjectInput{Bucket: aws.String(bucketName), Key: &key, Body: bytes.NewReader(body)})
	must(s.t, err)
}

func (s *site) config() redrive.Config {
	s.runs++
	return redrive.Config{
		Bucket: bucketName, Prefix: "errors/", MarkerPrefix: "redriven/", Stream: streamName, Run: fmt.Sprint("run-", s.runs),
	}
}

// redrive runs to the end.
func (s *site) redrive(change func(*redrive.Config)) redrive.Report {
	s.t.Helper()
	c := s.config()
	if change != nil {
		change(&c)
	}
	r, err := redrive.Run(s.t.Context(), s.s3, s.kinesis, c)
	must(s.t, err)
	return r
}

// sent counts the records of the stream by payload.
func (s *site) sent() map[string]int {
	s.t.Helper()
	counts := make(map[string]int)
	for _, r := range s.records() {
		counts[string(r.Data)]++
	}
	return counts
}

func (s *site) records() []localstream.Record {
	s.t.Helper()
	shards, err := s.stream.Shards(streamName)
	must(s.t, err)
	var list []localstream.Record
	for _, shard := range shards {
		list = slices.AppendSeq(list, s.stream.Records(streamName, shard.ID))
	}
	return list
}

// wantOnce checks that payloads first to last were sent once each, and nothing else was.
func (s *site) wantOnce(first, last int) {
	s.t.Helper()
	counts := s.sent()
	for n := first; n <= last; n++ {
		if got := counts[fmt.Sprint("payload ", n)]; got != 1 {
			s.t.Errorf("payload %d was sent %d times", n, got)
		}
	}
	if len(counts) != last-first+1 {
		s.t.Errorf("%d payloads were sent, want %d", len(counts), last-first+1)
	}
}

func (s *site) keys(prefix string) []string {
	s.t.Helper()
	var keys []string
	for o, err := range (objects.Bucket{API: s.s3, Name: bucketName}).List(s.t.Context(), prefix, "") {
		must(s.t, err)
		keys = append(keys, *o.Key)
	}
	return keys
}

func want[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

func TestRun_SendsEachLineOnceHoweverOftenItRuns(t *testing.T) {
	s := newSite(t)
	s.plant("errors/a.jsonl", 1, 1200)
	s.plant("errors/b.jsonl.gz", 1201, 1300)
	first := s.redrive(nil)
	want(t, "sent", first.Sent, 1300)
	want(t, "objects", first.Objects, 2)
	second := s.redrive(nil)
	want(t, "sent by the second run", second.Sent, 0)
	want(t, "sent before", second.SentBefore, 1300)
	want(t, "settled", second.Settled(), true)
	s.wantOnce(1, 1300)
	want(t, "markers", len(s.keys("redriven/trips/errors/")), 4)
	s.plant("errors/c.jsonl", 1301, 1310)
	want(t, "sent of a new object", s.redrive(nil).Sent, 10)
	s.wantOnce(1, 1310)
}

func TestRun_SendsThePayloadAsItWasWithItsKeys(t *testing.T) {
	s := newSite(t)
	// The hash key belongs to the second shard, whatever the partition key.
	hashed := failed(1)
	hashed.ExplicitHashKey = "340282366920938463463374607431768211455"
	hashed.Aggregated, hashed.SubSequence = true, 4
	split := failed(2)
	split.Split, split.Part = true, 1
	binary := failed(3)
	binary.Data = []byte("\x00\xff\n\"")
	empty := failed(4)
	empty.Data = []byte{}
	keyless := failed(5)
	keyless.PartitionKey, keyless.Aggregated = "", true
	converted := failed(6)
	converted.Fault = &record.Fault{Type: record.FormatConversionFailed, Code: "Column.Type", Message: "planted"}
	s.put("errors/ours.jsonl", errorLines(hashed, split, binary, empty, keyless, converted))
	// Firehose's own lines name no keys.
	s.put("errors/firehose", []byte(`{"attemptsMade":4,"arrivalTimestamp":1773478800000,"errorCode":"Lambda.FunctionError","errorMessage":"x","attemptEndingTimestamp":1773478800000,"rawData":"RmlyZWhvc2U="}`))
	want(t, "sent", s.redrive(nil).Sent, 7)

	got := make(map[string]string)
	for _, r := range s.records() {
		got[string(r.Data)] = r.PartitionKey
	}
	for data, key := range map[string]string{
		"payload 1": "key-1", "payload 2": "key-2", "\x00\xff\n\"": "key-3", "": "key-4",
		"payload 6": "key-6",
		// Lines without a key use the digest of the payload.
		"payload 5": fmt.Sprintf("%x", md5.Sum([]byte("payload 5"))), "Firehose": fmt.Sprintf("%x", md5.Sum([]byte("Firehose"))),
	} {
		if sent, ok := got[data]; !ok || sent != key {
			t.Errorf("payload %q was sent under key %q (%v), want %q", data, sent, ok, key)
		}
	}
	shards, err := s.stream.Shards(streamName)
	must(t, err)
	if !slices.ContainsFunc(slices.Collect(s.stream.Records(streamName, shards[1].ID)), func(r localstream.Record) bool { return string(r.Data) == "payload 1" }) {
		t.Error("the explicit hash key was not sent")
	}
}

func TestRun_SendsWhatTheFilterNamesAndTheRestLater(t *testing.T) {
	s := newSite(t)
	s.plant("errors/a.jsonl", 1, 900)
	r := s.redrive(func(c *redrive.Config) { c.Codes = []string{record.CodeJSONEmpty} })
	want(t, "sent with one code", r.Sent, 300)
	r = s.redrive(func(c *redrive.Config) { c.From, c.To = arrival.Add(10*time.Second), arrival.Add(20*time.Second) })
	want(t, "sent of ten seconds", r.Sent, 7) // 10 to 19 without 12, 15, 18
	want(t, "sent before", r.SentBefore, 3)
	want(t, "the rest", s.redrive(nil).Sent, 900-300-7)
	s.wantOnce(1, 900)
}

// Records that a database has refused are in data files: only who names their code sends them again.
func TestRun_SendsWhatIsInFilesOnlyByItsCode(t *testing.T) {
	s := newSite(t)
	r := failed(1)
	r.Fault = &record.Fault{Type: record.PostgresFailed, Code: "Postgres.Refused", Message: "SQLSTATE 23514"}
	s.put("errors/a.jsonl", errorLines(r, failed(2)))
	report := s.redrive(nil)
	want(t, "sent", report.Sent, 1)
	want(t, "left alone", report.InFiles, 1)
	want(t, "sent by its code", s.redrive(func(c *redrive.Config) { c.Codes = []string{"Postgres.Refused"} }).Sent, 1)
	s.wantOnce(1, 2)
}

func TestRun_DryRunWritesNothing(t *testing.T) {
	s := newSite(t)
	s.plant("errors/a.jsonl", 1, 600)
	r := s.redrive(func(c *redrive.Config) { c.DryRun = true })
	want(t, "not sent", r.Unsent, 600)
	want(t, "with one code", r.Codes[record.CodeJSONEmpty].Lines, 200)
	want(t, "settled", r.Settled(), true)
	want(t, "records in the stream", len(s.records()), 0)
	want(t, "markers", len(s.keys("redriven/")), 0)
}

func TestRun_SendsAgainWhatKinesisThrottled(t *testing.T) {
	s := newSite(t)
	s.plant("errors/a.jsonl", 1, 1000)
	for _, rule := range []localstream.Rule{
		{Kind: localstream.Throttle, Operation: "PutRecords", Nth: 1},
		{Kind: localstream.ThrottleEntries, Operation: "PutRecords", Nth: 2, Entries: 200},
		{Kind: localstream.FailEntries, Operation: "PutRecords", Nth: 3, Entries: 50},
	} {
		s.faults.Plant(rule)
	}
	want(t, "sent", s.redrive(nil).Sent, 1000)
	s.wantOnce(1, 1000)
	if unhit := s.faults.Unhit(); len(unhit) > 0 {
		t.Errorf("faults that were not met: %q", unhit)
	}
}

func TestRun_LeavesARecordThatKinesisRefusesAndSendsItsNeighbours(t *testing.T) {
	s := newSite(t)
	large := failed(2)
	large.Data = bytes.Repeat([]byte("x"), 1<<20+1)
	long := failed(3)
	long.PartitionKey = strings.Repeat("k", 257)
	s.put("errors/a.jsonl", errorLines(failed(1), large, long, failed(4)))
	s.put("errors/b.jsonl", []byte("no JSON\n\n"))
	for range 2 {
		r := s.redrive(nil)
		want(t, "refused", r.Refused, 2)
		want(t, "not sent", r.Unsent, 0)
		want(t, "unreadable", r.Unreadable, 1)
		want(t, "problems named", len(r.Problems), 3)
		want(t, "settled", r.Settled(), false)
	}
	if counts := s.sent(); counts["payload 1"] != 1 || counts["payload 4"] != 1 || len(counts) != 2 {
		t.Errorf("sent: %v", slices.Collect(maps.Keys(counts)))
	}
}

func TestRun_StopsWithoutDoubtWhereItMayNotWrite(t *testing.T) {
	s := newSite(t)
	s.plant("errors/a.jsonl", 1, 10)
	c := s.config()
	c.Stream = "another"
	r, err := redrive.Run(t.Context(), s.s3, s.kinesis, c)
	if err == nil || r.Sent+r.Doubt != 0 || r.Unsent != 10 {
		t.Errorf("error %v, report %+v", err, r)
	}
	must(t, s.stream.CreateStream("another", 1))
	want(t, "sent later", s.redrive(func(c *redrive.Config) { c.Stream = "another" }).Sent, 10)
	want(t, "sent to the stream of the others", s.redrive(nil).Sent, 10)
}

// The outcome of a call whose answer is lost is unknown. Its lines are in doubt, and no others.
func TestRun_LeavesLinesInDoubtWhoseAnswerWasLost(t *testing.T) {
	for _, test := range []struct {
		name    string
		kind    localstream.FaultKind
		decide  redrive.Decision
		applied int // how often each line in doubt is in the stream in the end
	}{
		{"applied, then sent again", localstream.LostAnswer, redrive.Send, 2},
		{"not applied, then sent again", localstream.LostRequest, redrive.Send, 1},
		{"applied, then given up", localstream.LostAnswer, redrive.Skip, 1},
		{"not applied, then given up", localstream.LostRequest, redrive.Skip, 0},
		{"failed in Kinesis, then sent again", localstream.ServerError, redrive.Send, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newSite(t)
			s.plant("errors/a.jsonl", 1, 1200)
			fault := s.faults.Plant(localstream.Rule{Kind: test.kind, Operation: "PutRecords", Nth: 2})
			r, err := redrive.Run(t.Context(), s.s3, s.kinesis, s.config())
			if !errors.Is(err, redrive.ErrLostAnswer) || fault.Hits() != 1 || r.Sent != 500 || r.Doubt != 500 || r.Settled() {
				t.Fatalf("error %v after %d hits, report %+v", err, fault.Hits(), r)
			}
			r = s.redrive(nil)
			want(t, "sent by the next run", r.Sent, 200)
			want(t, "still in doubt", r.Doubt, 500)
			want(t, "named", r.Doubts[0].Lines, "500-999")
			r = s.redrive(func(c *redrive.Config) { c.InDoubt = test.decide })
			want(t, "in doubt after the decision", r.Doubt, 0)
			s.redrive(func(c *redrive.Config) { c.InDoubt = test.decide }) // changes nothing
			counts := s.sent()
			for n := 1; n <= 1200; n++ {
				expected := 1
				if n > 500 && n <= 1000 {
					expected = test.applied
				}
				if got := counts[fmt.Sprint("payload ", n)]; got != expected {
					t.Fatalf("payload %d was sent %d times, want %d", n, got, expected)
				}
			}
		})
	}
}

// stopping ends the run's context during the n-th call.
type stopping struct {
	*kinesis.Client
	stop  context.CancelFunc
	after int
	calls int
}

func (s *stopping) PutRecords(ctx context.Context, in *kinesis.PutRecordsInput, o ...func(*kinesis.Options)) (*kinesis.PutRecordsOutput, error) {
	if s.calls++; s.calls == s.after {
		s.stop()
	}
	return s.Client.PutRecords(ctx, in, o...)
}

func TestRun_AnInterruptionLeavesNoDoubt(t *testing.T) {
	for after := 1; after <= 3; after++ {
		s := newSite(t)
		s.plant("errors/a.jsonl", 1, 1200)
		ctx, cancel := context.WithCancel(t.Context())
		r, err := redrive.Run(ctx, s.s3, &stopping{Client: s.kinesis, stop: cancel, after: after}, s.config())
		if !errors.Is(err, context.Canceled) && after < 3 || r.Doubt > 0 {
			t.Errorf("stopped in call %d: error %v, report %+v", after, err, r)
		}
		want(t, "sent before the stop", r.Sent, min(int64(500*after), 1200))
		r = s.redrive(nil)
		want(t, "in doubt", r.Doubt, 0)
		s.wantOnce(1, 1200)
	}
}

// dying is a bucket that fails from the n-th put on, before or after that put is applied, as if the process died.
type dying struct {
	*s3.Client
	after   int
	applied bool
	puts    int
}

var errDied = errors.New("the process died")

func (d *dying) PutObject(ctx context.Context, in *s3.PutObjectInput, o ...func(*s3.Options)) (*s3.PutObjectOutput, error) {
	if d.puts++; d.puts < d.after || d.puts == d.after && d.applied {
		out, err := d.Client.PutObject(ctx, in, o...)
		if err != nil || d.puts < d.after {
			return out, err
		}
	}
	return nil, errDied
}

func (d *dying) GetObject(ctx context.Context, in *s3.GetObjectInput, o ...func(*s3.Options)) (*s3.GetObjectOutput, error) {
	if d.puts >= d.after {
		return nil, errDied
	}
	return d.Client.GetObject(ctx, in, o...)
}

// Puts are: claim, outcome, claim, outcome, ... A process that dies at any point duplicates nothing, and what it may have
// sent is in doubt.
func TestRun_ACrashDoublesNothingAndForgetsNothing(t *testing.T) {
	for after := 1; after <= 6; after++ {
		for _, applied := range []bool{false, true} {
			t.Run(fmt.Sprintf("put %d, applied %v", after, applied), func(t *testing.T) {
				s := newSite(t)
				s.plant("errors/a.jsonl", 1, 1200)
				d := &dying{Client: s.s3, after: after, applied: applied}
				if _, err := redrive.Run(t.Context(), d, s.kinesis, s.config()); !errors.Is(err, errDied) {
					t.Fatalf("error %v", err)
				}
				r := s.redrive(nil)
				counts := s.sent()
				if bound := int64(redrive.ChunkLines); r.Doubt > bound {
					t.Errorf("%d lines in doubt, at most %d can be", r.Doubt, bound)
				}
				missing := 1200 - len(counts)
				if int64(missing) > r.Doubt {
					t.Errorf("%d lines are not in the stream, %d are in doubt", missing, r.Doubt)
				}
				for payload, n := range counts {
					if n > 1 {
						t.Errorf("%s was sent %d times", payload, n)
					}
				}
				want(t, "all accounted for", r.Sent+r.SentBefore+r.Doubt, 1200)
			})
		}
	}
}

// forgetful is a bucket that loses the first answer to each put, after applying it.
type forgetful struct {
	*s3.Client
	lost int
	last string
}

func (f *forgetful) PutObject(ctx context.Context, in *s3.PutObjectInput, o ...func(*s3.Options)) (*s3.PutObjectOutput, error) {
	out, err := f.Client.PutObject(ctx, in, o...)
	if id := *in.Key + aws.ToString(in.IfMatch); err == nil && id != f.last {
		f.last = id
		f.lost++
		return nil, errors.New("connection reset")
	}
	return out, err
}

func TestRun_RecognisesAMarkerWhoseAnswerWasLost(t *testing.T) {
	s := newSite(t)
	s.plant("errors/a.jsonl", 1, 700)
	f := &forgetful{Client: s.s3}
	r, err := redrive.Run(t.Context(), f, s.kinesis, s.config())
	must(t, err)
	want(t, "answers lost", f.lost, 4)
	want(t, "sent", r.Sent, 700)
	s.wantOnce(1, 700)
}

func TestRun_RefusesAnObjectWhoseContentHasChanged(t *testing.T) {
	s := newSite(t)
	s.plant("errors/a.jsonl", 1, 10)
	s.redrive(nil)
	s.plant("errors/a.jsonl", 2, 10)
	if _, err := redrive.Run(t.Context(), s.s3, s.kinesis, s.config()); err == nil || !strings.Contains(err.Error(), "another version of the object") {
		t.Errorf("error %v", err)
	}
	s.wantOnce(1, 10)
}

// Concurrent runs share the chunks: none sends what another has claimed.
func TestRun_SeveralAtOnceSendNothingTwice(t *testing.T) {
	s := newSite(t)
	for n := range 6 {
		s.plant(fmt.Sprintf("errors/%d.jsonl", n), 1+700*n, 700+700*n)
	}
	var wg sync.WaitGroup
	for range 3 {
		c := s.config()
		wg.Go(func() {
			if _, err := redrive.Run(t.Context(), s.s3, s.kinesis, c); err != nil {
				t.Errorf("%s: %v", c.Run, err)
			}
		})
	}
	wg.Wait()
	want(t, "in doubt when all have ended", s.redrive(nil).Doubt, 0)
	s.wantOnce(1, 4200)
}

// Whatever fails, in the bucket and in the stream, no line is sent twice, and each is sent, in doubt or still to be sent.
// Giving up loses only lines in doubt that are not in the stream.
func TestRun_AtRandom(t *testing.T) {
	const lines = 900
	hits := 0
	for seed := range uint64(12) {
		rng := rand.New(rand.NewPCG(seed, 7))
		s := newSite(t)
		s.plant("errors/a.jsonl", 1, lines/2)
		s.plant("errors/b.jsonl.gz", lines/2+1, lines)
		for range 4 {
			s.faults.Clear()
			kinds := []localstream.FaultKind{localstream.Throttle, localstream.ThrottleEntries, localstream.LostAnswer, localstream.LostRequest, localstream.ServerError}
			fault := s.faults.Plant(localstream.Rule{Kind: kinds[rng.IntN(len(kinds))], Operation: "PutRecords", Probability: 0.3, Entries: 100})
			d := &dying{Client: s.s3, after: 1 + rng.IntN(8), applied: rng.IntN(2) == 0}
			c := s.config()
			if rng.IntN(2) == 0 {
				c.Codes = []string{record.CodeJSONEmpty}
			}
			_, err := redrive.Run(t.Context(), d, s.kinesis, c)
			if err != nil && !errors.Is(err, errDied) && !errors.Is(err, redrive.ErrLostAnswer) {
				t.Fatalf("seed %d: %v", seed, err)
			}
			hits += fault.Hits()
		}
		s.faults.Clear()
		r := s.redrive(nil)
		want(t, fmt.Sprintf("seed %d: accounted for", seed), r.Sent+r.SentBefore+r.Doubt, lines)
		counts := s.sent()
		for payload, n := range counts {
			if n > 1 {
				t.Fatalf("seed %d: %s was sent %d times", seed, payload, n)
			}
		}
		if missing := int64(lines - len(counts)); missing > r.Doubt {
			t.Fatalf("seed %d: %d lines are not in the stream, %d are in doubt", seed, missing, r.Doubt)
		}
	}
	if hits == 0 {
		t.Error("no fault was met")
	}
}

func TestConfig_NamesEveryFault(t *testing.T) {
	_, err := redrive.Run(t.Context(), nil, nil, redrive.Config{InDoubt: "maybe", Rate: -1})
	if err == nil {
		t.Fatal("the configuration was taken")
	}
	for _, part := range []string{"bucket", "stream", "run", "markers", "rate", "maybe"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q is not named in: %v", part, err)
		}
	}
}
