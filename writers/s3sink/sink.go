// Package s3sink stages files in Amazon S3 as parts of multipart uploads, and makes them visible by completing them.
//
// S3 is never a reason to lose a record. A request that S3 does not answer, throttles or refuses is repeated until its
// context ends, also where somebody has taken a permission away: giving it back heals the pipeline without a restart.
// What is wrong meanwhile is told by Health, the log and consumer_s3_requests_total.
package s3sink

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"log/slog"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/internal/budget"
	"aws-streaming-pipeline/internal/logkey"
	"aws-streaming-pipeline/internal/metrics"
	"aws-streaming-pipeline/writers"
	"aws-streaming-pipeline/writers/spool"
)

// ErrForeignObject means that an object of the file's key exists which the batch has not written. Keys carry the
// batch's id, so somebody has put it there on purpose.
var ErrForeignObject = errors.New("an object that the batch has not written is in the place of its file")

// Defaults and bounds.
const (
	DefaultPartSize       = 8 << 20
	DefaultConcurrency    = 4
	DefaultAttemptTimeout = 30 * time.Second

	// MinPartSize is the least that S3 takes for a part that is not the last, and maxParts the most parts of an upload
	// (Amazon S3 User Guide, "Amazon S3 multipart upload limits").
	MinPartSize = 5 << 20
	maxParts    = 10_000
	maxPartSize = 5 << 30
)

// DefaultBackoff is the wait between attempts.
var DefaultBackoff = Backoff{Min: 200 * time.Millisecond, Max: 20 * time.Second}

// Config says where objects go and how. Zero values of numbers mean their defaults.
type Config struct {
	Bucket string
	// PartSize is the size in bytes of the first thousand parts of an upload, at least MinPartSize.
	PartSize int64
	// Concurrency is the number of parts in flight, of all uploads together.
	Concurrency int
	// NoChecksum leaves the CRC32C of parts and objects out, for stores that do not know it. S3 itself then relies on
	// TLS and TCP.
	NoChecksum bool
	// Encryption is empty for the bucket's own setting, "AES256" or "aws:kms".
	Encryption types.ServerSideEncryption
	// KMSKeyID names the key of aws:kms; empty for the account's own key for S3.
	KMSKeyID string
	// StorageClass is empty for STANDARD.
	StorageClass types.StorageClass
	// IfNoneMatch completes an upload only if there is no object of its key yet. Batches never share keys, so this
	// guards against strangers; not every store knows it.
	IfNoneMatch bool
	// AttemptTimeout bounds one attempt of a request that sends no body; one more second is given for each 64 KiB.
	AttemptTimeout time.Duration
	Backoff        Backoff

	Budget *budget.Budget
	// Spool takes parts that memory has no room for; nil keeps them in memory. Without it unfinished parts of many
	// files can fill the budget, which Budget.Starved reports: then files have to be finished.
	Spool   *spool.Spool
	Metrics *metrics.Metrics // may be nil
	Log     *slog.Logger     // nil for the default logger
}

// Sink is a writers.Sink. Make it with New.
type Sink struct {
	client *s3.Client
	config Config
	log    *slog.Logger
	health *health
	slots  chan struct{} // one for each UploadPart in flight
}

var _ writers.Sink = (*Sink)(nil)

