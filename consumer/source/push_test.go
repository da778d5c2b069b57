package source

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/eventstream"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/internal/budget"
	"aws-streaming-pipeline/internal/localstream"
	"aws-streaming-pipeline/internal/streams"
	"aws-streaming-pipeline/internal/test/emulator"
)

// pusher is a Kinesis with one consumer. The next function of subscriptions plays each subscription, the last one also
// all that follow; what it returns ends the stream.
type pusher struct {
	Client
	arnOf         string // the consumer's; empty until it is registered
	statuses      []types.ConsumerStatus
	subscriptions []func(*events) error

	mu        sync.Mutex
	called    []time.Time
	positions []types.StartingPosition
	consumers []string
	described int
	register  int
}

// events is the stream of one subscription.
type events struct {
	ctx context.Context
	w   io.Writer
}

// send writes a message; an error means that the reader has gone.
func (e *events) send(kind, name string, payload any) error {
	body, err := json.Marshal(payload)
	if err != nil {
		return err
	}
	nameHeader := eventstream.EventTypeHeader
	if kind == eventstream.ExceptionMessageType {
		nameHeader = eventstream.ExceptionTypeHeader
	}
	return eventstream.NewEncoder().Encode(e.w, eventstream.Message{Payload: body, Headers: eventstream.Headers{
		{Name: eventstream.MessageTypeHeader, Value: eventstream.StringValue(kind)},
		{Name: nameHeader, Value: eventstream.StringValue(name)},
		{Name: eventstream.ContentTypeHeader, Value: eventstream.StringValue("application/json")},
	}})
}

// records sends an event with n records from the first one on.
func (e *events) records(first, n int) error {
	list := []map[string]any{}
	for i := first; i < first+n; i++ {
		list = append(list, map[string]any{
			"SequenceNumber": sequence(i), "PartitionKey": "key", "Data": []byte("payload"),
			"ApproximateArrivalTimestamp": float64(arrival(i).UnixMilli()) / 1000,
		})
	}
	return e.send("event", "SubscribeToShardEvent", map[string]any{
		"Records": list, "MillisBehindLatest": 0, "ContinuationSequenceNumber": sequence(first + n - 1),
	})
}

// wait lets time pass, less if the reader leaves.
func (e *events) wait(d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-e.ctx.Done():
		return e.ctx.Err()
	}
}

// idle sends an event without records every five seconds, as the service does.
func (e *events) idle(life time.Duration) error {
	for end := time.Now().Add(life); time.Now().Before(end); {
		if err := e.wait(5 * time.Second); err != nil {
			return err
		}
		if err := e.records(0, 0); err != nil {
			return err
		}
	}
	return nil
}

func (p *pusher) SubscribeToShard(ctx context.Context, in *kinesis.SubscribeToShardInput, options ...func(*kinesis.Options)) (*kinesis.SubscribeToShardOutput, error) {
	p.mu.Lock()
	play := p.subscriptions[min(len(p.called), len(p.subscriptions)-1)]
	p.called = append(p.called, time.Now())
	p.positions = append(p.positions, *in.StartingPosition)
	p.consumers = append(p.consumers, *in.ConsumerARN)
	p.mu.Unlock()
	r, w := io.Pipe()
	context.AfterFunc(ctx, func() { r.CloseWithError(ctx.Err()) })
	refused := make(chan error, 1)
	go func() {
		err := play(&events{ctx, w})
		if refusal, ok := errors.AsType[refusal](err); ok {
			refused <- refusal.error
			return
		}
		close(refused)
		if err == nil {
			err = io.EOF
		}
		w.CloseWithError(err)
	}()
	select {
	case err := <-refused:
		if err != nil {
			return nil, err
		}
	case <-time.After(time.Nanosecond): // the stream is open
	}
	var o kinesis.Options
	for _, option := range options {
		option(&o)
	}
	return nil, o.Protocol.DeserializeResponse(ctx, nil, nil, &smithyhttp.Response{Response: &http.Response{
		StatusCode: 200, Header: http.Header{"Content-Type": {contentTypeEvents}, "Date": {time.Now().UTC().Format(http.TimeFormat)}}, Body: r,
	}}, nil)
}

