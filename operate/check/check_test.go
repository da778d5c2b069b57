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

// Two records with the same sequence number, in two shards, are two records.
func TestRun_TellsRecordsOfTwoShardsApart(t *testing.T) {
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	stream, err := localstream.Start("127.0.0.1:0", localstream.Options{})
	must(err)
	t.Cleanup(func() { stream.Close() })
	must(stream.CreateStream("stream", 2))
	bucket, err := localbucket.Start("127.0.0.1:0", t.TempDir())
	must(err)
	t.Cleanup(func() { bucket.Close() })
	must(bucket.CreateBucket("bucket"))
	account := aws.Config{Region: "us-east-1", Credentials: credentials.NewStaticCredentialsProvider("test", "test", ""), HTTPClient: awshttp.Keep(nil)}
	client := s3.NewFromConfig(account, func(o *s3.Options) { o.BaseEndpoint, o.UsePathStyle = aws.String(bucket.URL()), true })
	put := func(key, body string) {
		_, err := client.PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String("bucket"), Key: &key, Body: strings.NewReader(body)})
		must(err)
	}
	shards := &counting{Client: kinesis.NewFromConfig(account, func(o *kinesis.Options) { o.BaseEndpoint = aws.String(stream.URL()) })}

	sent, err := check.Run(t.Context(), check.Config{
		Kinesis: shards, Stream: "stream", Payload: []byte("{}"), Bucket: objects.Bucket{API: client, Name: "bucket"}, ManifestPrefix: "manifests/",
		Sent: func([]check.Record) { // what a daemon would do
			b := checkpoint.Batch{ID: layout.NewBatchID(), Created: time.Now()}
			for i, shard := range shards.shards {
				key := layout.File{Name: "data/stream", Clock: b.Created, Batch: b.ID, Number: i, Extension: ".jsonl"}.Key()
				put(key, `{"event_id":"1"}`+"\n")
				b.Files = append(b.Files, checkpoint.File{Key: key, Rows: 1})
				b.Ranges = append(b.Ranges, checkpoint.Range{Shard: shard, Start: checkpoint.TrimHorizon, End: "1", Last: "1", Records: 1})
			}
			body, err := layout.EncodeManifest(b)
			must(err)
			put(layout.OutboxKey("manifests/", b.ID), "a list, no manifest")
			put(layout.ManifestPlace(b, "bucket", "manifests/").Key, string(body))
		},
	})
	must(err)
	if len(sent) != 2 || sent[0].Key == "" || sent[1].Key == "" || sent[0].Key == sent[1].Key {
		t.Errorf("found %+v, want each record in a file of its own", sent)
	}
}
