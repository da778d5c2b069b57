package lambdas

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/aws"

	"aws-streaming-pipeline/internal/awshttp"
	"aws-streaming-pipeline/internal/backoff"
	"aws-streaming-pipeline/internal/logkey"
	"aws-streaming-pipeline/record"
)

// Main is the main function of a Lambda function. build reads the settings and returns a handler that lambda.Start accepts.
// If it fails, Main reports why to Lambda, so that the invoker sees it, and ends the process.
func Main(build func(context.Context) (any, error)) {
	handler, err := build(context.Background())
	if err != nil {
		slog.New(slog.NewJSONHandler(os.Stderr, nil)).Error("function cannot start", logkey.Error, err)
		if err := reportInitError(err); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
		os.Exit(1)
	}
	lambda.Start(handler)
}

// reportInitError reports to Lambda why the function cannot start (AWS Lambda Developer Guide, "Using the Lambda runtime API
// for custom runtimes", Initialization error).
func reportInitError(cause error) error {
	host := os.Getenv("AWS_LAMBDA_RUNTIME_API")
	if host == "" {
		return nil // started by hand
	}
	const kind = "Runtime.SettingsWrong"
	body, err := json.Marshal(map[string]any{"errorMessage": cause.Error(), "errorType": kind, "stackTrace": []string{}})
	if err != nil {
		return fmt.Errorf("report failed start: %w", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+host+"/2018-06-01/runtime/init/error", bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("report failed start: %w", err)
	}
	request.Header.Set("Lambda-Runtime-Function-Error-Type", kind)
	response, err := (&http.Client{Transport: &http.Transport{}}).Do(request) // the runtime API has no proxy
	if err != nil {
		return fmt.Errorf("report failed start: %w", err)
	}
	return response.Body.Close()
}

// silence is how long a call may be silent. It leaves time for another attempt within the minute that infra/stream.yml
// gives the functions.
const silence = 15 * time.Second

// Account loads the AWS configuration of the function's environment.
func Account(ctx context.Context) (aws.Config, error) {
	account, err := awshttp.Account(ctx, awshttp.LogTo(slog.New(slog.NewJSONHandler(os.Stderr, nil))))
	if err != nil {
		return aws.Config{}, err
	}
	account.HTTPClient = awshttp.Attend(account.HTTPClient, silence)
	return account, nil
}

// Survive, deferred, turns a panic into an error that shows nothing of a payload. An unrecovered panic would fail the whole
// invocation: Lambda would redeliver what the function has delivered, and log the panic's text.
func Survive(err *error) {
	if v := recover(); v != nil {
		*err = errors.New(record.Panicked(v).Message)
	}
}

// Retries bounds the waits between attempts of a call.
var Retries = backoff.Policy{First: 50 * time.Millisecond, Longest: 2 * time.Second}
