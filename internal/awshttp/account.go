package awshttp

import (
	"context"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdkhttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials/endpointcreds"
	"github.com/aws/smithy-go/logging"

	"aws-streaming-pipeline/internal/diagnosis"
)

const (
	// silence is how long any call may be silent. It is botocore's default (botocore.config.Config, read_timeout), so every
	// service responds sooner.
	silence = time.Minute
	// credentialsBound limits one attempt to get credentials, which takes the services a fraction of a second.
	credentialsBound = 10 * time.Second
)

// Account loads the AWS configuration of the environment. No call made with it waits forever (see Attend), and calls do
// not wait for one another (see Parallel). Calls that fetch credentials have a time limit, too: the SDK shares one among
// all callers and does not cancel it with their contexts, so a single call without a response would block every service.
// The SDK logs nothing, unless LogTo is among the options. Keys in a credentials file may be renewed while the
// program runs.
func Account(ctx context.Context, options ...func(*config.LoadOptions) error) (aws.Config, error) {
	if err := diagnosis.Endpoints(); err != nil {
		return aws.Config{}, err
	}
	// The providers of credentials keep the client that is there while the configuration is loaded. It has to be the
	// SDK's: AWS_CA_BUNDLE is put into it. The provider that asks the agent of ECS or of EKS Pod Identity would use another.
	client := sdkhttp.NewBuildableClient().WithTimeout(credentialsBound)
	defaults := []func(*config.LoadOptions) error{
		config.WithHTTPClient(client),
		config.WithLogger(logging.Nop{}),
		config.WithEndpointCredentialOptions(func(o *endpointcreds.Options) { o.HTTPClient = client }),
	}
	load := func(ctx context.Context) (aws.Config, error) {
		return config.LoadDefaultConfig(ctx, append(defaults, options...)...)
	}
	account, err := load(ctx)
	if err != nil {
		return aws.Config{}, diagnosis.Explain(fmt.Errorf("load AWS configuration: %w", err), diagnosis.Subject{})
	}
	if keysOfFile(ctx, account.Credentials) {
		account.Credentials = aws.NewCredentialsCache(&renewed{load: load})
	}
	if c, ok := account.HTTPClient.(*sdkhttp.BuildableClient); ok {
		account.HTTPClient = c.WithTimeout(0)
	}
	account.HTTPClient = Client(account.HTTPClient)
	return account, nil
}

// Client returns a client for calls to any service: it keeps its connections (see Keep), has enough of them (see
// Parallel), and does not wait forever (see Attend). A nil client means the SDK's own.
func Client(client aws.HTTPClient) aws.HTTPClient { return Attend(Keep(Parallel(client)), silence) }
