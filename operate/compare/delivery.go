package compare

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"aws-streaming-pipeline/operate/objects"
	"aws-streaming-pipeline/record"
	"aws-streaming-pipeline/writers/layout"
)

// Delivery is what one of the two has written.
type Delivery struct {
	Bucket objects.Bucket
	// Prefix is the beginning of the keys.
	Prefix string
	// Aside are beginnings of keys that are left out, such as that of error objects.
	Aside []string
	// Pipeline leaves out whatever does not have the key of a file that the daemon writes.
	Pipeline bool
	// ManifestPrefix is the MANIFEST_PREFIX of the daemon, whose documents are left out.
	ManifestPrefix string
}

// URL returns the place of the delivery.
func (d Delivery) URL() string { return "s3://" + d.Bucket.Name + "/" + d.Prefix }

// ParseURL parses s3://bucket/prefix.
func ParseURL(url string) (bucket, prefix string, err error) {
	rest, ok := strings.CutPrefix(url, "s3://")
	bucket, prefix, _ = strings.Cut(rest, "/")
	if !ok || bucket == "" {
		return "", "", fmt.Errorf("%q: want s3://bucket/prefix/", url)
	}
	return bucket, prefix, nil
}

// Reasons why objects are left out.
const (
	ErrorObject   = "error objects"
	Bookkeeping   = "manifests and notes"
	MarkerObject  = "markers and empty objects"
	ForeignObject = "objects that the daemon does not write"
)

// errorFolders are the error-output-types of Firehose for S3 (Amazon Data Firehose, "Understand custom prefixes for Amazon S3
// objects"), and our own.
var errorFolders = []record.OutputType{record.ProcessingFailed, record.FormatConversionFailed, record.PostgresFailed}

// reason says why an object is left out, by its key and size; it is empty for data.
func (d Delivery) reason(key string, size int64) string {
	for _, prefix := range d.Aside {
		if prefix != "" && strings.HasPrefix(key, prefix) {
			return ErrorObject
		}
	}
	if d.ManifestPrefix != "" && layout.IsBookkeeping(d.ManifestPrefix, key) {
		return Bookkeeping
	}
	if size == 0 {
		return MarkerObject
	}
	for folder := range strings.SplitSeq(strings.TrimPrefix(key, d.Prefix), "/") {
		switch {
		case slices.Contains(errorFolders, record.OutputType(folder)):
			return ErrorObject
		// Hive and Spark do not read such files and folders; a folder with an equals sign is a partition.
		case strings.HasPrefix(folder, "_") && !strings.Contains(folder, "="), strings.HasPrefix(folder, "."):
			return MarkerObject
		}
	}
	if _, ok := layout.ParseFile(key); d.Pipeline && !ok {
		return ForeignObject
	}
	return ""
}

// Window selects objects by the time at which they were stored.
type Window struct {
	// From (inclusive) and To (exclusive) may be zero, which means without a bound.
	From, To time.Time
	// Margin is by how much the window is widened on both sides for counterparts of the window's records.
	Margin time.Duration
}

// has reports whether objects stored at t are read, and whether they are in the margin only.
func (w Window) has(t time.Time) (read, margin bool) {
	early := !w.From.IsZero() && t.Before(w.From)
	late := !w.To.IsZero() && !t.Before(w.To)
	switch {
	case early:
		return !t.Before(w.From.Add(-w.Margin)), true
	case late:
		return t.Before(w.To.Add(w.Margin)), true
	}
	return true, false
}

// objects iterates over the data objects of the window. It counts what it passes over in set.
func (d Delivery) objects(ctx context.Context, s side, w Window, set map[string]int64) iter.Seq2[object, error] {
	return func(yield func(object, error) bool) {
		for o, err := range d.Bucket.List(ctx, d.Prefix, "") {
			if err != nil {
				yield(object{}, err)
				return
			}
			read, margin := w.has(aws.ToTime(o.LastModified))
			if !read {
				continue
			}
			if reason := d.reason(*o.Key, aws.ToInt64(o.Size)); reason != "" {
				set[reason]++
				continue
			}
			found := object{side: s, margin: margin, key: *o.Key, etag: objects.Unquote(aws.ToString(o.ETag))}
			if !yield(found, nil) {
				return
			}
		}
	}
}
