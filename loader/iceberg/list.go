package iceberg

import (
	"context"
	"fmt"
	"io/fs"
	"path"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"aws-streaming-pipeline/internal/listing"
)

// WalkDir calls f for each object below a location, with its location under the same scheme. S3 has no folders, so there are
// no entries for them.
func (f Files) WalkDir(root string, visit fs.WalkDirFunc) error {
	bucket, prefix, err := splitLocation(root)
	if err != nil {
		return err
	}
	prefix = strings.TrimSuffix(prefix, "/") + "/"
	scheme, _, _ := strings.Cut(root, "://")
	pages := s3.NewListObjectsV2Paginator(f.bucket, &s3.ListObjectsV2Input{Bucket: &bucket, Prefix: &prefix})
	for pages.HasMorePages() {
		page, err := pages.NextPage(f.ctx)
		if err == nil {
			err = listing.Check(page)
		}
		if err != nil {
			return fmt.Errorf("list %s: %w", root, err)
		}
		for _, o := range page.Contents {
			if err := visit(scheme+"://"+bucket+"/"+aws.ToString(o.Key), object{o}, nil); err != nil {
				return err
			}
		}
	}
	return nil
}

// Delete deletes a file of a table. It is for the operator's commands alone: what writes to tables uses Remove, which does not.
func (f Files) Delete(ctx context.Context, location string) error {
	bucket, key, err := splitLocation(location)
	if err != nil {
		return err
	}
	_, err = f.bucket.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &bucket, Key: &key})
	return err
}

// object is an entry of a listing.
type object struct{ types.Object }

func (o object) Name() string               { return path.Base(aws.ToString(o.Key)) }
func (o object) IsDir() bool                { return false }
func (o object) Type() fs.FileMode          { return 0 }
func (o object) Info() (fs.FileInfo, error) { return o, nil }
func (o object) Size() int64                { return aws.ToInt64(o.Object.Size) }
func (o object) Mode() fs.FileMode          { return 0o400 }
func (o object) ModTime() time.Time         { return aws.ToTime(o.LastModified) }
func (o object) Sys() any                   { return nil }
