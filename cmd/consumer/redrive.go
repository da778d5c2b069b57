package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/google/uuid"

	"aws-streaming-pipeline/consumer"
	"aws-streaming-pipeline/internal/command"
	"aws-streaming-pipeline/operate/redrive"
	"aws-streaming-pipeline/writers/layout"
)

const redriveUsage = `redrive --stream S [--prefix P] [--code C] [--from T] [--to T] [--dry-run] ...

Sends the raw bytes of error records back to a stream, with their original partition key and explicit hash key.
Payloads are not changed. A record from an aggregate or from a split payload is sent as a record of its own.
Lines of records that only the database has refused (Postgres.Refused) are sent if --code names that code: the records are
in data files, and will be there twice.

With --backup it sends the lines of a backup instead, which has whole Kinesis records (BACKUP_FORMAT=jsonl): KPL aggregates and
compressed payloads as they came. The stream should be another one than that of the backup, whose consumers would get the records twice.

Each line is sent at most once, however often redrive is run or interrupted: markers under --marker-prefix record what
was sent. Lines are in doubt when a call got no answer or the run was killed, because Kinesis cannot say whether it
accepted them. Each such event leaves at most 500 lines in doubt. They are listed and left alone until you decide with
--in-doubt. The first SIGINT or SIGTERM ends the run after the current call and leaves nothing in doubt.

Exit code: 0 all sent, 1 lines are in doubt, refused or unreadable, 2 the run did not finish: run it again.`

func redriveErrors(ctx context.Context, args []string, out io.Writer) error {
	cfg := toolSettings()
	c := redrive.Config{Run: uuid.Must(uuid.NewV7()).String()}
	var from, to command.Moment
	var codes command.List
	var inDoubt string
	var asJSON bool
	f := newFlags("redrive", redriveUsage, out)
	f.StringVar((*string)(&c.Stream), "stream", "", "`name` or ARN of the stream to send to (required)")
	f.StringVar(&c.Bucket, "bucket", cfg.Bucket, "`name` of the bucket (BUCKET)")
	f.StringVar(&c.Prefix, "prefix", "", "`prefix` of the error objects; default: from ERROR_PREFIX")
	f.BoolVar(&c.Backup, "backup", false, "send the lines of a backup; the default of --prefix is then from BACKUP_PREFIX")
	f.StringVar(&c.MarkerPrefix, "marker-prefix", layout.RedriveFolder, "`prefix` of the markers; use the same one in every run")
	f.Var(&codes, "code", "only lines with this error `code`; may be repeated")
	f.Var(&from, "from", "only records that arrived at this `time` or later: "+command.MomentForms)
	f.Var(&to, "to", "only records that arrived before this `time`")
	f.BoolVar(&c.DryRun, "dry-run", false, "count the lines, send nothing")
	f.IntVar(&c.Rate, "rate", 500, "maximum `records` per second, to leave room for producers; 0: unlimited")
	f.StringVar(&inDoubt, "in-doubt", string(redrive.Leave), "what to do with lines in doubt: leave, send (perhaps twice) or skip (perhaps never)")
	f.BoolVar(&asJSON, "json", false, "print the report as JSON")
	if err := command.Parse(f, args); err != nil {
		return command.Undone(command.UnlessHelp(err))
	}
	c.Codes, c.From, c.To, c.InDoubt = codes, from.Time, to.Time, redrive.Decision(inDoubt)
	if c.Prefix == "" {
		setting, prefix := "ERROR_PREFIX", cfg.ErrorPrefix
		if c.Backup {
			setting, prefix = "BACKUP_PREFIX", cfg.BackupPrefix
		}
		if c.Prefix = layout.Fixed(prefix); c.Prefix == "" {
			return command.Undone(fmt.Errorf("redrive: the objects need a prefix of their own: set %s or --prefix", setting))
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
	printed := command.Print(out, asJSON, report, report.WriteText)
	if err = errors.Join(printed, err); err != nil {
		return command.Undone(err)
	}
	if !report.Settled() {
		return &command.ExitError{Code: command.ExitFindings, Err: errors.New("redrive: some lines need a decision")}
	}
	return nil
}
