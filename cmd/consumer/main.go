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
		validateCommand(),
		routeCommand(),
		policyCommand(),
		schemaCommand(),
		ddlCommand(),
		importCommand(),
	)
	command.Group(root, "Check what was delivered",
		checkCommand(),
		waitCommand(),
		auditCommand(),
		compareCommand(),
	)
	command.Group(root, "Look at positions, move them, deliver again",
		checkpointCommand(),
		redriveCommand(),
	)
	return root
}
