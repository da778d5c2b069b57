// Package s3sink stages files in Amazon S3 as parts of multipart uploads, and makes them visible by completing the
// uploads.
//
// A failure of S3 never loses a record. A request that S3 does not answer, throttles or refuses is repeated until its
// context ends. If a permission is revoked, the pipeline recovers without a restart once it is granted again. Requests
// that publish a batch give up earlier: the batch is safe in the outbox, and other batches must not wait for it. Health,
// the log and consumer_s3_requests_total report requests that fail.
package s3sink

import (
	"bytes"
	"cmp"
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/internal/backoff"
	"aws-streaming-pipeline/internal/budget"
	"aws-streaming-pipeline/internal/logkey"
	"aws-streaming-pipeline/internal/metrics"
	"aws-streaming-pipeline/writers"
	"aws-streaming-pipeline/writers/spool"
)

// errNoResult means that S3 answered with status 200 but neither a result nor an error, because the connection or a proxy ended the
// answer early, or because something else answered in its place, such as a login page. The SDK reads that as an empty result.
var errNoResult = errors.New("the answer has no result")

// result returns the part of an answer that S3 never leaves out (Amazon S3 API Reference, response of each operation), or errNoResult.
func result(text *string) (string, error) {
	if aws.ToString(text) == "" {
		return "", errNoResult
	}
	return *text, nil
}

// Defaults and limits.
const (
	defaultPartSize       = 8 << 20
	defaultConcurrency    = 4
	defaultAttemptTimeout = 30 * time.Second
	defaultPatience       = time.Minute

	// completionTimeout limits a completion whose answer keeps arriving. A large one takes S3 "several minutes" (Amazon
	// S3 API Reference, CompleteMultipartUpload).
	completionTimeout = 20 * time.Minute

	// MinPartSize is the minimum size of a part that is not the last, and maxParts the maximum number of parts (Amazon S3
	// User Guide, "Amazon S3 multipart upload limits").
	MinPartSize = 5 << 20
	maxParts    = 10_000
	maxPartSize = 5 << 30
)

// defaultBackoff bounds the waits between attempts by default.
var defaultBackoff = backoff.Policy{First: 200 * time.Millisecond, Longest: 20 * time.Second}

// Config says where and how objects are stored. Numbers that are zero mean their defaults.
type Config struct {
	Bucket string
	// PartSize is the size in bytes of the first thousand parts of an upload, at least MinPartSize.
	PartSize int64
	// Concurrency is the maximum number of parts in flight, over all uploads.
	Concurrency int
	// Encryption is "AES256", "aws:kms", or empty for the bucket's default.
	Encryption types.ServerSideEncryption
	// KMSKeyID names the key for aws:kms; empty means the AWS managed key for S3.
	KMSKeyID string
	// IfNoneMatch completes an upload only if its key has no object yet. Batches never share keys, so this protects the
	// objects of others. Not every store supports it.
	IfNoneMatch bool
	// AttemptTimeout limits one attempt of a request without a body; each 64 KiB of body adds a second. An attempt to
	// complete an upload may take longer, as long as bytes of the answer arrive within this time.
	AttemptTimeout time.Duration
	Backoff        backoff.Policy
	// Patience is how long Publish, Written and Put retry a failing request before they return its error.
	Patience time.Duration

	Budget *budget.Budget
	// Spool receives parts that do not fit in memory; nil keeps them in memory. Without it, unfinished parts of many
	// files can fill the budget, which Budget.Starved reports: then files must be finished.
	Spool   *spool.Spool
	Metrics *metrics.Metrics // may be nil
	Log     *slog.Logger     // nil for the default logger
}

// Sink implements writers.Sink. Create it with New.
type Sink struct {
	client *s3.Client
	config Config
	log    *slog.Logger
	health *health
	slots  chan struct{} // one per UploadPart in flight
}

var (
	_ writers.Sink     = (*Sink)(nil)
	_ writers.Versions = (*Sink)(nil)
)

