package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"aws-streaming-pipeline/internal/command"
	"aws-streaming-pipeline/record/catalog"
	"aws-streaming-pipeline/record/registry"
	"aws-streaming-pipeline/record/schema"
)

// maxSamples is the most samples that schema infer reads.
const maxSamples = 10_000

func schemaCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "schema", Short: "propose a schema from samples, or fetch one from a registry or a Glue table",
		Long: "Prints a JSON Schema document for SCHEMA: one that fits samples of your records, or one from the AWS Glue Schema Registry or a Glue table.",
	}
	cmd.AddCommand(
		&cobra.Command{
			Use: "infer FILE", Short: "propose a schema from samples",
			Long: fmt.Sprintf(`Proposes a JSON Schema document from samples: FILE holds one JSON object per line, of which the first %d are read. It makes no
AWS calls.`, maxSamples),
			Example: "consumer schema infer samples.jsonl > trips.schema.json",
			RunE:    func(cmd *cobra.Command, args []string) error { return inferSchema(args[0], cmd.OutOrStdout()) },
		},
		fromRegistryCommand(),
		&cobra.Command{
			Use: "from-table TABLE", Short: "print the document of a table in the AWS Glue Data Catalog",
			Long: `Prints the document that SCHEMA=glue://database/table stands for. TABLE is such a URI.
Permission: glue:GetTable, or glue:GetTableVersion if it names a version.`,
			Example: "consumer schema from-table glue://lake/trips",
			RunE: func(cmd *cobra.Command, args []string) error {
				return schemaFromTable(cmd.Context(), args[0], cmd.OutOrStdout())
			},
		},
	)
	return cmd
}

// schemaFromTable prints the document of a table in the AWS Glue Data Catalog.
func schemaFromTable(ctx context.Context, name string, out io.Writer) error {
	source, err := catalog.ParseSource(name)
	if err != nil {
		return command.Usagef("%q: %w", name, err)
	}
	account, err := loadAccount(ctx)
	if err != nil {
		return err
	}
	columns, err := source.Read(ctx, account)
	var document []byte
	if err == nil {
		document, err = columns.Document()
	}
	if err != nil {
		return fmt.Errorf("%s: %w", source, err)
	}
	_, err = out.Write(document)
	return err
}

// inferSchema proposes a schema from samples.
func inferSchema(name string, out io.Writer) error {
	file, err := os.Open(name)
	if err != nil {
		return err
	}
	defer file.Close()
	var samples [][]byte
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() && len(samples) < maxSamples {
		if len(lines.Bytes()) > 0 {
			samples = append(samples, append([]byte(nil), lines.Bytes()...))
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	document, err := schema.Infer(name, samples)
	if err != nil {
		return err
	}
	_, err = out.Write(document)
	return err
}

func fromRegistryCommand() *cobra.Command {
	var o registryOptions
	cmd := &cobra.Command{
		Use: "from-registry", Short: "print a document for a schema of the AWS Glue Schema Registry",
		Long: `Prints a JSON Schema document for a schema of the AWS Glue Schema Registry. It describes the records as the daemon decodes
them with SCHEMA_REGISTRY=glue. Set as SCHEMA, it gives Parquet files and the Athena table a typed column for each field.
Permission: glue:GetSchemaVersion.`,
		Example: "consumer schema from-registry --schema trips\nconsumer schema from-registry --version-id 6ac9a2b1-5b3c-4d0e-9f43-0c1f5f6c7d8e --message taxi.Trip",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return schemaFromRegistry(cmd.Context(), o, cmd.OutOrStdout())
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.name.Schema, "schema", "", "`name` of the schema")
	f.StringVar(&o.name.Registry, "registry", "default-registry", "`name` of the registry")
	f.IntVar(&o.name.Version, "version", 0, "`number` of the version; default: the latest")
	f.StringVar(&o.id, "version-id", "", "`UUID` of a version, instead of the names")
	f.StringVar(&o.message, "message", "", "full `name` of the records' Protobuf message; default: the one that is not a field of another")
	return cmd
}

// registryOptions are the flags of schema from-registry.
type registryOptions struct {
	name        registry.Name
	id, message string
}

// schemaFromRegistry prints the document of a registry's schema.
func schemaFromRegistry(ctx context.Context, o registryOptions, out io.Writer) error {
	name, id := o.name, o.id
	if (name.Schema == "") == (id == "") {
		return command.Usagef("--schema=%q and --version-id=%q: want exactly one of them", name.Schema, id)
	}
	if name.Version < 0 {
		return command.Usagef("--version=%d: want 1 or more", name.Version)
	}
	account, err := loadAccount(ctx)
	if err != nil {
		return err
	}
	glue, err := registry.NewGlue(ctx, account)
	if err != nil {
		return err
	}
	var d registry.Definition
	what := "schema version " + id
	if id != "" {
		d, err = glue.SchemaVersion(ctx, id)
	} else {
		what = "schema " + name.Schema + " of the registry " + name.Registry
		d, err = glue.Named(ctx, name)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	document, err := d.JSONSchema(o.message)
	if err == nil {
		_, err = schema.Parse(what, document)
	}
	if err != nil {
		return fmt.Errorf("%s cannot be used as SCHEMA: %w", what, err)
	}
	_, err = out.Write(document)
	return err
}
