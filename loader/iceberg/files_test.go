package iceberg

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"aws-streaming-pipeline/writers/writerstest"
)

// A table would name a file that is nowhere. The control is the same answer with an ETag.
func TestFiles_DoNotTakeALoginPageForAnAnswer(t *testing.T) {
	for etag, written := range map[string]bool{"": false, `"1"`: true} {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			if etag != "" {
				w.Header().Set("ETag", etag)
			}
			io.WriteString(w, "<html>please sign in</html>")
		}))
		t.Cleanup(s.Close)
		err := NewFiles(t.Context(), writerstest.Client(s.URL, "key", "secret", nil)).WriteFile("s3://lake/metadata/a.avro", []byte("a"))
		if (err == nil) != written {
			t.Errorf("with ETag %s: %v", etag, err)
		}
	}
}
