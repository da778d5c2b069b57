package main_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	kinesistypes "github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"aws-streaming-pipeline/internal/test/emulator"
	"aws-streaming-pipeline/internal/test/race"
	"aws-streaming-pipeline/writers/layout"
)

// tool runs a command of the consumer in an environment, and returns what it printed and its exit code.
func (s *surroundings) tool(environment []string, args ...string) (out string, code int) {
	s.t.Helper()
	path, err := binary()
	if err != nil {
		s.t.Fatal(err)
	}
	cmd := exec.CommandContext(s.t.Context(), path, args...)
	cmd.Env = environment
	both := new(bytes.Buffer)
	cmd.Stdout, cmd.Stderr = both, both
	err = cmd.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return both.String(), exit.ExitCode()
	}
	if err != nil {
		s.t.Fatal(err)
	}
	return both.String(), 0
}

// wantTool runs a command and checks its exit code and what it printed.
func (s *surroundings) wantTool(code int, says []string, args ...string) string {
	s.t.Helper()
	out, got := s.tool(s.environment(), args...)
	if got != code {
		s.t.Errorf("consumer %s: exit code %d, want %d\n%s", strings.Join(args, " "), got, code, out)
	}
	for _, text := range says {
		if !strings.Contains(out, text) {
			s.t.Errorf("consumer %s does not say %q:\n%s", strings.Join(args, " "), text, out)
		}
	}
	return out
}

// deliver runs a consumer until as many lines are there.
func (s *surroundings) deliver(data, errs int) {
	s.t.Helper()
	p := s.start()
	eventually(s.t, fmt.Sprintf("%d records and %d errors", data, errs), func() bool {
		return len(s.lines("data/")) >= data && len(s.lines("errors/")) >= errs && s.manifested()
	})
	if err := p.terminate(); err != nil {
		s.t.Errorf("exit: %v\n%s", err, p.log)
	}
	if d, e := len(s.lines("data/")), len(s.lines("errors/")); d != data || e != errs {
		s.t.Fatalf("%d records and %d errors, want %d and %d", d, e, data, errs)
	}
}

// manifested reports whether every file's batch has its manifest.
func (s *surroundings) manifested() bool {
	s.t.Helper()
	root := filepath.Join(s.dir, "bucket", bucketName)
	manifests, err := filepath.Glob(filepath.Join(root, "manifests/*/*/*/*/*.json"))
	if err != nil {
		s.t.Fatal(err)
	}
	for _, pattern := range []string{"data/*/*/*/*/*", "errors/*/*/*/*/*"} {
		files, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			s.t.Fatal(err)
		}
		for _, f := range files {
			file, _ := layout.ParseFile(f)
			if !slices.ContainsFunc(manifests, func(m string) bool { return strings.Contains(m, file.Batch) }) {
				return false
			}
		}
	}
	return true
}

func (s *surroundings) send(payloads ...string) {
	s.t.Helper()
	in := &kinesis.PutRecordsInput{StreamName: aws.String(streamName)}
	for i, p := range payloads {
		in.Records = append(in.Records, kinesistypes.PutRecordsRequestEntry{PartitionKey: aws.String(fmt.Sprint("key-", i)), Data: []byte(p)})
	}
	out, err := s.kinesis.PutRecords(s.t.Context(), in)
	if err != nil || aws.ToInt32(out.FailedRecordCount) > 0 {
		s.t.Fatalf("put: %v", err)
	}
}

