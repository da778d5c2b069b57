package main_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"aws-streaming-pipeline/consumer"
	"aws-streaming-pipeline/internal/test/emulator"
	"aws-streaming-pipeline/internal/test/gobuild"
)

// service is a stand-in for a service of AWS that refuses, fails or says something else. It counts the requests.
type service struct {
	*httptest.Server
	mu       sync.Mutex
	requests []string
	answer   http.HandlerFunc
}

func newService(t *testing.T, answer http.HandlerFunc) *service {
	s := &service{answer: answer}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		operation := r.Method
		if _, named, ok := strings.Cut(r.Header.Get("X-Amz-Target"), "."); ok {
			operation = named
		}
		s.mu.Lock()
		s.requests = append(s.requests, operation)
		answer := s.answer
		s.mu.Unlock()
		answer(w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *service) asked() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.requests)
}

// becomes has later requests answered in another way.
func (s *service) becomes(answer http.HandlerFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answer = answer
}

// says is an answer of a status and a body.
func says(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		io.WriteString(w, body)
	}
}

// refuses is an answer of Kinesis, DynamoDB or AWS Glue.
func refuses(code, message string) http.HandlerFunc {
	return says(http.StatusBadRequest, fmt.Sprintf(`{"__type":%q,"message":%q}`, code, message))
}

// nobody is an address that refuses connections. A free port is none: another test may listen on it at any time.
const nobody = "127.0.0.1:1"

// silent takes a request and does not answer.
func silent(_ http.ResponseWriter, r *http.Request) {
	io.Copy(io.Discard, r.Body) // only then does the server notice that the client is gone
	<-r.Context().Done()
}

// timings is the table of how long each start took to say what is wrong.
type timings struct {
	mu   sync.Mutex
	rows []string
}

func (t *timings) add(name, exit, text string, took time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.rows = append(t.rows, fmt.Sprintf("| %s | %s | %.2f s | %s |", name, exit, took.Seconds(), strings.ReplaceAll(strings.TrimSpace(text), "|", `\|`)))
}

// show prints the table when all cases have ended.
func (t *timings) show(test *testing.T) {
	test.Cleanup(func() {
		slices.Sort(t.rows)
		test.Logf("%d starts\n| start | exit code | time to the message | message |\n|---|---|---|---|\n%s", len(t.rows), strings.Join(t.rows, "\n"))
	})
}

// beside builds a command beside the consumer, once for all tests.
func beside(name string) func() (string, error) {
	return sync.OnceValues(func() (string, error) {
		path := filepath.Join(os.TempDir(), fmt.Sprintf("%s-%d", name, os.Getpid()))
		return path, gobuild.Compile(path, "../"+name)
	})
}

var programs = map[string]func() (string, error){"consumer": binary, "loader": beside("loader"), "producer": beside("producer")}

