package awshttp_test

import (
	"bytes"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/smithy-go/logging"

	"aws-streaming-pipeline/internal/awshttp"
)

// A metadata service without IMDSv2 makes the SDK warn (Amazon EC2 User Guide, "Use IMDS"): in the log of a program that has one, and
// nowhere else.
func TestAccount_LetsTheSDKLogOnlyToTheProgramsLog(t *testing.T) {
	metadata := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method == http.MethodPut:
			w.WriteHeader(http.StatusForbidden)
		case strings.HasSuffix(r.URL.Path, "/security-credentials/"):
			_, _ = io.WriteString(w, "role")
		default:
			_, _ = io.WriteString(w, `{"Code":"Success","AccessKeyId":"a","SecretAccessKey":"b","Token":"c","Expiration":"2999-01-01T00:00:00Z"}`)
		}
	}))
	defer metadata.Close()
	bare(t)
	t.Setenv("AWS_EC2_METADATA_DISABLED", "")
	t.Setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", metadata.URL)
	var log bytes.Buffer
	for name, options := range map[string][]func(*config.LoadOptions) error{
		"": nil, "level=WARN msg=\"warning of the AWS SDK\" reason=\"falling back to IMDSv1: ": {awshttp.LogTo(slog.New(slog.NewTextHandler(&log, nil)))},
	} {
		log.Reset()
		printed := stderr(t, func() {
			account, err := awshttp.Account(t.Context(), options...)
			if err != nil {
				t.Error(err)
				return
			}
			if keys, err := account.Credentials.Retrieve(t.Context()); err != nil || keys.AccessKeyID != "a" {
				t.Errorf("key %q, %v", keys.AccessKeyID, err)
			}
		})
		if printed != "" {
			t.Errorf("on stderr stands %q", printed)
		}
		if !strings.Contains(log.String(), name) || name == "" && log.Len() > 0 {
			t.Errorf("want %q in the log, got %q", name, log.String())
		}
	}
}

func TestLogTo_WarnsOnlyOfWhatConcernsTheOperator(t *testing.T) {
	var log bytes.Buffer
	var o config.LoadOptions
	if err := awshttp.LogTo(slog.New(slog.NewTextHandler(&log, nil)))(&o); err != nil {
		t.Fatal(err)
	}
	o.Logger.Logf(logging.Warn, "failed to close HTTP response body, this may affect connection reuse: %v", io.ErrUnexpectedEOF)
	o.Logger.Logf(logging.Debug, "a retry")
	if log.Len() > 0 {
		t.Errorf("got %s", &log)
	}
	o.Logger.Logf(logging.Warn, "the clock is %d s late", 300)
	if !strings.Contains(log.String(), "the clock is 300 s late") {
		t.Errorf("got %q", &log)
	}
}

// stderr returns what is written to the process's standard error while f runs.
func stderr(t *testing.T, f func()) string {
	t.Helper()
	file, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	before := os.Stderr
	os.Stderr = file
	f()
	os.Stderr = before
	text, err := os.ReadFile(file.Name())
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
