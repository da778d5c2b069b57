package localstream_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/aws/smithy-go/encoding/cbor"

	"aws-streaming-pipeline/internal/localstream"
)

// clock is a clock that only the test moves.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Unix(1_790_000_000, 0)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

const trips = "trips"

// bench is a server with a stream, and a client that does not retry.
type bench struct {
	*localstream.Server
	client *kinesis.Client
	tb     testing.TB
}

func newBench(tb testing.TB, options localstream.Options, shards int) *bench {
	tb.Helper()
	server := startServer(tb, options)
	if err := server.CreateStream(trips, shards); err != nil {
		tb.Fatal(err)
	}
	return &bench{Server: server, client: newClient(server.URL()), tb: tb}
}

func (b *bench) ctx() context.Context { return b.tb.Context() }

func (b *bench) put(data string) error {
	_, err := b.client.PutRecord(b.ctx(), &kinesis.PutRecordInput{
		StreamName: aws.String(trips), PartitionKey: aws.String("key"), Data: []byte(data),
	})
	return err
}

func (b *bench) mustPut(data string) {
	b.tb.Helper()
	if err := b.put(data); err != nil {
		b.tb.Fatal(err)
	}
}

func (b *bench) iterator(kind types.ShardIteratorType) *string {
	b.tb.Helper()
	out, err := b.client.GetShardIterator(b.ctx(), &kinesis.GetShardIteratorInput{
		StreamName: aws.String(trips), ShardId: aws.String(shardAt(0)), ShardIteratorType: kind,
	})
	if err != nil {
		b.tb.Fatal(err)
	}
	return out.ShardIterator
}

func (b *bench) get(iterator *string) (*kinesis.GetRecordsOutput, error) {
	return b.client.GetRecords(b.ctx(), &kinesis.GetRecordsInput{ShardIterator: iterator})
}

func (b *bench) mustGet(iterator *string) *kinesis.GetRecordsOutput {
	b.tb.Helper()
	out, err := b.get(iterator)
	if err != nil {
		b.tb.Fatal(err)
	}
	return out
}

func (b *bench) shard(index int) localstream.ShardState {
	b.tb.Helper()
	shards, err := b.Shards(trips)
	if err != nil {
		b.tb.Fatal(err)
	}
	return shards[index]
}

// is reports whether err is of an error type of the SDK.
func is[T error](err error) bool {
	var target T
	return errors.As(err, &target)
}

func TestStart_RefusesAddressesBeyondLoopback(t *testing.T) {
	for _, addr := range []string{"0.0.0.0:0", ":0", "192.0.2.1:0", "nonsense"} {
		if server, err := localstream.Start(addr, localstream.Options{}); err == nil {
			t.Errorf("%s is accepted", addr)
			_ = server.Close()
		}
	}
}

func TestNew_RefusesLessMemoryThanAMebibyte(t *testing.T) {
	if _, err := localstream.New(localstream.Options{MaxBytes: 1<<20 - 1}); err == nil {
		t.Error("accepted")
	}
}

func TestIterator_ExpiresAfterFiveMinutes(t *testing.T) {
	clock := newClock()
	b := newBench(t, localstream.Options{Clock: clock.Now}, 1)
	b.mustPut("x")
	iterator := b.iterator(types.ShardIteratorTypeTrimHorizon)
	clock.advance(5 * time.Minute)
	next := b.mustGet(iterator).NextShardIterator
	clock.advance(time.Millisecond)
	if _, err := b.get(iterator); !is[*types.ExpiredIteratorException](err) {
		t.Errorf("after five minutes: %v", err)
	}
	if _, err := b.get(next); err != nil {
		t.Errorf("the iterator of the answer counts from the answer: %v", err)
	}
}

func TestListShards_TokenExpiresAfterFiveMinutes(t *testing.T) {
	clock := newClock()
	b := newBench(t, localstream.Options{Clock: clock.Now}, 3)
	out, err := b.client.ListShards(t.Context(), &kinesis.ListShardsInput{StreamName: aws.String(trips), MaxResults: aws.Int32(1)})
	if err != nil {
		t.Fatal(err)
	}
	clock.advance(5*time.Minute + time.Millisecond)
	_, err = b.client.ListShards(t.Context(), &kinesis.ListShardsInput{NextToken: out.NextToken})
	if !is[*types.ExpiredNextTokenException](err) {
		t.Errorf("after five minutes: %v", err)
	}
}