// refusal refuses a subscription.
type refusal struct{ error }

func (p *pusher) DescribeStreamSummary(context.Context, *kinesis.DescribeStreamSummaryInput, ...func(*kinesis.Options)) (*kinesis.DescribeStreamSummaryOutput, error) {
	return &kinesis.DescribeStreamSummaryOutput{StreamDescriptionSummary: &types.StreamDescriptionSummary{StreamARN: aws.String("arn:stream")}}, nil
}

func (p *pusher) DescribeStreamConsumer(_ context.Context, in *kinesis.DescribeStreamConsumerInput, _ ...func(*kinesis.Options)) (*kinesis.DescribeStreamConsumerOutput, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.described++
	if p.arnOf == "" || *in.StreamARN != "arn:stream" || *in.ConsumerName != "files" {
		return nil, &types.ResourceNotFoundException{}
	}
	status := types.ConsumerStatusActive
	if len(p.statuses) > 0 {
		status, p.statuses = p.statuses[0], p.statuses[1:]
	}
	return &kinesis.DescribeStreamConsumerOutput{ConsumerDescription: &types.ConsumerDescription{ConsumerARN: &p.arnOf, ConsumerStatus: status}}, nil
}

func (p *pusher) RegisterStreamConsumer(context.Context, *kinesis.RegisterStreamConsumerInput, ...func(*kinesis.Options)) (*kinesis.RegisterStreamConsumerOutput, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.register++
	if p.arnOf != "" {
		return nil, &types.ResourceInUseException{}
	}
	p.arnOf = "arn:consumer/files:1"
	return &kinesis.RegisterStreamConsumerOutput{Consumer: &types.Consumer{ConsumerARN: &p.arnOf, ConsumerStatus: types.ConsumerStatusCreating}}, nil
}

func pushed(subscriptions ...func(*events) error) *pusher {
	return &pusher{arnOf: "arn:consumer/files:0", subscriptions: subscriptions}
}

func fanOut(c *Config) { c.Consumer = "files" }

// gaps are the times between calls.
func (p *pusher) gaps() (gaps []time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range len(p.called) - 1 {
		gaps = append(gaps, p.called[i+1].Sub(p.called[i]).Round(10*time.Millisecond))
	}
	return gaps
}

func TestPush_RenewsASubscriptionWhereItEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		next := func(first int) func(*events) error {
			return func(e *events) error {
				if err := e.send("event", "initial-response", map[string]any{}); err != nil {
					return err
				}
				if err := e.send("event", "SomethingNew", map[string]any{"Records": 1}); err != nil {
					return err
				}
				if err := e.records(first, 10); err != nil {
					return err
				}
				return e.wait(5 * time.Minute)
			}
		}
		k := pushed(next(0), next(10), next(20))
		var troubles []error
		s := newSource(k, func(c *Config) {
			fanOut(c)
			c.Silence = time.Hour
			c.Trouble = func(_ string, err error) { troubles = append(troubles, err) }
		})
		r := s.Open("shard", checkpoint.AtTimestamp(arrival(0)))
		defer r.Close()
		wantSequences(t, read(t, r, 30), 0, 30)
		if want := []time.Duration{5 * time.Minute, 5 * time.Minute}; !slices.Equal(k.gaps(), want) {
			t.Errorf("subscribed again after %v, want %v", k.gaps(), want)
		}
		if p := k.positions[0]; p.Type != types.ShardIteratorTypeAtTimestamp || !p.Timestamp.Equal(arrival(0)) {
			t.Errorf("began at %+v", p)
		}
		for i, p := range k.positions[1:] {
			if p.Type != types.ShardIteratorTypeAfterSequenceNumber || *p.SequenceNumber != sequence(10*i+9) {
				t.Errorf("went on at %v %v", p.Type, value(p.SequenceNumber))
			}
		}
		if len(troubles) > 0 || k.consumers[0] != k.arnOf {
			t.Errorf("troubles %v, consumer %s", troubles, k.consumers[0])
		}
		if got := reading(t, s.metrics.Subscriptions.WithLabelValues(resultOK)); got != 3 {
			t.Errorf("%v subscriptions counted", got)
		}
	})
}

