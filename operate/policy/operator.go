package policy

import (
	"aws-streaming-pipeline/consumer"
	"aws-streaming-pipeline/internal/iam"
	"aws-streaming-pipeline/writers/layout"
)

// Operator is the policy of who uses the commands that come with the daemon: audit, check, checkpoint, redrive. Records
// are sent to the daemon's own stream, and positions are imported from a table named oldTable; empty for none.
func Operator(cfg *consumer.Config, p Place, oldTable string) iam.Policy {
	b := newBuilder(cfg, p)
	stream := []string{b.stream()}
	b.allow("ReadBucket", b.objects(append(b.files(), cfg.ManifestPrefix, layout.RedriveFolder)...), "s3:GetObject")
	b.allow("ListBucket", []string{b.bucket()}, "s3:ListBucket")
	// Notes of moves, and manifests of batches that are known to have been delivered.
	b.allow("WriteManifests", b.objects(cfg.ManifestPrefix), "s3:PutObject")
	b.allow("SeeUploads", b.objects(b.files()...), "s3:ListMultipartUploadParts")
	b.allow("MarkRedrives", b.objects(layout.RedriveFolder), "s3:PutObject")
	b.allow("SendRecords", stream, "kinesis:ListShards", "kinesis:PutRecord", "kinesis:PutRecords")
	if cfg.CheckpointFile == "" {
		table := []string{b.table()}
		b.allow("MovePositions", table, "dynamodb:DeleteItem", "dynamodb:DescribeTable", "dynamodb:GetItem", "dynamodb:Scan", "dynamodb:UpdateItem")
		if oldTable != "" {
			b.allow("ReadOldTable", []string{b.arn("dynamodb", "table/"+oldTable)}, "dynamodb:DescribeTable", "dynamodb:Scan")
			b.allow("ImportPositions", table, "dynamodb:PutItem")
			b.makeTable()
			b.allow("FindPositions", stream, "kinesis:DescribeStreamSummary", "kinesis:GetRecords", "kinesis:GetShardIterator")
		}
	}
	b.keys()
	return b.policy
}

// keys is what reading and writing needs where keys of the customer's encrypt.
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
