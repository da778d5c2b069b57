package spelling_test

import (
	"testing"

	"aws-streaming-pipeline/internal/spelling"
)

func TestNearest_CountsSingleChanges(t *testing.T) {
	names := []string{"FILE_SIZE", "STREAM_NAME", "COMPRESSION", "TABLE"}
	for name, want := range map[string]string{
		"FILE_SIZES": "FILE_SIZE", "STEAM_NAME": "STREAM_NAME", "COMPRESION": "COMPRESSION", "STRAEM_NAME": "STREAM_NAME", // one change each
		"FLIE_SZIE": "FILE_SIZE", // two swaps
		"TABLE":     "TABLE",
		"FILES":     "", "": "", "HOSTNAME": "", // controls
	} {
		if got := spelling.Nearest(name, names, 2); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
	if got := spelling.Nearest("FLIE_SZIE", names, 1); got != "" {
		t.Errorf("two changes give %q where one is allowed", got)
	}
	if got := spelling.Nearest("TABEL", []string{"LABEL", "TABLE"}, 2); got != "LABEL" {
		t.Errorf("the first of equals is %q", got)
	}
}