// An event without records moves the position, so that a subscription after a quiet time does not begin at old records.
func TestPush_RemembersHowFarAnEmptyStretchWent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := pushed(func(e *events) error {
			for _, e := range []error{e.records(0, 3), e.wait(time.Second), e.send("event", "SubscribeToShardEvent", map[string]any{
				"Records": []any{}, "MillisBehindLatest": 100, "ContinuationSequenceNumber": sequence(70),
			}), e.wait(10 * time.Second)} {
				if e != nil {
					return e
				}
			}
			return nil
		}, func(e *events) error { return errors.Join(e.records(71, 1), e.wait(time.Hour)) })
		r := newSource(k, fanOut).Open("shard", checkpoint.Position(sequence(-1)))
		defer r.Close()
		if got := read(t, r, 4); got[3] != sequence(71) {
			t.Errorf("records %v", got)
		}
		if first, second := value(k.positions[0].SequenceNumber), value(k.positions[1].SequenceNumber); first != sequence(-1) || second != sequence(70) {
			t.Errorf("subscribed after %s and %s", first, second)
		}
	})
}

// Whatever ends a subscription, or prevents one, the records that follow arrive, each once; and the service is not
// called more often than it allows: once per second, and five seconds after a call that it answered with a stream.
func TestPush_OutlivesEveryFault(t *testing.T) {
	api := func(code string) error { return refusal{&smithy.GenericAPIError{Code: code}} }
	after := func(then func(e *events) error) func(*events) error {
		return func(e *events) error {
			if err := e.records(0, 10); err != nil {
				return err
			}
			if err := e.wait(time.Second); err != nil {
				return err
			}
			return then(e)
		}
	}
	type playing = func(*events) error
	refuse := func(err error) playing { return func(*events) error { return err } }
	for _, test := range []struct {
		name   string
		faults []playing
		result string
		times  float64
		least  time.Duration // between the first calls
		quiet  bool
	}{
		{"ended at once", []playing{refuse(nil)}, resultError, 1, 5 * time.Second, false},
		{"ended early", []playing{after(func(*events) error { return nil })}, resultOK, 2, 5 * time.Second, true},
		{"connection reset", []playing{after(refuse(errReset))}, resultError, 1, 5 * time.Second, false},
		{"cut in a message", []playing{after(func(e *events) error {
			_, err := e.w.Write([]byte{0, 0, 1, 0, 0})
			return errors.Join(err, io.ErrUnexpectedEOF)
		})}, resultError, 1, 5 * time.Second, false},
		{"no message", []playing{after(func(e *events) error {
			_, err := e.w.Write(make([]byte, 100))
			return err
		})}, resultError, 1, 5 * time.Second, false},
		{"a message of a gigabyte", []playing{after(func(e *events) error {
			_, err := e.w.Write([]byte{64, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0})
			return err
		})}, resultError, 1, 5 * time.Second, false},
		{"no JSON", []playing{after(func(e *events) error { return e.send("event", "SubscribeToShardEvent", "text") })}, resultError, 1, 5 * time.Second, false},
		{"an end without children", []playing{after(func(e *events) error {
			return e.send("event", "SubscribeToShardEvent", map[string]any{"Records": []any{}, "MillisBehindLatest": 0})
		})}, resultError, 1, 5 * time.Second, false},
		{"silent", []playing{after(func(e *events) error { return e.wait(time.Hour) })}, resultError, 1, 35 * time.Second, false},
		{"failed in the stream", []playing{after(func(e *events) error {
			return e.send("exception", "InternalFailureException", map[string]string{"message": "no"})
		})}, resultError, 1, 5 * time.Second, false},
		{"key throttled in the stream", []playing{after(func(e *events) error {
			return e.send("exception", "KMSThrottlingException", map[string]string{"message": "no"})
		})}, resultThrottled, 1, 5 * time.Second, false},
		{"taken over in the stream", []playing{after(func(e *events) error {
			return e.send("exception", "ResourceInUseException", map[string]string{"message": "no"})
		})}, resultInUse, 1, 5 * time.Second, true},
		{"in use", []playing{refuse(api("ResourceInUseException")), refuse(api("ResourceInUseException")), refuse(api("ResourceInUseException"))},
			resultInUse, 3, time.Second, true},
		{"throttled", []playing{refuse(api("LimitExceededException")), refuse(api("LimitExceededException"))}, resultThrottled, 2, time.Second, false},
		{"denied", []playing{refuse(api("AccessDeniedException"))}, resultError, 1, time.Second, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k := pushed(test.faults...)
				rest := func(e *events) error {
					first := 0
					if after := value(k.positions[len(k.positions)-1].SequenceNumber); after == sequence(9) {
						first = 10
					}
					if err := e.records(first, 20-first); err != nil {
						return err
					}
					return e.idle(time.Hour)
				}
				k.subscriptions = append(k.subscriptions, rest)
				var troubles []error
				s := newSource(k, func(c *Config) {
					fanOut(c)
					c.Trouble = func(_ string, err error) { troubles = append(troubles, err) }
				})
				r := s.Open("shard", checkpoint.TrimHorizon)
				wantSequences(t, read(t, r, 20), 0, 20)
				r.Close()
				if got := reading(t, s.metrics.Subscriptions.WithLabelValues(test.result)); got != test.times {
					t.Errorf("%v counted as %s, want %v", got, test.result, test.times)
				}
				if gaps := k.gaps(); len(gaps) != len(test.faults) || slices.Min(gaps) < test.least || slices.Max(gaps) > test.least+time.Second {
					t.Errorf("called again after %v, want %v", gaps, test.least)
				}
				if quiet := len(troubles) == 0; quiet != test.quiet || !quiet && troubles[len(troubles)-1] != nil {
					t.Errorf("troubles told: %v", troubles)
				}
			})
		})
	}
}

