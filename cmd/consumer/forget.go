package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/internal/command"
	"aws-streaming-pipeline/operate/positions"
)

func forgetCommand() *cobra.Command {
	var id, missing string
	var yes bool
	cmd := &cobra.Command{
		Use: "forget", Short: "remove a batch from the outbox that can no longer be published",
		Long: `Removes a batch from the outbox that can no longer be published, because some of its files have neither an upload nor an
object. Without --missing it prints the state of each file, and how to find out what happened to the missing ones:

  --missing delivered  They were published, and readers have moved or deleted them since. The command writes the batch's
                       manifest, the only step left. DO NOT DELIVER THEM AGAIN.
  --missing lost       Their uploads were removed before they were published. THEIR RECORDS ARE NOT IN THE BUCKET. The
                       command prints how to rewind the batch's shards, which delivers the records again if the stream
                       still holds them.

The wrong choice duplicates or loses records. Do not use this command when the bucket cannot be reached or written: workers
publish the batch once the bucket is back.`,
		Example: "consumer checkpoint forget --batch ID\nconsumer checkpoint forget --batch ID --missing delivered",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return forgetBatch(cmd.Context(), id, positions.Fate(missing), command.Asker(cmd, yes), cmd.OutOrStdout())
		},
	}
	f := cmd.Flags()
	f.StringVar(&id, "batch", "", "`id` of the batch (required)")
	f.StringVar(&missing, "missing", "", "`what` happened to the missing files: delivered or lost")
	f.BoolVar(&yes, "yes", false, "do not ask for confirmation")
	return cmd
}

func forgetBatch(ctx context.Context, id string, fate positions.Fate, ask io.Reader, out io.Writer) (err error) {
	if id == "" {
		return command.Usagef("--batch is missing: name the batch")
	}
	if fate != positions.Unknown && fate != positions.Delivered && fate != positions.Lost {
		return command.Usagef("--missing=%q: want delivered or lost", fate)
	}
	cfg := toolSettings()
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
	return runForget(ctx, outbox, id, fate, ask, out)
}

// runForget prints the state of a batch's files, asks for confirmation, and removes the batch. A nil ask means yes.
func runForget(ctx context.Context, outbox positions.Outbox, id string, fate positions.Fate, ask io.Reader, out io.Writer) error {
	r, err := outbox.Inspect(ctx, id)
	if r.Unlisted != nil {
		fmt.Fprintf(out, "%v\nWithout it the state of the batch's %d files is unknown: look for keys that contain %s.\n", r.Unlisted, r.Batch.List.Files, r.Batch.ID)
	}
	if err != nil {
		return err
	}
	if err := printFiles(out, r); err != nil {
		return err
	}
	if err := r.Allow(fate); errors.Is(err, positions.ErrUnknownFate) {
		explainFates(out, r)
		return errors.New("nothing was removed: say what happened to the missing files with --missing delivered or --missing lost")
	} else if err != nil {
		return err
	}
	if fate == positions.Lost {
		printRewind(out, r.Batch)
	}
	if ask != nil && !command.Confirmed(ask, out) {
		return errors.New("nothing was removed")
	}
	if err := outbox.Forget(ctx, r, fate); err != nil {
		return err
	}
	if r.Batch.List != nil && r.Unlisted == nil {
		fmt.Fprintf(out, "the list of its files, %s, is no longer needed: delete it\n", r.Batch.List)
	}
	for _, table := range r.Batch.Tables {
		fmt.Fprintf(out, "table %s does not get the batch\n", table)
	}
	_, err = fmt.Fprintf(out, "removed batch %s from the outbox\n", id)
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

// explainFates prints how to find out what happened to the missing files: if they were delivered, a rewind duplicates them.
func explainFates(out io.Writer, r positions.Remains) {
	if r.Waiting > 0 {
		fmt.Fprintf(out, "\n%d files are uploaded but not completed. Fix what keeps a worker from completing them first.\n", r.Waiting)
	}
	if r.Missing == 0 {
		return
	}
	fmt.Fprintf(out, `
%d files are missing, for one of two reasons:
  delivered  a worker completed them and stopped before it wrote the manifest; readers have moved or deleted them since
  lost       their uploads were removed before they were completed, by a lifecycle rule of the bucket or by hand

The batch was sealed %s ago. To find out which:
  - Age: a lifecycle rule removes incomplete uploads a number of days after they began (7 in our templates, at least 1).
    The rule cannot have removed the uploads of a younger batch: its files were delivered, unless somebody aborted the
    uploads by hand.
  - The places to which readers of the bucket move files, and their logs: look for the keys above.
  - CloudTrail data events, or the bucket's server access logs: a successful CompleteMultipartUpload of the key means
    delivered; an AbortMultipartUpload, or S3.DELETE.UPLOAD in the access logs (the lifecycle rule), means lost.
`, r.Missing, time.Since(r.Batch.Created).Round(time.Minute))
}

func printRewind(out io.Writer, b checkpoint.Batch) {
	fmt.Fprintf(out, "\nto deliver the records again, first delete the batch's files that exist or were moved (otherwise their records are delivered twice), then run:\n")
	for _, r := range b.Ranges {
		fmt.Fprintf(out, "  consumer checkpoint rewind --shard %s --to %s\n", r.Shard, r.Start)
	}
	fmt.Fprintln(out, "Everything that these shards have delivered after this batch is delivered again, too: see docs/operations.md, \"Rewind and replay\".")
}
