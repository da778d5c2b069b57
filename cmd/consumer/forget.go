package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/operate/objects"
	"aws-streaming-pipeline/writers"
	"aws-streaming-pipeline/writers/layout"
)

const forgetUsage = `checkpoint forget --batch ID [--missing delivered|lost] [--yes]

Takes a batch out of the outbox that cannot be published any more, because files of it have neither an upload nor an
object. Without --missing it prints what is there of the batch, and how to find out what became of the rest:

  --missing delivered  They were published, and their readers have moved or deleted them since. The command writes the
                       batch's manifest, which is all that was not done. NOTHING IS TO BE DELIVERED AGAIN.
  --missing lost       Their uploads were removed before they were published. THEIR RECORDS ARE NOT IN THE BUCKET. The
                       command prints how to rewind the batch's shards, so that they are delivered again as long as the
                       stream holds them.

The wrong one of the two doubles records, or loses them. The command never helps against a bucket that cannot be reached
or written: that mends itself.`

// What became of files that have neither an upload nor an object.
const (
	missingDelivered = "delivered"
	missingLost      = "lost"
)

func forgetBatch(ctx context.Context, args []string, out io.Writer) (err error) {
	cfg := toolSettings()
	f := newFlags("checkpoint forget", forgetUsage, out)
	id := f.String("batch", "", "`id` of the batch (required)")
	missing := f.String("missing", "", "what became of files that are missing: delivered or lost")
	yes := f.Bool("yes", false, "do not ask")
	if err := parse(f, args); err != nil {
		return err
	}
	if *id == "" {
		return errors.New("name the batch with --batch")
	}
	if *missing != "" && *missing != missingDelivered && *missing != missingLost {
		return fmt.Errorf("--missing=%q: want delivered or lost", *missing)
	}
	account, err := loadAccount(ctx)
	if err != nil {
		return err
	}
	store, err := openTable(ctx, cfg)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	fg := forgetter{
		store: store, client: bucketClient(account, cfg), bucket: cfg.Bucket, manifestPrefix: cfg.ManifestPrefix, missing: *missing, out: out,
	}
	if !*yes {
		fg.ask = os.Stdin
	}
	return fg.forget(ctx, *id)
}

// forgetter takes batches out of the outbox.
type forgetter struct {
	store  checkpoint.Store
	client *s3.Client
	// bucket and manifestPrefix are the present settings, for batches that do not say where their manifest goes.
	bucket, manifestPrefix string
	missing                string    // what became of missing files, by the operator; empty if that is not known yet
	ask                    io.Reader // nil is a yes
	out                    io.Writer
}

// forget shows what there is of a batch, asks, and removes it.
func (fg *forgetter) forget(ctx context.Context, id string) error {
	b, err := checkpoint.LoadBatch(ctx, fg.store, fg.in(fg.bucket), id)
	noList := errors.Is(err, checkpoint.ErrNoList)
	if err != nil && !noList {
		return fmt.Errorf("batch %s: %w", id, err)
	}
	if noList {
		fmt.Fprintf(fg.out, "%v\nNobody can tell which of its %d files are there: look for keys that contain %s.\n", err, b.List.Files, b.ID)
	}
	place := layout.ManifestPlace(b, fg.bucket, fg.manifestPrefix)
	switch info, err := fg.in(place.Bucket).Head(ctx, place.Key); {
	case err == nil && info.BatchID == b.ID:
		return fmt.Errorf("the manifest of batch %s is there, so all of it was delivered: a worker that runs takes it out of the outbox", b.ID)
	case err != nil && !errors.Is(err, objects.ErrNotFound):
		return err
	}
	waiting, missing, err := fg.show(ctx, b)
	if err != nil {
		return err
	}
	if noList {
		missing = b.List.Files
	}
	switch {
	case waiting+missing == 0:
		return fmt.Errorf("every file of batch %s is there: it only lacks its manifest, and a worker that runs writes it", b.ID)
	case fg.missing == "":
		fg.explain(b, waiting, missing)
		return errors.New("nothing was removed: say what became of the missing files with --missing delivered or --missing lost")
	case fg.missing == missingDelivered && waiting > 0:
		return fmt.Errorf("nothing was removed: %d files wait in their uploads and were not delivered, mend what keeps a worker from completing them", waiting)
	case fg.missing == missingDelivered && noList:
		return errors.New("nothing was removed: the manifest of a delivered batch cannot be written without the list of its files")
	case fg.missing == missingLost:
		fg.showRewind(b)
	}
	if fg.ask != nil && !confirmed(fg.ask, fg.out) {
		return errors.New("nothing was removed")
	}
	if fg.missing == missingDelivered {
		if err := fg.writeManifest(ctx, b, place); err != nil {
			return err
		}
	}
	if err := fg.store.Forget(ctx, b.ID); err != nil {
		return fmt.Errorf("batch %s: %w", b.ID, err)
	}
	if b.List != nil && !noList {
		fmt.Fprintf(fg.out, "the list of its files, %s, is of no more use: delete it\n", b.List)
	}
	_, err = fmt.Fprintf(fg.out, "batch %s is out of the outbox\n", b.ID)
	return err
}

