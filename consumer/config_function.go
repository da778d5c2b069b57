package consumer

import (
	"errors"
	"strings"
	"time"

	"aws-streaming-pipeline/consumer/transform/function"
	"aws-streaming-pipeline/internal/settings"
)

// FunctionConfig sets the Lambda function that transforms records.
type FunctionConfig struct {
	Transform            string        `envconfig:"TRANSFORM" desc:"Transforms records with a Lambda function that was written for Firehose (docs/transforms.md): lambda: and the ARN of the function, version or alias. Default: none."`
	TransformBufferSize  Bytes         `envconfig:"TRANSFORM_BUFFER_SIZE" default:"1MiB" min:"200kB" max:"3MiB" desc:"Bound on the payloads of a call. A larger record has a call of its own."`
	TransformConcurrency int           `envconfig:"TRANSFORM_CONCURRENCY" default:"5" min:"1" max:"100" desc:"Calls at a time for the records of one shard."`
	TransformRetries     int           `envconfig:"TRANSFORM_RETRIES" default:"3" min:"0" max:"100" desc:"How often a call is repeated after the function failed, before its records go to the error prefix. Calls that do not reach the function are repeated until they do."`
	TransformTimeout     time.Duration `envconfig:"TRANSFORM_TIMEOUT" default:"5m" min:"1s" max:"15m" desc:"Bound on the time of a call. It should be longer than the function's own timeout."`
}

const lambdaScheme = "lambda:"

func (c *FunctionConfig) check(f *settings.Faults) {
	if c.Transform == "" {
		f.AtDefault(c, nil, "unless TRANSFORM is set")
		return
	}
	_, err := c.functionARN()
	f.Add("TRANSFORM", err)
}

// Function returns the function of TRANSFORM, if it is set. The settings must be valid.
func (c *FunctionConfig) Function() (arn function.ARN, ok bool) {
	arn, err := c.functionARN()
	return arn, err == nil
}

func (c *FunctionConfig) functionARN() (function.ARN, error) {
	text, ok := strings.CutPrefix(c.Transform, lambdaScheme)
	arn, err := function.ParseARN(text)
	if !ok || err != nil {
		return function.ARN{}, errors.New("want lambda: and " + function.WantARN)
	}
	return arn, nil
}

// function returns the stage that calls the function of TRANSFORM; nil without. The stream's ARN is asked for with each call,
// because it is not known before the stream was described.
func (c *Config) function(svc Services, streamARN func() string) *function.Transform {
	arn, ok := c.Function()
	if !ok {
		return nil
	}
	return function.New(function.Config{
		Function: arn, Application: c.Application,
		Stream: func() string {
			if known := streamARN(); known != "" {
				return known
			}
			return arn.Of("kinesis", "stream/"+c.Stream)
		},
		BufferSize: int64(c.TransformBufferSize), Concurrency: c.TransformConcurrency, Retries: c.TransformRetries, Timeout: c.TransformTimeout,
	}, function.Parts{Client: svc.Function, Budget: svc.Budget, Metrics: svc.Metrics, Log: svc.Log})
}
