package main_test

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"aws-streaming-pipeline/internal/test/emulator"
	"aws-streaming-pipeline/internal/test/race"
)

// unreachable are permissions that no test here can need, each with the reason.
var unreachable = map[string]string{
	"KeepLists s3:DeleteObject":   "only batches of thousands of files have lists",
	"KeepLists s3:GetObject":      "only batches of thousands of files have lists",
	"KeepLists s3:PutObject":      "only batches of thousands of files have lists",
	"WriteManifests s3:GetObject": "only if readers move files before their manifest is there",
	"DecryptStream kms:Decrypt":   "Kinesis asks KMS for the daemon, which emulators do not",
}

const schemaObject = "s3://config/schemas/a*b.json"

// The output of "consumer policy" is sufficient for the daemon under every set of settings, and every part is needed.
func TestPolicy_IsEnoughAndNoMore(t *testing.T) {
	race.LeaveOut(t)
	t.Parallel()
	const key = "arn:aws:kms:us-east-1:" + accountID + ":key/1234abcd-12ab-34cd-56ef-1234567890ab"
	streamARN := "arn:aws:kinesis:us-east-1:" + accountID + ":stream/" + streamName
	endpoint := emulator.DynamoDBLocal(t).URL
	for _, test := range []struct {
		name    string
		env     []string
		flags   []string
		prepare func(b *border, env []string) (more []string)
		shows   string // key of an object that these settings have the daemon write besides its files
		idle    string // a permission that these settings need only in an emergency, which is not made here
	}{
		{name: "defaults"},
		{name: "table that is there", prepare: makeTable, env: []string{"CHECKPOINT_TABLE=there"}},
		{name: "no table", env: []string{"CHECKPOINT_FILE=" + filepath.Join(t.TempDir(), "checkpoints.db")},
			idle: "WriteFiles s3:AbortMultipartUpload"},
		{name: "stream by its ARN", env: []string{"STREAM_ARN=" + streamARN}, flags: []string{"--stream-key", key}},
		{name: "fan-out by name", env: []string{"FAN_OUT_CONSUMER=files"}},
		{name: "fan-out by ARN", prepare: register},
		{name: "key by its ARN", env: []string{"S3_ENCRYPTION=aws:kms", "S3_KMS_KEY_ID=" + key}},
		{name: "key by its alias", env: []string{"S3_ENCRYPTION=aws:kms", "S3_KMS_KEY_ID=alias/files"}},
		{name: "key of AWS", env: []string{"S3_ENCRYPTION=aws:kms"}},
		{name: "function", env: []string{"TRANSFORM=lambda:" + functionARN}},
		{name: "completeness", env: []string{"COMPLETE_PREFIX=c*mplete/?/", "COMPLETE_MARKER=_SUCCESS"}, shows: "c*mplete/?/completeness.json"},
		{name: "schema in a bucket", env: []string{"FORMAT=parquet", "SCHEMA=" + schemaObject}, prepare: putSchema},
		{name: "Firehose with prefixes like patterns", env: []string{
			"BACKUP_PREFIX=kept*/!{timestamp:yyyy}/", "FORMAT=firehose", "PREFIX=${a}?/*/!{timestamp:yyyy}/", "ERROR_PREFIX=${*}/!{firehose:error-output-type}/"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := newBorder(t, endpoint)
			env := append([]string{"CHECKPOINT_FILE=", "APPLICATION_NAME=" + strings.ReplaceAll(test.name, " ", "-")}, test.env...)
			if test.prepare != nil {
				env = append(env, test.prepare(b, env)...)
			}
			b.enforce(b.print(env, test.flags...))
			address := freeAddress(t)
			p := b.start(slices.Concat(b.endpoints, env, []string{"HTTP_ADDRESS=" + address})...)
			b.send(`{"n":1}`, `{"n":2}`, `{"n":3}`, "")
			eventually(t, "all records are delivered", func() bool { return b.delivered() == 4 || len(b.refusals()) > 0 })
			eventually(t, "the daemon is ready", func() bool { return ready(address) || len(b.refusals()) > 0 })
			if test.shows != "" {
				eventually(t, test.shows+" is written", func() bool { return b.exists(test.shows) || len(b.refusals()) > 0 })
			}
			if err := p.terminate(); err != nil {
				t.Errorf("exit: %v\n%s", err, p.log)
			}
			if refused := b.refusals(); len(refused) > 0 {
				t.Errorf("refused: %v\n%s", refused, p.log)
			}
			for _, permission := range b.idle() {
				if unreachable[permission] == "" && permission != test.idle {
					t.Errorf("%s is allowed, and nothing needs it", permission)
				}
			}
		})
	}
}

