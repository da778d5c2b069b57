// Package emulator starts independent stand-ins for AWS services, so that tests meet behaviour that nobody of this
// project wrote.
//
//	endpoint := emulator.Moto(t)
//	client := kinesis.New(kinesis.Options{BaseEndpoint: &endpoint.URL, ...})
//
// Each call starts a process of its own that listens on the loopback address only, waits until it answers, and ends it
// with the test. What a stand-in needs is fetched once, pinned by committed manifests, into .cache/emulator at the root
// of the repository: by the first test that wants it or by
//
//	go run ./internal/test/emulator/fetch
//
// A test whose runtime (node, python3, java) or registry is missing is skipped with a line that begins with LEFT OUT.
// Where CI is true in the environment it fails instead.
//
// Beside them are tools that nobody of this project wrote: Python has DuckDB and PyArrow, Encoders fastavro and
// Protobuf, Tools the AWS CLI, cfn-lint and
// sqlglot, Validator AWS's own validator of CloudFormation templates, ShellCheck what finds faults in scripts,
// KubernetesTools helm and a validator of manifests.
//
// Kinesalite, KinesisLocal and Moto stand in for Kinesis; Dynalite, DynamoDBLocal and Moto for DynamoDB; Versitygw and
// Moto for S3; Moto also for Firehose, CloudFormation and the Glue Schema Registry. Where they differ from the documents of AWS is asserted by
// the conformance suite of package localstream for Kinesis.
package emulator