func TestRetention_HidesOldRecordsAndThenClosedShards(t *testing.T) {
	clock := newClock()
	b := newBench(t, localstream.Options{Clock: clock.Now}, 1)
	b.mustPut("old")
	clock.advance(12 * time.Hour)
	b.mustPut("young")
	_, err := b.client.SplitShard(t.Context(), &kinesis.SplitShardInput{
		StreamName: aws.String(trips), ShardToSplit: aws.String(shardAt(0)), NewStartingHashKey: aws.String("1000"),
	})
	if err != nil {
		t.Fatal(err)
	}
	clock.advance(12*time.Hour + time.Millisecond)
	out := b.mustGet(b.iterator(types.ShardIteratorTypeTrimHorizon))
	if met := payloads(out.Records); met != "young" {
		t.Errorf("a day after the first record: %q", met)
	}
	if state := b.shard(0); state.Put != 2 || state.Held != 1 || state.Trimmed != 1 || state.TrimmedBytes != int64(len("keyold")) {
		t.Errorf("state %+v", state)
	}
	clock.advance(12 * time.Hour)
	list, err := b.client.ListShards(t.Context(), &kinesis.ListShardsInput{StreamName: aws.String(trips)})
	if err != nil {
		t.Fatal(err)
	}
	if met := ids(list.Shards); met != "1,2" {
		t.Errorf("a day after the split: %s", met)
	}
}

func TestRetention_FollowsItsCalls(t *testing.T) {
	clock := newClock()
	b := newBench(t, localstream.Options{Clock: clock.Now}, 1)
	b.mustPut("x")
	_, err := b.client.IncreaseStreamRetentionPeriod(t.Context(), &kinesis.IncreaseStreamRetentionPeriodInput{
		StreamName: aws.String(trips), RetentionPeriodHours: aws.Int32(48),
	})
	if err != nil {
		t.Fatal(err)
	}
	clock.advance(36 * time.Hour)
	if met := payloads(b.mustGet(b.iterator(types.ShardIteratorTypeTrimHorizon)).Records); met != "x" {
		t.Errorf("with 48 hours: %q", met)
	}
	_, err = b.client.DecreaseStreamRetentionPeriod(t.Context(), &kinesis.DecreaseStreamRetentionPeriodInput{
		StreamName: aws.String(trips), RetentionPeriodHours: aws.Int32(24),
	})
	if err != nil {
		t.Fatal(err)
	}
	if met := payloads(b.mustGet(b.iterator(types.ShardIteratorTypeTrimHorizon)).Records); met != "" {
		t.Errorf("with 24 hours: %q", met)
	}
	_, err = b.client.DecreaseStreamRetentionPeriod(t.Context(), &kinesis.DecreaseStreamRetentionPeriodInput{
		StreamName: aws.String(trips), RetentionPeriodHours: aws.Int32(23),
	})
	if !is[*types.InvalidArgumentException](err) {
		t.Errorf("23 hours: %v", err)
	}
}

func TestStatus_ChangesAfterItsDelay(t *testing.T) {
	clock := newClock()
	b := newBench(t, localstream.Options{Clock: clock.Now, StatusDelay: time.Minute}, 2)
	status := func() types.StreamStatus {
		out, err := b.client.DescribeStreamSummary(t.Context(), &kinesis.DescribeStreamSummaryInput{StreamName: aws.String(trips)})
		if is[*types.ResourceNotFoundException](err) {
			return "gone"
		}
		if err != nil {
			t.Fatal(err)
		}
		return out.StreamDescriptionSummary.StreamStatus
	}
	merge := func() error {
		_, err := b.client.MergeShards(t.Context(), &kinesis.MergeShardsInput{
			StreamName: aws.String(trips), ShardToMerge: aws.String(shardAt(1)), AdjacentShardToMerge: aws.String(shardAt(0)),
		})
		return err
	}
	remove := func() error {
		_, err := b.client.DeleteStream(t.Context(), &kinesis.DeleteStreamInput{StreamName: aws.String(trips)})
		return err
	}
	if met := status(); met != types.StreamStatusCreating {
		t.Errorf("at first %s", met)
	}
	if err := b.put("x"); !is[*types.ResourceNotFoundException](err) {
		t.Errorf("put while creating: %v", err)
	}
	if err := merge(); !is[*types.ResourceInUseException](err) {
		t.Errorf("merge while creating: %v", err)
	}
	steps := []struct {
		during types.StreamStatus
		do     func() error
		after  types.StreamStatus
	}{
		{types.StreamStatusUpdating, merge, types.StreamStatusActive},
		{types.StreamStatusDeleting, remove, "gone"},
	}
	clock.advance(time.Minute)
	for _, step := range steps {
		b.mustPut("x")
		if err := step.do(); err != nil {
			t.Fatal(err)
		}
		if met := status(); met != step.during {
			t.Errorf("%s, not %s", met, step.during)
		}
		clock.advance(time.Minute)
		if met := status(); met != step.after {
			t.Errorf("%s, not %s", met, step.after)
		}
	}
	if used := b.UsedBytes(); used != 0 {
		t.Errorf("%d bytes are still charged after the deletion", used)
	}
}

