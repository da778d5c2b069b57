package iam_test

import (
	"strings"
	"testing"

	"aws-streaming-pipeline/internal/iam"
)

const trusted = `{"Version": "2012-10-17", "Statement": [
	{"Effect": "Allow", "Action": "sts:AssumeRoleWithWebIdentity", "Principal": {"Federated": "arn:aws:iam::1:oidc-provider/issuer"},
	 "Condition": {"StringEquals": {"issuer:sub": ["a", "b"], "issuer:aud": "sts"}}},
	{"Effect": "Deny", "Action": "sts:AssumeRoleWithWebIdentity", "Principal": {"Federated": "arn:aws:iam::1:oidc-provider/issuer"},
	 "Condition": {"StringEquals": {"issuer:ref": "x"}}}]}`

func TestTrust_NeedsEveryClaimOfItsProvider(t *testing.T) {
	trust, err := iam.ParseTrust([]byte(trusted))
	if err != nil {
		t.Fatal(err)
	}
	const provider = "arn:aws:iam::1:oidc-provider/issuer"
	for _, test := range []struct {
		provider string
		claims   map[string]string
		want     bool
	}{
		{provider, map[string]string{"sub": "a", "aud": "sts"}, true},
		{provider, map[string]string{"sub": "b", "aud": "sts", "ref": "y"}, true},
		{provider, map[string]string{"sub": "a", "aud": "sts", "ref": "x"}, false},
		{provider, map[string]string{"sub": "a"}, false},
		{provider, map[string]string{"sub": "A", "aud": "sts"}, false},
		{provider + "/other", map[string]string{"sub": "a", "aud": "sts"}, false},
		{"arn:aws:iam::2:oidc-provider/issuer", map[string]string{"sub": "a", "aud": "sts"}, false},
	} {
		if got := trust.Allows(iam.Token{Provider: test.provider, Claims: test.claims}); got != test.want {
			t.Errorf("%s with %v: allowed is %v", test.provider, test.claims, got)
		}
	}
}

func TestParseTrust_RefusesWhatItDoesNotUnderstand(t *testing.T) {
	for old, replaced := range map[string]string{
		`2012-10-17`:                      `2008-10-17`,
		`"Deny"`:                          `"Refuse"`,
		`"StringEquals": {"issuer:ref"`:   `"StringLike": {"issuer:ref"`,
		`"Action": "sts:AssumeRoleWith`:   `"Action": "sts:AssumeRoleWithout`,
		`"Federated"`:                     `"AWS"`,
		`"Condition": {"StringEquals": {`: `"NotCondition": {"StringEquals": {`,
	} {
		broken := strings.ReplaceAll(trusted, old, replaced)
		if _, err := iam.ParseTrust([]byte(broken)); err == nil || broken == trusted {
			t.Errorf("%s in place of %s is read", replaced, old)
		}
	}
}