// New returns a sink that uses the client, or an error that lists everything wrong with the configuration. The client's
// own retryer is not used.
func New(client *s3.Client, c Config) (*Sink, error) {
	if c.PartSize == 0 {
		c.PartSize = defaultPartSize
	}
	if c.Concurrency == 0 {
		c.Concurrency = defaultConcurrency
	}
	if c.AttemptTimeout == 0 {
		c.AttemptTimeout = defaultAttemptTimeout
	}
	if c.Backoff == (backoff.Policy{}) {
		c.Backoff = defaultBackoff
	}
	c.Metrics = metrics.Or(c.Metrics)
	if c.Patience == 0 {
		c.Patience = defaultPatience
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
		log:    c.Log,
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
		fault("part size %d: want %d to %d", c.PartSize, MinPartSize, int64(maxPartSize))
	}
	if c.Concurrency < 1 {
		fault("concurrency %d: want 1 or more", c.Concurrency)
	}
	if c.AttemptTimeout < 0 {
		fault("attempt timeout %s: want 0 or more", c.AttemptTimeout)
	}
	if c.Patience < 0 {
		fault("patience %s: want 0 or more", c.Patience)
	}
	if c.Backoff.First <= 0 || c.Backoff.Longest < c.Backoff.First {
		fault("backoff from %s to %s: want a positive first wait, and a longest one of at least that", c.Backoff.First, c.Backoff.Longest)
	}
	switch c.Encryption {
	case "", types.ServerSideEncryptionAes256, types.ServerSideEncryptionAwsKms:
	default:
		fault("encryption %q: want AES256, aws:kms or empty", c.Encryption)
	}
	if c.KMSKeyID != "" && c.Encryption != types.ServerSideEncryptionAwsKms {
		fault("KMS key %q: want encryption aws:kms", c.KMSKeyID)
	}
	if c.Budget == nil {
		fault("budget is missing")
	}
	return errors.Join(faults...)
}

// Health returns nil, or the *Trouble that has lasted longest among the requests being retried.
func (s *Sink) Health() error {
	if t := s.health.worst(); t != nil {
		return t
	}
	return nil
}

// Begin implements writers.Sink. The context covers the whole upload: when it ends, so do all parts in flight.
func (s *Sink) Begin(ctx context.Context, spec writers.ObjectSpec) (writers.Upload, error) {
	bucket := cmp.Or(spec.Bucket, s.config.Bucket)
	in := &s3.CreateMultipartUploadInput{
		Bucket:               &bucket,
		Key:                  &spec.Key,
		ContentType:          optional(spec.ContentType),
		ContentEncoding:      optional(spec.ContentEncoding),
		Metadata:             spec.Metadata,
		ServerSideEncryption: s.config.Encryption,
		SSEKMSKeyId:          optional(s.config.KMSKeyID),
		ChecksumAlgorithm:    types.ChecksumAlgorithmCrc32c,
	}
	var id string
	err := s.try(ctx, request{operation: "CreateMultipartUpload", bucket: bucket, key: spec.Key, do: func(ctx context.Context) error {
		out, err := s.client.CreateMultipartUpload(ctx, in, s.options)
		if err != nil {
			return err
		}
		id, err = result(out.UploadId)
		return err
	}})
	if err != nil {
		return nil, err
	}
	return newUpload(ctx, s, bucket, spec.Key, id), nil
}

