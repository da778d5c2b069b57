package lambdatest

import (
	"archive/zip"
	"bytes"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"aws-streaming-pipeline/internal/test/gobuild"
)

// Build builds a function that is not deployed with the pipeline, from the path of its package, and returns its package.
func Build(tb testing.TB, path string) []byte {
	tb.Helper()
	binary := filepath.Join(tb.TempDir(), "bootstrap")
	data, err := os.ReadFile(gobuild.Build(tb, binary, path, "-tags", "lambda.norpc"))
	if err != nil {
		tb.Fatal(err)
	}
	var pkg bytes.Buffer
	z := zip.NewWriter(&pkg)
	header := &zip.FileHeader{Name: "bootstrap"}
	header.SetMode(0o755)
	w, err := z.CreateHeader(header)
	if err == nil {
		_, err = w.Write(data)
	}
	if err == nil {
		err = z.Close()
	}
	if err != nil {
		tb.Fatal(err)
	}
	return pkg.Bytes()
}

// Front answers Invoke for a function, as Lambda's endpoint does (AWS Lambda API Reference, "Invoke"). Its one environment takes
// one event at a time.
type Front struct {
	Function *Function
	Timeout  time.Duration

	mu sync.Mutex
}

// ServeHTTP implements http.Handler.
func (f *Front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	event, err := io.ReadAll(r.Body)
	if err != nil {
		return // the caller has gone
	}
	if r.Method != http.MethodPost || !strings.HasPrefix(r.URL.Path, "/2015-03-31/functions/") || !strings.HasSuffix(r.URL.Path, "/invocations") {
		w.Header().Set("X-Amzn-Errortype", "ResourceNotFoundException")
		w.WriteHeader(http.StatusNotFound)
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	result := f.Function.Invoke(event, f.Timeout)
	answer := result.Answer
	if answer == nil {
		w.Header().Set("X-Amz-Function-Error", "Unhandled")
		answer = result.Error
	}
	_, _ = w.Write(answer) // the caller may have gone
}
