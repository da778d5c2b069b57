package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/spf13/cobra"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/checkpoint/dynamo"
	"aws-streaming-pipeline/consumer"
	"aws-streaming-pipeline/consumer/shardmap"
	"aws-streaming-pipeline/internal/command"
	"aws-streaming-pipeline/operate/audit"
	"aws-streaming-pipeline/operate/objects"
	"aws-streaming-pipeline/operate/positions"
	"aws-streaming-pipeline/writers/layout"
)

func restoreCommand() *cobra.Command {
	var o restoreOptions
	cmd := &cobra.Command{
		Use: "restore", Short: "set the positions of a lost or restored table to where the deliveries end",
		Long: `Sets the positions in CHECKPOINT_TABLE to where the manifests in the bucket show that the deliveries end. Use it after the
table was lost, or restored from a backup, so that every record is delivered once all the same. Stop all daemons and loaders first.

The table may be new or empty: then it is made from the manifests. Or it is a backup: then its positions move to what has been
delivered since, and batches that have been published since are removed from its outbox. Nothing is changed before you
confirm, and the command may be repeated. See docs/restore.md.`,
		Example: "consumer checkpoint restore\nconsumer checkpoint restore --from 2026-01-31T00:00:00Z --gaps again",
		RunE:    func(cmd *cobra.Command, _ []string) error { return restoreTable(cmd, o) },
	}
	f := cmd.Flags()
	f.Var(&o.from, "from", "read manifests of batches sealed at this `time` or later: "+command.MomentForms+"; default: as far back as the stream's retention")
	f.StringVar(&o.gaps, "gaps", "", "what to do `where` no manifest covers a part of a shard and the deliveries go on after it: again delivers the part and everything after it, skip goes on after the last batch; default: change nothing")
	f.BoolVar(&o.keepFiles, "keep-files", false, "go on although there are files of batches without a manifest, whose records are delivered again")
	f.BoolVar(&o.yes, "yes", false, "do not ask for confirmation")
	return cmd
}

// restoreOptions are the flags of checkpoint restore.
type restoreOptions struct {
	from      command.Moment
	gaps      string
	keepFiles bool
	yes       bool
}

func restoreTable(cmd *cobra.Command, o restoreOptions) error {
	if !slices.Contains([]string{"", string(positions.ReadAgain), string(positions.LeaveThere)}, o.gaps) {
		return command.Usagef("--gaps=%q: want again or skip", o.gaps)
	}
	cfg, err := loadSettings()
	if err != nil {
		return err
	}
	if cfg.CheckpointFile != "" {
		return command.Usagef("CHECKPOINT_FILE=%q: want a table in DynamoDB, which is what the command restores", cfg.CheckpointFile)
	}
	ctx := cmd.Context()
	account, err := loadAccount(ctx)
	if err != nil {
		return err
	}
	return restore(ctx, cfg, account, o, command.Asker(cmd, o.yes), cmd.OutOrStdout())
}

