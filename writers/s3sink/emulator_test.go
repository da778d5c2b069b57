package s3sink_test

import (
	"fmt"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/s3"

	"aws-streaming-pipeline/internal/test/emulator"
	"aws-streaming-pipeline/internal/test/limits"
	"aws-streaming-pipeline/writers/s3sink"
	"aws-streaming-pipeline/writers/writerstest"
)

// The same promises on an independent S3 server. (Not moto: it answers 500 if an upload is gone and another object has
// its key.)
func TestSink_OnVersitygw(t *testing.T) {
	server := emulator.Versitygw(t)
	_, endpoint := limits.Before(t, limits.S3, server.URL)
	client := writerstest.Client(endpoint, server.AccessKey, server.SecretKey, nil)
	buckets := 0
	writerstest.TestSink(t, func(t *testing.T) writerstest.Bucket {
		buckets++
		c := config()
		c.Bucket = fmt.Sprintf("trips-%d", buckets)
		c.IfNoneMatch = true
		if _, err := client.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: &c.Bucket}); err != nil {
			t.Fatal(err)
		}
		open := func(c s3sink.Config) *s3sink.Sink {
			sink, err := s3sink.New(client, c)
			if err != nil {
				t.Fatal(err)
			}
			return sink
		}
		missing := c
		missing.Bucket = "missing"
		return writerstest.Bucket{
			Sink: open(c), Other: open(c), Missing: open(missing),
			Get: func(t *testing.T, key string) *writerstest.Object {
				return writerstest.Get(t, client, c.Bucket, key)
			},
		}
	})
}
