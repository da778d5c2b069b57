package localstream_test

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"aws-streaming-pipeline/internal/localstream"
)

// eachTransport runs a test with a client over HTTP/1.1, and with one over HTTP/2 and TLS.
func eachTransport(t *testing.T, test func(*testing.T, func(localstream.Options) *fan)) {
	t.Run("HTTP/1.1", func(t *testing.T) {
		test(t, func(options localstream.Options) *fan { return newFan(t, options, 1) })
	})
	t.Run("HTTP/2", func(t *testing.T) {
		test(t, func(options localstream.Options) *fan {
			f := newFan(t, options, 1)
			server := httptest.NewUnstartedServer(f.Kinesis)
			server.EnableHTTP2 = true
			server.StartTLS()
			t.Cleanup(server.Close)
			f.options = clientOptions(server.URL)
			f.options.HTTPClient = server.Client()
			f.client = kinesis.New(f.options)
			return f
		})
	})
}

// fan is a bench with a registered consumer.
type fan struct {
	*bench
	options  kinesis.Options
	consumer string
}

func newFan(tb testing.TB, options localstream.Options, shards int) *fan {
	tb.Helper()
	b := newBench(tb, options, shards)
	return &fan{bench: b, options: clientOptions(b.URL()), consumer: b.mustRegister("archive")}
}

// subscribe begins a subscription that ends with the test. It has a client of its own, since the streams of one share a
// decoder without a lock (https://github.com/aws/smithy-go/issues/714).
func (f *fan) subscribe(shard int, from types.StartingPosition) (*kinesis.SubscribeToShardEventStream, error) {
	ctx, cancel := context.WithCancel(context.Background())
	out, err := kinesis.New(f.options).SubscribeToShard(ctx, &kinesis.SubscribeToShardInput{
		ConsumerARN: &f.consumer, ShardId: aws.String(shardAt(shard)), StartingPosition: &from,
	})
	if err != nil {
		cancel()
		return nil, err
	}
	stream := out.GetStream()
	f.tb.Cleanup(func() {
		cancel()
		_ = stream.Close()
	})
	return stream, nil
}

func (f *fan) mustSubscribe(shard int, from types.StartingPosition) *kinesis.SubscribeToShardEventStream {
	f.tb.Helper()
	stream, err := f.subscribe(shard, from)
	if err != nil {
		f.tb.Fatal(err)
	}
	return stream
}

var fromHorizon = types.StartingPosition{Type: types.ShardIteratorTypeTrimHorizon}

func after(sequence *string) types.StartingPosition {
	return types.StartingPosition{Type: types.ShardIteratorTypeAfterSequenceNumber, SequenceNumber: sequence}
}

// patience bounds the wait for one event, on a busy machine as well.
const patience = 2 * time.Minute

// event returns the next event, or nil at the end of the stream.
func event(tb testing.TB, stream *kinesis.SubscribeToShardEventStream) *types.SubscribeToShardEvent {
	tb.Helper()
	select {
	case e, ok := <-stream.Events():
		if !ok {
			return nil
		}
		value := e.(*types.SubscribeToShardEventStreamMemberSubscribeToShardEvent).Value
		return &value
	case <-time.After(patience):
		tb.Fatal("no event")
		return nil
	}
}

// read collects the records of events until as many are there, or the stream is at its end, and returns the last event.
func read(tb testing.TB, stream *kinesis.SubscribeToShardEventStream, records int) (text string, last *types.SubscribeToShardEvent) {
	tb.Helper()
	var all []types.Record
	for len(all) < records {
		e := event(tb, stream)
		if e == nil {
			break
		}
		all, last = append(all, e.Records...), e
	}
	return payloads(all), last
}

// ended checks that only events without records follow, and how the stream ends.
func ended(tb testing.TB, stream *kinesis.SubscribeToShardEventStream, with func(error) bool) {
	tb.Helper()
	for {
		e := event(tb, stream)
		if e == nil {
			break
		}
		if len(e.Records) > 0 {
			tb.Errorf("%s after the end", payloads(e.Records))
		}
	}
	if err := stream.Err(); !with(err) {
		tb.Errorf("the stream ends with %v", err)
	}
}