// TestStarts_SayAtOnceWhatWaitingCannotMend starts the programs wrongly. Each says why, by the setting, and ends. That it does not
// wait shows in the requests: the service that refuses is asked once. The controls are the starts of the next test, which fail in
// similar ways and do not end.
func TestStarts_SayAtOnceWhatWaitingCannotMend(t *testing.T) {
	t.Parallel()
	s := newSurroundings(t, 1)
	var table timings
	table.show(t)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { taken.Close() })
	closed := "http://" + nobody
	text := filepath.Join(s.dir, "schema.txt")
	if err := os.WriteFile(text, []byte("columns: n"), 0o600); err != nil {
		t.Fatal(err)
	}
	token := filepath.Join(s.dir, "token")
	if err := os.WriteFile(token, []byte("t"), 0o600); err != nil {
		t.Fatal(err)
	}
	noKeys := []string{"AWS_ACCESS_KEY_ID=", "AWS_SECRET_ACCESS_KEY="}
	dynamo := []string{"CHECKPOINT_FILE="}
	ofPostgres := []string{"TABLE=postgres://" + strings.TrimPrefix(closed, "http://") + "/lake/trips", "SCHEMA=", "POSTGRES_DSN=postgres://u:p@/", "LOADER_HTTP_ADDRESS="}
	foreign := `{"Table":{"TableName":"streaming-pipeline","TableStatus":"ACTIVE","KeySchema":[{"AttributeName":"id","KeyType":"HASH"}],"AttributeDefinitions":[{"AttributeName":"id","AttributeType":"S"}]}}`
	const trips = "arn:aws:kinesis:us-east-1:000000000000:stream/trips"
	denied := func(action, on string) string {
		return "User: arn:aws:iam::123456789012:user/x is not authorized to perform: " + action + " on resource: " + on + " because no identity-based policy allows the " + action + " action"
	}
	type start struct {
		name        string
		args        string // the program and its arguments; "consumer" if empty
		environment []string
		at          string           // the service that refuses, as the SDK's variables name it
		answer      http.HandlerFunc // how it refuses
		exit        int
		texts       []string
	}
	with := func(lists ...[]string) []string { return slices.Concat(lists...) }
	starts := []start{
		{name: "no settings", environment: []string{"STREAM_NAME=", "BUCKET="}, exit: 2, texts: []string{"STREAM_NAME is required: name of the Kinesis stream", "BUCKET is required"}},
		{name: "misspelt names", environment: []string{"STREAM_NAME=", "STEAM_NAME=trips", "FILE_SIZES=1MiB", "COMPRESION=none"}, exit: 2, texts: []string{
			"STREAM_NAME is required", "STEAM_NAME is not a setting: did you mean STREAM_NAME?", "FILE_SIZES is not a setting: did you mean FILE_SIZE?", "did you mean COMPRESSION?"}},
		{name: "ARN as STREAM_NAME", environment: []string{"STREAM_NAME=" + trips}, exit: 2, texts: []string{`STREAM_NAME="arn:aws:kinesis`, "the ARN goes into STREAM_ARN"}},
		{name: "STREAM_ARN of nothing", environment: []string{"STREAM_ARN=arn:aws:foo"}, exit: 2, texts: []string{`STREAM_ARN="arn:aws:foo": want the ARN of a stream such as`}},
		{name: "STREAM_ARN of another stream", environment: []string{"STREAM_ARN=" + trips + "2"}, exit: 2, texts: []string{"want the ARN of the stream that STREAM_NAME names, trips"}},
		{name: "STREAM_ARN of another region", environment: []string{"STREAM_ARN=" + trips, "AWS_REGION=eu-west-1"}, exit: 2, texts: []string{"the stream is in us-east-1, but AWS_REGION is eu-west-1: set AWS_REGION=us-east-1"}},
		{name: "URL as BUCKET", environment: []string{"BUCKET=s3://out"}, exit: 2, texts: []string{`BUCKET="s3://out": want the name of a bucket, which has 3 characters or more, without s3://`}},
		{name: "key in BUCKET", environment: []string{"BUCKET=out/data"}, exit: 2, texts: []string{`BUCKET="out/data": want the name of a bucket`}},
		{name: "ARN as BUCKET", environment: []string{"BUCKET=arn:aws:s3:::out"}, exit: 2, texts: []string{"want the name of a bucket instead of its ARN"}},
		{name: "APPLICATION_NAME", environment: with(dynamo, []string{"APPLICATION_NAME=my app"}), exit: 2, texts: []string{`APPLICATION_NAME="my app": want 3 to 255 letters`}},
		{name: "CHECKPOINT_TABLE", environment: with(dynamo, []string{"CHECKPOINT_TABLE=a b"}), exit: 2, texts: []string{`CHECKPOINT_TABLE="a b": want the name of a DynamoDB table`}},
		{name: "CHECKPOINT_FILE", environment: []string{"CHECKPOINT_FILE=" + text + "/checkpoints.db"}, exit: 2, texts: []string{"CHECKPOINT_FILE=", "not a directory"}},
		{name: "S3_KMS_KEY_ID", environment: []string{"S3_ENCRYPTION=aws:kms", "S3_KMS_KEY_ID=arn:aws:s3:::out"}, exit: 2, texts: []string{"S3_KMS_KEY_ID=", "want the id, the alias or the ARN of a key"}},
		{name: "FAN_OUT_CONSUMER", environment: []string{"FAN_OUT_CONSUMER=my consumer"}, exit: 2, texts: []string{`FAN_OUT_CONSUMER="my consumer": want a name`}},
		{name: "TRANSFORM", environment: []string{"TRANSFORM=lambda:mask"}, exit: 2, texts: []string{`TRANSFORM="lambda:mask": want lambda: and the ARN`}},
		{name: "BACKUP_PREFIX", environment: []string{"BACKUP_PREFIX=manifests/"}, exit: 2, texts: []string{`BACKUP_PREFIX="manifests/": want a prefix apart from that of MANIFEST_PREFIX`}},
		{name: "COMMIT_INTERVAL", environment: []string{"COMMIT_INTERVAL=5"}, exit: 2, texts: []string{`COMMIT_INTERVAL="5": want a duration from 1s to 24h`}},
		{name: "FORMAT", environment: []string{"FORMAT=xml"}, exit: 2, texts: []string{`FORMAT="xml": want`}},
		{name: "PREFIX", environment: []string{"PREFIX=!{timestmp:yyyy}/"}, exit: 2, texts: []string{`PREFIX="!{timestmp:yyyy}/"`}},
		{name: "HTTP_ADDRESS taken", environment: []string{"HTTP_ADDRESS=" + taken.Addr().String()}, exit: 2, texts: []string{"HTTP_ADDRESS=", "address already in use"}},
		{name: "SCHEMA without a file", environment: []string{"SCHEMA=/does/not/exist.json"}, exit: 2, texts: []string{`SCHEMA="/does/not/exist.json"`, "no such file"}},
		{name: "SCHEMA that is none", environment: []string{"SCHEMA=" + text}, exit: 2, texts: []string{"SCHEMA=", "schema.txt"}},
		{name: "SCHEMA without an object", environment: []string{"SCHEMA=s3://out/none.json"}, exit: 1, texts: []string{`SCHEMA="s3://out/none.json": schema s3://out/none.json does not exist`}},
		{name: "SCHEMA without a Glue table", environment: []string{"SCHEMA=glue://lake/trips"}, at: "GLUE", answer: refuses("EntityNotFoundException", "Entity Not Found"), exit: 1, texts: []string{`SCHEMA="glue://lake/trips"`, "does not exist in the AWS Glue Data Catalog"}},
		{name: "no region", environment: []string{"AWS_REGION="}, exit: 2, texts: []string{"no AWS region is set: set AWS_REGION"}},
		{name: "region of another form", environment: []string{"AWS_REGION=eu_west_1"}, exit: 2, texts: []string{`AWS_REGION="eu_west_1": this is not the name of a region`}},
		{name: "no credentials", environment: noKeys, exit: 2, texts: []string{"no AWS credentials are configured: give the pod a role"}},
		{name: "half of the credentials", environment: []string{"AWS_SECRET_ACCESS_KEY="}, exit: 2, texts: []string{"AWS_ACCESS_KEY_ID is set, but AWS_SECRET_ACCESS_KEY is not"}},
		{name: "profile", environment: with(noKeys, []string{"AWS_PROFILE=prod"}), exit: 2, texts: []string{`AWS_PROFILE="prod": there is no such profile`}},
		{name: "certificates", environment: []string{"AWS_CA_BUNDLE=/does/not/exist.pem"}, exit: 2, texts: []string{`AWS_CA_BUNDLE="/does/not/exist.pem"`}},
		{name: "token of a service account", environment: with(noKeys, []string{"AWS_ROLE_ARN=arn:aws:iam::123456789012:role/x", "AWS_WEB_IDENTITY_TOKEN_FILE=/does/not/exist"}), exit: 2, texts: []string{`AWS_WEB_IDENTITY_TOKEN_FILE="/does/not/exist": the file cannot be read`}},
		{name: "service account without a role", environment: with(noKeys, []string{"AWS_WEB_IDENTITY_TOKEN_FILE=" + token}), exit: 2, texts: []string{"AWS_WEB_IDENTITY_TOKEN_FILE is set, but AWS_ROLE_ARN is not"}},
		{name: "trust policy", environment: with(noKeys, []string{"AWS_ROLE_ARN=arn:aws:iam::123456789012:role/x", "AWS_WEB_IDENTITY_TOKEN_FILE=" + token}), at: "STS", answer: says(403,
			`<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code><Message>Not authorized to perform sts:AssumeRoleWithWebIdentity</Message></Error></ErrorResponse>`), exit: 1, texts: []string{"AWS_ROLE_ARN=", "trust policy"}},
		{name: "keys that nobody knows", at: "KINESIS", answer: refuses("UnrecognizedClientException", "The security token included in the request is invalid."), exit: 2, texts: []string{"Kinesis does not accept the AWS credentials"}},
		{name: "keys that have expired", at: "KINESIS", answer: refuses("ExpiredTokenException", "The security token included in the request is expired"), exit: 2, texts: []string{"AWS_SESSION_TOKEN have expired"}},
		{name: "permission for the stream", at: "KINESIS", answer: refuses("AccessDeniedException", denied("kinesis:DescribeStreamSummary", trips)), exit: 1, texts: []string{"kinesis:DescribeStreamSummary on " + trips + " is not allowed", "consumer policy"}},
		{name: "endpoint without a scheme", environment: []string{"AWS_ENDPOINT_URL_KINESIS=localhost:4566"}, exit: 2, texts: []string{`AWS_ENDPOINT_URL_KINESIS="localhost:4566": this is not a URL`}},
		{name: "endpoint with another scheme", environment: []string{"AWS_ENDPOINT_URL_KINESIS=" + strings.Replace(s.stream.URL(), "http:", "https:", 1)}, exit: 2, texts: []string{"speaks HTTP, not HTTPS: use http:// in the URL"}},
		{name: "no such stream", environment: with(dynamo, []string{"STREAM_NAME=trip"}), at: "DYNAMODB", answer: says(500, ""), exit: 1, texts: []string{`STREAM_NAME="trip": stream trip does not exist in us-east-1`}},
		{name: "no such bucket", environment: with(dynamo, []string{"BUCKET=none"}), at: "DYNAMODB", answer: says(500, ""), exit: 1, texts: []string{`BUCKET="none": bucket none does not exist in us-east-1`}},
		{name: "permission for the bucket", at: "S3", answer: says(403, ""), exit: 1, texts: []string{`BUCKET="out": S3 refuses HeadBucket of bucket out`}},
		{name: "bucket in another region", at: "S3", answer: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Amz-Bucket-Region", "us-west-2")
			w.WriteHeader(http.StatusMovedPermanently)
		}, exit: 2, texts: []string{`BUCKET="out": bucket out is in us-west-2, not in us-east-1`}},
		{name: "no such table", environment: with(dynamo, []string{"CHECKPOINT_TABLE_CREATE=false"}), at: "DYNAMODB", answer: refuses("ResourceNotFoundException", "Requested resource not found"), exit: 1, texts: []string{`APPLICATION_NAME="streaming-pipeline": there is no table streaming-pipeline in us-east-1`, "CHECKPOINT_TABLE_CREATE=true"}},
		{name: "permission for the table", environment: dynamo, at: "DYNAMODB", answer: refuses("AccessDeniedException", denied("dynamodb:DescribeTable", "arn:aws:dynamodb:us-east-1:123456789012:table/streaming-pipeline")), exit: 1, texts: []string{"dynamodb:DescribeTable on"}},
		{name: "table of another program", environment: dynamo, at: "DYNAMODB", answer: says(200, foreign), exit: 1, texts: []string{"its key is id:S"}},
		{name: "checkpoint show without a table", args: "consumer checkpoint show", environment: with(dynamo, []string{"APPLICATION_NAME=straming-pipeline"}), at: "DYNAMODB", answer: refuses("ResourceNotFoundException", "Requested resource not found"), exit: 1, texts: []string{`APPLICATION_NAME="straming-pipeline": there is no table straming-pipeline`}},
		{name: "checkpoint show without DynamoDB", args: "consumer checkpoint show", environment: with(dynamo, []string{"AWS_ENDPOINT_URL_DYNAMODB=" + closed}), exit: 1, texts: []string{`(AWS_ENDPOINT_URL_DYNAMODB="` + closed + `") refuses the connection`}},
		{name: "wait without a table", args: "consumer wait --until 2026-01-31T00:00:00Z", environment: dynamo, at: "DYNAMODB", answer: refuses("ResourceNotFoundException", "Requested resource not found"), exit: 2, texts: []string{"there is no table streaming-pipeline"}},
		{name: "audit without credentials", args: "consumer audit", environment: noKeys, exit: 2, texts: []string{"no AWS credentials are configured"}},
		{name: "audit without a region", args: "consumer audit", environment: []string{"AWS_REGION="}, exit: 2, texts: []string{"no AWS region is set"}},
		{name: "audit without a bucket", args: "consumer audit", environment: []string{"BUCKET=none"}, exit: 2, texts: []string{"NoSuchBucket"}},
		{name: "check without a stream", args: "consumer check", environment: []string{"STREAM_NAME=trip"}, exit: 2, texts: []string{"ResourceNotFoundException"}},
		{name: "loader without TABLE", args: "loader", exit: 2, texts: []string{`TABLE="": want the table to load`}},
		{name: "loader, LOADER_HTTP_ADDRESS taken", args: "loader", environment: with(ofPostgres, []string{"LOADER_HTTP_ADDRESS=" + taken.Addr().String()}), exit: 2, texts: []string{"LOADER_HTTP_ADDRESS=", "address already in use"}},
		{name: "loader without a region", args: "loader", environment: with(ofPostgres, dynamo, []string{"AWS_REGION="}), exit: 2, texts: []string{"no AWS region is set"}},
		{name: "loader without a table of checkpoints", args: "loader", environment: with(ofPostgres, dynamo, []string{"CHECKPOINT_TABLE_CREATE=false"}), at: "DYNAMODB", answer: refuses("ResourceNotFoundException", "Requested resource not found"), exit: 1, texts: []string{"there is no table streaming-pipeline"}},
		{name: "loader without a schema", args: "loader", environment: with(ofPostgres, []string{"SCHEMA=s3://out/none.json"}), exit: 1, texts: []string{`SCHEMA="s3://out/none.json"`, "does not exist"}},
		{name: "loader audit without a table of checkpoints", args: "loader audit", environment: with(ofPostgres, dynamo), at: "DYNAMODB", answer: refuses("ResourceNotFoundException", "Requested resource not found"), exit: 2, texts: []string{"there is no table streaming-pipeline"}},
		{name: "producer without a region", args: "producer --stream trips --generate 1", environment: []string{"AWS_REGION="}, exit: 2, texts: []string{`--region="": want a region`}},
		{name: "producer without a stream", args: "producer --stream trip --generate 1", exit: 1, texts: []string{`--stream="trip": stream trip does not exist`}},
		{name: "producer without Kinesis", args: "producer --stream trips --generate 1 --endpoint-url " + closed, exit: 1, texts: []string{`(--endpoint-url="` + closed, "refuses the connection"}},
		{name: "producer without credentials", args: "producer --stream trips --generate 1", environment: noKeys, exit: 2, texts: []string{"no AWS credentials are configured"}},
	}
	for _, c := range starts {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			environment := with(s.environment("CHECKPOINT_FILE="+filepath.Join(t.TempDir(), "checkpoints.db")), c.environment)
			var at *service
			if c.answer != nil {
				at = newService(t, c.answer)
				environment = append(environment, "AWS_ENDPOINT_URL_"+c.at+"="+at.URL)
			}
			args := strings.Fields(c.args)
			if len(args) == 0 {
				args = []string{"consumer"}
			}
			path, err := programs[args[0]]()
			if err != nil {
				t.Fatal(err)
			}
			cmd := exec.CommandContext(t.Context(), path, args[1:]...)
			cmd.Env = environment
			var said bytes.Buffer
			cmd.Stdout, cmd.Stderr = &said, &said
			began := time.Now()
			err = cmd.Run()
			took := time.Since(began)
			code := 0
			if exit, ok := errors.AsType[*exec.ExitError](err); ok {
				code = exit.ExitCode()
			} else if err != nil {
				t.Fatal(err)
			}
			if code != c.exit {
				t.Errorf("exit code %d, want %d", code, c.exit)
			}
			for _, want := range c.texts {
				if !strings.Contains(said.String(), want) {
					t.Errorf("it does not say %q", want)
				}
			}
			if len(args) == 1 && args[0] != "producer" && !strings.Contains(said.String(), args[0]+` validate" checks all settings`) && c.at != "GLUE" && !strings.Contains(said.String(), "its key is") {
				t.Error("it does not name the command that checks all settings")
			}
			if strings.Contains(said.String(), "will be retried") {
				t.Error("it waits")
			}
			if at != nil {
				asked := at.asked()
				slices.Sort(asked)
				if len(slices.Compact(slices.Clone(asked))) != len(asked) {
					t.Errorf("it asked again: %q", asked)
				}
				if c.at == "DYNAMODB" && c.exit == 1 && strings.HasPrefix(c.name, "no such stream") && len(asked) > 0 {
					t.Errorf("it asked for the table of a stream that does not exist: %q", asked)
				}
				if slices.Contains(asked, "CreateTable") {
					t.Error("it created a table")
				}
			}
			if t.Failed() {
				t.Log(said.String())
			}
			table.add(c.name, fmt.Sprint(code), message(said.String()), took)
		})
	}
}

