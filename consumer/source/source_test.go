package source

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/internal/budget"
	"aws-streaming-pipeline/internal/metrics"
	"aws-streaming-pipeline/internal/streams"
	"aws-streaming-pipeline/record"
)

func newSource(c Client, adjust func(*Config)) *Source {
	cfg := Config{Stream: "stream", Decoder: noDecoder}
	if adjust != nil {
		adjust(&cfg)
	}
	return New(cfg, c, slog.New(slog.DiscardHandler), metrics.New(prometheus.NewRegistry()))
}

// reading is the value of a counter or gauge.
func reading(t *testing.T, m prometheus.Metric) float64 {
	t.Helper()
	var d dto.Metric
	if err := m.Write(&d); err != nil {
		t.Fatal(err)
	}
	return d.GetCounter().GetValue() + d.GetGauge().GetValue()
}

func TestReader_BeginsAfterItsPosition(t *testing.T) {
	for _, test := range []struct {
		name  string
		from  checkpoint.Position
		first int
		kind  types.ShardIteratorType
	}{
		{"at the horizon", checkpoint.TrimHorizon, 0, types.ShardIteratorTypeTrimHorizon},
		{"at a time", checkpoint.AtTimestamp(arrival(4)), 4, types.ShardIteratorTypeAtTimestamp},
		{"after a record", checkpoint.Position(sequence(6)), 7, types.ShardIteratorTypeAfterSequenceNumber},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k := newShard(10, 1)
				r := newSource(k, nil).Open("shard", test.from)
				defer r.Close()
				wantSequences(t, read(t, r, 10-test.first), test.first, 10-test.first)
				if got := k.iterators[0].ShardIteratorType; len(k.iterators) != 1 || got != test.kind {
					t.Errorf("%d iterators, the first %s", len(k.iterators), got)
				}
			})
		})
	}
}

func TestReader_NamesTheStreamByNameOrARN(t *testing.T) {
	for _, test := range []struct{ stream, name, arn string }{
		{"trips", "trips", ""},
		{"arn:aws:kinesis:eu-west-1:123456789012:stream/trips", "", "arn:aws:kinesis:eu-west-1:123456789012:stream/trips"},
	} {
		synctest.Test(t, func(t *testing.T) {
			k := newShard(1, 1)
			r := newSource(k, func(c *Config) { c.Stream = streams.ID(test.stream) }).Open("shard", checkpoint.TrimHorizon)
			defer r.Close()
			read(t, r, 1)
			if in := k.iterators[0]; value(in.StreamName) != test.name || value(in.StreamARN) != test.arn {
				t.Errorf("%s: request has name %q and ARN %q", test.stream, value(in.StreamName), value(in.StreamARN))
			}
		})
	}
}

func value(p *string) string {
	if p == nil {
		return ""
	}
	return *p
}

// Each fault comes three times in a row while records are still to be read. All records must come, once, and the caller
// must get its ticks meanwhile.
func TestReader_OutlivesEveryFault(t *testing.T) {
	for _, test := range []struct {
		name   string
		err    error
		result string
		reopen int // iterators after the first
	}{
		{"throttled", errThrottled, resultThrottled, 0},
		{"iterator expired", errExpired, resultExpired, 3},
		{"key throttled", errKMS, resultThrottled, 0},
		{"internal error", errInternal, resultError, 0},
		{"connection reset", errReset, resultError, 0},
		{"access denied", errDenied, resultError, 3},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k := newShard(30, 1)
				k.perCall = 10
				k.faults = []fault{{}, {test.err}, {test.err}, {test.err}}
				var troubles []error
				s := newSource(k, func(c *Config) {
					c.Trouble = func(_ string, err error) { troubles = append(troubles, err) }
				})
				r := s.Open("shard", checkpoint.TrimHorizon)
				wantSequences(t, read(t, r, 30), 0, 30)
				r.Close()
				if k.hit != len(k.faults) {
					t.Errorf("%d of %d faults hit", k.hit, len(k.faults))
				}
				if got := reading(t, s.metrics.GetRecords.WithLabelValues(test.result)); got != 3 {
					t.Errorf("%v failures counted as %s", got, test.result)
				}
				if got := len(k.iterators) - 1; got != test.reopen {
					t.Errorf("%d iterators opened again, want %d", got, test.reopen)
				}
				if n := len(troubles); n < 3 || troubles[n-1] != nil || troubles[n-2] == nil {
					t.Errorf("troubles told: %v", troubles)
				}
			})
		})
	}
}