// restore prints what it will do, asks, and does it. A nil ask means yes.
func restore(ctx context.Context, cfg consumer.Config, account aws.Config, o restoreOptions, ask io.Reader, out io.Writer) (err error) {
	log := consumer.NewLogger(cfg)
	r := positions.Restorer{
		Stream: shardmap.NewLister(kinesis.NewFromConfig(account), cfg.StreamID()), Application: cfg.Application, Initial: cfg.StartPosition.Position(),
		Bucket: objects.Bucket{API: bucketClient(account, cfg), Name: cfg.Bucket}, ManifestPrefix: cfg.ManifestPrefix,
		Gaps: positions.Gaps(o.gaps), Failover: cfg.Failover,
	}
	since := o.from.Time
	if since.IsZero() {
		if since, err = r.Reach(ctx, time.Now()); err != nil {
			return err
		}
	}
	prefixes := []string{layout.Fixed(cfg.Prefix)}
	for _, further := range []string{cfg.ErrorPrefix, cfg.BackupPrefix} {
		if further != "" { // otherwise error files are under the data prefix, and there is no backup
			prefixes = append(prefixes, layout.Fixed(further))
		}
	}
	if r.Report, err = audit.Run(ctx, audit.Config{
		Bucket: r.Bucket, ManifestPrefix: cfg.ManifestPrefix, From: since, Prefixes: prefixes, Beside: cfg.Announces,
	}); err != nil {
		return fmt.Errorf("read the manifests: %w", err)
	}
	open := func(create bool) error {
		store, err := dynamo.Open(ctx, dynamo.Config{AWS: account, Table: cfg.Table(), Create: create, Log: log})
		if err == nil {
			r.Store = store
		}
		return err
	}
	if err := open(false); err != nil && !(errors.Is(err, checkpoint.ErrNotFound) && cfg.CheckpointCreate) {
		return err
	}
	defer func() {
		if r.Store != nil {
			err = errors.Join(err, r.Store.Close())
		}
	}()
	plan, err := r.Plan(ctx)
	if err := printRestoration(out, r, plan, since); err != nil {
		return err
	}
	if gaps, ok := errors.AsType[*positions.GapError](err); ok {
		return fmt.Errorf("%w: they are of a batch that was committed and not yet published, or its manifest was removed, or a daemon began anew at a time. Choose: --gaps again delivers them, and everything after them AGAIN; --gaps skip LEAVES THEM OUT", gaps)
	}
	if err != nil {
		return err
	}
	if len(plan.Unfinished) > 0 && !o.keepFiles {
		return fmt.Errorf("%d files have no manifest: their batches were being published when the table was lost, and their records will be delivered again. Delete the files that are listed above, or use --keep-files", len(plan.Unfinished))
	}
	if ask != nil && !command.Confirmed(ask, out) {
		return errors.New("nothing was changed")
	}
	if r.Store == nil {
		if err := open(true); err != nil {
			return err
		}
	}
	if err := r.Run(ctx, plan); err != nil {
		return err
	}
	return printRestored(out, cfg, since)
}

func printRestoration(out io.Writer, r positions.Restorer, p positions.Restoration, since time.Time) error {
	fmt.Fprintf(out, "%d batches sealed since %s have manifests under s3://%s/%s\n\n", r.Report.Batches, since.UTC().Format(time.RFC3339), r.Bucket.Name, r.ManifestPrefix)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "SHARD\tIN THE TABLE\tFROM NOW ON\tEFFECT")
	for _, s := range p.Steps {
		from, effect := string(s.From), "stays as it is"
		switch {
		case s.From == "":
			from, effect = "-", "the row is made"
		case s.From != s.Checkpoint:
			effect = "the position is moved"
		case s.Write:
			effect = "stays, under a higher lease counter"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", s.Shard, from, s.Checkpoint, effect)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, s := range p.Steps {
		if s.Moved != nil {
			fmt.Fprintf(out, "\n%s noted on %s that shard %s goes from %s to %s, and no batch followed: repeat that if it is still wanted\n",
				s.Moved.By, s.Moved.At.Format(time.RFC3339), s.Shard, s.Moved.From, s.Moved.To)
		}
	}
	for _, b := range p.Published {
		fmt.Fprintf(out, "\nbatch %s in the outbox has been published since: it is removed from the outbox\n", b.ID)
	}
	for _, key := range p.Unfinished {
		fmt.Fprintf(out, "\ns3://%s/%s has no manifest\n", r.Bucket.Name, key)
	}
	if n := len(r.Report.Findings); n > 0 {
		fmt.Fprintf(out, "\nan audit of these manifests has %d findings: see \"consumer audit\"\n", n)
	}
	return nil
}

func printRestored(out io.Writer, cfg consumer.Config, since time.Time) error {
	fmt.Fprintf(out, "\nthe table %s is restored: start the daemons\n", cfg.Table())
	for _, uri := range cfg.Tables() {
		fmt.Fprintf(out, "then load what the table lacks: loader reload --table %s --from %s\n", uri, since.UTC().Format(time.RFC3339))
	}
	_, err := fmt.Fprintln(out, "to see it: consumer checkpoint show; to prove that nothing is missing or twice: consumer audit")
	return err
}
