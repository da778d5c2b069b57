package main

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"aws-streaming-pipeline/internal/command"
)

// Whatever command it is, a service that is out of reach is named in one clear sentence, without the SDK's own words, and the exit code
// is that of docs/operations.md: 1 if a command failed that acts or shows, 2 if a check could not be done.
func TestCommands_SayAlikeThatAServiceIsOutOfReach(t *testing.T) {
	folder := t.TempDir()
	sample := filepath.Join(folder, "sample.jsonl")
	if err := os.WriteFile(sample, []byte("{}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	port, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := "http://" + port.Addr().String()
	port.Close()
	page := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusNotFound)
		_, _ = io.WriteString(w, "<html><body>sign in</body></html>")
	}))
	t.Cleanup(page.Close)
	for name, value := range map[string]string{
		"AWS_REGION": "eu-west-1", "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_CONFIG_FILE": os.DevNull, "AWS_SHARED_CREDENTIALS_FILE": os.DevNull,
		"AWS_MAX_ATTEMPTS": "1", "STREAM_NAME": "trips", "BUCKET": "files", "S3_PATH_STYLE": "true", "CHECKPOINT_FILE": "", "ERROR_PREFIX": "errors/",
	} {
		t.Setenv(name, value)
	}
	for line, code := range map[string]int{
		"audit":                         2,
		"compare --theirs s3://theirs/": 2,
		"wait --until 2026-01-31T00:00:00Z --timeout 0s": 2,
		"check --within 1m":                                             2,
		"route --last 3":                                                2,
		"redrive --stream trips":                                        2,
		"checkpoint show":                                               1,
		"checkpoint restore --yes --from 2h":                            1,
		"checkpoint restore --yes":                                      1,
		"checkpoint rewind --all --to TRIM_HORIZON --yes":               1,
		"checkpoint forget --batch b":                                   1,
		"checkpoint skip --batch b --table glue://a/b --reason r --yes": 1,
		"import kcl old":                                                1,
		"import firehose trips":                                         1,
		"schema from-table glue://lake/trips":                           1,
		"schema from-registry --schema trips":                           1,
	} {
		for endpoint, want := range map[string]string{closed: "refuses the connection: ", page.URL: " "} {
			t.Setenv("AWS_ENDPOINT_URL", endpoint)
			var errs bytes.Buffer
			got := command.Report(&errs, "consumer", command.Execute(t.Context(), root(), strings.Fields(line), io.Discard, &errs))
			text := errs.String()
			if got != code || !strings.Contains(text, want) || strings.Contains(text, "operation error") || strings.Contains(text, "StatusCode") || strings.Contains(text, "dial tcp") {
				t.Errorf("consumer %s at %s: exit code %d, want %d:\n%s", line, endpoint, got, code, text)
			}
		}
	}
}
