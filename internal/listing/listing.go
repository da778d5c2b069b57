// Package listing checks that a list of objects comes from S3.
package listing

import (
	"errors"

	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// Check returns an error if an answer has none of the elements that each answer of ListObjectsV2 has (Amazon S3 API Reference).
// The SDK takes any page with status 200, such as the login page of a proxy or a console, for a list without objects.
func Check(page *s3.ListObjectsV2Output) error {
	if len(page.Contents) == 0 && page.Name == nil && page.KeyCount == nil && page.IsTruncated == nil {
		return errors.New("the answer is not a list of objects: check that the endpoint is that of S3, and that no proxy or login page answers instead")
	}
	return nil
}
