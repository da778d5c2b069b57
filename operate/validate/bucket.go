package validate

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdkhttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"aws-streaming-pipeline/writers/layout"
)

// tryBucket begins and aborts an upload under each prefix that files are written to, and tries the objects beside them.
func (t *tester) tryBucket(ctx context.Context, r *Result) {
	region, ok := t.findBucket(ctx, r)
	if !ok {
		return
	}
	for _, prefix := range layout.Disjoint(t.filePrefixes()) {
		if !t.upload(ctx, r, prefix) {
			return // nothing answers
		}
	}
	small := []string{t.cfg.ManifestPrefix + tried(), layout.OutboxFolder(t.cfg.ManifestPrefix) + tried()}
	if t.cfg.CompletePrefix != "" {
		small = append(small, layout.StatementKey(t.cfg.CompletePrefix, t.cfg.Application))
	}
	for _, key := range small {
		t.object(ctx, r, key)
	}
	if r.Failed() {
		return
	}
	r.OK("%s: began, wrote and aborted uploads under %s; manifests can be written under %s", t.cfg.Bucket,
		strings.Join(layout.Disjoint(t.filePrefixes()), " and "), cmp.Or(t.cfg.ManifestPrefix, "its root"))
	if region != "" && region != t.Account.Region {
		r.Warn("BUCKET", "the bucket is in "+region+", the stream in "+t.Account.Region+": AWS bills the transfer between regions", "use a bucket in "+t.Account.Region)
	}
	if t.keepsUploads(ctx) {
		r.Warn("BUCKET", "the bucket has no lifecycle rule for incomplete uploads: those of a worker that was killed stay, invisible and billed",
			"add one, such as AbortIncompleteMultipartUpload after 7 days")
	}
}

// filePrefixes are the fixed beginnings of the keys of files.
func (t *tester) filePrefixes() []string {
	prefixes := []string{t.cfg.Prefix, cmp.Or(t.cfg.ErrorPrefix, t.cfg.Prefix)}
	if t.cfg.BackupPrefix != "" {
		prefixes = append(prefixes, t.cfg.BackupPrefix)
	}
	for i, p := range prefixes {
		prefixes[i] = layout.Fixed(p)
	}
	return prefixes
}

// tried returns the last part of a key, which nobody else uses.
func tried() string { return "validate-" + strings.ToLower(rand.Text()[:12]) }

// findBucket looks for the bucket, and returns its region if the store says it.
func (t *tester) findBucket(ctx context.Context, r *Result) (region string, ok bool) {
	out, err := t.s3.HeadBucket(ctx, &s3.HeadBucketInput{Bucket: &t.cfg.Bucket})
	if err == nil {
		return aws.ToString(out.BucketRegion), true
	}
	about := call{what: "look for the bucket " + t.cfg.Bucket, action: "s3:ListBucket", setting: "BUCKET"}
	// S3 names the region in any answer (Amazon S3 API Reference, "HeadBucket").
	answer, answered := errors.AsType[*sdkhttp.ResponseError](err)
	if answered {
		region = answer.Response.Header.Get("X-Amz-Bucket-Region")
	}
	if answered && answer.HTTPStatusCode() == http.StatusMovedPermanently && region != "" {
		r.Fail("BUCKET", fmt.Sprintf("the bucket %s is in %s, and AWS_REGION is %s", t.cfg.Bucket, region, t.Account.Region), "use a bucket in the region of the stream")
		return "", false
	}
	t.explain(r, err, about)
	// Other permissions are tried, too, unless there is nothing to try them on.
	return region, answered && answer.HTTPStatusCode() == http.StatusForbidden
}

// upload begins an upload under a prefix, adds a part, lists it, and aborts the upload. It returns false if the store does not answer.
func (t *tester) upload(ctx context.Context, r *Result, prefix string) bool {
	key := prefix + tried()
	where := fmt.Sprintf("s3://%s/%s", t.cfg.Bucket, prefix)
	in := &s3.CreateMultipartUploadInput{Bucket: &t.cfg.Bucket, Key: &key, ChecksumAlgorithm: types.ChecksumAlgorithmCrc32c}
	in.ServerSideEncryption, in.SSEKMSKeyId = t.encryption()
	// Once it is sent, it has to be answered, so that the upload can be aborted.
	begin, cancel := context.WithTimeout(context.WithoutCancel(ctx), limit)
	defer cancel()
	begun, err := t.s3.CreateMultipartUpload(begin, in)
	if err != nil {
		t.explain(r, err, call{what: "begin an upload under " + where, action: "s3:PutObject", setting: "BUCKET"})
		return answered(err)
	}
	defer t.abort(ctx, r, where, key, begun.UploadId)
	_, err = t.s3.UploadPart(ctx, &s3.UploadPartInput{
		Bucket: &t.cfg.Bucket, Key: &key, UploadId: begun.UploadId, PartNumber: aws.Int32(1), Body: strings.NewReader("validate"),
		ChecksumAlgorithm: types.ChecksumAlgorithmCrc32c,
	})
	if err != nil {
		t.explain(r, err, call{what: "upload a part under " + where, action: "s3:PutObject", setting: "BUCKET"})
	}
	_, err = t.s3.ListParts(ctx, &s3.ListPartsInput{Bucket: &t.cfg.Bucket, Key: &key, UploadId: begun.UploadId})
	if err != nil {
		t.explain(r, err, call{what: "list the parts of an upload under " + where, action: "s3:ListMultipartUploadParts", setting: "BUCKET"})
	}
	t.see(ctx, r, key)
	return true
}

