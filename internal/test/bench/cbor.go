package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"strings"

	"github.com/aws/smithy-go/encoding/cbor"
)

// contentTypeCBOR is what AWS's SDKs for Java send and expect from Kinesis.
const contentTypeCBOR = "application/x-amz-cbor-1.1"

// inCBOR lets an SDK for Java make all its calls: the stream takes GetRecords in CBOR, and the rest in JSON only. Members and values
// are the same in both; times are seconds in JSON, and milliseconds with tag 1 in CBOR (SdkCborGenerator of the SDK for Java 1).
func inCBOR(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Content-Type") != contentTypeCBOR || strings.HasSuffix(r.Header.Get("X-Amz-Target"), ".GetRecords") {
			h.ServeHTTP(w, r)
			return
		}
		text, err := jsonOfCBOR(r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(text)), int64(len(text))
		r.Header.Set("Content-Type", "application/x-amz-json-1.1")
		answer := &answered{header: w.Header(), status: http.StatusOK}
		h.ServeHTTP(answer, r)
		w.Header().Del("Content-Length")
		w.Header().Set("Content-Type", contentTypeCBOR)
		w.WriteHeader(answer.status)
		if answer.Len() > 0 {
			_, _ = w.Write(cborOfJSON(answer.Bytes())) // a client that is gone asks again
		}
	})
}

// answered holds an answer back.
type answered struct {
	bytes.Buffer
	header http.Header
	status int
}

func (a *answered) Header() http.Header    { return a.header }
func (a *answered) WriteHeader(status int) { a.status = status }

func jsonOfCBOR(body io.Reader) ([]byte, error) {
	all, err := io.ReadAll(body)
	if err != nil {
		return nil, err
	}
	value, err := cbor.Decode(all)
	if err != nil {
		return nil, fmt.Errorf("read a request in CBOR: %w", err)
	}
	return json.Marshal(plain(value))
}

// plain makes of a request's value what encoding/json writes.
func plain(v cbor.Value) any {
	switch v := v.(type) {
	case cbor.Map:
		members := make(map[string]any, len(v))
		for name, member := range v {
			members[name] = plain(member)
		}
		return members
	case cbor.List:
		all := make([]any, len(v))
		for i := range v {
			all[i] = plain(v[i])
		}
		return all
	case *cbor.Tag:
		if ms, ok := v.Value.(cbor.Uint); ok {
			return float64(ms) / 1000
		}
		return plain(v.Value)
	case *cbor.Nil:
		return nil
	}
	return v // numbers, strings, bytes and truth values are Go's own
}

func cborOfJSON(text []byte) []byte {
	var value any
	if err := json.Unmarshal(text, &value); err != nil {
		panic(err) // the stream of this process made it
	}
	return cbor.Encode(wire("", value))
}

// wire makes a CBOR value of a member of an answer.
func wire(name string, v any) cbor.Value {
	switch v := v.(type) {
	case map[string]any:
		members := make(cbor.Map, len(v))
		for name, member := range v {
			members[name] = wire(name, member)
		}
		return members
	case []any:
		all := make(cbor.List, len(v))
		for i := range v {
			all[i] = wire(name, v[i])
		}
		return all
	case string:
		return cbor.String(v)
	case bool:
		return cbor.Bool(v)
	case float64:
		if strings.HasSuffix(name, "Timestamp") {
			return &cbor.Tag{ID: 1, Value: cbor.Uint(math.Round(v * 1000))}
		}
		return cbor.Uint(v)
	}
	return &cbor.Nil{}
}