func TestReader_AnIteratorExpiredByAWaitIsNoTrouble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newShard(30, 1)
		k.perCall = 10
		s := newSource(k, func(c *Config) {
			c.Trouble = func(_ string, err error) { t.Errorf("trouble told: %v", err) }
		})
		r := s.Open("shard", checkpoint.TrimHorizon)
		defer r.Close()
		got := read(t, r, 10)
		time.Sleep(6 * time.Minute) // the caller is busy, the second answer waits for it
		got = append(got, read(t, r, 20)...)
		wantSequences(t, got, 0, 30)
		if n := reading(t, s.metrics.GetRecords.WithLabelValues(resultExpired)); n != 1 {
			t.Errorf("%v iterators expired, want 1", n)
		}
		if in := k.iterators[1]; value(in.StartingSequenceNumber) != sequence(19) {
			t.Errorf("opened again after %q", value(in.StartingSequenceNumber))
		}
	})
}

// The shard may have left the stream, or now belong to another worker: whoever received the trouble must not keep
// it.
func TestReader_TakesItsTroubleBackWhenItIsClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newShard(1, 1)
		k.faults = []fault{{errDenied}, {errDenied}, {errDenied}, {errDenied}, {errDenied}, {errDenied}}
		troubles := make(map[string]error)
		r := newSource(k, func(c *Config) {
			c.Trouble = func(shard string, err error) {
				if troubles[shard] = err; err == nil {
					delete(troubles, shard)
				}
			}
		}).Open("shard", checkpoint.TrimHorizon)
		if _, err := r.Next(t.Context()); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if len(troubles) != 1 {
			t.Fatalf("troubles are %v while the shard is refused", troubles)
		}
		r.Close()
		if len(troubles) != 0 {
			t.Errorf("troubles are %v after the reader was closed", troubles)
		}
	})
}

func TestReader_DropsAndCountsRecordsThatComeAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newShard(30, 1)
		k.perCall, k.again = 10, 3
		k.faults = []fault{{}, {errExpired}}
		s := newSource(k, nil)
		r := s.Open("shard", checkpoint.Position(sequence(4)))
		defer r.Close()
		wantSequences(t, read(t, r, 25), 5, 25)
		// The first iterator brings 2, 3 and 4 again, the second the last three that were read before it.
		if n := reading(t, s.metrics.RecordsRepeated); n != 6 {
			t.Errorf("%v repeated records counted, want 6", n)
		}
	})
}

func TestReader_TicksWhileKinesisIsAway(t *testing.T) {
	for _, test := range []struct {
		name   string
		client Client
	}{
		{"calls fail", failing{err: errReset}},
		{"calls hang", &shard{latency: time.Hour}},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newSource(test.client, nil).Open("shard", checkpoint.TrimHorizon)
				began := time.Now()
				for range 120 {
					f, err := r.Next(t.Context())
					if err != nil || f.Count != 0 || f.End || f.Tip {
						t.Fatalf("Next in an outage: %+v, %v", f, err)
					}
				}
				if took := time.Since(began); took != 120*time.Second {
					t.Errorf("120 ticks took %v", took)
				}
				began = time.Now()
				r.Close()
				if took := time.Since(began); took != 0 {
					t.Errorf("Close took %v", took)
				}
			})
		})
	}
}

// failing fails each call.
type failing struct {
	FanOut
	err error
}

func (f failing) GetShardIterator(context.Context, *kinesis.GetShardIteratorInput, ...func(*kinesis.Options)) (*kinesis.GetShardIteratorOutput, error) {
	return nil, f.err
}

func (f failing) GetRecords(context.Context, *kinesis.GetRecordsInput, ...func(*kinesis.Options)) (*kinesis.GetRecordsOutput, error) {
	return nil, f.err
}

