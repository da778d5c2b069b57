package registry

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/klauspost/compress/zlib"

	"aws-streaming-pipeline/internal/backoff"
	"aws-streaming-pipeline/internal/logkey"
	"aws-streaming-pipeline/record"
)

// The frame (awslabs/aws-glue-schema-registry, AWSSchemaRegistryConstants).
const (
	headerVersion   = 3
	compressionNone = 0
	compressionZlib = 5
	headerBytes     = 2 + len(uuid.UUID{})
)

// ErrUnknown is the error for a schema version that the registry does not have.
var ErrUnknown = errors.New("the registry has no such schema version")

// Service is a schema registry.
type Service interface {
	// SchemaVersion returns a schema version by its id, or ErrUnknown if the registry does not have it. Any other error may
	// pass.
	SchemaVersion(ctx context.Context, id string) (Definition, error)
}

const (
	// callTimeout bounds one call, which has a small answer.
	callTimeout = 10 * time.Second
	remindEvery = time.Minute
)

// outage bounds the waits between calls that fail.
var outage = backoff.Policy{First: 200 * time.Millisecond, Longest: 10 * time.Second}

// Results of calls.
const (
	resultOK      = "ok"
	resultUnknown = "unknown"
	resultError   = "error"
)

// Registry opens framed payloads; it is the record.Frames of a decoder. It is safe for concurrent use.
type Registry struct {
	service Service
	log     *slog.Logger
	counted func(result string)
	cache   cache

	mu      sync.Mutex
	flights map[uuid.UUID]chan struct{} // lookups under way; closed at their end
	trouble map[uuid.UUID]error         // of lookups that are being repeated
}

// New makes a Registry. Each call of the service is counted by its result: ok, unknown or error.
func New(service Service, log *slog.Logger, counted func(result string)) *Registry {
	return &Registry{service: service, log: log, counted: counted, flights: make(map[uuid.UUID]chan struct{}), trouble: make(map[uuid.UUID]error)}
}

// Framed reports whether a payload begins like a frame.
func (r *Registry) Framed(payload []byte) bool {
	return len(payload) > 0 && payload[0] == headerVersion
}

// mostStrange is how many schema versions that the registry does not have one Kinesis record may name before no more are
// looked for: an aggregate of 1 MB has room for tens of thousands, each of which would take a call. Such records come
// from one producer, and can be re-driven.
const mostStrange = 16

// Open implements record.Frames.
func (r *Registry) Open(ctx context.Context, payload []byte, limit int, strange *int) ([]byte, *record.Fault, error) {
	if len(payload) < headerBytes {
		return nil, faultOf(record.CodeRegistryFrameCorrupt, "a frame has %d bytes, and the payload %d", headerBytes, len(payload)), nil
	}
	id, data := uuid.UUID(payload[2:headerBytes]), payload[headerBytes:len(payload):len(payload)]
	if c := payload[1]; c != compressionNone && c != compressionZlib {
		return nil, faultOf(record.CodeRegistryFrameCorrupt, "the compression byte is 0x%02x: want 0x%02x or 0x%02x", c, compressionNone, compressionZlib), nil
	}
	v, err := r.version(ctx, id, strange)
	if err != nil {
		return nil, nil, err
	}
	if v.fault != nil {
		return nil, v.fault, nil
	}
	if payload[1] == compressionZlib {
		if data, err = inflate(data, limit); err != nil {
			return nil, asFault(err), nil
		}
	}
	if v.codec == nil {
		return data, nil, nil
	}
	text, err := v.codec.appendJSON(make([]byte, 0, min(2*len(data)+64, limit)), data, limit)
	if err != nil {
		return nil, asFault(err), nil
	}
	return text[:len(text):len(text)], nil, nil
}

// asFault is the fault that an error of opening is.
func asFault(err error) *record.Fault {
	if f, ok := errors.AsType[*record.Fault](err); ok {
		return f
	}
	return faultOf(record.CodeRegistryPayloadUnfit, "%v", err)
}

// inflater is a zlib reader with its source, kept because its tables are large.
type inflater struct {
	source bytes.Reader
	zlib   io.ReadCloser // nil before its first stream
}

var inflaters = sync.Pool{New: func() any { return new(inflater) }}

func (z *inflater) reset(data []byte) (err error) {
	z.source.Reset(data)
	if z.zlib == nil {
		z.zlib, err = zlib.NewReader(&z.source)
		return err
	}
	return z.zlib.(zlib.Resetter).Reset(&z.source, nil)
}