// exists reports whether the bucket has an object.
func (b *border) exists(key string) bool {
	_, err := b.s3.HeadObject(b.t.Context(), &s3.HeadObjectInput{Bucket: aws.String(bucketName), Key: &key})
	return err == nil
}

// makeTable has a daemon make the table that may.
func makeTable(b *border, env []string) []string {
	b.t.Helper()
	b.enforce(b.print(env))
	p := b.start(slices.Concat(b.endpoints, env)...)
	eventually(b.t, "the table is in use", func() bool { return b.needed("dynamodb:UpdateItem") })
	if err := p.terminate(); err != nil {
		b.t.Fatalf("exit: %v\n%s", err, p.log)
	}
	return []string{"CHECKPOINT_TABLE_CREATE=false"}
}

func register(b *border, _ []string) []string {
	b.t.Helper()
	out, err := b.kinesis.RegisterStreamConsumer(b.t.Context(), &kinesis.RegisterStreamConsumerInput{
		StreamARN: aws.String("arn:aws:kinesis:us-east-1:" + accountID + ":stream/" + streamName), ConsumerName: aws.String("files"),
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return []string{"FAN_OUT_CONSUMER=" + *out.Consumer.ConsumerARN}
}

func putSchema(b *border, _ []string) []string {
	b.t.Helper()
	bucket, key, _ := strings.Cut(strings.TrimPrefix(schemaObject, "s3://"), "/")
	if _, err := b.s3.CreateBucket(b.t.Context(), &s3.CreateBucketInput{Bucket: &bucket}); err != nil {
		b.t.Fatal(err)
	}
	body := strings.NewReader(`{"type":"object","properties":{"n":{"type":"integer"}}}`)
	if _, err := b.s3.PutObject(b.t.Context(), &s3.PutObjectInput{Bucket: &bucket, Key: &key, Body: body}); err != nil {
		b.t.Fatal(err)
	}
	return nil
}

// Without any one of its actions the policy is too little: a call of the daemon is refused.
func TestPolicy_HasNothingToSpare(t *testing.T) {
	race.LeaveOut(t)
	t.Parallel()
	endpoint := emulator.DynamoDBLocal(t).URL
	tried := make(map[string]bool)
	for _, settings := range [][]string{
		{"S3_ENCRYPTION=aws:kms", "S3_KMS_KEY_ID=files", "SCHEMA=" + schemaObject},
		{"FAN_OUT_CONSUMER=files", "SCHEMA=" + schemaObject},
		{"TRANSFORM=lambda:" + functionARN},
	} {
		for _, action := range newBorder(t, endpoint).print(append(settings, "CHECKPOINT_FILE=")).Actions() {
			if tried[action] || action == "s3:DeleteObject" { // which only lists of files need
				continue
			}
			tried[action] = true
			t.Run(action, func(t *testing.T) {
				t.Parallel()
				b := newBorder(t, endpoint)
				putSchema(b, nil)
				env := append(slices.Clone(settings), "CHECKPOINT_FILE=", "APPLICATION_NAME=without-"+strings.ReplaceAll(action, ":", "-"))
				b.enforce(b.print(env).Without(action))
				address := freeAddress(t)
				b.start(slices.Concat(b.endpoints, env, []string{"HTTP_ADDRESS=" + address})...)
				b.send(`{"n":1}`, "")
				eventually(t, "a call is refused", func() bool {
					ready(address) // looks at the bucket
					return len(b.refusals()) > 0
				})
				for _, need := range b.refusals() {
					if need.Action == action {
						return
					}
				}
				t.Errorf("refused: %v, none of which needs %s", b.refusals(), action)
			})
		}
	}
	if len(tried) < 20 {
		t.Errorf("tried %d actions", len(tried))
	}
}

// The output of "consumer policy --operator" is sufficient for the operators' commands, and every part is needed.
func TestPolicy_IsEnoughForOperators(t *testing.T) {
	race.LeaveOut(t)
	t.Parallel()
	endpoint := emulator.DynamoDBLocal(t).URL
	b := newBorder(t, endpoint)
	env := []string{"CHECKPOINT_FILE=", "APPLICATION_NAME=operated", "AWS_ENDPOINT_URL_DYNAMODB=" + endpoint}
	const old = "java"
	p := b.start(env...) // it may do everything
	b.send(`{"n":1}`, "no JSON")
	eventually(t, "the records are delivered", func() bool { return b.delivered() == 2 })

	b.enforce(b.print(env, "--operator", "--import-table", old))
	environment := b.environment(append(slices.Clone(env), b.endpoints...)...)
	tool := func(environment []string, args ...string) {
		t.Helper()
		if out, code := b.tool(environment, args...); code != 0 {
			t.Errorf("%q: exit code %d\n%s", args, code, out)
		}
	}
	tool(environment, "audit", "--deep")
	tool(environment, "check")
	tool(environment, "route", "--last", "1")
	tool(environment, "redrive", "--stream", streamName)
	tool(environment, "checkpoint", "show")
	tool(environment, "checkpoint", "rewind", "--shard", "shardId-000000000000", "--to", "TRIM_HORIZON", "--yes")
	if err := p.terminate(); err != nil {
		t.Errorf("exit: %v\n%s", err, p.log)
	}
	wantNone := func() {
		t.Helper()
		if refused := b.refusals(); len(refused) > 0 {
			t.Errorf("refused: %v", refused)
		}
	}
	wantNone()
	idle := b.idle()

	// An import is into a table that is not in use, here from one of the Java KCL that stopped inside an aggregate.
	sequence := ""
	for r := range b.stream.Records(streamName, "shardId-000000000000") {
		sequence = r.SequenceNumber
	}
	foreignTable(t, endpoint, old, "leaseKey", map[string]types.AttributeValue{
		"leaseKey":                    &types.AttributeValueMemberS{Value: "shardId-000000000000"},
		"checkpoint":                  &types.AttributeValueMemberS{Value: sequence},
		"checkpointSubSequenceNumber": &types.AttributeValueMemberN{Value: "3"},
	})
	b.enforce(b.print(append(env, "CHECKPOINT_TABLE=imported"), "--operator", "--import-table", old))
	tool(append(slices.Clone(environment), "CHECKPOINT_TABLE=imported"), "checkpoint", "import", "--from", old, "--reread-aggregates")
	wantNone()
	still := b.idle()

	b.enforce(b.print(append(env, "CHECKPOINT_TABLE=restored"), "--operator", "--restore"))
	tool(append(slices.Clone(environment), "CHECKPOINT_TABLE=restored"), "checkpoint", "restore", "--yes")
	wantNone()
	for _, permission := range b.idle() {
		if strings.HasPrefix(permission, "RestorePositions ") || strings.HasPrefix(permission, "DescribeStream ") || strings.HasPrefix(permission, "MakeTable ") {
			t.Errorf("%s is allowed, and a restore does not need it", permission)
		}
	}
	// checkpoint forget needs these, of a batch that is stuck.
	forget := []string{"MovePositions dynamodb:DeleteItem", "SeeUploads s3:ListMultipartUploadParts"}
	for _, permission := range idle {
		if slices.Contains(still, permission) && !slices.Contains(forget, permission) {
			t.Errorf("%s is allowed, and nothing needs it", permission)
		}
	}
}
