package localstream_test

import (
	"testing"

	"aws-streaming-pipeline/internal/localstream"
)

// startServer serves for the duration of a test.
func startServer(tb testing.TB, options localstream.Options) *localstream.Server {
	tb.Helper()
	server, err := localstream.Start("127.0.0.1:0", options)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := server.Close(); err != nil {
			tb.Error(err)
		}
	})
	return server
}
