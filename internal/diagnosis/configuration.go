package diagnosis

import (
	"cmp"
	"errors"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	sdkcredentials "github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/credentials/ssocreds"
)

// configuration knows what is wrong with the SDK's own settings (AWS SDKs and Tools Reference Guide, "Settings reference").
// None of it changes while a process runs.
func configuration(e examined) (Finding, bool) {
	f := Finding{Final: true, Exit: exitSettings}
	profile, unknown := errors.AsType[config.SharedConfigProfileNotExistError](e)
	_, unreadable := errors.AsType[config.SharedConfigLoadError](e)
	_, expiredSSO := errors.AsType[*ssocreds.InvalidTokenError](e)
	switch bundle := e.about.getenv("AWS_CA_BUNDLE"); {
	case unknown:
		f.Setting = "AWS_PROFILE"
		f.Text = fmt.Sprintf("AWS_PROFILE=%q: there is no such profile", profile.Profile)
		f.Advice = "name a profile of ~/.aws/config or of ~/.aws/credentials, or unset it; in a container, mount these files"
	case unreadable:
		f.Setting, f.Text = "AWS_CONFIG_FILE", e.text
		f.Advice = "correct the file, which AWS_CONFIG_FILE and AWS_SHARED_CREDENTIALS_FILE name, by default in ~/.aws"
	case expiredSSO || e.has("the SSO session has expired"):
		f.Setting, f.Text, f.Advice = "AWS_PROFILE", "the profile's SSO session has expired", "run aws sso login"
	case e.has("role ARN is not set"):
		f.Setting, f.Text = "AWS_ROLE_ARN", "AWS_WEB_IDENTITY_TOKEN_FILE is set, but AWS_ROLE_ARN is not"
		f.Advice = "annotate the service account with eks.amazonaws.com/role-arn, or set AWS_ROLE_ARN"
	case e.has("only loopback/ecs/eks hosts are allowed"):
		f.Setting = "AWS_CONTAINER_CREDENTIALS_FULL_URI"
		f.Text = fmt.Sprintf("%s=%q: the SDK does not ask this host for credentials", f.Setting, e.about.getenv(f.Setting))
		f.Advice = "use https, or the address of an agent of ECS or EKS; usually ECS or EKS sets this variable"
	case bundle != "" && e.has("load AWS configuration") && (e.has("custom CA bundle") || e.has(bundle)):
		f.Setting, f.Text, f.Advice = "AWS_CA_BUNDLE", fmt.Sprintf("AWS_CA_BUNDLE=%q: %v", bundle, cause(e)), "name a file with PEM certificates, or unset it"
	case e.has("load AWS configuration"):
		f.Text, f.Advice = e.text, "correct the variables AWS_... of the environment and the profile"
	default:
		return Finding{}, false
	}
	return f, true
}

// Regions that AWS has opened (AWS Regions and Availability Zones User Guide, "AWS Regions"), as of 2026. A region that is not
// here is in doubt only if its endpoints do not exist either.
var regions = strings.Fields(`
	af-south-1 ap-east-1 ap-east-2 ap-northeast-1 ap-northeast-2 ap-northeast-3 ap-south-1 ap-south-2 ap-southeast-1 ap-southeast-2
	ap-southeast-3 ap-southeast-4 ap-southeast-5 ap-southeast-6 ap-southeast-7 ca-central-1 ca-west-1 cn-north-1 cn-northwest-1
	eu-central-1 eu-central-2 eu-north-1 eu-south-1 eu-south-2 eu-west-1 eu-west-2 eu-west-3 eusc-de-east-1 il-central-1 me-central-1
	me-south-1 mx-central-1 sa-east-1 us-east-1 us-east-2 us-gov-east-1 us-gov-west-1 us-west-1 us-west-2`)

const setRegion = "set AWS_REGION to the region of the stream, such as eu-west-1"

// region knows that no region, or none that can be, is set. The SDK has a type for some of these errors only: the rest come
// from the rules of its endpoints (smithy-go, endpoint rules of each service).
func region(e examined) (Finding, bool) {
	f := Finding{Final: true, Exit: exitSettings, Setting: "AWS_REGION", Advice: setRegion}
	_, missing := errors.AsType[*aws.MissingRegionError](e)
	if !missing && !e.has("Invalid Configuration: Missing Region", "an AWS region is required", "A region must be set", "Invalid region: region was not a valid DNS name", "invalid input region") {
		return Finding{}, false
	}
	given := firstSet(e.about, e.about.Region, "AWS_REGION", "AWS_DEFAULT_REGION")
	if given == "" {
		f.Text = "no AWS region is set"
		return f, true
	}
	f.Text = fmt.Sprintf("AWS_REGION=%q: this is not the name of a region", given)
	return f, true
}

