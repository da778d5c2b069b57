package parquet

import (
	"aws-streaming-pipeline/record/schema"
	"aws-streaming-pipeline/writers"
)

// Kind is FORMAT=parquet.
var Kind = writers.Kind{
	Name:         "parquet",
	Compressions: []string{string(Zstd), string(Uncompressed), string(Snappy), string(Gzip)},
	Storage:      schema.ParquetFiles,
	Schema:       true, Columns: true, Tables: true, Rows: true,
	Open: func(o writers.Options) (writers.Format, error) {
		compression := Zstd
		if o.Compression != "" {
			compression = Compression(o.Compression)
		}
		return New(Options{
			Schema: o.Schema, Compression: compression, RowGroupBytes: o.RowGroupBytes, PlainIntegers: o.PlainIntegers,
			ArrivedAt: o.ArrivedAt, Bloom: o.Bloom, Rounded: o.Rounded, Misfits: o.Misfits, CreatedBy: o.CreatedBy,
		})
	},
}
