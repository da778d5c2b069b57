package source

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"aws-streaming-pipeline/checkpoint"
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

// quick reads without the pauses that the service would ask for.
func quick(c *Config) {
	c.Stream, c.MaxRecords, c.BytesPerSecond = localName, 50, 1<<40
	c.MinInterval, c.Idle, c.Tick = time.Millisecond, 5*time.Millisecond, 50*time.Millisecond
}

// readLocal reads a shard to its end, or until n records have come, and fails for a record that came before.
func readLocal(t *testing.T, s *Source, shard string, from checkpoint.Position, n int, seen map[string]bool) (last string, end Fetch) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
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
	// The SDK does not retry beneath: each fault is seen here, once.
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

	s := newSource(l.client, quick)
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