func TestLimits_RefuseCallsAsThrottled(t *testing.T) {
	clock := newClock()
	b := newBench(t, localstream.Options{Clock: clock.Now, LimitReads: true, LimitWrites: true}, 1)
	entries := make([]types.PutRecordsRequestEntry, 3)
	for i := range entries {
		entries[i] = types.PutRecordsRequestEntry{PartitionKey: aws.String("k"), Data: make([]byte, 400<<10)}
	}
	out, err := b.client.PutRecords(t.Context(), &kinesis.PutRecordsInput{StreamName: aws.String(trips), Records: entries})
	if err != nil {
		t.Fatal(err)
	}
	if code := aws.ToString(out.Records[2].ErrorCode); *out.FailedRecordCount != 1 || code != "ProvisionedThroughputExceededException" || out.Records[2].SequenceNumber != nil {
		t.Errorf("%d failed, the last with %q", *out.FailedRecordCount, code)
	}
	if err := b.put(strings.Repeat("x", 400<<10)); !is[*types.ProvisionedThroughputExceededException](err) {
		t.Errorf("PutRecord above the rate: %v", err)
	}
	clock.advance(time.Second)
	b.mustPut("x")

	iterator := b.iterator(types.ShardIteratorTypeLatest)
	for range 5 {
		b.mustGet(iterator)
	}
	if _, err := b.get(iterator); !is[*types.ProvisionedThroughputExceededException](err) {
		t.Errorf("sixth GetRecords: %v", err)
	}
	clock.advance(time.Second)
	b.mustGet(iterator)
}

// fill puts records of 4 KiB until one is refused, at most twice as many as fit in a mebibyte.
func (b *bench) fill() (accepted int, err error) {
	for range 512 {
		if err := b.put(strings.Repeat("x", 4<<10)); err != nil {
			return accepted, err
		}
		accepted++
	}
	return accepted, nil
}

func TestMemory_KeepUnreadRefusesPutsUntilAReaderMovesOn(t *testing.T) {
	b := newBench(t, localstream.Options{MaxBytes: 1 << 20}, 1)
	accepted, err := b.fill()
	if !is[*types.ProvisionedThroughputExceededException](err) {
		t.Fatalf("after %d records: %v", accepted, err)
	}
	if state := b.shard(0); state.Trimmed != 0 || state.Held != int64(accepted) || state.Unread != int64(accepted) {
		t.Errorf("state %+v", state)
	}
	out := b.mustGet(b.iterator(types.ShardIteratorTypeTrimHorizon))
	if err := b.put(strings.Repeat("x", 4<<10)); err == nil {
		t.Error("room is made when the records are only on their way to the reader")
	}
	b.mustGet(out.NextShardIterator)
	again, _ := b.fill()
	if state := b.shard(0); again == 0 || state.Trimmed == 0 || state.Held+state.Trimmed != int64(accepted+again) {
		t.Errorf("after the reader moved on, %d records fit; state %+v", again, state)
	}
	if used := b.UsedBytes(); used > 1<<20 {
		t.Errorf("%d bytes are used", used)
	}
}

