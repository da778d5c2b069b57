package policy

import (
	"strings"

	"aws-streaming-pipeline/consumer"
	"aws-streaming-pipeline/internal/iam"
	"aws-streaming-pipeline/internal/streams"
	"aws-streaming-pipeline/writers/layout"
)

// Daemon is the policy of the daemon under settings that are valid.
func Daemon(cfg *consumer.Config, p Place) iam.Policy {
	b := newBuilder(cfg, p)
	b.readStream()
	b.writeFiles()
	b.readSchema()
	b.lookUpSchemas()
	b.keepCheckpoints()
	return b.policy
}

// readStream is what consumer/shardmap and consumer/source call.
func (b *builder) readStream() {
	stream := []string{b.stream()}
	b.allow("FindShards", stream, "kinesis:DescribeStreamSummary", "kinesis:ListShards")
	switch {
	case b.cfg.FanOutConsumer == "":
		b.allow("ReadShards", stream, "kinesis:GetRecords", "kinesis:GetShardIterator")
	case streams.ConsumerID(b.cfg.FanOutConsumer).IsARN():
		b.allow("SubscribeToShards", []string{b.fanOut()}, "kinesis:SubscribeToShard")
	default: // it is looked for by its name, and registered if there is none
		b.allow("SubscribeToShards", []string{b.fanOut()}, "kinesis:DescribeStreamConsumer", "kinesis:SubscribeToShard")
		b.allow("RegisterConsumer", stream, "kinesis:RegisterStreamConsumer")
	}
	// Amazon Kinesis Data Streams Developer Guide, "Permissions to use user-generated KMS keys".
	if b.place.StreamKey != "" {
		b.key("DecryptStream", b.place.StreamKey, "kms:Decrypt")
	}
}

// writeFiles is what writers/s3sink calls: the calls of multipart uploads need PutObject but for those that abort and
// list; HeadObject, which recognises a file or a manifest that was published before, needs GetObject; HeadBucket needs ListBucket, and
// so does HeadObject to answer "not found" in place of "forbidden".
func (b *builder) writeFiles() {
	b.allow("WriteFiles", b.objects(b.files()...),
		"s3:AbortMultipartUpload", "s3:GetObject", "s3:ListMultipartUploadParts", "s3:PutObject")
	b.allow("WriteManifests", b.objects(b.cfg.ManifestPrefix), "s3:GetObject", "s3:PutObject")
	// Lists of the files of batches that have more of them than an item of the table holds.
	b.allow("KeepLists", b.objects(layout.OutboxFolder(b.cfg.ManifestPrefix)), "s3:DeleteObject", "s3:GetObject", "s3:PutObject")
	b.allow("SeeBucket", []string{b.bucket()}, "s3:ListBucket")
	// A data key for each object, and its decryption when parts are joined (Amazon S3 User Guide, "Multipart upload API and
	// permissions"). A key of AWS's own needs no permission.
	key := b.place.BucketKey
	if b.cfg.Encryption != "none" {
		key = b.cfg.KMSKey
	}
	if key != "" {
		b.key("EncryptFiles", key, "kms:Decrypt", "kms:GenerateDataKey")
	}
}

// readSchema is what is called once, at the start.
func (b *builder) readSchema() {
	if location, remote := strings.CutPrefix(b.cfg.Schema, "s3://"); remote {
		b.allow("ReadSchema", []string{"arn:" + b.place.Partition + ":s3:::" + iam.Literal(location)}, "s3:GetObject")
	}
}

// lookUpSchemas is what record/registry calls. Payloads name a version by its id alone, which may be of any registry
// and schema of the account (AWS Glue Developer Guide, "Getting started with schema registry", IAM examples for
// deserializers).
func (b *builder) lookUpSchemas() {
	if b.cfg.SchemaRegistry == "glue" {
		b.allow("LookUpSchemas", []string{"*"}, "glue:GetSchemaVersion")
	}
}

// keepCheckpoints is what checkpoint/dynamo calls. TransactWriteItems needs what the writes in it need (Amazon DynamoDB
// Developer Guide, "Using IAM with DynamoDB transactions").
func (b *builder) keepCheckpoints() {
	if b.cfg.CheckpointFile != "" {
		return
	}
	table := []string{b.table()}
	b.allow("KeepCheckpoints", table,
		"dynamodb:DeleteItem", "dynamodb:DescribeTable", "dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:Scan", "dynamodb:UpdateItem")
	b.makeTable()
}

// makeTable is for the table with point-in-time recovery, unless it is there already.
func (b *builder) makeTable() {
	if b.cfg.CheckpointCreate {
		b.allow("MakeTable", []string{b.table()}, "dynamodb:CreateTable", "dynamodb:UpdateContinuousBackups")
	}
}
