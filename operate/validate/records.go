package validate

import (
	"context"
	"errors"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/google/uuid"

	"aws-streaming-pipeline/consumer"
	"aws-streaming-pipeline/consumer/transform/function"
	"aws-streaming-pipeline/record/catalog"
	"aws-streaming-pipeline/record/registry"
)

// schemaCheck reads the schema. A file needs no service.
func (t *tester) schemaCheck() Check {
	c := Check{Name: schemaCheck, After: []string{settingsCheck}, Try: t.trySchema}
	if isRemote(t.cfg.Schema) {
		c.After = first
	}
	return c
}

func isRemote(schema string) bool {
	return strings.HasPrefix(schema, "s3://") || catalog.IsSource(schema)
}

func (t *tester) trySchema(ctx context.Context, r *Result) {
	s, err := consumer.LoadSchema(ctx, t.cfg.Schema, consumer.SchemaServices{AWS: t.Account, S3: t.s3}, func(f func() error) error { return f() })
	if err != nil {
		about := call{what: "read the schema", setting: "SCHEMA", advice: "name a JSON Schema file that the program can read, s3://bucket/key or glue://database/table"}
		switch {
		case strings.HasPrefix(t.cfg.Schema, "s3://"):
			about.action = "s3:GetObject"
		case catalog.IsSource(t.cfg.Schema):
			about.action = "glue:GetTable"
			if source, err := catalog.ParseSource(t.cfg.Schema); err == nil && source.Version != "" {
				about.action = "glue:GetTableVersion"
			}
		}
		t.explain(r, err, about)
		return
	}
	if err := t.cfg.Fits(s); err != nil {
		r.Fail("SCHEMA", err.Error(), "change the schema, or FORMAT, TABLE and BLOOM_COLUMNS to fit it")
		return
	}
	t.schema = s
	r.OK("%s describes %d fields and fits FORMAT=%s", t.cfg.Schema, len(s.Fields), t.cfg.Format)
}

// tryRegistry asks for a version that does not exist: the registry answers so only to those who may ask.
func (t *tester) tryRegistry(ctx context.Context, r *Result) {
	glue, err := registry.NewGlue(ctx, t.Account)
	if err == nil {
		_, err = glue.SchemaVersion(ctx, uuid.NewString())
	}
	if err != nil && !errors.Is(err, registry.ErrUnknown) {
		t.explain(r, err, call{what: "look up a schema version", action: "glue:GetSchemaVersion", setting: "SCHEMA_REGISTRY"})
		return
	}
	r.OK("schema versions can be looked up in the AWS Glue Schema Registry")
}

// transform tries what changes the records.
func (t *tester) transform(function bool) Check {
	c := Check{Name: transformCheck, After: []string{settingsCheck}, Try: t.tryTransform}
	if function {
		c.After = first
	}
	return c
}

// tryTransform does not run the function: a dry run only checks that the caller may invoke it (AWS Lambda API Reference, "Invoke",
// InvocationType).
func (t *tester) tryTransform(ctx context.Context, r *Result) {
	if t.cfg.TransformQuery != "" {
		r.OK("TRANSFORM_QUERY compiles")
	}
	arn, ok := t.cfg.Function()
	if !ok {
		return
	}
	name := arn.String()
	_, err := function.NewClient(t.Account, arn).Invoke(ctx, &lambda.InvokeInput{FunctionName: &name, InvocationType: types.InvocationTypeDryRun})
	if err != nil {
		t.explain(r, err, call{what: "invoke the function " + name + ", without running it", action: "lambda:InvokeFunction", setting: "TRANSFORM"})
		return
	}
	r.OK("the function %s may be invoked; it was not run", name)
}
