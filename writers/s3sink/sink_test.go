package s3sink_test

import (
	"log/slog"
	"net/http"
	"testing"
	"time"

	"aws-streaming-pipeline/internal/backoff"
	"aws-streaming-pipeline/internal/budget"
	"aws-streaming-pipeline/writers/s3sink"
	"aws-streaming-pipeline/writers/writerstest"
)

const bucket = "trips"

// config is the configuration of a sink whose retries are fast.
func config() s3sink.Config {
	return s3sink.Config{
		Bucket:   bucket,
		PartSize: s3sink.MinPartSize,
		Backoff:  backoff.Policy{First: time.Millisecond, Longest: 20 * time.Millisecond},
		Budget:   budget.New(256<<20, nil),
		Log:      slog.New(slog.DiscardHandler),
	}
}

func newSink(t testing.TB, endpoint string, transport http.RoundTripper, c s3sink.Config) *s3sink.Sink {
	t.Helper()
	sink, err := s3sink.New(writerstest.Client(endpoint, "key", "secret", transport), c)
	if err != nil {
		t.Fatal(err)
	}
	return sink
}

func TestSink_OnLocalBucket(t *testing.T) {
	for name, adjust := range map[string]func(*s3sink.Config){
		"as it is":      func(*s3sink.Config) {},
		"if none match": func(c *s3sink.Config) { c.IfNoneMatch = true },
	} {
		t.Run(name, func(t *testing.T) {
			writerstest.TestSink(t, func(t *testing.T) writerstest.Bucket {
				endpoint, _ := writerstest.LocalBucket(t, bucket)
				c := config()
				adjust(&c)
				missing := c
				missing.Bucket = "missing"
				plain := writerstest.Client(endpoint, "key", "secret", nil)
				return writerstest.Bucket{
					Sink:    newSink(t, endpoint, nil, c),
					Other:   newSink(t, endpoint, nil, c),
					Missing: newSink(t, endpoint, nil, missing),
					Get: func(t *testing.T, key string) *writerstest.Object {
						return writerstest.Get(t, plain, bucket, key)
					},
				}
			})
		})
	}
}