// Publish implements writers.Sink.
//
// Whatever the answer to the completion, the object decides. S3 answers the second completion of an upload with success
// for a while and with NoSuchUpload later, and some S3-compatible stores answer success although the key holds somebody
// else's object. If the object has already been removed, because its readers move what they have read, the answer is
// trusted.
//
// The caller needs s3:GetObject for the key and s3:ListBucket for the bucket. Without the latter, S3 answers 403 for a
// missing object (Amazon S3 API Reference, HeadObject), and Publish returns writers.ErrRefused.
func (s *Sink) Publish(ctx context.Context, f checkpoint.File, batchID string) (string, error) {
	f.Bucket = cmp.Or(f.Bucket, s.config.Bucket)
	upload, err := stagedOf(f)
	if err != nil {
		return "", err
	}
	etag, err := s.complete(ctx, f, upload)
	if errorCode(err) == "InvalidPart" {
		etag, err = s.completeAsListed(ctx, f, upload, err)
	}
	if err != nil && (ctx.Err() != nil || !decidedByObject(err)) {
		return "", err
	}
	found, headErr := s.head(ctx, f.Bucket, f.Key)
	switch {
	case headErr != nil:
		return "", headErr
	case found.there:
		if found.batch != batchID || found.size != f.Bytes {
			return "", fmt.Errorf("publish s3://%s/%s of batch %s with %d bytes: %w: batch %q, %d bytes",
				f.Bucket, f.Key, batchID, f.Bytes, writers.ErrForeignObject, found.batch, found.size)
		}
		return found.etag, nil
	case found.deleted:
		return etag, nil
	}
	return etag, err
}

// complete makes an upload visible.
func (s *Sink) complete(ctx context.Context, f checkpoint.File, upload staged) (etag string, err error) {
	in := &s3.CompleteMultipartUploadInput{
		Bucket:          &f.Bucket,
		Key:             &f.Key,
		UploadId:        &upload.UploadID,
		MultipartUpload: &types.CompletedMultipartUpload{Parts: completedParts(upload.Parts)},
	}
	if s.config.IfNoneMatch {
		in.IfNoneMatch = aws.String("*")
	}
	r := request{operation: "CompleteMultipartUpload", bucket: f.Bucket, key: f.Key, bounded: true, timeout: completionTimeout}
	r.do = func(ctx context.Context) error {
		out, err := s.client.CompleteMultipartUpload(ctx, in, s.options, s.listen)
		if err != nil {
			return err
		}
		etag, err = result(out.ETag)
		return err
	}
	err = s.try(ctx, r)
	return etag, err
}

