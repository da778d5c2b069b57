package producer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"aws-streaming-pipeline/internal/backoff"
)

// fakeStream is a stream that keeps what it accepts and refuses to be given more than the service allows: a call that
// breaks a limit fails the test. Faults are planted by the number of the call.
type fakeStream struct {
	t        testing.TB
	maxBytes int           // of a call
	latency  time.Duration // of a call

	mu     sync.Mutex
	shards shardMap
	paced  bool // shards have rates
	calls  int
	given  map[string][]given // to each shard, in order of time
	taken  []types.PutRecordsRequestEntry
	lists  int

	// fault, if set, answers the n-th call, from 1, instead of the stream. It returns false to let the call pass.
	fault func(n int, in *kinesis.PutRecordsInput, accept func(int) types.PutRecordsResultEntry) (*kinesis.PutRecordsOutput, error, bool)
}

type given struct {
	at   time.Time
	load load
}

func newFakeStream(t testing.TB, shards int) *fakeStream {
	return &fakeStream{t: t, maxBytes: defaultCallBytes, shards: evenShards(shards), paced: true, given: map[string][]given{}}
}

// evenShards cuts the hash keys into n equal ranges.
func evenShards(n int) shardMap {
	all := new(big.Int).Lsh(big.NewInt(1), 128)
	bound := func(i int) *big.Int {
		b := new(big.Int).Mul(all, big.NewInt(int64(i)))
		return b.Div(b, big.NewInt(int64(n)))
	}
	var m shardMap
	for i := range n {
		r := hashRange{shard: fmt.Sprintf("shardId-%012d", i)}
		bound(i).FillBytes(r.first[:])
		new(big.Int).Sub(bound(i+1), big.NewInt(1)).FillBytes(r.last[:])
		m = append(m, r)
	}
	return m
}

func (f *fakeStream) ListShards(_ context.Context, in *kinesis.ListShardsInput, _ ...func(*kinesis.Options)) (*kinesis.ListShardsOutput, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.lists++
	if (in.NextToken == nil) == (in.StreamName == nil) {
		return nil, errors.New("either NextToken or StreamName must be there")
	}
	// Two shards a page, the first page with a closed shard.
	from, _ := strconv.Atoi(aws.ToString(in.NextToken))
	out := new(kinesis.ListShardsOutput)
	if from == 0 {
		out.Shards = append(out.Shards, types.Shard{
			ShardId:             aws.String("shardId-closed"),
			HashKeyRange:        &types.HashKeyRange{StartingHashKey: aws.String("0"), EndingHashKey: aws.String("99")},
			SequenceNumberRange: &types.SequenceNumberRange{StartingSequenceNumber: aws.String("1"), EndingSequenceNumber: aws.String("2")},
		})
	}
	to := min(from+2, len(f.shards))
	for _, r := range slices.Backward(f.shards[from:to]) {
		out.Shards = append(out.Shards, types.Shard{
			ShardId:             aws.String(r.shard),
			SequenceNumberRange: &types.SequenceNumberRange{StartingSequenceNumber: aws.String("1")},
			HashKeyRange: &types.HashKeyRange{
				StartingHashKey: aws.String(new(big.Int).SetBytes(r.first[:]).String()),
				EndingHashKey:   aws.String(new(big.Int).SetBytes(r.last[:]).String()),
			},
		})
	}
	if to < len(f.shards) {
		out.NextToken = aws.String(strconv.Itoa(to))
	}
	return out, nil
}

func (f *fakeStream) PutRecords(ctx context.Context, in *kinesis.PutRecordsInput, _ ...func(*kinesis.Options)) (*kinesis.PutRecordsOutput, error) {
	out, err := f.putRecords(in)
	if f.latency > 0 {
		if err := backoff.Sleep(ctx, f.latency); err != nil {
			return nil, err
		}
	}
	return out, err
}