func TestSubscription_PushesWhatIsThereAndWhatComes(t *testing.T) {
	eachTransport(t, func(t *testing.T, start func(localstream.Options) *fan) {
		f := start(localstream.Options{FanOutIdle: time.Hour})
		keys := []string{"plain", `quo"te\back`, "tab\tand\nline", "ключ", "<&>\u2028", "🚕"}
		puts := 0
		put := func() string {
			text := strconv.Itoa(puts)
			_, sequence, err := f.Put(trips, localstream.Entry{PartitionKey: keys[puts%len(keys)], Data: []byte(text)})
			if err != nil {
				t.Fatal(err)
			}
			puts++
			return sequence
		}
		for range 10 {
			put()
		}
		stream := f.mustSubscribe(0, fromHorizon)
		text, last := read(t, stream, 10)
		if text != "0,1,2,3,4,5,6,7,8,9" {
			t.Errorf("what is there: %s", text)
		}
		for range 20 {
			sequence := put()
			var e *types.SubscribeToShardEvent
			if text, e = read(t, stream, 1); e == nil {
				t.Fatalf("the stream ends: %v", stream.Err())
			}
			if text != strconv.Itoa(puts-1) || *e.MillisBehindLatest != 0 || *e.ContinuationSequenceNumber != sequence || e.ChildShards != nil {
				t.Fatalf("record %d comes as %s, %+v", puts-1, text, e)
			}
			r := e.Records[0]
			if *r.SequenceNumber != sequence || *r.PartitionKey != keys[(puts-1)%len(keys)] || time.Since(*r.ApproximateArrivalTimestamp).Abs() > time.Minute {
				t.Errorf("record %+v", r)
			}
		}
		if *last.ContinuationSequenceNumber >= *readBehind(t, f, last).ContinuationSequenceNumber {
			t.Error("the continuation does not grow")
		}
	})
}

// readBehind reads on after an event with another consumer, which gets the same records.
func readBehind(t *testing.T, f *fan, e *types.SubscribeToShardEvent) *types.SubscribeToShardEvent {
	other := &fan{bench: f.bench, options: f.options, consumer: f.mustRegister("other")}
	text, last := read(t, other.mustSubscribe(0, after(e.ContinuationSequenceNumber)), 20)
	if text != "10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29" {
		t.Errorf("another consumer, behind the continuation: %s", text)
	}
	return last
}

func TestSubscription_StartsWhereItIsTold(t *testing.T) {
	clock := newClock()
	f := newFan(t, localstream.Options{Clock: clock.Now, FanOutIdle: time.Millisecond}, 2)
	var sequences []string
	for i := range 4 {
		if i == 2 {
			clock.advance(time.Minute)
		}
		_, sequence, err := f.Put(trips, localstream.Entry{PartitionKey: "k", ExplicitHashKey: "0", Data: []byte(strconv.Itoa(i))})
		if err != nil {
			t.Fatal(err)
		}
		sequences = append(sequences, sequence)
	}
	state := f.shard(0)
	tests := []struct {
		name string
		from types.StartingPosition
		want string
	}{
		{"TRIM_HORIZON", fromHorizon, "0,1,2,3"},
		{"LATEST", types.StartingPosition{Type: types.ShardIteratorTypeLatest}, ""},
		{"AT_SEQUENCE_NUMBER", types.StartingPosition{Type: types.ShardIteratorTypeAtSequenceNumber, SequenceNumber: &sequences[1]}, "1,2,3"},
		{"AFTER_SEQUENCE_NUMBER", after(&sequences[1]), "2,3"},
		{"AFTER_SEQUENCE_NUMBER the last", after(&state.Last), ""},
		{"AT_TIMESTAMP", types.StartingPosition{Type: types.ShardIteratorTypeAtTimestamp, Timestamp: aws.Time(clock.Now())}, "2,3"},
		{"AT_TIMESTAMP before all", types.StartingPosition{Type: types.ShardIteratorTypeAtTimestamp, Timestamp: aws.Time(clock.Now().Add(-time.Hour))}, "0,1,2,3"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			clock.advance(5 * time.Second)
			stream := f.mustSubscribe(0, test.from)
			if e := event(t, stream); payloads(e.Records) != test.want {
				t.Errorf("%q, not %q", payloads(e.Records), test.want)
			}
		})
	}
	refusals := []struct {
		name string
		from types.StartingPosition
	}{
		{"a time in the future", types.StartingPosition{Type: types.ShardIteratorTypeAtTimestamp, Timestamp: aws.Time(clock.Now().Add(time.Hour))}},
		{"no time", types.StartingPosition{Type: types.ShardIteratorTypeAtTimestamp}},
		{"no number", types.StartingPosition{Type: types.ShardIteratorTypeAtSequenceNumber}},
	}
	clock.advance(5 * time.Second)
	for _, test := range refusals {
		if _, err := f.subscribe(0, test.from); !is[*types.InvalidArgumentException](err) {
			t.Errorf("%s: %v", test.name, err)
		}
	}
	if _, err := f.subscribe(1, after(&sequences[0])); !is[*types.InvalidArgumentException](err) {
		t.Errorf("a number of another shard: %v", err)
	}
	if _, err := f.subscribe(7, fromHorizon); !is[*types.ResourceNotFoundException](err) {
		t.Errorf("an unknown shard: %v", err)
	}
	f.consumer += "1"
	if _, err := f.subscribe(0, fromHorizon); !is[*types.ResourceNotFoundException](err) {
		t.Errorf("an unknown consumer: %v", err)
	}
}

