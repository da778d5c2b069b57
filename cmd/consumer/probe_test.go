package main

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"aws-streaming-pipeline/internal/command"
)

// dispatch runs a command of the program.
func dispatch(ctx context.Context, out io.Writer, args ...string) error {
	return command.Execute(ctx, root(), args, out, io.Discard)
}

func TestProbe_SaysWhetherTheDaemonIsAlive(t *testing.T) {
	code, asked := http.StatusOK, ""
	daemon := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = r.Method + " " + r.URL.Path
		w.WriteHeader(code)
		_, _ = w.Write([]byte(`{"status":"as it is"}`))
	}))
	defer daemon.Close()
	_, port, _ := strings.Cut(strings.TrimPrefix(daemon.URL, "http://"), ":")
	t.Setenv("STREAM_NAME", "trips")
	t.Setenv("BUCKET", "bucket")
	for _, address := range []string{"127.0.0.1:" + port, ":" + port, "0.0.0.0:" + port} {
		t.Setenv("HTTP_ADDRESS", address)
		var out bytes.Buffer
		code, asked = http.StatusOK, ""
		if err := dispatch(t.Context(), &out, "probe"); err != nil || asked != "GET /healthz" || !strings.Contains(out.String(), "as it is") {
			t.Errorf("%s: asked %q, says %q: %v", address, asked, &out, err)
		}
		code = http.StatusServiceUnavailable
		if err := dispatch(t.Context(), &out, "probe"); err == nil || !strings.Contains(err.Error(), `503 Service Unavailable: {"status":"as it is"}`) {
			t.Errorf("%s: a daemon that is not alive: %v", address, err)
		}
	}
	daemon.Close()
	if err := dispatch(t.Context(), io.Discard, "probe"); err == nil || !strings.Contains(err.Error(), "ask the daemon") {
		t.Errorf("nobody answers: %v", err)
	}
	t.Setenv("HTTP_ADDRESS", "")
	if err := dispatch(t.Context(), io.Discard, "probe"); err == nil {
		t.Error("there is no address, and no error")
	}
}