func TestPush_ASubscriptionInUseForLongIsTrouble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := pushed(func(*events) error { return refusal{&types.ResourceInUseException{}} })
		told := make(chan time.Time, 100)
		r := newSource(k, func(c *Config) {
			fanOut(c)
			c.Trouble = func(string, error) { told <- time.Now() }
		}).Open("shard", checkpoint.TrimHorizon)
		began := time.Now()
		for len(told) == 0 {
			if _, err := r.Next(t.Context()); err != nil || time.Since(began) > time.Minute {
				t.Fatalf("no trouble after %v, %v", time.Since(began), err)
			}
		}
		r.Close()
		if took := (<-told).Sub(began); took < 8*time.Second {
			t.Errorf("trouble after %v", took)
		}
	})
}

func TestPush_TellsTheEndWithItsChildren(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := pushed(func(e *events) error {
			if err := e.records(0, 5); err != nil {
				return err
			}
			return e.send("event", "SubscribeToShardEvent", map[string]any{
				"Records": []any{}, "MillisBehindLatest": 0, "ChildShards": []any{
					map[string]any{"ShardId": "child-1", "ParentShards": []string{"shard"}}, map[string]any{"ShardId": "child-2"},
				},
			})
		})
		r := newSource(k, fanOut).Open("shard", checkpoint.TrimHorizon)
		defer r.Close()
		f, err := r.Next(t.Context())
		if err != nil || f.Count != 5 || !f.End || !slices.Equal(f.Children, []string{"child-1", "child-2"}) {
			t.Errorf("%+v, %v", f, err)
		}
		time.Sleep(time.Minute)
		if f, err = r.Next(t.Context()); err != nil || !f.End || len(k.called) != 1 {
			t.Errorf("after the end: %+v, %v, %d subscriptions", f, err, len(k.called))
		}
	})
}

