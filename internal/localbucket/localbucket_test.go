package localbucket_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"

	"aws-streaming-pipeline/internal/localbucket"
)

const bucket = "trips"

// start serves a folder with a bucket until the test ends or stop is called.
func start(t *testing.T, dir string) (client *s3.Client, stop func()) {
	t.Helper()
	server, err := localbucket.Start("127.0.0.1:0", dir)
	if err != nil {
		t.Fatal(err)
	}
	running := true
	stop = func() {
		if !running {
			return
		}
		running = false
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(stop)
	if err := server.CreateBucket(bucket); err != nil {
		t.Fatal(err)
	}
	return s3.New(s3.Options{
		BaseEndpoint: aws.String(server.URL()),
		Region:       "us-east-1",
		UsePathStyle: true,
		Credentials:  credentials.NewStaticCredentialsProvider("any", "thing", ""),
		Retryer:      aws.NopRetryer{},
		HTTPClient:   &http.Client{Transport: &http.Transport{}},
	}), stop
}

func code(err error) string {
	var api smithy.APIError
	if errors.As(err, &api) {
		return api.ErrorCode()
	}
	return fmt.Sprint(err)
}

func put(t *testing.T, c *s3.Client, key, body string) {
	t.Helper()
	if _, err := c.PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String(bucket), Key: &key, Body: strings.NewReader(body)}); err != nil {
		t.Fatal(err)
	}
}

// begin starts an upload and sends its parts.
func begin(t *testing.T, c *s3.Client, key string, parts ...[]byte) (id *string, completed *types.CompletedMultipartUpload) {
	t.Helper()
	u, err := c.CreateMultipartUpload(t.Context(), &s3.CreateMultipartUploadInput{
		Bucket: aws.String(bucket), Key: &key, ContentType: aws.String("application/x-ndjson"), Metadata: map[string]string{"batch-id": "7"},
	})
	if err != nil {
		t.Fatal(err)
	}
	completed = new(types.CompletedMultipartUpload)
	for i, p := range parts {
		number := aws.Int32(int32(i + 1))
		out, err := c.UploadPart(t.Context(), &s3.UploadPartInput{
			Bucket: aws.String(bucket), Key: &key, UploadId: u.UploadId, PartNumber: number, Body: bytes.NewReader(p),
		})
		if err != nil {
			t.Fatal(err)
		}
		completed.Parts = append(completed.Parts, types.CompletedPart{PartNumber: number, ETag: out.ETag})
	}
	return u.UploadId, completed
}

func complete(t *testing.T, c *s3.Client, key string, id *string, parts *types.CompletedMultipartUpload) error {
	t.Helper()
	_, err := c.CompleteMultipartUpload(t.Context(), &s3.CompleteMultipartUploadInput{
		Bucket: aws.String(bucket), Key: &key, UploadId: id, MultipartUpload: parts,
	})
	return err
}

func TestServer_KeepsObjectsAsPlainFiles(t *testing.T) {
	dir := t.TempDir()
	c, _ := start(t, dir)
	put(t, c, "year=2026/month=11/a b+c.jsonl", "line\n")
	got, err := os.ReadFile(filepath.Join(dir, bucket, "year=2026/month=11/a b+c.jsonl"))
	if err != nil || string(got) != "line\n" {
		t.Fatalf("the file holds %q: %v", got, err)
	}
	// A file that somebody copies into the folder is an object too.
	if err := os.WriteFile(filepath.Join(dir, bucket, "laid"), []byte("by hand"), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := c.GetObject(t.Context(), &s3.GetObjectInput{Bucket: aws.String(bucket), Key: aws.String("laid"), Range: aws.String("bytes=3-")})
	if err != nil {
		t.Fatal(err)
	}
	defer out.Body.Close()
	if b, err := io.ReadAll(out.Body); err != nil || string(b) != "hand" {
		t.Fatalf("%q came back: %v", b, err)
	}
}

// The process that serves the bucket dies while an upload is in progress.
func TestServer_KeepsUploadsOverARestart(t *testing.T) {
	dir := t.TempDir()
	c, stop := start(t, dir)
	first, last := bytes.Repeat([]byte("x"), 5<<20), []byte("end")
	id, parts := begin(t, c, "large", first, last)
	stop()
	c, _ = start(t, dir)
	if _, err := os.Stat(filepath.Join(dir, bucket, "large")); !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("the object is visible before it is completed: %v", err)
	}
	if err := complete(t, c, "large", id, parts); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(filepath.Join(dir, bucket, "large"))
	if err != nil || !bytes.Equal(got, append(first, last...)) {
		t.Fatalf("%d bytes: %v", len(got), err)
	}
	head, err := c.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: aws.String(bucket), Key: aws.String("large")})
	if err != nil {
		t.Fatal(err)
	}
	if head.Metadata["batch-id"] != "7" || aws.ToString(head.ContentType) != "application/x-ndjson" || aws.ToInt64(head.ContentLength) != int64(len(got)) {
		t.Fatalf("metadata %v, type %q, %d bytes", head.Metadata, aws.ToString(head.ContentType), aws.ToInt64(head.ContentLength))
	}
	if err := complete(t, c, "large", id, parts); code(err) != "NoSuchUpload" {
		t.Fatalf("completing again gave %v", err)
	}
}