// An operator's day: look, prove, rewind on purpose, prove again, send faulty records back, and find damage.
func TestTools_OnWhatTheDaemonHasDelivered(t *testing.T) {
	t.Parallel()
	s := newSurroundings(t, 2)
	var payloads []string
	for n := range 100 {
		payloads = append(payloads, fmt.Sprintf(`{"n":%d}`, n))
	}
	s.send(append(payloads, "no JSON", "nor this", "")...)
	s.deliver(100, 3)

	s.wantTool(0, []string{"sound", "103 records", "shardId-000000000001"}, "audit")
	s.wantTool(0, []string{"103 rows read"}, "audit", "--deep")
	s.wantTool(0, []string{"stream trips", "shardId-000000000000", "2 shards", "0 batches in the outbox"}, "checkpoint", "show")
	var table struct {
		Shards []struct {
			Checkpoint string  `json:"checkpoint"`
			AgeSeconds float64 `json:"age_seconds"`
		} `json:"shards"`
	}
	if err := json.Unmarshal([]byte(s.wantTool(0, nil, "checkpoint", "show", "--json")), &table); err != nil || len(table.Shards) != 2 ||
		table.Shards[0].AgeSeconds <= 0 || len(table.Shards[0].Checkpoint) < 20 {
		t.Errorf("the table is %+v, %v", table, err)
	}

	// A rewind delivers again, and the audit knows why.
	s.wantTool(1, []string{"nothing was moved"}, "checkpoint", "rewind", "--all", "--to", "TRIM_HORIZON") // no answer on stdin
	s.wantTool(0, []string{"AGAIN", "moved shardId-000000000000"}, "checkpoint", "rewind", "--all", "--to", "TRIM_HORIZON", "--yes", "--reason", "test")
	s.deliver(200, 6)
	s.wantTool(0, []string{"sound", "206 records", "delivered again", "moved "}, "audit", "--deep")

	// Faulty records go back to the stream, once.
	s.wantTool(0, []string{"Json.Malformed", "6 not sent"}, "redrive", "--stream", streamName, "--dry-run")
	s.wantTool(0, []string{"4 lines sent"}, "redrive", "--stream", streamName, "--code", "Json.Malformed")
	s.wantTool(0, []string{"2 lines sent, 4 sent before"}, "redrive", "--stream", streamName)
	s.wantTool(0, []string{"0 lines sent, 6 sent before"}, "redrive", "--stream", streamName)
	s.send(payloads...)
	s.deliver(300, 12)
	report := s.wantTool(0, nil, "audit", "--deep", "--json")
	var sound struct {
		Sound   bool  `json:"sound"`
		Records int64 `json:"records"`
	}
	if err := json.Unmarshal([]byte(report), &sound); err != nil || !sound.Sound || sound.Records != 312 {
		t.Errorf("the report is %+v, %v", sound, err)
	}

	// Damage.
	files, err := filepath.Glob(filepath.Join(s.dir, "bucket", bucketName, "data/*/*/*/*/*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no files: %v", err)
	}
	if err := os.Remove(files[0]); err != nil {
		t.Fatal(err)
	}
	s.wantTool(1, []string{"missing-file", filepath.Base(files[0]), "NOT SOUND"}, "audit")
	manifests, err := filepath.Glob(filepath.Join(s.dir, "bucket", bucketName, "manifests/2*/*/*/*/*"))
	if err != nil || len(manifests) == 0 {
		t.Fatalf("no manifests: %v", err)
	}
	if err := os.Remove(slices.Max(manifests)); err != nil {
		t.Fatal(err)
	}
	s.wantTool(1, []string{"unnamed-file"}, "audit", "--strict")
}

func TestTools_SayWhatIsWrongWithTheirArguments(t *testing.T) {
	t.Parallel()
	s := newSurroundings(t, 1)
	table := filepath.Join(s.dir, "checkpoints.db")
	for _, test := range []struct {
		says string
		args []string
	}{
		{"unknown command", []string{"checkpoint", "lose"}},
		{"--batch", []string{"checkpoint", "forget"}},
		{"--shard", []string{"checkpoint", "rewind", "--to", "TRIM_HORIZON"}},
		{"--shard", []string{"checkpoint", "rewind", "--to", "TRIM_HORIZON", "--all", "--shard", "x"}},
		{"--to", []string{"checkpoint", "rewind", "--all"}},
		{"belongs to one shard", []string{"checkpoint", "rewind", "--all", "--to", "123"}},
		{"CHECKPOINT_FILE", []string{"checkpoint", "import", "--from", "other"}},
		{"CHECKPOINT_FILE", []string{"import", "kcl", "--reread-aggregates", "other"}},
		{"TABLE is missing", []string{"import", "kcl"}},
		{`unexpected argument "third"`, []string{"import", "kcl", "other", "third"}},
		{`unknown command "import flume"`, []string{"import", "flume"}},
		{"consumer import COMMAND", []string{"import"}},
		{"consumer checkpoint COMMAND", []string{"checkpoint"}},
		{"no stream", []string{"redrive"}},
		{"set BACKUP_PREFIX or --prefix", []string{"redrive", "--stream", "s", "--backup"}},
		{"leave, send or skip", []string{"redrive", "--stream", "s", "--in-doubt", "maybe"}},
		{"only flags", []string{"audit", "today"}},
		{"as 36h", []string{"audit", "--from", "yesterday"}},
	} {
		s.wantTool(2, []string{test.says}, test.args...)
	}
	s.wantTool(1, []string{"checkpoints.db"}, "checkpoint", "show") // which is not there, and must not be made
	if _, err := os.Stat(table); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s was made: %v", table, err)
	}
	for _, args := range [][]string{{"audit", "--help"}, {"redrive", "-h"}, {"checkpoint", "--help"}, {"import", "help"}, {"import", "kcl", "--help"}, {"checkpoint", "rewind", "--help"}, {"checkpoint", "set", "-h"}} {
		s.wantTool(0, []string{"Usage:\n  consumer " + args[0]}, args...)
	}
}

