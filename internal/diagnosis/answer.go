package diagnosis

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// Error codes by what they mean, from the API references of Kinesis, DynamoDB, S3 ("Error responses"), Glue, Lambda, Secrets
// Manager and STS, each with its "Common Errors". The requests HEAD of S3 have no code but the text of their status.
var (
	expired = []string{"ExpiredTokenException", "ExpiredToken", "TokenRefreshRequired"}
	badKeys = []string{
		"UnrecognizedClientException", "InvalidClientTokenId", "InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidSignatureException",
		"IncompleteSignature", "IncompleteSignatureException", "MissingAuthenticationToken", "MissingAuthenticationTokenException",
		"InvalidToken", "AuthFailure", "InvalidIdentityToken", "NotSignedUp", "OptInRequired", "SubscriptionRequiredException",
	}
	clock   = []string{"RequestTimeTooSkewed", "RequestExpired", "RequestInTheFuture"}
	denied  = []string{"AccessDenied", "AccessDeniedException", "Forbidden", "UnauthorizedOperation", "NotAuthorized", "AllAccessDisabled", "AccountProblem"}
	missing = []string{
		"ResourceNotFoundException", "NoSuchBucket", "NoSuchKey", "NotFound", "EntityNotFoundException", "TableNotFoundException", "NoSuchVersion",
	}
	elsewhere = []string{"PermanentRedirect", "MovedPermanently", "AuthorizationHeaderMalformed", "TemporaryRedirect", "IllegalLocationConstraintException"}
	// inChange are states of a resource that another one follows: a stream or a table that is being created.
	inChange = []string{"ResourceInUseException", "TableInUseException", "OperationAborted"}
)

// answer knows what the error of a service means.
func answer(e examined) (Finding, bool) {
	api, ok := errors.AsType[smithy.APIError](e)
	if !ok {
		return Finding{}, false
	}
	code, message := api.ErrorCode(), api.ErrorMessage()
	is := func(codes []string) bool { return slices.Contains(codes, code) }
	throttled := retry.IsErrorThrottles(retry.DefaultThrottles).IsErrorThrottle(e.error) == aws.TrueTernary
	switch s := status(e); {
	case throttled, strings.Contains(code, "Throttl"), s == http.StatusTooManyRequests:
		return Finding{Text: e.who() + " throttles the calls: " + quoted(code, message)}, true
	case is(expired):
		return expiredKeys(e), true
	case is(clock), is(badKeys) && strings.Contains(message, "Signature expired"), is(badKeys) && strings.Contains(message, "Signature not yet current"):
		// The clock of a machine that has just started or resumed is set by its time service.
		return Finding{Text: "the clock of this machine is wrong: " + quoted(code, message), Advice: "set it by NTP, such as the Amazon Time Sync Service"}, true
	case is(badKeys):
		return refusedKeys(e, code, message), true
	case strings.HasPrefix(code, "KMS"):
		return keyRefused(e, code, message), true
	case is(denied):
		return refused(e, code, message), true
	case is(missing):
		return absent(e, code, message), true
	case is(elsewhere), s == http.StatusBadRequest && code == "BadRequest" && e.service == "S3": // HEAD of a bucket in another region
		return inOtherRegion(e, message), true
	case is(inChange):
		return Finding{Text: e.about.named() + e.about.what() + " is being created or changed: " + quoted(code, message)}, true
	case s >= 500, api.ErrorFault() == smithy.FaultServer:
		return Finding{Text: fmt.Sprintf("%s fails with status %s: %s", e.who(), statusText(s), quoted(code, message)) + e.atEndpoint()}, true
	}
	return Finding{
		Final: true, Setting: e.about.Setting, Text: e.about.named() + e.who() + " rejects " + cmp.Or(e.operation, "the call") + ": " + quoted(code, message) + e.atEndpoint(),
	}, true
}

// RefusesCredentials reports whether an error is the answer of a service that does not accept the credentials, or that allows them nothing.
func RefusesCredentials(err error) bool {
	api, ok := errors.AsType[smithy.APIError](err)
	return ok && slices.Contains(slices.Concat(expired, badKeys, clock, denied), api.ErrorCode())
}

func expiredKeys(e examined) Finding {
	f := Finding{Text: "the AWS credentials have expired", Advice: "waiting for new ones"}
	if e.about.getenv("AWS_ACCESS_KEY_ID") != "" { // nothing renews what is in the environment of a process
		f = Finding{
			Final: true, Exit: exitSettings, Setting: "AWS_SESSION_TOKEN", Text: "the AWS credentials of AWS_ACCESS_KEY_ID and AWS_SESSION_TOKEN have expired",
			Advice: "set new ones and start again",
		}
	}
	return f
}