// Subscriptions that end while records arrive, each continued by the next one: nothing is lost or duplicated, even if a
// subscription delivered no record.
func TestSubscription_ContinuesBehindTheLastEvent(t *testing.T) {
	eachTransport(t, func(t *testing.T, start func(localstream.Options) *fan) {
		f := start(localstream.Options{SubscriptionLife: 60 * time.Millisecond, SubscribeInterval: 1, FanOutIdle: 10 * time.Millisecond})
		const records = 200
		from := types.StartingPosition{Type: types.ShardIteratorTypeLatest}
		put := make(chan error, 1)
		first := true
		var met []types.Record
		empty := 0
		for len(met) < records || empty < 3 {
			stream := f.mustSubscribe(0, from)
			got := 0
			for e := event(t, stream); e != nil; e = event(t, stream) {
				met = append(met, e.Records...)
				got += len(e.Records)
				from = after(e.ContinuationSequenceNumber)
			}
			if err := stream.Err(); err != nil {
				t.Fatal(err)
			}
			if got == 0 {
				empty++
			}
			if first {
				first = false
				go func() {
					for i := range records {
						if _, _, err := f.Put(trips, localstream.Entry{PartitionKey: "k", Data: []byte(strconv.Itoa(i))}); err != nil {
							put <- err
							return
						}
						time.Sleep(time.Millisecond)
					}
					put <- nil
				}()
			}
		}
		if err := <-put; err != nil {
			t.Fatal(err)
		}
		for i, r := range met {
			if string(r.Data) != strconv.Itoa(i) {
				t.Fatalf("record %d is %s", i, r.Data)
			}
		}
		if len(met) != records {
			t.Errorf("%d records", len(met))
		}
	})
}

