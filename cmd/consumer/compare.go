package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"aws-streaming-pipeline/consumer"
	"aws-streaming-pipeline/internal/command"
	"aws-streaming-pipeline/operate/compare"
	"aws-streaming-pipeline/operate/objects"
	"aws-streaming-pipeline/writers/layout"
)

// defaultMargin is longer than the buffering intervals of Firehose (15 minutes at most) and most daemons, with an outage.
const defaultMargin = time.Hour

func compareCommand() *cobra.Command {
	var o compareOptions
	cmd := &cobra.Command{
		Use: "compare", Short: "compare the files of another consumer of the stream with those of the daemon, record by record",
		Long: `Compares what another consumer of the stream, such as Firehose, has delivered with what the daemon has delivered, record by
record, and reports records that one side lacks or has more often. Formats, compressions, and the order of records and of
members may differ; event_id, _arrived_at and _extra are set aside. See docs/migrate.md for which records are equal.

--from and --to select objects by the time at which they were stored. Counterparts of their records are also looked for in
objects of a --margin before and after: choose one longer than either side takes to deliver a record. Differences between
records of the margin alone are counted as the edge, and are not findings. Without --from and --to, everything must agree.
"consumer policy --operator --theirs URL" prints the permissions that it needs.

Exit code: 0 both sides have the same records, 1 they differ, 2 could not be checked.`,
		Example: "consumer compare --theirs s3://out/trips/ --from 4h\nconsumer compare --theirs s3://out/trips/ --ours s3://out/shadow/ --ignore-case --show",
		RunE:    func(cmd *cobra.Command, _ []string) error { return compareDeliveries(cmd, &o) },
	}
	f := cmd.Flags()
	f.StringVar(&o.theirs, "theirs", "", "`URL` of the other consumer's files: s3://bucket/prefix/ (required)")
	f.String("ours", "", "`URL` of the daemon's data files; default: from BUCKET and PREFIX")
	f.Var(&o.from, "from", "compare objects stored at this `time` or later: "+command.MomentForms)
	f.Var(&o.to, "to", "compare objects stored before this `time`; with --from, the default is now less the margin")
	f.DurationVar(&o.Window.Margin, "margin", defaultMargin, "`duration` before and after the window in which counterparts are looked for")
	f.Var(&o.exclude, "exclude", "`prefix` of keys to leave out on both sides, such as that of the other consumer's error objects; may be repeated. "+
		"Left out in any case: ERROR_PREFIX, BACKUP_PREFIX and MANIFEST_PREFIX on our side, and folders with the name of an error type such as processing-failed, names that begin with _ or a period, and empty objects on both")
	f.Var(&o.ignore, "ignore", "`name` of a member of the records to set aside, such as one that a transformation adds; may be repeated")
	f.BoolVar(&o.Rules.FoldNames, "ignore-case", false, "ignore the case of members' names, which the columns of a Glue table do not keep")
	f.BoolVar(&o.Raw, "raw", false, "compare records that are not JSON byte by byte, up to a line feed, instead of failing")
	f.IntVar(&o.Examples, "examples", 20, "`number` of examples of each finding to list")
	f.BoolVar(&o.Show, "show", false, "print the payloads of the examples")
	f.StringVar(&o.TempDir, "temp-dir", "", "`folder` for temporary files, 24 bytes per record; default: TMPDIR")
	o.memory = bytesFlag(compare.DefaultMemory)
	f.Var(&o.memory, "memory", "`bytes` for hashes, such as 128MiB; the files being read take a few MiB each on top")
	f.BoolVar(&o.json, "json", false, "print the report as JSON")
	return cmd
}

// compareOptions are the flags of compare.
type compareOptions struct {
	compare.Config
	theirs          string
	from, to        command.Moment
	exclude, ignore command.List
	memory          bytesFlag
	json            bool
}

func compareDeliveries(cmd *cobra.Command, o *compareOptions) error {
	ctx, out, cfg, c := cmd.Context(), cmd.OutOrStdout(), toolSettings(), o.Config
	ours := ""
	if cfg.Bucket != "" {
		ours = "s3://" + cfg.Bucket + "/" + layout.Fixed(cfg.Prefix)
	}
	ours = flagOr(cmd, "ours", ours)
	account, err := loadAccount(ctx)
	if err != nil {
		return command.Undone(err)
	}
	api := bucketClient(account, cfg)
	for _, d := range []struct {
		flag, url string
		into      *compare.Delivery
	}{{"--theirs", o.theirs, &c.Theirs}, {"--ours", ours, &c.Ours}} {
		bucket, prefix, err := compare.ParseURL(d.url)
		if err != nil {
			return command.Usagef("%s=%w", d.flag, err)
		}
		*d.into = compare.Delivery{Bucket: objects.Bucket{API: api, Name: bucket}, Prefix: prefix, Aside: o.exclude}
	}
	c.Ours.Pipeline, c.Ours.ManifestPrefix = true, cfg.ManifestPrefix
	c.Ours.Aside = append(c.Ours.Aside[:len(o.exclude):len(o.exclude)], layout.Fixed(cfg.ErrorPrefix), layout.Fixed(cfg.BackupPrefix))
	if c.Window.From, c.Window.To = o.from.Time, o.to.Time; !o.from.IsZero() && o.to.IsZero() {
		c.Window.To = time.Now().Add(-c.Window.Margin)
	}
	c.Rules.Ignore, c.Memory = o.ignore, int64(o.memory)
	report, err := compare.Run(ctx, c)
	if err != nil {
		return command.Undone(fmt.Errorf("compare did not finish: %w", err))
	}
	if err := command.Print(out, o.json, report, report.WriteText); err != nil {
		return command.Undone(err)
	}
	if !report.Agree {
		return &command.ExitError{Code: command.ExitFindings, Err: errors.New("compare: the two sides differ")}
	}
	return nil
}

// bytesFlag is a flag for a size.
type bytesFlag consumer.Bytes

func (b *bytesFlag) String() string     { return consumer.Bytes(*b).String() }
func (b *bytesFlag) Set(s string) error { return (*consumer.Bytes)(b).Decode(s) }
func (b *bytesFlag) Type() string       { return "bytes" }
