package consumer

import (
	"cmp"
	"errors"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"

	"aws-streaming-pipeline/internal/diagnosis"
	"aws-streaming-pipeline/record/catalog"
)

// AboutStream is the stream of the settings, for diagnoses. The region is the account's.
func (c *Config) AboutStream(region string) diagnosis.Subject {
	about := diagnosis.Subject{Thing: "stream " + c.Stream, Setting: "STREAM_NAME", Value: c.Stream, Region: region}
	if c.StreamARN != "" {
		about.Setting, about.Value = "STREAM_ARN", c.StreamARN
	}
	return about
}

// AboutBucket is the bucket of the settings, for diagnoses.
func (c *Config) AboutBucket(region string) diagnosis.Subject {
	return diagnosis.Subject{Thing: "bucket " + c.Bucket, Setting: "BUCKET", Value: c.Bucket, Region: region}
}

// AboutTable is the DynamoDB table of the settings, for diagnoses.
func (c *Config) AboutTable(region string) diagnosis.Subject {
	about := diagnosis.Subject{Thing: "table " + c.Table(), Setting: "APPLICATION_NAME", Value: c.Application, Region: region}
	if c.CheckpointTable != "" {
		about.Setting, about.Value = "CHECKPOINT_TABLE", c.CheckpointTable
	}
	return about
}

// AboutSchema is the schema of the settings, for diagnoses.
func (c *Config) AboutSchema(region string) diagnosis.Subject {
	about := diagnosis.Subject{Thing: "schema " + c.Schema, Setting: "SCHEMA", Value: c.Schema, Region: region}
	if catalog.IsSource(c.Schema) {
		about.Service = "Glue"
	}
	return about
}

// AboutTables is a table of TABLE, or its catalog, for diagnoses.
func (c *Config) AboutTables(uri, region string) diagnosis.Subject {
	return diagnosis.Subject{Thing: "table " + uri, Setting: "TABLE", Value: cmp.Or(uri, c.TableConfig.Table), Region: region}
}

// inRegion returns why a resource that the settings name by its ARN cannot be reached: requests go to the region of the account, and a
// service knows only what is in its own. That there is no region is said before anybody asks for credentials.
func (c *Config) inRegion(region string) error {
	if region == "" {
		return diagnosis.Explain(&aws.MissingRegionError{}, c.AboutStream(region))
	}
	for _, named := range []struct{ setting, arn, what string }{{"STREAM_ARN", c.StreamARN, "stream"}, {"CHECKPOINT_TABLE", c.CheckpointTable, "table"}} {
		parts := strings.Split(named.arn, ":") // arn:partition:service:region:account:resource
		if len(parts) < 6 || parts[3] == region {
			continue
		}
		return &diagnosis.Error{Err: errors.New("another region"), Finding: diagnosis.Finding{
			Final: true, Exit: 2, Setting: named.setting,
			Text:   fmt.Sprintf("%s=%q: the %s is in %s, but AWS_REGION is %s", named.setting, named.arn, named.what, parts[3], region),
			Advice: "set AWS_REGION=" + parts[3] + ", or correct the ARN",
		}}
	}
	return nil
}

// wrongSetting is an error that a setting's value causes: only another value mends it.
func wrongSetting(setting string, err error) error {
	if err == nil {
		return nil
	}
	return &diagnosis.Error{Err: err, Finding: diagnosis.Finding{Final: true, Exit: 2, Setting: setting, Text: err.Error()}}
}
