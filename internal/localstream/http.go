package localstream

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	targetPrefix = "Kinesis_20131202."
	contentType  = "application/x-amz-json-1.1"
	// maxBodyBytes leaves room for the largest valid request in base64, so that one which is too large gets the error
	// that the service documents.
	maxBodyBytes = 32 << 20
	// maxPooledBytes keeps an unusually large answer from holding memory for ever.
	maxPooledBytes = 16 << 20
)

// call is a request in progress. Its operation appends the answer to out.
type call struct {
	operation string
	body      []byte
	out       []byte
	scratch   []byte
	now       time.Time
	fault     *Fault
	faultHit  bool // a fault of the event stream has taken effect
	cbor      bool // the request and the answer are written in CBOR
	// subscription is the subscription that SubscribeToShard began; its events are the answer.
	subscription *subscription
}

var calls = sync.Pool{New: func() any { return new(call) }}

// recycle keeps the buffers for another call.
func (c *call) recycle() {
	if max(cap(c.body), cap(c.out), cap(c.scratch)) > maxPooledBytes {
		return
	}
	*c = call{body: c.body[:0], out: c.out[:0], scratch: c.scratch[:0]}
	calls.Put(c)
}

// reserve makes room in out.
func (c *call) reserve(bytes int) {
	if cap(c.out)-len(c.out) < bytes {
		c.out = append(make([]byte, 0, len(c.out)+bytes), c.out...)
	}
}

// takeScratch returns an empty buffer that takes this many bytes without being moved.
func (c *call) takeScratch(bytes int) []byte {
	if cap(c.scratch) < bytes {
		c.scratch = make([]byte, 0, bytes)
	}
	return c.scratch[:0]
}

// decode reads the body into a request.
func (c *call) decode(request any) error {
	if err := json.Unmarshal(c.body, request); err != nil {
		return errorf(codeSerialization, "%s", err)
	}
	return nil
}

func appendJSON(dst []byte, value any) []byte {
	text, err := json.Marshal(value)
	if err != nil {
		panic(fmt.Sprintf("localstream: marshal %T: %v", value, err)) // only called with types of this package
	}
	return append(dst, text...)
}

// operations maps the names in the API to what performs them.
var operations = map[string]func(*Kinesis, *call) error{
	"CreateStream":                  (*Kinesis).createStream,
	"DecreaseStreamRetentionPeriod": (*Kinesis).decreaseRetention,
	"DeleteStream":                  (*Kinesis).deleteStream,
	"DescribeStream":                (*Kinesis).describeStream,
	"DescribeStreamConsumer":        (*Kinesis).describeStreamConsumer,
	"DescribeStreamSummary":         (*Kinesis).describeStreamSummary,
	"DeregisterStreamConsumer":      (*Kinesis).deregisterStreamConsumer,
	"GetRecords":                    (*Kinesis).getRecords,
	"GetShardIterator":              (*Kinesis).getShardIterator,
	"IncreaseStreamRetentionPeriod": (*Kinesis).increaseRetention,
	"ListShards":                    (*Kinesis).listShards,
	"ListStreamConsumers":           (*Kinesis).listStreamConsumers,
	"ListStreams":                   (*Kinesis).listStreams,
	"MergeShards":                   (*Kinesis).mergeShards,
	"PutRecord":                     (*Kinesis).putRecord,
	"PutRecords":                    (*Kinesis).putRecords,
	"RegisterStreamConsumer":        (*Kinesis).registerStreamConsumer,
	"SplitShard":                    (*Kinesis).splitShard,
	"SubscribeToShard":              (*Kinesis).subscribeToShard,
	"UpdateMaxRecordSize":           (*Kinesis).updateMaxRecordSize,
	"UpdateShardCount":              (*Kinesis).updateShardCount,
}

// ServeHTTP answers one call of the AWS JSON 1.1 protocol. It does not check signatures.
func (k *Kinesis) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c := calls.Get().(*call)
	defer c.recycle()
	// Read the whole body before answering: a client that is still writing when the answer arrives assumes a broken
	// connection.
	if err := c.readBody(w, r); err != nil {
		k.answer(w, c, errorf(codeSerialization, "read request: %s", err))
		return
	}
	operation, ok := strings.CutPrefix(r.Header.Get("X-Amz-Target"), targetPrefix)
	perform := operations[operation]
	if !ok || perform == nil || r.Method != http.MethodPost {
		k.answer(w, c, errorf(codeUnknownOperation, "no such operation"))
		return
	}
	if c.cbor = r.Header.Get("Content-Type") == contentTypeCBOR; c.cbor && operation != "GetRecords" {
		k.answer(w, c, errorf(codeSerialization, "%s is understood in JSON only", operation))
		return
	}
	c.operation = operation
	c.fault = k.options.Faults.pick(operation)
	k.perform(w, r, c, perform)
}

// perform runs an operation with the fault that hits it.
func (k *Kinesis) perform(w http.ResponseWriter, r *http.Request, c *call, operation func(*Kinesis, *call) error) {
	defer func() {
		if c.fault.ofStream() && !c.faultHit {
			c.fault.missed()
		}
	}()
	if c.fault.is(LostRequest) {
		panic(http.ErrAbortHandler)
	}
	if c.fault.is(LateRequest) {
		k.sleep(c.fault.rule.Delay)
	}
	c.now = k.now()
	err := c.fault.refusal()
	if err == nil {
		err = operation(k, c)
	}
	if c.fault.is(LateAnswer) {
		k.sleep(c.fault.rule.Delay)
	}
	if c.fault.is(LostAnswer) {
		panic(http.ErrAbortHandler)
	}
	if c.subscription != nil {
		k.push(w, r, c)
		return
	}
	k.answer(w, c, err)
}

// sleep waits for the delay, or until the server closes.
func (k *Kinesis) sleep(delay time.Duration) {
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-k.done:
	}
}

func (c *call) readBody(w http.ResponseWriter, r *http.Request) error {
	body := http.MaxBytesReader(w, r.Body, maxBodyBytes)
	if size := r.ContentLength; size > int64(cap(c.body)) && size <= maxBodyBytes {
		// One extra byte lets the loop see the end without growing the buffer.
		c.body = make([]byte, 0, size+1)
	}
	for {
		if len(c.body) == cap(c.body) {
			c.body = append(c.body, 0)[:len(c.body)]
		}
		n, err := body.Read(c.body[len(c.body):cap(c.body)])
		c.body = c.body[:len(c.body)+n]
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// answer writes what an operation produced, or its error.
func (k *Kinesis) answer(w http.ResponseWriter, c *call, err error) {
	status := http.StatusOK
	if err != nil {
		api := asAPIError(err)
		status = api.status
		c.out = c.appendError(c.out[:0], api)
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(c.out)))
	k.writeHeader(w, c.contentType(), status)
	// A caller that has gone needs no answer.
	_, _ = w.Write(c.out)
}

func (k *Kinesis) writeHeader(w http.ResponseWriter, contentType string, status int) {
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("X-Amzn-RequestId", fmt.Sprintf("00000000-0000-4000-8000-%012x", k.request.Add(1)))
	w.WriteHeader(status)
}

func (c *call) contentType() string {
	if c.cbor {
		return contentTypeCBOR
	}
	return contentType
}

func (c *call) appendError(dst []byte, e *apiError) []byte {
	if c.cbor {
		return appendCBORError(dst, e)
	}
	return appendJSON(dst, struct {
		Type    string `json:"__type"`
		Message string `json:"message"`
	}{e.code, e.message})
}
