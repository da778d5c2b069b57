// Package policy says what the daemon and its operators have to be allowed on AWS, by the settings: the least IAM policy
// under which every call is allowed that they make. Documentation, templates and tests take it from here.
//
// Which permission a call needs is by the Service Authorization Reference: "Actions, resources, and condition keys" for
// Amazon Kinesis Data Streams, Amazon DynamoDB, Amazon S3 and AWS Key Management Service.
package policy

import (
	"strings"

	"aws-streaming-pipeline/consumer"
	"aws-streaming-pipeline/internal/iam"
	"aws-streaming-pipeline/internal/streams"
	"aws-streaming-pipeline/writers/layout"
)

// Placeholders stand for what is not known of an account.
const (
	Region  = "REGION"
	Account = "ACCOUNT"
)

// Place says where the daemon runs, and what its settings do not tell of what it uses.
type Place struct {
	// Region and Account are those of the stream, the table and the keys; empty for placeholders.
	Region, Account string
	// Partition is empty for that of the region; aws if there is no region either.
	Partition string
	// StreamKey is the customer managed key with which the stream is encrypted, by ARN, id or alias; empty for none, or for
	// the key that AWS manages, which needs no permission.
	StreamKey string
	// BucketKey is the same for the bucket's default encryption. It counts unless the settings ask for an encryption.
	BucketKey string
}

// builder makes statements.
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

// partition is that of a region (AWS General Reference, "Amazon Resource Names").
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

// stream is the ARN of the stream.
func (b *builder) stream() string {
	if b.cfg.StreamARN != "" {
		return b.cfg.StreamARN
	}
	return b.arn("kinesis", "stream/"+b.cfg.Stream)
}

// fanOut is the ARN of the fan-out consumer. That of one that is yet to be registered ends with the time of that.
func (b *builder) fanOut() string {
	if streams.ConsumerID(b.cfg.FanOutConsumer).IsARN() {
		return b.cfg.FanOutConsumer
	}
	return b.stream() + "/consumer/" + b.cfg.FanOutConsumer + ":*"
}

func (b *builder) table() string { return b.arn("dynamodb", "table/"+b.cfg.Table()) }

func (b *builder) bucket() string { return "arn:" + b.place.Partition + ":s3:::" + b.cfg.Bucket }

// objects are the ARNs of all objects whose keys begin with one of the prefixes, which may have expressions.
func (b *builder) objects(prefixes ...string) []string {
	var list []string
	for _, p := range layout.Disjoint(prefixes) {
		list = append(list, b.bucket()+"/"+iam.Literal(p)+"*")
	}
	return list
}

// files are the fixed beginnings of the keys of data and error files.
func (b *builder) files() []string {
	errors := b.cfg.ErrorPrefix
	if errors == "" {
		errors = b.cfg.Prefix // under which they lie then
	}
	return []string{layout.Fixed(b.cfg.Prefix), layout.Fixed(errors)}
}

// key allows actions on a key. A policy names keys by their ids; one that is known by an alias is named by a condition
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