// firstSet returns a value, or that of the first variable that is set.
func firstSet(about Subject, value string, names ...string) string {
	for _, name := range names {
		if value != "" {
			break
		}
		value = about.getenv(name)
	}
	return value
}

// credentials knows that there are none. The SDK tries its sources one after another and asks the metadata service of EC2
// last, if nothing else is configured (AWS SDK for Go v2 Developer Guide, "Configure the SDK", credential chain).
func credentials(e examined) (Finding, bool) {
	_, empty := errors.AsType[*sdkcredentials.StaticCredentialsEmptyError](e)
	if !empty && !e.has("get credentials: ", "failed to refresh cached credentials", "failed to retrieve credentials") {
		return Finding{}, false
	}
	if e.service == "STS" {
		return roleRefused(e)
	}
	token := e.about.getenv("AWS_WEB_IDENTITY_TOKEN_FILE")
	switch none := empty || e.has("no EC2 IMDS role found"); {
	case none && status(e) >= 500:
		return Finding{Text: "the metadata service of EC2 does not give credentials: " + cause(e)}, true
	case none:
		return noCredentials(e), true
	case token != "" && e.has("unable to read file at"):
		return Finding{
			Final: true, Exit: exitSettings, Setting: "AWS_WEB_IDENTITY_TOKEN_FILE",
			Text:   fmt.Sprintf("AWS_WEB_IDENTITY_TOKEN_FILE=%q: the file cannot be read", token),
			Advice: "mount the service account's token there, which EKS does for a service account with the annotation eks.amazonaws.com/role-arn",
		}, true
	}
	for _, name := range []string{"AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"} {
		if e.about.getenv(name) != "" {
			// The agent of a node starts beside its containers, and comes back after an upgrade.
			return Finding{
				Setting: name, Text: "the agent that " + name + " names does not give credentials: " + cause(e),
				Advice: "check the agent of EKS Pod Identity or of ECS on this node, and the association of a role with the service account or task",
			}, true
		}
	}
	return Finding{Text: "the configured source of AWS credentials does not give any: " + cause(e), Advice: "check the profile and the AWS_... variables"}, true
}

// noCredentials says so. A metadata service that is out of reach is none: on an instance with a role it answers, and containers
// reach it only if the instance's hop limit lets them (Amazon EC2 User Guide, "Use IMDS").
func noCredentials(e examined) Finding {
	f := Finding{Final: true, Exit: exitSettings, Setting: "AWS_ACCESS_KEY_ID", Text: "no AWS credentials are configured"}
	if e.has("canceled, context deadline exceeded", "request send failed", "StatusCode: 4") {
		f.Text += fmt.Sprintf(", and the metadata service of EC2 gives none (%s)", cause(e))
	}
	f.Advice = "give the pod a role by a service account (IRSA or EKS Pod Identity), the task or the instance a role, or set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
	switch id, secret := e.about.getenv("AWS_ACCESS_KEY_ID"), e.about.getenv("AWS_SECRET_ACCESS_KEY"); {
	case id != "" && secret == "":
		f.Setting, f.Text, f.Advice = "AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID is set, but AWS_SECRET_ACCESS_KEY is not", "set both or none"
	case id == "" && secret != "":
		f.Text, f.Advice = "AWS_SECRET_ACCESS_KEY is set, but AWS_ACCESS_KEY_ID is not", "set both or none"
	}
	return f
}

// roleRefused knows why STS gives no credentials for a role. If STS does not answer, network knows the rest.
func roleRefused(e examined) (Finding, bool) {
	role := e.about.getenv("AWS_ROLE_ARN")
	e.about = Subject{Thing: "role " + role, Setting: "AWS_ROLE_ARN", Value: role, Getenv: e.about.Getenv, Region: e.about.Region}
	if role == "" {
		e.about.Thing, e.about.Setting, e.about.Value = "role of the profile", "AWS_PROFILE", e.about.getenv("AWS_PROFILE")
	}
	f, ok := answer(e)
	if !ok {
		return network(e)
	}
	if f.Final {
		f.Setting = e.about.Setting
		f.Advice = "check that the role exists and that its trust policy allows this identity: for a service account, its issuer, namespace and name"
	}
	return f, true
}

// cause is the innermost error in one line. The error of an agent's response has no text of its own but the body.
func cause(e examined) string {
	said := strings.Trim(oneLine(rootCause(e).Error()), ": ")
	if s := status(e); said == "" && s != 0 {
		return fmt.Sprintf("status %d", s)
	}
	return cmp.Or(said, "it fails without a reason")
}
