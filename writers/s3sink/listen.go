package s3sink

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// listen makes a request wait for its answer as long as bytes of it keep coming. S3 answers a completion with the header
// of a success at once, sends white space while it works, and the result, or an error, at the end (Amazon S3 API
// reference, CompleteMultipartUpload). Only silence means that nobody is there any more.
func (s *Sink) listen(o *s3.Options) {
	o.HTTPClient = listener{o.HTTPClient, s.config.AttemptTimeout}
}

// listener is a client that gives a request up when nothing has been heard of it for the time of silence.
type listener struct {
	client  s3.HTTPClient
	silence time.Duration
}

func (l listener) Do(r *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancelCause(r.Context())
	timer := time.AfterFunc(l.silence, func() { cancel(fmt.Errorf("nothing was heard for %s", l.silence)) })
	body := &heard{ctx: ctx, timer: timer, silence: l.silence, end: func() { timer.Stop(); cancel(nil) }}
	answer, err := l.client.Do(r.WithContext(ctx))
	if err != nil {
		err = body.explain(err)
		body.end()
		return nil, err
	}
	timer.Reset(l.silence)
	body.ReadCloser = answer.Body
	answer.Body = body
	return answer, nil
}

// heard is the body of an answer that is listened to.
type heard struct {
	io.ReadCloser
	ctx     context.Context
	timer   *time.Timer
	silence time.Duration
	end     func()
}

func (h *heard) Read(p []byte) (int, error) {
	n, err := h.ReadCloser.Read(p)
	if n > 0 {
		h.timer.Reset(h.silence)
	}
	return n, h.explain(err)
}

// Close is io.Closer's.
func (h *heard) Close() error {
	defer h.end()
	return h.ReadCloser.Close()
}

// explain returns the silence in place of an error that it has brought about.
func (h *heard) explain(err error) error {
	if err != nil && err != io.EOF && h.ctx.Err() != nil {
		return context.Cause(h.ctx)
	}
	return err
}
