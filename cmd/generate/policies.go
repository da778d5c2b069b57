package main

import (
	"cmp"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"aws-streaming-pipeline/consumer"
	"aws-streaming-pipeline/internal/iam"
	"aws-streaming-pipeline/operate/policy"
)

// place is where the examples of policies are.
var place = policy.Place{Region: "eu-west-1", Account: "123456789012"}

// variant is a change of the settings that changes a policy: as values of the chart, and as variables.
type variant struct {
	values, variables string
	adjust            func(*consumer.Config, *policy.Place)
}

const exampleSecret = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:db-AbCdEf"

// daemonVariants change what the daemon is allowed.
var daemonVariants = []variant{
	{"`settings.checkpointTableCreate=false`", "`CHECKPOINT_TABLE_CREATE=false`", func(c *consumer.Config, _ *policy.Place) { c.CheckpointCreate = false }},
	{"`settings.fanOutConsumer=push`", "`FAN_OUT_CONSUMER=push`", func(c *consumer.Config, _ *policy.Place) { c.FanOutConsumer = "push" }},
	{"`settings.fanOutConsumer` as an ARN", "`FAN_OUT_CONSUMER` as an ARN", func(c *consumer.Config, _ *policy.Place) {
		c.FanOutConsumer = "arn:aws:kinesis:eu-west-1:123456789012:stream/taxi-trips/consumer/push:1767225600"
	}},
	{"`settings.schema=s3://config/trips.json`", "`SCHEMA=s3://config/trips.json`", func(c *consumer.Config, _ *policy.Place) { c.Schema = "s3://config/trips.json" }},
	{"", "`SCHEMA=glue://lake/trips`", func(c *consumer.Config, _ *policy.Place) { c.Schema = "glue://lake/trips" }},
	{"", "`SCHEMA_REGISTRY=glue`", func(c *consumer.Config, _ *policy.Place) { c.SchemaRegistry = "glue" }},
	{"`settings.transform=lambda:arn:aws:lambda:eu-west-1:123456789012:function:mask`", "`TRANSFORM=lambda:arn:aws:lambda:eu-west-1:123456789012:function:mask`",
		func(c *consumer.Config, _ *policy.Place) {
			c.Transform = "lambda:arn:aws:lambda:eu-west-1:123456789012:function:mask"
		}},
	{"`settings.s3Encryption=aws:kms`, `settings.s3KmsKeyId=alias/files`", "`S3_ENCRYPTION=aws:kms`, `S3_KMS_KEY_ID=alias/files`", func(c *consumer.Config, _ *policy.Place) {
		c.Encryption, c.KMSKey = "aws:kms", "alias/files"
	}},
	{"`settings.backupPrefix=backup/`", "`BACKUP_PREFIX=backup/`", func(c *consumer.Config, _ *policy.Place) { c.BackupPrefix = "backup/" }},
	{"", "`COMPLETE_PREFIX=complete/`", func(c *consumer.Config, _ *policy.Place) { c.CompletePrefix = "complete/" }},
	{"", "`CLOUDWATCH_NAMESPACE=Pipeline`", func(c *consumer.Config, _ *policy.Place) { c.CloudWatch = "Pipeline" }},
	{"a bucket encrypted with a key of yours: `--bucket-key KEY`", "a bucket encrypted with a key of yours: `--bucket-key KEY`", func(_ *consumer.Config, p *policy.Place) { p.BucketKey = "KEY" }},
	{"a stream encrypted with a key of yours: `--stream-key KEY`", "a stream encrypted with a key of yours: `--stream-key KEY`", func(_ *consumer.Config, p *policy.Place) { p.StreamKey = "KEY" }},
}

