// Command loader loads the files that the daemon has delivered into the table that the setting TABLE names, every batch exactly
// once, and takes care of that table.
//
// It reads the daemon's settings; "consumer settings" lists them. It is a program of its own because its libraries are many times
// as large as the daemon.
package main

import (
	"github.com/spf13/cobra"

	"aws-streaming-pipeline/internal/command"
)

func main() { command.Main(root()) }

// root returns the program's commands. Without a command it runs the loader.
func root() *cobra.Command {
	run := runCommand()
	root := &cobra.Command{
		Use:   "loader",
		Short: "load the files that the daemon has delivered into tables",
		Long: "Loads the files that the daemon has delivered into the tables that TABLE names, every batch exactly once.\n\n" +
			"Without a command it runs the loader: \"loader\" is \"loader run\".",
		RunE: run.RunE,
		Annotations: map[string]string{command.Environment: "The settings are the daemon's: \"consumer settings\" lists them. AWS credentials, region and " +
			"endpoints come from the standard variables (AWS_REGION, AWS_PROFILE, AWS_ENDPOINT_URL_S3, ...)."},
	}
	command.Group(root, "Load", run)
	command.Group(root, "Before you start", validateCommand())
	command.Group(root, "Check what was loaded", auditCommand())
	command.Group(root, "Take care of an Iceberg table",
		compactCommand(),
		expireCommand(),
		orphansCommand(),
	)
	command.Group(root, "Mend",
		reloadCommand(),
		rebindCommand(),
	)
	return root
}
