package chaos

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"
)

// answer is what a service has said.
type answer struct {
	status int
	header http.Header
	body   []byte
	// events are what follows in place of a body: the stream of a subscription. Who does not write the answer discards it.
	events io.ReadCloser
}

// refusal is an answer by which the service would say that it has applied nothing.
func refusal(c call, kind Kind) answer {
	type words struct {
		status int
		code   string
	}
	said := map[Service]map[Kind]words{
		Kinesis: {
			ServerError: {500, "InternalFailureException"},
			Unavailable: {503, "ServiceUnavailable"},
			Throttled:   {400, "ProvisionedThroughputExceededException"},
		},
		DynamoDB: {
			ServerError: {500, "InternalServerError"},
			Unavailable: {503, "ServiceUnavailable"},
			Throttled:   {400, "ThrottlingException"},
		},
		S3: {
			ServerError: {500, "InternalError"},
			Unavailable: {503, "ServiceUnavailable"},
			Throttled:   {503, "SlowDown"},
		},
	}[c.service][kind]
	header := http.Header{"X-Amz-Request-Id": {"planted"}, "X-Amzn-Requestid": {"planted"}}
	if c.service == S3 {
		header.Set("Content-Type", "application/xml")
		body := fmt.Appendf(nil, `<?xml version="1.0" encoding="UTF-8"?><Error><Code>%s</Code><Message>planted</Message></Error>`, said.code)
		return answer{status: said.status, header: header, body: body}
	}
	header.Set("Content-Type", "application/x-amz-json-1.1")
	return answer{status: said.status, header: header, body: fmt.Appendf(nil, `{"__type":%q,"message":"planted"}`, said.code)}
}

// write gives the whole answer.
func (a answer) write(w http.ResponseWriter, r *http.Request) {
	a.writeHeader(w, r)
	if a.events != nil {
		a.pass(w)
		return
	}
	_, _ = w.Write(a.body) // the daemon may be gone
}

// discard gives nothing of the answer.
func (a answer) discard() {
	if a.events != nil {
		_ = a.events.Close()
	}
}

// pass gives the events as they come, until the service or the daemon ends them.
func (a answer) pass(w http.ResponseWriter) {
	defer a.discard()
	buffer := make([]byte, 64<<10)
	for {
		n, err := a.events.Read(buffer)
		if _, gone := w.Write(buffer[:n]); gone != nil || err == io.EOF {
			return
		}
		if err != nil {
			drop()
		}
		_ = http.NewResponseController(w).Flush()
	}
}

func (a answer) writeHeader(w http.ResponseWriter, r *http.Request) {
	for name, values := range a.header {
		w.Header()[name] = values
	}
	if r.Method != http.MethodHead && a.events == nil {
		w.Header().Set("Content-Length", strconv.Itoa(len(a.body)))
	}
	w.WriteHeader(a.status)
}

// tear gives half of the answer and drops the connection. What has no body is dropped at once.
func (a answer) tear(w http.ResponseWriter, r *http.Request) {
	if a.events != nil {
		const life = 300 * time.Millisecond // at some place in the events
		time.AfterFunc(life, a.discard)
		a.write(w, r)
		drop()
	}
	if r.Method != http.MethodHead && len(a.body) > 1 {
		a.writeHeader(w, r)
		_, _ = w.Write(a.body[:len(a.body)/2])
		_ = http.NewResponseController(w).Flush()
	}
	drop()
}

// trickle gives the answer in pieces that take the time together.
func (a answer) trickle(w http.ResponseWriter, r *http.Request, took time.Duration) {
	const pieces = 8
	a.writeHeader(w, r)
	if a.events != nil {
		time.Sleep(took)
		a.pass(w)
		return
	}
	size := len(a.body)/pieces + 1
	for rest := bytes.NewBuffer(a.body); rest.Len() > 0; {
		if _, err := w.Write(rest.Next(size)); err != nil {
			return
		}
		_ = http.NewResponseController(w).Flush()
		time.Sleep(took / pieces)
	}
}

// drop ends the connection without another word.
func drop() { panic(http.ErrAbortHandler) }
