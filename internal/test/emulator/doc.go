// Package emulator starts independent stand-ins for AWS services, so that tests do not rely on our own idea of AWS.
//
//	endpoint := emulator.Moto(t)
//	client := kinesis.New(kinesis.Options{BaseEndpoint: &endpoint.URL, ...})
//
// Each call starts a separate process that listens on the loopback address only, waits until it answers, and ends it with the
// test. The files of a stand-in are pinned by committed manifests. They are fetched once, to .cache/emulator at the root of the
// repository, by the first test that needs them or by
//
//	go run ./internal/test/emulator/fetch
//
// A test whose runtime (node, python3, java) or registry is missing is skipped with a line that begins with LEFT OUT.
// If CI is true in the environment, it fails instead.
//
// The package also has third-party tools: Python with DuckDB and PyArrow, Encoders with fastavro and Protobuf, Tables with pyiceberg
// and DuckDB's extension for Iceberg, Tools with the AWS CLI, cfn-lint and sqlglot, Validator with AWS's own validator of
// CloudFormation templates, SAM with AWS's translator of its templates, CDK with the CDK's library, TerraformProvider with the schema of
// Terraform's provider, ShellCheck, and KubernetesTools with helm and a validator of manifests.
//
// PostgreSQL is the real server, in two major versions, with standbys, full disks and crashes on request.
//
// Kinesalite, KinesisLocal and Moto stand in for Kinesis; Dynalite, DynamoDBLocal and Moto for DynamoDB; Versitygw and
// Moto for S3; Moto also for Firehose, CloudFormation and the Glue Schema Registry; IcebergCatalog for an Iceberg REST catalog.
// The conformance suite of package localstream asserts where those for Kinesis differ from AWS's documentation.
package emulator
