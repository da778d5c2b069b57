// Package formats lists the file formats that FORMAT can name. What settings, help texts, the chart and the commands know of
// formats comes from here.
package formats

import (
	"aws-streaming-pipeline/writers"
	"aws-streaming-pipeline/writers/jsonl"
	"aws-streaming-pipeline/writers/parquet"
)

// All are the formats, the default first. Nobody but a test changes it.
var All = writers.Kinds{
	jsonl.Kind,
	parquet.Kind,
	jsonl.FirehoseKind,
}