func TestMemory_KeepUnreleasedWaitsForRelease(t *testing.T) {
	b := newBench(t, localstream.Options{MaxBytes: 1 << 20, WhenFull: localstream.KeepUnreleased}, 1)
	accepted, _ := b.fill()
	out := b.mustGet(b.iterator(types.ShardIteratorTypeTrimHorizon))
	b.mustGet(out.NextShardIterator)
	if err := b.put(strings.Repeat("x", 4<<10)); !is[*types.ProvisionedThroughputExceededException](err) {
		t.Errorf("records that are only read make room: %v", err)
	}
	half := *out.Records[accepted/2].SequenceNumber
	if err := b.Release(trips, shardAt(0), half); err != nil {
		t.Fatal(err)
	}
	if unread := b.shard(0).Unread; unread != int64(accepted-accepted/2-1) {
		t.Errorf("%d of %d records are not released", unread, accepted)
	}
	b.mustPut(strings.Repeat("x", 4<<10))
	for r := range b.Records(trips, shardAt(0)) {
		if r.SequenceNumber == *out.Records[accepted/2+1].SequenceNumber {
			return
		}
	}
	t.Error("a record that was not released is gone")
}

func TestMemory_TrimOldestRefusesNothing(t *testing.T) {
	b := newBench(t, localstream.Options{MaxBytes: 1 << 20, WhenFull: localstream.TrimOldest}, 1)
	iterator := b.iterator(types.ShardIteratorTypeTrimHorizon)
	accepted, err := b.fill()
	if err != nil {
		t.Fatal(err)
	}
	state := b.shard(0)
	if state.Trimmed == 0 || state.Held+state.Trimmed != int64(accepted) || b.UsedBytes() > 1<<20 {
		t.Errorf("%d bytes used, state %+v", b.UsedBytes(), state)
	}
	if out := b.mustGet(iterator); int64(len(out.Records)) != state.Held || *out.Records[len(out.Records)-1].SequenceNumber != state.Last {
		t.Errorf("a reader behind the trimmed records gets %d of %d held", len(out.Records), state.Held)
	}
}

// A busy shard may take the memory of an idle one whose records were read.
func TestMemory_IsSharedByAllShards(t *testing.T) {
	b := newBench(t, localstream.Options{MaxBytes: 1 << 20}, 1)
	accepted, _ := b.fill()
	b.mustGet(b.mustGet(b.iterator(types.ShardIteratorTypeTrimHorizon)).NextShardIterator)
	if err := b.CreateStream("other", 1); err != nil {
		t.Fatal(err)
	}
	for range accepted / 2 {
		if _, _, err := b.Put("other", localstream.Entry{PartitionKey: "k", Data: make([]byte, 4<<10)}); err != nil {
			t.Fatal(err)
		}
	}
}

func TestFaults_HitAndAreCounted(t *testing.T) {
	tests := []struct {
		rule localstream.Rule
		call func(*bench) error
		// fails says what the call returns, applied how many records are stored after it.
		fails   func(error) bool
		applied int64
	}{
		{localstream.Rule{Kind: localstream.Throttle, Operation: "PutRecord"}, putOne, is[*types.ProvisionedThroughputExceededException], 0},
		{localstream.Rule{Kind: localstream.ServerError, Operation: "PutRecord"}, putOne, is[*types.InternalFailureException], 0},
		{localstream.Rule{Kind: localstream.LostRequest}, putOne, lost, 0},
		{localstream.Rule{Kind: localstream.LostAnswer}, putOne, lost, 1},
		{localstream.Rule{Kind: localstream.LateAnswer, Delay: time.Millisecond}, putOne, none, 1},
		{localstream.Rule{Kind: localstream.LateRequest, Delay: time.Millisecond}, putOne, none, 1},
		{localstream.Rule{Kind: localstream.ExpiredIterator, Operation: "GetRecords"}, getOnce, is[*types.ExpiredIteratorException], 0},
		{localstream.Rule{Kind: localstream.ThrottleEntries, Entries: 2}, putThree("E E 0"), none, 1},
		{localstream.Rule{Kind: localstream.FailEntries}, putThree("I 0 0"), none, 2},
		{localstream.Rule{Kind: localstream.MissingShard, Operation: "ListShards"}, listOnce("0"), none, 0},
		{localstream.Rule{Kind: localstream.MissingShard, Operation: "ListShards", Shard: shardAt(0)}, listOnce("1"), none, 0},
	}
	for _, test := range tests {
		t.Run(test.rule.Kind.String(), func(t *testing.T) {
			faults := localstream.NewFaults(1)
			b := newBench(t, localstream.Options{Faults: faults}, 2)
			test.rule.Probability, test.rule.Times = 1, 1
			// The iterator of getOnce is obtained first, under a rule that names its operation.
			fault := faults.Plant(test.rule)
			if err := test.call(b); !test.fails(err) {
				t.Errorf("the call met %v", err)
			}
			if fault.Hits() != 1 || len(faults.Unhit()) != 0 {
				t.Errorf("%d hits, unhit %v", fault.Hits(), faults.Unhit())
			}
			if stored := b.shard(0).Put + b.shard(1).Put; stored != test.applied {
				t.Errorf("%d records are stored, not %d", stored, test.applied)
			}
		})
	}
}

