package function

import (
	"errors"
	"io"
	"net/http"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"

	"aws-streaming-pipeline/internal/awshttp"
)

// NewClient returns a client for a function, in the function's region. It does not retry, because a Transform does.
func NewClient(account aws.Config, function ARN) *lambda.Client {
	return lambda.NewFromConfig(account, func(o *lambda.Options) {
		o.Region = function.Region
		o.Retryer = aws.NopRetryer{}
		client := account.HTTPClient
		if client == nil {
			client = awshttp.Client(nil)
		}
		o.HTTPClient = bounded{client}
	})
}

// errAnswerTooLarge ends an answer that Lambda would not have sent.
var errAnswerTooLarge = errors.New("the answer is larger than 6 MB")

// bounded is a client whose answers have a bound, because the SDK reads them whole.
type bounded struct{ lambda.HTTPClient }

func (b bounded) Do(r *http.Request) (*http.Response, error) {
	answer, err := b.HTTPClient.Do(r)
	if err == nil {
		answer.Body = &boundedBody{answer.Body, maxAnswer}
	}
	return answer, err
}

// maxAnswer is how many bytes an answer has at most. Lambda's own bound is the 6291556 that its error
// Function.ResponseSizeTooLarge names.
const maxAnswer = 6<<20 + 100

type boundedBody struct {
	io.ReadCloser
	left int
}

func (b *boundedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if b.left -= n; b.left < 0 {
		return 0, errAnswerTooLarge
	}
	return n, err
}
