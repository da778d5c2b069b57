package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"aws-streaming-pipeline/consumer"
	"aws-streaming-pipeline/internal/awshttp"
	environment "aws-streaming-pipeline/internal/settings"
)

// Exit codes of the tools.
const (
	exitFindings = 1 // the command finished and found something to look at
	exitUndone   = 2 // the command failed or did not finish
)

// exitError is an error with an exit code; any other error exits with 1.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string { return e.err.Error() }
func (e *exitError) Unwrap() error { return e.err }

// undone gives an error the exit code exitUndone, unless it has a code already.
func undone(err error) error {
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*exitError](err); ok {
		return err
	}
	return &exitError{exitUndone, err}
}

func exitCode(err error) int {
	if e, ok := errors.AsType[*exitError](err); ok {
		return e.code
	}
	return 1
}

// toolSettings returns the daemon's settings as far as they are set. Errors are ignored, since the tools need only a few
// settings and must run without the rest; the daemon reports what is missing or wrong.
func toolSettings() consumer.Config {
	var c consumer.Config
	_ = environment.Read(&c)
	return c
}

func newFlags(name, usage string, out io.Writer) *flag.FlagSet {
	f := flag.NewFlagSet(name, flag.ContinueOnError)
	f.SetOutput(out)
	f.Usage = func() {
		fmt.Fprintf(out, "usage: consumer %s\n\n", usage)
		f.PrintDefaults()
	}
	return f
}

// errHelp means that help was requested and has been printed.
var errHelp = flag.ErrHelp

// parse reads flags and rejects other arguments.
func parse(f *flag.FlagSet, args []string) error {
	if err := f.Parse(args); err != nil {
		return err
	}
	if f.NArg() > 0 {
		return fmt.Errorf("%s takes only flags, got %q", f.Name(), f.Arg(0))
	}
	return nil
}

// unlessHelp turns errHelp into success.
func unlessHelp(err error) error {
	if errors.Is(err, errHelp) {
		return nil
	}
	return err
}

// moment is a flag for a time: RFC 3339, a UTC day, or a duration before now.
type moment struct{ time.Time }

const momentForms = "an RFC 3339 time such as 2026-01-31T00:00:00Z, a day such as 2026-01-31, or how long ago, such as 36h"

func (m *moment) String() string {
	if m.IsZero() {
		return ""
	}
	return m.Format(time.RFC3339)
}

// Set implements flag.Value.
func (m *moment) Set(text string) (err error) {
	m.Time, err = parseMoment(text, time.Now())
	return err
}

func parseMoment(text string, now time.Time) (time.Time, error) {
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if t, err := time.Parse(layout, text); err == nil {
			return t, nil
		}
	}
	if d, err := time.ParseDuration(text); err == nil && d >= 0 {
		return now.Add(-d).UTC(), nil
	}
	return time.Time{}, errors.New("want " + momentForms)
}

// list is a flag that may be given several times.
type list []string

func (l *list) String() string { return strings.Join(*l, ",") }

// Set implements flag.Value.
func (l *list) Set(text string) error {
	*l = append(*l, text)
	return nil
}

// loadAccount loads the AWS configuration of the daemon and the tools.
func loadAccount(ctx context.Context) (aws.Config, error) { return awshttp.Account(ctx) }

func bucketClient(account aws.Config, cfg consumer.Config) *s3.Client {
	return s3.NewFromConfig(account, func(o *s3.Options) {
		o.UsePathStyle = cfg.PathStyle
		// Multipart objects have no checksum of the whole object, and the SDK would log that for each one read.
		o.DisableLogOutputChecksumValidationSkipped = true
	})
}
