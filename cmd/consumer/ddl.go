package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/spf13/cobra"

	"aws-streaming-pipeline/consumer"
	"aws-streaming-pipeline/internal/command"
	"aws-streaming-pipeline/operate/ddl"
	"aws-streaming-pipeline/record/catalog"
	"aws-streaming-pipeline/record/prefix"
	"aws-streaming-pipeline/record/schema"
	"aws-streaming-pipeline/record/table"
	"aws-streaming-pipeline/writers"
	"aws-streaming-pipeline/writers/formats"
)

func ddlCommand() *cobra.Command {
	o := ddlOptions{values: make(keyValues)}
	cmd := &cobra.Command{
		Use: "ddl", Short: "print the Athena table of the daemon's files, or a table in PostgreSQL",
		Long: `Prints the CREATE TABLE statement with which Athena reads the daemon's files. Columns, format and folders come from the daemon's settings:
SCHEMA, FORMAT, COMPRESSION, BUCKET, PREFIX and TIME_ZONE. Flags override them. The expressions of PREFIX become partition columns that Athena
computes by itself (partition projection), so nothing has to be registered; what Athena cannot read or compute is an error that says why.

With --postgres it prints the statements for a table in PostgreSQL and for the loader's own tables; with --iceberg an Iceberg table.

It makes no AWS calls, except to read a schema in S3 (s3:GetObject) or the columns of a Glue table (glue:GetTable).`,
		Example: "consumer ddl --table lake.trips\n" +
			"consumer ddl --table lake.trips --values region=eu,us\n" +
			"consumer ddl --schema trips.schema.json --format parquet --location s3://my-bucket/data/ --table lake.trips\n" +
			"consumer ddl --postgres --table public.trips --schema trips.schema.json --unique",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return printDDL(cmd.Context(), o, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.file, "schema", "", "JSON Schema `file`, a path or s3://bucket/key, or glue://database/table; by default that of SCHEMA")
	f.StringVar(&o.table, "table", "records", "`name` of the table, or database.table; in PostgreSQL, schema.table")
	f.StringVar(&o.location, "location", "", "`URL` of the files, such as s3://bucket/data/; by default what PREFIX begins with, in BUCKET (required with --iceberg)")
	f.StringVar(&o.format, "format", "", "`format` of the files: "+strings.Join(ddlFormats(), " or ")+"; by default that of FORMAT")
	f.StringVar(&o.partitions, "partitions", "", "partition `columns` below the location: some of year,month,day,hour, or none; by default those of PREFIX")
	f.Var(o.values, "values", "`key=value,...` lists the values of a partition key of PREFIX, as they are in object keys, so that queries need not name one; may be repeated")
	f.IntVar(&o.fromYear, "from-year", 2020, "first `year` of the partition projection")
	f.BoolVar(&o.iceberg, "iceberg", false, "print an Iceberg table, without partition columns; TABLE_CREATE makes one without a statement")
	f.StringVar(&o.by, "partition-by", "", "`partition` of an Iceberg table, such as day(at),bucket(16,customer)")
	o.postgres.add(f)
	return cmd
}

// ddlOptions are the flags of ddl.
type ddlOptions struct {
	file, table, location, format, partitions, by string
	values                                        keyValues
	fromYear                                      int
	iceberg                                       bool
	postgres                                      postgresFlags
}

// keyValues are the values of partition keys: a flag of the form key=value,value.
type keyValues map[string][]string

func (k keyValues) String() string { return "" }

// Type implements pflag.Value.
func (k keyValues) Type() string { return "text" }

// Set implements pflag.Value.
func (k keyValues) Set(text string) error {
	name, values, ok := strings.Cut(text, "=")
	list := strings.Split(values, ",")
	if !ok || name == "" || slices.Contains(list, "") {
		return errors.New("want a partition key with its values, such as region=eu,us")
	}
	k[name] = append(k[name], list...)
	return nil
}

// ddlFormats are the formats of which Athena has tables.
func ddlFormats() []string {
	return formats.All.Names(func(k writers.Kind) bool { return k.Storage != "" })
}

// fill sets what no flag says to what the settings say.
func (o *ddlOptions) fill(cfg *consumer.Config) {
	if o.file == "" {
		o.file = cfg.Schema
	}
	if o.format == "" {
		o.format = cfg.Format
	}
	cfg.Format = o.format
}

// athena returns the table without its columns and partitions, or what is wrong with the flags.
func (o *ddlOptions) athena() (t schema.Table, err error) {
	faults := []error{o.postgres.check(o.table)}
	if o.file == "" && !o.postgres.print {
		faults = append(faults, errors.New("--schema is required, because SCHEMA is not set: a table needs columns; \"consumer schema infer FILE\" proposes a schema from samples"))
	}
	if (o.location != "" || o.iceberg) && (!strings.HasPrefix(o.location, "s3://") || !strings.HasSuffix(o.location, "/")) {
		faults = append(faults, fmt.Errorf("--location=%q: want s3://bucket/prefix/, with the trailing slash", o.location))
	}
	kind, known := formats.All.Find(o.format)
	if !known {
		faults = append(faults, fmt.Errorf("--format=%q: want %s", o.format, strings.Join(ddlFormats(), " or ")))
	}
	t.Location, t.Storage = o.location, kind.Storage
	if o.iceberg {
		t.Storage = schema.Iceberg
	}
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

// printDDL prints the Athena table of the daemon's files, or a table in PostgreSQL.
func printDDL(ctx context.Context, o ddlOptions, out, notes io.Writer) error {
	cfg := toolSettings()
	o.fill(&cfg)
	t, err := o.athena()
	if err != nil {
		return err
	}
	s, err := readSchema(ctx, o.file)
	if err != nil {
		return err
	}
	if o.postgres.print {
		return o.postgres.write(out, o.table, s)
	}
	if !o.iceberg {
		made, err := o.partitioned(&cfg, s)
		if err != nil {
			return &command.ExitError{Code: command.ExitUsage, Err: err}
		}
		t.Location, t.Partitions, t.LocationTemplate = made.Location, made.Columns, made.Template
		for _, note := range made.Notes {
			fmt.Fprintf(notes, "note: %s\n", note)
		}
	}
	text, err := s.DDL(t)
	if err != nil {
		return err
	}
	_, err = io.WriteString(out, text)
	return err
}

// readSchema reads a schema; nil without a name.
func readSchema(ctx context.Context, name string) (*schema.Schema, error) {
	var services consumer.SchemaServices
	if strings.HasPrefix(name, "s3://") || catalog.IsSource(name) {
		account, err := loadAccount(ctx)
		if err != nil {
			return nil, err
		}
		services = consumer.SchemaServices{AWS: account, S3: s3.NewFromConfig(account)}
	}
	return consumer.LoadSchema(ctx, name, services, func(f func() error) error { return f() })
}

// partitioned returns the folders and partition columns of a table of files, or what Athena cannot read.
func (o *ddlOptions) partitioned(cfg *consumer.Config, s *schema.Schema) (ddl.Partitions, error) {
	kind, compression := cfg.DataFiles()
	if faults := (ddl.Files{Kind: kind, Compression: compression, Extension: cfg.FileExtension}).Check(); len(faults) > 0 {
		return ddl.Partitions{}, errors.New(strings.Join(faults, "\n"))
	}
	if o.partitions != "" {
		if o.location == "" {
			return ddl.Partitions{}, fmt.Errorf("--partitions=%q: want --location, too, below which they are", o.partitions)
		}
		columns, err := projection(o.partitions, o.fromYear)
		return ddl.Partitions{Location: o.location, Columns: columns}, err
	}
	zone, err := prefix.LoadZone(cfg.TimeZone)
	if err != nil {
		return ddl.Partitions{}, fmt.Errorf("TIME_ZONE=%q: %w", cfg.TimeZone, err)
	}
	now := time.Now()
	others, err := cfg.OtherFolders(now)
	if err != nil {
		return ddl.Partitions{}, err
	}
	l := ddl.Layout{
		Location: "s3://" + cfg.Bucket + "/", Prefix: cfg.Prefix, Zone: zone, Stream: cfg.Stream, FromYear: o.fromYear, Values: o.values, Others: others, At: now,
		Taken: []string{schema.EventIDColumn, schema.ExtraColumn, schema.ArrivedAtColumn},
	}
	for _, f := range s.Fields {
		l.Taken = append(l.Taken, f.Name)
	}
	if o.location != "" {
		l.Others = nil // they are not there
	} else if cfg.Bucket == "" {
		return ddl.Partitions{}, errors.New("BUCKET is not set: want it or --location, which says where the files are")
	}
	p, err := ddl.New(l)
	if err == nil && o.location != "" {
		p = p.Move(o.location)
	}
	return p, err
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

// projection declares time columns of the default PREFIX, whatever PREFIX is.
func projection(names string, fromYear int) ([]schema.Partition, error) {
	if names == "none" {
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
