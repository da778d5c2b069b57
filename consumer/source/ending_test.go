package source

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/consumer/shardmap"
	"aws-streaming-pipeline/internal/streams"
	"aws-streaming-pipeline/internal/test/emulator"
)

// endless is a shard, some of whose answers have neither an iterator nor children.
type endless struct {
	*shard
	from, to int // the answers that do, counted from 1
	answers  int
	empty    bool // they have no records either
}

func (e *endless) GetRecords(ctx context.Context, in *kinesis.GetRecordsInput, options ...func(*kinesis.Options)) (*kinesis.GetRecordsOutput, error) {
	out, err := e.getRecords(ctx, in)
	if err != nil {
		return nil, err
	}
	e.answers++
	if e.from <= e.answers && e.answers <= e.to {
		out.NextShardIterator, out.ChildShards = nil, nil
		if e.empty {
			zero := int64(0)
			out.Records, out.MillisBehindLatest = nil, &zero
		}
	}
	return nil, hand(ctx, out, "", options)
}

// lister is a stream that lists its shard.
type lister struct {
	closed bool
	err    error
	asked  []time.Time
}

func (l *lister) ask(context.Context, string) (bool, error) {
	l.asked = append(l.asked, time.Now())
	return l.closed, l.err
}

func TestReader_AnAnswerWithoutIteratorDoesNotEndAnOpenShard(t *testing.T) {
	for _, test := range []struct {
		name     string
		from, to int
		empty    bool
		listings int // at least
	}{
		{"once, empty, at the beginning", 1, 1, true, 0},
		{"once, empty, in the middle", 2, 2, true, 0},
		{"once, with records", 2, 2, false, 0},
		{"many times, empty", 2, 7, true, 2},
		{"many times, with records", 1, 2, false, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k := &endless{shard: newShard(30, 1), from: test.from, to: test.to, empty: test.empty}
				k.perCall = 10
				l := &lister{}
				var troubles []error
				s := newSource(k, func(c *Config) {
					c.Closed = l.ask
					c.Trouble = func(_ string, err error) { troubles = append(troubles, err) }
				})
				r := s.Open("shard", checkpoint.TrimHorizon)
				defer r.Close()
				wantSequences(t, read(t, r, 30), 0, 30)
				if k.answers < test.to {
					t.Errorf("%d answers, the fault was not met", k.answers)
				}
				if len(l.asked) < test.listings {
					t.Errorf("%d listings, want %d at least", len(l.asked), test.listings)
				}
				if named := len(troubles) > 0 && errors.Is(troubles[0], errNoIterator); named != (test.listings > 0) {
					t.Errorf("troubles told: %v", troubles)
				}
			})
		})
	}
}

// Emulators of Kinesis name no children. Then the listing decides, once nothing more comes.
func TestReader_AShardWithoutChildrenEndsWhenTheStreamListsItAsClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := &endless{shard: newShard(25, 1), from: 3, to: 1 << 30}
		k.perCall, k.closed = 10, true
		l := &lister{closed: true}
		r := newSource(k, func(c *Config) { c.Closed = l.ask }).Open("shard", checkpoint.TrimHorizon)
		defer r.Close()
		records, began := 0, time.Now()
		for {
			f, err := r.Next(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if records += f.Count; f.End {
				break
			}
			if time.Since(began) > time.Minute {
				t.Fatal("the shard has not ended within a minute")
			}
		}
		if records != 25 || len(l.asked) != 1 {
			t.Errorf("%d records and %d listings before the end, want 25 and 1", records, len(l.asked))
		}
	})
}

// What looks like the end of a closed shard is not believed as long as there is more: the listing alone would not show
// that.
func TestReader_AnAnswerWithoutIteratorDoesNotCutAClosedShardShort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := &endless{shard: newShard(30, 1), from: 2, to: 2, empty: true}
		k.perCall, k.closed = 10, true
		r := newSource(k, func(c *Config) { c.Closed = (&lister{closed: true}).ask }).Open("shard", checkpoint.TrimHorizon)
		defer r.Close()
		wantSequences(t, read(t, r, 30), 0, 30)
	})
}

