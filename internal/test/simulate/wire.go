package simulate

import (
	"context"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// service answers the calls of a client: in and out are the operation's input and output.
type service func(ctx context.Context, in any) (out any, err error)

// account is the configuration of clients whose calls a service answers in this process. All of the client is real, its retries
// included; only the bytes on the wire are missing.
func account(answer service) aws.Config {
	return aws.Config{
		Region: "us-east-1", Credentials: credentials.NewStaticCredentialsProvider("id", "secret", ""),
		APIOptions: []func(*middleware.Stack) error{remember, func(stack *middleware.Stack) error {
			if _, err := stack.Deserialize.Remove("OperationDeserializer"); err != nil {
				return err
			}
			return stack.Deserialize.Add(middleware.DeserializeMiddlewareFunc("Simulate",
				func(ctx context.Context, _ middleware.DeserializeInput, _ middleware.DeserializeHandler) (middleware.DeserializeOutput, middleware.Metadata, error) {
					out, err := answer(ctx, middleware.GetStackValue(ctx, parameters{}))
					return middleware.DeserializeOutput{RawResponse: response(http.StatusOK), Result: out}, middleware.Metadata{}, err
				}), middleware.After)
		}},
	}
}

type parameters struct{}

// remember keeps the input of a call for the last step, which sees only the encoded one.
func remember(stack *middleware.Stack) error {
	return stack.Initialize.Add(middleware.InitializeMiddlewareFunc("Remember",
		func(ctx context.Context, in middleware.InitializeInput, next middleware.InitializeHandler) (middleware.InitializeOutput, middleware.Metadata, error) {
			return next.HandleInitialize(middleware.WithStackValue(ctx, parameters{}, in.Parameters), in)
		}), middleware.After)
}

func response(status int) *smithyhttp.Response {
	return &smithyhttp.Response{Response: &http.Response{
		StatusCode: status, Body: http.NoBody, Header: http.Header{"Date": {time.Now().UTC().Format(http.TimeFormat)}},
	}}
}

// failure is an answer with the status of a service that fails.
func failure(err error) error {
	return &smithyhttp.ResponseError{Response: response(http.StatusInternalServerError), Err: err}
}

// wait waits, or returns the error of a context that ends before.
func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