func refusedKeys(e examined, code, message string) Finding {
	f := Finding{Final: true, Exit: exitSettings, Setting: "AWS_ACCESS_KEY_ID"}
	f.Text = e.who() + " does not accept the AWS credentials: " + quoted(code, message)
	f.Advice = "check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN, or the profile; keys of one partition or of a region that is not enabled do not work elsewhere"
	return f
}

// authorization matches the message of a refusal (IAM User Guide, "Troubleshoot access denied error messages").
var authorization = regexp.MustCompile(`(?i)not authorized to perform:? (\S+?)(?: on resource:? "?([^\s"]+)"?)?(?: (?:because|with) (.*))?$`)

func refused(e examined, code, message string) Finding {
	f := Finding{Final: true, Setting: e.about.Setting}
	lookAtPolicy := `"consumer policy" prints what these settings need`
	found := authorization.FindStringSubmatch(message)
	if found == nil {
		f.Text = e.about.named() + e.who() + " refuses " + cmp.Or(e.operation, "the call") + " of " + e.about.what() + ": " + quoted(code, message)
		f.Advice = "allow it; " + lookAtPolicy
		return f
	}
	action, resource, reason := found[1], cmp.Or(found[2], e.about.what()), found[3]
	f.Text = fmt.Sprintf("%s%s on %s is not allowed", e.about.named(), action, resource)
	if reason != "" {
		f.Text += " (" + strings.TrimSuffix(reason, ".") + ")"
	}
	f.Advice = "allow it; " + lookAtPolicy
	if strings.HasPrefix(action, "kms:") {
		f.Setting, f.Advice = "S3_KMS_KEY_ID", "allow it in the key's policy, too; "+lookAtPolicy
	}
	return f
}

func keyRefused(e examined, code, message string) Finding {
	f := Finding{Final: true, Setting: e.about.Setting}
	f.Text = e.about.named() + e.who() + " cannot use the KMS key of " + e.about.what() + ": " + quoted(code, message)
	f.Advice = "enable the key, and allow its use in the key's policy and in the role's"
	return f
}

func absent(e examined, code, message string) Finding {
	f := Finding{Final: true, Setting: e.about.Setting}
	f.Text = e.about.named() + e.about.what() + " does not exist" + inRegion(e.about) + e.atEndpoint()
	if message != "" && !strings.EqualFold(message, "not found") {
		f.Text += ": " + quoted(code, message)
	}
	f.Advice = "create it, or correct " + cmp.Or(e.about.Setting, "its name") + ", AWS_REGION or the account of the credentials"
	return f
}

func inOtherRegion(e examined, message string) Finding {
	f := Finding{Final: true, Exit: exitSettings, Setting: cmp.Or(e.about.Setting, "AWS_REGION")}
	region := bucketRegion(e)
	if region == "" {
		f.Text = e.about.named() + e.about.what() + " is in another region than " + cmp.Or(e.about.Region, "AWS_REGION") + ": " + oneLine(message)
		f.Advice = "use a bucket in the region of AWS_REGION"
		return f
	}
	f.Text = e.about.named() + e.about.what() + " is in " + region + ", not in " + cmp.Or(e.about.Region, "the region of AWS_REGION")
	f.Advice = "set AWS_REGION=" + region + " if the stream is there as well, or use a bucket in the stream's region"
	return f
}

// expects matches the region in the message of AuthorizationHeaderMalformed.
var expects = regexp.MustCompile(`expecting '([a-z0-9-]+)'`)

// bucketRegion returns where S3 says that the bucket is; empty if it does not.
func bucketRegion(e examined) string {
	if r, ok := errors.AsType[*smithyhttp.ResponseError](e); ok && r.Response != nil && r.Response.Response != nil {
		if region := r.Response.Header.Get("x-amz-bucket-region"); region != "" {
			return region
		}
	}
	if found := expects.FindStringSubmatch(e.text); found != nil {
		return found[1]
	}
	return ""
}

func inRegion(about Subject) string {
	if about.Region == "" {
		return ""
	}
	return " in " + about.Region
}

// status returns the status of a response, 0 if there was none.
func status(e examined) int {
	r, ok := errors.AsType[*smithyhttp.ResponseError](e)
	if !ok || r.Response == nil || r.Response.Response == nil {
		return 0
	}
	return r.Response.StatusCode
}

func statusText(status int) string {
	if status == 0 {
		return "unknown"
	}
	return fmt.Sprint(status)
}

// quoted is what a service says, in one line. Services name resources and callers, never payloads.
func quoted(code, message string) string {
	if message == "" || message == code {
		return code
	}
	return code + ": " + oneLine(message)
}

func oneLine(text string) string {
	return strings.TrimSuffix(strings.Join(strings.Fields(text), " "), ".")
}
