package source

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"sync/atomic"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/encoding/cbor"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// wireFormat is the encoding of requests and answers of GetRecords.
type wireFormat int

const (
	// wireCBOR is what the AWS SDK for Java uses with Kinesis, by default since its first version: the same operations
	// as in JSON, with the same X-Amz-Target, but payloads are raw bytes instead of base64.
	wireCBOR wireFormat = iota
	// wireJSON is AWS JSON 1.1 (Smithy specification), the documented protocol of Kinesis.
	wireJSON
)

const contentTypeCBOR = "application/x-amz-cbor-1.1"

// format is the encoding of a Source's calls. It begins with CBOR, and switches to JSON for good if the service does
// not understand CBOR.
type format struct {
	json  atomic.Bool
	works atomic.Bool // CBOR was understood
}

func (f *format) request() wireFormat {
	if f.json.Load() {
		return wireJSON
	}
	return wireCBOR
}

// refused notes that a call failed, and reports whether that is a reason to switch to JSON: the service, or an emulator
// of it, does not know the operation or the body in this format, or its answer is malformed.
func (f *format) refused(err error) bool {
	if f.json.Load() {
		return false
	}
	api, answered := errors.AsType[smithy.APIError](err)
	_, unreadable := errors.AsType[*smithy.DeserializationError](err)
	switch {
	case answered:
		switch api.ErrorCode() {
		case "UnknownOperationException", "SerializationException", "UnsupportedMediaTypeException", "UnknownError":
		default:
			return false
		}
	case !unreadable:
		return false
	}
	if response, ok := errors.AsType[*smithyhttp.ResponseError](err); ok && f.works.Load() && response.HTTPStatusCode() != http.StatusOK {
		return false // it was understood before: something else is wrong
	}
	return !f.json.Swap(true)
}

// protocol is the Kinesis client's protocol for one call of GetRecords. It writes the request in CBOR or JSON and reads
// the answer in whichever of the two it comes, into our own answer instead of the SDK's GetRecordsOutput, which costs
// several times what the rest of the pipeline does. Everything in between (signature, endpoint and connection) is the
// SDK's.
type protocol struct {
	smithyhttp.ClientProtocol // of the SDK, AWS JSON 1.1
	request                   wireFormat
	into                      *answer
}

// SerializeRequest writes a GetRecords request.
func (p protocol) SerializeRequest(ctx context.Context, schema *smithy.OperationSchema, in smithy.Serializable, req *smithyhttp.Request) error {
	if err := p.ClientProtocol.SerializeRequest(ctx, schema, in, req); err != nil || p.request == wireJSON {
		return err
	}
	input, ok := in.(*kinesis.GetRecordsInput)
	if !ok {
		return fmt.Errorf("want a GetRecords input, have %T", in)
	}
	members := cbor.Map{}
	if input.ShardIterator != nil {
		members["ShardIterator"] = cbor.String(*input.ShardIterator)
	}
	if input.StreamARN != nil {
		members["StreamARN"] = cbor.String(*input.StreamARN)
	}
	if input.Limit != nil {
		members["Limit"] = cbor.Uint(*input.Limit)
	}
	written, err := req.SetStream(bytes.NewReader(cbor.Encode(members)))
	if err != nil {
		return err
	}
	*req = *written
	req.Header.Set("Content-Type", contentTypeCBOR)
	return nil
}

// DeserializeResponse reads the answer, or the service's error, which is the SDK's type in both formats.
func (p protocol) DeserializeResponse(ctx context.Context, schema *smithy.OperationSchema, types *smithy.TypeRegistry, resp *smithyhttp.Response, out smithy.Deserializable) error {
	format := wireJSON
	if media, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type")); media == contentTypeCBOR {
		format = wireCBOR
	}
	if resp.StatusCode != http.StatusOK {
		if format == wireCBOR {
			if err := errorAsJSON(resp); err != nil {
				return &smithy.DeserializationError{Err: err}
			}
		}
		return p.ClientProtocol.DeserializeResponse(ctx, schema, types, resp, out)
	}
	p.into.date = date(resp)
	if err := p.into.read(resp.Response, format); err != nil {
		return fmt.Errorf("read answer: %w", err)
	}
	err := p.into.decode(format)
	if p.into.failed != nil {
		return fmt.Errorf("read answer: %w", p.into.failed)
	}
	if err != nil {
		return &smithy.DeserializationError{Err: err}
	}
	p.into.filled = true
	return nil
}

// maxErrorBytes bounds the body of an error; Kinesis writes a few hundred bytes.
const maxErrorBytes = 1 << 20

// errorAsJSON rewrites a CBOR error to what the SDK's own protocol reads.
func errorAsJSON(resp *smithyhttp.Response) error {
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxErrorBytes))
	if err != nil {
		return err
	}
	var e struct {
		Type    string `json:"__type"`
		Message string `json:"message"`
	}
	if e.Type, e.Message, err = cborError(body); err != nil {
		return err
	}
	text, err := json.Marshal(e)
	if err != nil {
		return err
	}
	resp.Body = struct {
		io.Reader
		io.Closer
	}{bytes.NewReader(text), resp.Body}
	return nil
}
