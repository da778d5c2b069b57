package iceberg

import (
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// A console or a proxy that answers each request with a page is not a table without files.
func TestFiles_DoNotTakeALoginPageForAnEmptyList(t *testing.T) {
	for body, refused := range map[string]bool{
		"<html><body>Log in</body></html>": true,
		"<ListBucketResult><Name>lake</Name><KeyCount>0</KeyCount><IsTruncated>false</IsTruncated></ListBucketResult>": false,
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, body) }))
		files := NewFiles(t.Context(), s3.New(s3.Options{Region: "us-east-1", Credentials: aws.AnonymousCredentials{}, BaseEndpoint: &server.URL, UsePathStyle: true}))
		err := files.WalkDir("s3://lake/tables/trips", func(string, fs.DirEntry, error) error { return nil })
		server.Close()
		if refused != (err != nil) || refused && !strings.Contains(err.Error(), "not a list of objects") {
			t.Errorf("%s: error %v", body, err)
		}
	}
}
