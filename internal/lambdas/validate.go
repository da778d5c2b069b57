package lambdas

import (
	"errors"
	"os"
	"path/filepath"
	"strings"

	"aws-streaming-pipeline/record/catalog"
	"aws-streaming-pipeline/record/schema"
	"aws-streaming-pipeline/record/schema/shred"
)

// Validation is the setting of the schema. The file is the same as the daemon's, but is packaged with the function, so that
// a cold start reads nothing from S3.
type Validation struct {
	Schema string `envconfig:"SCHEMA" desc:"JSON Schema file: a path in the function's package, or in a layer under /opt. Records that violate it go to the error prefix. Default: none."`
}

// Checker returns a checker for the schema, or nil, which allows all records, if there is none.
func (v Validation) Checker() (*shred.Checker, error) {
	if v.Schema == "" {
		return nil, nil
	}
	if strings.HasPrefix(v.Schema, "s3://") || catalog.IsSource(v.Schema) {
		return nil, errors.New("want a path: pack the schema with the function")
	}
	document, err := os.ReadFile(v.Schema)
	if err != nil {
		return nil, err
	}
	s, err := schema.Parse(filepath.Base(v.Schema), document)
	if err != nil {
		return nil, err
	}
	return shred.NewChecker(s), nil
}
