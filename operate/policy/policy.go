// Package policy derives the least-privilege IAM policies of the daemon and its operators from the settings.
// Documentation, templates and tests use them.
//
// The permission that each call needs comes from the Service Authorization Reference: "Actions, resources, and condition
// keys" for Amazon Kinesis Data Streams, Amazon DynamoDB, Amazon S3, AWS Lambda and AWS Key Management Service.
package policy

import (
	"strings"

	"aws-streaming-pipeline/consumer"
	"aws-streaming-pipeline/internal/iam"
	"aws-streaming-pipeline/internal/streams"
	"aws-streaming-pipeline/writers/layout"
)

// Placeholders for an unknown region and account.
const (
	Region  = "REGION"
	Account = "ACCOUNT"
)

// Place says where the daemon runs, and which keys encrypt what it uses: facts that its settings do not hold.
type Place struct {
	// Region and Account are those of the stream, the table and the keys; if empty, placeholders are used.
	Region, Account string
	// Partition defaults to the partition of Region, or aws if Region is empty too.
	Partition string
	// StreamKey is the customer managed key that encrypts the stream: ARN, id or alias. It is empty if the stream is not
	// encrypted or uses the AWS managed key, which needs no permission.
	StreamKey string
	// BucketKey is the same for the bucket's default encryption. The encryption settings, if any, take precedence over
	// it.
	BucketKey string
}

// builder assembles a policy from statements.
type builder struct {
	cfg    *consumer.Config
	place  Place
	policy iam.Policy
}

func newBuilder(cfg *consumer.Config, p Place) *builder {
	if p.Partition == "" {
		p.Partition = partition(p.Region)
	}
	if p.Region == "" {
		p.Region = Region
	}
	if p.Account == "" {
		p.Account = Account
	}
	return &builder{cfg: cfg, place: p, policy: iam.Policy{Version: iam.Version}}
}

// partition returns the partition of a region (AWS General Reference, "Amazon Resource Names").
func partition(region string) string {
	switch {
	case strings.HasPrefix(region, "cn-"):
		return "aws-cn"
	case strings.HasPrefix(region, "us-gov-"):
		return "aws-us-gov"
	}
	return "aws"
}

func (b *builder) allow(sid string, resources []string, actions ...string) {
	b.policy.Statement = append(b.policy.Statement, iam.Statement{Sid: sid, Effect: iam.Allow, Action: actions, Resource: resources})
}

func (b *builder) arn(service, resource string) string {
	return strings.Join([]string{"arn", b.place.Partition, service, b.place.Region, b.place.Account, resource}, ":")
}

// stream returns the ARN of the stream.
func (b *builder) stream() string {
	if b.cfg.StreamARN != "" {
		return b.cfg.StreamARN
	}
	return b.arn("kinesis", "stream/"+b.cfg.Stream)
}

// fanOut returns the ARN of the fan-out consumer, with a wildcard for the creation time if only its name is known.
func (b *builder) fanOut() string {
	if streams.ConsumerID(b.cfg.FanOutConsumer).IsARN() {
		return b.cfg.FanOutConsumer
	}
	return b.stream() + "/consumer/" + b.cfg.FanOutConsumer + ":*"
}

// table is the ARN of a table, which may be named by it.
func (b *builder) table(name string) string {
	if strings.Contains(name, ":table/") {
		return name
	}
	return b.arn("dynamodb", "table/"+name)
}

func (b *builder) bucket() string { return "arn:" + b.place.Partition + ":s3:::" + b.cfg.Bucket }

// objects returns ARN patterns for all objects whose keys begin with one of the prefixes, which may contain expressions.
func (b *builder) objects(prefixes ...string) []string {
	var list []string
	for _, p := range layout.Disjoint(prefixes) {
		list = append(list, b.bucket()+"/"+iam.Literal(p)+"*")
	}
	return list
}

// files returns the fixed beginnings of the keys of data, error and backup files.
func (b *builder) files() []string {
	errors := b.cfg.ErrorPrefix
	if errors == "" {
		errors = b.cfg.Prefix // error files are stored under it by default
	}
	prefixes := []string{layout.Fixed(b.cfg.Prefix), layout.Fixed(errors)}
	if b.cfg.BackupPrefix != "" {
		prefixes = append(prefixes, layout.Fixed(b.cfg.BackupPrefix))
	}
	return prefixes
}

// key allows actions on a KMS key. A policy names keys by id; a key known only by its alias is matched by a condition
// (AWS KMS Developer Guide, "Use aliases to control access to KMS keys").
func (b *builder) key(sid, name string, actions ...string) {
	site := iam.Site{Partition: b.place.Partition, Region: b.place.Region, Account: b.place.Account}
	need := site.Key("", name)
	s := iam.Statement{Sid: sid, Effect: iam.Allow, Action: actions, Resource: iam.Texts{need.Resource}}
	if aliases := need.Context["kms:ResourceAliases"]; aliases != nil {
		s.Resource = iam.Texts{strings.TrimSuffix(need.Resource, "of-the-alias") + "*"}
		s.Condition = map[string]map[string]iam.Texts{"ForAnyValue:StringEquals": {"kms:ResourceAliases": aliases}}
	}
	b.policy.Statement = append(b.policy.Statement, s)
}
