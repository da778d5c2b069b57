package consumer

import (
	"strings"

	"aws-streaming-pipeline/internal/settings"
	"aws-streaming-pipeline/record/catalog"
	"aws-streaming-pipeline/record/prefix"
	"aws-streaming-pipeline/writers/layout"
)

// FormatConfig sets the contents of files.
type FormatConfig struct {
	Format          string `envconfig:"FORMAT" default:"jsonl" desc:"Format of data files: {formats}."`
	Compression     string `envconfig:"COMPRESSION" desc:"Compression of the files: none, gzip, zstd or snappy, and for formats other than Parquet hadoop-snappy (which Athena, Hive and Spark read), snappy-framed (the official framing) and zip (an archive with one entry, as Firehose's, which Athena does not read). Outside Parquet, snappy has the framing of snappy-java, as Firehose's has. Default: gzip for jsonl, zstd for parquet, none for firehose."`
	ContentEncoding bool   `envconfig:"CONTENT_ENCODING" default:"false" desc:"Labels compressed JSON Lines with a Content-Encoding, so that HTTP clients decompress them, rather than with the type of a compressed file. FORMAT=firehose always does."`
	AppendDelimiter bool   `envconfig:"APPEND_DELIMITER" default:"false" desc:"Writes a line feed after each payload, as Firehose's AppendDelimiterToRecord does. Only for FORMAT=firehose."`
	FileExtension   string `envconfig:"FILE_EXTENSION" desc:"Extension of data files, such as .json.gz, like Firehose's FileExtension. Default: the extension of the format and compression."`
	Schema          string `envconfig:"SCHEMA" desc:"JSON Schema file, a path or s3://bucket/key, or glue://database/table for the columns of a table in the AWS Glue Data Catalog, read at the start. Records that violate it go to the error prefix, and Parquet takes its columns from it. Default: none; Parquet infers its columns."`
	RowGroupSize    Bytes  `envconfig:"ROW_GROUP_SIZE" default:"64MiB" min:"1MiB" max:"1GiB" desc:"Memory that the records of a Parquet row group take before they are encoded."`
	ParquetEncoding string `envconfig:"PARQUET_ENCODING" default:"compact" oneof:"compact,plain" desc:"Encoding of Parquet integers and timestamps without a dictionary: compact (DELTA_BINARY_PACKED), or plain for readers that decode the former wrongly, such as fastparquet."`
	BloomColumns    string `envconfig:"BLOOM_COLUMNS" pattern:"^[^,]+(,[^,]+)*$" form:"names separated by single commas" desc:"Parquet columns that get a Bloom filter, separated by commas. It speeds up queries for single values, such as those of event_id. Default: none."`
}

func (c *FormatConfig) check(f *settings.Faults) {
	c.checkFormat(f)
	f.Add("FILE_EXTENSION", prefix.ValidateExtension(c.FileExtension))
	f.Check(!layout.IsFileEnding(c.FileExtension), "FILE_EXTENSION", "an extension without the time and the id of a batch, which keys have")
	f.Check(!layout.File{Extension: c.FileExtension}.IsRefused(), "FILE_EXTENSION", "another extension, because this one is of files with rows that PostgreSQL refuses")
	if location, remote := strings.CutPrefix(c.Schema, "s3://"); remote {
		bucket, key, _ := strings.Cut(location, "/")
		f.Check(bucket != "" && key != "", "SCHEMA", "a path, s3://bucket/key or glue://database/table")
	}
	if catalog.IsSource(c.Schema) {
		_, err := catalog.ParseSource(c.Schema)
		f.Add("SCHEMA", err)
	}
}

func (c *FormatConfig) bloomColumns() []string {
	if c.BloomColumns == "" {
		return nil
	}
	return strings.Split(c.BloomColumns, ",")
}