func TestReader_BacksOffButNeverForLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newShard(1, 1)
		for range 40 {
			k.faults = append(k.faults, fault{errReset})
		}
		r := newSource(k, nil).Open("shard", checkpoint.TrimHorizon)
		defer r.Close()
		read(t, r, 1)
		calls := k.callTimes()
		for i := 1; i < len(calls); i++ {
			wait := calls[i].Sub(calls[i-1])
			if wait > max(outage.Bound(i), defaultMinInterval) {
				t.Errorf("waited %v after failure %d", wait, i)
			}
		}
	})
}

func TestReader_AnInvalidPositionIsTroubleAndNeverRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newShard(1, 1)
		var told error
		r := newSource(k, func(c *Config) {
			c.Trouble = func(_ string, err error) { told = errors.Join(told, err) }
		}).Open("shard", "LATEST")
		f, err := r.Next(t.Context())
		r.Close()
		if f.Count != 0 || err != nil || told == nil || len(k.calls)+len(k.iterators) != 0 {
			t.Errorf("Next: %+v, %v; trouble %v; %d calls", f, err, told, len(k.calls)+len(k.iterators))
		}
	})
}

func TestReader_ReadsAtFullSpeedWithoutBeingThrottled(t *testing.T) {
	for _, test := range []struct {
		name            string
		payload, answer int // bytes
		want            float64
	}{
		{"answers of 10 MB", 1 << 20, 10, 2e6},
		{"answers of 1 MB", 1 << 18, 4, 2e6},
		{"answers of 300 kB", 300_000, 1, 1.2e6}, // the calls are the limit
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := 120_000_000 / test.payload
				k := newShard(n, test.payload)
				k.perCall = test.answer
				k.latency = 20 * time.Millisecond
				r := newSource(k, nil).Open("shard", checkpoint.TrimHorizon)
				defer r.Close()
				began := time.Now()
				wantSequences(t, read(t, r, n), 0, n)
				// The pause for the last answer is still to come.
				rate := float64((n-test.answer)*test.payload) / time.Since(began).Seconds()
				r.Close() // it reads ahead
				if k.throttles != 0 || rate > test.want*1.001 || rate < test.want*0.9 {
					t.Errorf("%.0f bytes per second, %d throttled calls; want %.0f and none", rate, k.throttles, test.want)
				}
			})
		})
	}
}

func TestReader_AsksOnceASecondAtTheTip(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newShard(0, 0)
		r := newSource(k, nil).Open("shard", checkpoint.TrimHorizon)
		defer r.Close()
		for end := time.Now().Add(10 * time.Second); time.Now().Before(end); {
			k.put(1, nil) // a trickle
			if _, err := r.Next(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if n := len(k.callTimes()); n < 9 || n > 11 {
			t.Errorf("%d calls in 10 s", n)
		}
	})
}

func TestReader_CrossesEmptyStretchesAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newShard(5, 1)
		k.gaps = 8
		r := newSource(k, nil).Open("shard", checkpoint.TrimHorizon)
		defer r.Close()
		began := time.Now()
		read(t, r, 5)
		if took := time.Since(began); took != 8*defaultMinInterval {
			t.Errorf("eight empty answers took %v", took)
		}
	})
}

func TestReader_ToldNothingOfBeingBehindTakesItForTheTip(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newShard(3, 1)
		k.noBehind = true
		r := newSource(k, nil).Open("shard", checkpoint.TrimHorizon)
		defer r.Close()
		f, err := r.Next(t.Context())
		if err != nil || f.Count != 3 || f.Behind != 0 || !f.Tip {
			t.Errorf("Next: %+v, %v", f, err)
		}
	})
}