// message is the line in which a program says why it ends.
func message(said string) string {
	lines := strings.Split(strings.TrimSpace(said), "\n")
	for i, line := range lines {
		for name := range programs {
			if reason, ok := strings.CutPrefix(line, name+": "); ok {
				if strings.HasSuffix(reason, "invalid settings:") && i+1 < len(lines) {
					return lines[i+1]
				}
				return reason
			}
		}
	}
	return lines[0]
}

// later is an address on which nothing listens until it is opened.
type later struct {
	t       *testing.T
	address string
}

func newLater(t *testing.T) *later { return &later{t, freeAddress(t)} }

func (l *later) url() string { return "http://" + l.address }

// open has the address answered by a service from now on.
func (l *later) open(service string) {
	target, err := url.Parse(service)
	if err != nil {
		l.t.Fatal(err)
	}
	listener, err := net.Listen("tcp", l.address)
	if err != nil {
		l.t.Fatal(err)
	}
	server := &http.Server{Handler: passTo(target)}
	go server.Serve(listener)
	l.t.Cleanup(func() { server.Close() })
}

func passTo(target *url.URL) http.Handler {
	return &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(target)
		r.Out.Host = r.In.Host // it is signed
	}}
}

func pass(t *testing.T, service string) http.HandlerFunc {
	target, err := url.Parse(service)
	if err != nil {
		t.Fatal(err)
	}
	return passTo(target).ServeHTTP
}

