package main_test

import (
	"encoding/json"
	"fmt"
	"math/big"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"aws-streaming-pipeline/internal/test/emulator"
	"aws-streaming-pipeline/internal/test/race"
)

// quarter is the n-th quarter of the hash keys.
func quarter(n int64) *string {
	return aws.String(new(big.Int).Lsh(big.NewInt(n), 126).String())
}

// put sends a number to the shard that has a quarter of the hash keys.
func (s *surroundings) put(n int64, numbers ...int) {
	s.t.Helper()
	for _, number := range numbers {
		if _, err := s.kinesis.PutRecord(s.t.Context(), &kinesis.PutRecordInput{
			StreamName: aws.String(streamName), PartitionKey: aws.String("k"), ExplicitHashKey: quarter(n), Data: fmt.Appendf(nil, `{"n":%d}`, number),
		}); err != nil {
			s.t.Fatal(err)
		}
	}
}

func (s *surroundings) split(shard string, at *string) {
	s.t.Helper()
	if _, err := s.kinesis.SplitShard(s.t.Context(), &kinesis.SplitShardInput{
		StreamName: aws.String(streamName), ShardToSplit: &shard, NewStartingHashKey: at,
	}); err != nil {
		s.t.Fatal(err)
	}
}

// sequence is the sequence number of a number's record.
func (s *surroundings) sequence(shard string, number int) string {
	s.t.Helper()
	for r := range s.stream.Records(streamName, shard) {
		if string(r.Data) == fmt.Sprintf(`{"n":%d}`, number) {
			return r.SequenceNumber
		}
	}
	s.t.Fatalf("shard %s does not hold %d", shard, number)
	return ""
}

// numbers are those in the bucket, sorted.
func (s *surroundings) numbers() []int {
	s.t.Helper()
	var numbers []int
	for _, line := range s.lines("data/") {
		var row struct{ N int }
		if err := json.Unmarshal(line, &row); err != nil {
			s.t.Fatal(err)
		}
		numbers = append(numbers, row.N)
	}
	slices.Sort(numbers)
	return numbers
}

// javaTable makes a lease table as the Kinesis Client Library for Java, version 2, writes it.
func javaTable(t *testing.T, endpoint, name string, leases map[string]string) {
	t.Helper()
	db := dynamodb.NewFromConfig(aws.Config{Region: "us-east-1", Credentials: credentials.NewStaticCredentialsProvider("test", "test", "")},
		func(o *dynamodb.Options) { o.BaseEndpoint = &endpoint })
	_, err := db.CreateTable(t.Context(), &dynamodb.CreateTableInput{
		TableName: &name, BillingMode: types.BillingModePayPerRequest,
		AttributeDefinitions: []types.AttributeDefinition{{AttributeName: aws.String("leaseKey"), AttributeType: types.ScalarAttributeTypeS}},
		KeySchema:            []types.KeySchemaElement{{AttributeName: aws.String("leaseKey"), KeyType: types.KeyTypeHash}},
	})
	if err != nil {
		t.Fatal(err)
	}
	for shard, checkpoint := range leases {
		shard, parents, split := strings.Cut(shard, "<")
		row := map[string]types.AttributeValue{
			"leaseKey": &types.AttributeValueMemberS{Value: shard}, "leaseOwner": &types.AttributeValueMemberS{Value: "worker-1"},
			"leaseCounter": &types.AttributeValueMemberN{Value: "812"}, "ownerSwitchesSinceCheckpoint": &types.AttributeValueMemberN{Value: "0"},
			"checkpoint": &types.AttributeValueMemberS{Value: checkpoint}, "checkpointSubSequenceNumber": &types.AttributeValueMemberN{Value: "0"},
			"startingHashKey": &types.AttributeValueMemberS{Value: "0"}, "endingHashKey": &types.AttributeValueMemberS{Value: "1"},
		}
		if split {
			row["parentShardId"] = &types.AttributeValueMemberSS{Value: []string{parents}}
		}
		if _, err := db.PutItem(t.Context(), &dynamodb.PutItemInput{TableName: &name, Item: row}); err != nil {
			t.Fatal(err)
		}
	}
}

// A Java application has finished shard 0 and deleted its lease, and is reading both children. It lags in shard 1, which is
// split as well, and has no leases for its children yet. We take over, a child splits again, and the remaining records are
// delivered once, whatever START_POSITION is.
func TestImport_GoesOnAfterSplitsWhereTheJavaLibraryStopped(t *testing.T) {
	race.LeaveOut(t)
	t.Parallel()
	endpoint := emulator.DynamoDBLocal(t).URL
	for _, start := range []string{"TRIM_HORIZON", "LATEST", time.Now().Add(-time.Hour).UTC().Format(time.RFC3339)} {
		t.Run(start, func(t *testing.T) {
			t.Parallel()
			s := newSurroundings(t, 2)
			shard := func(n int) string { return fmt.Sprintf("shardId-%012d", n) }
			s.put(0, 10, 11, 12)
			s.put(2, 20, 21, 22, 23, 24)
			s.split(shard(0), quarter(1))
			s.split(shard(1), quarter(3))
			s.put(0, 30, 31, 32, 33)
			s.put(1, 40, 41)
			s.put(2, 50, 51, 52)
			s.put(3, 60, 61, 62)
			name := "java-" + filepath.Base(filepath.Dir(s.dir)) + filepath.Base(s.dir)
			javaTable(t, endpoint, name, map[string]string{
				shard(1): s.sequence(shard(1), 21), shard(2) + "<" + shard(0): s.sequence(shard(2), 31), shard(3) + "<" + shard(0): s.sequence(shard(3), 40),
			})
			time.Sleep(1100 * time.Millisecond) // LATEST counts in whole seconds
			settings := []string{"CHECKPOINT_FILE=", "CHECKPOINT_TABLE=ours-" + name, "AWS_ENDPOINT_URL_DYNAMODB=" + endpoint, "START_POSITION=" + start}
			out, code := s.tool(s.environment(settings...), "import", "kcl", name)
			for _, says := range []string{"3 shards taken over", "1 shards without a lease in that table were finished", "2 shards without a lease in that table are their descendants"} {
				if code != 0 || !strings.Contains(out, says) {
					t.Fatalf("import: exit code %d, want %q\n%s", code, says, out)
				}
			}

			p := s.start(settings...)
			s.put(3, 63)
			s.split(shard(2), aws.String("100"))
			s.put(0, 70)
			want := []int{22, 23, 24, 32, 33, 41, 50, 51, 52, 60, 61, 62, 63, 70}
			eventually(t, fmt.Sprint("numbers ", want), func() bool { return len(s.numbers()) >= len(want) })
			if err := p.terminate(); err != nil {
				t.Errorf("exit: %v\n%s", err, p.log)
			}
			if got := s.numbers(); !slices.Equal(got, want) {
				t.Errorf("delivered %v\nwant      %v", got, want)
			}
		})
	}
}