func TestReader_TellsWhatItRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newShard(7, 11)
		k.perCall = 5
		s := newSource(k, nil)
		r := s.Open("shard", checkpoint.TrimHorizon)
		f, err := r.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if f.Count != 5 || f.Bytes != 55 || f.Last != sequence(4) || f.Behind != 2*time.Second || f.Tip || f.End ||
			!f.FirstArrival.Equal(arrival(0)) || !f.LastArrival.Equal(arrival(4)) {
			t.Errorf("Next: %+v", f)
		}
		m := s.metrics
		if n, b, behind := reading(t, m.RecordsRead.WithLabelValues("shard")),
			reading(t, m.BytesRead.WithLabelValues("shard")),
			reading(t, m.BehindLatest.WithLabelValues("shard")); n != 5 || b != 55 || behind != 2 {
			t.Errorf("metrics: %v records, %v bytes, %v s behind", n, b, behind)
		}
		if at := reading(t, m.LastRead.WithLabelValues("shard")); at != float64(time.Now().Unix()) {
			t.Errorf("metrics: read at %v, now is %v", at, time.Now().Unix())
		}
		r.Close()
		if m.BehindLatest.DeleteLabelValues("shard") || m.LastRead.DeleteLabelValues("shard") {
			t.Error("a closed reader still reports how far it is behind")
		}
	})
}

// A lag that stands still because nothing can be read differs by its age from one that is known to be small.
func TestReader_TellsTheTimeOfTheLastReadThatSucceeded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newShard(1, 1)
		k.faults = []fault{{}}
		for range 100 {
			k.faults = append(k.faults, fault{errThrottled})
		}
		s := newSource(k, nil)
		r := s.Open("shard", checkpoint.TrimHorizon)
		defer r.Close()
		if _, err := r.Next(t.Context()); err != nil {
			t.Fatal(err)
		}
		read := reading(t, s.metrics.LastRead.WithLabelValues("shard"))
		for len(k.callTimes()) < 4 {
			if _, err := r.Next(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if at := reading(t, s.metrics.LastRead.WithLabelValues("shard")); at != read || read == 0 {
			t.Errorf("read at %v after calls that failed, want %v", at, read)
		}
	})
}

func TestReader_TellsTheEndWithTheLastRecords(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newShard(5, 1)
		k.closed = true
		r := newSource(k, nil).Open("shard", checkpoint.TrimHorizon)
		defer r.Close()
		f, err := r.Next(t.Context())
		if err != nil || f.Count != 5 || !f.End || !slices.Equal(f.Children, []string{"child-1", "child-2"}) {
			t.Fatalf("Next: %+v, %v", f, err)
		}
		began := time.Now()
		f, err = r.Next(t.Context())
		if err != nil || f.Count != 0 || !f.End || time.Since(began) != time.Second {
			t.Errorf("Next after the end: %+v, %v after %v", f, err, time.Since(began))
		}
		if len(k.calls) != 1 {
			t.Errorf("%d calls", len(k.calls))
		}
	})
}

func TestReader_AtTheEndFromTheStartCallsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newSource(nil, nil).Open("shard", checkpoint.ShardEnd)
		defer r.Close()
		if f, err := r.Next(t.Context()); err != nil || !f.End {
			t.Errorf("Next: %+v, %v", f, err)
		}
	})
}

func TestReader_NextEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newShard(5, 1)
		k.latency = 500 * time.Millisecond
		r := newSource(k, nil).Open("shard", checkpoint.TrimHorizon)
		defer r.Close()
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		if _, err := r.Next(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Next: %v", err)
		}
		// The call went on: what it brought is not lost.
		wantSequences(t, read(t, r, 5), 0, 5)
		if len(k.calls) != 1 {
			t.Errorf("%d calls", len(k.calls))
		}
	})
}

