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

// policies are the tables of what the daemon's role has to be allowed, and of what settings change about it.
func policies() string {
	place := policy.Place{Region: "eu-west-1", Account: "123456789012"}
	with := func(adjust func(*consumer.Config, *policy.Place)) iam.Policy {
		cfg, p := consumer.Defaults(), place
		cfg.Stream, cfg.Bucket = "taxi-trips", "my-bucket"
		adjust(&cfg, &p)
		return policy.Daemon(&cfg, p)
	}
	base := with(func(*consumer.Config, *policy.Place) {})
	var b strings.Builder
	b.WriteString("| statement | actions | resources |\n|---|---|---|\n")
	for _, s := range base.Statement {
		fmt.Fprintf(&b, "| %s | %s | %s |\n", s.Sid, code(s.Action), code(s.Resource))
	}
	b.WriteString("\n| with | more | less |\n|---|---|---|\n")
	for _, v := range []struct {
		setting string
		adjust  func(*consumer.Config, *policy.Place)
	}{
		{"`settings.checkpointTableCreate=false`", func(c *consumer.Config, _ *policy.Place) { c.CheckpointCreate = false }},
		{"`settings.fanOutConsumer=push`", func(c *consumer.Config, _ *policy.Place) { c.FanOutConsumer = "push" }},
		{"`settings.fanOutConsumer` as an ARN", func(c *consumer.Config, _ *policy.Place) {
			c.FanOutConsumer = "arn:aws:kinesis:eu-west-1:123456789012:stream/taxi-trips/consumer/push:1767225600"
		}},
		{"`settings.schema=s3://config/trips.json`", func(c *consumer.Config, _ *policy.Place) { c.Schema = "s3://config/trips.json" }},
		{"`settings.transform=lambda:arn:aws:lambda:eu-west-1:123456789012:function:mask`", func(c *consumer.Config, _ *policy.Place) {
			c.Transform = "lambda:arn:aws:lambda:eu-west-1:123456789012:function:mask"
		}},
		{"`settings.s3Encryption=aws:kms`, `settings.s3KmsKeyId=alias/files`", func(c *consumer.Config, _ *policy.Place) {
			c.Encryption, c.KMSKey = "aws:kms", "alias/files"
		}},
		{"`settings.backupPrefix=backup/`", func(c *consumer.Config, _ *policy.Place) { c.BackupPrefix = "backup/" }},
		{"a bucket encrypted with a key of yours: `--bucket-key KEY`", func(_ *consumer.Config, p *policy.Place) { p.BucketKey = "KEY" }},
		{"a stream encrypted with a key of yours: `--stream-key KEY`", func(_ *consumer.Config, p *policy.Place) { p.StreamKey = "KEY" }},
	} {
		changed := with(v.adjust)
		var less []string
		for _, s := range beyond(base, changed) {
			less = append(less, s.Sid)
		}
		var more []string
		for _, s := range beyond(changed, base) {
			more = append(more, describe(s))
		}
		fmt.Fprintf(&b, "| %s | %s | %s |\n", v.setting, strings.Join(more, "; "), strings.Join(less, ", "))
	}
	const secret = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:db-AbCdEf"
	for _, v := range []struct {
		table, with string
		adjust      func(*consumer.Config)
	}{
		{table: "glue://lake/trips"}, {table: "s3://my-lake/trips"}, {table: "arn:aws:s3tables:eu-west-1:123456789012:bucket/my-tables/lake/trips"},
		{table: "postgres://db.example.com/lake/trips"},
		{"postgres://db.example.com/lake/trips", ", `postgres.secretArn=" + secret + "`", func(c *consumer.Config) { c.PostgresSecret = secret }},
		{"postgres://db.example.com/lake/trips", ", `settings.postgresAuth=iam`, `settings.postgresUser=loader`", func(c *consumer.Config) {
			c.PostgresAuth, c.PostgresUser = "iam", "loader"
		}},
	} {
		cfg := consumer.Defaults()
		cfg.Stream, cfg.Bucket, cfg.TableConfig.Table = "taxi-trips", "my-bucket", v.table
		if v.adjust != nil {
			v.adjust(&cfg)
		}
		loader, err := policy.Loader(&cfg, place)
		if err != nil {
			panic(err) // the tables above are sound
		}
		var more []string
		for _, s := range loader.Statement {
			if !covers(base, s) {
				more = append(more, describe(s))
			}
		}
		fmt.Fprintf(&b, "| `table.uri=%s`%s | %s | |\n", v.table, v.with, cmp.Or(strings.Join(more, "; "), "nothing"))
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
