package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	awsconfig "github.com/aws/aws-sdk-go-v2/config"

	"aws-streaming-pipeline/consumer"
	"aws-streaming-pipeline/internal/command"
	"aws-streaming-pipeline/internal/iam"
	"aws-streaming-pipeline/operate/compare"
	"aws-streaming-pipeline/operate/policy"
)

const policyUsage = `policy [--account ID] [--region NAME] [--stream-key KEY] [--bucket-key KEY] [--operator | --loader] ...

Prints the minimal IAM policy for the settings in the environment: it allows the calls that the daemon makes with them, on
the resources that they name, and nothing else. --operator prints the policy for the commands audit, check, checkpoint,
compare, import and redrive instead, with TABLE also for the loader's commands; --loader prints that of the loader, which needs TABLE. The command makes no AWS calls. Unknown values appear as REGION and ACCOUNT in the policy.

After a change of BUCKET, PREFIX, ERROR_PREFIX, BACKUP_PREFIX, MANIFEST_PREFIX or S3_KMS_KEY_ID keep the old permissions, too, until all
workers have the new settings and the outbox is empty: a batch is published where it was started.`

func printPolicy(ctx context.Context, args []string, out io.Writer) error {
	var place policy.Place
	f := newFlags("policy", policyUsage, out)
	f.StringVar(&place.Account, "account", "", "`id` of the account that owns the stream, table and keys; default: the placeholder ACCOUNT")
	f.StringVar(&place.Region, "region", "", "`name` of the region; default: AWS_REGION, the profile's region, or the placeholder REGION")
	f.StringVar(&place.Partition, "partition", "", "`name` of the partition; default: that of the region, or aws without a region")
	f.StringVar(&place.StreamKey, "stream-key", "", "customer managed KMS `key` (ARN, id or alias) that encrypts the stream")
	f.StringVar(&place.BucketKey, "bucket-key", "", "customer managed KMS `key` of the bucket's default encryption")
	operator := f.Bool("operator", false, "print the policy for the operators' commands")
	loader := f.Bool("loader", false, "print the policy for the loader, which shares the daemon's role where both run in one pod or task")
	var from policy.Imports
	f.StringVar(&from.KCLTable, "import-table", "", "with --operator: `name` of the table that import kcl reads")
	f.StringVar(&from.Firehose, "import-firehose", "", "with --operator: `name` of the stream that import firehose reads")
	f.StringVar(&from.GlueTable, "import-glue-table", "", "with --operator: `database.table` that import firehose --glue-schema reads")
	theirs := f.String("theirs", "", "with --operator: `URL` of the files of another consumer that compare reads: s3://bucket/prefix/")
	if err := command.Parse(f, args); err != nil {
		return command.UnlessHelp(err)
	}
	cfg, err := consumer.LoadConfig()
	if err != nil {
		return fmt.Errorf("invalid settings:\n%w", err)
	}
	if *operator && *loader {
		return errors.New("--operator and --loader: want one of them")
	}
	if *loader && cfg.TableConfig.Table == "" {
		return errors.New("--loader: want TABLE, which names the table to load")
	}
	for name, value := range map[string]string{
		"--import-table": from.KCLTable, "--import-firehose": from.Firehose, "--import-glue-table": from.GlueTable, "--theirs": *theirs,
	} {
		if value != "" && !*operator {
			return fmt.Errorf("%s=%q: want --operator as well", name, value)
		}
	}
	if from.GlueTable != "" && strings.Count(from.GlueTable, ".") != 1 {
		return fmt.Errorf("--import-glue-table=%q: want database.table", from.GlueTable)
	}
	if place.Region == "" {
		account, err := awsconfig.LoadDefaultConfig(ctx)
		if err != nil {
			return fmt.Errorf("load AWS configuration: %w", err)
		}
		place.Region = account.Region
	}
	var p iam.Policy
	switch {
	case *operator:
		p = policy.Operator(&cfg, place, from)
		if *theirs != "" {
			bucket, prefix, err := compare.ParseURL(*theirs)
			if err != nil {
				return fmt.Errorf("--theirs=%w", err)
			}
			p = policy.WithTheirs(p, place, bucket, prefix)
		}
	case *loader:
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
	if _, err := fmt.Fprintf(out, "%s\n", document); err != nil {
		return err
	}
	for placeholder, flag := range map[string]string{policy.Region: "--region", policy.Account: "--account"} {
		if strings.Contains(string(document), ":"+placeholder+":") {
			fmt.Fprintf(os.Stderr, "%s is a placeholder: set %s, or replace it in the policy\n", placeholder, flag)
		}
	}
	if strings.Contains(string(document), ":dbuser:*/") {
		fmt.Fprintln(os.Stderr, "dbuser:*/ allows all databases of the account and region that have such a user: put the resource id of yours, such as db-ABCDEFGHIJKL01234, in place of the *")
	}
	return nil
}