func TestSubscription_TellsTheChildrenAtTheEnd(t *testing.T) {
	eachTransport(t, func(t *testing.T, start func(localstream.Options) *fan) {
		f := start(localstream.Options{SubscribeInterval: 1, FanOutIdle: time.Hour})
		f.mustPut("before")
		stream := f.mustSubscribe(0, fromHorizon)
		text, last := read(t, stream, 1)
		if text != "before" || last.ChildShards != nil {
			t.Errorf("%s, %+v", text, last)
		}
		_, err := f.client.SplitShard(t.Context(), &kinesis.SplitShardInput{
			StreamName: aws.String(trips), ShardToSplit: aws.String(shardAt(0)), NewStartingHashKey: aws.String("1000"),
		})
		if err != nil {
			t.Fatal(err)
		}
		children := func(e *types.SubscribeToShardEvent) string {
			if e == nil || e.ContinuationSequenceNumber != nil {
				return fmt.Sprintf("%+v", e)
			}
			var texts []string
			for _, child := range e.ChildShards {
				texts = append(texts, fmt.Sprintf("%s of %s from %s", *child.ShardId, strings.Join(child.ParentShards, "+"), *child.HashKeyRange.StartingHashKey))
			}
			return strings.Join(texts, ", ")
		}
		if met := children(event(t, stream)); met != "shardId-000000000001 of shardId-000000000000 from 0, shardId-000000000002 of shardId-000000000000 from 1000" {
			t.Errorf("after the split %s", met)
		}
		ended(t, stream, none)

		left := f.mustSubscribe(1, types.StartingPosition{Type: types.ShardIteratorTypeLatest})
		if _, _, err := f.Put(trips, localstream.Entry{PartitionKey: "k", ExplicitHashKey: "1", Data: []byte("left")}); err != nil {
			t.Fatal(err)
		}
		if err := (&stand{ctx: t.Context(), client: f.client}).merge(trips, 1, 2); err != nil {
			t.Fatal(err)
		}
		text = ""
		for e := event(t, left); e != nil; e = event(t, left) {
			text, last = text+payloads(e.Records), e
		}
		merged := "shardId-000000000003 of shardId-000000000001+shardId-000000000002 from 0"
		if met := children(last); text != "left" || met != merged {
			t.Errorf("after the merge %q, %s", text, met)
		}
		// A late subscriber gets records and children too.
		text, last = read(t, f.mustSubscribe(1, fromHorizon), 1)
		if met := children(last); text != "left" || met != merged {
			t.Errorf("late: %q, %s", text, met)
		}
	})
}

func TestSubscription_SplitsLargeAmountsIntoEvents(t *testing.T) {
	eachTransport(t, func(t *testing.T, start func(localstream.Options) *fan) {
		f := start(localstream.Options{})
		const records, size = 20, 150 << 10
		for i := range records {
			data := []byte(strings.Repeat(strconv.Itoa(i%10), size))
			if _, _, err := f.Put(trips, localstream.Entry{PartitionKey: "k", Data: data}); err != nil {
				t.Fatal(err)
			}
		}
		stream := f.mustSubscribe(0, fromHorizon)
		count, events := 0, 0
		for count < records {
			e := event(t, stream)
			for _, r := range e.Records {
				if len(r.Data) != size || string(r.Data[:1]) != strconv.Itoa(count%10) {
					t.Fatalf("record %d has %d bytes of %s", count, len(r.Data), r.Data[:1])
				}
				count++
			}
			if len(e.Records) > 6 || len(e.Records) == 0 {
				t.Errorf("%d records of %d bytes in an event", len(e.Records), size)
			}
			if behind := *e.MillisBehindLatest > 0; behind != (count < records) {
				t.Errorf("%d milliseconds behind after %d records", *e.MillisBehindLatest, count)
			}
			events++
		}
	})
}

func TestSubscription_IsTakenOverAfterItsInterval(t *testing.T) {
	eachTransport(t, func(t *testing.T, start func(localstream.Options) *fan) {
		clock := newClock()
		f := start(localstream.Options{Clock: clock.Now, FanOutIdle: time.Hour})
		first := f.mustSubscribe(0, fromHorizon)
		clock.advance(5*time.Second - time.Millisecond)
		if _, err := f.subscribe(0, fromHorizon); !is[*types.ResourceInUseException](err) {
			t.Errorf("within five seconds: %v", err)
		}
		f.mustPut("to the first")
		if text, _ := read(t, first, 1); text != "to the first" {
			t.Errorf("the first gets %q", text)
		}
		clock.advance(time.Millisecond)
		second := f.mustSubscribe(0, types.StartingPosition{Type: types.ShardIteratorTypeLatest})
		ended(t, first, is[*types.ResourceInUseException])
		f.mustPut("to the second")
		if text, _ := read(t, second, 1); text != "to the second" {
			t.Errorf("the second gets %q", text)
		}
		// The interval counts from the success, whether or not the subscription is running.
		_ = second.Close()
		if _, err := f.subscribe(0, fromHorizon); !is[*types.ResourceInUseException](err) {
			t.Errorf("after the second is closed: %v", err)
		}
	})
}