// loaderVariants are the tables that a loader may be given.
var loaderVariants = []variant{
	{"`table.uri=glue://lake/trips`", "`TABLE=glue://lake/trips`", func(c *consumer.Config, _ *policy.Place) { c.TableConfig.Table = "glue://lake/trips" }},
	{"`table.uri=s3://my-lake/trips`", "`TABLE=s3://my-lake/trips`", func(c *consumer.Config, _ *policy.Place) { c.TableConfig.Table = "s3://my-lake/trips" }},
	{"`table.uri=arn:aws:s3tables:eu-west-1:123456789012:bucket/my-tables/lake/trips`", "`TABLE=arn:aws:s3tables:eu-west-1:123456789012:bucket/my-tables/lake/trips`",
		func(c *consumer.Config, _ *policy.Place) {
			c.TableConfig.Table = "arn:aws:s3tables:eu-west-1:123456789012:bucket/my-tables/lake/trips"
		}},
	{"`table.uri=postgres://db.example.com/lake/trips`", "`TABLE=postgres://db.example.com/lake/trips`", func(c *consumer.Config, _ *policy.Place) { c.TableConfig.Table = inPostgres }},
	{"`table.uri=postgres://db.example.com/lake/trips`, `postgres.secretArn=" + exampleSecret + "`", "`TABLE=postgres://db.example.com/lake/trips`, `POSTGRES_SECRET_ARN=" + exampleSecret + "`",
		func(c *consumer.Config, _ *policy.Place) {
			c.TableConfig.Table, c.PostgresSecret = inPostgres, exampleSecret
		}},
	{"`table.uri=postgres://db.example.com/lake/trips`, `settings.postgresAuth=iam`, `settings.postgresUser=loader`", "`TABLE=postgres://db.example.com/lake/trips`, `POSTGRES_AUTH=iam`, `POSTGRES_USER=loader`",
		func(c *consumer.Config, _ *policy.Place) {
			c.TableConfig.Table, c.PostgresAuth, c.PostgresUser = inPostgres, "iam", "loader"
		}},
}

const inPostgres = "postgres://db.example.com/lake/trips"

// example returns settings with a stream and a bucket, and what a variant changes.
func example(adjust func(*consumer.Config, *policy.Place)) (*consumer.Config, policy.Place) {
	cfg, p := consumer.Defaults(), place
	cfg.Stream, cfg.Bucket = "taxi-trips", "my-bucket"
	if adjust != nil {
		adjust(&cfg, &p)
	}
	return &cfg, p
}

// policies are the tables of what the daemon's role has to be allowed, and of what values of the chart change about it.
func policies() string {
	base := policy.Daemon(example(nil))
	var b strings.Builder
	b.WriteString("| statement | actions | resources |\n|---|---|---|\n")
	for _, s := range base.Statement {
		fmt.Fprintf(&b, "| %s | %s | %s |\n", s.Sid, code(s.Action), code(s.Resource))
	}
	b.WriteString("\n" + changes(func(v variant) string { return v.values }))
	return b.String()
}

// changes is the table of what variants change about the daemon's policy. Variants without a name are left out.
func changes(name func(variant) string) string {
	var b strings.Builder
	base := policy.Daemon(example(nil))
	b.WriteString("| with | more | less |\n|---|---|---|\n")
	for _, v := range daemonVariants {
		if name(v) == "" {
			continue
		}
		changed := policy.Daemon(example(v.adjust))
		var less []string
		for _, s := range beyond(base, changed) {
			less = append(less, s.Sid)
		}
		var more []string
		for _, s := range beyond(changed, base) {
			more = append(more, describe(s))
		}
		if len(more)+len(less) == 0 {
			more = []string{"nothing"}
		}
		fmt.Fprintf(&b, "| %s | %s | %s |\n", name(v), strings.Join(more, "; "), strings.Join(less, ", "))
	}
	for _, v := range loaderVariants {
		loader, err := policy.Loader(example(v.adjust))
		if err != nil {
			panic(err) // the tables above are sound
		}
		var more []string
		for _, s := range loader.Statement {
			if !covers(base, s) {
				more = append(more, describe(s))
			}
		}
		fmt.Fprintf(&b, "| %s | %s | |\n", name(v), cmp.Or(strings.Join(more, "; "), "nothing"))
	}
	return b.String()
}

// covers reports whether a policy allows all that a statement allows.
func covers(p iam.Policy, s iam.Statement) bool {
	for _, action := range s.Action {
		for _, resource := range s.Resource {
			if !p.Allows(iam.Need{Action: action, Resource: strings.ReplaceAll(resource, "*", "anything")}) {
				return false
			}
		}
	}
	return true
}

// beyond returns the statements of a policy that another has not.
func beyond(p, other iam.Policy) []iam.Statement {
	return slices.DeleteFunc(slices.Clone(p.Statement), func(s iam.Statement) bool {
		return slices.ContainsFunc(other.Statement, func(o iam.Statement) bool { return reflect.DeepEqual(s, o) })
	})
}

func describe(s iam.Statement) string {
	text := fmt.Sprintf("%s: %s on %s", s.Sid, code(s.Action), code(s.Resource))
	joined := " where"
	for _, keys := range s.Condition {
		for _, key := range slices.Sorted(maps.Keys(keys)) {
			text += fmt.Sprintf("%s `%s` is %s", joined, key, code(keys[key]))
			joined = " and"
		}
	}
	return text
}

func code(texts []string) string { return "`" + strings.Join(texts, "` `") + "`" }
