package producer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/aws/smithy-go"

	"aws-streaming-pipeline/internal/streams"
)

func TestProducer_SendsEachRowOnceToAllShardsWithinTheLimits(t *testing.T) {
	for _, shards := range []int{1, 3, 16} {
		t.Run(fmt.Sprintf("%d shards", shards), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				stream := newFakeStream(t, shards)
				stream.latency = 20 * time.Millisecond
				const trips = 2500
				s, err := runProducer(t, t.Context(), generated(trips), stream)
				if err != nil {
					t.Fatal(err)
				}
				stream.checkOnce(trips)
				if len(s.Shards) != shards {
					t.Errorf("records went to %d shards, want %d", len(s.Shards), shards)
				}
				records, bytes := sumShards(s)
				if records != trips || s.Records != trips || bytes != s.Bytes || s.SettledRows != trips || s.Beyond != 0 || s.Retries != 0 {
					t.Errorf("summary %+v", s)
				}
				if stream.lists != (shards+1)/2 {
					t.Errorf("%d calls of ListShards, want each of the %d pages once", stream.lists, (shards+1)/2)
				}
			})
		})
	}
}

func TestProducer_FillsAShardToNearlyWhatItTakes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stream := newFakeStream(t, 2)
		stream.latency = 30 * time.Millisecond
		s, err := runProducer(t, t.Context(), generated(6000), stream)
		if err != nil {
			t.Fatal(err)
		}
		perSecond := float64(s.Bytes) / s.Elapsed.Seconds()
		if perSecond < 0.8*2*shardBytes {
			t.Errorf("%.0f bytes per second, two shards take %d", perSecond, 2*shardBytes)
		}
	})
}

func TestProducer_UnpacedAsksForNoShardsAndFillsCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stream := newFakeStream(t, 1)
		stream.paced = false
		c := generated(2000)
		c.Unpaced = true
		s, err := runProducer(t, t.Context(), c, stream)
		if err != nil {
			t.Fatal(err)
		}
		stream.checkOnce(2000)
		if stream.lists != 0 || s.Calls != 4 {
			t.Errorf("%d calls of ListShards, %d of PutRecords, want 0 and 4", stream.lists, s.Calls)
		}
	})
}

func TestProducer_SendsExactlyTheRefusedRecordsAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stream := newFakeStream(t, 4)
		var refusedKeys []string
		hit := 0
		stream.fault = func(n int, in *kinesis.PutRecordsInput, accept func(int) types.PutRecordsResultEntry) (*kinesis.PutRecordsOutput, error, bool) {
			switch n {
			case 1: // every third record is refused, for both reasons that there are
				hit++
				out := new(kinesis.PutRecordsOutput)
				for i, r := range in.Records {
					if i%3 != 0 {
						out.Records = append(out.Records, accept(i))
						continue
					}
					refusedKeys = append(refusedKeys, *r.PartitionKey)
					code := "ProvisionedThroughputExceededException"
					if i%2 == 0 {
						code = "InternalFailure"
					}
					out.Records = append(out.Records, refused(code))
				}
				return out, nil, true
			case 2:
				hit++
				var keys []string
				for _, r := range in.Records {
					keys = append(keys, *r.PartitionKey)
				}
				if !slices.Equal(keys, refusedKeys) {
					t.Errorf("sent again: %d records, refused were %d", len(keys), len(refusedKeys))
				}
			}
			return nil, nil, false
		}
		const trips = 200 // of one call
		s, err := runProducer(t, t.Context(), generated(trips), stream)
		if err != nil {
			t.Fatal(err)
		}
		stream.checkOnce(trips)
		if hit != 2 || s.Calls != 2 || s.Retries != int64(len(refusedKeys)) {
			t.Errorf("%d faults hit, summary %+v", hit, s)
		}
	})
}