func (f *fakeStream) putRecords(in *kinesis.PutRecordsInput) (*kinesis.PutRecordsOutput, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls++
	f.checkLimits(in.Records)
	accept := func(i int) types.PutRecordsResultEntry { return f.accept(in.Records[i]) }
	if f.fault != nil {
		if out, err, done := f.fault(f.calls, in, accept); done {
			return out, err
		}
	}
	out := new(kinesis.PutRecordsOutput)
	for i := range in.Records {
		out.Records = append(out.Records, accept(i))
	}
	return out, nil
}

func (f *fakeStream) accept(r types.PutRecordsRequestEntry) types.PutRecordsResultEntry {
	r.Data = slices.Clone(r.Data)
	f.taken = append(f.taken, r)
	shard := f.shards.shard(hashOf(*r.PartitionKey))
	return types.PutRecordsResultEntry{ShardId: &shard, SequenceNumber: aws.String(strconv.Itoa(len(f.taken)))}
}

func refused(code string) types.PutRecordsResultEntry {
	return types.PutRecordsResultEntry{ErrorCode: &code, ErrorMessage: aws.String("planted")}
}

func (f *fakeStream) checkLimits(records []types.PutRecordsRequestEntry) {
	if n := len(records); n < 1 || n > 500 {
		f.t.Errorf("call of %d records", n)
	}
	total, byShard := 0, map[string]load{}
	for _, r := range records {
		size := len(r.Data) + len(*r.PartitionKey)
		total += size
		shard := f.shards.shard(hashOf(*r.PartitionKey))
		byShard[shard] = byShard[shard].plus(load{1, size})
	}
	if total > f.maxBytes {
		f.t.Errorf("call of %d bytes", total)
	}
	if !f.paced {
		return
	}
	now := time.Now()
	for shard, l := range byShard {
		f.given[shard] = append(f.given[shard], given{now, l})
		var second load
		for _, g := range slices.Backward(f.given[shard]) {
			if now.Sub(g.at) >= time.Second {
				break
			}
			second = second.plus(g.load)
		}
		// One record may be larger than a second's worth, alone.
		if !second.within(load{1000, 1 << 20}) && second.records > 1 {
			f.t.Errorf("shard %s was given %d records and %d bytes in a second", shard, second.records, second.bytes)
		}
	}
}

// ids returns how often each value of a column was accepted.
func (f *fakeStream) ids(column string) map[string]int {
	f.mu.Lock()
	defer f.mu.Unlock()
	ids := map[string]int{}
	for _, r := range f.taken {
		var row map[string]string
		if err := json.Unmarshal(r.Data, &row); err != nil {
			f.t.Fatalf("a record is not JSON: %v", err)
		}
		ids[row[column]]++
	}
	return ids
}

// checkOnce fails the test unless each of the trips was accepted exactly once.
func (f *fakeStream) checkOnce(trips int64) {
	f.t.Helper()
	ids := f.ids("TRIP_ID")
	if int64(len(ids)) != trips {
		f.t.Errorf("%d different trips are in the stream, want %d", len(ids), trips)
	}
	for id, n := range ids {
		if n != 1 {
			f.t.Errorf("trip %s is in the stream %d times", id, n)
			return
		}
	}
}

// generated is a Config that sends made-up trips.
func generated(n int64) Config {
	return Config{
		Stream:       "trips",
		PartitionKey: "TRIP_ID",
		Source:       func() (Source, error) { return Generate(n, 1), nil },
	}
}

// numbered is a Config that sends n short rows with different TRIP_IDs.
func numbered(n int) Config {
	c := generated(0)
	c.Source = func() (Source, error) {
		var text strings.Builder
		text.WriteString("TRIP_ID\n")
		for i := range n {
			fmt.Fprintln(&text, i)
		}
		return CSV(strings.NewReader(text.String())), nil
	}
	return c
}

// runProducer runs a producer that must start.
func runProducer(t testing.TB, ctx context.Context, c Config, client Client) (Summary, error) {
	t.Helper()
	p, err := New(c, client)
	if err != nil {
		t.Fatal(err)
	}
	return p.Run(ctx)
}

func sumShards(s Summary) (records, bytes int64) {
	for shard := range maps.Values(s.Shards) {
		records += shard.Records
		bytes += shard.Bytes
	}
	return records, bytes
}
