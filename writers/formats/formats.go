// Package formats lists the file formats that FORMAT can name. Settings, help texts, the chart and the commands all use
// this list.
package formats

import (
	"aws-streaming-pipeline/writers"
	"aws-streaming-pipeline/writers/jsonl"
	"aws-streaming-pipeline/writers/parquet"
)

// All lists the formats, the default first. Only tests change it.
var All = writers.Kinds{
	jsonl.Kind,
	parquet.Kind,
	jsonl.FirehoseKind,
}
