package diagnosis_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"aws-streaming-pipeline/internal/awshttp"
	"aws-streaming-pipeline/internal/diagnosis"
)

// response is what a server says to every request.
type response struct {
	status int
	body   string
	header string // its value for x-amz-bucket-region
}

func serve(t *testing.T, r response) string {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		if request.URL.Path == "/latest/api/token" { // of the metadata service of EC2, whose other responses are those of the test
			w.Header().Set("x-aws-ec2-metadata-token-ttl-seconds", "60")
			return
		}
		if r.header != "" {
			w.Header().Set("x-amz-bucket-region", r.header)
		}
		w.WriteHeader(r.status)
		io.WriteString(w, r.body)
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// refusing is the URL of a port on which nothing listens.
func refusing(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return "http://" + l.Addr().String()
}

func describeStream(ctx context.Context, c aws.Config) error {
	_, err := kinesis.NewFromConfig(c).DescribeStreamSummary(ctx, &kinesis.DescribeStreamSummaryInput{StreamName: aws.String("trips")})
	return err
}

func describeTable(ctx context.Context, c aws.Config) error {
	_, err := dynamodb.NewFromConfig(c).DescribeTable(ctx, &dynamodb.DescribeTableInput{TableName: aws.String("trips")})
	return err
}

func headBucket(ctx context.Context, c aws.Config) error {
	_, err := s3.NewFromConfig(c, func(o *s3.Options) { o.UsePathStyle = true }).HeadBucket(ctx, &s3.HeadBucketInput{Bucket: aws.String("files")})
	return err
}

func getObject(ctx context.Context, c aws.Config) error {
	_, err := s3.NewFromConfig(c, func(o *s3.Options) { o.UsePathStyle = true }).GetObject(ctx, &s3.GetObjectInput{Bucket: aws.String("files"), Key: aws.String("k")})
	return err
}

// noHosts is a client for which no host has an address.
type noHosts struct{}

func (noHosts) Do(r *http.Request) (*http.Response, error) {
	unknown := &net.DNSError{Err: "no such host", Name: r.URL.Hostname(), IsNotFound: true}
	return nil, &url.Error{Op: "Post", URL: r.URL.String(), Err: &net.OpError{Op: "dial", Net: "tcp", Err: unknown}}
}

func nowhere(call func(context.Context, aws.Config) error) func(context.Context, aws.Config) error {
	return func(ctx context.Context, c aws.Config) error {
		c.HTTPClient = noHosts{}
		return call(ctx, c)
	}
}

var (
	stream = diagnosis.Subject{Thing: "stream trips", Setting: "STREAM_NAME", Value: "trips"}
	table  = diagnosis.Subject{Thing: "table trips", Setting: "APPLICATION_NAME", Value: "trips"}
	bucket = diagnosis.Subject{Thing: "bucket files", Setting: "BUCKET", Value: "files"}
)

// apiError is a response of a JSON protocol.
func apiError(status int, code, message string) response {
	return response{status: status, body: fmt.Sprintf(`{"__type":%q,"message":%q}`, code, message)}
}

// xmlError is a response of S3.
func xmlError(status int, code, message string) response {
	return response{status: status, body: fmt.Sprintf(`<?xml version="1.0" encoding="UTF-8"?><Error><Code>%s</Code><Message>%s</Message></Error>`, code, message)}
}

// TestOf_SaysWhatFailedAndWhetherWaitingHelps lets the SDK fail in each way. A call that is not final is what an outage looks like:
// these are the controls.
func TestOf_SaysWhatFailedAndWhetherWaitingHelps(t *testing.T) {
	closed := refusing(t)
	secure := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	secure.Config.ErrorLog = log.New(io.Discard, "", 0)
	secure.StartTLS()
	t.Cleanup(secure.Close)
	dir := t.TempDir()
	token := filepath.Join(dir, "token")
	if err := os.WriteFile(token, []byte("t"), 0o600); err != nil {
		t.Fatal(err)
	}
	type call = func(context.Context, aws.Config) error
	keys := "AWS_ACCESS_KEY_ID=a AWS_SECRET_ACCESS_KEY=b AWS_REGION=eu-west-1 "
	irsa := "AWS_REGION=eu-west-1 AWS_ROLE_ARN=arn:aws:iam::123456789012:role/x AWS_WEB_IDENTITY_TOKEN_FILE="
	at := func(service string, r response) string {
		return keys + "AWS_ENDPOINT_URL_" + service + "=" + serve(t, r)
	}
	tests := []struct {
		name, environment string
		call              call
		about             diagnosis.Subject
		exit              int // 0: not final
		setting           string
		texts             []string
	}{
		{"no region", "AWS_ACCESS_KEY_ID=a AWS_SECRET_ACCESS_KEY=b", describeStream, stream, 2, "AWS_REGION", []string{"no AWS region is set: set AWS_REGION"}},
		{"no region for a bucket", "AWS_ACCESS_KEY_ID=a AWS_SECRET_ACCESS_KEY=b", headBucket, bucket, 2, "AWS_REGION", []string{"no AWS region is set"}},
		{"region with a space", keys + "AWS_REGION=eu_west_1", headBucket, bucket, 2, "AWS_REGION", []string{`AWS_REGION="eu_west_1": this is not the name of a region`}},
		{"region that does not exist", keys + "AWS_REGION=eu-wst-1", nowhere(describeStream), stream, 2, "AWS_REGION", []string{`AWS_REGION="eu-wst-1": there is no such region`, "did you mean eu-west-1?"}},
		{"no credentials", "AWS_REGION=eu-west-1 AWS_EC2_METADATA_DISABLED=true", describeStream, stream, 2, "AWS_ACCESS_KEY_ID", []string{"no AWS credentials are configured"}},
		{"no metadata service", "AWS_REGION=eu-west-1 AWS_EC2_METADATA_SERVICE_ENDPOINT=" + closed, describeStream, stream, 2, "AWS_ACCESS_KEY_ID", []string{"no AWS credentials are configured"}},
		{"no role on the instance", "AWS_REGION=eu-west-1 AWS_EC2_METADATA_SERVICE_ENDPOINT=" + serve(t, response{status: 404}), describeStream, stream, 2, "AWS_ACCESS_KEY_ID", []string{"no AWS credentials are configured"}},
		{"metadata service fails", "AWS_REGION=eu-west-1 AWS_EC2_METADATA_SERVICE_ENDPOINT=" + serve(t, response{status: 500}), describeStream, stream, 0, "", []string{"metadata service of EC2"}},
		{"half of the keys", "AWS_REGION=eu-west-1 AWS_ACCESS_KEY_ID=a AWS_EC2_METADATA_DISABLED=true", describeStream, stream, 2, "AWS_SECRET_ACCESS_KEY", []string{"AWS_ACCESS_KEY_ID is set, but AWS_SECRET_ACCESS_KEY is not"}},
		{"profile", keys + "AWS_PROFILE=prod", describeStream, stream, 2, "AWS_PROFILE", []string{`AWS_PROFILE="prod": there is no such profile`}},
		{"certificate bundle", keys + "AWS_CA_BUNDLE=/does/not/exist.pem", describeStream, stream, 2, "AWS_CA_BUNDLE", []string{`AWS_CA_BUNDLE="/does/not/exist.pem"`, "no such file"}},
		{"agent refuses", "AWS_REGION=eu-west-1 AWS_CONTAINER_CREDENTIALS_FULL_URI=" + closed + "/x", describeStream, stream, 0, "AWS_CONTAINER_CREDENTIALS_FULL_URI", []string{"does not give credentials", "connection refused"}},
		{"agent fails", "AWS_REGION=eu-west-1 AWS_CONTAINER_CREDENTIALS_FULL_URI=" + serve(t, response{status: 500}), describeStream, stream, 0, "AWS_CONTAINER_CREDENTIALS_FULL_URI", []string{"does not give credentials"}},
		{"agent elsewhere", "AWS_REGION=eu-west-1 AWS_CONTAINER_CREDENTIALS_FULL_URI=http://10.1.1.1/", describeStream, stream, 2, "AWS_CONTAINER_CREDENTIALS_FULL_URI", []string{"http://10.1.1.1/"}},
		{"token file", irsa + "/does/not/exist", describeStream, stream, 2, "AWS_WEB_IDENTITY_TOKEN_FILE", []string{`AWS_WEB_IDENTITY_TOKEN_FILE="/does/not/exist"`}},
		{"no role", "AWS_REGION=eu-west-1 AWS_WEB_IDENTITY_TOKEN_FILE=" + token, describeStream, stream, 2, "AWS_ROLE_ARN", []string{"AWS_ROLE_ARN is not"}},
		{"STS refuses connections", irsa + token + " AWS_ENDPOINT_URL_STS=" + closed, describeStream, stream, 0, "AWS_ENDPOINT_URL_STS", []string{"refuses the connection", "AWS_ENDPOINT_URL_STS"}},
		{"trust policy", irsa + token + " AWS_ENDPOINT_URL_STS=" + serve(t, response{status: 403, body: `<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code><Message>Not authorized to perform sts:AssumeRoleWithWebIdentity</Message></Error></ErrorResponse>`}), describeStream, stream, 1, "AWS_ROLE_ARN", []string{"sts:AssumeRoleWithWebIdentity on role arn:aws:iam::123456789012:role/x", "trust policy"}},
		{"keys", at("KINESIS", apiError(400, "UnrecognizedClientException", "The security token included in the request is invalid.")), describeStream, stream, 2, "AWS_ACCESS_KEY_ID", []string{"does not accept the AWS credentials", "UnrecognizedClientException"}},
		{"keys of S3", at("S3", xmlError(403, "InvalidAccessKeyId", "The AWS Access Key Id you provided does not exist in our records.")), getObject, bucket, 2, "AWS_ACCESS_KEY_ID", []string{"InvalidAccessKeyId"}},
		{"clock", at("KINESIS", apiError(400, "InvalidSignatureException", "Signature expired: 20260131T000000Z is now earlier than 20260131T001000Z")), describeStream, stream, 0, "", []string{"clock of this machine"}},
		{"clock of S3", at("S3", xmlError(403, "RequestTimeTooSkewed", "The difference is too large")), getObject, bucket, 0, "", []string{"clock of this machine"}},
		{"session expired in the environment", at("KINESIS", apiError(400, "ExpiredTokenException", "expired")), describeStream, stream, 2, "AWS_SESSION_TOKEN", []string{"have expired"}},
		{"permission", at("KINESIS", apiError(400, "AccessDeniedException", "User: arn:aws:sts::123456789012:assumed-role/x/y is not authorized to perform: kinesis:DescribeStreamSummary on resource: arn:aws:kinesis:eu-west-1:123456789012:stream/trips because no identity-based policy allows the kinesis:DescribeStreamSummary action")), describeStream, stream, 1, "STREAM_NAME", []string{"kinesis:DescribeStreamSummary on arn:aws:kinesis:eu-west-1:123456789012:stream/trips is not allowed (no identity-based policy allows", "consumer policy"}},
		{"permission on a key", at("S3", xmlError(403, "AccessDenied", "User: arn:aws:iam::123456789012:user/x is not authorized to perform: kms:Decrypt on resource: arn:aws:kms:eu-west-1:123456789012:key/k because no resource-based policy allows the kms:Decrypt action")), getObject, bucket, 1, "S3_KMS_KEY_ID", []string{"kms:Decrypt", "key's policy"}},
		{"permission without a reason", at("S3", response{status: 403}), headBucket, bucket, 1, "BUCKET", []string{`BUCKET="files": S3 refuses HeadBucket of bucket files`, "consumer policy"}},
		{"no stream", at("KINESIS", apiError(400, "ResourceNotFoundException", "Stream trips under account 123456789012 not found.")), describeStream, stream, 1, "STREAM_NAME", []string{`STREAM_NAME="trips": stream trips does not exist`, "under account 123456789012"}},
		{"no table", at("DYNAMODB", apiError(400, "ResourceNotFoundException", "Requested resource not found")), describeTable, table, 1, "APPLICATION_NAME", []string{"table trips does not exist"}},
		{"no bucket", at("S3", xmlError(404, "NoSuchBucket", "The specified bucket does not exist")), getObject, bucket, 1, "BUCKET", []string{`BUCKET="files": bucket files does not exist`}},
		{"no bucket, without a reason", at("S3", response{status: 404}), headBucket, bucket, 1, "BUCKET", []string{"bucket files does not exist"}},
		{"bucket elsewhere", at("S3", response{status: 301, header: "us-west-2"}), headBucket, bucket, 2, "BUCKET", []string{`BUCKET="files": bucket files is in us-west-2`, "AWS_REGION=us-west-2"}},
		{"bucket elsewhere, by signature", at("S3", xmlError(400, "AuthorizationHeaderMalformed", "The authorization header is malformed; the region 'us-east-1' is wrong; expecting 'us-west-2'")), getObject, bucket, 2, "BUCKET", []string{"bucket files is in us-west-2"}},
		{"key disabled", at("KINESIS", apiError(400, "KMSDisabledException", "k is disabled")), describeStream, stream, 1, "STREAM_NAME", []string{"cannot use the KMS key of stream trips"}},
		{"key throttled", at("KINESIS", apiError(400, "KMSThrottlingException", "slow down")), describeStream, stream, 0, "", []string{"throttle"}},
		{"stream busy", at("KINESIS", apiError(400, "ResourceInUseException", "being created")), describeStream, stream, 0, "", []string{"being created or changed"}},
		{"bad request", at("KINESIS", apiError(400, "ValidationException", "1 validation error")), describeStream, stream, 1, "STREAM_NAME", []string{"Kinesis rejects DescribeStreamSummary: ValidationException: 1 validation error"}},
		{"throttled", at("KINESIS", apiError(400, "LimitExceededException", "Rate exceeded")), describeStream, stream, 0, "", []string{"throttles"}},
		{"fails", at("KINESIS", response{status: 500}), describeStream, stream, 0, "", []string{"fails with status 500", "AWS_ENDPOINT_URL_KINESIS"}},
		{"unavailable", at("S3", response{status: 503}), headBucket, bucket, 0, "", []string{"fails with status 503"}},
		{"HTML", at("KINESIS", response{status: 200, body: "<html>sign in</html>"}), describeStream, stream, 0, "AWS_ENDPOINT_URL_KINESIS", []string{"answers, but not as Kinesis does (status 200)"}},
		{"HTML, not found", at("DYNAMODB", response{status: 404, body: "<html>404</html>"}), describeTable, table, 0, "AWS_ENDPOINT_URL_DYNAMODB", []string{"answers, but not as DynamoDB does (status 404)"}},
		{"refused", keys + "AWS_ENDPOINT_URL_KINESIS=" + closed, describeStream, stream, 0, "AWS_ENDPOINT_URL_KINESIS", []string{strings.TrimPrefix(closed, "http://") + ` (AWS_ENDPOINT_URL_KINESIS="` + closed + `") refuses the connection`}},
		{"refused, for all services", keys + "AWS_ENDPOINT_URL=" + closed, describeTable, table, 0, "AWS_ENDPOINT_URL", []string{"AWS_ENDPOINT_URL="}},
		{"region, while no name is found", keys, nowhere(describeStream), stream, 0, "", []string{"the host kinesis.eu-west-1.amazonaws.com", "does not exist: check the network"}},
		{"unknown host", keys + "AWS_ENDPOINT_URL_KINESIS=http://kinesis.invalid:4566", nowhere(describeStream), stream, 0, "AWS_ENDPOINT_URL_KINESIS", []string{"kinesis.invalid:4566 (AWS_ENDPOINT_URL_KINESIS="}},
		{"no scheme", keys + "AWS_ENDPOINT_URL_KINESIS=localhost:4566", describeStream, stream, 2, "AWS_ENDPOINT_URL_KINESIS", []string{`AWS_ENDPOINT_URL_KINESIS="localhost:4566": this is not a URL: want http:// or https://`}},
		{"no URL", keys + "AWS_ENDPOINT_URL_KINESIS=://x", describeStream, stream, 2, "AWS_ENDPOINT_URL_KINESIS", []string{"this is not a URL"}},
		{"TLS to a server without", keys + "AWS_ENDPOINT_URL_KINESIS=" + strings.Replace(serve(t, response{status: 200}), "http:", "https:", 1), describeStream, stream, 2, "AWS_ENDPOINT_URL_KINESIS", []string{"speaks HTTP, not HTTPS"}},
		{"unknown certificate authority", keys + "AWS_ENDPOINT_URL_KINESIS=" + secure.URL, describeStream, stream, 0, "AWS_ENDPOINT_URL_KINESIS", []string{"certificate", "AWS_CA_BUNDLE"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			isolate(t, test.environment)
			cfg, err := awshttp.Account(t.Context(), config.WithRetryMaxAttempts(1))
			if err == nil {
				err = test.call(t.Context(), cfg)
			}
			if err == nil {
				t.Fatal("nothing failed")
			}
			f := diagnosis.Of(fmt.Errorf("open it: %w", err), test.about)
			text := f.String()
			if testing.Verbose() {
				t.Logf("%s\n(exit %d, %s)", text, f.Exit, f.Setting)
			}
			if f.Final != (test.exit != 0) || f.Exit != test.exit || f.Setting != test.setting {
				t.Errorf("got final %v, exit %d, setting %q, want exit %d, setting %q: %s\n%v", f.Final, f.Exit, f.Setting, test.exit, test.setting, text, err)
			}
			for _, want := range test.texts {
				if !strings.Contains(text, want) {
					t.Errorf("got %q, want %q in it", text, want)
				}
			}
			if strings.Contains(text, "\n") || strings.Contains(text, "%!") {
				t.Errorf("got %q", text)
			}
		})
	}
}

// isolate gives the SDK these variables and no files.
func isolate(t *testing.T, environment string) {
	for _, v := range os.Environ() {
		if name, _, _ := strings.Cut(v, "="); strings.HasPrefix(name, "AWS_") {
			t.Setenv(name, "")
		}
	}
	t.Setenv("HOME", t.TempDir())
	for v := range strings.FieldsSeq(environment) {
		name, value, _ := strings.Cut(v, "=")
		t.Setenv(name, value)
	}
}

// TestOf_KnowsAServiceThatIsSilent uses the bound of the clients of this repository.
func TestOf_KnowsAServiceThatIsSilent(t *testing.T) {
	release := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	t.Cleanup(s.Close)
	t.Cleanup(func() { close(release) })
	isolate(t, "AWS_ACCESS_KEY_ID=a AWS_SECRET_ACCESS_KEY=b AWS_REGION=eu-west-1 AWS_ENDPOINT_URL_KINESIS="+s.URL)
	cfg, err := awshttp.Account(t.Context(), config.WithRetryMaxAttempts(1))
	if err != nil {
		t.Fatal(err)
	}
	cfg.HTTPClient = awshttp.Attend(nil, time.Millisecond)
	f := diagnosis.Of(describeStream(t.Context(), cfg), stream)
	if want := "127.0.0.1:" + s.URL[strings.LastIndex(s.URL, ":")+1:]; f.Final || f.Setting != "AWS_ENDPOINT_URL_KINESIS" || !strings.Contains(f.Text, want) || !strings.Contains(f.Text, "does not answer in time") {
		t.Errorf("got %+v", f)
	}
}

// sqlError is an error as pgx reports it.
type sqlError string

func (e sqlError) Error() string    { return "FATAL (SQLSTATE " + string(e) + ")" }
func (e sqlError) SQLState() string { return string(e) }

func TestOf_KnowsPostgreSQL(t *testing.T) {
	about := diagnosis.Subject{Thing: "table public.trips", Setting: "TABLE", Value: "postgres://db/lake/trips"}
	for state, exit := range map[string]int{"28P01": 2, "28000": 2, "3D000": 1, "3F000": 1, "42P01": 1, "42501": 1, "57P03": 0, "53300": 0, "08006": 0, "57P01": 0} {
		f := diagnosis.Of(fmt.Errorf("connect: %w", sqlError(state)), about)
		if f.Exit != exit || f.Final != (exit != 0) || !strings.Contains(f.Text, state) {
			t.Errorf("%s: got %+v, want exit %d", state, f, exit)
		}
	}
}

func TestOf_LeavesOtherErrorsAsTheyAre(t *testing.T) {
	if f := diagnosis.Of(nil, stream); f != (diagnosis.Finding{}) {
		t.Errorf("no error gives %+v", f)
	}
	if f := diagnosis.Of(errors.New("odd"), stream); f.Final || f.String() != "odd" {
		t.Errorf("an unknown error gives %+v", f)
	}
	if err := diagnosis.Explain(nil, stream); err != nil {
		t.Errorf("no error gives %v", err)
	}
	odd := errors.New("odd")
	once := diagnosis.Explain(odd, stream)
	if twice := diagnosis.Explain(fmt.Errorf("again: %w", once), table); !errors.Is(twice, odd) || twice.Error() != "again: odd" {
		t.Errorf("an explained error becomes %v", twice)
	}
}

// What the SDK says of a call is replaced by what it means, and what was to be done stays.
func TestText_PutsTheMeaningInThePlaceOfTheSDKsWords(t *testing.T) {
	closed := refusing(t)
	isolate(t, "AWS_ACCESS_KEY_ID=a AWS_SECRET_ACCESS_KEY=b AWS_REGION=eu-west-1 AWS_ENDPOINT_URL="+closed)
	cfg, err := awshttp.Account(t.Context(), config.WithRetryMaxAttempts(1))
	if err != nil {
		t.Fatal(err)
	}
	failed := describeStream(t.Context(), cfg)
	address := strings.TrimPrefix(closed, "http://")
	refused := address + ` (AWS_ENDPOINT_URL="` + closed + `") refuses the connection: start the service there, or correct the address`
	_, plain := http.Get(closed)
	known := &diagnosis.Error{Err: failed, Finding: diagnosis.Finding{Text: "known"}}
	for name, test := range map[string]struct {
		err  error
		want string
	}{
		"none":            {nil, ""},
		"of ours":         {errors.New("odd"), "odd"},
		"call":            {fmt.Errorf("audit: %w", failed), "audit: " + refused},
		"calls":           {errors.Join(fmt.Errorf("a: %w", failed), fmt.Errorf("b: %w", describeTable(t.Context(), cfg))), "a: " + refused + "\nb: " + refused},
		"explained":       {fmt.Errorf("audit: %w", known), "audit: known"},
		"HTTP":            {fmt.Errorf("ask: %w", plain), "ask: " + address + " refuses the connection: check the network, its firewalls and VPC endpoints"},
		"another library": {sqlError("57P03"), "FATAL (SQLSTATE 57P03)\nPostgreSQL fails: FATAL (SQLSTATE 57P03)"},
	} {
		if got := diagnosis.Text(test.err, diagnosis.Subject{}); got != test.want {
			t.Errorf("%s: got\n%s\nwant\n%s", name, got, test.want)
		}
	}
}
