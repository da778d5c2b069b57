// Command stockconsumer is a control of the chaos test: a consumer that follows the documentation of vmware-go-kcl-v2 and
// uses its checkpointer. It writes each batch of records to S3 as one object and then checkpoints, so it delivers at least
// once. It is for tests only.
package main

import (
	"bytes"
	"context"
	"fmt"
	"log"
	"os"
	"os/signal"
	"syscall"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/google/uuid"
	"github.com/vmware/vmware-go-kcl-v2/clientlibrary/config"
	kcl "github.com/vmware/vmware-go-kcl-v2/clientlibrary/interfaces"
	"github.com/vmware/vmware-go-kcl-v2/clientlibrary/worker"
)

func main() {
	if err := run(); err != nil {
		log.Fatal(err)
	}
}

func run() error {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM)
	account, err := awsconfig.LoadDefaultConfig(context.Background())
	if err != nil {
		return fmt.Errorf("load AWS configuration: %w", err)
	}
	client := s3.NewFromConfig(account, func(o *s3.Options) { o.UsePathStyle = true })
	settings := config.NewKinesisClientLibConfig(
		os.Getenv("CHECKPOINT_TABLE"), os.Getenv("STREAM_NAME"), account.Region, uuid.NewString()).
		WithInitialPositionInStream(config.TRIM_HORIZON).
		WithKinesisEndpoint(os.Getenv("AWS_ENDPOINT_URL_KINESIS")).
		WithDynamoDBEndpoint(os.Getenv("AWS_ENDPOINT_URL_DYNAMODB")).
		WithFailoverTimeMillis(2000).
		WithLeaseRefreshPeriodMillis(500).
		WithShardSyncIntervalMillis(500).
		WithIdleTimeBetweenReadsInMillis(500).
		WithMaxRecords(500)
	w := worker.NewWorker(factory{client, os.Getenv("BUCKET")}, settings)
	if err := w.Start(); err != nil {
		return fmt.Errorf("start worker: %w", err)
	}
	<-signals
	w.Shutdown()
	return nil
}

type factory struct {
	client *s3.Client
	bucket string
}

// CreateProcessor implements the library's interface.
func (f factory) CreateProcessor() kcl.IRecordProcessor { return &processor{factory: f} }

// processor writes the records of one shard.
type processor struct {
	factory
	shard string
}

// Initialize implements the library's interface.
func (p *processor) Initialize(in *kcl.InitializationInput) { p.shard = in.ShardId }

// ProcessRecords implements the library's interface. A batch that could not be written is not checkpointed.
func (p *processor) ProcessRecords(in *kcl.ProcessRecordsInput) {
	if len(in.Records) == 0 {
		return
	}
	var body bytes.Buffer
	for _, r := range in.Records {
		body.Write(r.Data)
		body.WriteByte('\n')
	}
	_, err := p.client.PutObject(context.Background(), &s3.PutObjectInput{
		Bucket: aws.String(p.bucket),
		Key:    aws.String(fmt.Sprintf("data/%s-%s.jsonl", p.shard, uuid.NewString())),
		Body:   bytes.NewReader(body.Bytes()),
	})
	if err != nil {
		log.Printf("write %d records of %s: %v", len(in.Records), p.shard, err)
		return
	}
	last := in.Records[len(in.Records)-1].SequenceNumber
	if err := in.Checkpointer.Checkpoint(last); err != nil {
		log.Printf("checkpoint %s: %v", p.shard, err)
	}
}

// Shutdown implements the library's interface.
func (p *processor) Shutdown(in *kcl.ShutdownInput) {
	if in.ShutdownReason != kcl.TERMINATE {
		return
	}
	if err := in.Checkpointer.Checkpoint(nil); err != nil {
		log.Printf("checkpoint the end of %s: %v", p.shard, err)
	}
}
