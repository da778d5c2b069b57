package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	awsfirehose "github.com/aws/aws-sdk-go-v2/service/firehose"
	"github.com/aws/aws-sdk-go-v2/service/firehose/types"
	"github.com/aws/smithy-go"
	"github.com/spf13/cobra"

	"aws-streaming-pipeline/internal/command"
	"aws-streaming-pipeline/operate/firehose"
	"aws-streaming-pipeline/record/catalog"
)

func importFirehoseCommand() *cobra.Command {
	var o importOptions
	cmd := &cobra.Command{
		Use: "firehose [NAME]", Short: "print the settings that deliver what a Firehose stream delivers",
		Long: `Prints the settings with which the daemon delivers what a Firehose stream delivers, to the same places. Comments say where
each comes from, what differs, and what is not carried over, with the reason. The description is that of the stream
NAME, or is read from a file: the output of "aws firehose describe-delivery-stream", a CloudFormation template in JSON or
YAML, or the output of "terraform show -json".

--as env prints variables for a shell, --as helm values of the chart, --as ecs parameters of the consumer stack.

Nothing is changed. Permissions: firehose:DescribeDeliveryStream for NAME, and for --glue-schema glue:GetTable, or
glue:GetTableVersion if the description names a version. See docs/migrate.md.

Exit code: 0 all is carried over, 1 the description is wrong or could not be had, 2 the command line is wrong, 3 something is
not carried over.`,
		Example: "consumer import firehose trips-to-s3\nconsumer import firehose --file description.json --as helm",
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				o.name = args[0]
			}
			return importFirehose(cmd.Context(), o, cmd.OutOrStdout())
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.file, "file", "", "`file` with the description, instead of NAME")
	f.StringVar(&o.resource, "resource", "", "logical `ID` or address of the stream, if the file has several")
	f.StringVar(&o.form, "as", string(firehose.Env), "`form` of the output: env, helm or ecs")
	f.StringVar(&o.schemaFile, "glue-schema", "", "`file` to write the JSON Schema document of the Glue table to, for a stream that converts records; SCHEMA is set to it instead of the table")
	return cmd
}

// importOptions are the command line of import firehose.
type importOptions struct{ name, file, resource, form, schemaFile string }

func (o importOptions) check() error {
	switch {
	case (o.name == "") == (o.file == ""):
		return command.Usagef("import firehose: want the NAME of a Firehose stream or --file, and not both")
	case !slices.Contains(firehose.Forms, firehose.Form(o.form)):
		return command.Usagef("--as=%q: want env, helm or ecs", o.form)
	case o.resource != "" && o.file == "":
		return command.Usagef("--resource=%q: want --file as well", o.resource)
	}
	return nil
}

func importFirehose(ctx context.Context, o importOptions, out io.Writer) error {
	if err := o.check(); err != nil {
		return err
	}
	d, err := description(ctx, o.name, o.file, o.resource)
	if err != nil {
		return err
	}
	s, err := d.Settings("")
	if err == nil && o.schemaFile != "" {
		if err := writeGlueSchema(ctx, s.Glue, o.schemaFile); err != nil {
			return err
		}
		s, err = d.Settings(o.schemaFile)
	}
	if _, other := errors.AsType[*firehose.DestinationError](err); other {
		return &command.ExitError{Code: command.ExitIncomplete, Err: fmt.Errorf("the Firehose stream %s: %w", d.Name, err)}
	}
	if err != nil {
		return fmt.Errorf("the Firehose stream %s: %w", d.Name, err)
	}
	left, err := s.Write(out, firehose.Form(o.form))
	if err != nil {
		return err
	}
	if left > 0 {
		return &command.ExitError{Code: command.ExitIncomplete, Err: fmt.Errorf("%d parts of the Firehose stream %s are not carried over; the end of the output names them", left, d.Name)}
	}
	return nil
}

// description reads the description of a Firehose stream from a file, or asks for that of a name.
func description(ctx context.Context, name, file, resource string) (*firehose.Description, error) {
	if file != "" {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		d, err := firehose.Parse(text, resource)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		return d, nil
	}
	account, err := loadAccount(ctx)
	if err != nil {
		return nil, err
	}
	answer, err := awsfirehose.NewFromConfig(account).DescribeDeliveryStream(ctx, &awsfirehose.DescribeDeliveryStreamInput{DeliveryStreamName: &name})
	if _, absent := errors.AsType[*types.ResourceNotFoundException](err); absent {
		return nil, fmt.Errorf("the Firehose stream %q does not exist in the account and region of the credentials", name)
	}
	if err != nil {
		return nil, fmt.Errorf("describe the Firehose stream %q: %w", name, err)
	}
	text, err := json.Marshal(answer.DeliveryStreamDescription)
	if err != nil {
		return nil, err
	}
	d, err := firehose.Parse(text, "")
	if err != nil {
		return nil, fmt.Errorf("the Firehose stream %q: %w", name, err)
	}
	return d, nil
}

// writeGlueSchema writes the JSON Schema document of a Glue table to a file.
func writeGlueSchema(ctx context.Context, source *catalog.Source, file string) error {
	if source == nil {
		return errors.New("--glue-schema: the Firehose stream names no Glue table, because it converts no records")
	}
	account, err := loadAccount(ctx)
	if err != nil {
		return err
	}
	columns, err := source.Read(ctx, account)
	if e, answered := errors.AsType[smithy.APIError](err); answered && e.ErrorCode() == "EntityNotFoundException" {
		return fmt.Errorf("%s: %w", source, err)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", source, err)
	}
	document, err := columns.Document()
	if err != nil {
		return fmt.Errorf("%s: %w", source, err)
	}
	if err := os.WriteFile(file, document, 0o644); err != nil {
		return err
	}
	return nil
}