// New returns a sink that uses the client, or all that is wrong with the configuration. The client's own retryer is
// not used.
func New(client *s3.Client, c Config) (*Sink, error) {
	if c.PartSize == 0 {
		c.PartSize = DefaultPartSize
	}
	if c.Concurrency == 0 {
		c.Concurrency = DefaultConcurrency
	}
	if c.AttemptTimeout == 0 {
		c.AttemptTimeout = DefaultAttemptTimeout
	}
	if c.Backoff == (Backoff{}) {
		c.Backoff = DefaultBackoff
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	if err := c.validate(); err != nil {
		return nil, fmt.Errorf("s3 sink: %w", err)
	}
	return &Sink{
		client: client,
		config: c,
		log:    c.Log.With(logkey.Bucket, c.Bucket),
		health: newHealth(),
		slots:  make(chan struct{}, c.Concurrency),
	}, nil
}

func (c Config) validate() error {
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	if c.Bucket == "" {
		fault("bucket is empty")
	}
	if c.PartSize < MinPartSize || c.PartSize > maxPartSize {
		fault("part size %d is not within %d and %d", c.PartSize, MinPartSize, int64(maxPartSize))
	}
	if c.Concurrency < 1 {
		fault("concurrency %d is below 1", c.Concurrency)
	}
	if c.AttemptTimeout < 0 {
		fault("attempt timeout %s is negative", c.AttemptTimeout)
	}
	if c.Backoff.Min <= 0 || c.Backoff.Max < c.Backoff.Min {
		fault("backoff from %s to %s is no range", c.Backoff.Min, c.Backoff.Max)
	}
	switch c.Encryption {
	case "", types.ServerSideEncryptionAes256, types.ServerSideEncryptionAwsKms:
	default:
		fault("encryption %q is none of AES256, aws:kms", c.Encryption)
	}
	if c.KMSKeyID != "" && c.Encryption != types.ServerSideEncryptionAwsKms {
		fault("KMS key %q without encryption aws:kms", c.KMSKeyID)
	}
	if c.Budget == nil {
		fault("budget is missing")
	}
	return errors.Join(faults...)
}

// Health is nil, or the *Trouble that lasts longest of the requests that are being retried.
func (s *Sink) Health() error {
	if t := s.health.worst(); t != nil {
		return t
	}
	return nil
}

// Begin is writers.Sink's. The context is that of the whole upload: when it ends, so does every part on its way.
func (s *Sink) Begin(ctx context.Context, spec writers.ObjectSpec) (writers.Upload, error) {
	in := &s3.CreateMultipartUploadInput{
		Bucket:               &s.config.Bucket,
		Key:                  &spec.Key,
		ContentType:          optional(spec.ContentType),
		ContentEncoding:      optional(spec.ContentEncoding),
		Metadata:             spec.Metadata,
		ServerSideEncryption: s.config.Encryption,
		SSEKMSKeyId:          optional(s.config.KMSKeyID),
		StorageClass:         s.config.StorageClass,
	}
	if !s.config.NoChecksum {
		in.ChecksumAlgorithm = types.ChecksumAlgorithmCrc32c
	}
	var id string
	err := s.try(ctx, request{operation: "CreateMultipartUpload", key: spec.Key, do: func(ctx context.Context) error {
		out, err := s.client.CreateMultipartUpload(ctx, in, s.options)
		if err == nil {
			id = aws.ToString(out.UploadId)
		}
		return err
	}})
	if err != nil {
		return nil, err
	}
	return newUpload(ctx, s, spec.Key, id), nil
}

// Publish is writers.Sink's. An object of the file's key with another batch's id, none or another size is
// ErrForeignObject.
//
// Whatever the completion was answered, the object decides: S3 answers the second completion of an upload with success
// for a while and with NoSuchUpload later, and stores that speak S3's protocol have been seen to answer success where
// somebody else's object was in the place. Only an object that is gone already, because its readers move what they
// have read, is taken on trust.
//
// The caller needs s3:GetObject for the key, and s3:ListBucket for the bucket: without the latter S3 answers 403 for
// an object that is not there (Amazon S3 API reference, HeadObject), and Publish goes on asking.
func (s *Sink) Publish(ctx context.Context, f checkpoint.File, batchID string) (string, error) {
	etag, err := s.complete(ctx, f, f.Parts)
	if errorCode(err) == "InvalidPart" {
		etag, err = s.completeAsListed(ctx, f, err)
	}
	if err != nil && (ctx.Err() != nil || !decidedByObject(err)) {
		return "", err
	}
	found, headErr := s.recognise(ctx, f, batchID)
	switch {
	case headErr != nil:
		return "", headErr
	case found != "":
		return found, nil
	}
	return etag, err
}

// complete makes an upload visible.
func (s *Sink) complete(ctx context.Context, f checkpoint.File, parts []checkpoint.Part) (etag string, err error) {
	in := &s3.CompleteMultipartUploadInput{
		Bucket:          &s.config.Bucket,
		Key:             &f.Key,
		UploadId:        &f.UploadID,
		MultipartUpload: &types.CompletedMultipartUpload{Parts: completedParts(parts)},
	}
	if s.config.IfNoneMatch {
		in.IfNoneMatch = aws.String("*")
	}
	err = s.try(ctx, request{operation: "CompleteMultipartUpload", key: f.Key, do: func(ctx context.Context) error {
		out, err := s.client.CompleteMultipartUpload(ctx, in, s.options)
		if err == nil {
			etag = aws.ToString(out.ETag)
		}
		return err
	}})
	return etag, err
}

func completedParts(parts []checkpoint.Part) []types.CompletedPart {
	completed := make([]types.CompletedPart, len(parts))
	for i, p := range parts {
		completed[i] = types.CompletedPart{
			PartNumber:     aws.Int32(int32(i + 1)),
			ETag:           aws.String(p.ETag),
			ChecksumCRC32C: optional(p.Checksum),
		}
	}
	return completed
}

// completeAsListed completes an upload whose ETags S3 does not accept. An attempt to upload a part that was given up
// can arrive after the one that was answered, and takes its place. It has the same bytes, but under aws:kms not the
// same ETag (Amazon S3 API reference, Object: "ETag"). Where sizes and checksums are those that were written, the
// parts' present ETags are good; otherwise the refusal stands.
func (s *Sink) completeAsListed(ctx context.Context, f checkpoint.File, refusal error) (string, error) {
	parts := make([]checkpoint.Part, len(f.Parts))
	copy(parts, f.Parts)
	unseen := len(parts)
	in := &s3.ListPartsInput{Bucket: &s.config.Bucket, Key: &f.Key, UploadId: &f.UploadID}
	for more := true; more; {
		var out *s3.ListPartsOutput
		err := s.try(ctx, request{operation: "ListParts", key: f.Key, do: func(ctx context.Context) (err error) {
			out, err = s.client.ListParts(ctx, in, s.options)
			return err
		}})
		if err != nil {
			return "", err
		}
		for _, p := range out.Parts {
			i := int(aws.ToInt32(p.PartNumber)) - 1
			if i < 0 || i >= len(parts) || !sameContent(parts[i], p) {
				return "", refusal
			}
			parts[i].ETag = aws.ToString(p.ETag)
			unseen--
		}
		in.PartNumberMarker = out.NextPartNumberMarker
		more = aws.ToBool(out.IsTruncated)
	}
	if unseen != 0 {
		return "", refusal
	}
	s.log.Warn("parts were replaced by late attempts with the same content", logkey.Key, f.Key, logkey.Count, len(parts))
	return s.complete(ctx, f, parts)
}

// sameContent tells whether a part in S3 is proven to hold the bytes that were written.
func sameContent(written checkpoint.Part, listed types.Part) bool {
	return written.Checksum != "" && written.Checksum == aws.ToString(listed.ChecksumCRC32C) &&
		written.Bytes == aws.ToInt64(listed.Size)
}

// decidedByObject tells whether an upload that can not be completed may be so because its object is there already.
func decidedByObject(err error) bool {
	return errors.Is(err, writers.ErrUploadGone) || errorCode(err) == "PreconditionFailed"
}

// recognise returns the ETag of the object that a file has become; it is empty if there is no object.
func (s *Sink) recognise(ctx context.Context, f checkpoint.File, batchID string) (string, error) {
	var found *s3.HeadObjectOutput
	err := s.try(ctx, request{operation: "HeadObject", key: f.Key, do: func(ctx context.Context) (err error) {
		found, err = s.client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &s.config.Bucket, Key: &f.Key}, s.options)
		var absent *types.NotFound
		if errors.As(err, &absent) {
			found, err = nil, nil
		}
		return err
	}})
	if err != nil || found == nil {
		return "", err
	}
	id, size := found.Metadata[writers.MetadataBatchID], aws.ToInt64(found.ContentLength)
	if id != batchID || size != f.Bytes {
		return "", fmt.Errorf("publish s3://%s/%s of batch %s with %d bytes: %w: batch %q, %d bytes",
			s.config.Bucket, f.Key, batchID, f.Bytes, ErrForeignObject, id, size)
	}
	return aws.ToString(found.ETag), nil
}

