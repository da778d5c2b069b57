package validate_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"aws-streaming-pipeline/internal/command"
	"aws-streaming-pipeline/internal/iam"
	"aws-streaming-pipeline/internal/test/emulator"
	"aws-streaming-pipeline/operate/policy"
	"aws-streaming-pipeline/operate/validate"
	"aws-streaming-pipeline/record/table"
)

// optional are the permissions that only warnings rest on.
var optional = []string{"unknown: GET of a bucket with \"lifecycle=\" is not supported", "dynamodb:DescribeContinuousBackups"}

func TestDaemon(t *testing.T) {
	s := newSite(t)
	s.makeTable("there")
	s.makeTable("other")
	s.putSchema()
	t.Run("passes with the daemon's policy and leaves nothing", s.testPasses)
	t.Run("names each missing permission", s.testPermissions)
	t.Run("says what is wrong", s.testWrong)
	t.Run("names each permission that the loader lacks", s.testLoader)
	t.Run("aborts the upload when it is interrupted", s.testInterrupted)
}

// With the daemon's own policy every check passes, and nothing is left behind.
func (s *site) testPasses(t *testing.T) {
	for _, test := range []struct {
		name     string
		settings []string
		prepare  func(*testing.T, *site)
		want     []string
	}{
		{"defaults", nil, nil, []string{
			"ok    settings     all values are valid",
			"ok    region       us-east-1",
			"ok    stream       trips: 2 open shards, PROVISIONED, retention 24 h; read shardId-000000000000",
			"ok    checkpoints  the table streaming-pipeline does not exist; the daemon creates it",
			"ok    application  streaming-pipeline is new: it starts at TRIM_HORIZON",
			"ok    bucket       out: began, wrote and aborted uploads under data/year= and errors/; manifests can be written under manifests/",
			"ok    address      HTTP_ADDRESS=127.0.0.1:0 is free",
		}},
		{"a table that is there", []string{"APPLICATION_NAME=there"}, nil, []string{
			"ok    checkpoints  the table there can be read and written to", "ok    application  there goes on at its checkpoints",
		}},
		{"everything", []string{
			"APPLICATION_NAME=there", "FORMAT=parquet", "SCHEMA=s3://config/schema.json", "SCHEMA_REGISTRY=glue", "TRANSFORM=lambda:" + functionARN,
			"TRANSFORM_QUERY=.", "PARTITION_QUERY={c:.c}", "PREFIX=data/!{partitionKeyFromQuery:c}/", "BACKUP_PREFIX=backup/", "COMPLETE_PREFIX=_complete/",
			"S3_ENCRYPTION=aws:kms", "S3_KMS_KEY_ID=alias/files", "SPOOL_DIR=" + t.TempDir(), "SPOOL_SIZE=8MiB", "FAN_OUT_CONSUMER=files",
		}, nil, []string{
			"the consumer files is not registered; the daemon registers it", "uploads under backup/ and data/ and errors/",
			"s3://config/schema.json describes 1 fields and fits FORMAT=parquet", "ok    registry     schema versions can be looked up",
			"ok    transform    TRANSFORM_QUERY compiles", "ok    transform    the function " + functionARN + " may be invoked; it was not run",
			"ok    partition    PARTITION_QUERY compiles", "ok    spool ",
		}},
		{"a consumer that is there", []string{"FAN_OUT_CONSUMER=files"}, register, []string{"ok    stream       the consumer files may subscribe to shards"}},
		{"a file instead of the table", []string{"CHECKPOINT_FILE=" + filepath.Join(t.TempDir(), "checkpoints.db")}, nil, []string{"does not exist; the daemon creates it"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			set(t, test.settings...)
			if test.prepare != nil {
				test.prepare(t, s)
			}
			before := s.left()
			s.enforce(s.granted())
			got := s.daemon()
			s.mu.Lock()
			refused := s.refused
			s.mu.Unlock()
			s.enforce(everything)
			for _, action := range refused {
				if !slices.Contains(optional, action) {
					t.Errorf("the policy refuses %s", action)
				}
			}
			if len(got.of(validate.Fail)) > 0 || len(got.of(validate.Skip)) > 0 {
				t.Errorf("not everything passes:\n%v", got)
			}
			for _, want := range test.want {
				if !strings.Contains(got.String(), want) {
					t.Errorf("there is no %q in\n%v", want, got)
				}
			}
			if after := s.left(); !slices.Equal(before, after) {
				t.Errorf("it has left something behind: there was\n%v\nand there is\n%v", before, after)
			}
		})
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.runs > 0 || s.dryRuns == 0 {
		t.Errorf("the function was run %d times and tried %d times", s.runs, s.dryRuns)
	}
}

func register(t *testing.T, s *site) {
	t.Helper()
	_, err := s.kinesis.RegisterStreamConsumer(t.Context(), &kinesis.RegisterStreamConsumerInput{
		StreamARN: aws.String("arn:aws:kinesis:" + region + ":" + accountID + ":stream/" + streamName), ConsumerName: aws.String("files"),
	})
	must(t, err)
}

func (s *site) putSchema() {
	s.t.Helper()
	_, _ = s.s3.CreateBucket(s.t.Context(), &s3.CreateBucketInput{Bucket: aws.String("config")}) // it may be there
	_, err := s.s3.PutObject(s.t.Context(), &s3.PutObjectInput{Bucket: aws.String("config"), Key: aws.String("schema.json"), Body: strings.NewReader(schemaText)})
	must(s.t, err)
}

// untried are the permissions of the daemon that cannot be tried without using them.
var untried = map[string]string{
	"dynamodb:CreateTable":             "it would create the table",
	"dynamodb:UpdateContinuousBackups": "it would change the table",
	"kinesis:RegisterStreamConsumer":   "it would register the consumer",
	"s3:DeleteObject":                  "it would delete an object, or leave a delete marker",
}

// Without any one of its permissions the daemon would not work, and a check fails that names it. With all of them none fails, which the
// test before shows.
func (s *site) testPermissions(t *testing.T) {
	tried := make(map[string]bool)
	for _, settings := range [][]string{
		{"SCHEMA=s3://config/schema.json", "SCHEMA_REGISTRY=glue", "TRANSFORM=lambda:" + functionARN, "S3_ENCRYPTION=aws:kms", "S3_KMS_KEY_ID=alias/files"},
		{"FAN_OUT_CONSUMER=files", "SCHEMA="},
	} {
		set(t, append(settings, "APPLICATION_NAME=there")...)
		whole := s.granted()
		for _, action := range whole.Actions() {
			if tried[action] || untried[action] != "" {
				continue
			}
			tried[action] = true
			s.enforce(whole.Without(action))
			got := s.daemon()
			failed := got.of(validate.Fail)
			if !strings.Contains(failed.String(), action) {
				t.Errorf("without %s no check that fails names it:\n%v", action, got)
			}
			for _, line := range failed {
				if line.Advice == "" {
					t.Errorf("without %s a line does not say what to do: %v", action, line)
				}
			}
			s.enforce(everything)
		}
	}
	if len(tried) < 17 {
		t.Errorf("tried only %d permissions: %v", len(tried), tried)
	}
}

// The same for the loader. What it may do in the catalog is not tried here, and reading only where a role may list the bucket.
func (s *site) testLoader(t *testing.T) {
	set(t, "TABLE=postgres://127.0.0.1/lake/public.trips", "POSTGRES_USER=loader", "APPLICATION_NAME=there", "LOADER_HTTP_ADDRESS=")
	c := s.config()
	must(t, c.Faults)
	whole, err := policy.Loader(&c.Settings, policy.Place{Region: region, Account: accountID})
	must(t, err)
	before := s.left()
	loader := func(p iam.Policy) lines {
		s.enforce(p)
		defer s.enforce(everything)
		return validate.Run(t.Context(), validate.Loader(c, func(_ context.Context, r *validate.Result, uri table.URI, _ validate.Known) {
			r.OK("asked for %s", uri)
		}), func(validate.Line) {})
	}
	if got := loader(whole); len(got.of(validate.Fail)) > 0 || !got.has(validate.OK, "postgres", "postgres://127.0.0.1/lake/public.trips") || !got.has(validate.Skip, "bucket", "manifests/outbox/") {
		t.Errorf("with its policy:\n%v", got)
	}
	if got := loader(everything); !got.has(validate.OK, "bucket", "files can be read under") {
		t.Errorf("with all rights:\n%v", got)
	}
	tried := 0
	for _, action := range whole.Actions() {
		if action == "s3:GetObject" || untried[action] != "" {
			continue
		}
		tried++
		if got := loader(whole.Without(action)); !strings.Contains(got.of(validate.Fail).String(), action) {
			t.Errorf("without %s no check that fails names it:\n%v", action, got)
		}
	}
	if tried < 7 {
		t.Errorf("tried only %d permissions", tried)
	}
	if after := s.left(); !slices.Equal(before, after) {
		t.Errorf("it has left something behind: there was\n%v\nand there is\n%v", before, after)
	}
}

// What is wrong with the surroundings fails, and says what to do; what works but will hurt is a warning.
func (s *site) testWrong(t *testing.T) {
	for _, test := range []struct {
		settings []string
		prepare  func(*validate.Config)
		outcome  validate.Outcome
		check    string
		text     string
	}{
		{settings: []string{"BUCKET=s3://out", "COMMIT_SIZE=1"}, outcome: validate.Fail, check: "settings", text: `COMMIT_SIZE="1": want at least FILE_SIZE`},
		{settings: []string{"BUCKET=s3://out"}, outcome: validate.Skip, check: "bucket", text: "because settings failed"},
		{settings: []string{"AWS_REGION="}, outcome: validate.Fail, check: "region", text: "set AWS_REGION"},
		{settings: []string{"AWS_REGION="}, outcome: validate.Skip, check: "credentials", text: "because region failed"},
		{settings: []string{"AWS_REGION="}, outcome: validate.Skip, check: "stream", text: "because region failed"},
		{settings: []string{"AWS_REGION="}, outcome: validate.OK, check: "address", text: "is free"},
		{settings: []string{"AWS_PROFILE=none"}, outcome: validate.Fail, check: "region", text: "AWS_PROFILE"},
		{settings: []string{"STREAM_NAME=trip"}, outcome: validate.Fail, check: "stream", text: "stream trip does not exist"},
		{settings: []string{"STREAM_NAME=trip"}, outcome: validate.OK, check: "bucket", text: "out: began"},
		{settings: []string{"BUCKET=missing"}, outcome: validate.Fail, check: "bucket", text: "bucket missing does not exist"},
		{settings: []string{"AWS_ENDPOINT_URL_KINESIS=http://127.0.0.1:1"}, outcome: validate.Fail, check: "stream", text: "refuses the connection"},
		{settings: []string{"AWS_ENDPOINT_URL_DYNAMODB=http://127.0.0.1:1"}, outcome: validate.Fail, check: "checkpoints", text: "refuses the connection"},
		{settings: []string{"CHECKPOINT_TABLE_CREATE=false"}, outcome: validate.Fail, check: "checkpoints", text: "the table streaming-pipeline does not exist"},
		{settings: []string{"APPLICATION_NAME=there", "CHECKPOINT_TABLE=other"}, outcome: validate.Fail, check: "application", text: `to application "other", not "there"`},
		{settings: []string{"SCHEMA=/none.json"}, outcome: validate.Fail, check: "schema", text: "no such file"},
		{settings: []string{"CHECKPOINT_FILE=/none/checkpoints.db"}, outcome: validate.Fail, check: "checkpoints", text: "no such file"},
		{settings: []string{"HTTP_ADDRESS=192.0.2.1:8080"}, outcome: validate.Fail, check: "address", text: "192.0.2.1:8080"},
		{settings: []string{"FAN_OUT_CONSUMER=arn:aws:kinesis:us-east-1:123456789012:stream/other/consumer/files:1"}, outcome: validate.Fail, check: "stream", text: "not registered on the stream"},

		{settings: []string{"COMMIT_INTERVAL=6h"}, outcome: validate.Warn, check: "stream", text: "raise the stream's retention"},
		{settings: []string{"START_POSITION=LATEST"}, outcome: validate.Warn, check: "application", text: "LATEST leaves out"},
		{settings: []string{"START_POSITION=LATEST", "APPLICATION_NAME=there"}, outcome: validate.OK, check: "application", text: "there goes on"},
		{settings: []string{"SPOOL_DIR=" + t.TempDir(), "SPOOL_SIZE=900000GiB"}, outcome: validate.Warn, check: "spool", text: "less than SPOOL_SIZE"},
		{settings: []string{"HTTP_ADDRESS=" + strings.TrimPrefix(s.stream.URL(), "http://")}, outcome: validate.Warn, check: "address", text: "listens"},
		{settings: []string{"FORMAT=parquet", "TABLE=glue://lake/trips", "APPLICATION_NAME=there"}, outcome: validate.Warn, check: "application", text: "start the loader"},
		{prepare: func(c *validate.Config) { c.Container, c.Short = 1<<28, true }, outcome: validate.Warn, check: "memory", text: "256MiB"},
		{prepare: func(c *validate.Config) { c.Warnings = []string{"BUKET is not a setting"} }, outcome: validate.Warn, check: "settings", text: "BUKET"},
		{outcome: validate.OK, check: "memory", text: "the container has no limit"},
	} {
		t.Run(fmt.Sprint(test.settings, test.check), func(t *testing.T) {
			set(t, test.settings...)
			c := s.config()
			if test.prepare != nil {
				test.prepare(&c)
			}
			got := lines(validate.Run(t.Context(), validate.Daemon(c), func(validate.Line) {}))
			if !got.has(test.outcome, test.check, test.text) {
				t.Errorf("want %s of %s with %q, got\n%v", test.outcome, test.check, test.text, got)
			}
			for _, line := range append(got.of(validate.Fail), got.of(validate.Warn)...) {
				if line.Advice == "" && line.Check != "settings" || strings.Contains(line.String(), "\n") {
					t.Errorf("it does not say what to do in one line: %v", line)
				}
			}
		})
	}
}

// An interruption in the middle of an upload, and a store that does not answer then, leave nothing behind.
func (s *site) testInterrupted(t *testing.T) {
	before := s.left()
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	aborted, begun := 0, []string(nil)
	var mu sync.Mutex
	s.beforeBucket(t, func(_ http.ResponseWriter, r *http.Request) bool {
		switch {
		case r.Method == http.MethodPut && r.URL.Query().Has("partNumber"):
			_, _ = io.Copy(io.Discard, r.Body) // until then the server does not notice that the client has gone
			now := s.left()
			mu.Lock()
			begun = now
			mu.Unlock()
			interrupt()
			<-r.Context().Done()
			return true
		case r.Method == http.MethodDelete:
			mu.Lock()
			aborted++
			mu.Unlock()
		}
		return false
	})
	got := s.daemonWith(ctx)
	if !got.has(validate.Skip, "bucket", "interrupted") {
		t.Errorf("want the bucket's check interrupted:\n%v", got)
	}
	mu.Lock()
	defer mu.Unlock()
	if len(begun) <= len(before) {
		t.Error("an upload that has begun does not show")
	}
	if after := s.left(); aborted == 0 || !slices.Equal(before, after) {
		t.Errorf("after %d uploads were aborted, there is %v, and there was %v", aborted, after, before)
	}
}

// The JSON has the names that docs/validate.md states, and the exit code shows whether the settings are wrong.
func TestPrint_WritesJSON(t *testing.T) {
	failing := func(name string) validate.Check {
		return validate.Check{Name: name, Try: func(_ context.Context, r *validate.Result) { r.Fail("BUCKET", `BUCKET="": want a name`, "set it") }}
	}
	fine := validate.Check{Name: "memory", Try: func(_ context.Context, r *validate.Result) { r.OK("enough") }}
	for _, test := range []struct {
		checks []validate.Check
		want   string
		code   int
	}{
		{[]validate.Check{fine}, `"passed":true,"checks":[{"check":"memory","outcome":"ok","text":"enough"}]}`, 0},
		{[]validate.Check{failing("bucket"), fine}, `"passed":false,"checks":[` +
			`{"check":"bucket","outcome":"fail","setting":"BUCKET","text":"BUCKET=\"\": want a name","advice":"set it"},{"check":"memory","outcome":"ok","text":"enough"}]}`, 1},
		{[]validate.Check{failing("settings"), {Name: "stream", After: []string{"settings"}}}, `"passed":false,"checks":[` +
			`{"check":"settings","outcome":"fail","setting":"BUCKET","text":"BUCKET=\"\": want a name","advice":"set it"},` +
			`{"check":"stream","outcome":"skip","text":"because settings failed"}]}`, 2},
	} {
		var out, got bytes.Buffer
		err := validate.Print(t.Context(), &out, true, "consumer", test.checks)
		must(t, json.Compact(&got, out.Bytes()))
		if code := command.ExitCode(err); code != test.code || !strings.HasPrefix(got.String(), `{"program":"consumer","version":"`) || !strings.HasSuffix(got.String(), test.want) {
			t.Errorf("got %s and exit code %d, want %s and %d", &got, code, test.want, test.code)
		}
	}
}

// Whatever a check waits for, all of them end soon, and those that need nothing of it are done.
func TestRun_EndsWhenNothingAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		silent := func(ctx context.Context, r *validate.Result) {
			<-ctx.Done()
			r.Fail("", ctx.Err().Error(), "")
		}
		fine := func(_ context.Context, r *validate.Result) { r.OK("done") }
		got := lines(validate.Run(t.Context(), []validate.Check{
			{Name: "a", Try: silent}, {Name: "b", After: []string{"a"}, Try: fine}, {Name: "c", After: []string{"b"}, Try: fine},
			{Name: "d", Try: silent}, {Name: "e", After: []string{"none"}, Try: fine},
		}, func(validate.Line) {}))
		want := "FAIL  a            context deadline exceeded\nskip  b            because a failed\nskip  c            because b was skipped\n" +
			"FAIL  d            context deadline exceeded\nok    e            done\n"
		if got.String() != want || time.Since(began) > 20*time.Second {
			t.Errorf("after %v:\n%v", time.Since(began), got)
		}
	})
}

