package local

import (
	"path/filepath"
	"strings"
	"testing"

	"aws-streaming-pipeline/checkpoint"
)

// TestStore_AnswersNothingAfterAFailedWrite makes a write fail with an unknown outcome: neither the write nor the
// store's memory can be trusted until the file is opened again.
func TestStore_AnswersNothingAfterAFailedWrite(t *testing.T) {
	path := filepath.Join(t.TempDir(), "checkpoint.db")
	s, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.db.Close(); err != nil { // without the store's knowledge
		t.Fatal(err)
	}
	if err := s.Heartbeat(t.Context(), checkpoint.Worker{ID: "w1"}); err == nil || !strings.Contains(err.Error(), "could not be written") {
		t.Errorf("heartbeat: %v, want an error that the file could not be written", err)
	}
	if snap, err := s.Scan(t.Context()); err == nil || !strings.Contains(err.Error(), "open it again") {
		t.Errorf("scan: %+v, %v, want an error that says what to do", snap, err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
}
