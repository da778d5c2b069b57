package source

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/record"
	"aws-streaming-pipeline/record/recordtest"
)

// The decoder of KPL_HASH_FILTER drops aggregates of other shards. They still count as read: otherwise whoever begins
// at the position reads them again, and a reopened iterator returns them twice.
func TestReader_PassesRecordsThatAreFilteredOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, foreign := keyIn(t, true), keyIn(t, false)
		k := newShard(1, 1)
		aggregate := func(key string) []byte {
			return recordtest.AppendAggregate(nil, []record.Record{{PartitionKey: key, Data: []byte("x")}, {PartitionKey: key, Data: []byte("y")}})
		}
		k.put(1, aggregate(ours))
		k.put(2, aggregate(foreign))
		k.perCall = 4
		decoder, err := record.NewDecoder(record.DecoderOptions{})
		if err != nil {
			t.Fatal(err)
		}
		half := decoder.WithRange(lowerHalf)
		s := newSource(k, func(c *Config) { c.Decoder = func(string) (Decoder, error) { return half, nil } })
		r := s.Open("shard", checkpoint.TrimHorizon)
		defer r.Close()
		f, err := r.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if f.Count != 4 || len(f.Records) != 3 || f.Last != sequence(3) {
			t.Fatalf("read %d Kinesis records and %d user records up to %s, want 4 and 3 up to %s", f.Count, len(f.Records), f.Last, sequence(3))
		}

		// An answer of which nothing is left also moves the position.
		k.put(1, aggregate(foreign))
		if f = next(t, r); f.Count != 1 || len(f.Records) != 0 || f.Last != sequence(4) {
			t.Fatalf("read %d Kinesis records and %d user records up to %q, want 1 and none up to %s", f.Count, len(f.Records), f.Last, sequence(4))
		}

		// The iterator is lost: the next one begins after what was dropped, not after what was delivered.
		k.mu.Lock()
		k.faults = []fault{{errExpired}}
		k.hit = 0
		k.mu.Unlock()
		k.put(1, []byte("z"))
		if f = next(t, r); f.Count != 1 || f.Last != sequence(5) || string(f.Records[0].Data) != "z" {
			t.Fatalf("read %d records up to %s after the iterator was lost", f.Count, f.Last)
		}
		again := k.iterators[len(k.iterators)-1]
		if len(k.iterators) < 2 || again.ShardIteratorType != types.ShardIteratorTypeAfterSequenceNumber || value(again.StartingSequenceNumber) != sequence(4) {
			t.Errorf("the iterator was opened again after %q, want %s", value(again.StartingSequenceNumber), sequence(4))
		}
		if n := reading(t, s.metrics.RecordsRepeated); n != 0 {
			t.Errorf("%v records were read twice", n)
		}
	})
}

// next waits for a fetch with Kinesis records.
func next(t *testing.T, r *Reader) Fetch {
	t.Helper()
	for deadline := time.Now().Add(time.Hour); time.Now().Before(deadline); {
		f, err := r.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if f.Count > 0 {
			return f
		}
	}
	t.Fatal("nothing came within an hour")
	return Fetch{}
}

var lowerHalf = record.HashRange{Last: record.HashKey{High: 1<<63 - 1, Low: 1<<64 - 1}}

// keyIn finds a partition key in the lower half of the hash keys, or in the upper one.
func keyIn(t *testing.T, in bool) string {
	t.Helper()
	for n := 1; n < 100; n++ {
		if key := strings.Repeat("k", n); lowerHalf.Contains(record.HashKeyOf(key)) == in {
			return key
		}
	}
	t.Fatal("there is no such key")
	return ""
}
