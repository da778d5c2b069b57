package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"aws-streaming-pipeline/internal/command"
	"aws-streaming-pipeline/operate/positions"
)

const skipUsage = `checkpoint skip --batch ID --table NAME --reason TEXT [--yes]

Has a table go without a batch that is published and waits to be loaded into it, for example because the table was dropped
or cannot take its files. THE TABLE NEVER GETS ITS RECORDS. Its files stay in the bucket. A note with the reason is written next to
the manifests. "checkpoint show" lists the batches that wait, and for which tables.

Do not use this command when the catalog cannot be reached: loaders load the batch once the catalog is back.`

func skipBatch(ctx context.Context, args []string, out io.Writer) (err error) {
	cfg := toolSettings()
	f := newFlags("checkpoint skip", skipUsage, out)
	id := f.String("batch", "", "`id` of the batch (required)")
	table := f.String("table", "", "`name` of the table, as \"checkpoint show\" prints it (required)")
	reason := f.String("reason", "", "`text` for the note (required)")
	yes := f.Bool("yes", false, "do not ask for confirmation")
	if err := command.Parse(f, args); err != nil {
		return err
	}
	switch {
	case *id == "":
		return errors.New("name the batch with --batch")
	case *table == "":
		return errors.New("name the table with --table")
	case *reason == "":
		return errors.New("say with --reason why the table goes without the batch")
	case cfg.Bucket == "":
		return errors.New("the note needs a bucket: set BUCKET")
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
	skipper := positions.Skipper{Store: store, Notes: positions.Notes{
		API: bucketClient(account, cfg), Bucket: cfg.Bucket, ManifestPrefix: cfg.ManifestPrefix, By: operator(), Reason: *reason,
	}}
	var ask io.Reader
	if !*yes {
		ask = os.Stdin
	}
	return runSkip(ctx, skipper, *id, *table, ask, out)
}

// runSkip prints what the table loses, asks for confirmation, and skips the batch. A nil ask means yes.
func runSkip(ctx context.Context, skipper positions.Skipper, id, table string, ask io.Reader, out io.Writer) error {
	b, err := skipper.Plan(ctx, id, table)
	if err != nil {
		return err
	}
	var records int64
	for _, r := range b.Ranges {
		records += r.Records
	}
	fmt.Fprintf(out, "batch %s with %d records was published at %s; table %s never gets them\n", b.ID, records, b.PublishedAt.Format("2006-01-02T15:04:05Z07:00"), table)
	if ask != nil && !command.Confirmed(ask, out) {
		return errors.New("nothing was skipped")
	}
	removed, err := skipper.Skip(ctx, b, table)
	if err != nil {
		return err
	}
	if removed && b.List != nil {
		fmt.Fprintf(out, "the list of its files, %s, is no longer needed: delete it\n", b.List)
	}
	if removed {
		_, err = fmt.Fprintf(out, "skipped batch %s and removed it from the outbox\n", id)
	} else {
		_, err = fmt.Fprintf(out, "skipped batch %s; it stays in the outbox for its other tables\n", id)
	}
	return err
}
