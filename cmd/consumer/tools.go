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
	exitFindings = 1 // it was done, and something is to be looked at
	exitUndone   = 2 // it could not be done, or not to its end
)

// exitError is an error with an exit code; that of any other is 1.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string { return e.err.Error() }
func (e *exitError) Unwrap() error { return e.err }

// undone gives an error the exit code of what could not be done. One that has a code keeps it.
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

// toolSettings are the daemon's settings as far as they are set. What is missing or wrong among them is the daemon's to
// complain of: the tools need a few, and run where the rest is not set.
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

// errHelp means that the flags' meanings were asked for and have been printed.
var errHelp = flag.ErrHelp

// parse reads flags and refuses other arguments.
func parse(f *flag.FlagSet, args []string) error {
	if err := f.Parse(args); err != nil {
		return err
	}
	if f.NArg() > 0 {
		return fmt.Errorf("%s takes no argument %q", f.Name(), f.Arg(0))
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

// moment is a flag that takes a time: RFC 3339, a day of UTC, or how long ago.
type moment struct{ time.Time }

const momentForms = "a time as 2026-01-31T00:00:00Z, a day as 2026-01-31, or how long ago as 36h"

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
		// Objects of several parts have no checksum of the whole, and the SDK would say so of each that is read.
		o.DisableLogOutputChecksumValidationSkipped = true
	})
}