func putOne(b *bench) error { return b.put("x") }

func getOnce(b *bench) error {
	_, err := b.get(b.iterator(types.ShardIteratorTypeTrimHorizon))
	return err
}

// lost is a failure without an answer.
func lost(err error) bool {
	var status interface{ HTTPStatusCode() int }
	return err != nil && !(errors.As(err, &status) && status.HTTPStatusCode() > 0)
}

func none(err error) bool { return err == nil }

// putThree puts three records and checks which of them fail: E for throughput exceeded, I for internal failure.
func putThree(documented string) func(*bench) error {
	return func(b *bench) error {
		entry := types.PutRecordsRequestEntry{PartitionKey: aws.String("k"), Data: []byte("x")}
		out, err := b.client.PutRecords(b.ctx(), &kinesis.PutRecordsInput{
			StreamName: aws.String(trips), Records: []types.PutRecordsRequestEntry{entry, entry, entry},
		})
		if err != nil {
			return err
		}
		codes := map[string]string{"": "0", "ProvisionedThroughputExceededException": "E", "InternalFailure": "I"}
		var met []string
		for _, r := range out.Records {
			met = append(met, codes[aws.ToString(r.ErrorCode)])
		}
		return want(strings.Join(met, " "), documented)
	}
}

// listOnce checks one listing, and that the next shows all shards.
func listOnce(documented string) func(*bench) error {
	return func(b *bench) error {
		for _, documented := range []string{documented, "0,1"} {
			out, err := b.client.ListShards(b.ctx(), &kinesis.ListShardsInput{StreamName: aws.String(trips)})
			if err != nil {
				return err
			}
			if err := want(ids(out.Shards), documented); err != nil {
				return err
			}
		}
		return nil
	}
}

func TestFaults_NthPicksOneCallAndUnhitTellsTheRest(t *testing.T) {
	faults := localstream.NewFaults(1)
	third := faults.Plant(localstream.Rule{Kind: localstream.Throttle, Operation: "PutRecord", Nth: 3})
	faults.Plant(localstream.Rule{Kind: localstream.ServerError, Operation: "GetRecords", Nth: 1})
	b := newBench(t, localstream.Options{Faults: faults}, 1)
	var met []string
	for range 5 {
		met = append(met, strconv.FormatBool(b.put("x") == nil))
	}
	if text := strings.Join(met, " "); text != "true true false true true" || third.Hits() != 1 {
		t.Errorf("%s, %d hits", text, third.Hits())
	}
	if unhit := faults.Unhit(); len(unhit) != 1 || !strings.Contains(unhit[0], "GetRecords") {
		t.Errorf("unhit %v", unhit)
	}
	faults.Clear()
	if unhit := faults.Unhit(); len(unhit) != 0 || third.Hits() != 1 {
		t.Errorf("after Clear: unhit %v, %d hits", unhit, third.Hits())
	}
}

func TestFaults_ProbabilityFollowsTheSeed(t *testing.T) {
	pattern := func(seed uint64) string {
		faults := localstream.NewFaults(seed)
		faults.Plant(localstream.Rule{Kind: localstream.Throttle, Operation: "PutRecord", Probability: 0.5})
		b := newBench(t, localstream.Options{Faults: faults}, 1)
		var text strings.Builder
		for range 40 {
			fmt.Fprint(&text, b.put("x") == nil, " ")
		}
		return text.String()
	}
	first := pattern(7)
	if first != pattern(7) {
		t.Error("one seed, two patterns")
	}
	if !strings.Contains(first, "true") || !strings.Contains(first, "false") {
		t.Errorf("a chance of one half gives only %s", first)
	}
}

