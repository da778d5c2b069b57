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

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/klauspost/compress/zstd"
)

// Prefixes that the daemons are told to use.
const (
	dataPrefix     = "data/"
	errorPrefix    = "errors/"
	manifestPrefix = "manifests/"
)

// bucket reads what the daemons have written, past the proxies and without any code of theirs.
type bucket struct {
	client *s3.Client
	name   string
}

// list returns the sizes of all objects by key.
func (b bucket) list(ctx context.Context, prefix string) (map[string]int64, error) {
	sizes := map[string]int64{}
	pages := s3.NewListObjectsV2Paginator(b.client, &s3.ListObjectsV2Input{Bucket: &b.name, Prefix: &prefix})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, fmt.Errorf("list %s: %w", prefix, err)
		}
		for _, object := range page.Contents {
			sizes[aws.ToString(object.Key)] = aws.ToInt64(object.Size)
		}
	}
	return sizes, nil
}

func (b bucket) get(ctx context.Context, key string) (content []byte, err error) {
	out, err := b.client.GetObject(ctx, &s3.GetObjectInput{Bucket: &b.name, Key: &key})
	if err != nil {
		return nil, fmt.Errorf("get %s: %w", key, err)
	}
	defer func() { err = errors.Join(err, out.Body.Close()) }()
	return io.ReadAll(out.Body)
}

// lines returns the lines of an object, decompressed as its name says.
func (b bucket) lines(ctx context.Context, key string) ([][]byte, error) {
	content, err := b.get(ctx, key)
	if err != nil {
		return nil, err
	}
	var in io.Reader = bytes.NewReader(content)
	switch {
	case strings.HasSuffix(key, ".gz"):
		in, err = gzip.NewReader(in)
	case strings.HasSuffix(key, ".zst"):
		in, err = zstd.NewReader(in, zstd.WithDecoderConcurrency(1))
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", key, err)
	}
	var lines [][]byte
	scanner := bufio.NewScanner(in)
	scanner.Buffer(nil, 16<<20)
	for scanner.Scan() {
		lines = append(lines, bytes.Clone(scanner.Bytes()))
	}
	if err := scanner.Err(); err != nil {
		return nil, fmt.Errorf("read %s: %w", key, err)
	}
	return lines, nil
}

// manifest is what the audit needs of a batch's manifest.
type manifest struct {
	Batch  string `json:"batch"`
	Worker string `json:"worker"`
	Ranges []struct {
		Shard   string `json:"shard"`
		Start   string `json:"start"`
		End     string `json:"end"`
		Records int64  `json:"records"`
	} `json:"ranges"`
	Files []struct {
		Key   string `json:"key"`
		Rows  int64  `json:"rows"`
		Bytes int64  `json:"bytes"`
	} `json:"files"`
}

// manifests reads those that known does not have, into known by key.
func (b bucket) manifests(ctx context.Context, known map[string]manifest) error {
	keys, err := b.list(ctx, manifestPrefix)
	if err != nil {
		return err
	}
	for key := range keys {
		if _, ok := known[key]; ok {
			continue
		}
		content, err := b.get(ctx, key)
		if err != nil {
			return err
		}
		var m manifest
		if err := json.Unmarshal(content, &m); err != nil {
			return fmt.Errorf("manifest %s: %w", key, err)
		}
		known[key] = m
	}
	return nil
}