// Abort is writers.Sink's. A file without an upload has nothing to abort.
func (s *Sink) Abort(ctx context.Context, f checkpoint.File) error {
	if f.UploadID == "" {
		return nil
	}
	err := s.try(ctx, request{operation: "AbortMultipartUpload", key: f.Key, do: func(ctx context.Context) error {
		_, err := s.client.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{
			Bucket: &s.config.Bucket, Key: &f.Key, UploadId: &f.UploadID,
		}, s.options)
		if errorCode(err) == "NoSuchUpload" {
			return nil
		}
		return err
	}})
	return err
}

// Put is writers.Sink's. Repeating it does no harm.
func (s *Sink) Put(ctx context.Context, spec writers.ObjectSpec, body []byte) error {
	in := &s3.PutObjectInput{
		Bucket:               &s.config.Bucket,
		Key:                  &spec.Key,
		ContentType:          optional(spec.ContentType),
		ContentEncoding:      optional(spec.ContentEncoding),
		ContentLength:        aws.Int64(int64(len(body))),
		Metadata:             spec.Metadata,
		ServerSideEncryption: s.config.Encryption,
		SSEKMSKeyId:          optional(s.config.KMSKeyID),
		StorageClass:         s.config.StorageClass,
		ChecksumCRC32C:       s.checksum(crc32.Checksum(body, castagnoli)),
	}
	return s.try(ctx, request{operation: "PutObject", key: spec.Key, body: int64(len(body)), do: func(ctx context.Context) error {
		in.Body = bytes.NewReader(body)
		_, err := s.client.PutObject(ctx, in, s.options, unsignedPayload)
		return err
	}})
}

