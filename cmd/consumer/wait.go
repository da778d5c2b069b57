package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"time"

	"aws-streaming-pipeline/internal/command"
	"aws-streaming-pipeline/operate/positions"
	"aws-streaming-pipeline/record/table"
)

const waitUsage = `wait --until T [--timeout D] [--table URI] [--json]

Waits until every record that arrived in the stream before T is in the bucket, or with --table in that table. It reads the
table of checkpoints (CHECKPOINT_TABLE, default: APPLICATION_NAME), and says on stderr what it waits for. T is a time of arrival:
docs/complete.md describes what that means for the times in your records.

Exit code: 0 complete, 1 not complete within the timeout, 2 could not be found out.`

// waitEvery is the time between two looks.
const waitEvery = 5 * time.Second

// openTimeout is the least time for opening the table of checkpoints, which a single look needs, too.
const openTimeout = 10 * time.Second

func waitUntilComplete(ctx context.Context, args []string, out io.Writer) (err error) {
	f := newFlags("wait", waitUsage, out)
	var until time.Time
	f.Func("until", "the `time` of arrival, an RFC 3339 time such as 2026-01-31T00:00:00Z (required)", func(text string) (err error) {
		if until, err = time.Parse(time.RFC3339, text); err != nil {
			return errors.New("want an RFC 3339 time such as 2026-01-31T00:00:00Z")
		}
		return nil
	})
	timeout := f.Duration("timeout", 0, "give up after this `duration`; 0s looks once; default: wait for as long as it takes")
	uri := f.String("table", "", "`URI` of the table that must have the data, one of TABLE; default: the bucket alone")
	asJSON := f.Bool("json", false, "print the result as JSON")
	if err := command.Parse(f, args); err != nil {
		return command.Undone(command.UnlessHelp(err))
	}
	bounded := false
	f.Visit(func(f *flag.Flag) { bounded = bounded || f.Name == "timeout" })
	switch {
	case until.IsZero():
		return command.Undone(errors.New("wait: --until is missing: want the time up to which the data must be complete, such as 2026-01-31T00:00:00Z"))
	case *timeout < 0:
		return command.Undone(fmt.Errorf("--timeout %v: want 0s or more", *timeout))
	}
	w := positions.Waiter{Until: until.UTC(), Every: waitEvery, Tell: func(text string) { fmt.Fprintf(os.Stderr, "wait: %s\n", text) }}
	if *uri != "" {
		parsed, err := table.ParseURI(*uri)
		if err != nil {
			return command.Undone(fmt.Errorf("--table=%q: %w", *uri, err))
		}
		w.Table = parsed.String()
	}
	opening := ctx
	if bounded {
		w.Deadline = time.Now().Add(*timeout)
		within := max(*timeout, openTimeout)
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
	if err := command.Print(out, *asJSON, found, func(out io.Writer) error { return writeWaited(out, found) }); err != nil {
		return command.Undone(err)
	}
	switch {
	case found.Complete:
		return nil
	case ctx.Err() != nil:
		return command.Undone(fmt.Errorf("wait: %w", context.Cause(ctx)))
	}
	return &command.ExitError{Code: command.ExitFindings, Err: fmt.Errorf("wait: not complete within %v", *timeout)}
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