func TestSubscription_EndsWithItsConsumerOrStream(t *testing.T) {
	acts := map[string]func(*fan) error{
		"deregistered": func(f *fan) error { return f.deregister(f.consumer) },
		"stream deleted": func(f *fan) error {
			_, err := f.client.DeleteStream(f.ctx(), &kinesis.DeleteStreamInput{
				StreamName: aws.String(trips), EnforceConsumerDeletion: aws.Bool(true),
			})
			return err
		},
	}
	for name, act := range acts {
		t.Run(name, func(t *testing.T) {
			eachTransport(t, func(t *testing.T, start func(localstream.Options) *fan) {
				clock := newClock()
				f := start(localstream.Options{Clock: clock.Now, FanOutIdle: time.Hour})
				stream := f.mustSubscribe(0, fromHorizon)
				if err := act(f); err != nil {
					t.Fatal(err)
				}
				ended(t, stream, is[*types.ResourceNotFoundException])
			})
		})
	}
}

func TestSubscribe_WantsAnActiveConsumer(t *testing.T) {
	clock := newClock()
	b := newBench(t, localstream.Options{Clock: clock.Now, StatusDelay: time.Minute}, 1)
	clock.advance(time.Minute)
	f := &fan{bench: b, options: clientOptions(b.URL()), consumer: b.mustRegister("archive")}
	if _, err := f.subscribe(0, fromHorizon); !is[*types.ResourceInUseException](err) {
		t.Errorf("CREATING: %v", err)
	}
	clock.advance(time.Minute)
	f.mustSubscribe(0, fromHorizon)
	if err := f.deregister(f.consumer); err != nil {
		t.Fatal(err)
	}
	clock.advance(5 * time.Second)
	if _, err := f.subscribe(0, fromHorizon); !is[*types.ResourceInUseException](err) {
		t.Errorf("DELETING: %v", err)
	}
}

func TestSubscription_IsHeldToItsRates(t *testing.T) {
	clock := newClock()
	f := newFan(t, localstream.Options{Clock: clock.Now, LimitReads: true, SubscribeInterval: 1}, 1)
	const records = 7 // of almost half a mebibyte: 3 events and a half, the rate of a second being 2 full ones
	for range records {
		if _, _, err := f.Put(trips, localstream.Entry{PartitionKey: "k", Data: make([]byte, 512<<10-1)}); err != nil {
			t.Fatal(err)
		}
	}
	begun := time.Now()
	stream := f.mustSubscribe(0, fromHorizon)
	if _, err := f.subscribe(0, fromHorizon); !is[*types.LimitExceededException](err) {
		t.Errorf("a second call within a second: %v", err)
	}
	read(t, stream, records)
	// The last event must wait for the three before it.
	if took := time.Since(begun); took < 1400*time.Millisecond {
		t.Errorf("3 MiB and a half came in %s", took)
	}
	clock.advance(time.Second)
	f.mustSubscribe(0, fromHorizon)
}

func TestClose_EndsSubscriptions(t *testing.T) {
	localstream.WaitForCalls(t, 2*patience) // a Close that leaves subscriptions alone waits for so long
	clients := map[string]func(*testing.T, *fan){
		"idle": func(t *testing.T, f *fan) { f.mustSubscribe(0, fromHorizon) },
		"busy": func(t *testing.T, f *fan) {
			stream := f.mustSubscribe(0, fromHorizon)
			f.fillMiB(32)
			go func() {
				for range stream.Events() {
				}
			}()
		},
		"not read": func(t *testing.T, f *fan) {
			f.fillMiB(32)
			f.mustSubscribe(0, fromHorizon)
			f.waitBlocked()
		},
	}
	for name, begin := range clients {
		t.Run(name, func(t *testing.T) {
			server, err := localstream.Start("127.0.0.1:0", localstream.Options{})
			if err != nil {
				t.Fatal(err)
			}
			if err := server.CreateStream(trips, 1); err != nil {
				t.Fatal(err)
			}
			b := &bench{Server: server, client: newClient(server.URL()), tb: t}
			begin(t, &fan{bench: b, options: clientOptions(b.URL()), consumer: b.mustRegister("archive")})
			closed := time.Now()
			if err := server.Close(); err != nil {
				t.Error(err)
			}
			if took := time.Since(closed); took > patience {
				t.Errorf("Close took %s", took)
			}
		})
	}
}