// Records arrive singly, and the caller handles five fetches per second.
func TestPush_GathersWhatComesWithinAMoment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 1000
		k := pushed(func(e *events) error {
			for i := range n {
				if err := errors.Join(e.records(i, 1), e.wait(10*time.Millisecond)); err != nil {
					return err
				}
			}
			return e.idle(time.Hour)
		})
		r := newSource(k, fanOut).Open("shard", checkpoint.TrimHorizon)
		defer r.Close()
		began := time.Now()
		got, fetches := 0, 0
		for got < n {
			f, err := r.Next(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for i := range f.Records {
				if f.Records[i].SequenceNumber != sequence(got+i) || string(f.Records[i].Data) != "payload" {
					t.Fatalf("record %d is %s", got+i, f.Records[i].SequenceNumber)
				}
			}
			if f.Count > 0 && (!f.FirstArrival.Equal(arrival(got)) || !f.LastArrival.Equal(arrival(got+f.Count-1)) || f.Bytes != 7*f.Count) {
				t.Fatalf("%+v", f)
			}
			got += f.Count
			fetches++
		}
		if took := time.Since(began); took > 11*time.Second || fetches > 60 {
			t.Errorf("%d fetches in %v", fetches, took)
		}
	})
}

// Nothing is read while there is no room for it: it waits in the connection.
func TestPush_HoldsToTheBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := budget.New(32<<20, nil)
		written := 0
		k := pushed(func(e *events) error {
			for i := 0; ; i++ {
				if err := e.records(1000*i, 1000); err != nil {
					return err
				}
				written++
			}
		})
		s := newSource(k, func(c *Config) {
			fanOut(c)
			c.Budget, c.Tick = b, time.Second
		})
		r := s.Open("shard", checkpoint.TrimHorizon)
		const hog = 32 << 20
		b.Add(budget.Block, hog)
		for range 5 {
			if f, err := r.Next(t.Context()); err != nil || f.Count != 0 {
				t.Fatalf("%d records without room, %v", f.Count, err)
			}
		}
		if written > 0 || b.Held(budget.Received) != 0 {
			t.Errorf("%d events were read, %d bytes are held", written, b.Held(budget.Received))
		}
		b.Release(budget.Block, hog)
		f, err := r.Next(t.Context())
		if err != nil || f.Count == 0 || f.Bytes > gatherBytes+1<<20 {
			t.Fatalf("with room: %d records, %v", f.Count, err)
		}
		synctest.Wait()
		if held := b.Held(budget.Received); held < r.current.memory() || held > 32<<20 {
			t.Errorf("%d bytes are held, %d by what was fetched", held, r.current.memory())
		}
		r.Close()
		r.Close()
		if held := b.Held(budget.Received); held != 0 {
			t.Errorf("%d bytes are held after Close", held)
		}
	})
}

func TestRegistration_FindsOrMakesTheConsumer(t *testing.T) {
	forever := func(e *events) error { return errors.Join(e.records(0, 1), e.idle(time.Hour)) }
	for _, test := range []struct {
		name      string
		consumer  string
		there     bool
		statuses  []types.ConsumerStatus
		want      string
		described int
		made      int
	}{
		{"an ARN is taken as it is", "arn:stream/consumer/given:1", true, nil, "arn:stream/consumer/given:1", 0, 0},
		{"a consumer that is there", "files", true, nil, "arn:consumer/files:0", 1, 0},
		{"one that is being made", "files", true, []types.ConsumerStatus{"CREATING", "CREATING"}, "arn:consumer/files:0", 3, 0},
		{"none", "files", false, []types.ConsumerStatus{"CREATING"}, "arn:consumer/files:1", 3, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k := pushed(forever)
				k.statuses = test.statuses
				if !test.there {
					k.arnOf = ""
				}
				s := newSource(k, func(c *Config) { c.Consumer = streams.ConsumerID(test.consumer) })
				for _, shard := range []string{"a", "b"} {
					r := s.Open(shard, checkpoint.TrimHorizon)
					read(t, r, 1)
					r.Close()
				}
				if k.consumers[0] != test.want || k.described != test.described || k.register != test.made {
					t.Errorf("consumer %s after %d looks and %d registrations", k.consumers[0], k.described, k.register)
				}
			})
		})
	}
}

