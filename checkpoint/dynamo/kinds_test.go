package dynamo_test

import (
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/checkpoint/checkpointtest"
)

func testKinds_AreLeftAloneIfUnknown(t *testing.T, endpoint string) {
	checkpointtest.RunKinds(t, func(t *testing.T) (checkpoint.Store, checkpointtest.Rows) {
		cfg := config(endpoint)
		store, client := open(t, cfg), rawClient(cfg)
		return store, checkpointtest.Rows{
			Put: func(t *testing.T, b checkpoint.UnknownBatch) {
				_, err := client.PutItem(t.Context(), &dynamodb.PutItemInput{TableName: &cfg.Table, Item: row{
					"leaseKey": s("#batch/" + b.ID), "entityType": s(b.Kind), "worker": s(b.Worker),
					"created": s(b.Created.Format(time.RFC3339Nano)), "files": n("7"),
				}})
				must(t, err)
			},
			Remove: func(t *testing.T, id string) {
				_, err := client.DeleteItem(t.Context(), &dynamodb.DeleteItemInput{TableName: &cfg.Table, Key: row{"leaseKey": s("#batch/" + id)}})
				must(t, err)
			},
		}
	}, 5)
}
