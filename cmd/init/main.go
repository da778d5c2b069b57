// Command init is the placeholder of the Lambda functions: its package has to be in the deployment bucket before the stack
// with the functions can be created, since CloudFormation refuses a function without code.
//
// It refuses every event. If it answered, Lambda would take batches of the stream for delivered, and records that came
// in between the creation of the stack and the deployment of the functions would be lost.
package main

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/aws/aws-lambda-go/lambda"
)

func main() { lambda.Start(refuse) }

var errPlaceholder = errors.New("this is the placeholder: the function's own code is not deployed yet")

func refuse(context.Context, json.RawMessage) (any, error) { return nil, errPlaceholder }
