package source

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"time"

	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/eventstream"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

const (
	contentTypeEvents = "application/vnd.amazon.eventstream"
	// preludeBytes is the beginning of each message: its length, the length of its headers, and their checksum ("Amazon
	// event stream specification", Smithy).
	preludeBytes = 12
	// maxMessageBytes bounds a message: 16 MiB of payload and 128 KiB of headers, by the same specification, and some room.
	maxMessageBytes = 24 << 20
	// eventRecord is the least that a record takes up in an event.
	eventRecord = 180
)

// eventProtocol is the Kinesis client's protocol for one call of SubscribeToShard. It takes the stream of events out of
// the answer, so that the SDK, which decodes at several times the cost, finds none. The way there is the SDK's.
type eventProtocol struct {
	smithyhttp.ClientProtocol // of the SDK, AWS JSON 1.1
	into                      *io.ReadCloser
}

// DeserializeResponse reads the error that the service gave, or takes the stream.
func (p eventProtocol) DeserializeResponse(ctx context.Context, schema *smithy.OperationSchema, types *smithy.TypeRegistry, resp *smithyhttp.Response, out smithy.Deserializable) error {
	if resp.StatusCode != http.StatusOK {
		return p.ClientProtocol.DeserializeResponse(ctx, schema, types, resp, out)
	}
	if media, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type")); media != contentTypeEvents {
		return &smithy.DeserializationError{Err: fmt.Errorf("the answer is %q, not %s", resp.Header.Get("Content-Type"), contentTypeEvents)}
	}
	*p.into = resp.Body
	resp.Body = http.NoBody
	return nil
}

// HasInitialEventMessage keeps the SDK from waiting for the first message.
func (eventProtocol) HasInitialEventMessage() bool { return false }

// DeserializeEventMessage tells the SDK that there is nothing to read.
func (eventProtocol) DeserializeEventMessage(*smithy.Schema, *smithy.TypeRegistry, io.Reader) (smithy.Deserializable, error) {
	return nil, io.EOF
}

// subscription is an open stream of events. What is not read from it waits in the connection, and holds the service back
// when that is full.
type subscription struct {
	body    io.ReadCloser
	cancel  context.CancelFunc
	decoder *eventstream.Decoder

	// head receives when the prelude of the next message has been read, or the error that came in its place. It is nil when
	// it has been received.
	head    chan error
	prelude [preludeBytes]byte
	err     error // final
	events  int
}

func openSubscription(body io.ReadCloser, cancel context.CancelFunc) *subscription {
	s := &subscription{body: body, cancel: cancel, decoder: eventstream.NewDecoder()}
	s.expect()
	return s
}

// expect begins to wait for the next message.
func (s *subscription) expect() {
	head := make(chan error, 1)
	s.head = head
	go func() {
		_, err := io.ReadFull(s.body, s.prelude[:])
		head <- err
	}()
}

// await waits for the next message, which event then reads, and tells whether it has begun. An io.EOF is the regular end
// of the subscription.
func (s *subscription) await(ctx context.Context, deadline time.Time) (begun bool, err error) {
	if s.err != nil {
		return false, s.err
	}
	if s.head == nil {
		return true, nil
	}
	timer := time.NewTimer(time.Until(deadline))
	defer timer.Stop()
	select {
	case s.err = <-s.head:
		s.head = nil
		return s.err == nil, s.err
	case <-timer.C:
		return false, nil
	case <-ctx.Done():
		return false, ctx.Err()
	}
}

// size is the length of the message that has begun.
func (s *subscription) size() int { return int(binary.BigEndian.Uint32(s.prelude[:])) }

// memory bounds what the message that has begun takes up.
func (s *subscription) memory() int64 {
	n := min(s.size(), maxMessageBytes)
	return int64(n + n/eventRecord*(entryBytes+recordBytes))
}

// event reads the message that has begun. known is false if it is of no interest.
func (s *subscription) event(a *answer) (known bool, err error) {
	known, err = s.read(a)
	if s.err = err; err == nil {
		s.expect()
	}
	return known, err
}

func (s *subscription) read(a *answer) (known bool, err error) {
	size := s.size()
	if size > maxMessageBytes {
		return false, fmt.Errorf("an event of %d bytes, more than %d", size, maxMessageBytes)
	}
	a.body = bodies.get(size + bytes.MinRead) // with so much to spare, what the decoder fills does not grow
	message, err := s.decoder.Decode(io.MultiReader(bytes.NewReader(s.prelude[:]), s.body), a.body.s)
	if err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return false, fmt.Errorf("read an event: %w", err)
	}
	a.body.s = message.Payload
	switch kind := header(message, eventstream.MessageTypeHeader); kind {
	case eventstream.EventMessageType:
	case eventstream.ExceptionMessageType:
		return false, exception(header(message, eventstream.ExceptionTypeHeader), message.Payload)
	case eventstream.ErrorMessageType:
		return false, &smithy.GenericAPIError{
			Code: header(message, eventstream.ErrorCodeHeader), Message: header(message, eventstream.ErrorMessageHeader),
		}
	default:
		return false, fmt.Errorf("a message of type %q", kind)
	}
	if header(message, eventstream.EventTypeHeader) != "SubscribeToShardEvent" {
		return false, nil // the initial response, or what there will be one day
	}
	if err := a.decode(wireJSON); err != nil {
		return false, err
	}
	if a.next == "" && len(a.children) == 0 {
		return false, errors.New("an event has neither ContinuationSequenceNumber nor ChildShards")
	}
	s.events++
	return true, nil
}

func header(m eventstream.Message, name string) string {
	if v, ok := m.Headers.Get(name).(eventstream.StringValue); ok {
		return string(v)
	}
	return ""
}

// exception is an error that ends the stream.
func exception(code string, payload []byte) error {
	var e struct {
		Message      string `json:"message"`
		MessageUpper string `json:"Message"`
	}
	_ = json.Unmarshal(payload, &e) // the code says what matters
	if e.Message == "" {
		e.Message = e.MessageUpper
	}
	return &smithy.GenericAPIError{Code: code, Message: e.Message}
}

// close ends the stream. Nothing may be called after it.
func (s *subscription) close() {
	s.cancel()
	s.body.Close()
	if s.head != nil {
		<-s.head
	}
}
