package lambdas_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"aws-streaming-pipeline/internal/lambdas"
)

// The records would be in no object. The control is the same answer with an ETag.
func TestObjects_DoNotTakeALoginPageForAnAnswer(t *testing.T) {
	for etag, written := range map[string]bool{"": false, `"1"`: true} {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body)
			if etag != "" {
				w.Header().Set("ETag", etag)
			}
			io.WriteString(w, "<html>please sign in</html>")
		}))
		t.Cleanup(s.Close)
		_, _, err := lambdas.NewObjects(account(s.URL), false).Put(t.Context(), "output", "a", []byte("{}\n"))
		if (err == nil) != written {
			t.Errorf("with ETag %s: %v", etag, err)
		}
	}
}
