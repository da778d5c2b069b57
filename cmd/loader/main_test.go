package main

import (
	"bytes"
	"context"
	"io"
	"strings"
	"testing"

	"aws-streaming-pipeline/internal/command"
)

// dispatch runs a command of the program.
func dispatch(ctx context.Context, out io.Writer, args ...string) error {
	return command.Execute(ctx, root(), args, out, io.Discard)
}

func TestDispatch_SaysWhatItRuns(t *testing.T) {
	t.Setenv("STREAM_NAME", "stream")
	t.Setenv("BUCKET", "bucket")
	t.Setenv("APPLICATION_NAME", "trips")
	t.Setenv("FORMAT", "parquet")
	for _, c := range []struct {
		args       []string
		out, fails string
	}{
		{args: []string{"help"}, out: "  run         load batches until SIGTERM; the default"},
		{args: []string{"--help"}, out: "Usage:\n  loader [flags]\n  loader COMMAND [flags]\n"},
		{args: []string{"version"}, out: "\n"},
		{args: []string{"run", "--help"}, out: "Usage:\n  loader run [flags]\n"},
		{args: []string{"run", "now"}, fails: `run takes only flags, got "now"`},
		{args: []string{"fly"}, fails: `unknown command "fly"`},
		{args: []string{"audit"}, fails: `TABLE="": want the table to load`},
		{args: []string{"compact", "--target", "big"}, fails: `--target="big": `},
		{args: []string{"reload"}, fails: "name where to begin"},
		{args: []string{"reload", "--from-batch", "b1"}, fails: `--from-batch "b1": want the id of a batch`},
		{args: []string{"expire", "--keep", "-1"}, fails: "want values above 0"},
		{args: []string{"orphans", "--help"}, out: "Usage:\n  loader orphans [flags]\n"},
		{args: []string{"rebind", "--help"}, out: "Usage:\n  loader rebind [flags]\n"},
		{args: nil, fails: `TABLE="": want the table to load`},
		{args: []string{"run"}, fails: `TABLE="": want the table to load`},
	} {
		t.Run(strings.Join(c.args, " "), func(t *testing.T) {
			var out bytes.Buffer
			err := dispatch(t.Context(), &out, c.args...)
			if !strings.Contains(out.String(), c.out) || (err == nil) != (c.fails == "") || err != nil && !strings.Contains(err.Error(), c.fails) {
				t.Errorf("it prints %q and ends with %v, want %q and %q", out.String(), err, c.out, c.fails)
			}
		})
	}
}
