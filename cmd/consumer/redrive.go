package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/google/uuid"

	"aws-streaming-pipeline/operate/redrive"
	"aws-streaming-pipeline/writers/layout"
)

const redriveUsage = `redrive --stream S [--prefix P] [--code C] [--from T] [--to T] [--dry-run] ...

Sends the raw bytes of error records back to a stream, with the partition key and the explicit hash key that they had.
The payload is not changed. A record that came in an aggregate or was split off a payload is sent as one of its own.

Each line is sent at most once, however often this is run or interrupted: markers under --marker-prefix say what was
sent. Lines whose call was not answered, or whose run was killed, are in doubt: Kinesis can not be asked whether it took
them. They are named and left alone, 500 at most for each such event, until --in-doubt says what to do with them.
A first SIGINT or SIGTERM ends the run behind the call that is under way, and leaves no doubt.

Exit code: 0 all sent, 1 lines are in doubt, refused or unreadable, 2 did not come to its end: run it again.`

func redriveErrors(ctx context.Context, args []string, out io.Writer) error {
	cfg := toolSettings()
	c := redrive.Config{Run: uuid.Must(uuid.NewV7()).String()}
	var from, to moment
	var codes list
	var inDoubt string
	var asJSON bool
	f := newFlags("redrive", redriveUsage, out)
	f.StringVar((*string)(&c.Stream), "stream", "", "`name` or ARN of the stream to send to (required)")
	f.StringVar(&c.Bucket, "bucket", cfg.Bucket, "`name` of the bucket (BUCKET)")
	f.StringVar(&c.Prefix, "prefix", layout.Fixed(cfg.ErrorPrefix), "`prefix` of the error objects (from ERROR_PREFIX)")
	f.StringVar(&c.MarkerPrefix, "marker-prefix", layout.RedriveFolder, "`prefix` of the markers; the same in all runs")
	f.Var(&codes, "code", "only lines with this error `code`; may be given several times")
	f.Var(&from, "from", "only records that arrived at this `time` or later: "+momentForms)
	f.Var(&to, "to", "only records that arrived before this `time`")
	f.BoolVar(&c.DryRun, "dry-run", false, "count, and send nothing")
	f.IntVar(&c.Rate, "rate", 500, "most `records` a second, to leave room for producers; 0: no bound")
	f.StringVar(&inDoubt, "in-doubt", string(redrive.Leave), "what to do with lines in doubt: leave, send (maybe a second time) or skip (maybe never)")
	f.BoolVar(&asJSON, "json", false, "print the report as JSON")
	if err := parse(f, args); err != nil {
		return undone(unlessHelp(err))
	}
	c.Codes, c.From, c.To, c.InDoubt = codes, from.Time, to.Time, redrive.Decision(inDoubt)
	if c.Prefix == "" {
		return undone(errors.New("redrive: the error objects need a prefix of their own: set ERROR_PREFIX or give --prefix"))
	}
	account, err := loadAccount(ctx)
	if err != nil {
		return undone(err)
	}
	c.Log = newLogger(cfg)
	report, err := redrive.Run(ctx, bucketClient(account, cfg), kinesis.NewFromConfig(account), c)
	if err != nil && report.Codes == nil {
		return undone(err) // it has not begun
	}
	if err != nil {
		err = fmt.Errorf("redrive did not come to its end: %w", err)
	}
	printed := printReport(out, asJSON, report, report.WriteText)
	if err = errors.Join(printed, err); err != nil {
		return undone(err)
	}
	if !report.Settled() {
		return &exitError{exitFindings, errors.New("redrive: some lines need a decision")}
	}
	return nil
}
