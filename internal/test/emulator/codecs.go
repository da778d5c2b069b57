package emulator

import (
	"os/exec"
	"path/filepath"
	"testing"
)

// Unsnap opens Snappy files with readers that nobody of this project wrote: snappy-java, whose stream format is that of
// Firehose's Snappy, and aircompressor, with which Trino and so Athena read. The arguments are pairs of a reader and a
// file:
//
//	snappy-java, snappy-java framed, aircompressor hadoop, aircompressor framed
//
// What is in FILE stands in FILE.plain afterwards. Without the readers the test is left out, as those that need an
// emulator are.
func Unsnap(tb testing.TB, pairs ...string) {
	tb.Helper()
	dir := fetched(tb, codecsBundle, "snappy-java and aircompressor", "java")
	args := append([]string{"-Xmx256m", "-cp", filepath.Join(dir, "lib", "*"), filepath.Join(dir, "Unsnap.java")}, pairs...)
	cmd := exec.CommandContext(tb.Context(), "java", args...)
	cmd.Env = append(cmd.Environ(), "JAVA_TOOL_OPTIONS=-Dorg.xerial.snappy.tempdir="+tb.TempDir())
	if out, err := cmd.CombinedOutput(); err != nil {
		tb.Fatalf("open with java: %v\n%s", err, out[max(0, len(out)-shownBytes):])
	}
}
