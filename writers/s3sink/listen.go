package s3sink

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// listen makes a request wait for its answer as long as bytes of it keep arriving. S3 answers a completion immediately
// with a success header, sends white space while it works, and ends with the result or an error (Amazon S3 API Reference,
// CompleteMultipartUpload). Only silence means that the connection is dead.
func (s *Sink) listen(o *s3.Options) {
	o.HTTPClient = listener{o.HTTPClient, s.config.AttemptTimeout}
}

// listener is a client that gives up a request after a period of silence.
type listener struct {
	client  s3.HTTPClient
	silence time.Duration
}

func (l listener) Do(r *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancelCause(r.Context())
	timer := time.AfterFunc(l.silence, func() { cancel(fmt.Errorf("no answer for %s", l.silence)) })
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

// heard is the body of an answer that resets the period of silence.
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

// Close implements io.Closer.
func (h *heard) Close() error {
	defer h.end()
	return h.ReadCloser.Close()
}

// explain replaces an error that was caused by silence with the silence itself.
func (h *heard) explain(err error) error {
	if err != nil && err != io.EOF && h.ctx.Err() != nil {
		return context.Cause(h.ctx)
	}
	return err
}
