package consumer

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

	"aws-streaming-pipeline/internal/diagnosis"
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
				fetching := func(f func() error) error { return f() }
				if test.daemon {
					fetching = func(f func() error) error {
						return NewPatience(slog.New(slog.DiscardHandler)).Await(t.Context(), "read the schema", diagnosis.Subject{}, f)
					}
				}
				s, err := LoadSchema(t.Context(), "s3://config/trip.json", SchemaServices{S3: client}, fetching)
				if (err == nil) != test.loads || (s != nil) != test.loads || len(test.refused) > 0 {
					t.Errorf("schema %v, %v, %d refusals left", s, err, len(test.refused))
				}
			})
		})
	}
}