func TestRegistration_RefusesTheConsumerOfAnotherStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := pushed(func(e *events) error { return errors.Join(e.records(0, 1), e.idle(time.Hour)) })
		told := make(chan error, 100)
		r := newSource(k, func(c *Config) {
			c.Consumer = "arn:stream2/consumer/files:0"
			c.Trouble = func(_ string, err error) { told <- err }
		}).Open("shard", checkpoint.TrimHorizon)
		for range 5 {
			if f, err := r.Next(t.Context()); err != nil || f.Count > 0 {
				t.Fatalf("%d records, %v", f.Count, err)
			}
		}
		r.Close()
		if err := <-told; !strings.Contains(err.Error(), "arn:stream2/consumer/files:0") || !strings.Contains(err.Error(), "not registered on stream arn:stream") {
			t.Errorf("trouble: %v", err)
		}
		if len(k.called) > 0 {
			t.Errorf("%d subscriptions", len(k.called))
		}
	})
}

func TestRegistration_LooksAgainForAConsumerThatIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := pushed(nil, func(e *events) error { return errors.Join(e.records(0, 1), e.idle(time.Hour)) })
		k.subscriptions[0] = func(*events) error {
			k.mu.Lock()
			defer k.mu.Unlock()
			k.arnOf = "" // somebody has deregistered it
			return refusal{&types.ResourceNotFoundException{}}
		}
		r := newSource(k, fanOut).Open("shard", checkpoint.TrimHorizon)
		defer r.Close()
		read(t, r, 1)
		if want := []string{"arn:consumer/files:0", "arn:consumer/files:1"}; !slices.Equal(k.consumers, want) {
			t.Errorf("subscribed as %v", k.consumers)
		}
	})
}

func TestPush_CloseEndsWhateverIsUnderWay(t *testing.T) {
	for name, play := range map[string]func(*events) error{
		"waiting":   func(e *events) error { return e.wait(time.Hour) },
		"streaming": func(e *events) error { return errors.Join(e.records(0, 1), e.wait(time.Hour)) },
		"refused":   func(*events) error { return refusal{errDenied} },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newSource(pushed(play), fanOut).Open("shard", checkpoint.TrimHorizon)
				for range 3 {
					if _, err := r.Next(t.Context()); err != nil {
						t.Fatal(err)
					}
				}
				began := time.Now()
				r.Close()
				if took := time.Since(began); took != 0 {
					t.Errorf("Close took %v", took)
				}
			})
		})
	}
}

// local streams

