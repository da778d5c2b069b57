package s3sink

import (
	"context"
	"fmt"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/internal/budget"
	"aws-streaming-pipeline/writers"
)

// upload implements writers.Upload. Write, Finish and Abandon are for one goroutine at a time.
type upload struct {
	sink   *Sink
	bucket string
	key    string
	id     string

	ctx     context.Context // of all parts in flight
	cancel  context.CancelCauseFunc
	sending sync.WaitGroup

	open  *part // collects bytes; nil between parts
	bytes int64

	mu    sync.Mutex
	parts []stagedPart // by number; filled in as they become durable
}

var _ writers.Upload = (*upload)(nil)

func newUpload(ctx context.Context, s *Sink, bucket, key, id string) *upload {
	u := &upload{sink: s, bucket: bucket, key: key, id: id}
	u.ctx, u.cancel = context.WithCancelCause(ctx)
	return u
}

// Write implements writers.Upload.
func (u *upload) Write(p []byte) (int, error) {
	written := 0
	for written < len(p) {
		if err := u.failure(); err != nil {
			return written, err
		}
		n, err := u.fill(p[written:])
		written += n
		if err != nil {
			return written, err
		}
	}
	return written, nil
}

// fill copies bytes to the open part, and sends it if it is complete.
func (u *upload) fill(p []byte) (int, error) {
	if u.open == nil {
		number := len(u.parts) + 1
		if number > maxParts {
			return 0, u.fail(fmt.Errorf("write s3://%s/%s: the upload already has %d parts", u.bucket, u.key, maxParts))
		}
		u.open = newPart(int32(number), u.sink.config.Budget)
	}
	full := u.sink.partSize(u.open.number)
	n := int(min(int64(len(p)), full-u.open.size()))
	u.open.append(p[:n])
	u.bytes += int64(n)
	if u.open.size() == full {
		return n, u.send()
	}
	return n, u.yield()
}

// yield frees memory if parts have more than their share. A part that is large enough for S3 is sent before it is full;
// others go to disk. If neither is possible, it waits for parts in flight, if any. It must not wait for parts of open
// files, which stay until the files are finished.
func (u *upload) yield() error {
	if !u.sink.crowded() {
		return nil
	}
	if u.open.size() >= earliest(u.sink.partSize(u.open.number)) {
		return u.send()
	}
	u.spill()
	return u.sink.config.Budget.AwaitRoom(u.ctx)
}

// spill moves the open part to disk as far as there is room.
func (u *upload) spill() {
	if u.sink.config.Spool == nil {
		return
	}
	// Bytes that do not fit on disk stay in memory: the spool relieves memory, it does not replace it.
	_ = u.open.spill(u.sink.config.Spool)
}

// send dispatches the open part. While all slots are taken and memory is short, the part waits on disk.
func (u *upload) send() error {
	if u.sink.crowded() && len(u.sink.slots) == cap(u.sink.slots) {
		u.spill()
	}
	p := u.open
	u.open = nil
	p.send()
	u.mu.Lock()
	u.parts = append(u.parts, stagedPart{Bytes: p.size(), Checksum: checksum(p.crc)})
	u.mu.Unlock()
	u.sending.Go(func() {
		defer p.free()
		if err := u.put(p); err != nil {
			u.fail(err)
		}
	})
	return u.sink.config.Budget.AwaitRoom(u.ctx)
}

// put makes one part durable.
func (u *upload) put(p *part) error {
	select {
	case u.sink.slots <- struct{}{}:
		defer func() { <-u.sink.slots }()
	case <-u.ctx.Done():
		return u.failure()
	}
	in := &s3.UploadPartInput{
		Bucket:         &u.bucket,
		Key:            &u.key,
		UploadId:       &u.id,
		PartNumber:     &p.number,
		ContentLength:  aws.Int64(p.size()),
		ChecksumCRC32C: aws.String(checksum(p.crc)),
	}
	return u.sink.try(u.ctx, request{operation: "UploadPart", bucket: u.bucket, key: u.key, body: p.size(), do: func(ctx context.Context) error {
		in.Body = p.body()
		out, err := u.sink.client.UploadPart(ctx, in, u.sink.options, unsignedPayload)
		if err != nil {
			return err
		}
		etag, err := result(out.ETag)
		if err != nil {
			return err
		}
		u.mu.Lock()
		defer u.mu.Unlock()
		u.parts[p.number-1].ETag = etag
		return nil
	}})
}

// Finish implements writers.Upload. An upload to which nothing was written cannot be finished: S3 does not complete
// uploads without parts.
func (u *upload) Finish(ctx context.Context) (checkpoint.File, error) {
	stop := context.AfterFunc(ctx, func() { u.cancel(context.Cause(ctx)) })
	defer stop()
	if err := u.failure(); err != nil {
		return checkpoint.File{}, err
	}
	if u.bytes == 0 {
		return checkpoint.File{}, fmt.Errorf("finish s3://%s/%s: nothing was written to the upload", u.bucket, u.key)
	}
	if u.open != nil {
		if err := u.send(); err != nil {
			return checkpoint.File{}, err
		}
	}
	u.sending.Wait()
	if err := u.failure(); err != nil {
		return checkpoint.File{}, err
	}
	u.cancel(writers.ErrFileClosed)
	return u.file(), nil
}

// Abandon implements writers.Upload.
func (u *upload) Abandon() checkpoint.File {
	u.cancel(writers.ErrFileClosed)
	u.sending.Wait()
	if u.open != nil {
		u.open.free()
		u.open = nil
	}
	return u.file()
}

func (u *upload) file() checkpoint.File {
	return checkpoint.File{Bucket: u.bucket, Key: u.key, Staged: staged{u.id, u.parts}.json(), Bytes: u.bytes}
}

// fail ends the upload. The first error counts.
func (u *upload) fail(err error) error {
	u.cancel(err)
	return err
}

// failure returns the error that ended the upload, or nil.
func (u *upload) failure() error {
	if u.ctx.Err() == nil {
		return nil
	}
	return context.Cause(u.ctx)
}

// partSize returns the size of a part by its number. It doubles every thousand parts: 10,000 parts hold 7.8 TiB if the
// first has the default of 8 MiB, and 4.9 TiB if all are sent as early as possible.
func (s *Sink) partSize(number int32) int64 {
	return min(s.config.PartSize<<((number-1)/1000), maxPartSize)
}

// earliest returns the size from which a part may be sent before it is full. It is close to the full size, so that an
// upload does not run out of parts.
func earliest(full int64) int64 { return max(full/8*5, MinPartSize) }

// crowded reports whether parts in memory exceed their share of the budget: half of it, or a quarter while memory is
// short.
func (s *Sink) crowded() bool {
	b := s.config.Budget
	held := b.Held(budget.Part) + b.Held(budget.Sending)
	return held > b.Limit()/2 || held > b.Limit()/4 && b.Over()
}
