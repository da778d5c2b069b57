package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/s3"

	"aws-streaming-pipeline/consumer"
	"aws-streaming-pipeline/internal/command"
	"aws-streaming-pipeline/record/catalog"
	"aws-streaming-pipeline/record/registry"
	"aws-streaming-pipeline/record/schema"
	"aws-streaming-pipeline/record/table"
	"aws-streaming-pipeline/writers"
	"aws-streaming-pipeline/writers/formats"
	"aws-streaming-pipeline/writers/parquet"
)

// maxSamples is the most samples that schema infer reads.
const maxSamples = 10_000

// once calls f without retries.
func once(f func() error) error { return f() }

// printDDL prints the Athena table of a schema, or a table in PostgreSQL.
func printDDL(ctx context.Context, args []string, out io.Writer) error {
	f := flag.NewFlagSet("consumer ddl", flag.ContinueOnError)
	f.SetOutput(out)
	file := f.String("schema", "", "JSON Schema file, a path or s3://bucket/key, or glue://database/table as in SCHEMA (required, except with -postgres)")
	named := f.String("table", "records", "name of the table, or database.table; in PostgreSQL, schema.table")
	location := f.String("location", "", "location of the files, such as s3://bucket/data/ (required, except with -postgres)")
	tables := formats.All.Names(func(k writers.Kind) bool { return k.Storage != "" })
	format := f.String("format", parquet.Kind.Name, strings.Join(tables, " or ")+"; Athena reads JSON Lines in any COMPRESSION but zip")
	partitions := f.String("partitions", "year,month,day,hour", "partition columns of the default PREFIX to declare, or none")
	from := f.Int("from-year", 2020, "first year of the partition projection")
	iceberg := f.Bool("iceberg", false, "print an Iceberg table, without partition columns; TABLE_CREATE makes one without a statement")
	by := f.String("partition-by", "", "partition of an Iceberg table, such as day(at),bucket(16,customer)")
	var postgres postgresFlags
	postgres.add(f)
	if err := f.Parse(args); err != nil {
		return asHelp(err)
	}
	faults := []error{postgres.check(*named)}
	if *file == "" && !postgres.print {
		faults = append(faults, errors.New("-schema is required"))
	}
	if !postgres.print && (!strings.HasPrefix(*location, "s3://") || !strings.HasSuffix(*location, "/")) {
		faults = append(faults, fmt.Errorf("-location=%q: want s3://bucket/prefix/, with the trailing slash", *location))
	}
	kind, _ := formats.All.Find(*format)
	if kind.Storage == "" {
		faults = append(faults, fmt.Errorf("-format=%q: want %s", *format, strings.Join(tables, " or ")))
	}
	storage := kind.Storage
	if *iceberg {
		*partitions, storage = "none", schema.Iceberg
	}
	columns, err := projection(*partitions, *from)
	faults = append(faults, err)
	transforms, err := icebergPartition(*by)
	faults = append(faults, err)
	if *by != "" && !*iceberg {
		faults = append(faults, fmt.Errorf("-partition-by=%q: want -iceberg, too", *by))
	}
	if err := errors.Join(faults...); err != nil {
		return err
	}
	var services consumer.SchemaServices
	if strings.HasPrefix(*file, "s3://") || catalog.IsSource(*file) {
		account, err := loadAccount(ctx)
		if err != nil {
			return err
		}
		services = consumer.SchemaServices{AWS: account, S3: s3.NewFromConfig(account)}
	}
	s, err := consumer.LoadSchema(ctx, *file, services, once)
	if err != nil {
		return err
	}
	if postgres.print {
		return postgres.write(out, *named, s)
	}
	database, name, qualified := strings.Cut(*named, ".")
	if !qualified {
		database, name = "", *named
	}
	text, err := s.DDL(schema.Table{Database: database, Name: name, Location: *location, Storage: storage, Partitions: columns, Transforms: transforms})
	if err != nil {
		return err
	}
	_, err = io.WriteString(out, text)
	return err
}

// icebergPartition parses the partition of an Iceberg table, which is written as TABLE_PARTITION.
func icebergPartition(text string) ([]schema.Transform, error) {
	terms, err := table.ParsePartition(text)
	if err != nil {
		return nil, fmt.Errorf("-partition-by=%q: %w", text, err)
	}
	var list []schema.Transform
	for _, t := range terms {
		list = append(list, schema.Transform{Name: t.Transform.Name, Width: t.Transform.Width, Column: t.Column})
	}
	return list, nil
}

