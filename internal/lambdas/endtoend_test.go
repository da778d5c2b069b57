package lambdas_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/firehose"
	firehosetypes "github.com/aws/aws-sdk-go-v2/service/firehose/types"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"aws-streaming-pipeline/internal/awshttp"
	"aws-streaming-pipeline/internal/localstream"
	"aws-streaming-pipeline/internal/test/emulator"
	"aws-streaming-pipeline/internal/test/lambdatest"
	"aws-streaming-pipeline/producer"
)

const (
	streamName = "trips"
	bucketName = "output"
	trips      = 5_000
)

// The producer's trips go through both functions, as two event source mappings of one stream: into objects of the one,
// and through Firehose into objects of the other. An engine reads them back. Calls fail on the way.
func TestFunctions_DeliverTheProducersTrips(t *testing.T) {
	stream, err := localstream.Start("127.0.0.1:0", localstream.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := stream.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := stream.CreateStream(streamName, 2); err != nil {
		t.Fatal(err)
	}
	moto := emulator.Moto(t)
	source := kinesis.NewFromConfig(account(stream.URL()))
	objects := s3.NewFromConfig(account(moto.URL))
	if _, err := objects.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: aws.String(bucketName)}); err != nil {
		t.Fatal(err)
	}
	createDeliveryStream(t, moto.URL)
	send(t, source)

	toS3 := lambdatest.Serve(t, "s3", lambdatest.Forward(t, moto.URL))
	toFirehose := lambdatest.Serve(t, "firehose", lambdatest.Forward(t, moto.URL))
	toS3.Fail(faults())
	toFirehose.Fail(faults())
	env := map[string]string{
		"DESTINATION_S3_BUCKET": bucketName, "ERROR_S3_BUCKET": bucketName, "FIREHOSE_DELIVERY_STREAM": streamName, "COMPRESSION": "gzip",
		"AWS_ENDPOINT_URL_S3": toS3.URL, "AWS_ENDPOINT_URL_FIREHOSE": toFirehose.URL,
	}
	for _, name := range []string{"write-to-s3", "send-to-firehose"} {
		f := lambdatest.Start(t, lambdatest.Package(t, name), env)
		feed(t, source, f)
		if m := f.Metrics(); m["RecordsDelivered"] != trips || m["BatchesFailed"] == 0 {
			t.Errorf("%s has delivered %v records; %v batches failed", name, m["RecordsDelivered"], m["BatchesFailed"])
		}
	}
	if toS3.Failed() == 0 || toFirehose.Failed() == 0 {
		t.Errorf("%d calls of S3 and %d of Firehose failed", toS3.Failed(), toFirehose.Failed())
	}

	folder := t.TempDir()
	download(t, objects, folder)
	for _, c := range []struct{ path, files string }{
		{"write-to-s3", "context=write_to_s3/*/*.json.gz"},
		{"send-to-firehose", "context=firehose_delivery/*"},
	} {
		r := read(t, filepath.Join(folder, c.files))
		t.Logf("%s: %+v", c.path, r)
		if r.Records != trips || r.Events != trips || r.Trips != trips {
			t.Errorf("%s: the engine reads %+v, want %d of each", c.path, r, trips)
		}
	}
}

func account(url string) aws.Config {
	return aws.Config{
		Region: "us-east-1", BaseEndpoint: aws.String(url), HTTPClient: awshttp.Keep(nil),
		Credentials: credentials.NewStaticCredentialsProvider("local", "localsecret", ""),
	}
}

// faults makes every third call fail as an overloaded service does, which the function tries again, and every seventh as
// one that denies it, for which the function gives up.
func faults() func(string, http.ResponseWriter) bool {
	calls := 0
	return func(operation string, w http.ResponseWriter) bool {
		switch calls++; {
		case calls%3 == 1:
			return lambdatest.Unavailable(operation, w)
		case calls%7 == 2:
			w.WriteHeader(http.StatusForbidden)
			return true
		}
		return false
	}
}

func createDeliveryStream(t *testing.T, url string) {
	t.Helper()
	_, err := firehose.NewFromConfig(account(url)).CreateDeliveryStream(t.Context(), &firehose.CreateDeliveryStreamInput{
		DeliveryStreamName: aws.String(streamName),
		ExtendedS3DestinationConfiguration: &firehosetypes.ExtendedS3DestinationConfiguration{
			BucketARN: aws.String("arn:aws:s3:::" + bucketName), Prefix: aws.String("context=firehose_delivery/"),
			RoleARN: aws.String("arn:aws:iam::123456789012:role/firehose"),
		},
	})
	if err != nil {
		t.Fatal(err)
	}
}

