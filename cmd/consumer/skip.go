package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"aws-streaming-pipeline/internal/command"
	"aws-streaming-pipeline/operate/positions"
	"aws-streaming-pipeline/record/table"
)

func skipCommand() *cobra.Command {
	var id, name, reason string
	var yes bool
	cmd := &cobra.Command{
		Use: "skip", Short: "have a table go without a published batch: it is never loaded",
		Long: `Has a table go without a batch that is published and waits to be loaded into it, for example because the table was dropped
or cannot take its files. THE TABLE NEVER GETS ITS RECORDS. Its files stay in the bucket. A note with the reason is written next to
the manifests. "checkpoint show" lists the batches that wait, and for which tables.

Do not use this command when the catalog cannot be reached: loaders load the batch once the catalog is back.`,
		Example: "consumer checkpoint skip --batch ID --table glue://lake/trips --reason 'the table was dropped'",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return skipBatch(cmd.Context(), id, name, reason, command.Asker(cmd, yes), cmd.OutOrStdout())
		},
	}
	f := cmd.Flags()
	f.StringVar(&id, "batch", "", "`id` of the batch (required)")
	f.StringVar(&name, "table", "", "`name` of the table, as in TABLE or as \"checkpoint show\" prints it (required)")
	f.StringVar(&reason, "reason", "", "`text` for the note (required)")
	f.BoolVar(&yes, "yes", false, "do not ask for confirmation")
	return cmd
}

func skipBatch(ctx context.Context, id, name, reason string, ask io.Reader, out io.Writer) (err error) {
	cfg := toolSettings()
	switch {
	case id == "":
		return command.Usagef("--batch is missing: name the batch")
	case name == "":
		return command.Usagef("--table is missing: name the table")
	case reason == "":
		return command.Usagef("--reason is missing: say why the table goes without the batch")
	case cfg.Bucket == "":
		return command.Undone(errors.New("the note needs a bucket: set BUCKET"))
	}
	uri, err := table.ParseURI(name) // which gives all forms of a name the one that batches have
	if err != nil {
		return command.Usagef("--table: %w", err)
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
		API: bucketClient(account, cfg), Bucket: cfg.Bucket, ManifestPrefix: cfg.ManifestPrefix, By: operator(), Reason: reason,
	}}
	return runSkip(ctx, skipper, id, uri.String(), ask, out)
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
