package lambdas

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"aws-streaming-pipeline/consumer/record"
	"aws-streaming-pipeline/consumer/record/schema"
	"aws-streaming-pipeline/consumer/record/schema/shred"
)

// Validation is the setting of the schema. The file is the daemon's, but comes with the function, so that a cold start reads
// nothing from S3.
type Validation struct {
	Schema string `envconfig:"SCHEMA" desc:"JSON Schema file that records have to hold to: a path in the function's package, or of a layer under /opt; empty: none"`
}

// Validator checks records against a schema. A nil one allows all.
type Validator struct{ shredders sync.Pool }

// Validator reads the schema. It is nil if there is none.
func (v Validation) Validator() (*Validator, error) {
	if v.Schema == "" {
		return nil, nil
	}
	if strings.HasPrefix(v.Schema, "s3://") {
		return nil, fmt.Errorf("SCHEMA=%q: want a path: pack the schema with the function", v.Schema)
	}
	document, err := os.ReadFile(v.Schema)
	if err != nil {
		return nil, fmt.Errorf("SCHEMA=%q: %w", v.Schema, err)
	}
	s, err := schema.Parse(filepath.Base(v.Schema), document)
	if err != nil {
		return nil, fmt.Errorf("SCHEMA=%q: %w", v.Schema, err)
	}
	return &Validator{sync.Pool{New: func() any { return shred.New(s, false) }}}, nil
}

// check returns a *record.Fault if the schema does not allow the record, which is a JSON object.
func (v *Validator) check(r *record.Record) error {
	if v == nil {
		return nil
	}
	s := v.shredders.Get().(*shred.Shredder)
	fault := s.Append(r) // after a panic nobody uses it again
	s.Reset()
	v.shredders.Put(s)
	if fault != nil {
		return fault
	}
	return nil
}
