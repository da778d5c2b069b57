package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"aws-streaming-pipeline/internal/command"
	"aws-streaming-pipeline/operate/positions"
	"aws-streaming-pipeline/record/table"
)

func waitCommand() *cobra.Command {
	var o waitOptions
	cmd := &cobra.Command{
		Use: "wait", Short: "wait until the data is complete up to a time, in the bucket or in a table",
		Long: `Waits until every record that arrived in the stream before T is in the bucket, or with --table in that table. It reads the
table of checkpoints (CHECKPOINT_TABLE, default: APPLICATION_NAME), and says on stderr what it waits for. T is a time of arrival:
docs/complete.md describes what that means for the times in your records.

Exit code: 0 complete, 1 not complete within the timeout, 2 could not be found out, 130 interrupted.`,
		Example: "consumer wait --until 2026-01-31T00:00:00Z --timeout 30m\nconsumer wait --until 2026-01-31T00:00:00Z --table glue://lake/trips --timeout 0s --json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.bounded = cmd.Flags().Changed("timeout")
			return waitUntilComplete(cmd, o)
		},
	}
	f := cmd.Flags()
	f.Func("until", "the `time` of arrival, an RFC 3339 time such as 2026-01-31T00:00:00Z (required)", func(text string) (err error) {
		if o.until, err = time.Parse(time.RFC3339, text); err != nil {
			return errors.New("want an RFC 3339 time such as 2026-01-31T00:00:00Z")
		}
		return nil
	})
	f.DurationVar(&o.timeout, "timeout", 0, "give up after this `duration`; 0s looks once; default: wait for as long as it takes")
	f.StringVar(&o.table, "table", "", "`URI` of the table that must have the data, one of TABLE; default: the bucket alone")
	f.BoolVar(&o.json, "json", false, "print the result as JSON")
	return cmd
}

// waitOptions are the flags of wait. It waits for as long as it takes unless it is bounded.
type waitOptions struct {
	until   time.Time
	timeout time.Duration
	bounded bool
	table   string
	json    bool
}

// waitEvery is the time between two looks.
const waitEvery = 5 * time.Second

// openTimeout is the least time for opening the table of checkpoints, which a single look needs, too.
const openTimeout = 10 * time.Second

func waitUntilComplete(cmd *cobra.Command, o waitOptions) (err error) {
	ctx, out := cmd.Context(), cmd.OutOrStdout()
	switch {
	case o.until.IsZero():
		return command.Usagef("wait: --until is missing: want the time up to which the data must be complete, such as 2026-01-31T00:00:00Z")
	case o.timeout < 0:
		return command.Usagef("--timeout %v: want 0s or more", o.timeout)
	}
	w := positions.Waiter{Until: o.until.UTC(), Every: waitEvery, Tell: func(text string) { fmt.Fprintf(cmd.ErrOrStderr(), "wait: %s\n", text) }}
	if o.table != "" {
		parsed, err := table.ParseURI(o.table)
		if err != nil {
			return command.Usagef("--table=%q: %w", o.table, err)
		}
		w.Table = parsed.String()
	}
	opening := ctx
	if o.bounded {
		w.Deadline = time.Now().Add(o.timeout)
		within := max(o.timeout, openTimeout)
		bound, cancel := context.WithTimeoutCause(ctx, within, fmt.Errorf("the table of checkpoints could not be opened within %v", within))
		defer cancel()
		opening = bound
	}
	store, err := openTable(opening, toolSettings())
	if err != nil {
		return command.Undone(err)
	}
	defer func() { err = errors.Join(err, command.Undone(store.Close())) }()
	w.Store = store
	if err := w.Check(ctx); err != nil {
		return command.Undone(err)
	}
	found := w.Wait(ctx)
	if err := command.Print(out, o.json, found, func(out io.Writer) error { return writeWaited(out, found) }); err != nil {
		return command.Undone(err)
	}
	switch {
	case found.Complete:
		return nil
	case ctx.Err() != nil:
		return command.Undone(fmt.Errorf("wait: %w", context.Cause(ctx)))
	}
	return &command.ExitError{Code: command.ExitFindings, Err: fmt.Errorf("wait: not complete within %v", o.timeout)}
}

func writeWaited(out io.Writer, w positions.Waited) error {
	stated := "nothing is known yet"
	if !w.CompleteUpTo.IsZero() {
		stated = "the bucket is complete up to " + w.CompleteUpTo.Format(time.RFC3339Nano)
	}
	where := "bucket"
	if w.Table != "" {
		where = "table " + w.Table
	}
	not := ""
	if !w.Complete {
		not = "not "
	}
	_, err := fmt.Fprintf(out, "%s: %scomplete up to %s (%s)\n", where, not, w.Until.Format(time.RFC3339Nano), stated)
	return err
}
