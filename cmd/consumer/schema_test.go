package main

import (
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"aws-streaming-pipeline/consumer"
	"aws-streaming-pipeline/internal/test/emulator"
	"aws-streaming-pipeline/internal/test/registrytest"
)

// refusals are the codes by which S3 refuses call after call; then it answers with a schema.
type refusals []string

func (r *refusals) Do(request *http.Request) (*http.Response, error) {
	code, body := http.StatusOK, `{"type":"object","properties":{"n":{"type":"integer"}}}`
	if len(*r) > 0 {
		code, body = http.StatusBadRequest, "<Error><Code>"+(*r)[0]+"</Code></Error>"
		*r = (*r)[1:]
	}
	return &http.Response{StatusCode: code, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body)), Request: request}, nil
}

// The daemon waits for its schema where the bucket's own requests would wait, too. A command does not.
func TestLoadSchema_WaitsInTheDaemonForWhatPasses(t *testing.T) {
	for _, test := range []struct {
		name    string
		refused refusals
		daemon  bool
		loads   bool
	}{
		{"credentials have expired", refusals{"ExpiredToken", "ExpiredToken", "ExpiredToken"}, true, true},
		{"access denied", refusals{"AccessDenied"}, true, false},
		{"credentials have expired, in a command", refusals{"ExpiredToken"}, false, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client := s3.New(s3.Options{
					Region: "us-east-1", Credentials: credentials.NewStaticCredentialsProvider("test", "test", ""),
					BaseEndpoint: aws.String("http://s3.test"), HTTPClient: &test.refused,
				})
				fetching := once
				if test.daemon {
					fetching = func(f func() error) error {
						return consumer.Patiently(t.Context(), slog.New(slog.DiscardHandler), "read the schema", f)
					}
				}
				s, err := loadSchema(t.Context(), "s3://config/trip.json", client, fetching)
				if (err == nil) != test.loads || (s != nil) != test.loads || len(test.refused) > 0 {
					t.Errorf("schema %v, %v, %d refusals left", s, err, len(test.refused))
				}
			})
		})
	}
}

// A schema of the registry, by its name or by a version's id, becomes a document that is good for SCHEMA.
func TestSchemaFromRegistry_PrintsADocument(t *testing.T) {
	moto := emulator.Moto(t).URL
	ids := registrytest.Register(t, moto, "trip.avsc", "everything.proto", "trip.json")
	for name, value := range map[string]string{"AWS_ENDPOINT_URL": moto, "AWS_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"} {
		t.Setenv(name, value)
	}
	print := func(args ...string) (string, error) {
		var out strings.Builder
		err := schemaTools(t.Context(), append([]string{"from-registry"}, args...), &out)
		return out.String(), err
	}
	for _, test := range []struct {
		args []string
		want string // of the document
	}{
		{[]string{"--schema", "trip-avsc"}, `"x-parquet": "decimal(9,2)"`},
		{[]string{"--schema", "trip-avsc", "--registry", "default-registry", "--version", "1"}, `"title": "lake.test.Trip"`},
		{[]string{"--version-id", ids["trip.avsc"]}, `"title": "lake.test.Trip"`},
		{[]string{"--schema", "everything-proto"}, `"title": "lake.test.Everything"`},
		{[]string{"--schema", "everything-proto", "--message", "lake.test.Zebra"}, `"stripes": {`},
		{[]string{"--schema", "trip-json"}, `"$schema": "http://json-schema.org/draft-07/schema#"`},
	} {
		document, err := print(test.args...)
		if err != nil || !strings.Contains(document, test.want) {
			t.Errorf("%q prints %s, %v; want %s in it", test.args, document, err, test.want)
		}
	}
	for _, test := range []struct {
		args []string
		want string // of the error
	}{
		{nil, `want one of them`},
		{[]string{"--schema", "trip-avsc", "--version-id", ids["trip.avsc"]}, `want one of them`},
		{[]string{"--schema", "absent"}, `schema absent of the registry default-registry`},
		{[]string{"--schema", "trip-avsc", "--version", "-1"}, `--version=-1`},
		{[]string{"--schema", "everything-proto", "--message", "Zebra"}, `message "Zebra"`},
		{[]string{"--schema", "trip-avsc", "--message", "Zebra"}, `only a Protobuf schema has messages`},
	} {
		if document, err := print(test.args...); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%q prints %s, %v; want an error with %s", test.args, document, err, test.want)
		}
	}
}
