// Command consumer is the daemon that delivers a Kinesis stream to large files in S3, every record exactly once.
//
// It is configured by environment variables; "consumer settings" lists them.
package main

import (
	"context"
	"fmt"
	"io"

	"aws-streaming-pipeline/internal/command"
	"aws-streaming-pipeline/internal/version"
)

var program = command.Program{
	Name: "consumer", About: "Delivers a Kinesis stream to large files in S3, every record exactly once.",
	Environment: "AWS credentials, region and endpoints come from the standard variables (AWS_REGION, AWS_PROFILE, AWS_ENDPOINT_URL_S3, ...).",
	Commands: []command.Command{
		{"run", "deliver records until SIGTERM; the default", runDaemon},
		{"ddl", "print the Athena table of a schema", printDDL},
		{"schema", "propose a schema from samples (schema infer FILE), or fetch one from a registry (schema from-registry)", schemaTools},
		{"audit", "prove from the manifests and the bucket that every record was delivered once", auditBucket},
		{"checkpoint", "show the lease table, move positions, or import them from another consumer", checkpoints},
		{"check", "send a record to each shard and wait for the files that hold them", checkDelivery},
		{"redrive", "send error records back to a stream", redriveErrors},
		{"policy", "print the minimal IAM policy for the daemon with these settings, or with --operator for these commands", printPolicy},
		{"probe", "check that the daemon with these settings is alive on this host", probe},
		{"settings", "list the environment variables", settings},
		{"version", "print the version", func(_ context.Context, _ []string, out io.Writer) error {
			_, err := fmt.Fprintln(out, version.String())
			return err
		}},
	},
}

func main() { program.Main() }