// TestStarts_WaitForWhatMendsItself starts programs while a service is away. They wait, are alive and not ready, show the reason on
// the page, in the probe and in the metric, and start when the service is there.
func TestStarts_WaitForWhatMendsItself(t *testing.T) {
	t.Parallel()
	s := newSurroundings(t, 1)
	dynamodb := emulator.DynamoDBLocal(t)
	if _, err := s.s3.PutObject(t.Context(), &s3.PutObjectInput{
		Bucket: aws.String(bucketName), Key: aws.String("schema.json"), Body: strings.NewReader(`{"type":"object","properties":{"n":{"type":"integer"}}}`),
	}); err != nil {
		t.Fatal(err)
	}
	var table timings
	table.show(t)
	const keys = `{"AccessKeyId":"test","SecretAccessKey":"test","Token":"t","Expiration":"2100-01-01T00:00:00Z"}`
	const described = `{"Table":{"Name":"trips","StorageDescriptor":{"Columns":[{"Name":"n","Type":"bigint"}]}}}`
	type start struct {
		name        string
		at          string           // the service that is away, as the SDK's variables name it
		answer      http.HandlerFunc // what answers instead; nil if the port is closed
		service     string           // what is there later
		check       string           // that fails
		texts       []string
		environment []string
	}
	starts := []start{
		{name: "Kinesis refuses connections", at: "KINESIS", service: s.stream.URL(), check: "start", texts: []string{"describe stream trips: ", "AWS_ENDPOINT_URL_KINESIS", "refuses the connection"}},
		{name: "Kinesis fails", at: "KINESIS", answer: says(500, ""), service: s.stream.URL(), check: "start", texts: []string{"Kinesis fails with status 500"}},
		{name: "Kinesis is a login page", at: "KINESIS", answer: says(200, "<html>sign in</html>"), service: s.stream.URL(), check: "start", texts: []string{"answers, but not as Kinesis does"}},
		{name: "Kinesis throttles", at: "KINESIS", answer: refuses("LimitExceededException", "Rate exceeded"), service: s.stream.URL(), check: "start", texts: []string{"Kinesis throttles the calls"}},
		{name: "Kinesis is silent", at: "KINESIS", answer: silent, service: s.stream.URL(), check: "start", texts: []string{"does not answer in time"}},
		{name: "the clock is wrong", at: "KINESIS", answer: refuses("InvalidSignatureException", "Signature expired: 20260131T000000Z is now earlier than 20260131T001000Z"), service: s.stream.URL(), check: "start", texts: []string{"the clock of this machine is wrong"}},
		{name: "DynamoDB refuses connections", at: "DYNAMODB", service: dynamodb.URL, check: "start", texts: []string{"open table ", "AWS_ENDPOINT_URL_DYNAMODB", "refuses the connection"}},
		{name: "DynamoDB fails", at: "DYNAMODB", answer: says(500, ""), service: dynamodb.URL, check: "start", texts: []string{"DynamoDB fails with status 500"}},
		{name: "DynamoDB answers with nothing", at: "DYNAMODB", answer: says(200, ""), service: dynamodb.URL, check: "start", texts: []string{"the answer describes no table"}},
		{name: "S3 refuses connections", at: "S3", service: s.bucket.URL(), check: "bucket", texts: []string{"refused"}},
		{name: "S3 fails while the schema is read", at: "S3", answer: says(503, ""), service: s.bucket.URL(), check: "start", texts: []string{"read the schema s3://out/schema.json: ", "S3 fails with status 503"}, environment: []string{"SCHEMA=s3://out/schema.json"}},
		{name: "Glue refuses connections", at: "GLUE", check: "start", texts: []string{"read the schema glue://lake/trips: ", "AWS_ENDPOINT_URL_GLUE", "refuses the connection"}, environment: []string{"SCHEMA=glue://lake/trips"}},
		{name: "the agent that gives credentials is away", at: "agent", check: "start", texts: []string{"AWS_CONTAINER_CREDENTIALS_FULL_URI", "does not give credentials"}, environment: []string{"AWS_ACCESS_KEY_ID=", "AWS_SECRET_ACCESS_KEY="}},
	}
	for i, c := range starts {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			environment := slices.Concat(c.environment, []string{"CHECKPOINT_FILE=" + filepath.Join(t.TempDir(), "checkpoints.db")})
			if c.at == "DYNAMODB" {
				environment = append(environment, "CHECKPOINT_FILE=", fmt.Sprintf("APPLICATION_NAME=starts-%d", i))
			}
			service := c.service
			switch c.at {
			case "GLUE":
				service = newService(t, says(200, described)).URL
			case "agent":
				service = newService(t, says(200, keys)).URL
			}
			var mend func()
			var at string
			if c.answer == nil {
				l := newLater(t)
				at, mend = l.url(), func() { l.open(service) }
			} else {
				stand := newService(t, c.answer)
				at, mend = stand.URL, func() { stand.becomes(pass(t, service)) }
			}
			if c.at == "agent" {
				environment = append(environment, "AWS_CONTAINER_CREDENTIALS_FULL_URI="+at)
			} else {
				environment = append(environment, "AWS_ENDPOINT_URL_"+c.at+"="+at)
			}
			address := freeAddress(t)
			began := time.Now()
			p := s.on(t).start(append(environment, "HTTP_ADDRESS="+address)...)
			reason := ""
			eventually(t, "the probe shows the reason", func() bool {
				reason = problem(address, c.check)
				return !slices.ContainsFunc(c.texts, func(want string) bool { return !strings.Contains(reason, want) })
			})
			took := time.Since(began)
			if code, _ := fetch(address, "/healthz"); code != http.StatusOK {
				t.Errorf("/healthz answers %d while the start waits", code)
			}
			if code, _ := fetch(address, "/readyz"); code != http.StatusServiceUnavailable {
				t.Errorf("/readyz answers %d while the start waits", code)
			}
			if _, body := fetch(address, "/metrics"); !strings.Contains(body, fmt.Sprintf(`check=%q} 0`, c.check)) {
				t.Error("the metric does not show the failing check")
			}
			if _, body := fetch(address, "/status.json"); !strings.Contains(body, `"checks":[{"name":`) || c.check == "start" && !strings.Contains(body, `"state":"starting: waiting to `) {
				t.Errorf("the page shows %s", body)
			}
			mend()
			eventually(t, "the consumer is ready", func() bool { return readiness(address) == "" })
			if _, body := fetch(address, "/metrics"); !strings.Contains(body, fmt.Sprintf(`check=%q} 1`, c.check)) {
				t.Error("the metric does not show that the start is over")
			}
			if err := p.terminate(); err != nil {
				t.Errorf("exit: %v\n%s", err, p.log)
			}
			if c.check == "start" && !strings.Contains(p.log.String(), "failed and will be retried") {
				t.Errorf("the log does not show the reason:\n%s", p.log)
			}
			table.add(c.name, "waits, then starts", reason, took)
		})
	}
}

