package policy

import (
	"aws-streaming-pipeline/consumer"
	"aws-streaming-pipeline/internal/iam"
)

// Producer returns the policy of the producer, or of any program that sends to the stream with PutRecords. The
// producer lists the shards to keep within the limits of each; with --pace=false it needs no ListShards.
func Producer(cfg *consumer.Config, p Place) iam.Policy {
	b := newBuilder(cfg, p)
	b.allow("SendRecords", []string{b.stream()}, "kinesis:ListShards", "kinesis:PutRecords")
	// Amazon Kinesis Data Streams Developer Guide, "Permissions to use user-generated KMS keys".
	if b.place.StreamKey != "" {
		b.key("EncryptRecords", b.place.StreamKey, "kms:GenerateDataKey")
	}
	return b.policy
}
