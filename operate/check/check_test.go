package check_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/internal/awshttp"
	"aws-streaming-pipeline/internal/localbucket"
	"aws-streaming-pipeline/internal/localstream"
	"aws-streaming-pipeline/operate/check"
	"aws-streaming-pipeline/operate/objects"
	"aws-streaming-pipeline/writers/layout"
)

// counting is a stream whose shards each count from 1, as some emulators do.
type counting struct {
	*kinesis.Client
	shards []string
}

func (c *counting) PutRecord(ctx context.Context, in *kinesis.PutRecordInput, o ...func(*kinesis.Options)) (*kinesis.PutRecordOutput, error) {
	out, err := c.Client.PutRecord(ctx, in, o...)
	if err == nil {
		c.shards = append(c.shards, *out.ShardId)
		out.SequenceNumber = aws.String("1")
	}
	return out, err
}

// place is a stream of two shards, and a bucket.
type place struct {
	t      *testing.T
	stream *kinesis.Client
	bucket *s3.Client
}

func newPlace(t *testing.T) *place {
	t.Helper()
	p := &place{t: t}
	stream, err := localstream.Start("127.0.0.1:0", localstream.Options{})
	p.must(err)
	t.Cleanup(func() { stream.Close() })
	p.must(stream.CreateStream("stream", 2))
	bucket, err := localbucket.Start("127.0.0.1:0", t.TempDir())
	p.must(err)
	t.Cleanup(func() { bucket.Close() })
	p.must(bucket.CreateBucket("bucket"))
	account := aws.Config{Region: "us-east-1", Credentials: credentials.NewStaticCredentialsProvider("test", "test", ""), HTTPClient: awshttp.Keep(nil)}
	p.bucket = s3.NewFromConfig(account, func(o *s3.Options) { o.BaseEndpoint, o.UsePathStyle = aws.String(bucket.URL()), true })
	p.stream = kinesis.NewFromConfig(account, func(o *kinesis.Options) { o.BaseEndpoint = aws.String(stream.URL()) })
	return p
}

func (p *place) must(err error) {
	p.t.Helper()
	if err != nil {
		p.t.Fatal(err)
	}
}

func (p *place) put(key, body string) {
	p.t.Helper()
	_, err := p.bucket.PutObject(p.t.Context(), &s3.PutObjectInput{Bucket: aws.String("bucket"), Key: &key, Body: strings.NewReader(body)})
	p.must(err)
}

// publish puts the manifest of a batch into the bucket.
func (p *place) publish(b checkpoint.Batch) {
	p.t.Helper()
	body, err := layout.EncodeManifest(b)
	p.must(err)
	p.put(layout.ManifestPlace(b, "bucket", "manifests/").Key, string(body))
}

// Two records with the same sequence number, in two shards, are two records.
func TestRun_TellsRecordsOfTwoShardsApart(t *testing.T) {
	p := newPlace(t)
	shards := &counting{Client: p.stream}

	sent, err := check.Run(t.Context(), check.Config{
		Kinesis: shards, Stream: "stream", Payload: []byte("{}"), Bucket: objects.Bucket{API: p.bucket, Name: "bucket"}, ManifestPrefix: "manifests/",
		Sent: func([]check.Record) { // what a daemon would do
			b := checkpoint.Batch{ID: layout.NewBatchID(), Created: time.Now()}
			for i, shard := range shards.shards {
				key := layout.File{Name: "data/stream", Clock: b.Created, Batch: b.ID, Number: i, Extension: ".jsonl"}.Key()
				p.put(key, `{"event_id":"1"}`+"\n")
				b.Files = append(b.Files, checkpoint.File{Key: key, Rows: 1})
				b.Ranges = append(b.Ranges, checkpoint.Range{Shard: shard, Start: checkpoint.TrimHorizon, End: "1", Last: "1", Records: 1})
			}
			p.put(layout.OutboxKey("manifests/", b.ID), "a list, no manifest")
			p.publish(b)
		},
	})
	p.must(err)
	if len(sent) != 2 || sent[0].Key == "" || sent[1].Key == "" || sent[0].Key == sent[1].Key {
		t.Errorf("found %+v, want each record in a file of its own", sent)
	}
}

// A record that a transform has dropped is covered by a manifest and in no file, as if it were lost.
func TestRun_SaysThatATransformMayHaveDroppedARecord(t *testing.T) {
	for _, transforms := range []bool{true, false} {
		p := newPlace(t)
		shards := &counting{Client: p.stream}
		_, err := check.Run(t.Context(), check.Config{
			Kinesis: shards, Stream: "stream", Payload: []byte("{}"), Bucket: objects.Bucket{API: p.bucket, Name: "bucket"}, ManifestPrefix: "manifests/", Transforms: transforms,
			Sent: func([]check.Record) {
				b := checkpoint.Batch{ID: layout.NewBatchID(), Created: time.Now()}
				b.Ranges = []checkpoint.Range{{Shard: shards.shards[0], Start: checkpoint.TrimHorizon, End: "1", Last: "1"}}
				p.publish(b)
			},
		})
		if err == nil || !strings.Contains(err.Error(), "none of its files contains it") || strings.Contains(err.Error(), "send a payload that it keeps") != transforms {
			t.Errorf("with a transform %t: %v", transforms, err)
		}
	}
}
