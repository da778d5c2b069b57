// Package infra holds the CloudFormation templates of the pipeline, the scripts that deploy and delete them, and their
// tests. See README.md for how to use them.
package infra