// inflate returns what a zlib stream (RFC 1950) inflates to, at most limit bytes and what record.InflationBound allows.
func inflate(data []byte, limit int) ([]byte, error) {
	limit = record.InflationBound(len(data), limit)
	z := inflaters.Get().(*inflater)
	defer func() {
		z.source.Reset(nil) // the pool must not keep the payload alive
		inflaters.Put(z)
	}()
	if err := z.reset(data); err != nil {
		return nil, faultOf(record.CodeRegistryFrameCorrupt, "inflate zlib: %v", err)
	}
	var out bytes.Buffer
	if _, err := out.ReadFrom(io.LimitReader(z.zlib, int64(limit)+1)); err != nil {
		return nil, faultOf(record.CodeRegistryFrameCorrupt, "inflate zlib: %v after %d inflated bytes", err, out.Len())
	}
	if out.Len() > limit {
		return nil, faultOf(record.CodeRegistryTooLarge, "%d bytes of zlib inflate to more than the %d bytes that their size and the budget of this Kinesis record allow", len(data), limit)
	}
	if z.source.Len() > 0 {
		return nil, faultOf(record.CodeRegistryFrameCorrupt, "%d bytes follow the zlib stream", z.source.Len())
	}
	return out.Bytes(), nil
}

// version returns a schema version from the cache, or else from the registry. It counts those that the registry turns out
// not to have.
func (r *Registry) version(ctx context.Context, id uuid.UUID, strange *int) (*version, error) {
	if v, ok := r.cache.get(id); ok {
		return v, nil
	}
	if *strange >= mostStrange {
		return &version{fault: faultOf(record.CodeRegistrySchemaUnknown, "schema version %s is not looked up: the registry does not have %d others of this Kinesis record", id, *strange)}, nil
	}
	v, err := r.await(ctx, id)
	if err == nil && v.fault != nil && v.fault.Code == record.CodeRegistrySchemaUnknown {
		*strange++
	}
	return v, err
}

// await returns a schema version from the registry, which is asked once for all that want it.
func (r *Registry) await(ctx context.Context, id uuid.UUID) (*version, error) {
	for {
		if v, ok := r.cache.get(id); ok {
			return v, nil
		}
		r.mu.Lock()
		flight, flying := r.flights[id]
		if !flying {
			flight = make(chan struct{})
			r.flights[id] = flight
		}
		r.mu.Unlock()
		if !flying {
			return r.lookUp(ctx, id, flight)
		}
		select {
		case <-flight: // it has brought the version, or its caller has given up
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// lookUp asks the registry until it answers, keeps the answer, and ends the flight.
func (r *Registry) lookUp(ctx context.Context, id uuid.UUID, flight chan struct{}) (*version, error) {
	defer func() {
		r.mu.Lock()
		delete(r.flights, id)
		delete(r.trouble, id)
		r.mu.Unlock()
		close(flight)
	}()
	if v, ok := r.cache.get(id); ok {
		return v, nil // another flight has landed in between
	}
	var began, reminded time.Time
	for attempt := 1; ; attempt++ {
		d, err := r.ask(ctx, id)
		switch {
		case err == nil, errors.Is(err, ErrUnknown):
			if !began.IsZero() {
				r.log.InfoContext(ctx, "the schema registry answers again", logkey.Attempt, attempt, logkey.Took, time.Since(began))
			}
			return r.keep(id, d, err), nil
		case ctx.Err() != nil:
			return nil, context.Cause(ctx)
		}
		r.counted(resultError)
		now := time.Now()
		if began.IsZero() {
			began = now
		}
		r.mu.Lock()
		r.trouble[id] = err
		r.mu.Unlock()
		if now.Sub(reminded) >= remindEvery {
			reminded = now
			r.log.ErrorContext(ctx, "a schema cannot be looked up: records that need it wait", "schema_version", id.String(), logkey.Attempt, attempt, logkey.Error, err)
		}
		if err := outage.Pause(ctx, attempt); err != nil {
			return nil, err
		}
	}
}

// ask makes one call.
func (r *Registry) ask(ctx context.Context, id uuid.UUID) (Definition, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	return r.service.SchemaVersion(ctx, id.String())
}

// keep puts the registry's answer into the cache.
func (r *Registry) keep(id uuid.UUID, d Definition, err error) *version {
	c := cached{bytes: 256 + len(d.Text)}
	if err != nil {
		r.counted(resultUnknown)
		c.version = &version{fault: faultOf(record.CodeRegistrySchemaUnknown, "schema version %s: %v", id, err)}
		c.until = time.Now().Add(forgetUnknown)
	} else {
		r.counted(resultOK)
		c.version = compile(d, id.String())
	}
	r.cache.put(id, c)
	return c.version
}

// Health returns an error if records wait for schemas that cannot be looked up.
func (r *Registry) Health() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for id, err := range r.trouble {
		return fmt.Errorf("%d schema versions cannot be looked up, among them %s: %w", len(r.trouble), id, err)
	}
	return nil
}
