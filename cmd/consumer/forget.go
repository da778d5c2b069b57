package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"text/tabwriter"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/consumer/objects"
)

const forgetUsage = `checkpoint forget --batch ID [--yes]

Takes a batch out of the outbox that can never be published, because its uploads are gone: the bucket's rule for
incomplete uploads has removed them, or somebody has aborted them. THE RECORDS OF THE BATCH ARE NOT IN THE BUCKET then.
The command prints which of its files are there, and how to rewind its shards, so that they are delivered again as long
as the stream holds them. It never helps against a bucket that can not be reached or written: that mends itself.`

func forgetBatch(ctx context.Context, args []string, out io.Writer) (err error) {
	cfg := toolSettings()
	f := newFlags("checkpoint forget", forgetUsage, out)
	id := f.String("batch", "", "`id` of the batch (required)")
	yes := f.Bool("yes", false, "do not ask")
	bucket := f.String("bucket", cfg.Bucket, "`name` of the bucket (BUCKET)")
	if err := parse(f, args); err != nil {
		return err
	}
	if *id == "" || *bucket == "" {
		return errors.New("name the batch with --batch, and the bucket with BUCKET or --bucket")
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
	var ask io.Reader
	if !*yes {
		ask = os.Stdin
	}
	return forget(ctx, store, objects.Bucket{API: bucketClient(account, cfg), Name: *bucket}, *id, ask, out)
}

// forget shows what becomes of a batch, asks, and removes it. A nil ask is a yes.
func forget(ctx context.Context, store checkpoint.Store, bucket objects.Bucket, id string, ask io.Reader, out io.Writer) error {
	b, err := checkpoint.LoadBatch(ctx, store, bucket, id)
	noList := errors.Is(err, checkpoint.ErrNoList)
	if err != nil && !noList {
		return fmt.Errorf("batch %s: %w", id, err)
	}
	missing := 0
	if noList {
		fmt.Fprintf(out, "%v\nWhich of its %d files are there can not be told: their keys contain %s.\n", err, b.List.Files, b.ID)
		missing = b.List.Files
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "FILE\tROWS\tSTATE")
	for _, f := range b.Files {
		state := "there: its records come twice after a rewind, unless it is deleted"
		info, err := bucket.Head(ctx, f.Key)
		switch {
		case errors.Is(err, objects.ErrNotFound):
			state = "not there"
			missing++
		case err != nil:
			return err
		case info.BatchID != b.ID:
			state = fmt.Sprintf("not there: the object was written by batch %q", info.BatchID)
			missing++
		}
		fmt.Fprintf(w, "%s\t%d\t%s\n", f.Key, f.Rows, state)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if missing == 0 {
		return fmt.Errorf("every file of batch %s is there: it only lacks its manifest, and a worker that runs writes it", b.ID)
	}
	fmt.Fprintf(out, "\nto deliver the records again, afterwards:\n")
	for _, r := range b.Ranges {
		fmt.Fprintf(out, "  consumer checkpoint rewind --shard %s --to %s\n", r.Shard, r.Start)
	}
	if ask != nil && !confirmed(ask, out) {
		return errors.New("nothing was removed")
	}
	if err := store.Forget(ctx, b.ID); err != nil {
		return fmt.Errorf("batch %s: %w", b.ID, err)
	}
	if b.List != nil && !noList {
		fmt.Fprintf(out, "nobody needs %s any more, the list of its files: delete it\n", b.List)
	}
	_, err = fmt.Fprintf(out, "batch %s is out of the outbox\n", b.ID)
	return err
}
