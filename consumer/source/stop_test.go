package source

import (
	"context"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"aws-streaming-pipeline/checkpoint"
)

// readToStop calls Next until the reader stops or the shard ends, and returns the sequence numbers that it delivered.
func readToStop(t *testing.T, r *Reader) (got []string, last Fetch) {
	t.Helper()
	for deadline := time.Now().Add(time.Hour); !last.Stop && !last.End; {
		f, err := r.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for i := range f.Records {
			got = append(got, strings.Clone(f.Records[i].SequenceNumber))
		}
		if f.Count > 0 && f.Last != got[len(got)-1] || f.Count == 0 && f.Last != "" {
			t.Fatalf("Last is %s after %v", f.Last, got)
		}
		if time.Now().After(deadline) {
			t.Fatalf("the reader has not stopped after an hour; it has delivered %d records", len(got))
		}
		last = f
	}
	return got, last
}

// at makes a shard of records that arrived at the given times after arrival(0).
func at(times ...time.Duration) *shard {
	s := newShard(len(times), 1)
	for i, d := range times {
		s.records[i].ApproximateArrivalTimestamp = aws.Time(arrival(0).Add(d))
	}
	return s
}

func TestStop_DeliversWhatArrivedBefore(t *testing.T) {
	const s = time.Second
	until := 100 * s
	for _, test := range []struct {
		name   string
		times  []time.Duration
		closed bool
		clock  time.Duration // of the service; 0 if its answers have no date
		want   int           // records
		end    bool
	}{
		{"the last record is in time", []time.Duration{s, 99 * s}, false, 110 * s, 2, false},
		{"a record at the time itself is late", []time.Duration{s, until, 111 * s}, false, 0, 1, false},
		{"a record a millisecond before is not", []time.Duration{s, until - time.Millisecond, 111 * s}, false, 0, 2, false},
		{"one that is in time comes after late ones", []time.Duration{s, 101 * s, 109 * s, 99 * s, 111 * s}, false, 0, 4, false},
		{"two of them", []time.Duration{s, 101 * s, 98 * s, 102 * s, 99 * s, 103 * s, 110 * s}, false, 0, 5, false},
		{"one that is in time comes after the margin", []time.Duration{s, 110 * s, 99 * s}, false, 120 * s, 1, false},
		{"nothing is in time", []time.Duration{110 * s, 120 * s}, false, 0, 0, false},
		{"there is nothing", nil, false, 110 * s, 0, false},
		{"the shard ends in time", []time.Duration{s, 99 * s}, true, 500 * s, 2, true},
		{"the shard ends within the margin", []time.Duration{s, 101 * s, 109 * s}, true, 0, 3, true},
		{"the shard ends after the margin", []time.Duration{s, 101 * s, 110 * s}, true, 0, 1, false},
		{"the same with one in time", []time.Duration{s, 101 * s, 99 * s, 102 * s, 110 * s}, true, 0, 3, false},
		{"it ends with that one", []time.Duration{s, 101 * s, 99 * s}, true, 0, 3, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k := at(test.times...)
				k.closed, k.perCall = test.closed, 2
				if test.clock > 0 {
					k.clock = func() time.Time { return arrival(0).Add(test.clock) }
				}
				src := newSource(k, func(c *Config) { c.Until = arrival(0).Add(until) })
				r := src.Open("shard", checkpoint.TrimHorizon)
				defer r.Close()
				got, last := readToStop(t, r)
				wantSequences(t, got, 0, test.want)
				if last.End != test.end || last.Stop == test.end {
					t.Errorf("at the end End is %v and Stop is %v", last.End, last.Stop)
				}
				again, err := r.Next(t.Context())
				if err != nil || again.Count > 0 || again.End != last.End || again.Stop != last.Stop {
					t.Errorf("then comes %+v, %v", again, err)
				}
			})
		})
	}
}

// The last answer of a closed shard may have an iterator, and then looks like one at the tip of an open shard. What its
// children hold is in time.
func TestStop_ReadsAClosedShardToItsEnd(t *testing.T) {
	for _, test := range []struct {
		name   string
		closed []error // of the calls of Closed: nil means that the shard is
		want   int
	}{
		{"the listing shows it", []error{nil}, 1},
		{"the listing fails first", []error{errReset, nil}, 2},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k := at(0, time.Second)
				k.clock = func() time.Time { return arrival(1000) }
				asked := 0
				r := newSource(k, func(c *Config) {
					c.Until = arrival(100)
					c.Closed = func(context.Context, string) (bool, error) {
						asked++
						err := test.closed[asked-1]
						k.mu.Lock()
						defer k.mu.Unlock()
						k.closed = err == nil // the next answer is the end
						return err == nil, err
					}
				}).Open("shard", checkpoint.TrimHorizon)
				defer r.Close()
				got, last := readToStop(t, r)
				wantSequences(t, got, 0, 2)
				if !last.End || last.Stop || asked != test.want {
					t.Errorf("End is %v, Stop is %v after %d listings, want the end after %d", last.End, last.Stop, asked, test.want)
				}
			})
		})
	}
}

