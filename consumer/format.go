package consumer

import (
	"time"

	"aws-streaming-pipeline/record"
	"aws-streaming-pipeline/record/schema"
	"aws-streaming-pipeline/record/schema/shred"
	"aws-streaming-pipeline/writers"
	"aws-streaming-pipeline/writers/jsonl"
	"aws-streaming-pipeline/writers/parquet"
)

// dataFormat is the format of data files. The schema may be nil; rounded is that of parquet.Options.
func (c *Config) dataFormat(s *schema.Schema, version string, rounded func(numbers int)) (writers.Format, error) {
	f, err := c.bodyFormat(s, version, rounded)
	if err != nil || c.FileExtension == "" {
		return f, err
	}
	return renamed{f, c.FileExtension}, nil
}

func (c *Config) bodyFormat(s *schema.Schema, version string, rounded func(numbers int)) (writers.Format, error) {
	switch c.Format {
	case "parquet":
		return parquet.New(parquet.Options{
			Schema: s, Compression: parquet.Compression(c.compression()), RowGroupBytes: int(c.RowGroupSize), Bloom: c.bloomColumns(),
			PlainIntegers: c.ParquetEncoding == "plain", Rounded: rounded, CreatedBy: "aws-streaming-pipeline version " + version,
		})
	case "firehose":
		payload := jsonl.AppendPayload
		if c.AppendDelimiter {
			payload = jsonl.AppendPayloadLine
		}
		return jsonl.New(jsonl.Config{Append: payload, Compression: jsonl.Compression(c.compression()), Labels: jsonl.AsFirehose})
	}
	return jsonl.New(jsonl.Config{Append: lines(s), Compression: jsonl.Compression(c.compression()), Labels: c.labels()})
}

// labels are those of JSON lines.
func (c *Config) labels() jsonl.Labels {
	if c.ContentEncoding {
		return jsonl.AsLines
	}
	return jsonl.AsFiles
}

// renamed is a format with another extension.
type renamed struct {
	writers.Format
	extension string
}

// Object is writers.Format's.
func (r renamed) Object() writers.Object {
	o := r.Format.Object()
	o.Extension = r.extension
	return o
}

// errorFormat is the format of error files: lines of JSON, whatever the data are.
func (c *Config) errorFormat() (writers.Format, error) {
	compression := jsonl.Gzip
	if c.compression() == "none" {
		compression = jsonl.None
	}
	return jsonl.New(jsonl.Config{Append: appendErrorLine, Compression: compression, Labels: c.labels()})
}

// lines makes JSON lines of the records that hold to the schema, which may be nil. The lines are the payloads as they came: a
// schema refuses, it does not rewrite.
func lines(s *schema.Schema) jsonl.AppendFunc {
	if s == nil {
		return record.AppendJSONLine
	}
	return shred.NewChecker(s).AppendJSONLine
}

// appendErrorLine writes a record that can not be delivered; the pipeline has set its fault and shard.
func appendErrorLine(dst []byte, r *record.Record) ([]byte, error) {
	return record.AppendErrorLine(dst, r, r.Fault, record.Attempt{Count: 1, Ended: time.Now()}), nil
}
