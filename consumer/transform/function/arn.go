package function

import (
	"fmt"
	"regexp"
)

// ARN names a function, or a version or alias of it.
type ARN struct {
	text                       string
	partition, Region, account string
}

// functionARN is the pattern of the parameter FunctionName for whole ARNs (AWS Lambda API Reference, "Invoke").
var functionARN = regexp.MustCompile(`^arn:(aws[a-zA-Z-]*):lambda:([a-z]{2}[a-z0-9-]*-[0-9]):([0-9]{12}):function:[a-zA-Z0-9-_]+(:(\$LATEST|[a-zA-Z0-9-_]+))?$`)

// WantARN describes valid ARNs for errors.
const WantARN = "the ARN of a function, version or alias such as arn:aws:lambda:eu-west-1:123456789012:function:mask:live"

// ParseARN parses the ARN of a function.
func ParseARN(text string) (ARN, error) {
	m := functionARN.FindStringSubmatch(text)
	if m == nil {
		return ARN{}, fmt.Errorf("%q is not %s", text, WantARN)
	}
	return ARN{text: text, partition: m[1], Region: m[2], account: m[3]}, nil
}

func (a ARN) String() string { return a.text }

// Of returns the ARN of a resource in the function's account and region.
func (a ARN) Of(service, resource string) string {
	return "arn:" + a.partition + ":" + service + ":" + a.Region + ":" + a.account + ":" + resource
}
