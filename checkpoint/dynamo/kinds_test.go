package dynamo_test

import (
	"errors"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

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

// Earlier releases know lists and no tables. These are the conditions under which one forgets a batch and notes files: a
// batch of tables satisfies neither, and one without tables satisfies both.
func testKinds_AnOlderReleaseLeavesTablesAlone(t *testing.T, endpoint string) {
	cfg := config(endpoint)
	store, client := open(t, cfg), rawClient(cfg)
	must(t, store.CreateLeases(t.Context(), []checkpoint.Lease{{Shard: "shard", Checkpoint: checkpoint.TrimHorizon}}))
	held, err := store.Acquire(t.Context(), checkpoint.Lease{Shard: "shard"}, "w1")
	must(t, err)
	b := checkpoint.Batch{Worker: "w1", Ranges: []checkpoint.Range{{Shard: "shard", Start: held.Checkpoint, LeaseOwner: "w1", LeaseCounter: held.Counter}}}
	for i, tables := range [][]string{{"glue://lake/trips"}, nil} {
		b.ID, b.Tables, b.Ranges[0].End = []string{"tables", "plain"}[i], tables, []checkpoint.Position{"100", "200"}[i]
		must(t, store.Commit(t.Context(), b))
		b.Ranges[0].Start = b.Ranges[0].End
		key := row{"leaseKey": s("#batch/" + b.ID)}
		update := "ADD published :files"
		noteIf, forgetIf := "entityType IN (:batch, :listed)", "(attribute_not_exists(leaseKey) OR entityType IN (:batch, :listed, :tombstone))"
		_, noteErr := client.UpdateItem(t.Context(), &dynamodb.UpdateItemInput{
			TableName: &cfg.Table, Key: key, UpdateExpression: &update, ConditionExpression: &noteIf,
			ExpressionAttributeValues: row{":files": &types.AttributeValueMemberNS{Value: []string{"0"}}, ":batch": s("BATCH"), ":listed": s("LISTED_BATCH")},
		})
		_, forgetErr := client.DeleteItem(t.Context(), &dynamodb.DeleteItemInput{
			TableName: &cfg.Table, Key: key, ConditionExpression: &forgetIf,
			ExpressionAttributeValues: row{":batch": s("BATCH"), ":listed": s("LISTED_BATCH"), ":tombstone": s("TOMBSTONE")},
		})
		for what, err := range map[string]error{"noted": noteErr, "forgotten": forgetErr} {
			if refused := isConditionFailure(err); refused != (tables != nil) || err != nil && !refused {
				t.Errorf("a batch of the tables %q is %s by the older release: %v", tables, what, err)
			}
		}
	}
	if left, _, err := store.Outbox(t.Context()); err != nil || len(left) != 1 || left[0].ID != "tables" {
		t.Errorf("the outbox holds %+v, %v", left, err)
	}
}

func isConditionFailure(err error) bool {
	_, is := errors.AsType[*types.ConditionalCheckFailedException](err)
	return is
}
