package source

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/record"
)

// waiting is a decoder that cannot open its second record until it is released.
type waiting struct{ open chan struct{} }

func (w waiting) Append(ctx context.Context, dst []record.Record, r record.Record) ([]record.Record, error) {
	if r.SequenceNumber == sequence(1) {
		select {
		case <-w.open:
		case <-ctx.Done():
			return dst, ctx.Err()
		}
	}
	return append(dst, r), nil
}

// A decoder that waits blocks its shard and nothing else: Next ticks, and the records come once when it continues.
func TestReader_WaitsForItsDecoder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := waiting{make(chan struct{})}
		r := newSource(newShard(3, 10), func(c *Config) {
			c.Decoder = func(string) (Decoder, error) { return w, nil }
		}).Open("shard", checkpoint.TrimHorizon)
		defer r.Close()
		for began := time.Now(); time.Since(began) < 10*time.Minute; {
			if f, err := r.Next(t.Context()); err != nil || f.Count > 0 || f.Last != "" {
				t.Fatalf("Next while the decoder waits: %+v, %v", f, err)
			}
		}
		close(w.open)
		f, err := r.Next(t.Context())
		if err != nil || f.Count != 3 || len(f.Records) != 3 || f.Last != sequence(2) {
			t.Fatalf("Next afterwards: %+v, %v", f, err)
		}
	})
}

// A reader that is closed while its decoder waits ends at once.
func TestReader_ClosesWhileItsDecoderWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newSource(newShard(3, 10), func(c *Config) {
			c.Decoder = func(string) (Decoder, error) { return waiting{make(chan struct{})}, nil }
		}).Open("shard", checkpoint.TrimHorizon)
		if f, err := r.Next(t.Context()); err != nil || f.Count > 0 {
			t.Fatalf("Next: %+v, %v", f, err)
		}
		began := time.Now()
		r.Close()
		if took := time.Since(began); took > 0 {
			t.Errorf("Close took %v", took)
		}
	})
}
