package chaos

import (
	"bytes"
	"io"
	"net/http"
	"time"
)

// complete answers a CompleteMultipartUpload as S3 does when it takes long: the head of a 200 at once, white space while it
// works, and finally the document, which may contain an error (Amazon S3 API reference, CompleteMultipartUpload). It finishes
// even if the client has gone.
func (p *proxy) complete(w http.ResponseWriter, r *http.Request, f fate, send func() answer) {
	const prologue = `<?xml version="1.0" encoding="UTF-8"?>` + "\n"
	const spaces = 8
	w.Header().Set("Content-Type", "application/xml")
	write := func(text string) {
		_, _ = io.WriteString(w, text) // the daemon may be gone
		_ = http.NewResponseController(w).Flush()
	}
	write(prologue)
	began := time.Now()
	tick := time.NewTicker(max(f.delay/spaces, time.Millisecond))
	defer tick.Stop()
	done := time.After(f.delay)
	for {
		select {
		case <-tick.C:
			write(" ")
			continue
		case <-r.Context().Done():
			p.later(f.delay-time.Since(began), send)
			drop()
		case <-done:
		case <-f.settled:
		}
		break
	}
	body := send().body
	if bytes.HasPrefix(body, []byte("<?xml")) {
		_, body, _ = bytes.Cut(body, []byte("?>"))
	}
	write(string(body))
}