func stacks() string {
	text := make([]byte, 1<<20)
	return string(text[:runtime.Stack(text, true)])
}

// waitBlocked waits until a subscription waits for its client, the sockets' buffers being full.
func (f *fan) waitBlocked() {
	f.tb.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		for _, stack := range strings.Split(stacks(), "\n\n") {
			head, calls, _ := strings.Cut(stack, "\n")
			if strings.Contains(calls, "(*feed).send(") && (strings.Contains(head, "[IO wait") || strings.Contains(head, "[select")) {
				return
			}
		}
	}
	f.tb.Fatal("no subscription waits for its client")
}

func (f *fan) fillMiB(mebibytes int) {
	for range mebibytes {
		if _, _, err := f.Put(trips, localstream.Entry{PartitionKey: "k", Data: make([]byte, 1<<20-1)}); err != nil {
			f.tb.Fatal(err)
		}
	}
}

// A client that does not read holds up only itself: puts continue, and a takeover happens at once.
func TestSubscription_WaitsForASlowClientAlone(t *testing.T) {
	eachTransport(t, func(t *testing.T, start func(localstream.Options) *fan) {
		f := start(localstream.Options{SubscribeInterval: 1})
		f.fillMiB(32)
		slow := f.mustSubscribe(0, fromHorizon)
		f.waitBlocked()
		begun := time.Now()
		f.mustPut("x")
		second := f.mustSubscribe(0, after(aws.String(f.shard(0).Last)))
		f.mustPut("y")
		if text, _ := read(t, second, 1); text != "y" {
			t.Errorf("the second gets %q", text)
		}
		if took := time.Since(begun); took > patience { // a subscription lasts longer
			t.Errorf("behind a slow client it took %s", took)
		}
		_ = slow.Close()
	})
}

func TestSubscription_EndsWhenItsClientIsGone(t *testing.T) {
	eachTransport(t, func(t *testing.T, start func(localstream.Options) *fan) {
		// The stacks are those of the whole process: subscriptions of earlier tests may still be ending.
		waitRunning(t, 0)
		f := start(localstream.Options{SubscribeInterval: 1, FanOutIdle: time.Hour})
		f.mustSubscribe(0, fromHorizon)
		ctx, cancel := context.WithCancel(t.Context())
		out, err := kinesis.New(f.options).SubscribeToShard(ctx, &kinesis.SubscribeToShardInput{
			ConsumerARN: aws.String(f.mustRegister("other")), ShardId: aws.String(shardAt(0)), StartingPosition: &fromHorizon,
		})
		if err != nil {
			t.Fatal(err)
		}
		waitRunning(t, 2)
		cancel()
		_ = out.GetStream().Close()
		waitRunning(t, 1)
	})
}

// waitRunning waits until that many subscriptions run in this process.
func waitRunning(t *testing.T, want int) {
	t.Helper()
	running := func() int { return strings.Count(stacks(), "(*feed).run(") }
	for deadline := time.Now().Add(patience); running() != want; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d subscriptions run, want %d", running(), want)
		}
	}
}