// send has the real producer send generated trips.
func send(t *testing.T, client *kinesis.Client) {
	t.Helper()
	p, err := producer.New(producer.Config{
		Stream: streamName, PartitionKey: "TRIP_ID", Unpaced: true,
		Source: func() (producer.Source, error) { return producer.Generate(trips, 1), nil },
	}, client)
	if err != nil {
		t.Fatal(err)
	}
	if summary, err := p.Run(t.Context()); err != nil || summary.Records != trips {
		t.Fatalf("sent %d trips: %v", summary.Records, err)
	}
}

// feed is an event source mapping with ReportBatchItemFailures: it gives a function the records of every shard from the
// oldest on, and again from where the function says that it failed.
func feed(t *testing.T, client *kinesis.Client, f *lambdatest.Function) {
	t.Helper()
	listed, err := client.ListShards(t.Context(), &kinesis.ListShardsInput{StreamName: aws.String(streamName)})
	if err != nil {
		t.Fatal(err)
	}
	retries := 0
	for _, shard := range listed.Shards {
		id := aws.ToString(shard.ShardId)
		records := readShard(t, client, id)
		for len(records) > 0 {
			const batchSize = 1000
			batch := records[:min(batchSize, len(records))]
			answer := lambdatest.Answer[struct {
				events.KinesisEventResponse
				S3Path     string   `json:"s3_path"`
				Count      int      `json:"count"`
				ErrorPaths []string `json:"error_paths"`
			}](f, lambdatest.Event(t, batch), 60*time.Second)
			done := len(batch)
			if failures := answer.BatchItemFailures; len(failures) > 0 {
				done = slices.IndexFunc(batch, func(r lambdatest.Record) bool { return r.Sequence == failures[0].ItemIdentifier })
				retries++
			}
			if done < 0 || retries > 20 || len(answer.ErrorPaths) > 0 {
				t.Fatalf("shard %s, %d retries: %+v", id, retries, answer)
			}
			records = records[done:]
		}
	}
}

// readShard reads all records of a shard.
func readShard(t *testing.T, client *kinesis.Client, shard string) []lambdatest.Record {
	t.Helper()
	iterator, err := client.GetShardIterator(t.Context(), &kinesis.GetShardIteratorInput{
		StreamName: aws.String(streamName), ShardId: aws.String(shard), ShardIteratorType: types.ShardIteratorTypeTrimHorizon,
	})
	if err != nil {
		t.Fatal(err)
	}
	var records []lambdatest.Record
	for next := iterator.ShardIterator; ; {
		out, err := client.GetRecords(t.Context(), &kinesis.GetRecordsInput{ShardIterator: next})
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range out.Records {
			records = append(records, lambdatest.Record{
				Shard: shard, Sequence: aws.ToString(r.SequenceNumber), PartitionKey: aws.ToString(r.PartitionKey),
				Arrival: aws.ToTime(r.ApproximateArrivalTimestamp), Data: r.Data,
			})
		}
		if len(out.Records) == 0 && aws.ToInt64(out.MillisBehindLatest) == 0 {
			return records
		}
		next = out.NextShardIterator
	}
}

// download copies a bucket into a folder.
func download(t *testing.T, client *s3.Client, folder string) {
	t.Helper()
	pages := s3.NewListObjectsV2Paginator(client, &s3.ListObjectsV2Input{Bucket: aws.String(bucketName)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, object := range page.Contents {
			if err := fetch(t.Context(), client, aws.ToString(object.Key), folder); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func fetch(ctx context.Context, client *s3.Client, key, folder string) error {
	out, err := client.GetObject(ctx, &s3.GetObjectInput{Bucket: aws.String(bucketName), Key: aws.String(key)})
	if err != nil {
		return err
	}
	defer func() { _ = out.Body.Close() }() // it was read to its end
	data, err := io.ReadAll(out.Body)
	if err != nil {
		return err
	}
	path := filepath.Join(folder, filepath.FromSlash(key))
	if prefix, rest, ok := strings.Cut(key, "firehose_delivery/"); ok {
		// Firehose nests its keys by the hour.
		path = filepath.Join(folder, prefix+"firehose_delivery", strings.ReplaceAll(rest, "/", "-"))
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, data, 0o644)
}

// reading is what DuckDB finds in files.
type reading struct{ Records, Events, Trips int }

func read(t *testing.T, files string) reading {
	t.Helper()
	out, err := emulator.Python(t, filepath.Join("testdata", "count.py"), files).CombinedOutput()
	if err != nil {
		t.Fatalf("read %s: %v: %s", files, err, out)
	}
	var r reading
	if err := json.Unmarshal(out, &r); err != nil {
		t.Fatalf("read %s: %v: %s", files, err, out)
	}
	return r
}
