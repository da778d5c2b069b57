package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"aws-streaming-pipeline/internal/command"
	"aws-streaming-pipeline/loader/iceberg/care"
)

const auditUsage = `audit [--from T] [--to T] [--json] [--strict]

Proves from the manifests in the bucket and the table's own history that each file of a loaded batch was added to the table
exactly once, and that the table has no other file of the pipeline from that time. Files that a compaction has replaced count
as loaded. "consumer audit" proves that the files themselves hold each record once.

Exit code: 0 sound, 1 findings, 2 could not be checked.`

func auditTable(ctx context.Context, args []string, out io.Writer) error {
	var from, to command.Moment
	f := newFlags("audit", auditUsage, out)
	f.Var(&from, "from", "audit batches sealed at this `time` or later: "+command.MomentForms+"; default: from the first manifest")
	f.Var(&to, "to", "audit batches sealed before this `time`; default: now")
	asJSON := f.Bool("json", false, "print the report as JSON")
	strict := f.Bool("strict", false, "treat warnings as findings")
	if err := command.Parse(f, args); err != nil {
		return command.Undone(command.UnlessHelp(err))
	}
	if to.IsZero() {
		to.Time = time.Now()
	}
	return withSite(ctx, func(s *site) error {
		report, err := care.Audit(ctx, s.window(from, to), s.store, s.table.Now)
		if err != nil {
			return command.Undone(fmt.Errorf("audit did not finish: %w", err))
		}
		if err := command.Print(out, *asJSON, report, report.WriteText); err != nil {
			return command.Undone(err)
		}
		if !report.Sound || *strict && len(report.Warnings) > 0 {
			return &command.ExitError{Code: command.ExitFindings, Err: errors.New("audit: there are findings")}
		}
		return nil
	})
}