func TestFaults_BreakTheStreamAfterEvents(t *testing.T) {
	some := func(err error) bool { return err != nil }
	// The SDK takes a broken HTTP/1.1 connection for the end of the stream.
	cut := func(transport string) func(error) bool {
		if transport == "HTTP/1.1" {
			return none
		}
		return some
	}
	tests := []struct {
		rule  localstream.Rule
		meets func(transport string) func(error) bool
	}{
		{localstream.Rule{Kind: localstream.CutStream}, cut},
		{localstream.Rule{Kind: localstream.CorruptStream}, func(string) func(error) bool { return some }},
		{localstream.Rule{Kind: localstream.FailStream}, func(string) func(error) bool { return is[*types.InternalFailureException] }},
		{localstream.Rule{Kind: localstream.FailStream, Code: "KMSThrottlingException"}, func(string) func(error) bool { return is[*types.KMSThrottlingException] }},
		{localstream.Rule{Kind: localstream.EndStream}, func(string) func(error) bool { return none }},
	}
	for _, test := range tests {
		for _, events := range []int{0, 2} {
			t.Run(fmt.Sprintf("%s %s after %d", test.rule.Kind, test.rule.Code, events), func(t *testing.T) {
				eachTransport(t, func(t *testing.T, start func(localstream.Options) *fan) {
					faults := localstream.NewFaults(1)
					test.rule.Operation, test.rule.Nth, test.rule.Events = "SubscribeToShard", 1, events
					fault := faults.Plant(test.rule)
					f := start(localstream.Options{Faults: faults, SubscribeInterval: 1})
					stream := f.mustSubscribe(0, fromHorizon)
					for i := range events {
						f.mustPut(strconv.Itoa(i))
						if text, _ := read(t, stream, 1); text != strconv.Itoa(i) {
							t.Errorf("event %d brings %q", i, text)
						}
					}
					f.mustPut("lost")
					ended(t, stream, test.meets(t.Name()[strings.LastIndex(t.Name(), "HTTP"):]))
					if fault.Hits() != 1 {
						t.Errorf("%d hits", fault.Hits())
					}
					if text, _ := read(t, f.mustSubscribe(0, fromHorizon), events+1); !strings.HasSuffix(text, "lost") {
						t.Errorf("the next subscription brings %q", text)
					}
				})
			})
		}
	}
}

func TestFaults_SilentStreamIsLeftToItsClient(t *testing.T) {
	eachTransport(t, func(t *testing.T, start func(localstream.Options) *fan) {
		faults := localstream.NewFaults(1)
		fault := faults.Plant(localstream.Rule{Kind: localstream.SilentStream, Operation: "SubscribeToShard", Nth: 1, Events: 1})
		f := start(localstream.Options{Faults: faults, FanOutIdle: time.Millisecond, SubscriptionLife: 50 * time.Millisecond})
		stream := f.mustSubscribe(0, fromHorizon)
		event(t, stream)
		select {
		case e, ok := <-stream.Events():
			t.Errorf("%v %t, %v", e, ok, stream.Err())
		case <-time.After(1500 * time.Millisecond): // longer than what ends a client that does not read
		}
		if fault.Hits() != 1 {
			t.Errorf("%d hits", fault.Hits())
		}
	})
}

// A stream that ends before the fault is due leaves it unhit, so that a test notices.
func TestFaults_OfAStreamCountWhenTheyAreDue(t *testing.T) {
	faults := localstream.NewFaults(1)
	fault := faults.Plant(localstream.Rule{Kind: localstream.CutStream, Operation: "SubscribeToShard", Probability: 1, Times: 1, Events: 100})
	f := newFan(t, localstream.Options{Faults: faults, SubscriptionLife: time.Millisecond, SubscribeInterval: time.Hour}, 1)
	ended(t, f.mustSubscribe(0, fromHorizon), none)
	if _, err := f.subscribe(0, fromHorizon); !is[*types.ResourceInUseException](err) {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(patience); fault.Hits() != 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d hits", fault.Hits())
		}
	}
	if unhit := faults.Unhit(); len(unhit) != 1 {
		t.Errorf("unhit %v", unhit)
	}
}

func TestFaults_OfCallsMeetSubscribeToShard(t *testing.T) {
	tests := []struct {
		kind  localstream.FaultKind
		meets func(error) bool
		again func(error) bool // what a second call meets
	}{
		{localstream.Throttle, func(err error) bool {
			return err != nil && strings.Contains(err.Error(), "ProvisionedThroughputExceededException")
		}, none},
		{localstream.ServerError, func(err error) bool { return err != nil && strings.Contains(err.Error(), "InternalFailureException") }, none},
		{localstream.LostRequest, lost, none},
		{localstream.LostAnswer, lost, is[*types.ResourceInUseException]},
		{localstream.LateRequest, none, is[*types.ResourceInUseException]},
		{localstream.LateAnswer, none, is[*types.ResourceInUseException]},
	}
	for _, test := range tests {
		t.Run(test.kind.String(), func(t *testing.T) {
			faults := localstream.NewFaults(1)
			faults.Plant(localstream.Rule{Kind: test.kind, Operation: "SubscribeToShard", Nth: 1, Delay: time.Millisecond})
			f := newFan(t, localstream.Options{Faults: faults}, 1)
			if _, err := f.subscribe(0, fromHorizon); !test.meets(err) {
				t.Errorf("the call met %v", err)
			}
			if _, err := f.subscribe(0, fromHorizon); !test.again(err) {
				t.Errorf("the second call met %v", err)
			}
		})
	}
}

