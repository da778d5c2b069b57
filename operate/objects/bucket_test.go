package objects_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"aws-streaming-pipeline/operate/objects"
)

// The console of an S3-compatible store answers every path with a page. Taken for an empty list, an audit would be sound.
func TestBucket_DoesNotTakeALoginPageForAnEmptyList(t *testing.T) {
	for body, refused := range map[string]bool{
		"<html><body>Log in</body></html>": true,
		"<ListBucketResult><Name>b</Name><KeyCount>0</KeyCount><IsTruncated>false</IsTruncated></ListBucketResult>": false,
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, body) }))
		client := s3.New(s3.Options{Region: "us-east-1", Credentials: aws.AnonymousCredentials{}, BaseEndpoint: &server.URL, UsePathStyle: true})
		var got error
		for _, err := range (objects.Bucket{API: client, Name: "b"}).List(t.Context(), "manifests/", "") {
			got = err
		}
		server.Close()
		if refused != (got != nil) || refused && !strings.Contains(got.Error(), "not a list of objects") {
			t.Errorf("%s: error %v", body, got)
		}
	}
}