// TestLoader_ShowsWhatItWaitsFor starts the loader while what it needs is away.
func TestLoader_ShowsWhatItWaitsFor(t *testing.T) {
	t.Parallel()
	s := newSurroundings(t, 1)
	var table timings
	table.show(t)
	closed := nobody
	for _, c := range []struct {
		name        string
		environment []string
		texts       []string
	}{
		{"loader, DynamoDB refuses connections", []string{"CHECKPOINT_FILE=", "AWS_ENDPOINT_URL_DYNAMODB=http://" + closed, "TABLE=postgres://" + closed + "/lake/trips", "POSTGRES_DSN=postgres://u:p@/"}, []string{"open table streaming-pipeline: ", "refuses the connection"}},
		{"loader, PostgreSQL refuses connections", []string{"TABLE=postgres://" + closed + "/lake/trips", "POSTGRES_DSN=postgres://u:p@/"}, []string{"connection refused"}},
		{"loader, the REST catalog refuses connections", []string{"FORMAT=parquet", "TABLE=rest+http://" + closed + "/lake.trips"}, []string{"refuses the connection"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			path, err := programs["loader"]()
			if err != nil {
				t.Fatal(err)
			}
			address := freeAddress(t)
			cmd := exec.CommandContext(t.Context(), path)
			cmd.Env = slices.Concat(s.environment("CHECKPOINT_FILE="+filepath.Join(t.TempDir(), "checkpoints.db")), c.environment, []string{"LOADER_HTTP_ADDRESS=" + address})
			var log bytes.Buffer
			cmd.Stderr = &log
			began := time.Now()
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			exited := make(chan struct{})
			go func() {
				cmd.Wait()
				close(exited)
			}()
			reason := ""
			eventually(t, "the page shows the reason", func() bool {
				select {
				case <-exited:
					t.Fatalf("the loader has ended:\n%s", log.String())
				default:
				}
				var code int
				code, reason = fetch(address, "/status.json")
				return code == http.StatusOK && !slices.ContainsFunc(c.texts, func(want string) bool { return !strings.Contains(reason, want) })
			})
			took := time.Since(began)
			if code, body := fetch(address, "/healthz"); code != http.StatusOK {
				t.Errorf("/healthz answers %d: %s", code, body)
			}
			cmd.Process.Signal(syscall.SIGTERM)
			<-exited
			table.add(c.name, "waits", reason, took)
		})
	}
}

// on is the same surroundings for a subtest, whose processes end with it.
func (s *surroundings) on(t *testing.T) *surroundings {
	own := *s
	own.t = t
	return &own
}

// fetch asks a consumer's port; the code is 0 if it does not answer.
func fetch(address, path string) (code int, body string) {
	client := http.Client{Timeout: patience}
	answer, err := client.Get("http://" + address + path)
	if err != nil {
		return 0, err.Error()
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return 0, err.Error()
	}
	return answer.StatusCode, string(text)
}

// problem is what a check of a consumer says.
func problem(address, check string) string {
	_, body := fetch(address, "/readyz")
	var ready struct{ Checks []consumer.Check }
	if json.Unmarshal([]byte(body), &ready) != nil {
		return ""
	}
	for _, c := range ready.Checks {
		if c.Name == check {
			return c.Problem
		}
	}
	return ""
}
