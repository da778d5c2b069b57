// Package emf writes the daemon's metrics for Amazon CloudWatch, under the names and with the meanings of Amazon Data Firehose's.
//
// CloudWatch Logs makes metrics of log events in its embedded metric format (Amazon CloudWatch User Guide, "Specification: Embedded metric
// format"). Every value is one of the Prometheus registry, or computed from some, so that both tell the same.
package emf

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"regexp"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"aws-streaming-pipeline/internal/logkey"
)

// Dimension is the name of the metrics' only dimension, as Firehose's (Amazon Data Firehose Developer Guide, "Dimensions for Firehose").
const Dimension = "DeliveryStreamName"

// By the Amazon CloudWatch API Reference, PutMetricData, Namespace, and the User Guide, "Namespaces".
var namespace = regexp.MustCompile(`^[0-9A-Za-z._/#-][0-9A-Za-z._/#:-]{0,254}$`)

// CheckNamespace returns what is wrong with a namespace, or nil.
func CheckNamespace(text string) error {
	if !namespace.MatchString(text) || strings.HasPrefix(strings.ToUpper(text), "AWS/") {
		return errors.New("want at most 255 characters of A-Z a-z 0-9 . _ - / # : that begin neither with : nor with AWS/, which is for Amazon's services")
	}
	return nil
}

// Config says what a Writer writes.
type Config struct {
	Namespace   string
	Application string // value of the dimension
	Worker      string // member of each document, and not a dimension
	// Converts is set if files have columns.
	Converts bool
	// Backs is set if records are backed up as they came.
	Backs bool
}

// Writer writes a document for each minute. Create it with New.
type Writer struct {
	config   Config
	registry prometheus.Gatherer
	out      io.Writer
	log      *slog.Logger
	before   counts
}

// New returns a Writer of a registry's metrics, whose counts begin at zero.
func New(c Config, registry prometheus.Gatherer, out io.Writer, log *slog.Logger) *Writer {
	return &Writer{config: c, registry: registry, out: out, log: log, before: counts{}}
}

// period is what a document is about. CloudWatch stores values by the minute.
const period = time.Minute

// Run writes a document at the end of each minute by the clock, and a last one when ctx ends, so that counts of all documents add up to
// those of the registry.
func (w *Writer) Run(ctx context.Context) {
	for {
		minute := time.Now().Truncate(period)
		next := time.NewTimer(time.Until(minute.Add(period)))
		select {
		case <-next.C:
		case <-ctx.Done():
			next.Stop()
		}
		if err := w.write(minute); err != nil {
			w.log.Warn("metrics for CloudWatch were not written", logkey.Error, err.Error())
		}
		if ctx.Err() != nil {
			return
		}
	}
}

// document is one in the embedded metric format.
type document struct {
	Timestamp         int64       `json:"Timestamp"` // in milliseconds
	CloudWatchMetrics []directive `json:"CloudWatchMetrics"`
}

type directive struct {
	Namespace  string
	Dimensions [][]string
	Metrics    []definition
}

type definition struct{ Name, Unit string }

// write writes the document of the minute that began at a time.
func (w *Writer) write(minute time.Time) error {
	families, err := w.registry.Gather()
	if err != nil {
		return fmt.Errorf("gather: %w", err)
	}
	s := newSamples(families, w.before)
	d := directive{Namespace: w.config.Namespace, Dimensions: [][]string{{Dimension}}}
	root := map[string]any{Dimension: w.config.Application, logkey.Worker: w.config.Worker}
	for _, m := range List {
		if m.converts && !w.config.Converts || m.backs && !w.config.Backs {
			continue
		}
		if value, ok := m.value(s); ok {
			d.Metrics = append(d.Metrics, definition{m.Name, m.Unit})
			root[m.Name] = value
		}
	}
	root["_aws"] = document{minute.UnixMilli(), []directive{d}}
	line, err := json.Marshal(root)
	if err != nil {
		return err
	}
	if _, err := w.out.Write(append(line, '\n')); err != nil {
		return err
	}
	w.before = s.now
	return nil
}
