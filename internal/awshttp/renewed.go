package awshttp

import (
	"context"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
)

// renewedAfter is how long keys of a credentials file are used until the file is read again.
const renewedAfter = time.Minute

// keysOfFile reports whether credentials are keys in a file of the SDK's (AWS SDKs and Tools Reference Guide, "Shared config and
// credentials files"). It makes no calls.
func keysOfFile(ctx context.Context, from aws.CredentialsProvider) bool {
	if !aws.IsCredentialsProvider(from, credentials.StaticCredentialsProvider{}) {
		return false
	}
	keys, err := from.Retrieve(ctx)
	return err == nil && strings.HasPrefix(keys.Source, "SharedConfigCredentials")
}

// renewed reads the keys of a file again and again: whoever mounts session keys into a container, or keeps them on a machine, renews
// them there. The SDK reads the file once, and a program that runs for long would go on with keys that have expired.
type renewed struct {
	load func(context.Context) (aws.Config, error)
	last aws.Credentials // the cache makes one call at a time
}

// Retrieve implements aws.CredentialsProvider. A file that cannot be read, such as one that is being written, leaves the keys as they
// are.
func (r *renewed) Retrieve(ctx context.Context) (aws.Credentials, error) {
	account, err := r.load(ctx)
	if err == nil && keysOfFile(ctx, account.Credentials) {
		r.last, err = account.Credentials.Retrieve(ctx)
	}
	if err != nil && !r.last.HasKeys() {
		return aws.Credentials{}, err
	}
	keys := r.last
	keys.CanExpire, keys.Expires = true, time.Now().Add(renewedAfter)
	return keys, nil
}
