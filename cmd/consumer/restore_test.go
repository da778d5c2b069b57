package main_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"aws-streaming-pipeline/internal/test/emulator"
)

// restoring is a daemon with a table in DynamoDB, which is lost or replaced by a backup.
type restoring struct {
	*surroundings
	db       *dynamodb.Client
	endpoint string
	sent     int
}

func newRestoring(t *testing.T) *restoring {
	t.Helper()
	r := &restoring{surroundings: newSurroundings(t, 2), endpoint: emulator.DynamoDBLocal(t).URL}
	r.db = dynamodb.New(dynamodb.Options{Region: "us-east-1", Credentials: credentials.NewStaticCredentialsProvider("test", "test", ""), BaseEndpoint: &r.endpoint})
	return r
}

// with is the environment with a table.
func (r *restoring) with(table string) []string {
	return []string{"CHECKPOINT_FILE=", "CHECKPOINT_TABLE=" + table, "AWS_ENDPOINT_URL_DYNAMODB=" + r.endpoint}
}

// run sends further records, runs a daemon on a table until as many lines are there, and stops it.
func (r *restoring) run(table string, further, lines int) {
	r.t.Helper()
	var payloads []string
	for range further {
		r.sent++
		payloads = append(payloads, fmt.Sprintf(`{"n":%d}`, r.sent))
	}
	if further > 0 {
		r.send(payloads...)
	}
	p := r.start(r.with(table)...)
	eventually(r.t, fmt.Sprintf("%d lines are delivered", lines), func() bool { return len(r.lines("data/")) >= lines && r.manifested() })
	if err := p.terminate(); err != nil {
		r.t.Fatalf("exit: %v\n%s", err, p.log)
	}
	if got := len(r.lines("data/")); got != lines {
		r.t.Fatalf("%d lines are delivered, want %d\n%s", got, lines, p.log)
	}
}

// command runs a command on a table, checks its exit code, and returns what it prints.
func (r *restoring) command(table string, code int, args ...string) string {
	r.t.Helper()
	out, got := r.tool(r.environment(r.with(table)...), args...)
	if got != code {
		r.t.Fatalf("consumer %s: exit code %d, want %d\n%s", strings.Join(args, " "), got, code, out)
	}
	return out
}

// copy returns the items of a table. A backup of DynamoDB has the same.
func (r *restoring) copy(table string) []map[string]types.AttributeValue {
	r.t.Helper()
	out, err := r.db.Scan(r.t.Context(), &dynamodb.ScanInput{TableName: &table, ConsistentRead: aws.Bool(true)})
	if err != nil {
		r.t.Fatal(err)
	}
	return out.Items
}

// restoreBackup makes a table with items.
func (r *restoring) restoreBackup(table string, items []map[string]types.AttributeValue) {
	r.t.Helper()
	if _, err := r.db.CreateTable(r.t.Context(), &dynamodb.CreateTableInput{
		TableName: &table, BillingMode: types.BillingModePayPerRequest,
		AttributeDefinitions: []types.AttributeDefinition{{AttributeName: aws.String("leaseKey"), AttributeType: types.ScalarAttributeTypeS}},
		KeySchema:            []types.KeySchemaElement{{AttributeName: aws.String("leaseKey"), KeyType: types.KeyTypeHash}},
	}); err != nil {
		r.t.Fatal(err)
	}
	for _, item := range items {
		if _, err := r.db.PutItem(r.t.Context(), &dynamodb.PutItemInput{TableName: &table, Item: item}); err != nil {
			r.t.Fatal(err)
		}
	}
}

// once checks that each record is in one line, and that an audit finds nothing.
func (r *restoring) once(table string) {
	r.t.Helper()
	seen := make(map[string]int)
	for _, line := range r.lines("data/") {
		_, n, _ := strings.Cut(string(line), `"n":`)
		seen[n]++
	}
	if len(seen) != r.sent {
		r.t.Errorf("%d of %d records are delivered", len(seen), r.sent)
	}
	for n, times := range seen {
		if times != 1 {
			r.t.Errorf("record %s is delivered %d times", n, times)
		}
	}
	r.command(table, 0, "audit", "--deep", "--strict")
}

// The table is lost, and made again from the manifests; later it is replaced by a backup from before both. Each record is
// delivered once, also those of shards that were split meanwhile. Without the command a backup delivers records twice, and
// the audit shows them.
func TestRestore_DeliversEachRecordOnceAfterTheTableWasLost(t *testing.T) {
	t.Parallel()
	r := newRestoring(t)
	r.run("first", 40, 40)
	backup := r.copy("first")
	if _, err := r.kinesis.SplitShard(t.Context(), &kinesis.SplitShardInput{
		StreamName: aws.String(streamName), ShardToSplit: aws.String("shardId-000000000000"), NewStartingHashKey: aws.String("85070591730234615865843651857942052864"),
	}); err != nil {
		t.Fatal(err)
	}
	r.run("first", 40, 80)
	if _, err := r.db.DeleteTable(t.Context(), &dynamodb.DeleteTableInput{TableName: aws.String("first")}); err != nil {
		t.Fatal(err)
	}

	if out := r.command("first", 1, "checkpoint", "restore"); !strings.Contains(out, "the row is made") || !strings.Contains(out, "nothing was changed") {
		t.Errorf("without a confirmation it says\n%s", out)
	}
	if tables, err := r.db.ListTables(t.Context(), &dynamodb.ListTablesInput{}); err != nil || len(tables.TableNames) != 0 {
		t.Errorf("without a confirmation there are the tables %v, %v", tables, err)
	}
	r.command("first", 0, "checkpoint", "restore", "--yes")
	r.run("first", 40, 120)
	r.once("first")

	r.restoreBackup("second", backup)
	if out := r.command("second", 0, "checkpoint", "restore", "--yes"); !strings.Contains(out, "the position is moved") {
		t.Errorf("for a backup it says\n%s", out)
	}
	r.run("second", 40, 160)
	r.once("second")
	if out := r.command("second", 0, "checkpoint", "restore", "--yes"); strings.Contains(out, "is moved") || strings.Contains(out, "is made") {
		t.Errorf("it moves a table that is up to date:\n%s", out)
	}

	r.restoreBackup("third", backup)
	r.run("third", 0, 160+120) // all since the backup a second time
	if out := r.command("third", 1, "audit"); !strings.Contains(out, "overlap") {
		t.Errorf("the audit does not show them:\n%s", out)
	}
}