func TestProducer_ManyFaultsLoseNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stream := newFakeStream(t, 4)
		stream.latency = 10 * time.Millisecond
		hits := map[string]int{}
		stream.fault = func(n int, in *kinesis.PutRecordsInput, accept func(int) types.PutRecordsResultEntry) (*kinesis.PutRecordsOutput, error, bool) {
			switch n % 5 {
			case 0:
				hits["refused as a whole"]++
				return nil, &types.ProvisionedThroughputExceededException{}, true
			case 1:
				hits["connection cut"]++
				return nil, fmt.Errorf("send: %w", io.ErrUnexpectedEOF), true
			case 2:
				hits["too few results"]++
				return &kinesis.PutRecordsOutput{}, nil, true
			case 3:
				hits["all but one refused"]++
				out := new(kinesis.PutRecordsOutput)
				for i := range in.Records {
					if i == len(in.Records)/2 {
						out.Records = append(out.Records, accept(i))
					} else {
						out.Records = append(out.Records, refused("InternalFailure"))
					}
				}
				return out, nil, true
			}
			return nil, nil, false
		}
		const trips = 3000
		s, err := runProducer(t, t.Context(), generated(trips), stream)
		if err != nil {
			t.Fatal(err)
		}
		stream.checkOnce(trips)
		if len(hits) != 4 || s.FailedCalls == 0 || s.Retries == 0 {
			t.Errorf("faults hit: %v, summary %+v", hits, s)
		}
	})
}

func TestProducer_EndsAtAnErrorThatDoesNotPass(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stream := newFakeStream(t, 4)
		denied := &smithy.GenericAPIError{Code: "AccessDeniedException", Message: "no"}
		stream.fault = func(n int, _ *kinesis.PutRecordsInput, _ func(int) types.PutRecordsResultEntry) (*kinesis.PutRecordsOutput, error, bool) {
			return nil, denied, n >= 3
		}
		s, err := runProducer(t, t.Context(), generated(10000), stream)
		if !errors.Is(err, denied) {
			t.Fatalf("error %v, want %v", err, denied)
		}
		if s.Records != int64(len(stream.taken)) || s.SettledRows+s.Beyond != s.Records {
			t.Errorf("%d records taken, summary %+v", len(stream.taken), s)
		}
	})
}

func TestProducer_GivesUpACallThatBringsNothingForLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stream := newFakeStream(t, 1)
		stream.fault = func(n int, in *kinesis.PutRecordsInput, accept func(int) types.PutRecordsResultEntry) (*kinesis.PutRecordsOutput, error, bool) {
			out := new(kinesis.PutRecordsOutput)
			for i := range in.Records {
				if n == 1 && i%2 == 1 {
					out.Records = append(out.Records, accept(i))
				} else {
					out.Records = append(out.Records, refused("ProvisionedThroughputExceededException"))
				}
			}
			return out, nil, true
		}
		c := generated(10)
		c.GiveUpAfter = time.Minute
		start := time.Now()
		s, err := runProducer(t, t.Context(), c, stream)
		if err == nil || !strings.Contains(err.Error(), "ProvisionedThroughputExceededException") {
			t.Fatalf("error %v does not tell why the records were refused", err)
		}
		if took := time.Since(start); took < time.Minute || took > 70*time.Second {
			t.Errorf("gave up after %s", took)
		}
		if s.SettledRows != 0 || s.Beyond != 5 {
			t.Errorf("summary %+v, want 0 rows settled and 5 sent beyond", s)
		}
		if s.Calls > 100 { // 30 on average, with waits anywhere up to their bound; some 1,000 if the bound did not grow
			t.Errorf("%d calls in a minute do not back off", s.Calls)
		}
	})
}

func TestProducer_AnInterruptedRunGoesOnWithoutLossOrDouble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stream := newFakeStream(t, 3)
		stream.latency = 50 * time.Millisecond
		const trips = 9000
		c := numbered(trips)
		c.InFlight = 2
		runs := 0
		for settled := int64(-1); ; runs++ {
			ctx, cancel := context.WithTimeout(t.Context(), 700*time.Millisecond)
			s, err := runProducer(t, ctx, c, stream)
			cancel()
			if err == nil {
				break
			}
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Fatal(err)
			}
			if s.SettledRows <= settled || s.Beyond != 0 {
				t.Fatalf("run %d: %d rows settled after %d, %d beyond", runs, s.SettledRows, settled, s.Beyond)
			}
			settled, c.Skip = s.SettledRows, s.SettledRows
			time.Sleep(time.Second) // the next run knows nothing of what this one gave the shards
		}
		if runs < 2 {
			t.Fatalf("only %d runs were interrupted", runs)
		}
		stream.checkOnce(trips)
	})
}