func (t *tester) encryption() (types.ServerSideEncryption, *string) {
	if t.cfg.Encryption == "none" {
		return "", nil
	}
	var key *string
	if t.cfg.KMSKey != "" {
		key = &t.cfg.KMSKey
	}
	return types.ServerSideEncryption(t.cfg.Encryption), key
}

// abort aborts an upload even if ctx has ended.
func (t *tester) abort(ctx context.Context, r *Result, where, key string, upload *string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), farewell)
	defer cancel()
	_, err := t.s3.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{Bucket: &t.cfg.Bucket, Key: &key, UploadId: upload})
	if err != nil {
		t.explain(r, err, call{what: "abort the upload " + aws.ToString(upload) + " under " + where + ", which stays in the bucket until it is aborted", action: "s3:AbortMultipartUpload", setting: "BUCKET"})
	}
}

// see looks for an object that does not exist. Without s3:ListBucket S3 answers 403 (Amazon S3 API Reference, "HeadObject").
func (t *tester) see(ctx context.Context, r *Result, key string) {
	_, err := t.s3.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &t.cfg.Bucket, Key: &key})
	if answer, ok := errors.AsType[*sdkhttp.ResponseError](err); err == nil || ok && answer.HTTPStatusCode() == http.StatusNotFound {
		return
	}
	t.explain(r, err, call{what: fmt.Sprintf("look for an object s3://%s/%s", t.cfg.Bucket, key), action: "s3:GetObject", setting: "BUCKET"})
}

// object tries to read and write a small object.
func (t *tester) object(ctx context.Context, r *Result, key string) {
	t.see(ctx, r, key)
	in := PutInput{Client: t.s3, Bucket: t.cfg.Bucket, Key: key}
	in.Encryption, in.KMSKey = t.encryption()
	if err := TryPut(ctx, in); err != nil {
		t.explain(r, err, call{what: fmt.Sprintf("write s3://%s/%s", t.cfg.Bucket, key), action: "s3:PutObject", setting: "BUCKET"})
	}
}

// PutInput says what TryPut tries to write.
type PutInput struct {
	Client      *s3.Client
	Bucket, Key string
	Encryption  types.ServerSideEncryption // empty for the bucket's default
	KMSKey      *string
}

// TryPut returns why an object cannot be written, or nil. It writes none: the digest of the content is wrong, and S3 answers that it is,
// or that the object exists, only to those who may write it (Amazon S3 API Reference, "PutObject", Content-MD5 and If-None-Match). A
// store that does not look at digests, such as an emulator, has the object removed again.
func TryPut(ctx context.Context, to PutInput) error {
	_, err := to.Client.PutObject(ctx, &s3.PutObjectInput{
		Bucket: &to.Bucket, Key: &to.Key, Body: bytes.NewReader([]byte("validate")), IfNoneMatch: aws.String("*"),
		ContentMD5:           aws.String(base64.StdEncoding.EncodeToString(make([]byte, 16))),
		ServerSideEncryption: to.Encryption, SSEKMSKeyId: to.KMSKey,
	}, func(o *s3.Options) {
		o.RequestChecksumCalculation = aws.RequestChecksumCalculationWhenRequired
	})
	switch {
	case err == nil:
		return to.remove(ctx)
	case is(err, "BadDigest", "InvalidDigest", "PreconditionFailed", "NotImplemented"):
		return nil
	}
	return err
}

// remove removes what should not have been written, even if ctx has ended.
func (to PutInput) remove(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), farewell)
	defer cancel()
	if _, err := to.Client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &to.Bucket, Key: &to.Key}); err != nil {
		return fmt.Errorf("the store has written s3://%s/%s although its Content-MD5 is wrong, and it cannot be removed: %w", to.Bucket, to.Key, err)
	}
	return nil
}

// keepsUploads reports whether no rule of the bucket is known to remove incomplete uploads. The daemon's role need not be allowed to ask.
func (t *tester) keepsUploads(ctx context.Context) bool {
	out, err := t.s3.GetBucketLifecycleConfiguration(ctx, &s3.GetBucketLifecycleConfigurationInput{Bucket: &t.cfg.Bucket})
	if err != nil {
		return is(err, "NoSuchLifecycleConfiguration")
	}
	for _, rule := range out.Rules {
		if rule.AbortIncompleteMultipartUpload != nil && rule.Status == types.ExpirationStatusEnabled {
			return false
		}
	}
	return true
}
