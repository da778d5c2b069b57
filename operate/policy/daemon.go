package policy

import (
	"cmp"
	"strings"

	"aws-streaming-pipeline/consumer"
	"aws-streaming-pipeline/internal/iam"
	"aws-streaming-pipeline/internal/streams"
	"aws-streaming-pipeline/record/catalog"
	"aws-streaming-pipeline/writers/layout"
)

// Daemon returns the policy of the daemon for valid settings.
func Daemon(cfg *consumer.Config, p Place) iam.Policy {
	b := newBuilder(cfg, p)
	b.readStream()
	b.writeFiles()
	b.stateCompleteness()
	b.readSchema()
	b.lookUpSchemas()
	b.callFunction()
	b.keepCheckpoints()
	return b.policy
}

// readStream allows the calls of consumer/shardmap and consumer/source.
func (b *builder) readStream() {
	stream := []string{b.stream()}
	b.allow("FindShards", stream, "kinesis:DescribeStreamSummary", "kinesis:ListShards")
	switch {
	case b.cfg.FanOutConsumer == "":
		b.allow("ReadShards", stream, "kinesis:GetRecords", "kinesis:GetShardIterator")
	case streams.ConsumerID(b.cfg.FanOutConsumer).IsARN():
		b.allow("SubscribeToShards", []string{b.fanOut()}, "kinesis:SubscribeToShard")
	default: // looked up by name, and registered if missing
		b.allow("SubscribeToShards", []string{b.fanOut()}, "kinesis:DescribeStreamConsumer", "kinesis:SubscribeToShard")
		b.allow("RegisterConsumer", stream, "kinesis:RegisterStreamConsumer")
	}
	// Amazon Kinesis Data Streams Developer Guide, "Permissions to use user-generated KMS keys".
	if b.place.StreamKey != "" {
		b.key("DecryptStream", b.place.StreamKey, "kms:Decrypt")
	}
}

// writeFiles allows the calls of writers/s3sink. Multipart uploads need PutObject, except to abort an upload and to list
// its parts. HeadObject, which recognises files and manifests published earlier, needs GetObject. HeadBucket needs
// ListBucket, and so does HeadObject to answer "not found" rather than "forbidden".
func (b *builder) writeFiles() {
	b.allow("WriteFiles", b.objects(b.files()...),
		"s3:AbortMultipartUpload", "s3:GetObject", "s3:ListMultipartUploadParts", "s3:PutObject")
	b.allow("WriteManifests", b.objects(b.cfg.ManifestPrefix), "s3:GetObject", "s3:PutObject")
	// File lists of batches with more files than an item of the table holds.
	b.allow("KeepLists", b.objects(layout.OutboxFolder(b.cfg.ManifestPrefix)), "s3:DeleteObject", "s3:GetObject", "s3:PutObject")
	b.allow("SeeBucket", []string{b.bucket()}, "s3:ListBucket")
	b.encryptFiles()
}

// stateCompleteness allows the calls of the announcer in package consumer. Markers are among the files.
func (b *builder) stateCompleteness() {
	if b.cfg.CompletePrefix != "" {
		key := layout.StatementKey(b.cfg.CompletePrefix, b.cfg.Application)
		b.allow("StateCompleteness", []string{b.bucket() + "/" + iam.Literal(key)}, "s3:GetObject", "s3:PutObject")
	}
}

// encryptFiles allows what writing objects to the bucket and reading them needs: a data key for each object, and joining parts
// needs it decrypted (Amazon S3 User Guide, "Multipart upload API and permissions"). AWS managed keys need no permission.
func (b *builder) encryptFiles() {
	key := b.place.BucketKey
	if b.cfg.Encryption != "none" {
		key = b.cfg.KMSKey
	}
	if key != "" {
		b.key("EncryptFiles", key, "kms:Decrypt", "kms:GenerateDataKey")
	}
}

// readSchema allows the read of the schema at the start.
func (b *builder) readSchema() {
	if location, remote := strings.CutPrefix(b.cfg.Schema, "s3://"); remote {
		b.allow("ReadSchema", []string{"arn:" + b.place.Partition + ":s3:::" + iam.Literal(location)}, "s3:GetObject")
	}
	if source, err := catalog.ParseSource(b.cfg.Schema); err == nil {
		action := "glue:GetTable"
		if source.Version != "" {
			action = "glue:GetTableVersion"
		}
		b.allow("ReadSchemaTable", b.glueTable(source), action)
	}
}

// glueTable names a table, its database and the catalog, all of which a call on a table needs (AWS Glue Developer Guide, "Specifying AWS
// Glue resource ARNs").
func (b *builder) glueTable(s catalog.Source) []string {
	at := *b
	at.place.Region, at.place.Account = cmp.Or(s.Region, b.place.Region), cmp.Or(s.Catalog, b.place.Account)
	database, table := iam.Literal(s.Database), iam.Literal(s.Table)
	return []string{at.arn("glue", "catalog"), at.arn("glue", "database/"+database), at.arn("glue", "table/"+database+"/"+table)}
}

// lookUpSchemas allows the calls of record/registry. Payloads name a schema version only by its id, which may belong to
// any registry and schema of the account (AWS Glue Developer Guide, "Getting started with schema registry", IAM examples
// for deserializers).
func (b *builder) lookUpSchemas() {
	if b.cfg.SchemaRegistry == "glue" {
		b.allow("LookUpSchemas", []string{"*"}, "glue:GetSchemaVersion")
	}
}

// callFunction allows the calls of consumer/transform/function. A version or an alias is a resource of its own ("Actions,
// resources, and condition keys for AWS Lambda", InvokeFunction).
func (b *builder) callFunction() {
	if arn, ok := b.cfg.Function(); ok {
		b.allow("TransformRecords", []string{arn.String()}, "lambda:InvokeFunction")
	}
}

// keepCheckpoints allows the calls of checkpoint/dynamo. TransactWriteItems needs the permissions of the writes in it
// (Amazon DynamoDB Developer Guide, "Using IAM with DynamoDB transactions").
func (b *builder) keepCheckpoints() {
	if b.cfg.CheckpointFile != "" {
		return
	}
	table := []string{b.table(b.cfg.Table())}
	b.allow("KeepCheckpoints", table,
		"dynamodb:DeleteItem", "dynamodb:DescribeTable", "dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:Scan", "dynamodb:UpdateItem")
	b.makeTable()
}

// makeTable allows creating the table, with point-in-time recovery, if it does not exist.
func (b *builder) makeTable() {
	if b.cfg.CheckpointCreate {
		b.allow("MakeTable", []string{b.table(b.cfg.Table())}, "dynamodb:CreateTable", "dynamodb:UpdateContinuousBackups")
	}
}
