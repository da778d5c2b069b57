package policy

import (
	"strings"

	"aws-streaming-pipeline/consumer"
	"aws-streaming-pipeline/internal/iam"
	"aws-streaming-pipeline/record/catalog"
	"aws-streaming-pipeline/writers/layout"
)

// Imports says what the command import reads; empty for nothing.
type Imports struct {
	KCLTable  string // table of positions
	Firehose  string // name of a Firehose stream
	GlueTable string // database.table of the AWS Glue Data Catalog, whose columns are the schema
	// Manifests allows checkpoint restore, which reads the manifests and writes a table.
	Manifests bool
}

// Operator returns the policy for the operator commands audit, check, checkpoint, import, redrive, route and, of our files, compare, and with TABLE for the
// loader's, which take care of the table. Redrive sends to the daemon's own stream.
func Operator(cfg *consumer.Config, p Place, from Imports) iam.Policy {
	b := newBuilder(cfg, p)
	stream := []string{b.stream()}
	b.allow("ReadBucket", b.objects(append(b.files(), cfg.ManifestPrefix, layout.RedriveFolder)...), "s3:GetObject")
	b.allow("ListBucket", []string{b.bucket()}, "s3:ListBucket")
	// Notes of moves, and manifests of batches that were delivered but not marked as such.
	b.allow("WriteManifests", b.objects(cfg.ManifestPrefix), "s3:PutObject")
	b.allow("SeeUploads", b.objects(b.files()...), "s3:ListMultipartUploadParts")
	b.allow("MarkRedrives", b.objects(layout.RedriveFolder), "s3:PutObject")
	b.allow("SendRecords", stream, "kinesis:ListShards", "kinesis:PutRecord", "kinesis:PutRecords")
	b.tryRecords(stream)
	if cfg.CheckpointFile == "" {
		table := []string{b.table(b.cfg.Table())}
		b.allow("MovePositions", table, "dynamodb:DeleteItem", "dynamodb:DescribeTable", "dynamodb:GetItem", "dynamodb:Scan", "dynamodb:UpdateItem")
		if from.KCLTable != "" {
			b.allow("ReadOldTable", []string{b.table(from.KCLTable)}, "dynamodb:DescribeTable", "dynamodb:Scan")
			b.allow("ImportPositions", table, "dynamodb:PutItem")
			b.makeTable()
			b.allow("FindPositions", stream, "kinesis:DescribeStreamSummary")
		}
		if from.Manifests {
			b.allow("RestorePositions", table, "dynamodb:PutItem")
			if from.KCLTable == "" {
				b.makeTable()
			}
			b.allow("DescribeStream", stream, "kinesis:DescribeStreamSummary")
		}
	}
	b.readFirehose(from)
	if uri, ok := cfg.IcebergTable(); ok {
		b.careForTable(uri)
	}
	if _, ok := cfg.PostgresTable(); ok {
		b.careForRows()
	}
	b.bindTable()
	b.keys()
	return b.policy
}

// tryRecords allows what route does to records of the stream. So does the search for positions in a stream, of import kcl.
func (b *builder) tryRecords(stream []string) {
	b.allow("ReadShards", stream, "kinesis:GetRecords", "kinesis:GetShardIterator")
	b.readSchema()
	b.lookUpSchemas()
	b.callFunction()
}

// readFirehose allows reading the description of a Firehose stream and its table ("Actions, resources, and condition keys for
// Amazon Kinesis Firehose"; AWS Glue Developer Guide, "Specifying AWS Glue resource ARNs").
func (b *builder) readFirehose(from Imports) {
	if from.Firehose != "" {
		b.allow("DescribeFirehose", []string{b.arn("firehose", "deliverystream/"+from.Firehose)}, "firehose:DescribeDeliveryStream")
	}
	if database, name, ok := strings.Cut(from.GlueTable, "."); ok {
		b.allow("ReadGlueTable", b.glueTable(catalog.Source{Database: database, Table: name}), "glue:GetTable", "glue:GetTableVersion")
	}
}

// WithTheirs adds to an operators' policy that compare may read the files of another consumer, whose keys begin with prefix.
func WithTheirs(p iam.Policy, at Place, bucket, prefix string) iam.Policy {
	var other consumer.Config
	other.Bucket = bucket
	b := newBuilder(&other, at)
	b.policy = p
	b.allow("ReadTheirs", b.objects(prefix), "s3:GetObject")
	b.allow("ListTheirs", []string{b.bucket()}, "s3:ListBucket")
	return b.policy
}

// keys allows reading and writing data encrypted with customer managed keys.
func (b *builder) keys() {
	if b.place.StreamKey != "" {
		b.key("EncryptRecords", b.place.StreamKey, "kms:Decrypt", "kms:GenerateDataKey")
	}
	for _, k := range []struct{ sid, name string }{{"UseKeyOfFiles", b.cfg.KMSKey}, {"UseKeyOfBucket", b.place.BucketKey}} {
		if k.name != "" {
			b.key(k.sid, k.name, "kms:Decrypt", "kms:GenerateDataKey")
		}
	}
}