// A shard that goes on like this is neither read to its end nor polled in a hot loop: failures set the pace, and say
// what is wrong.
func TestReader_AnEndThatNothingConfirmsIsPacedAndTold(t *testing.T) {
	for name, l := range map[string]*lister{"open": {}, "unknown": {err: errors.New("no listing")}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k := &endless{shard: newShard(5, 1), from: 2, to: 1 << 30, empty: true}
				var last error
				s := newSource(k, func(c *Config) {
					c.Closed = l.ask
					c.Trouble = func(_ string, err error) { last = err }
				})
				r := s.Open("shard", checkpoint.TrimHorizon)
				defer r.Close()
				read(t, r, 5)
				for end := time.Now().Add(10 * time.Minute); time.Now().Before(end); {
					if f, err := r.Next(t.Context()); err != nil || f.End {
						t.Fatalf("%+v, %v", f, err)
					}
				}
				synctest.Wait()
				if n := len(l.asked); n < 30 || n > 150 {
					t.Errorf("%d listings in ten minutes", n)
				}
				if !errors.Is(last, errNoIterator) || !strings.Contains(last.Error(), map[string]string{"open": "open", "unknown": "no listing"}[name]) {
					t.Errorf("trouble told: %v", last)
				}
			})
		})
	}
}

func TestReader_ReadsNothingBeforeItHasADecoder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newShard(5, 1)
		missing := errors.New("its hash range is not known")
		var known atomic.Bool
		var troubles []error
		s := newSource(k, func(c *Config) {
			c.Decoder = func(string) (Decoder, error) {
				if !known.Load() {
					return raw{}, missing // which is not to be used
				}
				return raw{}, nil
			}
			c.Trouble = func(_ string, err error) { troubles = append(troubles, err) }
		})
		r := s.Open("shard", checkpoint.TrimHorizon)
		defer r.Close()
		for range 60 {
			if f, err := r.Next(t.Context()); err != nil || f.Count > 0 || f.Tip {
				t.Fatalf("without a decoder: %+v, %v", f, err)
			}
		}
		synctest.Wait()
		if len(k.callTimes()) > 0 || len(troubles) == 0 || !errors.Is(troubles[0], missing) {
			t.Errorf("%d calls, troubles %v", len(k.callTimes()), troubles)
		}
		known.Store(true)
		wantSequences(t, read(t, r, 5), 0, 5)
		if troubles[len(troubles)-1] != nil {
			t.Errorf("still in trouble: %v", troubles)
		}
	})
}

// Services that name no children at the end of a shard are still read to it, by their listings.
func TestReader_FindsTheEndOfAShardThatAnEmulatorHasSplit(t *testing.T) {
	for name, start := range map[string]func(*testing.T) emulator.Endpoint{
		"kinesalite": emulator.Kinesalite, "kinesis-local": emulator.KinesisLocal, // moto ends no shard
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client := clientOf(start(t).URL)
			stream := "ending"
			await := func() {
				t.Helper()
				if err := kinesis.NewStreamExistsWaiter(client, func(o *kinesis.StreamExistsWaiterOptions) { o.MinDelay = 100 * time.Millisecond }).Wait(
					t.Context(), &kinesis.DescribeStreamInput{StreamName: &stream}, time.Minute); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := client.CreateStream(t.Context(), &kinesis.CreateStreamInput{StreamName: &stream, ShardCount: aws.Int32(1)}); err != nil {
				t.Fatal(err)
			}
			await()
			parent := shardOf(t, client, stream)
			if put, err := client.PutRecords(t.Context(), &kinesis.PutRecordsInput{StreamName: &stream, Records: odd()}); err != nil || *put.FailedRecordCount > 0 {
				t.Fatalf("put: %v", err)
			}
			if _, err := client.SplitShard(t.Context(), &kinesis.SplitShardInput{
				StreamName: &stream, ShardToSplit: &parent, NewStartingHashKey: aws.String("170141183460469231731687303715884105728"),
			}); err != nil {
				t.Fatal(err)
			}
			await()
			lister := shardmap.NewLister(client, streams.ID(stream))
			r := newSource(client, func(c *Config) {
				quick(c)
				c.Stream = streams.ID(stream)
				c.Closed = func(ctx context.Context, shard string) (bool, error) {
					listing, err := lister.ListShards(ctx)
					i := slices.IndexFunc(listing.Shards, func(s shardmap.Shard) bool { return s.ID == shard })
					return i >= 0 && listing.Shards[i].Closed, err
				}
			}).Open(parent, checkpoint.TrimHorizon)
			defer r.Close()
			records := 0
			for began := time.Now(); ; {
				f, err := r.Next(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				if records += f.Count; f.End {
					break
				}
				if time.Since(began) > time.Minute {
					t.Fatalf("no end within a minute, %d records", records)
				}
			}
			if records != len(odd()) {
				t.Errorf("%d records before the end, want %d", records, len(odd()))
			}
		})
	}
}