func TestProducer_SaysOnceWhatStoppedAPacedRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := generated(1000)
		c.Rate = 1
		ctx, cancel := context.WithCancelCause(t.Context())
		stopped := errors.New("stopped by hand")
		time.AfterFunc(time.Minute, func() { cancel(stopped) })
		if _, err := runProducer(t, ctx, c, newFakeStream(t, 2)); !errors.Is(err, stopped) || err.Error() != stopped.Error() {
			t.Errorf("error %q, want %q", err, stopped)
		}
	})
}

func TestProducer_AnInterruptionDoesNotWaitForACallThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stream := newFakeStream(t, 2)
		stream.latency = time.Hour
		c := generated(100000)
		c.DrainFor = 3 * time.Second
		ctx, cancel := context.WithCancelCause(t.Context())
		stopped := errors.New("stopped by hand")
		time.AfterFunc(2*time.Second, func() { cancel(stopped) })
		start := time.Now()
		s, err := runProducer(t, ctx, c, stream)
		if !errors.Is(err, stopped) {
			t.Errorf("error %v, want the cause of the context", err)
		}
		if took := time.Since(start); took != 5*time.Second {
			t.Errorf("took %s, want 2 s and the 3 s of DrainFor", took)
		}
		if s.SettledRows != 0 || s.Records != 0 {
			t.Errorf("summary %+v counts records without an answer", s)
		}
	})
}

func TestProducer_HangingCallIsMadeAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stream := newFakeStream(t, 2)
		hang := hangOnce{Client: stream}
		s, err := runProducer(t, t.Context(), generated(50), &hang)
		if err != nil {
			t.Fatal(err)
		}
		stream.checkOnce(50)
		if !hang.hung || s.FailedCalls != 1 || s.Elapsed < callTimeout {
			t.Errorf("hung: %v, summary %+v", hang.hung, s)
		}
	})
}

// hangOnce lets the first call hang before it reaches the stream.
type hangOnce struct {
	Client
	hung bool
}

func (h *hangOnce) PutRecords(ctx context.Context, in *kinesis.PutRecordsInput, o ...func(*kinesis.Options)) (*kinesis.PutRecordsOutput, error) {
	if !h.hung {
		h.hung = true
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return h.Client.PutRecords(ctx, in, o...)
}

func TestProducer_FollowsAReshardedStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stream := newFakeStream(t, 2)
		stream.latency = 10 * time.Millisecond
		stream.paced = false // until the producer knows, it may give a new shard too much
		resharded := false
		stream.fault = func(n int, _ *kinesis.PutRecordsInput, _ func(int) types.PutRecordsResultEntry) (*kinesis.PutRecordsOutput, error, bool) {
			if n == 30 {
				resharded = true
				stream.shards = evenShards(3)
			}
			return nil, nil, false
		}
		const trips = 16000
		s, err := runProducer(t, t.Context(), numbered(trips), stream)
		if err != nil {
			t.Fatal(err)
		}
		stream.checkOnce(trips)
		if !resharded || stream.lists != 1+2 || len(s.Shards) != 3 {
			t.Errorf("resharded: %v, ListShards pages read: %d, shards %v", resharded, stream.lists, s.Shards)
		}
	})
}

func TestProducer_KeepsToTheRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stream := newFakeStream(t, 2)
		c := generated(1000)
		c.Rate = 100
		s, err := runProducer(t, t.Context(), c, stream)
		if err != nil {
			t.Fatal(err)
		}
		stream.checkOnce(1000)
		if s.Elapsed < 9900*time.Millisecond || s.Elapsed > 10300*time.Millisecond {
			t.Errorf("1000 rows at 100 a second took %s", s.Elapsed)
		}
		if s.Calls < 80 {
			t.Errorf("%d calls: rows waited longer than %s", s.Calls, linger)
		}
	})
}

