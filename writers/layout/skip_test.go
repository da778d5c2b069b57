package layout

import (
	"testing"
	"time"
)

func TestSkip_ComesBackAsItWas(t *testing.T) {
	s := Skip{Batch: "0193", Table: "glue://lake/trips", At: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), By: "op@host", Reason: "dropped table"}
	key := s.Key("manifests/", "attempt")
	if want := "manifests/skips/2026/01/02/0193-attempt.json"; key != want {
		t.Errorf("key %q, want %q", key, want)
	}
	if !IsBookkeeping("manifests/", key) {
		t.Error("the note is taken for data")
	}
	body, err := s.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if got, err := DecodeSkip(body); err != nil || got != s {
		t.Errorf("decoded %+v, %v, want %+v", got, err, s)
	}
	for _, body := range []string{"", "{}", `{"batch":"b"}`, `{"table":"t"}`} {
		if _, err := DecodeSkip([]byte(body)); err == nil {
			t.Errorf("%s was taken for a note", body)
		}
	}
}
