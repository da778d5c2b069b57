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

// upload is a writers.Upload. Write, Finish and Abandon are for one goroutine at a time.
type upload struct {
	sink   *Sink
	bucket string
	key    string
	id     string

	ctx     context.Context // of all parts on their way
	cancel  context.CancelCauseFunc
	sending sync.WaitGroup

	open  *part // gathers bytes; nil between parts
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

// Write is writers.Upload's.
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

// fill copies bytes to the open part, and sends it off if it is complete.
func (u *upload) fill(p []byte) (int, error) {
	if u.open == nil {
		number := len(u.parts) + 1
		if number > maxParts {
			return 0, u.fail(fmt.Errorf("write s3://%s/%s: the upload has %d parts already", u.bucket, u.key, maxParts))
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

// yield gives memory up if parts have more than their share. A part that S3 would take is sent off before it is full;
// others go to disk. Where that is not possible, it waits for parts that are on their way, if there are any: those of
// open files stand until the files are finished, so nobody may wait for them.
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
	// What the disk does not take stays in memory, which is what the spool is there to relieve, not to replace.
	_ = u.open.spill(u.sink.config.Spool)
}

// send dispatches the open part. While all slots are taken and memory is short, it waits on disk.
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
		u.mu.Lock()
		defer u.mu.Unlock()
		u.parts[p.number-1].ETag = aws.ToString(out.ETag)
		return nil
	}})
}

// Finish is writers.Upload's. An upload to which nothing was written can not be finished: S3 completes none without
// parts.
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

// Abandon is writers.Upload's.
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

// fail ends the upload; the first error is the one that counts.
func (u *upload) fail(err error) error {
	u.cancel(err)
	return err
}

// failure is why the upload has ended, or nil.
func (u *upload) failure() error {
	if u.ctx.Err() == nil {
		return nil
	}
	return context.Cause(u.ctx)
}

// partSize is the size of a part by its number. It doubles every thousand parts: 10,000 of them make 7.8 TiB if the first
// has the default of 8 MiB, and 4.9 TiB if all are sent off as early as they may be.
func (s *Sink) partSize(number int32) int64 {
	return min(s.config.PartSize<<((number-1)/1000), maxPartSize)
}

// earliest is the size from which a part may be sent off before it is full. It keeps close to the full size, lest the
// parts run out.
func earliest(full int64) int64 { return max(full/8*5, MinPartSize) }

// crowded tells that parts in memory have more than their share of the budget: a half, and a quarter while it is tight.
func (s *Sink) crowded() bool {
	b := s.config.Budget
	held := b.Held(budget.Part) + b.Held(budget.Sending)
	return held > b.Limit()/2 || held > b.Limit()/4 && b.Over()
}
