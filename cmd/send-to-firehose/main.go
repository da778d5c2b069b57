// Command send-to-firehose is a Lambda function that sends the records of a Kinesis stream to an Amazon Data Firehose
// stream, each as a line of JSON.
//
// Entries that Firehose refuses for the moment are sent again until the function's time is nearly up. The result is
//
//	{"count": 500, "error_paths": [], "batchItemFailures": []}
//
// If some records could not be sent, batchItemFailures names the first of them, and Lambda retries from there. Records after
// it may have been sent and will be sent again: event_id identifies duplicates.
//
// Records that can never be sent go to the error prefix in S3. So do lines longer than the 1,000 KiB that Firehose accepts,
// with the code Firehose.RecordTooLarge.
//
// Settings are environment variables, see config. lambdatest.Permissions lists the permissions that the function's role needs.
package main

import (
	"context"
	"os"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/firehose"

	"aws-streaming-pipeline/internal/lambdas"
	"aws-streaming-pipeline/internal/settings"
)

func main() { lambdas.Main(build) }

// build creates the handler from the environment.
func build(ctx context.Context) (any, error) {
	h, err := newHandler(ctx)
	if err != nil {
		return nil, err
	}
	return h.handle, nil
}

// config holds all settings.
type config struct {
	DeliveryStream string `envconfig:"FIREHOSE_DELIVERY_STREAM" required:"true" desc:"Name of the Firehose stream to send to."`
	ErrorBucket    string `envconfig:"ERROR_S3_BUCKET" required:"true" desc:"Name of the S3 bucket for records that cannot be delivered."`
	Compression    string `envconfig:"COMPRESSION" default:"none" oneof:"none,gzip" desc:"Compression of the error objects: none or gzip."`
	lambdas.Errors
	lambdas.Payloads
	lambdas.Validation
	lambdas.Reporting
}

func newHandler(ctx context.Context) (*handler, error) {
	var c config
	f := settings.Read(&c)
	c.Errors.Check(f)
	c.Reporting.Check(f)
	checker, err := c.Checker()
	f.Add("SCHEMA", err)
	if err := f.Err(); err != nil {
		return nil, err
	}
	account, err := lambdas.Account(ctx)
	if err != nil {
		return nil, err
	}
	log := c.Logger(os.Stderr)
	decoder, err := c.Decoder(ctx, account, log)
	if err != nil {
		return nil, err
	}
	rejected, err := lambdas.NewErrorPrefix(lambdas.NewObjects(account, c.Compression == "gzip"), c.ErrorBucket, c.ErrorPrefix)
	if err != nil {
		return nil, err
	}
	client := firehose.NewFromConfig(account, func(o *firehose.Options) {
		o.Retryer = aws.NopRetryer{} // the sender retries, and only what failed
	})
	return &handler{
		decoder: decoder, checker: checker, errors: rejected,
		sender: &sender{client: client, stream: c.DeliveryStream},
		log:    log, metrics: c.Metrics(os.Stdout), now: time.Now,
	}, nil
}
