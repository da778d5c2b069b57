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
	// preludeBytes is the size of each message's beginning: its length, the length of its headers, and their checksum
	// ("Amazon event stream specification", Smithy).
	preludeBytes = 12
	// maxMessageBytes bounds a message: 16 MiB of payload and 128 KiB of headers by the same specification, plus some
	// room.
	maxMessageBytes = 24 << 20
	// eventRecord is the minimum size of a record in an event.
	eventRecord = 180
)

// eventProtocol is the Kinesis client's protocol for one call of SubscribeToShard. It takes the stream of events out of
// the answer, so that the SDK, whose decoding costs several times as much, finds none. The request is the SDK's.
type eventProtocol struct {
	smithyhttp.ClientProtocol // of the SDK, AWS JSON 1.1
	into                      *io.ReadCloser
	date                      *time.Time // by the service's clock
}

// DeserializeResponse reads the service's error, or takes the stream.
func (p eventProtocol) DeserializeResponse(ctx context.Context, schema *smithy.OperationSchema, types *smithy.TypeRegistry, resp *smithyhttp.Response, out smithy.Deserializable) error {
	if resp.StatusCode != http.StatusOK {
		return p.ClientProtocol.DeserializeResponse(ctx, schema, types, resp, out)
	}
	if media, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type")); media != contentTypeEvents {
		return &smithy.DeserializationError{Err: fmt.Errorf("the answer is %q, not %s", resp.Header.Get("Content-Type"), contentTypeEvents)}
	}
	*p.into, *p.date = resp.Body, date(resp)
	resp.Body = http.NoBody
	return nil
}

// HasInitialEventMessage keeps the SDK from waiting for the first message.
func (eventProtocol) HasInitialEventMessage() bool { return false }

// DeserializeEventMessage reports to the SDK that there is nothing to read.
func (eventProtocol) DeserializeEventMessage(*smithy.Schema, *smithy.TypeRegistry, io.Reader) (smithy.Deserializable, error) {
	return nil, io.EOF
}

// subscription is an open stream of events. Unread events wait in the connection, and block the service once it is
// full.
type subscription struct {
	body    io.ReadCloser
	cancel  context.CancelFunc
	decoder *eventstream.Decoder

	// head receives nil when the prelude of the next message has been read, or else the error. It is nil after that.
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

// await waits for the next message, which event then reads, and reports whether it has begun. io.EOF is the regular end
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

// memory bounds the memory that the message that has begun needs.
func (s *subscription) memory() int64 {
	n := min(s.size(), maxMessageBytes)
	return int64(n + n/eventRecord*(entryBytes+recordBytes))
}

// event reads the message that has begun. known is false if the message is not of interest.
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
		return false, fmt.Errorf("event of %d bytes: want at most %d", size, maxMessageBytes)
	}
	a.body = bodies.get(size + bytes.MinRead) // with this spare room, the decoder does not grow the slice
	message, err := s.decoder.Decode(io.MultiReader(bytes.NewReader(s.prelude[:]), s.body), a.body.s)
	if err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return false, fmt.Errorf("read event: %w", err)
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
		return false, fmt.Errorf("unknown message type %q", kind)
	}
	if header(message, eventstream.EventTypeHeader) != "SubscribeToShardEvent" {
		return false, nil // the initial response, or a future kind of event
	}
	if err := a.decode(wireJSON); err != nil {
		return false, err
	}
	if a.next == "" && len(a.children) == 0 {
		return false, errors.New("the event has neither ContinuationSequenceNumber nor ChildShards")
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

// exception returns the error that ends the stream.
func exception(code string, payload []byte) error {
	var e struct {
		Message      string `json:"message"`
		MessageUpper string `json:"Message"`
	}
	_ = json.Unmarshal(payload, &e) // the code is what matters
	if e.Message == "" {
		e.Message = e.MessageUpper
	}
	return &smithy.GenericAPIError{Code: code, Message: e.Message}
}

// close ends the stream. No method may be called after it.
func (s *subscription) close() {
	s.cancel()
	s.body.Close()
	if s.head != nil {
		<-s.head
	}
}
