package validate

import (
	"cmp"
	"errors"

	"github.com/aws/smithy-go"

	"aws-streaming-pipeline/internal/diagnosis"
)

// call is a call that a check makes.
type call struct {
	what    string // the act and its object, such as "describe the stream"
	action  string // the permission that it needs; may be empty
	setting string // that names the object; may be empty
	advice  string // what to do about an error that says nothing of it
}

// explain adds the failure of a call.
func (t *tester) explain(r *Result, err error, c call) {
	if c.action != "" {
		c.what += " (" + c.action + ")"
	}
	r.Explain(err, c.what, t.subject(c.setting), c.advice)
}

// subject is what a setting names.
func (t *tester) subject(setting string) diagnosis.Subject {
	about := diagnosis.Subject{Setting: setting, Region: t.Account.Region}
	switch setting {
	case "STREAM_NAME":
		about.Thing, about.Value = "stream "+t.cfg.Stream, t.cfg.Stream
	case "FAN_OUT_CONSUMER":
		about.Thing, about.Value = "consumer "+t.cfg.FanOutConsumer, t.cfg.FanOutConsumer
	case "APPLICATION_NAME", "CHECKPOINT_TABLE":
		about.Thing, about.Value = "table "+t.cfg.Table(), t.cfg.Table()
	case "BUCKET":
		about.Thing, about.Value = "bucket "+t.cfg.Bucket, t.cfg.Bucket
	case "SCHEMA":
		about.Thing, about.Value = "schema "+t.cfg.Schema, t.cfg.Schema
	case "SCHEMA_REGISTRY":
		about.Thing, about.Value = "AWS Glue Schema Registry", t.cfg.SchemaRegistry
	case "TRANSFORM":
		about.Thing, about.Value = "function "+t.cfg.Transform, t.cfg.Transform
	}
	return about
}

// Explain adds the failure of an act, such as "describe the stream", with what it means and what to do: the advice is for errors of which
// nothing more is known.
func (r *Result) Explain(err error, act string, about diagnosis.Subject, advice string) {
	found := diagnosis.Of(err, about)
	if act != "" {
		found.Text = act + ": " + found.Text
	}
	r.Fail(found.Setting, found.Text, cmp.Or(found.Advice, advice))
}

// answered reports whether an error is the answer of a service.
func answered(err error) bool {
	_, ok := errors.AsType[smithy.APIError](err)
	return ok
}

// is reports whether a service answered with one of the error codes.
func is(err error, codes ...string) bool {
	answer, ok := errors.AsType[smithy.APIError](err)
	if !ok {
		return false
	}
	for _, code := range codes {
		if answer.ErrorCode() == code {
			return true
		}
	}
	return false
}
