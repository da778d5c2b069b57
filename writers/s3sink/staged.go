package s3sink

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"aws-streaming-pipeline/checkpoint"
)

// staged is the content of checkpoint.File.Staged for a file in S3. Workers of other releases read it.
type staged struct {
	UploadID string       `json:"upload_id,omitempty"`
	Parts    []stagedPart `json:"parts,omitempty"`
}

// stagedPart is one part of a multipart upload. Parts are numbered from 1 in the order of the slice.
type stagedPart struct {
	ETag     string `json:"etag"`
	Bytes    int64  `json:"bytes"`
	Checksum string `json:"checksum,omitempty"` // CRC32C in base64, if the endpoint returns it
}

// json encodes it for checkpoint.File.Staged.
func (s staged) json() json.RawMessage {
	text, _ := json.Marshal(s) // strings and numbers never fail
	return text
}

// stagedOf decodes the Staged field of a file. The result is empty if nothing is staged.
func stagedOf(f checkpoint.File) (staged, error) {
	var s staged
	if len(f.Staged) == 0 {
		return s, nil
	}
	if err := json.Unmarshal(f.Staged, &s); err != nil {
		return staged{}, fmt.Errorf("read the staged upload of s3://%s/%s: %w", f.Bucket, f.Key, err)
	}
	if s.UploadID == "" {
		return staged{}, fmt.Errorf("s3://%s/%s is not staged in a multipart upload: %w", f.Bucket, f.Key, errNotOurs)
	}
	return s, nil
}

// errNotOurs means that another kind of sink staged the file.
var errNotOurs = errors.New("it was staged by another kind of destination")

// Pending reports whether the upload of a file, whose Bucket must be set, still exists: neither completed nor removed.
func Pending(ctx context.Context, client s3.ListPartsAPIClient, f checkpoint.File) (bool, error) {
	s, err := stagedOf(f)
	if err != nil || s.UploadID == "" {
		return false, err
	}
	_, err = client.ListParts(ctx, &s3.ListPartsInput{Bucket: &f.Bucket, Key: &f.Key, UploadId: &s.UploadID, MaxParts: aws.Int32(1)})
	if errorCode(err) == "NoSuchUpload" {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look for the upload of s3://%s/%s: %w", f.Bucket, f.Key, err)
	}
	return true, nil
}