func TestServer_RefusesWhatS3Refuses(t *testing.T) {
	c, _ := start(t, t.TempDir())
	small := []byte("small")
	t.Run("a small part that is not the last", func(t *testing.T) {
		id, parts := begin(t, c, "a", small, small)
		if err := complete(t, c, "a", id, parts); code(err) != "EntityTooSmall" {
			t.Fatal(err)
		}
	})
	t.Run("parts out of order", func(t *testing.T) {
		id, parts := begin(t, c, "a", small, small)
		slices.Reverse(parts.Parts)
		if err := complete(t, c, "a", id, parts); code(err) != "InvalidPartOrder" {
			t.Fatal(err)
		}
	})
	t.Run("a part that was replaced", func(t *testing.T) {
		id, parts := begin(t, c, "a", small)
		if _, err := c.UploadPart(t.Context(), &s3.UploadPartInput{
			Bucket: aws.String(bucket), Key: aws.String("a"), UploadId: id, PartNumber: aws.Int32(1), Body: strings.NewReader("other"),
		}); err != nil {
			t.Fatal(err)
		}
		if err := complete(t, c, "a", id, parts); code(err) != "InvalidPart" {
			t.Fatal(err)
		}
	})
	t.Run("an upload that was aborted", func(t *testing.T) {
		id, parts := begin(t, c, "a", small)
		abort := &s3.AbortMultipartUploadInput{Bucket: aws.String(bucket), Key: aws.String("a"), UploadId: id}
		if _, err := c.AbortMultipartUpload(t.Context(), abort); err != nil {
			t.Fatal(err)
		}
		if err := complete(t, c, "a", id, parts); code(err) != "NoSuchUpload" {
			t.Fatal(err)
		}
		if _, err := c.AbortMultipartUpload(t.Context(), abort); code(err) != "NoSuchUpload" {
			t.Fatal(err)
		}
	})
	t.Run("an upload under another key", func(t *testing.T) {
		id, parts := begin(t, c, "a", small)
		if err := complete(t, c, "b", id, parts); code(err) != "NoSuchUpload" {
			t.Fatal(err)
		}
	})
	t.Run("an upload id that is a path", func(t *testing.T) {
		if err := complete(t, c, "a", aws.String("../metadata"), &types.CompletedMultipartUpload{}); code(err) != "NoSuchUpload" {
			t.Fatal(err)
		}
	})
	t.Run("a body with another checksum", func(t *testing.T) {
		for _, key := range []string{"object", "part"} {
			var err error
			if key == "object" {
				_, err = c.PutObject(t.Context(), &s3.PutObjectInput{
					Bucket: aws.String(bucket), Key: &key, Body: bytes.NewReader(small), ChecksumCRC32C: aws.String("AAAAAA=="),
				})
			} else {
				id, _ := begin(t, c, key)
				_, err = c.UploadPart(t.Context(), &s3.UploadPartInput{
					Bucket: aws.String(bucket), Key: &key, UploadId: id, PartNumber: aws.Int32(1), Body: bytes.NewReader(small), ChecksumCRC32C: aws.String("AAAAAA=="),
				})
			}
			if code(err) != "BadDigest" {
				t.Errorf("%s: %v", key, err)
			}
		}
	})
	t.Run("a condition that does not hold", func(t *testing.T) {
		put(t, c, "there", "first")
		_, err := c.PutObject(t.Context(), &s3.PutObjectInput{
			Bucket: aws.String(bucket), Key: aws.String("there"), Body: strings.NewReader("second"), IfNoneMatch: aws.String("*"),
		})
		if code(err) != "PreconditionFailed" {
			t.Errorf("put: %v", err)
		}
		id, parts := begin(t, c, "there", small)
		_, err = c.CompleteMultipartUpload(t.Context(), &s3.CompleteMultipartUploadInput{
			Bucket: aws.String(bucket), Key: aws.String("there"), UploadId: id, MultipartUpload: parts, IfNoneMatch: aws.String("*"),
		})
		if code(err) != "PreconditionFailed" {
			t.Errorf("complete: %v", err)
		}
	})
	t.Run("keys that are not canonical paths", func(t *testing.T) {
		put(t, c, "file", "x")
		for _, key := range []string{"../outside", "a//b", "a/", "/a", "file/below"} {
			_, err := c.PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String(bucket), Key: &key, Body: bytes.NewReader(small)})
			if err == nil {
				t.Errorf("key %q was taken", key)
			}
		}
	})
	t.Run("a bucket that is not there", func(t *testing.T) {
		for _, name := range []string{"missing", ".localbucket"} {
			if _, err := c.HeadBucket(t.Context(), &s3.HeadBucketInput{Bucket: &name}); err == nil {
				t.Errorf("bucket %s is there", name)
			}
		}
	})
}

