package limits

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/aws/smithy-go/encoding/cbor"
)

// call is one request of a service.
type call struct {
	*http.Request
	operation string
	body      []byte // nil for requests of S3 that are not documents
	in        object // of Kinesis and DynamoDB
	now       time.Time
}

// object is a value of the AWS JSON protocols, or its equivalent in CBOR. Payloads are strings in JSON and byte slices in CBOR.
type object map[string]any

func (o object) text(name string) string {
	s, _ := o[name].(string)
	return s
}

func (o object) number(name string) float64 {
	n, _ := o[name].(float64)
	return n
}

func (o object) list(name string) []any {
	l, _ := o[name].([]any)
	return l
}

func (o object) object(name string) object { return asObject(o[name]) }

func asObject(v any) object {
	m, _ := v.(map[string]any)
	return m
}

// identify reads what the rules need from a request.
func (p *Proxy) identify(r *http.Request) (*call, error) {
	c := &call{Request: r}
	if r.Body == nil {
		r.Body = http.NoBody
	}
	switch p.service {
	case S3:
		c.operation = S3Operation(r)
		if c.operation != completeUpload {
			return c, nil
		}
	case Lambda:
		c.operation = lambdaOperation(r)
	default:
		_, c.operation, _ = strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	if err := r.Body.Close(); err != nil {
		return nil, err
	}
	c.body = body
	if p.service != S3 && p.service != Lambda {
		// The service refuses what cannot be read.
		c.in, _ = decode(r.Header, body)
	}
	return c, nil
}

// decode reads a body in the format of its header.
func decode(h http.Header, body []byte) (object, error) {
	if strings.Contains(h.Get("Content-Type"), "cbor") {
		v, err := cbor.Decode(body)
		if err != nil {
			return nil, err
		}
		return asObject(plain(v)), nil
	}
	var o object
	err := json.Unmarshal(body, &o)
	return o, err
}

// plain converts a CBOR value to what encoding/json would return.
func plain(v cbor.Value) any {
	switch v := v.(type) {
	case cbor.Uint:
		return float64(v)
	case cbor.NegInt:
		return -float64(v)
	case cbor.Float32:
		return float64(v)
	case cbor.Float64:
		return float64(v)
	case cbor.String:
		return string(v)
	case cbor.Slice:
		return []byte(v)
	case cbor.Bool:
		return bool(v)
	case *cbor.Tag:
		return plain(v.Value)
	case cbor.List:
		list := make([]any, len(v))
		for i := range v {
			list[i] = plain(v[i])
		}
		return list
	case cbor.Map:
		m := make(map[string]any, len(v))
		for name := range v {
			m[name] = plain(v[name])
		}
		return m
	}
	return nil
}

// Rule is a limit of a service.
type Rule struct {
	Name string
	// Rate says whether the limit is one of calls or bytes per time. Others that share the shard or the account may have caused
	// such a refusal.
	Rate bool
}

// refusal is the answer to a call beyond a limit.
type refusal struct {
	rule    Rule
	status  int
	code    string
	message string
	reasons []string // codes of a cancelled transaction, one per action
}

func refuse(rule, code, format string, args ...any) *refusal {
	return &refusal{rule: Rule{Name: rule}, status: http.StatusBadRequest, code: code, message: fmt.Sprintf(format, args...)}
}

func throttle(rule, code, format string, args ...any) *refusal {
	r := refuse(rule, code, format, args...)
	r.rule.Rate = true
	return r
}

func (f *refusal) response(service Service, r *http.Request) *http.Response {
	header := http.Header{"X-Amz-Request-Id": {"limit"}, "X-Amzn-Requestid": {"limit"}}
	var body []byte
	if service == S3 {
		header.Set("Content-Type", "application/xml")
		body = fmt.Appendf(nil, `<?xml version="1.0" encoding="UTF-8"?>`+"\n"+`<Error><Code>%s</Code><Message>%s</Message></Error>`, f.code, f.message)
	} else {
		header.Set("Content-Type", "application/x-amz-json-1.1")
		out := map[string]any{"__type": f.code, "message": f.message}
		if f.reasons != nil {
			var reasons []map[string]string
			for _, code := range f.reasons {
				reasons = append(reasons, map[string]string{"Code": code})
			}
			out["CancellationReasons"] = reasons
		}
		body, _ = json.Marshal(out) // strings never fail
	}
	return &http.Response{
		StatusCode: f.status, Status: http.StatusText(f.status), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: header, Body: io.NopCloser(bytes.NewReader(body)), ContentLength: int64(len(body)), Request: r,
	}
}

// signature refuses requests that were signed at another time. A request has to reach AWS within five minutes of its time stamp ("AWS
// Signature Version 4 for API requests", IAM User Guide; InvalidSignatureException names the five minutes), and S3 within 15
// ("Authenticating Requests (AWS Signature Version 4)", Amazon S3 API Reference; RequestTimeTooSkewed in its "Error responses").
func signature(service Service, c *call) *refusal {
	const layout = "20060102T150405Z"
	signed, err := time.Parse(layout, c.Header.Get("X-Amz-Date"))
	if err != nil {
		return nil // not signed, or presigned
	}
	off := c.now.Sub(signed)
	if service == S3 {
		if off.Abs() <= 15*time.Minute {
			return nil
		}
		r := refuse("signature age", "RequestTimeTooSkewed", "The difference between the request time and the current time is too large.")
		r.status = http.StatusForbidden
		return r
	}
	switch now := c.now.UTC().Format(layout); {
	case off > 5*time.Minute:
		return refuse("signature age", "InvalidSignatureException", "Signature expired: %s is now earlier than %s - 5 min.", signed.Format(layout), now)
	case off < -5*time.Minute:
		return refuse("signature age", "InvalidSignatureException", "Signature not yet current: %s is still later than %s + 5 min.", signed.Format(layout), now)
	}
	return nil
}