// A late request must be applied although its sender is gone: that is what it is planted for.
func TestFaults_LateRequestIsAppliedAfterItsSenderGaveUp(t *testing.T) {
	faults := localstream.NewFaults(1)
	late := faults.Plant(localstream.Rule{Kind: localstream.LateRequest, Operation: "PutRecord", Nth: 1, Delay: time.Second})
	b := newBench(t, localstream.Options{Faults: faults}, 1)
	ctx, giveUp := context.WithCancel(t.Context())
	go func() {
		defer giveUp()
		for late.Hits() == 0 && pause(t.Context(), time.Millisecond) == nil {
		}
	}()
	_, err := b.client.PutRecord(ctx, &kinesis.PutRecordInput{StreamName: aws.String(trips), PartitionKey: aws.String("k"), Data: []byte("x")})
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("the sender met %v", err)
	}
	for b.shard(0).Put == 0 {
		if err := pause(t.Context(), 5*time.Millisecond); err != nil {
			t.Fatal(err)
		}
	}
}

// Producers, readers and reshards at once: every record that was accepted is read exactly once by following the shards
// from parents to children, in the order of its shard.
func TestStream_LosesNothingUnderConcurrentReshards(t *testing.T) {
	const producers, batches, batchSize = 4, 25, 20
	b := newBench(t, localstream.Options{}, 2)
	var accepted sync.Map
	var group sync.WaitGroup
	for p := range producers {
		group.Go(func() {
			for i := range batches {
				entries := make([]types.PutRecordsRequestEntry, batchSize)
				for j := range entries {
					text := fmt.Sprintf("%d-%d-%d", p, i, j)
					entries[j] = types.PutRecordsRequestEntry{PartitionKey: &text, Data: []byte(text)}
				}
				out, err := b.client.PutRecords(b.ctx(), &kinesis.PutRecordsInput{StreamName: aws.String(trips), Records: entries})
				if err != nil || *out.FailedRecordCount != 0 {
					t.Errorf("put: %v", err)
					return
				}
				for j, r := range out.Records {
					accepted.Store(string(entries[j].Data), *r.ShardId+" "+*r.SequenceNumber)
				}
			}
		})
	}
	group.Go(func() {
		for _, count := range []int32{4, 3, 5, 2, 1, 2} {
			_, err := b.client.UpdateShardCount(b.ctx(), &kinesis.UpdateShardCountInput{
				StreamName: aws.String(trips), TargetShardCount: &count, ScalingType: types.ScalingTypeUniformScaling,
			})
			if err != nil && !is[*types.InvalidArgumentException](err) {
				t.Errorf("scale to %d: %v", count, err)
			}
		}
	})
	group.Wait()

	shards, err := b.Shards(trips)
	if err != nil {
		t.Fatal(err)
	}
	read := 0
	for _, sh := range shards {
		before := ""
		for r := range b.Records(trips, sh.ID) {
			read++
			if r.SequenceNumber <= before {
				t.Errorf("%s follows %s in %s", r.SequenceNumber, before, sh.ID)
			}
			before = r.SequenceNumber
			if place, there := accepted.LoadAndDelete(string(r.Data)); !there || place != sh.ID+" "+r.SequenceNumber {
				t.Errorf("%s lies at %s %s, was accepted at %v", r.Data, sh.ID, r.SequenceNumber, place)
			}
		}
		for _, parent := range sh.Parents {
			i := slices.IndexFunc(shards, func(s localstream.ShardState) bool { return s.ID == parent })
			if shards[i].Last > before && before != "" {
				t.Errorf("%s ends at %s, behind its child %s", parent, shards[i].Last, sh.ID)
			}
		}
	}
	if read != producers*batches*batchSize {
		t.Errorf("%d records of %d", read, producers*batches*batchSize)
	}
}

