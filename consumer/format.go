package consumer

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"aws-streaming-pipeline/consumer/batch"
	"aws-streaming-pipeline/internal/metrics"
	"aws-streaming-pipeline/internal/settings"
	"aws-streaming-pipeline/record"
	"aws-streaming-pipeline/record/schema"
	"aws-streaming-pipeline/record/schema/shred"
	"aws-streaming-pipeline/record/table"
	"aws-streaming-pipeline/writers"
	"aws-streaming-pipeline/writers/formats"
	"aws-streaming-pipeline/writers/jsonl"
)

// kind returns the format that FORMAT names, or an empty one if it is not a format.
func (c *FormatConfig) kind() writers.Kind {
	kind, _ := formats.All.Find(c.Format)
	return kind
}

// checkFormat applies the rules that depend on the format.
func (c *FormatConfig) checkFormat(f *settings.Faults) {
	f.OneOf("FORMAT", c.Format, formats.All.Names(nil)...)
	if !f.Sound("FORMAT") {
		return
	}
	kind := c.kind()
	f.Check(slices.Contains(kind.Compressions, c.compression()), "COMPRESSION", settings.Either(kind.Compressions)+" with FORMAT="+c.Format)
	unless := func(ok bool, setting, want string, takes func(writers.Kind) bool) {
		f.Check(ok || takes(kind), setting, want+" unless FORMAT="+strings.Join(formats.All.Names(takes), " or "))
	}
	unless(c.Schema == "", "SCHEMA", "nothing", func(k writers.Kind) bool { return k.Schema })
	unless(c.ParquetEncoding == "compact", "PARQUET_ENCODING", "compact", func(k writers.Kind) bool { return k.Columns })
	unless(c.BloomColumns == "", "BLOOM_COLUMNS", "nothing", func(k writers.Kind) bool { return k.Columns })
	unless(!c.ContentEncoding, "CONTENT_ENCODING", "false", func(k writers.Kind) bool { return k.Labels })
	unless(!c.AppendDelimiter, "APPEND_DELIMITER", "false", func(k writers.Kind) bool { return k.Delimiter })
}

// checkTable applies the rules that only some formats have files for Iceberg tables, and rows for databases.
func (c *Config) checkTable(f *settings.Faults) {
	_, iceberg := c.IcebergTable()
	_, database := c.PostgresTable()
	for _, rule := range []struct {
		applies bool
		what    string
		takes   func(writers.Kind) bool
	}{
		{iceberg, "no Iceberg table", func(k writers.Kind) bool { return k.Tables }},
		{database, "no PostgreSQL table", func(k writers.Kind) bool { return k.Rows }},
	} {
		f.Check(!rule.applies || rule.takes(c.kind()), "TABLE", rule.what+" unless FORMAT="+strings.Join(formats.All.Names(rule.takes), " or "))
	}
}

// compression returns COMPRESSION, or the format's default.
func (c *FormatConfig) compression() string {
	if c.Compression == "" {
		if kind := c.kind(); len(kind.Compressions) > 0 {
			return kind.Compressions[0]
		}
	}
	return c.Compression
}

// dataFormat returns the format of data files. The schema may be nil.
func (c *Config) dataFormat(s *schema.Schema, version string, m *metrics.Metrics) (writers.Format, error) {
	_, database := c.PostgresTable()
	f, err := c.kind().Open(writers.Options{
		Schema: s, Compression: c.compression(), ContentEncoding: c.ContentEncoding, AppendDelimiter: c.AppendDelimiter,
		RowGroupBytes: int(c.RowGroupSize), PlainIntegers: c.ParquetEncoding == "plain", ArrivedAt: database, Bloom: c.bloomColumns(),
		Rounded: func(numbers int) { m.NumbersRounded.Add(float64(numbers)) },
		Misfits: func(values int) { m.TableMisfits.Add(float64(values)) }, CreatedBy: "aws-streaming-pipeline version " + version,
	})
	if err != nil || c.FileExtension == "" {
		return f, err
	}
	return renamed{f, c.FileExtension}, nil
}

// renamed is a format with another extension.
type renamed struct {
	writers.Format
	extension string
}

// Object implements writers.Format.
func (r renamed) Object() writers.Object {
	o := r.Format.Object()
	o.Extension = r.extension
	return o
}

// For implements writers.TableFormat.
func (r renamed) For(v *table.View) (writers.Format, error) {
	f, err := formatFor(r.Format, v)
	return renamed{f, r.extension}, err
}

// formatFor returns the format of files for a state of a table.
func formatFor(f writers.Format, v *table.View) (writers.Format, error) {
	if f, ok := f.(writers.TableFormat); ok {
		return f.For(v)
	}
	return nil, fmt.Errorf("%s files cannot be loaded into tables", f.Object().Extension)
}

// opener returns the function that begins to write files for a state of a table.
func opener(format writers.Format, s *schema.Schema) func(*table.Definition) (*batch.Table, error) {
	return func(d *table.Definition) (*batch.Table, error) {
		v, err := table.NewView(d, s)
		if err != nil {
			return nil, err
		}
		p, err := table.NewPartitioner(v)
		if err != nil {
			return nil, err
		}
		f, err := formatFor(format, v)
		if err != nil {
			return nil, err
		}
		return &batch.Table{Format: f, Partitioner: p, Columns: len(shred.New(v.Schema, true).Columns())}, nil
	}
}

// errorFormat returns the format of error files: JSON Lines, whatever the format of data files.
func (c *Config) errorFormat() (writers.Format, error) {
	compression := jsonl.Gzip
	if c.compression() == "none" {
		compression = jsonl.None
	}
	labels := jsonl.AsFiles
	if c.ContentEncoding {
		labels = jsonl.AsLines
	}
	return jsonl.New(jsonl.Config{Append: appendErrorLine, Compression: compression, Labels: labels})
}

// appendErrorLine appends the error record of an undeliverable record; the pipeline has set its fault and shard.
func appendErrorLine(dst []byte, r *record.Record) ([]byte, error) {
	attempts := 1
	if r.Fault.Function != "" {
		attempts = r.Fault.Attempts
	}
	return record.AppendErrorLine(dst, r, r.Fault, record.Attempt{Count: attempts, Ended: time.Now()}), nil
}

// DataFiles returns the kind of data files and their compression.
func (c *FormatConfig) DataFiles() (writers.Kind, string) { return c.kind(), c.compression() }
