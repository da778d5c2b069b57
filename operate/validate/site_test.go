package validate_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/checkpoint/dynamo"
	"aws-streaming-pipeline/consumer"
	"aws-streaming-pipeline/internal/awshttp"
	"aws-streaming-pipeline/internal/iam"
	"aws-streaming-pipeline/internal/localbucket"
	"aws-streaming-pipeline/internal/localstream"
	"aws-streaming-pipeline/internal/test/emulator"
	"aws-streaming-pipeline/operate/policy"
	"aws-streaming-pipeline/operate/validate"
)

const (
	streamName  = "trips"
	bucketName  = "out"
	accountID   = "123456789012" // of the embedded stream
	region      = "us-east-1"
	functionARN = "arn:aws:lambda:us-east-1:" + accountID + ":function:mask:live"
	schemaText  = `{"type":"object","properties":{"n":{"type":"integer"}}}`
)

// site is everything that the settings of a test name. It can be reached only as a policy allows.
type site struct {
	t       *testing.T
	dir     string
	stream  *localstream.Server
	kinesis *kinesis.Client
	s3      *s3.Client
	dynamo  *dynamodb.Client

	mu      sync.Mutex
	policy  iam.Policy
	asked   []string // actions
	refused []string
	runs    int // of the function
	dryRuns int
	// before is called with each request to the bucket, and may answer it.
	before func(http.ResponseWriter, *http.Request) (answered bool)
}

// everything allows all.
var everything = iam.Policy{Version: iam.Version, Statement: []iam.Statement{{Effect: iam.Allow, Action: iam.Texts{"*"}, Resource: iam.Texts{"*"}}}}

func newSite(t *testing.T) *site {
	t.Helper()
	s := &site{t: t, dir: t.TempDir(), policy: everything}
	var err error
	s.stream, err = localstream.Start("127.0.0.1:0", localstream.Options{})
	must(t, err)
	t.Cleanup(func() { s.stream.Close() })
	bucket, err := localbucket.Start("127.0.0.1:0", filepath.Join(s.dir, "bucket"))
	must(t, err)
	t.Cleanup(func() { bucket.Close() })
	must(t, bucket.CreateBucket(bucketName))
	must(t, s.stream.CreateStream(streamName, 2))
	function, glue := httptest.NewServer(http.HandlerFunc(s.invoke)), httptest.NewServer(http.HandlerFunc(unknownSchema))
	t.Cleanup(function.Close)
	t.Cleanup(glue.Close)
	for name, value := range map[string]string{
		"AWS_REGION": region, "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_CONFIG_FILE": "/dev/null", "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
		"STREAM_NAME": streamName, "BUCKET": bucketName, "S3_PATH_STYLE": "true", "HTTP_ADDRESS": "127.0.0.1:0",
	} {
		t.Setenv(name, value)
	}
	for service, backend := range map[iam.Service]string{
		iam.Kinesis: s.stream.URL(), iam.S3: bucket.URL(), iam.DynamoDB: emulator.DynamoDBLocal(t).URL, iam.Lambda: function.URL, iam.Glue: glue.URL,
	} {
		s.guard(service, backend)
	}
	account := s.account()
	s.kinesis = kinesis.NewFromConfig(account)
	s.s3 = s3.NewFromConfig(account, func(o *s3.Options) { o.UsePathStyle = true })
	s.dynamo = dynamodb.NewFromConfig(account)
	return s
}

// guard lets the program reach a service only as the policy in force allows.
func (s *site) guard(service iam.Service, backend string) {
	s.t.Helper()
	to, err := url.Parse(backend)
	must(s.t, err)
	guard := &iam.Guard{
		Service: service, Backend: to, Site: iam.Site{Partition: "aws", Region: region, Account: accountID, Stream: streamName},
		Policy: func() iam.Policy {
			s.mu.Lock()
			defer s.mu.Unlock()
			return s.policy
		},
		Saw: s.saw,
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		before := s.before
		s.mu.Unlock()
		if service == iam.S3 && before != nil && before(w, r) {
			return
		}
		guard.ServeHTTP(w, r)
	}))
	s.t.Cleanup(server.Close)
	s.t.Setenv("AWS_ENDPOINT_URL_"+strings.ToUpper(string(service)), server.URL)
}

func (s *site) saw(needs []iam.Need, allowed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, n := range needs {
		if s.asked = append(s.asked, n.Action); !allowed {
			s.refused = append(s.refused, n.Action)
		}
	}
}