// Two shards with 8 MB answers share a budget of 16 MiB, which has room for one call but not a second.
func TestReader_WaitsForRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := budget.New(16<<20, nil)
		withBudget := func(c *Config) { c.Budget = b }
		a := newSource(newShard(16, 1<<20), withBudget).Open("a", checkpoint.TrimHorizon)
		other := newShard(8, 1<<20)
		z := newSource(other, withBudget).Open("z", checkpoint.TrimHorizon)

		f, err := a.Next(t.Context())
		if err != nil || f.Count != 10 {
			t.Fatalf("Next: %d records, %v", f.Count, err)
		}
		synctest.Wait() // no room is to spare for reading ahead
		if held, want := b.Held(budget.Received), a.current.memory(); held != want || held < int64(f.Bytes) || held > int64(f.Bytes)*5/4 {
			t.Errorf("%d bytes held for %d, want %d", held, f.Bytes, want)
		}
		if f, err = z.Next(t.Context()); err != nil || f.Count != 0 || len(other.callTimes()) != 0 {
			t.Errorf("without room %d records came, %v", f.Count, err)
		}
		a.Close()
		wantSequences(t, read(t, z, 8), 0, 8)
		z.Close()
		if held := b.Held(budget.Received); held != 0 {
			t.Errorf("%d bytes held after both are closed", held)
		}
	})
}

func TestReader_HoldsNoRoomWhileItBacksOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := budget.New(64<<20, nil)
		r := newSource(failing{err: errReset}, func(c *Config) { c.Budget = b }).Open("shard", checkpoint.TrimHorizon)
		defer r.Close()
		if _, err := r.Next(t.Context()); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if held := b.Held(budget.Received); held != 0 {
			t.Errorf("%d bytes held", held)
		}
	})
}

// Many idle shards must not wait for one another: at the tip a call reserves what can have been written since the last
// one, not the largest answer.
func TestReader_AtTheTipReservesLittle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := budget.New(64<<20, nil)
		k := newShard(1, 1)
		r := newSource(k, func(c *Config) { c.Budget = b }).Open("shard", checkpoint.TrimHorizon)
		defer r.Close()
		read(t, r, 1)
		k.mu.Lock()
		k.latency = 10 * time.Second
		k.mu.Unlock()
		for range 3 {
			if _, err := r.Next(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if held := b.Held(budget.Received); held == 0 || held > maxAnswerBytes/2 {
			t.Errorf("%d bytes reserved for a call at the tip", held)
		}
	})
}

func TestReader_CorruptAggregateIsARecordWithItsFault(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newShard(1, 1)
		k.put(1, []byte(corruptAggregatePayload))
		k.put(1, []byte("x"))
		decoder, err := record.NewDecoder(record.DecoderOptions{})
		if err != nil {
			t.Fatal(err)
		}
		s := newSource(k, func(c *Config) { c.Decoder = func(string) (Decoder, error) { return decoder, nil } })
		r := s.Open("shard", checkpoint.TrimHorizon)
		defer r.Close()
		f, err := r.Next(t.Context())
		if err != nil || f.Count != 3 || len(f.Records) != 3 || f.Records[1].Fault == nil {
			t.Fatalf("Next: %+v, %v", f, err)
		}
		if n := reading(t, s.metrics.AggregateFault); n != 1 {
			t.Errorf("%v corrupt aggregates counted", n)
		}
	})
}

// The magic number, a message that is not protobuf, and its correct MD5.
const corruptAggregatePayload = "\xf3\x89\x9a\xc2" + "\xff\xff\xff" + "\x85\x97\xd4\xe7\xe6\x53\x52\xa3\x02\xb6\x3e\x07\xbc\x01\xa7\xda"

// While records are worked on, the next answer arrives, and a caller that takes as long as the pause between two calls
// loses no time.
func TestReader_ReadsAheadOfItsCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newShard(40, 1<<20)
		k.latency = 100 * time.Millisecond
		r := newSource(k, func(c *Config) { c.Budget = budget.New(64<<20, nil) }).Open("shard", checkpoint.TrimHorizon)
		defer r.Close()
		began := time.Now()
		var last string
		for got := 0; got < 40; {
			f, err := r.Next(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for i := range f.Records {
				if want := sequence(got); f.Records[i].SequenceNumber != want {
					t.Fatalf("record %d is %s", got, f.Records[i].SequenceNumber)
				}
				got++
			}
			if f.Count > 0 {
				last = f.Last
				time.Sleep(5 * time.Second) // as long as its share of the rate
				if last != f.Last {
					t.Error("Last has changed while the next answer came")
				}
			}
		}
		// Four answers of 10 MB a pause of 5.24 s, and work on the last.
		if took := time.Since(began); took > 3*5243*time.Millisecond+5*time.Second+time.Second {
			t.Errorf("took %v", took)
		}
	})
}