func TestProducer_RepeatsTheTableAndSkipsOverRepetitions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stream := newFakeStream(t, 2)
		c := generated(10)
		c.Repeat, c.Skip = 3, 13
		s, err := runProducer(t, t.Context(), c, stream)
		if err != nil {
			t.Fatal(err)
		}
		if s.Records != 17 || s.SettledRows != 30 {
			t.Errorf("summary %+v, want 17 records and 30 settled rows", s)
		}
		once, twice := 0, 0
		for _, n := range stream.ids("TRIP_ID") {
			switch n {
			case 1:
				once++
			case 2:
				twice++
			}
		}
		if once != 3 || twice != 7 {
			t.Errorf("%d trips once and %d twice, want 3 and 7", once, twice)
		}
	})
}

func TestProducer_RepeatsForeverUntilItIsStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stream := newFakeStream(t, 2)
		c := generated(10)
		c.Repeat, c.Rate = Forever, 50
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		s, err := runProducer(t, ctx, c, stream)
		if !errors.Is(err, context.DeadlineExceeded) || s.Records < 100 {
			t.Errorf("error %v, %d records", err, s.Records)
		}
	})
}

func csvConfig(text string) Config {
	return Config{Stream: "s", PartitionKey: "id", Source: func() (Source, error) { return CSV(strings.NewReader(text)), nil }}
}

func TestProducer_BadRowsAreReportedWithTheirLine(t *testing.T) {
	longKey := strings.Repeat("k", 257)
	tooLarge := strings.Repeat("x", DefaultMaxRecordBytes)
	text := "id,v\n1,a\n2\n3,b,c\n\"4\"x,d\n,e\n" + longKey + ",f\n7," + tooLarge + "\n8,\"g\nh\"\n9,\"i\n10,j\n"
	want := []string{
		"line 3: 1 cells, the header has 2",
		"line 4: 3 cells, the header has 2",
		"line 5: cell 1 goes on after its closing quote",
		"line 6: the partition key id has 0 characters, Kinesis takes 1 to 256",
		"line 7: the partition key id has 257 characters, Kinesis takes 1 to 256",
		fmt.Sprintf("line 8: the record has %d bytes, the stream takes 1048576", DefaultMaxRecordBytes+len(`{"id":"7","v":""}`)+1),
		"line 11: cell 2 has no closing quote",
	}
	synctest.Test(t, func(t *testing.T) {
		stream := newFakeStream(t, 2)
		c := csvConfig(text)
		var got []string
		c.OnBadRow = func(b *BadRow) { got = append(got, b.Error()) }
		s, err := runProducer(t, t.Context(), c, stream)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(got, want) {
			t.Errorf("bad rows:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		if s.BadRows != 7 || s.Records != 3 || s.Rows != 10 || s.SettledRows != 10 {
			t.Errorf("summary %+v", s)
		}
		if ids := stream.ids("id"); len(ids) != 3 || ids["1"] != 1 || ids["8"] != 1 || ids["10"] != 1 {
			t.Errorf("ids %v", ids)
		}
	})
}

func TestProducer_ABadRowEndsTheRunIfItIsToAndRowsBeforeItAreSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stream := newFakeStream(t, 2)
		c := csvConfig("id,v\n1,a\n2,b\n3\n4,d\n")
		c.FailOnBadRow = true
		s, err := runProducer(t, t.Context(), c, stream)
		var bad *BadRow
		if !errors.As(err, &bad) || bad.Line != 4 {
			t.Fatalf("error %v", err)
		}
		if s.SettledRows != 2 || s.Records != 2 {
			t.Errorf("summary %+v, want 2 rows settled", s)
		}
	})
}

func TestProducer_RaisedRecordLimitTakesLargeRecordsAtTheRateOfTheirShard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stream := newFakeStream(t, 1)
		stream.maxBytes = maxRecordBytes
		var text bytes.Buffer
		text.WriteString("id,v\n")
		for i := range 3 {
			fmt.Fprintf(&text, "%d,%s\n", i, strings.Repeat("x", 2<<20))
		}
		c := csvConfig(text.String())
		c.MaxRecordBytes = maxRecordBytes
		s, err := runProducer(t, t.Context(), c, stream)
		if err != nil {
			t.Fatal(err)
		}
		if s.Records != 3 || s.Elapsed < 4*time.Second {
			t.Errorf("%d records in %s, want 3 in at least 4 s", s.Records, s.Elapsed)
		}
	})
}

