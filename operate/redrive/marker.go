package redrive

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"

	"aws-streaming-pipeline/operate/objects"
	"aws-streaming-pipeline/writers/layout"
)

// marker holds what is known about the lines of one chunk. A line in none of its sets was never claimed.
type marker struct {
	Object string `json:"object"`
	ETag   string `json:"object_etag"`
	Stream string `json:"stream"`
	// Sending lines were claimed by Run at Since. If that run has ended, they are in doubt.
	Sending lineSet   `json:"sending,omitempty"`
	Sent    lineSet   `json:"sent,omitempty"`
	Doubt   lineSet   `json:"in_doubt,omitempty"`
	Skipped lineSet   `json:"skipped,omitempty"` // given up by the operator's decision
	Run     string    `json:"run"`
	Since   time.Time `json:"since"`

	key     string
	version string // ETag of the marker when it was read; empty if there was none
}

func (m *marker) settled(n int) bool { return m.Sent.has(n) || m.Skipped.has(n) }

// markers returns the chunks of an object that have markers, by their first lines.
func (r *run) markers(ctx context.Context, object string) (map[int]bool, error) {
	found := make(map[int]bool)
	place := r.markerAt(object, 0)
	for o, err := range r.bucket.List(ctx, place.Siblings(), "") {
		if err != nil {
			return nil, err
		}
		if at, ok := place.Sibling(*o.Key); ok {
			found[at.Line] = true
		}
	}
	return found, nil
}

// markerAt returns the location of a chunk's marker.
func (r *run) markerAt(object string, first int) layout.Marker {
	return layout.Marker{Folder: r.MarkerPrefix, Stream: r.Stream.Name(), Object: object, Line: first}
}

const maxMarker = 1 << 20

// marker reads the marker of a chunk, or returns a new one.
func (r *run) marker(ctx context.Context, c chunk, found bool) (*marker, error) {
	m := &marker{Object: c.object, ETag: c.etag, Stream: r.Stream.Name(), key: r.markerAt(c.object, c.first).Key()}
	if !found {
		return m, nil
	}
	body, info, err := r.bucket.Read(ctx, m.key, maxMarker)
	if errors.Is(err, objects.ErrNotFound) {
		return m, nil
	}
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(body, m); err != nil {
		return nil, fmt.Errorf("read marker %s: %w", m.key, err)
	}
	if m.ETag != c.etag {
		return nil, fmt.Errorf("marker %s was written for another version of the object: ETag %s, now %s; who replaced the object?", m.key, m.ETag, c.etag)
	}
	m.version = info.ETag
	return m, nil
}

// errTaken means that another run has changed the marker since it was read.
var errTaken = errors.New("another run has changed the marker")

// saveAttempts limits how often save writes a marker when no answer arrives.
const saveAttempts = 3

// save writes a marker unless it has changed since it was read. If the answer to a put is lost, save recognises its own
// write.
func (r *run) save(ctx context.Context, m *marker) error {
	body, err := json.Marshal(m)
	if err != nil {
		return err
	}
	for attempt := 1; ; attempt++ {
		in := &s3.PutObjectInput{
			Bucket: &r.bucket.Name, Key: &m.key, Body: bytes.NewReader(body), ContentType: aws.String("application/json"),
		}
		if m.version == "" {
			in.IfNoneMatch = aws.String("*")
		} else {
			in.IfMatch = aws.String(`"` + m.version + `"`)
		}
		out, err := r.put.PutObject(ctx, in)
		if err == nil {
			m.version = objects.Unquote(aws.ToString(out.ETag))
			return nil
		}
		there, info, readErr := r.bucket.Read(ctx, m.key, maxMarker)
		switch {
		case readErr == nil && bytes.Equal(there, body):
			m.version = info.ETag
			return nil
		case readErr == nil && info.ETag != m.version:
			return errTaken
		case attempt == saveAttempts || ctx.Err() != nil || refused(err):
			return fmt.Errorf("write marker %s: %w", m.key, err)
		}
	}
}

// refused reports whether S3 refused a write for good. A conflict of conditional writes (409) may pass.
func refused(err error) bool {
	api, ok := errors.AsType[smithy.APIError](err)
	return ok && api.ErrorFault() == smithy.FaultClient && api.ErrorCode() != "ConditionalRequestConflict" && api.ErrorCode() != "PreconditionFailed"
}