// An endpoint that does not know STS proves nothing about the credentials, which the other checks use. A refusal is a failure.
func TestDaemon_AsksWhoseTheCredentialsAre(t *testing.T) {
	refusal := func(code string) string {
		return "<ErrorResponse><Error><Type>Sender</Type><Code>" + code + "</Code><Message>no</Message></Error></ErrorResponse>"
	}
	identity := "<GetCallerIdentityResponse><GetCallerIdentityResult><Arn>arn:aws:iam::1:user/a</Arn><Account>1</Account></GetCallerIdentityResult></GetCallerIdentityResponse>"
	for _, test := range []struct {
		name    string
		status  int
		body    string
		outcome validate.Outcome
		text    string
	}{
		{"identity", 200, identity, validate.OK, "account 1, arn:aws:iam::1:user/a"},
		{"not implemented", 501, "", validate.Warn, "STS fails with status 501"},
		{"not implemented, as S3 says it", 501, "<Error><Code>NotImplemented</Code><Message>no</Message></Error>", validate.Warn, "status 501"},
		{"not found", 404, "", validate.Warn, "who the credentials are could not be asked: "},
		{"another service", 400, refusal("InvalidAction"), validate.Warn, "STS rejects GetCallerIdentity: InvalidAction"},
		{"JSON", 400, `{"__type":"UnknownOperationException"}`, validate.Warn, "STS rejects GetCallerIdentity"},
		{"a page", 200, "<html><body>sign in</body></html>", validate.Warn, "who the credentials are could not be asked: "},
		{"nothing", 200, "", validate.Warn, "there is no account in the answer"},
		{"keys", 403, refusal("InvalidClientTokenId"), validate.Fail, "does not accept the AWS credentials"},
		{"expired", 403, refusal("ExpiredToken"), validate.Fail, "have expired"},
		{"signature", 403, refusal("SignatureDoesNotMatch"), validate.Fail, "does not accept the AWS credentials"},
		{"denied", 403, refusal("AccessDenied"), validate.Fail, "STS refuses GetCallerIdentity"},
	} {
		t.Run(test.name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(test.status)
				_, _ = io.WriteString(w, test.body)
			}))
			t.Cleanup(server.Close)
			set(t, "AWS_REGION="+region, "AWS_ACCESS_KEY_ID=a", "AWS_SECRET_ACCESS_KEY=b", "AWS_SESSION_TOKEN=", "AWS_CONFIG_FILE=/dev/null", "AWS_ENDPOINT_URL="+server.URL,
				"STREAM_NAME="+streamName, "BUCKET="+bucketName, "S3_PATH_STYLE=true", "HTTP_ADDRESS=")
			got := (&site{t: t}).daemon()
			if !got.has(test.outcome, "credentials", test.text) {
				t.Errorf("want %s with %q:\n%v", test.outcome, test.text, got)
			}
			if refused := test.outcome == validate.Fail; got.has(validate.Skip, "stream", "because credentials failed") != refused {
				t.Errorf("want the other checks skipped: %v\n%v", refused, got)
			}
		})
	}
}