// projection declares the time columns of the default PREFIX, so that Athena needs no list of partitions.
func projection(names string, fromYear int) ([]schema.Partition, error) {
	if names == "none" || names == "" {
		return nil, nil
	}
	ranges := map[string]string{"year": fmt.Sprintf("%d,2100", fromYear), "month": "1,12", "day": "1,31", "hour": "0,23"}
	var columns []schema.Partition
	for name := range strings.SplitSeq(names, ",") {
		values, ok := ranges[name]
		if !ok {
			return nil, fmt.Errorf("-partitions=%q: want some of year, month, day, hour, or none", names)
		}
		digits := "2"
		if name == "year" {
			digits = "4"
		}
		columns = append(columns, schema.Partition{Name: name, Type: "int", Projection: []schema.Property{
			{Key: "type", Value: "integer"}, {Key: "range", Value: values}, {Key: "digits", Value: digits},
		}})
	}
	return columns, nil
}

// schemaTools is the command "schema".
func schemaTools(ctx context.Context, args []string, out io.Writer) error {
	switch {
	case len(args) == 2 && args[0] == "infer":
		return inferSchema(args[1], out)
	case len(args) > 0 && args[0] == "from-registry":
		return schemaFromRegistry(ctx, args[1:], out)
	case len(args) == 2 && args[0] == "from-table":
		return schemaFromTable(ctx, args[1], out)
	}
	return errors.New("usage: consumer schema infer FILE, where FILE holds one JSON object per line, consumer schema from-registry --help, or consumer schema from-table glue://database/table, which prints the document that SCHEMA=glue://database/table stands for")
}

// schemaFromTable prints the document of a table in the AWS Glue Data Catalog.
func schemaFromTable(ctx context.Context, name string, out io.Writer) error {
	source, err := catalog.ParseSource(name)
	if err != nil {
		return fmt.Errorf("%q: %w", name, err)
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

const fromRegistryUsage = `schema from-registry --schema NAME [--registry NAME] [--version N] [--message NAME]
schema from-registry --version-id UUID [--message NAME]

Prints a JSON Schema document for a schema of the AWS Glue Schema Registry. It describes the records as the daemon decodes
them with SCHEMA_REGISTRY=glue. Set as SCHEMA, it gives Parquet files and the Athena table a typed column for each field.
Permission: glue:GetSchemaVersion.`

// schemaFromRegistry prints the document of a registry's schema.
func schemaFromRegistry(ctx context.Context, args []string, out io.Writer) error {
	f := newFlags("schema from-registry", fromRegistryUsage, out)
	var name registry.Name
	f.StringVar(&name.Schema, "schema", "", "`name` of the schema")
	f.StringVar(&name.Registry, "registry", "default-registry", "`name` of the registry")
	f.IntVar(&name.Version, "version", 0, "`number` of the version; default: the latest")
	id := f.String("version-id", "", "`UUID` of a version, instead of the names")
	message := f.String("message", "", "full `name` of the records' Protobuf message; default: the one that is not a field of another")
	if err := command.Parse(f, args); err != nil {
		return command.UnlessHelp(err)
	}
	if (name.Schema == "") == (*id == "") {
		return fmt.Errorf("--schema=%q and --version-id=%q: want exactly one of them", name.Schema, *id)
	}
	if name.Version < 0 {
		return fmt.Errorf("--version=%d: want 1 or more", name.Version)
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
	what := "schema version " + *id
	if *id != "" {
		d, err = glue.SchemaVersion(ctx, *id)
	} else {
		what = "schema " + name.Schema + " of the registry " + name.Registry
		d, err = glue.Named(ctx, name)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	document, err := d.JSONSchema(*message)
	if err == nil {
		_, err = schema.Parse(what, document)
	}
	if err != nil {
		return fmt.Errorf("%s cannot be used as SCHEMA: %w", what, err)
	}
	_, err = out.Write(document)
	return err
}

// asHelp returns nil for a request for help, and any other error unchanged.
func asHelp(err error) error {
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	return err
}
