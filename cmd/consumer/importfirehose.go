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

	"aws-streaming-pipeline/internal/command"
	"aws-streaming-pipeline/operate/firehose"
	"aws-streaming-pipeline/record/catalog"
)

const importFirehoseUsage = `import firehose NAME [--as env|helm|ecs] [--glue-schema FILE]
       consumer import firehose --file FILE [--resource ID] [--as env|helm|ecs] [--glue-schema FILE]

Prints the settings with which the daemon delivers what a Firehose stream delivers, to the same places. Comments say where
each comes from, what differs, and what is not carried over, with the reason. The description is that of the stream
NAME, or is read from a file: the output of "aws firehose describe-delivery-stream", a CloudFormation template in JSON or
YAML, or the output of "terraform show -json".

--as env prints variables for a shell, --as helm values of the chart, --as ecs parameters of the consumer stack.

Nothing is changed. Permissions: firehose:DescribeDeliveryStream for NAME, and for --glue-schema glue:GetTable, or
glue:GetTableVersion if the description names a version. See docs/migrate.md.

Exit code: 0 all is carried over, 1 the description is wrong, 2 the command failed, 3 something is not carried over.`

// exitLeft says that something is not carried over.
const exitLeft = 3

func importFirehose(ctx context.Context, args []string, out io.Writer) error {
	f := newFlags("import firehose", importFirehoseUsage, out)
	file := f.String("file", "", "`file` with the description, instead of NAME")
	resource := f.String("resource", "", "logical `ID` or address of the stream, if the file has several")
	form := f.String("as", string(firehose.Env), "`form` of the output: env, helm or ecs")
	schemaFile := f.String("glue-schema", "", "`file` to write the JSON Schema document of the Glue table to, for a stream that converts records; SCHEMA is set to it instead of the table")
	name, err := parseNamed(f, args)
	switch {
	case err != nil:
		return command.Undone(command.UnlessHelp(err))
	case (name == "") == (*file == ""):
		return command.Undone(errors.New("import firehose: want the NAME of a Firehose stream or --file, and not both"))
	case !slices.Contains(firehose.Forms, firehose.Form(*form)):
		return command.Undone(fmt.Errorf("--as=%q: want env, helm or ecs", *form))
	case *resource != "" && *file == "":
		return command.Undone(fmt.Errorf("--resource=%q: want --file as well", *resource))
	}
	d, err := description(ctx, name, *file, *resource)
	if err != nil {
		return err
	}
	s, err := d.Settings("")
	if err == nil && *schemaFile != "" {
		if err := writeGlueSchema(ctx, s.Glue, *schemaFile); err != nil {
			return err
		}
		s, err = d.Settings(*schemaFile)
	}
	if _, other := errors.AsType[*firehose.DestinationError](err); other {
		return &command.ExitError{Code: exitLeft, Err: fmt.Errorf("the Firehose stream %s: %w", d.Name, err)}
	}
	if err != nil {
		return fmt.Errorf("the Firehose stream %s: %w", d.Name, err)
	}
	left, err := s.Write(out, firehose.Form(*form))
	if err != nil {
		return command.Undone(err)
	}
	if left > 0 {
		return &command.ExitError{Code: exitLeft, Err: fmt.Errorf("%d parts of the Firehose stream %s are not carried over; the end of the output names them", left, d.Name)}
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
		return nil, command.Undone(err)
	}
	answer, err := awsfirehose.NewFromConfig(account).DescribeDeliveryStream(ctx, &awsfirehose.DescribeDeliveryStreamInput{DeliveryStreamName: &name})
	if _, absent := errors.AsType[*types.ResourceNotFoundException](err); absent {
		return nil, fmt.Errorf("the Firehose stream %q does not exist in the account and region of the credentials", name)
	}
	if err != nil {
		return nil, command.Undone(fmt.Errorf("describe the Firehose stream %q: %w", name, err))
	}
	text, err := json.Marshal(answer.DeliveryStreamDescription)
	if err != nil {
		return nil, command.Undone(err)
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
		return command.Undone(err)
	}
	columns, err := source.Read(ctx, account)
	if e, answered := errors.AsType[smithy.APIError](err); answered && e.ErrorCode() == "EntityNotFoundException" {
		return fmt.Errorf("%s: %w", source, err)
	}
	if err != nil {
		return command.Undone(fmt.Errorf("%s: %w", source, err))
	}
	document, err := columns.Document()
	if err != nil {
		return fmt.Errorf("%s: %w", source, err)
	}
	if err := os.WriteFile(file, document, 0o644); err != nil {
		return command.Undone(err)
	}
	return nil
}