func TestProducer_RowNumbersAreKeysIfThereIsNoColumn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stream := newFakeStream(t, 2)
		c := csvConfig("a\nx\nx\nx\n")
		c.PartitionKey = ""
		if _, err := runProducer(t, t.Context(), c, stream); err != nil {
			t.Fatal(err)
		}
		var keys []string
		for _, r := range stream.taken {
			keys = append(keys, *r.PartitionKey)
		}
		if !slices.Equal(keys, []string{"1", "2", "3"}) {
			t.Errorf("keys %q", keys)
		}
	})
}

func TestProducer_TellsTheColumnsThatThereAre(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := csvConfig("a,b\n1,2\n")
		_, err := runProducer(t, t.Context(), c, newFakeStream(t, 1))
		var fault Fault
		if !errors.As(err, &fault) || fault.Field != "PartitionKey" || !strings.Contains(fault.Want, "a, b") {
			t.Errorf("error %v", err)
		}
	})
}

func TestProducer_ReportsProgressUpToTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var reports []Progress
		c := generated(1000)
		c.Rate = 200
		c.OnProgress = func(p Progress) { reports = append(reports, p) }
		if _, err := runProducer(t, t.Context(), c, newFakeStream(t, 2)); err != nil {
			t.Fatal(err)
		}
		if n := len(reports); n < 5 || n > 6 {
			t.Fatalf("%d reports in 5 s", n)
		}
		if last := reports[len(reports)-1]; last.Records != 1000 || last.Rows != 1000 {
			t.Errorf("last report %+v", last)
		}
		for i := 1; i < len(reports); i++ {
			if reports[i].Records < reports[i-1].Records {
				t.Errorf("report %d goes back", i)
			}
		}
	})
}

func TestProducer_AReadErrorEndsTheRunAndRowsBeforeItAreSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stream := newFakeStream(t, 1)
		broken := errors.New("disk broken")
		c := csvConfig("")
		c.Source = func() (Source, error) {
			return CSV(io.MultiReader(strings.NewReader("id\n1\n2\n3"), &failingReader{broken})), nil
		}
		s, err := runProducer(t, t.Context(), c, stream)
		if !errors.Is(err, broken) || !strings.Contains(err.Error(), "line 4") {
			t.Errorf("error %v", err)
		}
		if s.SettledRows != 2 || s.Records != 2 {
			t.Errorf("summary %+v", s)
		}
	})
}

type failingReader struct{ err error }

func (f *failingReader) Read([]byte) (int, error) { return 0, f.err }

func TestConfig_TellsAllFaultsAtOnce(t *testing.T) {
	c := Config{Stream: "no/slash", Repeat: -2, Skip: -1, MaxRecordBytes: 11 << 20, Rate: -1, InFlight: 65,
		GiveUpAfter: -1, DrainFor: -1, ProgressEvery: -1}
	err := c.Validate()
	for _, field := range []string{"Stream", "Source", "Repeat", "Skip", "MaxRecordBytes", "Rate", "InFlight", "GiveUpAfter", "DrainFor", "ProgressEvery"} {
		if !strings.Contains(err.Error(), field+"=") {
			t.Errorf("nothing about %s in %q", field, err)
		}
	}
	if _, err := New(c, nil); err == nil {
		t.Error("New takes faulty settings")
	}
	good := generated(1)
	for _, stream := range []string{"trips", "a.b-c_D9", "arn:aws:kinesis:eu-west-1:123456789012:stream/trips"} {
		good.Stream = streams.ID(stream)
		if err := good.Validate(); err != nil {
			t.Errorf("%s: %v", stream, err)
		}
	}
	for _, stream := range []string{"", strings.Repeat("s", 129), "arn:aws:kinesis:eu-west-1:1:trips", "arn:aws:kinesis:eu-west-1:1:stream/", "a b"} {
		good.Stream = streams.ID(stream)
		if good.Validate() == nil {
			t.Errorf("%q is taken for a stream", stream)
		}
	}
}
