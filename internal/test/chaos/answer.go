package chaos

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// answer is the answer of a service.
type answer struct {
	status int
	header http.Header
	body   []byte
	// events replace the body: the stream of a subscription. An answer that is not written must be discarded.
	events io.ReadCloser
}

type words struct {
	status int
	code   string
}

// refusals are the answers of services that refuse a request ("Common errors" and the errors of the operations in the API
// references of Kinesis and DynamoDB; "Error responses" in that of S3; the error responses in Iceberg's rest-catalog-open-api.yaml, in
// which 429 is missing, the answer of gateways in front of catalogs).
var refusals = map[Service]map[Kind]words{
	Kinesis: {
		ServerError: {500, "InternalFailureException"},
		Unavailable: {503, "ServiceUnavailable"},
		Throttled:   {400, "ProvisionedThroughputExceededException"},
		Expired:     {400, "ExpiredTokenException"},
		Forbidden:   {400, "AccessDeniedException"},
	},
	DynamoDB: {
		ServerError: {500, "InternalServerError"},
		Unavailable: {503, "ServiceUnavailable"},
		Throttled:   {400, "ThrottlingException"},
		Exhausted:   {400, "ProvisionedThroughputExceededException"},
		Expired:     {400, "ExpiredTokenException"},
		Forbidden:   {400, "AccessDeniedException"},
		Conflict:    {400, "TransactionCanceledException"},
	},
	S3: {
		ServerError: {500, "InternalError"},
		Unavailable: {503, "ServiceUnavailable"},
		Throttled:   {503, "SlowDown"},
		Expired:     {400, "ExpiredToken"},
		Forbidden:   {403, "AccessDenied"},
		Barred:      {403, "AccessDenied"},
		LateError:   {200, "InternalError"},
	},
	Catalog: {
		ServerError: {500, "InternalServerError"},
		Unavailable: {503, "SlowDownException"},
		Throttled:   {429, "TooManyRequestsException"},
		Expired:     {419, "AuthenticationTimeoutException"},
		Forbidden:   {403, "NotAuthorizedException"},
	},
}

// refusal is the answer of a service that has applied nothing.
func refusal(c call, kind Kind) answer {
	said := refusals[c.service][kind]
	header := http.Header{"X-Amz-Request-Id": {"planted"}, "X-Amzn-Requestid": {"planted"}}
	switch c.service {
	case S3:
		header.Set("Content-Type", "application/xml")
		body := fmt.Appendf(nil, `<?xml version="1.0" encoding="UTF-8"?><Error><Code>%s</Code><Message>planted</Message></Error>`, said.code)
		return answer{status: said.status, header: header, body: body}
	case Catalog:
		header.Set("Content-Type", "application/json")
		return answer{status: said.status, header: header, body: fmt.Appendf(nil, `{"error":{"message":"planted","type":%q,"code":%d}}`, said.code, said.status)}
	}
	header.Set("Content-Type", "application/x-amz-json-1.1")
	return answer{status: said.status, header: header, body: fmt.Appendf(nil, `{"__type":%q,"message":"planted"%s}`, said.code, reasons(c, kind))}
}

// reasons are those of a cancelled transaction, one per item: another worker holds the row of the first shard.
func reasons(c call, kind Kind) string {
	if kind != Conflict {
		return ""
	}
	const fine, failed = `{"Code":"None"}`, `{"Code":"ConditionalCheckFailed","Message":"The conditional request failed"}`
	list := append([]string{fine, failed}, slices.Repeat([]string{fine}, max(len(c.shards)-1, 0))...)
	return `,"CancellationReasons":[` + strings.Join(list, ",") + "]"
}

// write sends the whole answer.
func (a answer) write(w http.ResponseWriter, r *http.Request) {
	a.writeHeader(w, r)
	if a.events != nil {
		a.pass(w)
		return
	}
	_, _ = w.Write(a.body) // the daemon may be gone
}

// discard sends nothing of the answer.
func (a answer) discard() {
	if a.events != nil {
		_ = a.events.Close()
	}
}

// pass forwards the events as they come, until the service or the daemon ends them.
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

// tear sends half of the answer and drops the connection. An answer without a body is dropped at once.
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

// trickle sends the answer in pieces, spread over the given time.
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

// stall sends half of the body, if there is one, and leaves the connection open.
func (a answer) stall(w http.ResponseWriter, r *http.Request) {
	defer a.discard()
	if a.events != nil || r.Method != http.MethodHead && len(a.body) > 1 {
		a.writeHeader(w, r)
		_, _ = w.Write(a.body[:len(a.body)/2])
		_ = http.NewResponseController(w).Flush()
	}
	hang(r)
}

// hang sends nothing until the daemon gives up.
func hang(r *http.Request) {
	<-r.Context().Done()
	drop()
}

// drop closes the connection without an answer.
func drop() { panic(http.ErrAbortHandler) }
