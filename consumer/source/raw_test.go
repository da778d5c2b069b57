package source

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/record"
)

// nothing is a decoder that drops every record.
type nothing struct{}

func (nothing) Append(_ context.Context, dst []record.Record, _ record.Record) ([]record.Record, error) {
	return dst, nil
}

// With Raw, each Kinesis record comes as it is and once, whatever the decoder makes of it, and takes its room.
func TestReader_ReturnsWhatCame(t *testing.T) {
	for _, asked := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			k := newShard(0, 1)
			for n := range 30 {
				k.put(1, fmt.Append(nil, "payload ", n))
			}
			k.perCall, k.again = 10, 3
			k.faults = []fault{{}, {errExpired}}
			s := newSource(k, func(c *Config) {
				c.Raw = asked
				c.Decoder = func(string) (Decoder, error) { return nothing{}, nil }
			})
			r := s.Open("shard", checkpoint.Position(sequence(4)))
			defer r.Close()
			var got []string
			for count := 0; count < 25; {
				f, err := r.Next(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				count += f.Count
				for _, raw := range f.Raw {
					got = append(got, fmt.Sprintf("%s %s %s %s %s", raw.Shard, raw.SequenceNumber, raw.PartitionKey, raw.Arrival, raw.Data))
				}
				least := int64(0)
				if asked {
					least = int64(f.Count * recordBytes)
				}
				if f.Count > 0 && r.current.memory()-withoutRaw(r.current) < least {
					t.Errorf("%d records take %d bytes more, want at least %d", f.Count, r.current.memory()-withoutRaw(r.current), least)
				}
			}
			var want []string
			for n := 5; asked && n < 30; n++ {
				want = append(want, fmt.Sprintf("shard %s key %s payload %d", sequence(n), arrival(n), n))
			}
			if !slices.Equal(got, want) {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
}

// withoutRaw returns the memory of a fetch without the records as they came.
func withoutRaw(in *fetched) int64 {
	other := *in
	other.raw = nil
	return other.memory()
}
