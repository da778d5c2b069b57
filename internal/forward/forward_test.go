package forward

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestTCP_CarriesRequestsAndAnswers(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.Copy(w, r.Body) }))
	defer server.Close()
	listener, err := TCP("127.0.0.1:0", strings.TrimPrefix(server.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	sent := strings.Repeat("trip", 1<<18)
	answer, err := http.Post("http://"+listener.Addr().String(), "text/plain", strings.NewReader(sent))
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if got, err := io.ReadAll(answer.Body); err != nil || string(got) != sent {
		t.Errorf("%d of %d bytes came back: %v", len(got), len(sent), err)
	}
	listener.Close()
	if _, err := http.Get("http://" + listener.Addr().String()); err == nil {
		t.Error("it goes on when it is closed")
	}
}
