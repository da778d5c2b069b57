package positions

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/checkpoint/dynamo"
	"aws-streaming-pipeline/internal/awshttp"
	"aws-streaming-pipeline/internal/localstream"
	"aws-streaming-pipeline/internal/test/emulator"
)

// A table of vmware-go-kcl with progress on one of two shards: the other begins where the application does, and the
// choices of the application's first start remain.
func TestTakeover_GoesOnWhereTheOtherConsumerStopped(t *testing.T) {
	account := aws.Config{Region: "us-east-1", Credentials: credentials.NewStaticCredentialsProvider("test", "test", ""), HTTPClient: awshttp.Keep(nil)}
	stream, err := localstream.Start("127.0.0.1:0", localstream.Options{})
	must(t, err)
	t.Cleanup(func() { stream.Close() })
	must(t, stream.CreateStream("trips", 2))
	inDynamo := account
	inDynamo.BaseEndpoint = aws.String(emulator.DynamoDBLocal(t).URL)
	db := dynamodb.NewFromConfig(inDynamo)
	theirs := strings.ReplaceAll(t.Name(), "/", "-") + time.Now().Format("150405.000000000")
	key := "ShardID"
	_, err = db.CreateTable(t.Context(), &dynamodb.CreateTableInput{
		TableName: &theirs, BillingMode: types.BillingModePayPerRequest,
		AttributeDefinitions: []types.AttributeDefinition{{AttributeName: &key, AttributeType: types.ScalarAttributeTypeS}},
		KeySchema:            []types.KeySchemaElement{{AttributeName: &key, KeyType: types.KeyTypeHash}},
	})
	must(t, err)
	_, err = db.PutItem(t.Context(), &dynamodb.PutItemInput{TableName: &theirs, Item: map[string]types.AttributeValue{
		key: &types.AttributeValueMemberS{Value: "shardId-000000000000"}, "Checkpoint": &types.AttributeValueMemberS{Value: "495"},
	}})
	must(t, err)
	store, err := dynamo.Open(t.Context(), dynamo.Config{AWS: inDynamo, Table: "ours-" + theirs, Create: true, Log: slog.New(slog.DiscardHandler)})
	must(t, err)
	t.Cleanup(func() { must(t, store.Close()) })

	first := checkpoint.AtTimestamp(time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC))
	for _, initial := range []checkpoint.Position{first, checkpoint.TrimHorizon} {
		plan, position, err := Takeover{
			From: theirs, Store: store, Application: "trips", Initial: initial, Failover: time.Second, Log: slog.New(slog.DiscardHandler), Stream: "trips",
			Kinesis: kinesis.NewFromConfig(account, func(o *kinesis.Options) { o.BaseEndpoint = aws.String(stream.URL()) }),
		}.Run(t.Context())
		if err != nil || plan.Taken != 1 || plan.Unrelated != 1 || position != first {
			t.Fatalf("plan %+v, first position %s, %v", plan, position, err)
		}
		for shard, want := range map[string]checkpoint.Position{"shardId-000000000000": "495", "shardId-000000000001": first} {
			if l, err := store.Lease(t.Context(), shard); err != nil || l.Checkpoint != want {
				t.Errorf("%s is at %s, %v; want %s", shard, l.Checkpoint, err, want)
			}
		}
	}
}