// What was read ahead and not returned is not counted as read, and holds no room after Close; a reader that begins at
// the last position returns it.
func TestReader_ForgetsWhatItReadAhead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newShard(30, 1)
		k.perCall = 10
		b := budget.New(96<<20, nil)
		s := newSource(k, func(c *Config) { c.Budget = b })
		r := s.Open("shard", checkpoint.TrimHorizon)
		f, err := r.Next(t.Context())
		if err != nil || f.Last != sequence(9) {
			t.Fatalf("%+v, %v", f, err)
		}
		held := b.Held(budget.Received)
		time.Sleep(time.Second)
		synctest.Wait()
		if len(k.callTimes()) != 2 || b.Held(budget.Received) <= held {
			t.Errorf("%d calls, %d bytes held of %d before", len(k.callTimes()), b.Held(budget.Received), held)
		}
		if n := reading(t, s.metrics.RecordsRead.WithLabelValues("shard")); n != 10 {
			t.Errorf("%v records counted, 10 handed out", n)
		}
		r.Close()
		r.Close()
		if held := b.Held(budget.Received); held != 0 {
			t.Errorf("%d bytes held after Close", held)
		}
		next := s.Open("shard", checkpoint.Position(f.Last))
		defer next.Close()
		wantSequences(t, read(t, next, 20), 10, 20)
	})
}

// Many shards far behind share a budget that holds one answer and a half: each gets its turn, and all get to their end.
func TestReader_ReadingAheadStarvesNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := budget.New(20<<20, nil)
		var wait sync.WaitGroup
		for i := range 8 {
			wait.Go(func() {
				k := newShard(40, 1<<20)
				r := newSource(k, func(c *Config) { c.Budget = b }).Open("shard", checkpoint.TrimHorizon)
				defer r.Close()
				got := 0
				for deadline := time.Now().Add(10 * time.Minute); got < 40; {
					f, err := r.Next(t.Context())
					if err != nil || time.Now().After(deadline) {
						t.Errorf("shard %d: %d records, %v", i, got, err)
						return
					}
					got += f.Count
					time.Sleep(time.Duration(i) * 300 * time.Millisecond) // some are slow
				}
			})
		}
		wait.Wait()
		if held := b.Held(budget.Received); held != 0 {
			t.Errorf("%d bytes held", held)
		}
	})
}

// A reader whose caller does not return for what was read ahead leaves room for a second one.
func TestReader_ReadingAheadTakesOnlyWhatIsToSpare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := budget.New(96<<20, nil)
		withBudget := func(c *Config) { c.Budget = b }
		idle := newSource(newShard(40, 1<<20), withBudget).Open("idle", checkpoint.TrimHorizon)
		defer idle.Close()
		if f, err := idle.Next(t.Context()); err != nil || f.Count == 0 {
			t.Fatal(err)
		}
		time.Sleep(time.Minute) // its second answer is there
		other := newSource(newShard(8, 1<<20), withBudget).Open("other", checkpoint.TrimHorizon)
		defer other.Close()
		began := time.Now()
		wantSequences(t, read(t, other, 8), 0, 8)
		if took := time.Since(began); took > time.Second {
			t.Errorf("waited %v", took)
		}
	})
}

// After a pause, of an idle shard or of a busy caller, nothing is caught up at a higher rate.
func TestReader_SavesNothingUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newShard(1, 1)
		r := newSource(k, nil).Open("shard", checkpoint.TrimHorizon)
		defer r.Close()
		read(t, r, 1)
		for range 600 {
			if _, err := r.Next(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		k.put(60, make([]byte, 1<<20)) // all of a sudden
		began := time.Now()
		read(t, r, 60)
		rate := 50 * (1 << 20) / time.Since(began).Seconds()
		r.Close() // it reads ahead
		if k.throttles != 0 || rate > 2.1e6 || rate < 1.9e6 {
			t.Errorf("%.0f bytes per second, %d calls throttled", rate, k.throttles)
		}
	})
}
