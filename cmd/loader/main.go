// Command loader loads the files that the daemon has delivered into the table that the setting TABLE names, every batch exactly
// once, and takes care of that table.
//
// It reads the daemon's settings; "consumer settings" lists them. It is a program of its own because its libraries are many times
// as large as the daemon.
package main

import (
	"context"
	"fmt"
	"io"

	"aws-streaming-pipeline/internal/command"
	"aws-streaming-pipeline/internal/version"
)

var program = command.Program{
	Name:  "loader",
	About: "Loads the files that the daemon has delivered into the tables that TABLE names, every batch exactly once.",
	Environment: "The settings are the daemon's: \"consumer settings\" lists them. AWS credentials, region and endpoints come from the standard\n" +
		"variables (AWS_REGION, AWS_PROFILE, AWS_ENDPOINT_URL_S3, ...).",
	Commands: []command.Command{
		{Name: "run", About: "load batches until SIGTERM; the default", Run: runLoader},
		{Name: "audit", About: "prove that what was delivered is in the table exactly once", Run: auditTable},
		{Name: "compact", About: "Iceberg: merge the small files of quiet partitions", Run: compactTable},
		{Name: "expire", About: "Iceberg: expire snapshots", Run: expireSnapshots},
		{Name: "orphans", About: "Iceberg: find and remove files that no snapshot needs", Run: removeOrphans},
		{Name: "reload", About: "load again what a rollback or a restored backup took out of the table", Run: reloadBatches},
		{Name: "rebind", About: "accept a table that was dropped and created again under the same name", Run: rebindTable},
		{Name: "version", About: "print the version", Run: func(_ context.Context, _ []string, out io.Writer) error {
			_, err := fmt.Fprintln(out, version.String())
			return err
		}},
	},
}

func main() { program.Main() }
