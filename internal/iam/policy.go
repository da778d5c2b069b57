// Package iam implements the part of AWS Identity and Access Management that this project's policies need: it writes and
// parses policies, and determines what a request needs and whether a policy allows it. A Guard enforces a policy in front
// of emulators, which allow everything.
//
// The rules are those of the IAM User Guide, "Policy evaluation logic", for one identity-based policy: a request must be
// allowed, and must not be denied. The actions and resources that a request needs are those of the Service Authorization
// Reference.
package iam

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Policy is an identity-based policy.
type Policy struct {
	Version   string      `json:"Version"`
	Statement []Statement `json:"Statement"`
}

// Version is the version of the policy language.
const Version = "2012-10-17"

// Statement allows or denies actions on resources.
type Statement struct {
	Sid      string `json:"Sid"` // says what for
	Effect   Effect `json:"Effect"`
	Action   Texts  `json:"Action"`
	Resource Texts  `json:"Resource"`
	// Condition holds values by operator and key. All must be met.
	Condition map[string]map[string]Texts `json:"Condition,omitempty"`
}

// Effect is what a statement does.
type Effect string

// The effects.
const (
	Allow Effect = "Allow"
	Deny  Effect = "Deny"
)

// Texts are one or several strings; in JSON, a single one need not be in a list.
type Texts []string

// UnmarshalJSON implements json.Unmarshaler.
func (t *Texts) UnmarshalJSON(b []byte) error {
	var one string
	if json.Unmarshal(b, &one) == nil {
		*t = Texts{one}
		return nil
	}
	return json.Unmarshal(b, (*[]string)(t))
}

// operators are the condition operators that are understood (IAM User Guide, "IAM JSON policy elements: Condition
// operators"), each with its rule for the values of a request and those of the policy.
var operators = map[string]func(values, want []string) bool{
	"StringEquals": func(values, want []string) bool { return len(values) == 1 && slices.Contains(want, values[0]) },
	"ForAnyValue:StringEquals": func(values, want []string) bool {
		return slices.ContainsFunc(values, func(v string) bool { return slices.Contains(want, v) })
	},
}

// Parse parses a policy. Anything that it does not support is an error: a policy must not be read as less, or more, than it
// is.
func Parse(document []byte) (Policy, error) {
	d := json.NewDecoder(bytes.NewReader(document))
	d.DisallowUnknownFields()
	var p Policy
	if err := d.Decode(&p); err != nil {
		return Policy{}, fmt.Errorf("read policy: %w", err)
	}
	var faults []error
	if p.Version != Version {
		faults = append(faults, fmt.Errorf("the language is Version=%q: want %q", p.Version, Version))
	}
	for i, s := range p.Statement {
		if len(s.Action) == 0 || len(s.Resource) == 0 {
			faults = append(faults, fmt.Errorf("statement %d: want actions and resources", i))
		}
		faults = append(faults, checkRule(i, s.Effect, s.Condition)...)
	}
	if err := errors.Join(faults...); err != nil {
		return Policy{}, fmt.Errorf("read policy: %w", err)
	}
	return p, nil
}

// checkRule says what is wrong with, or not understood of, what statements of every kind of policy have.
func checkRule(statement int, effect Effect, condition map[string]map[string]Texts) (faults []error) {
	if effect != Allow && effect != Deny {
		faults = append(faults, fmt.Errorf("statement %d: Effect=%q: want Allow or Deny", statement, effect))
	}
	for operator := range condition {
		if operators[operator] == nil {
			faults = append(faults, fmt.Errorf("statement %d: condition operator %q is not supported", statement, operator))
		}
	}
	return faults
}

// Need is a permission that a request needs.
type Need struct {
	Action   string // such as s3:PutObject
	Resource string // an ARN
	// Context are the values of condition keys.
	Context map[string][]string
}

func (n Need) String() string { return n.Action + " on " + n.Resource }

// Allows reports whether the policy allows a need.
func (p Policy) Allows(n Need) bool {
	allowed := false
	for _, s := range p.Statement {
		if !s.meets(n) {
			continue
		}
		if s.Effect == Deny {
			return false
		}
		allowed = true
	}
	return allowed
}

func (s Statement) meets(n Need) bool {
	action := func(pattern string) bool { return matches(strings.ToLower(pattern), strings.ToLower(n.Action)) }
	resource := func(pattern string) bool { return matches(pattern, n.Resource) }
	if !slices.ContainsFunc(s.Action, action) || !slices.ContainsFunc(s.Resource, resource) {
		return false
	}
	for operator, keys := range s.Condition {
		for key, want := range keys {
			if rule := operators[operator]; rule == nil || !rule(n.Context[key], want) {
				return false
			}
		}
	}
	return true
}

// Without returns the policy without an action, and without the statements that have no other.
func (p Policy) Without(action string) Policy {
	rest := Policy{Version: p.Version}
	for _, s := range p.Statement {
		s.Action = slices.DeleteFunc(slices.Clone(s.Action), func(a string) bool { return a == action })
		if len(s.Action) > 0 {
			rest.Statement = append(rest.Statement, s)
		}
	}
	return rest
}

// Actions returns the actions of all statements, in order, each once.
func (p Policy) Actions() []string {
	var all []string
	for _, s := range p.Statement {
		all = append(all, s.Action...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}
