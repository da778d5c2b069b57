package consumer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"aws-streaming-pipeline/record/schema"
)

// maxSchemaBytes is the largest size of a schema file.
const maxSchemaBytes = 4 << 20

// LoadSchema reads a schema file from a path or from s3://bucket/key. Without a name it returns nil. Requests to S3 are made
// through fetching, which may retry them.
func LoadSchema(ctx context.Context, name string, bucket *s3.Client, fetching func(func() error) error) (*schema.Schema, error) {
	if name == "" {
		return nil, nil
	}
	document, err := readSchema(ctx, name, bucket, fetching)
	if err != nil {
		return nil, fmt.Errorf("SCHEMA=%q: %w", name, err)
	}
	s, err := schema.Parse(filepath.Base(name), document)
	if err != nil {
		return nil, fmt.Errorf("SCHEMA=%q:\n%w", name, err)
	}
	return s, nil
}

func readSchema(ctx context.Context, name string, client *s3.Client, fetching func(func() error) error) ([]byte, error) {
	location, remote := strings.CutPrefix(name, "s3://")
	if !remote {
		return os.ReadFile(name)
	}
	bucket, key, ok := strings.Cut(location, "/")
	if !ok || bucket == "" || key == "" {
		return nil, errors.New("want a path or s3://bucket/key")
	}
	var document []byte
	err := fetching(func() error {
		object, err := client.GetObject(ctx, &s3.GetObjectInput{Bucket: aws.String(bucket), Key: aws.String(key)})
		if err != nil {
			return err
		}
		defer object.Body.Close()
		document, err = io.ReadAll(io.LimitReader(object.Body, maxSchemaBytes+1))
		return err
	})
	if err == nil && len(document) > maxSchemaBytes {
		err = fmt.Errorf("longer than %d bytes", maxSchemaBytes)
	}
	return document, err
}