// Settings that only the daemon needs may be missing for a tool.
func TestTools_NeedOnlyTheirOwnSettings(t *testing.T) {
	t.Parallel()
	s := newSurroundings(t, 1)
	bare := slices.DeleteFunc(s.environment(), func(v string) bool {
		return strings.HasPrefix(v, "STREAM_NAME=") || strings.HasPrefix(v, "BUCKET=") || strings.HasPrefix(v, "CHECKPOINT_FILE=")
	})
	if out, code := s.tool(bare, "audit", "--bucket", bucketName); code != 0 || !strings.Contains(out, "no manifests") {
		t.Errorf("audit: exit code %d\n%s", code, out)
	}
	if out, code := s.tool(bare, "redrive", "--bucket", bucketName, "--stream", streamName); code != 0 {
		t.Errorf("redrive: exit code %d\n%s", code, out)
	}
	if out, code := s.tool(bare, "audit"); code != 2 || !strings.Contains(out, "BUCKET") {
		t.Errorf("audit without a bucket: exit code %d\n%s", code, out)
	}
}

// foreignTable makes the table of another consumer, with one item.
func foreignTable(t *testing.T, endpoint, name, key string, item map[string]types.AttributeValue) {
	t.Helper()
	db := dynamodb.NewFromConfig(aws.Config{Region: "us-east-1", Credentials: credentials.NewStaticCredentialsProvider("test", "test", "")},
		func(o *dynamodb.Options) { o.BaseEndpoint = &endpoint })
	if _, err := db.CreateTable(t.Context(), &dynamodb.CreateTableInput{
		TableName: &name, BillingMode: types.BillingModePayPerRequest,
		AttributeDefinitions: []types.AttributeDefinition{{AttributeName: &key, AttributeType: types.ScalarAttributeTypeS}},
		KeySchema:            []types.KeySchemaElement{{AttributeName: &key, KeyType: types.KeyTypeHash}},
	}); err != nil {
		t.Fatal(err)
	}
	if _, err := db.PutItem(t.Context(), &dynamodb.PutItemInput{TableName: &name, Item: item}); err != nil {
		t.Fatal(err)
	}
}

func TestTools_ImportGoesOnWhereAnotherConsumerStopped(t *testing.T) {
	race.LeaveOut(t)
	t.Parallel()
	endpoint := emulator.DynamoDBLocal(t).URL
	s := newSurroundings(t, 1)
	s.send(`{"n":1}`, `{"n":2}`, `{"n":3}`)
	var last string
	for r := range s.stream.Records(streamName, "shardId-000000000000") {
		if string(r.Data) == `{"n":2}` {
			last = r.SequenceNumber
		}
	}
	name := "stock-" + filepath.Base(s.dir)
	foreignTable(t, endpoint, name, "ShardID", map[string]types.AttributeValue{
		"ShardID":    &types.AttributeValueMemberS{Value: "shardId-000000000000"},
		"Checkpoint": &types.AttributeValueMemberS{Value: last},
	})
	environment := append(s.environment(), "CHECKPOINT_FILE=", "CHECKPOINT_TABLE=ours-"+name, "AWS_ENDPOINT_URL_DYNAMODB="+endpoint)
	for _, start := range []string{"TRIM_HORIZON", "LATEST"} { // again does no harm, and the first position stays
		out, code := s.tool(append(environment, "START_POSITION="+start), "checkpoint", "import", "--from", name)
		if code != 0 || !strings.Contains(out, "1 shards taken over") || !strings.Contains(out, "begin at TRIM_HORIZON,") {
			t.Fatalf("import: exit code %d\n%s", code, out)
		}
	}
	if out, code := s.tool(environment, "checkpoint", "show"); code != 0 || !strings.Contains(out, last) {
		t.Errorf("show: exit code %d\n%s", code, out)
	}
	if out, code := s.tool(environment, "checkpoint", "set", "--all", "--to", "SHARD_END", "--yes"); code != 0 || !strings.Contains(out, "SKIPPED") {
		t.Errorf("set: exit code %d\n%s", code, out)
	}
}
