// Command init is the placeholder for the Lambda functions: its package must be in the deployment bucket before the stack
// with the functions can be created, since CloudFormation refuses a function without code.
//
// It fails on every event. If it succeeded, Lambda would treat the batches as delivered, and records that arrive between the
// creation of the stack and the deployment of the functions would be lost.
package main

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/aws/aws-lambda-go/lambda"
)

func main() { lambda.Start(refuse) }

var errPlaceholder = errors.New("placeholder: the function's own code is not deployed yet")

func refuse(context.Context, json.RawMessage) (any, error) { return nil, errPlaceholder }
