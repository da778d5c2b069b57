package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync/atomic"

	"aws-streaming-pipeline/producer"
)

// source opens the rows that the settings name and counts what was read.
type source struct {
	settings settings
	bytes    int64        // size of the CSV, 0 if it is not known
	read     atomic.Int64 // bytes of it read so far, in all repetitions
}

func newSource(s settings) *source {
	src := &source{settings: s}
	if info, err := os.Stat(s.csv); err == nil && info.Mode().IsRegular() {
		src.bytes = info.Size()
	}
	return src
}

// open begins a repetition. A read that waits for input, such as from a pipe, ends with ctx.
func (s *source) open(ctx context.Context) (producer.Source, error) {
	if s.settings.csv == "" {
		return producer.Generate(s.settings.generate, s.settings.seed), nil
	}
	file, err := openCSV(s.settings.csv)
	if err != nil {
		return nil, fmt.Errorf("open CSV: %w", err)
	}
	r := &csvFile{ctx: ctx, file: file, read: &s.read}
	r.Source = producer.CSV(reader{r})
	r.unwatch = context.AfterFunc(ctx, func() { file.Close() })
	return r, nil
}

func openCSV(path string) (*os.File, error) {
	if path != "-" {
		return os.Open(path)
	}
	info, err := os.Stdin.Stat()
	if err == nil && info.Mode()&(os.ModeNamedPipe|os.ModeCharDevice) != 0 {
		return os.Open("/dev/stdin") // closing it ends a waiting read, unlike closing os.Stdin
	}
	return os.Stdin, err
}

// done returns the fraction of all rows that was read, negative if unknown.
func (s *source) done(p producer.Progress) float64 {
	repeat := float64(s.settings.producer.Repeat)
	switch {
	case repeat < 1:
		return -1
	case s.settings.csv == "":
		return min(1, float64(p.Rows+s.settings.producer.Skip)/(float64(s.settings.generate)*repeat))
	case s.bytes == 0:
		return -1
	}
	return min(1, float64(s.read.Load())/(float64(s.bytes)*repeat))
}

// csvFile is a producer.CSV of a file.
type csvFile struct {
	producer.Source
	ctx     context.Context
	file    *os.File
	unwatch func() bool
	read    *atomic.Int64
}

func (c *csvFile) Close() error {
	c.unwatch()
	if err := c.file.Close(); err != nil && !errors.Is(err, os.ErrClosed) {
		return fmt.Errorf("close CSV: %w", err)
	}
	return nil
}

type reader struct{ *csvFile }

func (r reader) Read(p []byte) (int, error) {
	n, err := r.file.Read(p)
	r.read.Add(int64(n))
	if err != nil && r.ctx.Err() != nil {
		err = r.ctx.Err()
	}
	return n, err
}

// writeCSV writes the generated trips to a file, or to out for "-", until ctx ends.
func writeCSV(ctx context.Context, s settings, out io.Writer) error {
	trips := interruptible{producer.Generate(s.generate, s.seed), ctx}
	if s.writeCSV == "-" {
		return producer.WriteCSV(out, trips)
	}
	file, err := os.Create(s.writeCSV)
	if err != nil {
		return err
	}
	return errors.Join(producer.WriteCSV(file, trips), file.Close())
}

// interruptible is a source that fails when ctx has ended.
type interruptible struct {
	producer.Source
	ctx context.Context
}

func (i interruptible) Next() (producer.Row, error) {
	if err := i.ctx.Err(); err != nil {
		return producer.Row{}, err
	}
	return i.Source.Next()
}