func TestServer_Lists(t *testing.T) {
	c, _ := start(t, t.TempDir())
	keys := []string{"a.txt", "a/1", "a/2", "a/b/3", "b", "c/4"}
	for _, key := range keys {
		put(t, c, key, key)
	}
	tests := map[string]struct {
		prefix, delimiter, after string
		keys, prefixes           []string
	}{
		"all":                   {keys: keys},
		"by prefix":             {prefix: "a/", keys: []string{"a/1", "a/2", "a/b/3"}},
		"by a part of a name":   {prefix: "a", keys: []string{"a.txt", "a/1", "a/2", "a/b/3"}},
		"like folders":          {delimiter: "/", keys: []string{"a.txt", "b"}, prefixes: []string{"a/", "c/"}},
		"a folder":              {prefix: "a/", delimiter: "/", keys: []string{"a/1", "a/2"}, prefixes: []string{"a/b/"}},
		"from a key on":         {after: "a/2", keys: []string{"a/b/3", "b", "c/4"}},
		"a prefix without keys": {prefix: "x/y/z"},
	}
	for name, test := range tests {
		for _, size := range []int32{1, 2, 1000} {
			t.Run(fmt.Sprintf("%s, %d a page", name, size), func(t *testing.T) {
				in := &s3.ListObjectsV2Input{Bucket: aws.String(bucket), MaxKeys: &size}
				if test.prefix != "" {
					in.Prefix = &test.prefix
				}
				if test.delimiter != "" {
					in.Delimiter = &test.delimiter
				}
				if test.after != "" {
					in.StartAfter = &test.after
				}
				var got, prefixes []string
				for pages := s3.NewListObjectsV2Paginator(c, in); pages.HasMorePages(); {
					page, err := pages.NextPage(t.Context())
					if err != nil {
						t.Fatal(err)
					}
					for _, o := range page.Contents {
						got = append(got, aws.ToString(o.Key))
						if aws.ToInt64(o.Size) != int64(len(aws.ToString(o.Key))) {
							t.Errorf("%s has %d bytes", aws.ToString(o.Key), aws.ToInt64(o.Size))
						}
					}
					for _, p := range page.CommonPrefixes {
						prefixes = append(prefixes, aws.ToString(p.Prefix))
					}
				}
				if !slices.Equal(got, test.keys) || !slices.Equal(prefixes, test.prefixes) {
					t.Fatalf("got %q and %q", got, prefixes)
				}
			})
		}
	}
}

func TestServer_ListsAndDeletes(t *testing.T) {
	dir := t.TempDir()
	c, _ := start(t, dir)
	id, _ := begin(t, c, "open", []byte("part"))
	uploads, err := c.ListMultipartUploads(t.Context(), &s3.ListMultipartUploadsInput{Bucket: aws.String(bucket)})
	if err != nil || len(uploads.Uploads) != 1 || aws.ToString(uploads.Uploads[0].UploadId) != aws.ToString(id) {
		t.Fatalf("uploads %+v: %v", uploads, err)
	}
	parts, err := c.ListParts(t.Context(), &s3.ListPartsInput{Bucket: aws.String(bucket), Key: aws.String("open"), UploadId: id})
	if err != nil || len(parts.Parts) != 1 || aws.ToInt64(parts.Parts[0].Size) != 4 {
		t.Fatalf("parts %+v: %v", parts, err)
	}
	for _, key := range []string{"a", "b", "c"} {
		put(t, c, key, "x")
	}
	if _, err := c.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: aws.String(bucket), Key: aws.String("a")}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.DeleteObjects(t.Context(), &s3.DeleteObjectsInput{Bucket: aws.String(bucket), Delete: &types.Delete{
		Objects: []types.ObjectIdentifier{{Key: aws.String("b")}, {Key: aws.String("never there")}},
	}}); err != nil {
		t.Fatal(err)
	}
	list, err := c.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: aws.String(bucket)})
	if err != nil || len(list.Contents) != 1 || aws.ToString(list.Contents[0].Key) != "c" {
		t.Fatalf("objects %+v: %v", list, err)
	}
}

func TestStart_RefusesAddressesThatOthersReach(t *testing.T) {
	for _, addr := range []string{":0", "0.0.0.0:0", "[::]:0", "example.com:80", "127.0.0.1"} {
		if s, err := localbucket.Start(addr, t.TempDir()); err == nil {
			t.Errorf("%q was taken", addr)
			_ = s.Close()
		}
	}
}
