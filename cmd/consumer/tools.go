package main

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/spf13/cobra"

	"aws-streaming-pipeline/consumer"
	"aws-streaming-pipeline/internal/awshttp"
	"aws-streaming-pipeline/internal/command"
	environment "aws-streaming-pipeline/internal/settings"
)

// toolSettings returns the daemon's settings as far as they are set. Errors are ignored, since the tools need only a few
// settings and must run without the rest; the daemon reports what is missing or wrong.
func toolSettings() consumer.Config {
	var c consumer.Config
	_ = environment.Read(&c)
	return c
}

// loadSettings returns the daemon's settings, which must be valid.
func loadSettings() (consumer.Config, error) {
	cfg, err := consumer.LoadConfig()
	if err != nil {
		return cfg, command.InvalidSettings(err)
	}
	return cfg, nil
}

// flagOr returns the value of a flag, or without the flag that of the setting it stands for.
func flagOr(cmd *cobra.Command, name, setting string) string {
	if f := cmd.Flags().Lookup(name); f.Changed {
		return f.Value.String()
	}
	return setting
}

// loadAccount loads the AWS configuration of the tools.
func loadAccount(ctx context.Context) (aws.Config, error) { return awshttp.Account(ctx) }

func bucketClient(account aws.Config, cfg consumer.Config) *s3.Client {
	return s3.NewFromConfig(account, func(o *s3.Options) {
		o.UsePathStyle = cfg.PathStyle
		// Multipart objects have no checksum of the whole object, and the SDK would log that for each one read.
		o.DisableLogOutputChecksumValidationSkipped = true
	})
}
