package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"text/tabwriter"
	"time"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/operate/positions"
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
	fate := positions.Fate(*missing)
	if fate != positions.Unknown && fate != positions.Delivered && fate != positions.Lost {
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
	outbox := positions.Outbox{Store: store, API: bucketClient(account, cfg), Bucket: cfg.Bucket, ManifestPrefix: cfg.ManifestPrefix}
	var ask io.Reader
	if !*yes {
		ask = os.Stdin
	}
	return runForget(ctx, outbox, *id, fate, ask, out)
}

// runForget shows what there is of a batch, asks, and removes it. A nil ask is a yes.
func runForget(ctx context.Context, outbox positions.Outbox, id string, fate positions.Fate, ask io.Reader, out io.Writer) error {
	r, err := outbox.Inspect(ctx, id)
	if r.Unlisted != nil {
		fmt.Fprintf(out, "%v\nNobody can tell which of its %d files are there: look for keys that contain %s.\n", r.Unlisted, r.Batch.List.Files, r.Batch.ID)
	}
	if err != nil {
		return err
	}
	if err := printFiles(out, r); err != nil {
		return err
	}
	if err := r.Allow(fate); errors.Is(err, positions.ErrUnknownFate) {
		explainFates(out, r)
		return errors.New("nothing was removed: say what became of the missing files with --missing delivered or --missing lost")
	} else if err != nil {
		return err
	}
	if fate == positions.Lost {
		printRewind(out, r.Batch)
	}
	if ask != nil && !confirmed(ask, out) {
		return errors.New("nothing was removed")
	}
	if err := outbox.Forget(ctx, r, fate); err != nil {
		return err
	}
	if r.Batch.List != nil && r.Unlisted == nil {
		fmt.Fprintf(out, "the list of its files, %s, is of no more use: delete it\n", r.Batch.List)
	}
	_, err = fmt.Fprintf(out, "batch %s is out of the outbox\n", id)
	return err
}

func printFiles(out io.Writer, r positions.Remains) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "FILE\tROWS\tSTATE")
	for i, f := range r.Batch.Files {
		fmt.Fprintf(w, "s3://%s/%s\t%d\t%s\n", f.Bucket, f.Key, f.Rows, r.Files[i])
	}
	return w.Flush()
}

// explainFates says how to find out what became of the missing files, which decides whether a rewind mends or doubles.
func explainFates(out io.Writer, r positions.Remains) {
	if r.Waiting > 0 {
		fmt.Fprintf(out, "\n%d files wait in their uploads: a worker completes them when it is let to. Mend that first.\n", r.Waiting)
	}
	if r.Missing == 0 {
		return
	}
	fmt.Fprintf(out, `
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
`, r.Missing, time.Since(r.Batch.Created).Round(time.Minute))
}

func printRewind(out io.Writer, b checkpoint.Batch) {
	fmt.Fprintf(out, "\nto deliver the records again, after you have deleted the files that are there or were moved (their records come twice otherwise):\n")
	for _, r := range b.Ranges {
		fmt.Fprintf(out, "  consumer checkpoint rewind --shard %s --to %s\n", r.Shard, r.Start)
	}
	fmt.Fprintln(out, "All that these shards have delivered after this batch is delivered again, too: docs/operations.md, \"Rewind and replay\".")
}