func localFanOut(t *testing.T, faults *localstream.Faults) (*local, *Source) {
	t.Helper()
	server, err := localstream.Start("127.0.0.1:0", localstream.Options{
		Faults: faults, SubscribeInterval: time.Millisecond, FanOutIdle: 20 * time.Millisecond, SubscriptionLife: 300 * time.Millisecond,
		WhenFull: localstream.KeepUnreleased,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	if err := server.CreateStream(localName, 1); err != nil {
		t.Fatal(err)
	}
	l := &local{server: server, put: map[string]bool{}, client: clientOf(server.URL())}
	s := newSource(l.client, func(c *Config) {
		quick(c)
		c.Consumer, c.Silence = "files", 300*time.Millisecond
	})
	s.renewal = renewal{every: 5 * time.Millisecond, again: 10 * time.Millisecond}
	return l, s
}

func TestPush_FromALocalStreamWithFaultsReadsEveryRecordOnce(t *testing.T) {
	faults := localstream.NewFaults(1)
	l, s := localFanOut(t, faults)
	r := s.Open("shardId-000000000000", checkpoint.TrimHorizon)
	defer r.Close()
	seen := map[string]bool{}
	for _, rule := range []localstream.Rule{
		{Kind: localstream.Throttle}, {Kind: localstream.ServerError}, {Kind: localstream.LostRequest}, {Kind: localstream.LostAnswer},
		{Kind: localstream.CutStream, Events: 1}, {Kind: localstream.CorruptStream, Events: 1}, {Kind: localstream.FailStream, Events: 1},
		{Kind: localstream.FailStream, Code: "KMSThrottlingException"}, {Kind: localstream.EndStream, Events: 1}, {Kind: localstream.SilentStream, Events: 1},
	} {
		rule.Operation, rule.Nth = "SubscribeToShard", 1
		faults.Plant(rule)
		l.produce(t, 50)
		for began := time.Now(); len(seen) < len(l.put) || len(faults.Unhit()) > 0; {
			f, err := r.Next(t.Context())
			if err != nil || time.Since(began) > time.Minute {
				t.Fatalf("%d of %d records, faults that never happened: %q, %v", len(seen), len(l.put), faults.Unhit(), err)
			}
			for i := range f.Records {
				if payload := string(f.Records[i].Data); seen[payload] || !l.put[payload] {
					t.Errorf("%q was read twice", payload)
				} else {
					seen[payload] = true
				}
			}
		}
	}
}

func TestPush_FromALocalStreamFollowsASplitAndAMerge(t *testing.T) {
	l, s := localFanOut(t, nil)
	followASplitAndAMerge(t, l, s)
}

func TestPush_NamesTheConsumerThatIsMissing(t *testing.T) {
	l, s := localFanOut(t, nil)
	s.consumer.consumer = streams.ConsumerID(l.server.URL()) // no name of a consumer
	told := make(chan error, 100)
	s.cfg.Trouble = func(_ string, err error) { told <- err }
	r := s.Open("shardId-000000000000", checkpoint.TrimHorizon)
	defer r.Close()
	if _, err := r.Next(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-told; !strings.Contains(err.Error(), "fan-out consumer \"http") || !strings.Contains(err.Error(), "ValidationException") {
		t.Errorf("trouble: %v", err)
	}
}

// An emulator that we did not write pushes the same records. It answers without an initial response, which the SDK's
// own reader waits for.
func TestPush_ReadsAnotherEmulator(t *testing.T) {
	l := &local{put: map[string]bool{}, client: clientOf(emulator.KinesisLocal(t).URL)}
	ctx := t.Context()
	if _, err := l.client.CreateStream(ctx, &kinesis.CreateStreamInput{StreamName: aws.String(localName), ShardCount: aws.Int32(1)}); err != nil {
		t.Fatal(err)
	}
	waiter := kinesis.NewStreamExistsWaiter(l.client, func(o *kinesis.StreamExistsWaiterOptions) { o.MinDelay = 50 * time.Millisecond })
	if err := waiter.Wait(ctx, &kinesis.DescribeStreamInput{StreamName: aws.String(localName)}, time.Minute); err != nil {
		t.Fatal(err)
	}
	l.produce(t, 100)
	s := newSource(l.client, func(c *Config) {
		quick(c)
		c.Consumer = "files"
	})
	seen := map[string]bool{}
	last, _ := readLocal(t, s, "shardId-000000000000", checkpoint.TrimHorizon, 60, seen)
	l.produce(t, 100)
	readLocal(t, s, "shardId-000000000000", checkpoint.Position(last), len(l.put)-len(seen), seen)
	if !maps.Equal(seen, l.put) {
		t.Errorf("%d of %d records were read", len(seen), len(l.put))
	}
}