func completedParts(parts []stagedPart) []types.CompletedPart {
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

// completeAsListed completes an upload whose ETags S3 does not accept. An abandoned attempt to upload a part can arrive
// after the one that was answered, and replaces it. It has the same bytes but, under aws:kms, another ETag (Amazon S3 API
// Reference, Object: "ETag"). If sizes and checksums match what was written, the parts' current ETags are used; otherwise
// the refusal stands.
func (s *Sink) completeAsListed(ctx context.Context, f checkpoint.File, upload staged, refusal error) (string, error) {
	parts := slices.Clone(upload.Parts)
	unseen := len(parts)
	in := &s3.ListPartsInput{Bucket: &f.Bucket, Key: &f.Key, UploadId: &upload.UploadID}
	for more := true; more; {
		var out *s3.ListPartsOutput
		err := s.try(ctx, request{operation: "ListParts", bucket: f.Bucket, key: f.Key, bounded: true, do: func(ctx context.Context) (err error) {
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
	s.log.Warn("parts were replaced by late attempts with the same content", logkey.Bucket, f.Bucket, logkey.Key, f.Key, logkey.Count, len(parts))
	return s.complete(ctx, f, staged{upload.UploadID, parts})
}

// sameContent reports whether a part in S3 provably has the bytes that were written.
func sameContent(written stagedPart, listed types.Part) bool {
	return written.Checksum != "" && written.Checksum == aws.ToString(listed.ChecksumCRC32C) &&
		written.Bytes == aws.ToInt64(listed.Size)
}

// decidedByObject reports whether an upload may be impossible to complete because its object already exists.
func decidedByObject(err error) bool {
	return errors.Is(err, writers.ErrUploadGone) || errorCode(err) == "PreconditionFailed"
}

// Written implements writers.Sink.
func (s *Sink) Written(ctx context.Context, bucket, key, batchID string) (bool, error) {
	found, err := s.head(ctx, cmp.Or(bucket, s.config.Bucket), key)
	return found.deleted || found.there && found.batch == batchID, err
}

// headed is what S3 reports about a key.
type headed struct {
	there bool
	batch string // id of the batch that wrote the object
	size  int64
	etag  string
	// deleted reports whether an object has been deleted: a versioned bucket keeps a delete marker, and says so with its
	// 404 (Amazon S3 API Reference, HeadObject, "Versioning").
	deleted bool
}

func (s *Sink) head(ctx context.Context, bucket, key string) (headed, error) {
	var found headed
	err := s.try(ctx, request{operation: "HeadObject", bucket: bucket, key: key, bounded: true, do: func(ctx context.Context) error {
		out, err := s.client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &bucket, Key: &key}, s.options)
		if _, absent := errors.AsType[*types.NotFound](err); absent {
			answer, ok := errors.AsType[*smithyhttp.ResponseError](err)
			found = headed{deleted: ok && answer.Response.Header.Get("X-Amz-Delete-Marker") == "true"}
			return nil
		}
		if err != nil {
			return err
		}
		found = headed{there: true, batch: out.Metadata[writers.MetadataBatchID], size: aws.ToInt64(out.ContentLength)}
		found.etag, err = result(out.ETag)
		return err
	}})
	return found, err
}

// Abort implements writers.Sink. It does nothing for a file without an upload.
func (s *Sink) Abort(ctx context.Context, f checkpoint.File) error {
	upload, err := stagedOf(f)
	if err != nil || upload.UploadID == "" {
		return err
	}
	bucket := cmp.Or(f.Bucket, s.config.Bucket)
	return s.try(ctx, request{operation: "AbortMultipartUpload", bucket: bucket, key: f.Key, do: func(ctx context.Context) error {
		_, err := s.client.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{
			Bucket: &bucket, Key: &f.Key, UploadId: &upload.UploadID,
		}, s.options)
		if errorCode(err) == "NoSuchUpload" {
			return nil
		}
		return err
	}})
}

// Put implements writers.Sink. It can be repeated safely.
func (s *Sink) Put(ctx context.Context, spec writers.ObjectSpec, body []byte) error {
	bucket := cmp.Or(spec.Bucket, s.config.Bucket)
	in := s.putInput(bucket, &spec, body)
	return s.try(ctx, request{operation: "PutObject", bucket: bucket, key: spec.Key, body: int64(len(body)), bounded: true, do: func(ctx context.Context) error {
		in.Body = bytes.NewReader(body)
		out, err := s.client.PutObject(ctx, in, s.options, unsignedPayload)
		if err != nil {
			return err
		}
		_, err = result(out.ETag)
		return err
	}})
}

// Check implements writers.Sink. It asks once whether the bucket exists, and then checks that no request has been failing
// for longer than the longest wait between attempts: a bucket that answers but accepts no parts is not ready; one that
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
	if t := s.health.worst(); t != nil && time.Since(t.Since) > s.config.Backoff.Longest {
		return t
	}
	return nil
}

// options are set for every request: without the SDK's retries and checksums, because this package does both.
func (s *Sink) options(o *s3.Options) {
	o.Retryer = aws.NopRetryer{}
	o.RequestChecksumCalculation = aws.RequestChecksumCalculationWhenRequired
}

// unsignedPayload leaves the body out of the signature: TLS and the CRC32C protect its integrity, and a SHA-256 of every
// part would cost more than the upload.
func unsignedPayload(o *s3.Options) {
	o.APIOptions = append(o.APIOptions, v4.SwapComputePayloadSHA256ForUnsignedPayloadMiddleware)
}

// checksum encodes a CRC32C for S3: big-endian, in base64.
func checksum(crc uint32) string {
	return base64.StdEncoding.EncodeToString(binary.BigEndian.AppendUint32(nil, crc))
}

// optional returns nil for the empty string.
func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
