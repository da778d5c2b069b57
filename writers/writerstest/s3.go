package writerstest

import (
	"errors"
	"io"
	"net/http"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"aws-streaming-pipeline/internal/localbucket"
)

// Client returns an S3 client for an endpoint, with path-style addressing. The transport may be nil.
func Client(endpoint, accessKey, secretKey string, transport http.RoundTripper) *s3.Client {
	return s3.New(s3.Options{
		BaseEndpoint: aws.String(endpoint),
		Region:       "us-east-1",
		UsePathStyle: true,
		Credentials:  credentials.NewStaticCredentialsProvider(accessKey, secretKey, ""),
		HTTPClient:   &http.Client{Transport: transport},
	})
}

// LocalBucket starts an S3 endpoint with an empty bucket in a folder of the test. It returns the endpoint's URL and the
// folder, in which objects are files.
func LocalBucket(t testing.TB, bucket string) (endpoint, folder string) {
	t.Helper()
	dir := t.TempDir()
	server, err := localbucket.Start("127.0.0.1:0", dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Errorf("close local bucket: %v", err)
		}
	})
	if err := server.CreateBucket(bucket); err != nil {
		t.Fatal(err)
	}
	return server.URL(), dir
}

// Get reads an object with a plain client; it returns nil if there is none.
func Get(t *testing.T, client *s3.Client, bucket, key string) *Object {
	t.Helper()
	out, err := client.GetObject(t.Context(), &s3.GetObjectInput{Bucket: &bucket, Key: &key})
	var absent *types.NoSuchKey
	if errors.As(err, &absent) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	defer out.Body.Close()
	body, err := io.ReadAll(out.Body)
	if err != nil {
		t.Fatal(err)
	}
	return &Object{
		Body:            body,
		ContentType:     aws.ToString(out.ContentType),
		ContentEncoding: aws.ToString(out.ContentEncoding),
		Metadata:        out.Metadata,
	}
}
