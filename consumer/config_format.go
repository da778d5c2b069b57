package consumer

import (
	"slices"
	"strings"

	"aws-streaming-pipeline/internal/settings"
	"aws-streaming-pipeline/record/prefix"
	"aws-streaming-pipeline/writers/layout"
)

// FormatConfig says what is in a file.
type FormatConfig struct {
	Format          string `envconfig:"FORMAT" default:"jsonl" desc:"Format of data files: jsonl (JSON Lines), parquet, or firehose (payloads are concatenated unchanged, with Firehose's headers and extensions)."`
	Compression     string `envconfig:"COMPRESSION" desc:"Compression of the files: none, gzip, zstd or snappy, and for formats other than Parquet hadoop-snappy (which Athena, Hive and Spark read) and snappy-framed (the official framing). Outside Parquet, snappy has the framing of snappy-java, as Firehose's has. Default: gzip for jsonl, zstd for parquet, none for firehose."`
	ContentEncoding bool   `envconfig:"CONTENT_ENCODING" default:"false" desc:"Labels compressed JSON Lines with a Content-Encoding, so that HTTP clients decompress them, rather than with the type of a compressed file. FORMAT=firehose always does."`
	AppendDelimiter bool   `envconfig:"APPEND_DELIMITER" default:"false" desc:"Writes a line feed after each payload, as Firehose's AppendDelimiterToRecord does. Only for FORMAT=firehose."`
	FileExtension   string `envconfig:"FILE_EXTENSION" desc:"Extension of data files, such as .json.gz, like Firehose's FileExtension. Default: the extension of the format and compression."`
	Schema          string `envconfig:"SCHEMA" desc:"JSON Schema file, a path or s3://bucket/key. Records that violate it go to the error prefix, and Parquet takes its columns from it. Default: none; Parquet infers its columns."`
	RowGroupSize    Bytes  `envconfig:"ROW_GROUP_SIZE" default:"64MiB" min:"1MiB" max:"1GiB" desc:"Memory that the records of a Parquet row group take before they are encoded."`
	ParquetEncoding string `envconfig:"PARQUET_ENCODING" default:"compact" oneof:"compact,plain" desc:"Encoding of Parquet integers and timestamps without a dictionary: compact (DELTA_BINARY_PACKED), or plain for readers that decode the former wrongly, such as fastparquet."`
	BloomColumns    string `envconfig:"BLOOM_COLUMNS" desc:"Parquet columns that get a Bloom filter, separated by commas. It speeds up queries for single values, such as those of event_id. Default: none."`
}

func (c *FormatConfig) check(f *settings.Faults) {
	f.OneOf("FORMAT", c.Format, "jsonl", "parquet", "firehose")
	if f.Sound("FORMAT") {
		c.checkFormat(f)
	}
	f.Add("FILE_EXTENSION", prefix.ValidateExtension(c.FileExtension))
	f.Check(!layout.IsFileEnding(c.FileExtension), "FILE_EXTENSION", "an extension without the time and the id of a batch, which keys have")
	f.Check(c.BloomColumns == "" || !slices.Contains(c.bloomColumns(), ""), "BLOOM_COLUMNS", "names separated by single commas")
	if location, remote := strings.CutPrefix(c.Schema, "s3://"); remote {
		bucket, key, _ := strings.Cut(location, "/")
		f.Check(bucket != "" && key != "", "SCHEMA", "a path or s3://bucket/key")
	}
}

// checkFormat applies the rules that depend on the format.
func (c *FormatConfig) checkFormat(f *settings.Faults) {
	if c.Format == "parquet" {
		f.OneOf("COMPRESSION", c.compression(), "none", "snappy", "gzip", "zstd")
		f.Check(!c.ContentEncoding, "CONTENT_ENCODING", "false for FORMAT=parquet, whose files are compressed inside")
	} else {
		f.OneOf("COMPRESSION", c.compression(), "none", "gzip", "zstd", "snappy", "hadoop-snappy", "snappy-framed")
		f.Check(c.ParquetEncoding == "compact", "PARQUET_ENCODING", "compact unless FORMAT=parquet")
		f.Check(c.BloomColumns == "", "BLOOM_COLUMNS", "nothing unless FORMAT=parquet")
	}
	f.Check(c.Schema == "" || c.Format != "firehose", "SCHEMA", "nothing for FORMAT=firehose, which does not parse payloads")
	f.Check(!c.AppendDelimiter || c.Format == "firehose", "APPEND_DELIMITER", "false unless FORMAT=firehose")
}

// compression is COMPRESSION, or what suits the format.
func (c *FormatConfig) compression() string {
	switch {
	case c.Compression != "":
		return c.Compression
	case c.Format == "parquet":
		return "zstd"
	case c.Format == "firehose":
		return "none"
	}
	return "gzip"
}

func (c *FormatConfig) bloomColumns() []string {
	if c.BloomColumns == "" {
		return nil
	}
	return strings.Split(c.BloomColumns, ",")
}
