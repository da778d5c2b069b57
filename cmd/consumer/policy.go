package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	"github.com/spf13/cobra"

	"aws-streaming-pipeline/internal/command"
	"aws-streaming-pipeline/internal/iam"
	"aws-streaming-pipeline/operate/compare"
	"aws-streaming-pipeline/operate/policy"
)

func policyCommand() *cobra.Command {
	var o policyOptions
	cmd := &cobra.Command{
		Use: "policy", Short: "print the minimal IAM policy for the daemon with these settings, or for these commands",
		Long: `Prints the minimal IAM policy for the settings in the environment: it allows the calls that the daemon makes with them, on
the resources that they name, and nothing else. --operator prints the policy for the commands audit, check, checkpoint,
compare, import, redrive and route instead, with TABLE also for the loader's commands; --loader prints that of the loader, which needs
TABLE; --producer prints that of the producer. The command makes no AWS calls. Unknown values appear as REGION and ACCOUNT in the policy.

After a change of BUCKET, PREFIX, ERROR_PREFIX, BACKUP_PREFIX, MANIFEST_PREFIX or S3_KMS_KEY_ID keep the old permissions, too, until all
workers have the new settings and the outbox is empty: a batch is published where it was started.`,
		Example: "STREAM_NAME=trips BUCKET=my-bucket consumer policy --account 123456789012 --region eu-west-1\nconsumer policy --operator",
		RunE:    func(cmd *cobra.Command, _ []string) error { return printPolicy(cmd, o) },
	}
	f := cmd.Flags()
	f.StringVar(&o.place.Account, "account", "", "`id` of the account that owns the stream, table and keys; default: the placeholder ACCOUNT")
	f.StringVar(&o.place.Region, "region", "", "`name` of the region; default: AWS_REGION, the profile's region, or the placeholder REGION")
	f.StringVar(&o.place.Partition, "partition", "", "`name` of the partition; default: that of the region, or aws without a region")
	f.StringVar(&o.place.StreamKey, "stream-key", "", "customer managed KMS `key` (ARN, id or alias) that encrypts the stream")
	f.StringVar(&o.place.BucketKey, "bucket-key", "", "customer managed KMS `key` of the bucket's default encryption")
	f.BoolVar(&o.operator, "operator", false, "print the policy for the operators' commands")
	f.BoolVar(&o.loader, "loader", false, "print the policy for the loader, which shares the daemon's role where both run in one pod or task")
	f.BoolVar(&o.producer, "producer", false, "print the policy for the producer, or any program that sends with PutRecords")
	f.StringVar(&o.from.KCLTable, "import-table", "", "with --operator: `name` of the table that import kcl reads")
	f.StringVar(&o.from.Firehose, "import-firehose", "", "with --operator: `name` of the stream that import firehose reads")
	f.StringVar(&o.from.GlueTable, "import-glue-table", "", "with --operator: `database.table` that import firehose --glue-schema reads")
	f.BoolVar(&o.from.Manifests, "restore", false, "with --operator: allow checkpoint restore, too")
	f.StringVar(&o.theirs, "theirs", "", "with --operator: `URL` of the files of another consumer that compare reads: s3://bucket/prefix/")
	return cmd
}

// policyOptions are the flags of policy.
type policyOptions struct {
	place            policy.Place
	operator, loader bool
	producer         bool
	from             policy.Imports
	theirs           string
}

func (o policyOptions) check() error {
	if o.operator && o.loader || o.operator && o.producer || o.loader && o.producer {
		return command.Usagef("--operator, --loader and --producer: want one of them")
	}
	for name, value := range map[string]string{
		"--import-table": o.from.KCLTable, "--import-firehose": o.from.Firehose, "--import-glue-table": o.from.GlueTable, "--theirs": o.theirs,
	} {
		if value != "" && !o.operator {
			return command.Usagef("%s=%q: want --operator as well", name, value)
		}
	}
	if o.from.Manifests && !o.operator {
		return command.Usagef("--restore: want --operator as well")
	}
	if o.from.GlueTable != "" && strings.Count(o.from.GlueTable, ".") != 1 {
		return command.Usagef("--import-glue-table=%q: want database.table", o.from.GlueTable)
	}
	return nil
}

func printPolicy(cmd *cobra.Command, o policyOptions) error {
	if err := o.check(); err != nil {
		return err
	}
	cfg, err := loadSettings()
	if err != nil {
		return err
	}
	if o.loader && cfg.TableConfig.Table == "" {
		return command.Undone(errors.New("--loader: want TABLE, which names the table to load"))
	}
	place := o.place
	if place.Region == "" {
		account, err := awsconfig.LoadDefaultConfig(cmd.Context())
		if err != nil {
			return fmt.Errorf("load AWS configuration: %w", err)
		}
		place.Region = account.Region
	}
	var p iam.Policy
	switch {
	case o.operator:
		p = policy.Operator(&cfg, place, o.from)
		if o.theirs != "" {
			bucket, prefix, err := compare.ParseURL(o.theirs)
			if err != nil {
				return command.Usagef("--theirs=%w", err)
			}
			p = policy.WithTheirs(p, place, bucket, prefix)
		}
	case o.producer:
		p = policy.Producer(&cfg, place)
	case o.loader:
		if p, err = policy.Loader(&cfg, place); err != nil {
			return err
		}
	default:
		p = policy.Daemon(&cfg, place)
	}
	document, err := json.MarshalIndent(p, "", "  ")
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintf(cmd.OutOrStdout(), "%s\n", document); err != nil {
		return err
	}
	for placeholder, flag := range map[string]string{policy.Region: "--region", policy.Account: "--account"} {
		if strings.Contains(string(document), ":"+placeholder+":") {
			fmt.Fprintf(cmd.ErrOrStderr(), "%s is a placeholder: set %s, or replace it in the policy\n", placeholder, flag)
		}
	}
	if strings.Contains(string(document), ":dbuser:*/") {
		fmt.Fprintln(cmd.ErrOrStderr(), "dbuser:*/ allows all databases of the account and region that have such a user: put the resource id of yours, such as db-ABCDEFGHIJKL01234, in place of the *")
	}
	return nil
}