// On stores that we did not write, what must not be left behind is not, and the lack of a bucket is noticed.
func TestDaemon_LeavesNothingInOtherStores(t *testing.T) {
	for _, test := range []struct {
		name    string
		start   func(*testing.T) emulator.Endpoint
		asksSTS bool
		who     string
	}{
		{"Versity S3 Gateway", emulator.Versitygw, false, "whose they are was not asked"},
		{"moto", emulator.Moto, true, "ok    credentials  account 123456789012, arn:aws:sts::123456789012:user/moto"},
	} {
		t.Run(test.name, func(t *testing.T) {
			store := test.start(t)
			set(t, "AWS_REGION="+store.Region, "AWS_ACCESS_KEY_ID="+store.AccessKey, "AWS_SECRET_ACCESS_KEY="+store.SecretKey, "AWS_CONFIG_FILE=/dev/null",
				"AWS_ENDPOINT_URL_S3="+store.URL, "AWS_ENDPOINT_URL_KINESIS=http://127.0.0.1:1", "AWS_ENDPOINT_URL_DYNAMODB=http://127.0.0.1:1",
				"STREAM_NAME=none", "BUCKET="+bucketName, "S3_PATH_STYLE=true", "HTTP_ADDRESS=")
			if test.asksSTS {
				set(t, "AWS_ENDPOINT_URL_STS="+store.URL)
			}
			s := &site{t: t}
			client := s3.NewFromConfig(s.account(), func(o *s3.Options) { o.UsePathStyle = true })
			if got := s.daemon(); !got.has(validate.Fail, "bucket", "bucket out does not exist") {
				t.Errorf("without a bucket:\n%v", got)
			}
			_, err := client.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: aws.String(bucketName)})
			must(t, err)
			if got := s.daemon(); !got.has(validate.OK, "bucket", "began, wrote and aborted uploads") || !got.has(validate.Fail, "stream", "refuses the connection") || !strings.Contains(got.String(), test.who) {
				t.Errorf("with a bucket, and without a stream:\n%v", got)
			}
			objects, err := client.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: aws.String(bucketName)})
			must(t, err)
			uploads, err := client.ListMultipartUploads(t.Context(), &s3.ListMultipartUploadsInput{Bucket: aws.String(bucketName)})
			must(t, err)
			if len(objects.Contents) > 0 || len(uploads.Uploads) > 0 {
				t.Errorf("it has left the objects %v and the uploads %v", objects.Contents, uploads.Uploads)
			}
		})
	}
}
