package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"aws-streaming-pipeline/consumer"
	"aws-streaming-pipeline/internal/awshttp"
	"aws-streaming-pipeline/internal/diagnosis"
	"aws-streaming-pipeline/loader/iceberg"
	"aws-streaming-pipeline/loader/postgres"
	"aws-streaming-pipeline/operate/validate"
	"aws-streaming-pipeline/record/table"
)

const validateUsage = `Tries everything that the loader needs with these settings, and says in one line each what was found and what to do: the settings,
region and credentials, the table of checkpoints, the bucket, the schema, the address of the status page, and each table of TABLE: whether
it can be reached and signed in to, whether it exists with columns that fit or would be created, and what the role may do there.

It changes nothing. It needs no permission that the loader does not have, so run it where the loader will run, with its role. "consumer
validate" does the same for the daemon. See docs/validate.md.

Exit code: 0 everything works, 1 something does not, 2 the settings or the region are wrong, so the rest could not be checked.`

func validateCommand() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use: "validate", Short: "try what the loader needs with these settings, and say what is missing", Long: validateUsage,
		Example: "TABLE=glue://lake/trips STREAM_NAME=trips BUCKET=my-bucket FORMAT=parquet loader validate",
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx := cmd.Context()
			var c validate.Config
			if c.Settings, c.Faults = consumer.LoadConfig(); c.Faults == nil {
				c.Warnings = c.Settings.Warnings()
			}
			c.Account, c.AccountErr = awshttp.Account(ctx)
			s := &site{cfg: c.Settings, log: consumer.NewLogger(c.Settings), account: c.Account, bucket: bucketClient(c.Account, c.Settings)}
			return validate.Print(ctx, cmd.OutOrStdout(), asJSON, "loader", validate.Loader(c, s.try))
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print the report as JSON")
	return c
}

// try looks at a table without changing it.
func (s *site) try(ctx context.Context, r *validate.Result, uri table.URI, known validate.Known) {
	about := diagnosis.Subject{Thing: "table " + uri.String(), Setting: "TABLE", Value: uri.String(), Region: s.account.Region}
	if uri.Iceberg() {
		s.tryIceberg(ctx, r, about, known)
		return
	}
	s.tryPostgres(ctx, r, uri, about, known)
}

func (s *site) tryIceberg(ctx context.Context, r *validate.Result, about diagnosis.Subject, known validate.Known) {
	to, err := iceberg.Open(ctx, iceberg.Options{
		Application: s.cfg.Application, TableConfig: s.cfg.TableConfig, Bucket: s.cfg.Bucket, Schema: known.Schema, Account: s.account, S3: s.bucket,
	})
	if err != nil {
		r.Explain(err, "open the catalog", about, "check TABLE, and TABLE_SIGNING or TABLE_TOKEN if the catalog asks for credentials")
		return
	}
	found, err := to.Inspect(ctx, known.Previous)
	if err != nil {
		r.Explain(err, "", about, "check TABLE and its settings; see docs/tables.md")
		return
	}
	writable, ok := s.tryMetadata(ctx, r, found.Location)
	if !ok {
		return
	}
	switch {
	case found.Missing && found.NewNamespace:
		r.OK("%s and its namespace do not exist; the loader creates them, which cannot be tried without creating them%s", about.Value, writable)
	case found.Missing:
		r.OK("%s does not exist; the loader creates it, which cannot be tried without creating it%s", about.Value, writable)
	default:
		r.OK("%s: format version 2, %d columns, partition %s%s; whether it may be changed cannot be tried without changing it", about.Value, found.Columns, partition(found.Partition), writable)
		s.warnLacking(r, about.Value, found.Lacking)
	}
}

func partition(fields []string) string {
	if len(fields) == 0 {
		return "none"
	}
	return strings.Join(fields, ", ")
}

func (s *site) warnLacking(r *validate.Result, name string, lacking []string) {
	if len(lacking) > 0 && !s.cfg.TableEvolve {
		r.Warn("TABLE_EVOLVE", fmt.Sprintf("%s has no column for %s, and TABLE_EVOLVE=false: their values stay in _extra, if there is such a column", name, strings.Join(lacking, ", ")),
			"add the columns, or set TABLE_EVOLVE=true")
	}
}

// tryMetadata tries to write where the table's metadata is.
func (s *site) tryMetadata(ctx context.Context, r *validate.Result, location string) (writable string, ok bool) {
	rest, known := strings.CutPrefix(location, "s3://")
	uri, _ := s.cfg.IcebergTable()
	if !known || uri.Kind == table.S3Tables { // the catalog has the bucket
		return "", true
	}
	bucket, folder, _ := strings.Cut(strings.TrimSuffix(rest, "/")+"/", "/")
	key := folder + "metadata/validate"
	if err := validate.TryPut(ctx, validate.PutInput{Client: s.bucket, Bucket: bucket, Key: key}); err != nil {
		r.Explain(err, "write the table's metadata, s3://"+bucket+"/"+folder+"metadata/ (s3:PutObject)", diagnosis.Subject{Thing: "bucket " + bucket, Region: s.account.Region}, "")
		return "", false
	}
	return "; metadata can be written under s3://" + bucket + "/" + folder + "metadata/", true
}

func (s *site) tryPostgres(ctx context.Context, r *validate.Result, uri table.URI, about diagnosis.Subject, known validate.Known) {
	at := s.place(uri)
	at.Schema = known.Schema
	to, err := postgres.Open(at)
	if err != nil {
		r.Explain(err, "", about, "correct the setting")
		return
	}
	found, err := to.Inspect(ctx, known.Previous)
	if err != nil {
		r.Fail("TABLE", err.Error(), "see docs/postgres.md") // it says itself what to do
		return
	}
	encrypted := found.TLS
	if encrypted == "" {
		encrypted = "no TLS"
	}
	who := fmt.Sprintf("%s: PostgreSQL %s, %s, user %s in database %s", about.Value, found.Server, encrypted, found.User, found.Database)
	switch {
	case found.Missing:
		r.OK("%s; the table does not exist, and the loader may create it with its ledger", who)
	case found.NoLedger:
		r.OK("%s; the table is there, and the loader may create its ledger beside it", who)
	default:
		r.OK("%s; the table has %d columns and its ledger", who, found.Columns)
	}
	if found.TLS == "" && s.cfg.PostgresTLS == "disable" {
		r.Warn("POSTGRES_TLS", "the connection is not encrypted", "set POSTGRES_TLS=verify-full, unless the server is on this host")
	}
	if !found.Missing && !found.Owned && s.cfg.TableEvolve {
		r.Warn("TABLE_EVOLVE", "the role "+found.User+" does not own the table, so it cannot add columns: values without a column stay in _extra, if there is such a column", "make it a member of the table's owner, or set TABLE_EVOLVE=false")
	}
	if !found.Missing {
		s.warnLacking(r, about.Value, found.Lacking)
	}
}