func (fg *forgetter) in(bucket string) objects.Bucket {
	return objects.Bucket{API: fg.client, Name: bucket}
}

// show prints the files of a batch with what there is of them, and fills in the ETags of those that are there.
func (fg *forgetter) show(ctx context.Context, b checkpoint.Batch) (waiting, missing int, err error) {
	w := tabwriter.NewWriter(fg.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "FILE\tROWS\tSTATE")
	for i := range b.Files {
		f := &b.Files[i]
		f.Bucket = cmp.Or(f.Bucket, fg.bucket)
		state := "there"
		info, err := fg.in(f.Bucket).Head(ctx, f.Key)
		_, published := slices.BinarySearch(b.Published, i)
		foreign := err == nil && info.BatchID != b.ID
		switch {
		case err == nil && !foreign:
			f.ETag = info.ETag
		case err != nil && !errors.Is(err, objects.ErrNotFound):
			return 0, 0, err
		case published:
			state = "was published, and moved or deleted since"
		default:
			pending, err := fg.pending(ctx, *f)
			if err != nil {
				return 0, 0, err
			}
			if pending {
				state = "waits in its upload"
				waiting++
				break
			}
			state = "missing: neither the upload nor the object is there"
			missing++
			if foreign {
				state = fmt.Sprintf("missing: in its place is an object of batch %q", info.BatchID)
			}
		}
		fmt.Fprintf(w, "s3://%s/%s\t%d\t%s\n", f.Bucket, f.Key, f.Rows, state)
	}
	return waiting, missing, w.Flush()
}

// pending tells whether the upload of a file is there.
func (fg *forgetter) pending(ctx context.Context, f checkpoint.File) (bool, error) {
	if f.UploadID == "" {
		return false, nil
	}
	_, err := fg.client.ListParts(ctx, &s3.ListPartsInput{Bucket: &f.Bucket, Key: &f.Key, UploadId: &f.UploadID, MaxParts: aws.Int32(1)})
	if api, ok := errors.AsType[smithy.APIError](err); ok && api.ErrorCode() == "NoSuchUpload" {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look for the upload of s3://%s/%s: %w", f.Bucket, f.Key, err)
	}
	return true, nil
}

// explain says how to find out what became of the missing files, which decides whether a rewind mends or doubles.
func (fg *forgetter) explain(b checkpoint.Batch, waiting, missing int) {
	if waiting > 0 {
		fmt.Fprintf(fg.out, "\n%d files wait in their uploads: a worker completes them when it is let to. Mend that first.\n", waiting)
	}
	if missing == 0 {
		return
	}
	fmt.Fprintf(fg.out, `
%d files are missing, for one of two reasons:
  delivered  a worker completed them and stopped before it wrote the manifest; their readers have moved or deleted them
  lost       their uploads were removed before they were completed, by a lifecycle rule of the bucket or by hand

The batch was sealed %s ago. To tell which:
  - age: a lifecycle rule removes incomplete uploads after the days that it says (7 by our templates, 1 at least), counted
    from their beginning. A batch that is younger was not removed by the rule: its files were delivered, unless
    somebody aborted the uploads by hand.
  - the places to which readers of the bucket move files, and their logs: look for the keys above
  - CloudTrail data events, or the bucket's server access logs: a CompleteMultipartUpload of the key that succeeded means
    delivered; an AbortMultipartUpload, or S3.DELETE.UPLOAD in the access logs (the lifecycle rule), means lost
`, missing, time.Since(b.Created).Round(time.Minute))
}

func (fg *forgetter) showRewind(b checkpoint.Batch) {
	fmt.Fprintf(fg.out, "\nto deliver the records again, after you have deleted the files that are there or were moved (their records come twice otherwise):\n")
	for _, r := range b.Ranges {
		fmt.Fprintf(fg.out, "  consumer checkpoint rewind --shard %s --to %s\n", r.Shard, r.Start)
	}
	fmt.Fprintln(fg.out, "All that these shards have delivered after this batch is delivered again, too: docs/operations.md, \"Rewind and replay\".")
}

func (fg *forgetter) writeManifest(ctx context.Context, b checkpoint.Batch, place checkpoint.Place) error {
	body, err := layout.EncodeManifest(b)
	if err != nil {
		return err
	}
	_, err = fg.client.PutObject(ctx, &s3.PutObjectInput{
		Bucket: &place.Bucket, Key: &place.Key, Body: bytes.NewReader(body), ContentType: aws.String("application/json"),
		Metadata: map[string]string{writers.MetadataBatchID: b.ID},
	})
	if err != nil {
		return fmt.Errorf("write manifest %s: %w", place, err)
	}
	return nil
}