// Random shards, whose arrival times are out of order by less than the margin, are read with random answers and faults.
// Every record that arrived in time must come, and with it only those in front of the last of them, or all
// of a shard that ends within the margin. A reader with the same
// position and a later end delivers the rest.
func TestStop_LosesNothingThatIsOutOfOrder(t *testing.T) {
	losses := 0
	for seed := range uint64(150) {
		synctest.Test(t, func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(seed, 7))
			times := make([]time.Duration, 1+rnd.IntN(60))
			for i := range times {
				times[i] = time.Duration(i)*time.Second + rand.N(StopMargin/2) - StopMargin/4
			}
			k := at(times...)
			k.closed, k.perCall = rnd.IntN(2) == 0, 1+rnd.IntN(9)
			k.clock = func() time.Time { return arrival(0).Add(2 * time.Hour) }
			for range rnd.IntN(20) {
				k.faults = append(k.faults, []fault{{}, {}, {errExpired}, {errThrottled}}[rnd.IntN(4)])
			}
			until := time.Duration(rnd.IntN(len(times)+10)) * time.Second
			want, naive, over := 0, -1, false
			for i, d := range times {
				over = over || d >= until+StopMargin
				if d < until {
					want = i + 1
				} else if naive < 0 {
					naive = i
				}
			}
			if k.closed && !over {
				want = len(times) // it ends within the margin
			}
			if naive >= 0 && naive < want {
				losses++
			}
			src := newSource(k, func(c *Config) { c.Until = arrival(0).Add(until) })
			r := src.Open("shard", checkpoint.TrimHorizon)
			got, last := readToStop(t, r)
			r.Close()
			wantSequences(t, got, 0, want)
			if ended := k.closed && want == len(times); last.End != ended {
				t.Fatalf("seed %d: End is %v after %d of %d records", seed, last.End, want, len(times))
			}
			if want == len(times) {
				return
			}
			from := checkpoint.TrimHorizon
			if want > 0 {
				from = checkpoint.Position(got[want-1])
			}
			r = newSource(k, func(c *Config) { c.Until = arrival(0).Add(time.Hour) }).Open("shard", from)
			defer r.Close()
			rest, _ := readToStop(t, r)
			wantSequences(t, rest, want, len(times)-want)
		})
	}
	if losses < 20 {
		t.Errorf("a reader that stops at the first late record would lose one in %d runs only", losses)
	}
}

// A shard without traffic is passed by Kinesis's clock, however wrong that of this host is.
func TestStop_WaitsForTheServicesClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const ahead = 3 * time.Hour
		k := newShard(0, 1)
		k.latency = 300 * time.Millisecond
		k.clock = func() time.Time { return time.Now().Add(ahead) }
		began := time.Now()
		until := began.Add(ahead + 30*time.Second)
		r := newSource(k, func(c *Config) { c.Until = until }).Open("shard", checkpoint.TrimHorizon)
		defer r.Close()
		readToStop(t, r)
		if took := time.Since(began); took < 30*time.Second+StopMargin || took > 35*time.Second+StopMargin {
			t.Errorf("it took %v", took)
		}
	})
}

// The answer of a slow call may be dated long after it was read.
func TestStop_DatesAReadByItsBeginning(t *testing.T) {
	called := time.Now().Add(-20 * time.Second)
	date := time.Now()
	if got := asked(date, called); got.After(called.Add(time.Second)) {
		t.Errorf("asked at %v, want %v", got, called)
	}
	if got := asked(time.Time{}, called); !got.IsZero() {
		t.Errorf("an answer without a date was asked at %v", got)
	}
}

func TestStop_EndsSubscriptions(t *testing.T) {
	late := func(e *events) error {
		if err := e.records(0, 10); err != nil {
			return err
		}
		if err := e.records(10, 20); err != nil {
			return err
		}
		return e.wait(time.Hour)
	}
	for _, test := range []struct {
		name  string
		until time.Time
		play  []func(*events) error
		want  int
		calls int
		after time.Duration
	}{
		{"at a late record", arrival(5), []func(*events) error{late}, 5, 1, 0},
		// The virtual clock begins in the year 2000. It is known only from the beginning of a subscription.
		{"at the tip", time.Date(2000, 1, 1, 0, 1, 0, 0, time.UTC), []func(*events) error{
			func(e *events) error { return e.idle(5 * time.Minute) },
		}, 0, 2, time.Minute + StopMargin},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				k := pushed(test.play...)
				r := newSource(k, func(c *Config) {
					fanOut(c)
					c.Until = test.until
				}).Open("shard", checkpoint.TrimHorizon)
				defer r.Close()
				got, _ := readToStop(t, r)
				wantSequences(t, got, 0, test.want)
				if len(k.called) != test.calls {
					t.Errorf("%d subscriptions, want %d", len(k.called), test.calls)
				}
				if took := time.Since(began); took < test.after || took > test.after+30*time.Second {
					t.Errorf("it took %v, want %v", took, test.after)
				}
			})
		})
	}
}

// Records in front of one that is in time are delivered by a new subscription.
func TestStop_SubscribesAgainForARecordOutOfOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		order := []int{0, 1, 6, 2, 30} // arrivals
		play := func(first int) func(*events) error {
			return func(e *events) error {
				list := []map[string]any{}
				for i, seconds := range order {
					if i >= first {
						list = append(list, map[string]any{
							"SequenceNumber": sequence(i), "PartitionKey": "key", "Data": []byte("payload"),
							"ApproximateArrivalTimestamp": float64(arrival(seconds).UnixMilli()) / 1000,
						})
					}
				}
				err := e.send("event", "SubscribeToShardEvent", map[string]any{
					"Records": list, "MillisBehindLatest": 0, "ContinuationSequenceNumber": sequence(len(order) - 1),
				})
				if err != nil {
					return err
				}
				return e.wait(time.Hour)
			}
		}
		k := pushed(play(0), play(2))
		r := newSource(k, func(c *Config) {
			fanOut(c)
			c.Until = arrival(5)
		}).Open("shard", checkpoint.TrimHorizon)
		defer r.Close()
		got, _ := readToStop(t, r)
		wantSequences(t, got, 0, 4)
		if p := k.positions[1]; p.Type != types.ShardIteratorTypeAfterSequenceNumber || value(p.SequenceNumber) != sequence(1) {
			t.Errorf("went on at %v %s", p.Type, value(p.SequenceNumber))
		}
	})
}
