package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"aws-streaming-pipeline/consumer"
	"aws-streaming-pipeline/internal/command"
	"aws-streaming-pipeline/operate/redrive"
	"aws-streaming-pipeline/writers/layout"
)

func redriveCommand() *cobra.Command {
	var o redriveOptions
	cmd := &cobra.Command{
		Use: "redrive", Short: "send error records back to a stream",
		Long: `Sends the raw bytes of error records back to a stream, with their original partition key and explicit hash key.
Payloads are not changed. A record from an aggregate or from a split payload is sent as a record of its own.
Lines of records that only the database has refused (Postgres.Refused) are sent if --code names that code: the records are
in data files, and will be there twice.

With --backup it sends the lines of a backup instead, which has whole Kinesis records (BACKUP_FORMAT=jsonl): KPL aggregates and
compressed payloads as they came. The stream should be another one than that of the backup, whose consumers would get the records twice.

Each line is sent at most once, however often redrive is run or interrupted: markers under --marker-prefix record what
was sent. Lines are in doubt when a call got no answer or the run was killed, because Kinesis cannot say whether it
accepted them. Each such event leaves at most 500 lines in doubt. They are listed and left alone until you decide with
--in-doubt. The first SIGINT or SIGTERM ends the run after the current call and leaves nothing in doubt.
"consumer policy --operator" prints the permissions that it needs.

Exit code: 0 all sent, 1 lines are in doubt, refused or unreadable, 2 the run did not finish: run it again, 130 interrupted: run
it again.`,
		Example: "consumer redrive --stream trips --dry-run\nconsumer redrive --stream trips --code Json.Invalid --from 24h",
		RunE:    func(cmd *cobra.Command, _ []string) error { return redriveErrors(cmd.Context(), o, cmd.OutOrStdout()) },
	}
	f := cmd.Flags()
	f.StringVar((*string)(&o.Stream), "stream", "", "`name` or ARN of the stream to send to (required)")
	f.StringVar(&o.Bucket, "bucket", "", "`name` of the bucket; default: BUCKET")
	f.StringVar(&o.Prefix, "prefix", "", "`prefix` of the error objects; default: from ERROR_PREFIX")
	f.BoolVar(&o.Backup, "backup", false, "send the lines of a backup; the default of --prefix is then from BACKUP_PREFIX")
	f.StringVar(&o.MarkerPrefix, "marker-prefix", layout.RedriveFolder, "`prefix` of the markers; use the same one in every run")
	f.Var(&o.codes, "code", "only lines with this error `code`; may be repeated")
	f.Var(&o.from, "from", "only records that arrived at this `time` or later: "+command.MomentForms)
	f.Var(&o.to, "to", "only records that arrived before this `time`")
	f.BoolVar(&o.DryRun, "dry-run", false, "count the lines, send nothing")
	f.IntVar(&o.Rate, "rate", 500, "maximum `records` per second, to leave room for producers; 0: unlimited")
	f.StringVar((*string)(&o.InDoubt), "in-doubt", string(redrive.Leave), "`what` to do with lines in doubt: leave, send (perhaps twice) or skip (perhaps never)")
	f.BoolVar(&o.json, "json", false, "print the report as JSON")
	return cmd
}

// redriveOptions are the flags of redrive.
type redriveOptions struct {
	redrive.Config
	from, to command.Moment
	codes    command.List
	json     bool
}

func redriveErrors(ctx context.Context, o redriveOptions, out io.Writer) error {
	cfg, c := toolSettings(), o.Config
	c.Run = uuid.Must(uuid.NewV7()).String()
	c.Codes, c.From, c.To = o.codes, o.from.Time, o.to.Time
	c.Bucket = cmp.Or(c.Bucket, cfg.Bucket)
	if c.Prefix == "" {
		setting, prefix := "ERROR_PREFIX", cfg.ErrorPrefix
		if c.Backup {
			setting, prefix = "BACKUP_PREFIX", cfg.BackupPrefix
		}
		if c.Prefix = layout.Fixed(prefix); c.Prefix == "" {
			return command.Usage(fmt.Errorf("redrive: the objects need a prefix of their own: set %s or --prefix", setting))
		}
	}
	account, err := loadAccount(ctx)
	if err != nil {
		return command.Undone(err)
	}
	c.Log = consumer.NewLogger(cfg)
	report, err := redrive.Run(ctx, bucketClient(account, cfg), kinesis.NewFromConfig(account), c)
	if err != nil && report.Codes == nil {
		return command.Undone(err) // nothing was sent
	}
	if err != nil {
		err = fmt.Errorf("redrive did not finish: %w", err)
	}
	printed := command.Print(out, o.json, report, report.WriteText)
	if err = errors.Join(printed, err); err != nil {
		return command.Undone(err)
	}
	if !report.Settled() {
		return &command.ExitError{Code: command.ExitFindings, Err: errors.New("redrive: some lines need a decision")}
	}
	return nil
}
