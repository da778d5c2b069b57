package emulator

import (
	"os/exec"
	"testing"
)

// Unsnap opens Snappy files with third-party readers: snappy-java, whose stream format Firehose's Snappy uses, and
// aircompressor, which Trino and therefore Athena use. The arguments are pairs of a reader and a file:
//
//	snappy-java, snappy-java framed, aircompressor hadoop, aircompressor framed
//
// The contents of FILE are written to FILE.plain. Without the readers the test is skipped, like those that need an emulator.
func Unsnap(tb testing.TB, pairs ...string) {
	tb.Helper()
	dir := fetched(tb, codecsBundle, "snappy-java and aircompressor", "java")
	args := append(java(dir, "256m", "Unsnap"), pairs...)
	cmd := exec.CommandContext(tb.Context(), args[0], args[1:]...)
	cmd.Env = append(cmd.Environ(), "JAVA_TOOL_OPTIONS=-Dorg.xerial.snappy.tempdir="+tb.TempDir())
	if out, err := cmd.CombinedOutput(); err != nil {
		tb.Fatalf("open with java: %v\n%s", err, out[max(0, len(out)-shownBytes):])
	}
}