// Check is writers.Sink's. It asks once whether the bucket is there, and if so, whether a request has been failing for
// longer than the longest wait between attempts: a bucket that answers and takes no parts is not ready, one that has
// refused a single request is.
func (s *Sink) Check(ctx context.Context) error {
	err := s.attempt(ctx, request{do: func(ctx context.Context) error {
		_, err := s.client.HeadBucket(ctx, &s3.HeadBucketInput{Bucket: &s.config.Bucket}, s.options)
		return err
	}})
	if err != nil {
		s.count("HeadBucket", "error")
		return fmt.Errorf("check bucket %s: %w", s.config.Bucket, err)
	}
	s.count("HeadBucket", "ok")
	if t := s.health.worst(); t != nil && time.Since(t.Since) > s.config.Backoff.Max {
		return t
	}
	return nil
}

// options are those of every request: no retries and no checksums of the SDK's own, because both are made here.
func (s *Sink) options(o *s3.Options) {
	o.Retryer = aws.NopRetryer{}
	o.RequestChecksumCalculation = aws.RequestChecksumCalculationWhenRequired
}

// unsignedPayload leaves the body out of the signature: its integrity is TLS's and the CRC32C's, and a SHA-256 of every
// part would cost more than the upload.
func unsignedPayload(o *s3.Options) {
	o.APIOptions = append(o.APIOptions, v4.SwapComputePayloadSHA256ForUnsignedPayloadMiddleware)
}

// checksum returns a CRC32C as S3 wants it: big endian, in base64; nil where checksums are off.
func (s *Sink) checksum(crc uint32) *string {
	if s.config.NoChecksum {
		return nil
	}
	return aws.String(base64.StdEncoding.EncodeToString(binary.BigEndian.AppendUint32(nil, crc)))
}

// optional is nil for the empty string.
func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
