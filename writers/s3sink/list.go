package s3sink

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/writers"
)

// ReadList implements writers.Sink. It needs s3:GetObject for the key.
func (s *Sink) ReadList(ctx context.Context, l checkpoint.FileList) (data []byte, batchID string, err error) {
	found := true
	err = s.try(ctx, request{operation: "GetObject", bucket: l.Bucket, key: l.Key, body: l.Bytes, bounded: true, do: func(ctx context.Context) error {
		out, err := s.client.GetObject(ctx, &s3.GetObjectInput{Bucket: &l.Bucket, Key: &l.Key}, s.options)
		if _, absent := errors.AsType[*types.NoSuchKey](err); absent {
			found = false
			return nil
		}
		if err != nil {
			return err
		}
		defer out.Body.Close()
		// An object longer than the list is another object: one more byte shows it.
		data, err = io.ReadAll(io.LimitReader(out.Body, l.Bytes+1))
		batchID = out.Metadata[writers.MetadataBatchID]
		return err
	}})
	if err == nil && !found {
		err = fmt.Errorf("GetObject %s: %w", &l, checkpoint.ErrNotFound)
	}
	if err != nil {
		return nil, "", err
	}
	return data, batchID, nil
}

// DeleteList implements writers.Sink. It needs s3:DeleteObject for the key.
func (s *Sink) DeleteList(ctx context.Context, l checkpoint.FileList) error {
	return s.try(ctx, request{operation: "DeleteObject", bucket: l.Bucket, key: l.Key, bounded: true, do: func(ctx context.Context) error {
		_, err := s.client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &l.Bucket, Key: &l.Key}, s.options)
		return err
	}})
}
