package main

import (
	"context"

	"github.com/KimMachineGun/automemlimit/memlimit"
	"github.com/spf13/cobra"

	"aws-streaming-pipeline/consumer"
	"aws-streaming-pipeline/operate/validate"
)

const validateUsage = `Tries everything that the daemon needs with these settings, and says in one line each what was found and what to do: the settings,
region and credentials, the stream (a read of a shard), the table of checkpoints, the bucket (an upload under each prefix, which is
aborted), the schema, the schema registry, transforms, the spool, memory, and the address of the status page.

It leaves nothing behind: it takes no lease, creates no table, and writes no object. It needs no permission that the daemon does not
have, so run it where the daemon will run, with its role. See docs/validate.md.

Exit code: 0 everything works, 1 something does not, 2 the settings or the region are wrong, so the rest could not be checked.`

func validateCommand() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use: "validate", Short: "try what the daemon needs with these settings, and say what is missing", Long: validateUsage,
		Example: "STREAM_NAME=trips BUCKET=my-bucket consumer validate\nconsumer validate --json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx := cmd.Context()
			return validate.Print(ctx, cmd.OutOrStdout(), asJSON, "consumer", validate.Daemon(toValidate(ctx)))
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print the report as JSON")
	return c
}

// toValidate is what there is to look at.
func toValidate(ctx context.Context) (c validate.Config) {
	if c.Settings, c.Faults = consumer.LoadConfig(); c.Faults == nil { // faults name what may be misspelt themselves
		c.Warnings = c.Settings.Warnings()
	}
	c.Account, c.AccountErr = loadAccount(ctx)
	container, err := memlimit.FromCgroup()
	if err != nil {
		container = 0 // no limit, or none that this system reports
	}
	c.Container = container
	_, c.Short = memoryLimit(int64(c.Settings.MemoryBudget), container)
	return c
}