// enforce puts a policy in force, and forgets what was seen under another.
func (s *site) enforce(p iam.Policy) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.policy, s.asked, s.refused = p, nil, nil
}

// invoke is a function that must not run.
func (s *site) invoke(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.Header.Get("X-Amz-Invocation-Type") != "DryRun" {
		s.runs++
		return
	}
	s.dryRuns++
	w.WriteHeader(http.StatusNoContent)
}

func unknownSchema(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	w.WriteHeader(http.StatusBadRequest)
	fmt.Fprint(w, `{"__type":"EntityNotFoundException","Message":"Schema version is not found."}`)
}

// beforeBucket has each request to the bucket handled by f first, until the test ends.
func (s *site) beforeBucket(t *testing.T, f func(http.ResponseWriter, *http.Request) (answered bool)) {
	set := func(f func(http.ResponseWriter, *http.Request) bool) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.before = f
	}
	set(f)
	t.Cleanup(func() { set(nil) })
}

func (s *site) account() aws.Config {
	s.t.Helper()
	account, err := awshttp.Account(s.t.Context())
	must(s.t, err)
	return account
}

// config is what the environment says.
func (s *site) config() (c validate.Config) {
	c.Settings, c.Faults = consumer.LoadConfig()
	c.Account, c.AccountErr = awshttp.Account(s.t.Context())
	return c
}

// daemon does the checks of the daemon.
func (s *site) daemon() lines { return s.daemonWith(s.t.Context()) }

func (s *site) daemonWith(ctx context.Context) lines {
	return validate.Run(ctx, validate.Daemon(s.config()), func(validate.Line) {})
}

// granted is the policy of the daemon with the settings of the environment.
func (s *site) granted() iam.Policy {
	s.t.Helper()
	cfg, err := consumer.LoadConfig()
	must(s.t, err)
	return policy.Daemon(&cfg, policy.Place{Region: region, Account: accountID})
}

// set sets environment variables until the test ends.
func set(t *testing.T, settings ...string) {
	for _, setting := range settings {
		name, value, _ := strings.Cut(setting, "=")
		t.Setenv(name, value)
	}
}

// makeTable has the application use its table.
func (s *site) makeTable(name string) {
	s.t.Helper()
	store, err := dynamo.Open(s.t.Context(), dynamo.Config{AWS: s.account(), Table: name, Create: true})
	must(s.t, err)
	out, err := s.kinesis.DescribeStreamSummary(s.t.Context(), &kinesis.DescribeStreamSummaryInput{StreamName: aws.String(streamName)})
	must(s.t, err)
	_, err = store.Bind(s.t.Context(), checkpoint.Application{Initial: checkpoint.TrimHorizon, Identity: checkpoint.Identity{
		Application: name, Stream: streamName, StreamARN: *out.StreamDescriptionSummary.StreamARN, StreamCreated: *out.StreamDescriptionSummary.StreamCreationTimestamp,
	}})
	must(s.t, err)
}

// left is everything that could be left behind: the objects and incomplete uploads of the bucket, read from the disk, and the items of all
// tables.
func (s *site) left() (all []string) {
	s.t.Helper()
	err := filepath.WalkDir(filepath.Join(s.dir, "bucket"), func(path string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			all = append(all, path)
		}
		return err
	})
	must(s.t, err)
	tables, err := s.dynamo.ListTables(s.t.Context(), &dynamodb.ListTablesInput{})
	must(s.t, err)
	for _, name := range tables.TableNames {
		items, err := s.dynamo.Scan(s.t.Context(), &dynamodb.ScanInput{TableName: &name})
		must(s.t, err)
		for _, item := range items.Items {
			text, err := json.Marshal(item)
			must(s.t, err)
			all = append(all, name+string(text))
		}
		all = append(all, name)
	}
	slices.Sort(all)
	return all
}

// lines are what checks have found.
type lines []validate.Line

func (l lines) String() string {
	var text strings.Builder
	for _, line := range l {
		fmt.Fprintln(&text, line)
	}
	return text.String()
}

// of returns the lines with an outcome.
func (l lines) of(o validate.Outcome) (some lines) {
	for _, line := range l {
		if line.Outcome == o {
			some = append(some, line)
		}
	}
	return some
}

// has reports whether a line of the check has the outcome and contains the text.
func (l lines) has(o validate.Outcome, check, text string) bool {
	return slices.ContainsFunc(l.of(o), func(line validate.Line) bool {
		return line.Check == check && strings.Contains(line.String(), text)
	})
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
