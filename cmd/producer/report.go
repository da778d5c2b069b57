package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"aws-streaming-pipeline/internal/command"
	"aws-streaming-pipeline/internal/diagnosis"
	"aws-streaming-pipeline/producer"
)

// maxReported is the number of bad rows that are printed individually; the report counts all.
const maxReported = 100

// badRows prints bad rows like a compiler: file:line: reason.
type badRows struct {
	file string
	out  io.Writer
	seen int
}

func (b *badRows) report(bad *producer.BadRow) {
	b.seen++
	switch {
	case b.seen <= maxReported:
		fmt.Fprintf(b.out, "%s: skipped\n", badRowText(b.file, bad))
	case b.seen == maxReported+1:
		fmt.Fprintf(b.out, "%d bad rows; more are only counted\n", maxReported)
	}
}

func badRowText(file string, bad *producer.BadRow) string {
	switch file {
	case "":
		return fmt.Sprintf("trip %d: %s", bad.Line, bad.Reason)
	case "-":
		file = "standard input"
	}
	return fmt.Sprintf("%s:%d: %s", file, bad.Line, bad.Reason)
}

// report writes the result of a run.
func report(w io.Writer, s producer.Summary) {
	fmt.Fprintf(w, "sent %s records, %s, in %s (%s), %s calls\n",
		grouped(s.Records), size(s.Bytes), s.Elapsed.Round(time.Millisecond), speed(s.Progress), grouped(s.Calls))
	if s.Retries > 0 || s.FailedCalls > 0 {
		fmt.Fprintf(w, "sent again: %s records; failed calls: %s\n", grouped(s.Retries), grouped(s.FailedCalls))
	}
	if s.BadRows > 0 {
		fmt.Fprintf(w, "skipped: %s bad rows\n", grouped(s.BadRows))
	}
	for _, id := range slices.Sorted(maps.Keys(s.Shards)) {
		shard := s.Shards[id]
		fmt.Fprintf(w, "  %-24s %12s records %12s\n", id, grouped(shard.Records), size(shard.Bytes))
	}
}

// reportEnd writes why a run ended early, and how to continue.
func reportEnd(w io.Writer, s settings, summary producer.Summary, err error, status int) {
	if err == nil {
		return
	}
	var bad *producer.BadRow
	var fault producer.Fault
	switch {
	case status == command.ExitInterrupted:
		fmt.Fprintln(w, "producer: interrupted")
	case errors.As(err, &fault):
		fmt.Fprintln(w, "producer:", errors.Join(inFlags(errors.Join(fault))...))
		return
	case errors.As(err, &bad):
		fmt.Fprintf(w, "producer: %s\n", badRowText(s.csv, bad))
	default:
		text := diagnosis.Text(err, about(s))
		fmt.Fprintln(w, "producer:", text)
		if s.verbose && text != err.Error() {
			fmt.Fprintln(w, "in the words of the SDK:", err)
		}
	}
	fmt.Fprintf(w, "the first %d rows were sent; --skip %[1]d continues after them", summary.SettledRows)
	if summary.Beyond > 0 {
		fmt.Fprintf(w, " and sends %d records a second time", summary.Beyond)
	}
	fmt.Fprintln(w)
}
