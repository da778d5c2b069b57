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
		{Name: "run", About: "deliver records until SIGTERM; the default", Run: runDaemon},
		{Name: "ddl", About: "print the Athena table of a schema, or a table in PostgreSQL", Run: printDDL},
		{Name: "schema", About: "propose a schema from samples (schema infer FILE), or fetch one from a registry (schema from-registry) or from a Glue table (schema from-table)", Run: schemaTools},
		{Name: "audit", About: "prove from the manifests and the bucket that every record was delivered once", Run: auditBucket},
		{Name: "checkpoint", About: "show the lease table, or move positions", Run: checkpoints},
		{Name: "import", About: "take over from another consumer: print the settings for a Firehose stream, or import the positions of a KCL application", Run: imports},
		{Name: "compare", About: "compare the files of another consumer of the stream with those of the daemon, record by record", Run: compareDeliveries},
		{Name: "check", About: "send a record to each shard and wait for the files that hold them", Run: checkDelivery},
		{Name: "wait", About: "wait until the data is complete up to a time, in the bucket or in a table", Run: waitUntilComplete},
		{Name: "redrive", About: "send error records back to a stream", Run: redriveErrors},
		{Name: "policy", About: "print the minimal IAM policy for the daemon with these settings, or with --operator for these commands", Run: printPolicy},
		{Name: "probe", About: "check that the daemon with these settings is alive on this host", Run: probe},
		{Name: "settings", About: "list the environment variables", Run: settings},
		{Name: "version", About: "print the version", Run: func(_ context.Context, _ []string, out io.Writer) error {
			_, err := fmt.Fprintln(out, version.String())
			return err
		}},
	},
}

func main() { program.Main() }