func TestHTTP_AnswersWhatIsNoCallWithAnError(t *testing.T) {
	b := newBench(t, localstream.Options{}, 1)
	tests := []struct {
		name, method, target, body, documented string
	}{
		{"no operation", http.MethodPost, "", "{}", "UnknownOperationException"},
		{"another service", http.MethodPost, "DynamoDB_20120810.PutItem", "{}", "UnknownOperationException"},
		{"an operation that is missing", http.MethodPost, "Kinesis_20131202.StartStreamEncryption", "{}", "UnknownOperationException"},
		{"another method", http.MethodGet, "Kinesis_20131202.ListStreams", "", "UnknownOperationException"},
		{"no JSON", http.MethodPost, "Kinesis_20131202.ListStreams", "{", "SerializationException"},
		{"no JSON for a put", http.MethodPost, "Kinesis_20131202.PutRecord", "{", "SerializationException"},
		{"neither name nor ARN", http.MethodPost, "Kinesis_20131202.ListShards", "{}", "InvalidArgumentException"},
		{"name and ARN of different streams", http.MethodPost, "Kinesis_20131202.ListShards", `{"StreamName":"a","StreamARN":"arn:aws:kinesis:us-east-1:123456789012:stream/b"}`, "InvalidArgumentException"},
		{"an ARN of a table", http.MethodPost, "Kinesis_20131202.ListShards", `{"StreamARN":"arn:aws:dynamodb:us-east-1:123456789012:table/b"}`, "ValidationException"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			request, err := http.NewRequestWithContext(t.Context(), test.method, b.URL(), strings.NewReader(test.body))
			if err != nil {
				t.Fatal(err)
			}
			request.Header.Set("X-Amz-Target", test.target)
			answer, err := http.DefaultClient.Do(request)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = answer.Body.Close() }()
			text, err := io.ReadAll(answer.Body)
			if err != nil {
				t.Fatal(err)
			}
			if answer.StatusCode != http.StatusBadRequest || !strings.Contains(string(text), `"__type":"`+test.documented+`"`) {
				t.Errorf("%d %s", answer.StatusCode, text)
			}
		})
	}
}

func TestUpdateMaxRecordSize_LetsLargerRecordsIn(t *testing.T) {
	b := newBench(t, localstream.Options{}, 1)
	large := strings.Repeat("x", 9<<20)
	if err := b.put(large); !is[*types.ValidationException](err) {
		t.Fatalf("9 MiB by default: %v", err)
	}
	_, err := b.client.UpdateMaxRecordSize(t.Context(), &kinesis.UpdateMaxRecordSizeInput{
		StreamARN: aws.String("arn:aws:kinesis:us-east-1:123456789012:stream/" + trips), MaxRecordSizeInKiB: aws.Int32(10240),
	})
	if err != nil {
		t.Fatal(err)
	}
	b.mustPut(large)
	if out := b.mustGet(b.iterator(types.ShardIteratorTypeTrimHorizon)); payloads(out.Records) != large {
		t.Errorf("%d records came back", len(out.Records))
	}
}

// CBOR is supported for GetRecords only. Invalid CBOR requests, and other operations in CBOR, are refused in CBOR.
func TestServer_RefusesWhatItDoesNotReadInCBOR(t *testing.T) {
	server := startServer(t, localstream.Options{})
	for name, test := range map[string]struct{ operation, body string }{
		"another operation":    {"ListStreams", "\xa0"},
		"no CBOR":              {"GetRecords", "{}"},
		"no map":               {"GetRecords", "\x80"},
		"cut off":              {"GetRecords", "\xa1\x65Limit"},
		"a number that is not": {"GetRecords", "\xa1\x65Limit\x61x"},
		"an unknown member":    {"GetRecords", "\xa1\x61x\x01"},
	} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL(), strings.NewReader(test.body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/x-amz-cbor-1.1")
		r.Header.Set("X-Amz-Target", "Kinesis_20131202."+test.operation)
		response, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(response.Body)
		response.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		value, err := cbor.Decode(body)
		m, _ := value.(cbor.Map)
		if err != nil || m["__type"] != cbor.String("SerializationException") || response.StatusCode != http.StatusBadRequest ||
			response.Header.Get("Content-Type") != "application/x-amz-cbor-1.1" {
			t.Errorf("%s: %d %v, %v", name, response.StatusCode, value, err)
		}
	}
}
