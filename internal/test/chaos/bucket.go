package chaos

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/klauspost/compress/zstd"
)

// Prefixes in the daemons' settings.
const (
	dataPrefix     = "data/"
	errorPrefix    = "errors/"
	backupPrefix   = "backup/"
	manifestPrefix = "manifests/"
)

// buckets read what the daemons have written, past the proxies and without the daemon's code. Objects are named by bucket
// and key, separated by a slash.
type buckets struct {
	client *s3.Client
	names  []string
}

// list returns the sizes of all objects.
func (b buckets) list(ctx context.Context, prefix string) (map[string]int64, error) {
	sizes := map[string]int64{}
	for _, name := range b.names {
		pages := s3.NewListObjectsV2Paginator(b.client, &s3.ListObjectsV2Input{Bucket: &name, Prefix: &prefix})
		for pages.HasMorePages() {
			page, err := pages.NextPage(ctx)
			if err != nil {
				return nil, fmt.Errorf("list %s of %s: %w", prefix, name, err)
			}
			for _, object := range page.Contents {
				sizes[name+"/"+aws.ToString(object.Key)] = aws.ToInt64(object.Size)
			}
		}
	}
	return sizes, nil
}

// modified adds the times at which objects became visible.
func (b buckets) modified(ctx context.Context, prefix string, into map[string]time.Time) error {
	for _, name := range b.names {
		pages := s3.NewListObjectsV2Paginator(b.client, &s3.ListObjectsV2Input{Bucket: &name, Prefix: &prefix})
		for pages.HasMorePages() {
			page, err := pages.NextPage(ctx)
			if err != nil {
				return fmt.Errorf("list %s of %s: %w", prefix, name, err)
			}
			for _, object := range page.Contents {
				into[name+"/"+aws.ToString(object.Key)] = aws.ToTime(object.LastModified)
			}
		}
	}
	return nil
}

func (b buckets) get(ctx context.Context, object string) (content []byte, err error) {
	name, key, _ := strings.Cut(object, "/")
	out, err := b.client.GetObject(ctx, &s3.GetObjectInput{Bucket: &name, Key: &key})
	if err != nil {
		return nil, fmt.Errorf("get %s: %w", object, err)
	}
	defer func() { err = errors.Join(err, out.Body.Close()) }()
	return io.ReadAll(out.Body)
}

// lines returns the lines of an object, decompressed according to its name.
func (b buckets) lines(ctx context.Context, object string) ([][]byte, error) {
	content, err := b.get(ctx, object)
	if err != nil {
		return nil, err
	}
	var in io.Reader = bytes.NewReader(content)
	switch {
	case strings.HasSuffix(object, ".gz"):
		in, err = gzip.NewReader(in)
	case strings.HasSuffix(object, ".zst"):
		in, err = zstd.NewReader(in, zstd.WithDecoderConcurrency(1))
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", object, err)
	}
	var lines [][]byte
	scanner := bufio.NewScanner(in)
	scanner.Buffer(nil, 16<<20)
	for scanner.Scan() {
		lines = append(lines, bytes.Clone(scanner.Bytes()))
	}
	if err := scanner.Err(); err != nil {
		return nil, fmt.Errorf("read %s: %w", object, err)
	}
	return lines, nil
}

// manifest has the fields of a batch's manifest that the audit needs.
type manifest struct {
	Batch  string `json:"batch"`
	Worker string `json:"worker"`
	Ranges []struct {
		Shard   string `json:"shard"`
		Start   string `json:"start"`
		End     string `json:"end"`
		Records int64  `json:"records"`

		FirstArrival time.Time `json:"first_arrival"`
		LastArrival  time.Time `json:"last_arrival"`
	} `json:"ranges"`
	Tables []string `json:"tables"`
	Files  []struct {
		Bucket string `json:"bucket"`
		Key    string `json:"key"`
		Rows   int64  `json:"rows"`
		Bytes  int64  `json:"bytes"`
		Backup bool   `json:"backup"`
	} `json:"files"`
}

// manifests adds the manifests that known lacks, by object. File lists of batches in the outbox are not manifests.
func (b buckets) manifests(ctx context.Context, known map[string]manifest) error {
	objects, err := b.list(ctx, manifestPrefix)
	if err != nil {
		return err
	}
	for object := range objects {
		if _, ok := known[object]; ok || !strings.HasSuffix(object, ".json") {
			continue
		}
		content, err := b.get(ctx, object)
		if err != nil {
			return err
		}
		var m manifest
		if err := json.Unmarshal(content, &m); err != nil {
			return fmt.Errorf("manifest %s: %w", object, err)
		}
		known[object] = m
	}
	return nil
}
