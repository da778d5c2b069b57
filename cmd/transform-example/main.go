// Command transform-example is a Lambda function that transforms records for Amazon Data Firehose, and so for TRANSFORM: a beginning
// for your own. It drops test records, masks e-mail addresses and names the partition of each record.
package main

import (
	"context"
	"encoding/json"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambda"
)

func main() { lambda.Start(transform) }

// transform answers for each record, under its id. An error would fail all records of the call.
func transform(_ context.Context, in events.KinesisFirehoseEvent) (out events.KinesisFirehoseResponse, err error) {
	for _, r := range in.Records {
		a := events.KinesisFirehoseResponseRecord{RecordID: r.RecordID, Result: events.KinesisFirehoseTransformedStateProcessingFailed, Data: r.Data}
		var fields map[string]any
		if json.Unmarshal(r.Data, &fields) == nil {
			a.Result, a.Data, a.Metadata.PartitionKeys = change(fields)
		}
		out.Records = append(out.Records, a)
	}
	return out, nil
}

// change returns the result, the payload and the partition keys of a record.
func change(fields map[string]any) (result string, data []byte, keys map[string]string) {
	if fields["test"] == true {
		return events.KinesisFirehoseTransformedStateDropped, nil, nil
	}
	if fields["email"] != nil {
		fields["email"] = "***"
	}
	customer, _ := fields["customer"].(string)
	data, err := json.Marshal(fields)
	if err != nil {
		return events.KinesisFirehoseTransformedStateProcessingFailed, nil, nil
	}
	return events.KinesisFirehoseTransformedStateOk, data, map[string]string{"customer": customer}
}
