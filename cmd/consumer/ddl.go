package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/spf13/cobra"

	"aws-streaming-pipeline/consumer"
	"aws-streaming-pipeline/internal/command"
	"aws-streaming-pipeline/record/catalog"
	"aws-streaming-pipeline/record/schema"
	"aws-streaming-pipeline/record/table"
	"aws-streaming-pipeline/writers"
	"aws-streaming-pipeline/writers/formats"
	"aws-streaming-pipeline/writers/parquet"
)

func ddlCommand() *cobra.Command {
	var o ddlOptions
	cmd := &cobra.Command{
		Use: "ddl", Short: "print the Athena table of a schema, or a table in PostgreSQL",
		Long: `Prints the CREATE TABLE statement with which Athena reads the daemon's files, from a JSON Schema document; with --postgres, the
statements for a table in PostgreSQL and for the loader's own tables. It makes no AWS calls, except to read a schema in S3
(s3:GetObject) or the columns of a Glue table (glue:GetTable).`,
		Example: "consumer ddl --schema trips.schema.json --location s3://my-bucket/data/ --table lake.trips\n" +
			"consumer ddl --postgres --table public.trips --schema trips.schema.json --unique",
		RunE: func(cmd *cobra.Command, _ []string) error { return printDDL(cmd.Context(), o, cmd.OutOrStdout()) },
	}
	f := cmd.Flags()
	f.StringVar(&o.file, "schema", "", "JSON Schema `file`, a path or s3://bucket/key, or glue://database/table as in SCHEMA (required, except with --postgres)")
	f.StringVar(&o.table, "table", "records", "`name` of the table, or database.table; in PostgreSQL, schema.table")
	f.StringVar(&o.location, "location", "", "`URL` of the files, such as s3://bucket/data/ (required, except with --postgres)")
	f.StringVar(&o.format, "format", parquet.Kind.Name, "`format` of the files: "+strings.Join(ddlFormats(), " or ")+"; Athena reads JSON Lines in any COMPRESSION but zip")
	f.StringVar(&o.partitions, "partitions", "year,month,day,hour", "partition `columns` of the default PREFIX to declare, or none")
	f.IntVar(&o.fromYear, "from-year", 2020, "first `year` of the partition projection")
	f.BoolVar(&o.iceberg, "iceberg", false, "print an Iceberg table, without partition columns; TABLE_CREATE makes one without a statement")
	f.StringVar(&o.by, "partition-by", "", "`partition` of an Iceberg table, such as day(at),bucket(16,customer)")
	o.postgres.add(f)
	return cmd
}

// ddlOptions are the flags of ddl.
type ddlOptions struct {
	file, table, location, format, partitions, by string
	fromYear                                      int
	iceberg                                       bool
	postgres                                      postgresFlags
}

// ddlFormats are the formats of which Athena has tables.
func ddlFormats() []string {
	return formats.All.Names(func(k writers.Kind) bool { return k.Storage != "" })
}

// athena returns the table that the flags describe, without its columns, or what is wrong with the flags.
func (o ddlOptions) athena() (t schema.Table, err error) {
	faults := []error{o.postgres.check(o.table)}
	if o.file == "" && !o.postgres.print {
		faults = append(faults, errors.New("--schema is required"))
	}
	if !o.postgres.print && (!strings.HasPrefix(o.location, "s3://") || !strings.HasSuffix(o.location, "/")) {
		faults = append(faults, fmt.Errorf("--location=%q: want s3://bucket/prefix/, with the trailing slash", o.location))
	}
	kind, _ := formats.All.Find(o.format)
	if kind.Storage == "" {
		faults = append(faults, fmt.Errorf("--format=%q: want %s", o.format, strings.Join(ddlFormats(), " or ")))
	}
	t.Location, t.Storage = o.location, kind.Storage
	if o.iceberg {
		o.partitions, t.Storage = "none", schema.Iceberg
	}
	t.Partitions, err = projection(o.partitions, o.fromYear)
	faults = append(faults, err)
	t.Transforms, err = icebergPartition(o.by)
	faults = append(faults, err)
	if o.by != "" && !o.iceberg {
		faults = append(faults, fmt.Errorf("--partition-by=%q: want --iceberg, too", o.by))
	}
	database, name, qualified := strings.Cut(o.table, ".")
	if !qualified {
		database, name = "", o.table
	}
	t.Database, t.Name = database, name
	return t, command.Usage(errors.Join(faults...))
}

// printDDL prints the Athena table of a schema, or a table in PostgreSQL.
func printDDL(ctx context.Context, o ddlOptions, out io.Writer) error {
	t, err := o.athena()
	if err != nil {
		return err
	}
	var services consumer.SchemaServices
	if strings.HasPrefix(o.file, "s3://") || catalog.IsSource(o.file) {
		account, err := loadAccount(ctx)
		if err != nil {
			return err
		}
		services = consumer.SchemaServices{AWS: account, S3: s3.NewFromConfig(account)}
	}
	s, err := consumer.LoadSchema(ctx, o.file, services, func(f func() error) error { return f() })
	if err != nil {
		return err
	}
	if o.postgres.print {
		return o.postgres.write(out, o.table, s)
	}
	text, err := s.DDL(t)
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
		return nil, fmt.Errorf("--partition-by=%q: %w", text, err)
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
			return nil, fmt.Errorf("--partitions=%q: want some of year, month, day, hour, or none", names)
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