func TestMemory_KeepUnreadKeepsWhatASubscriptionMayNotHaveReceived(t *testing.T) {
	f := newFan(t, localstream.Options{MaxBytes: 64 << 20, SubscribeInterval: 1}, 1)
	f.fillMiB(24)
	stream := f.mustSubscribe(0, fromHorizon)
	var last *types.SubscribeToShardEvent
	for count := 0; count < 24; {
		e := event(t, stream)
		count, last = count+len(e.Records), e
	}
	// Records read long ago are dropped, those that may be in flight are not: 8 MiB as written are 6 MiB as put.
	if unread := f.shard(0).Unread; unread < 6 || unread > 13 {
		t.Errorf("%d MiB count as unread behind 24 that were read", unread)
	}
	_ = stream.Close()
	f.mustSubscribe(0, after(last.ContinuationSequenceNumber))
	if unread := f.shard(0).Unread; unread != 0 {
		t.Errorf("%d MiB count as unread before the position of a new subscription", unread)
	}
}

// A subscription that has written everything cannot know what has arrived. It ends when its memory is needed.
func TestMemory_SubscriptionsMakeRoomWithinMoreThanTheyMayHold(t *testing.T) {
	eachTransport(t, func(t *testing.T, start func(localstream.Options) *fan) {
		f := start(localstream.Options{MaxBytes: 1 << 20, SubscribeInterval: 50 * time.Millisecond})
		const records = 1000 // of 4 KiB, four times what is held
		refused := 0
		done := make(chan struct{})
		go func() {
			defer close(done)
			for i := range records {
				data := []byte(fmt.Sprintf("%04d%s", i, strings.Repeat("x", 4<<10)))
				for {
					if _, _, err := f.Put(trips, localstream.Entry{PartitionKey: "k", Data: data}); err == nil {
						break
					}
					refused++
					time.Sleep(time.Millisecond)
				}
			}
		}()
		from, count := fromHorizon, 0
		for count < records {
			stream, err := f.subscribe(0, from)
			if is[*types.ResourceInUseException](err) {
				time.Sleep(10 * time.Millisecond)
				continue
			}
			if err != nil {
				t.Fatal(err)
			}
			for e := event(t, stream); e != nil; e = event(t, stream) {
				for _, r := range e.Records {
					if string(r.Data[:4]) != fmt.Sprintf("%04d", count) {
						t.Fatalf("record %d is %s", count, r.Data[:4])
					}
					count++
				}
				from = after(e.ContinuationSequenceNumber)
				if count == records {
					break
				}
			}
		}
		<-done
		if refused == 0 {
			t.Error("no put was refused")
		}
	})
}

func TestMemory_ASubscriptionThatBreaksLosesNothing(t *testing.T) {
	f := newFan(t, localstream.Options{MaxBytes: 8 << 20, SubscribeInterval: 1}, 1)
	accepted := 0
	put := func() error {
		_, _, err := f.Put(trips, localstream.Entry{PartitionKey: "k", Data: make([]byte, 256<<10)})
		if err == nil {
			accepted++
		}
		return err
	}
	for put() == nil {
	}
	// Nobody reads this one: all of it may be in flight.
	_ = f.mustSubscribe(0, fromHorizon)
	time.Sleep(50 * time.Millisecond) // it may have written all or wait for its client
	for put() == nil {
	}
	stream := f.mustSubscribe(0, fromHorizon)
	count := 0
	for count < accepted {
		e := event(t, stream)
		if e == nil {
			t.Fatal(errors.Join(stream.Err(), errors.New("the stream ends")))
		}
		count += len(e.Records)
	}
	if count != accepted || f.shard(0).Trimmed != 0 {
		t.Errorf("%d records of %d", count, accepted)
	}
}
