package jsonl

import (
	"aws-streaming-pipeline/record"
	"aws-streaming-pipeline/record/schema"
	"aws-streaming-pipeline/record/schema/shred"
	"aws-streaming-pipeline/writers"
)

// Kind is FORMAT=jsonl: one JSON object per line, with its event id.
var Kind = writers.Kind{
	Name: "jsonl", Meaning: "JSON Lines",
	Compressions: []string{string(Gzip), string(None), string(Zstd), string(Snappy), string(HadoopSnappy), string(SnappyFramed), string(Zip)},
	Storage:      schema.JSONLines,
	Schema:       true, Labels: true, Rows: true,
	Open: func(o writers.Options) (writers.Format, error) {
		lines, err := lines(o)
		if err != nil {
			return nil, err
		}
		c := Config{Append: lines, Compression: Compression(o.Compression)}
		if c.Compression == "" {
			c.Compression = Gzip
		}
		if o.ContentEncoding {
			c.Labels = AsLines
		}
		return New(c)
	},
}

// FirehoseKind is FORMAT=firehose: unmodified payloads.
var FirehoseKind = writers.Kind{
	Name: "firehose", Meaning: "payloads are concatenated unchanged, with Firehose's headers and extensions",
	Compressions: []string{string(None), string(Gzip), string(Zstd), string(Snappy), string(HadoopSnappy), string(SnappyFramed), string(Zip)},
	Labels:       true, Delimiter: true,
	Open: func(o writers.Options) (writers.Format, error) {
		c := Config{Append: AppendPayload, Compression: Compression(o.Compression), Labels: AsFirehose}
		if o.AppendDelimiter {
			c.Append = AppendPayloadLine
		}
		return New(c)
	},
}

// lines returns a function that makes JSON lines of records that satisfy the schema, if there is one. A schema only rejects
// payloads; it does not rewrite them.
func lines(o writers.Options) (AppendFunc, error) {
	switch {
	case o.Schema != nil && o.ArrivedAt:
		s, err := o.Schema.WithArrival()
		if err != nil {
			return nil, err
		}
		return shred.NewChecker(s).AppendJSONLine, nil
	case o.Schema != nil:
		return shred.NewChecker(o.Schema).AppendJSONLine, nil
	case o.ArrivedAt:
		return record.AppendArrivalLine, nil
	}
	return record.AppendJSONLine, nil
}
