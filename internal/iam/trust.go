package iam

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Trust is a policy that defines who may assume a role with tokens of OpenID Connect providers.
type Trust struct {
	Version   string           `json:"Version"`
	Statement []TrustStatement `json:"Statement"`
}

// TrustStatement allows or denies providers' tokens that meet its conditions.
type TrustStatement struct {
	Sid       string    `json:"Sid,omitempty"`
	Effect    Effect    `json:"Effect"`
	Action    Texts     `json:"Action"`
	Principal Principal `json:"Principal"`
	// Condition holds values by operator and key. All must be met.
	Condition map[string]map[string]Texts `json:"Condition,omitempty"`
}

// Principal identifies the providers whose tokens a statement applies to.
type Principal struct {
	Federated Texts `json:"Federated"` // ARNs of providers
}

// Token is what a provider states about its bearer.
type Token struct {
	Provider string // its ARN
	Claims   map[string]string
}

// assume is the action of assuming a role with a token.
const assume = "sts:AssumeRoleWithWebIdentity"

// ParseTrust parses a trust policy. As with Parse, anything that it does not support is an error.
func ParseTrust(document []byte) (Trust, error) {
	d := json.NewDecoder(bytes.NewReader(document))
	d.DisallowUnknownFields()
	var t Trust
	if err := d.Decode(&t); err != nil {
		return Trust{}, fmt.Errorf("read trust policy: %w", err)
	}
	var faults []error
	if t.Version != Version {
		faults = append(faults, fmt.Errorf("the language is Version=%q: want %q", t.Version, Version))
	}
	for i, s := range t.Statement {
		if !slices.Equal(s.Action, Texts{assume}) || len(s.Principal.Federated) == 0 {
			faults = append(faults, fmt.Errorf("statement %d: want Action %s and a federated principal", i, assume))
		}
		faults = append(faults, checkRule(i, s.Effect, s.Condition)...)
	}
	if err := errors.Join(faults...); err != nil {
		return Trust{}, fmt.Errorf("read trust policy: %w", err)
	}
	return t, nil
}

// Allows reports whether the role may be assumed with a token.
func (t Trust) Allows(token Token) bool {
	allowed := false
	for _, s := range t.Statement {
		if !s.meets(token) {
			continue
		}
		if s.Effect == Deny {
			return false
		}
		allowed = true
	}
	return allowed
}

// meets compares a token to a statement. Claims are the keys that begin with the provider's name (IAM User Guide, "IAM and
// AWS STS condition context keys").
func (s TrustStatement) meets(token Token) bool {
	if !slices.Contains(s.Principal.Federated, token.Provider) {
		return false
	}
	_, provider, _ := strings.Cut(token.Provider, "oidc-provider/")
	for operator, keys := range s.Condition {
		for key, want := range keys {
			var values []string
			if claim, ok := strings.CutPrefix(key, provider+":"); ok {
				if value, said := token.Claims[claim]; said {
					values = []string{value}
				}
			}
			if !operators[operator](values, want) {
				return false
			}
		}
	}
	return true
}
