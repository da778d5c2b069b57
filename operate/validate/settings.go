package validate

import (
	"context"
	"errors"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"aws-streaming-pipeline/internal/diagnosis"
)

// trySettings shows the faults of the settings, each on a line of its own.
func (t *tester) trySettings(_ context.Context, r *Result) {
	if t.Faults != nil {
		for fault := range strings.SplitSeq(t.Faults.Error(), "\n") {
			setting, _, _ := strings.Cut(fault, "=")
			if strings.ContainsAny(setting, " :") {
				setting, _, _ = strings.Cut(setting, " ")
			}
			r.Fail(strings.TrimSuffix(setting, ":"), fault, "")
		}
	} else {
		r.OK("all values are valid")
	}
	for _, warning := range t.Warnings {
		r.Warn("", warning, "")
	}
}

// tryRegion needs no call.
func (t *tester) tryRegion(_ context.Context, r *Result) {
	switch {
	case t.AccountErr != nil:
		t.explain(r, t.AccountErr, call{what: "load the AWS configuration"})
	case t.Account.Region == "":
		r.Fail("AWS_REGION", "no region is set", "set AWS_REGION, or a region in the profile of AWS_PROFILE")
	default:
		r.OK("%s", t.Account.Region)
	}
}

// tryCredentials finds out whose the credentials are. GetCallerIdentity needs no permission (AWS STS API Reference, "GetCallerIdentity").
// The program does without STS: a private network may have no endpoint for it, and an emulator or a gateway may not know the call. Only an
// answer that refuses the credentials is a failure.
func (t *tester) tryCredentials(ctx context.Context, r *Result) {
	if t.Account.Credentials == nil {
		t.explain(r, errors.New("there is no provider of credentials"), call{what: "get credentials"})
		return
	}
	got, err := t.Account.Credentials.Retrieve(ctx)
	if err != nil {
		t.explain(r, err, call{what: "get credentials"})
		return
	}
	if t.emulated() && t.sts.Options().BaseEndpoint == nil {
		r.OK("from %s; whose they are was not asked, because other services have endpoints of their own, and AWS_ENDPOINT_URL_STS is not set", got.Source)
		return
	}
	out, err := t.sts.GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
	switch {
	case err == nil && aws.ToString(out.Account) != "":
		r.OK("account %s, %s, from %s", aws.ToString(out.Account), aws.ToString(out.Arn), got.Source)
		return
	case err == nil: // something else than STS, with a response that has nothing of its own
		err = errors.New("there is no account in the answer")
	case diagnosis.RefusesCredentials(err):
		t.explain(r, err, call{what: "ask STS whose the credentials are", advice: "check the credentials"})
		return
	}
	r.OK("from %s", got.Source)
	r.Warn("", "who the credentials are could not be asked: "+diagnosis.Of(err, t.subject("")).Text, "nothing, if the network has no endpoint for STS, or if the services are not AWS; the checks that follow use the credentials")
}

// emulated reports whether a service is reached at an endpoint of its own: STS would not know the credentials for an emulator.
func (t *tester) emulated() bool {
	return t.kinesis.Options().BaseEndpoint != nil || t.s3.Options().BaseEndpoint != nil || t.dynamodb.Options().BaseEndpoint != nil
}
