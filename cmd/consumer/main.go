// Command consumer is the daemon that delivers a Kinesis stream to large files in S3, every record exactly once.
//
// It is configured by environment variables; "consumer settings" lists them.
package main

import (
	"github.com/spf13/cobra"

	"aws-streaming-pipeline/internal/command"
)

func main() { command.Main(root()) }

// root returns the program's commands. Without a command it runs the daemon.
func root() *cobra.Command {
	run := runCommand()
	root := &cobra.Command{
		Use:   "consumer",
		Short: "deliver a Kinesis stream to large files in S3",
		Long:  "Delivers a Kinesis stream to large files in S3, every record exactly once.\n\nWithout a command it runs the daemon: \"consumer\" is \"consumer run\".",
		RunE:  run.RunE,
		Annotations: map[string]string{command.Environment: "The settings are environment variables: \"consumer settings\" lists them. AWS credentials, region and endpoints " +
			"come from the standard variables (AWS_REGION, AWS_PROFILE, AWS_ENDPOINT_URL_S3, ...)."},
	}
	command.Group(root, "Deliver", run, probeCommand())
	command.Group(root, "Before you start",
		settingsCommand(),
		command.Old("policy", "print the minimal IAM policy for the daemon with these settings, or with --operator for these commands", printPolicy),
		command.Old("schema", "propose a schema from samples (schema infer FILE), or fetch one from a registry (schema from-registry) or from a Glue table (schema from-table)", schemaTools),
		command.Old("ddl", "print the Athena table of a schema, or a table in PostgreSQL", printDDL),
		command.Old("import", "take over from another consumer: print the settings for a Firehose stream, or import the positions of a KCL application", imports),
	)
	command.Group(root, "Check what was delivered",
		command.Old("check", "send a record to each shard and wait for the files that hold them", checkDelivery),
		command.Old("wait", "wait until the data is complete up to a time, in the bucket or in a table", waitUntilComplete),
		command.Old("audit", "prove from the manifests and the bucket that every record was delivered once", auditBucket),
		command.Old("compare", "compare the files of another consumer of the stream with those of the daemon, record by record", compareDeliveries),
	)
	command.Group(root, "Look at positions, move them, deliver again",
		command.Old("checkpoint", "show the lease table, or move positions", checkpoints),
		command.Old("redrive", "send error records back to a stream", redriveErrors),
	)
	return root
}
