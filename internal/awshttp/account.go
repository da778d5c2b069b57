package awshttp

import (
	"context"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdkhttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials/endpointcreds"
)

const (
	// silence is how long any call may say nothing. It is what botocore grants (botocore.config.Config, read_timeout), so
	// every service answers sooner.
	silence = time.Minute
	// credentialsBound ends one attempt to get credentials, which takes the services a fraction of a second.
	credentialsBound = 10 * time.Second
)

// Account loads the AWS configuration of the environment. No call made with it waits for ever (see Attend), and calls do
// not wait for one another (see Parallel). The calls by which credentials are fetched have a bound as well: the SDK makes
// one of them for all callers and does not end it with their contexts, so a single one without an answer would stop every
// service.
func Account(ctx context.Context, options ...func(*config.LoadOptions) error) (aws.Config, error) {
	// The providers of credentials keep the client that is there while the configuration is loaded. It has to be the
	// SDK's: AWS_CA_BUNDLE is put into it. The provider that asks the agent of ECS or of EKS Pod Identity would use another.
	client := sdkhttp.NewBuildableClient().WithTimeout(credentialsBound)
	defaults := []func(*config.LoadOptions) error{
		config.WithHTTPClient(client),
		config.WithEndpointCredentialOptions(func(o *endpointcreds.Options) { o.HTTPClient = client }),
	}
	account, err := config.LoadDefaultConfig(ctx, append(defaults, options...)...)
	if err != nil {
		return aws.Config{}, fmt.Errorf("load AWS configuration: %w", err)
	}
	if c, ok := account.HTTPClient.(*sdkhttp.BuildableClient); ok {
		account.HTTPClient = c.WithTimeout(0)
	}
	account.HTTPClient = Client(account.HTTPClient)
	return account, nil
}

// Client returns a client for the calls of any service: one that keeps its connections (see Keep), has enough of them (see
// Parallel), and does not wait for ever (see Attend). A nil client is the SDK's own.
func Client(client aws.HTTPClient) aws.HTTPClient { return Attend(Keep(Parallel(client)), silence) }
