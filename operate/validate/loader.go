package validate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdkhttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/record/schema"
	"aws-streaming-pipeline/record/table"
	"aws-streaming-pipeline/writers/layout"
)

// Known is what is known of a table before it is asked.
type Known struct {
	// Schema is SCHEMA; nil without one.
	Schema *schema.Schema
	// Previous is the table.Definition that a loader stored last; empty if none did, or if it is not known.
	Previous json.RawMessage
}

// Loader returns the checks of the loader. Each table of TABLE is tried by destination, which writes nothing.
func Loader(c Config, destination func(context.Context, *Result, table.URI, Known)) []Check {
	t := newTester(c)
	if c.Faults == nil && c.Settings.TableConfig.Table == "" {
		t.Faults = errors.New(`TABLE="": want the table to load, such as glue://database/table`)
	}
	checks := append(t.common(),
		t.checkpoints(),
		Check{Name: applicationCheck, After: []string{settingsCheck, checkpointsCheck}, Try: t.tryLoadersApplication},
		Check{Name: bucketCheck, After: first, Try: t.tryLoadersBucket},
	)
	if t.cfg.Schema != "" {
		checks = append(checks, t.schemaCheck())
	}
	for _, uri := range t.cfg.Tables() {
		checks = append(checks, t.destination(uri, destination))
	}
	if address := t.cfg.LoaderHTTPAddress; address != "" {
		checks = append(checks, Check{Name: addressCheck, After: []string{settingsCheck}, Try: tryAddress("LOADER_HTTP_ADDRESS", address)})
	}
	return checks
}

// destination looks at a table. A database is asked even if AWS is not there, unless the credentials for it come from AWS.
func (t *tester) destination(uri table.URI, try func(context.Context, *Result, table.URI, Known)) Check {
	c := Check{Name: "iceberg", After: append([]string{schemaCheck}, first...), With: []string{checkpointsCheck}}
	if uri.Kind == table.Postgres {
		c.Name = "postgres"
		if t.cfg.PostgresSecret == "" && t.cfg.PostgresAuth != "iam" {
			c.After = []string{schemaCheck, settingsCheck}
		}
	}
	c.Try = func(ctx context.Context, r *Result) {
		known := Known{Schema: t.schema}
		if t.table != nil {
			known.Previous = t.table.Destinations[uri.String()].Definition
		}
		try(ctx, r, uri, known)
	}
	return c
}

// tryLoadersApplication compares names only: the loader does not ask for the stream.
func (t *tester) tryLoadersApplication(_ context.Context, r *Result) {
	name := t.cfg.Application
	switch {
	case t.table == nil || t.table.Application == (checkpoint.Application{}):
		r.OK("%s: no daemon has used the table of checkpoints yet, so there is nothing to load", name)
	case t.table.Application.Application != name:
		r.Fail(t.tableSetting(), fmt.Sprintf("table %s belongs to application %q, not %q", t.cfg.Table(), t.table.Application.Application, name), "use the settings of the daemon whose files are loaded")
	default:
		r.OK("%s delivers the stream %s", name, t.table.Application.Stream)
	}
}

// tryLoadersBucket tries to read data files and lists and, for a database, to write the rows that it refuses.
func (t *tester) tryLoadersBucket(ctx context.Context, r *Result) {
	read := []string{layout.OutboxFolder(t.cfg.ManifestPrefix)}
	if _, ok := t.cfg.PostgresTable(); ok {
		read = append(read, layout.Fixed(t.cfg.Prefix))
		refused := t.filePrefixes()[1] + tried()
		in := PutInput{Client: t.s3, Bucket: t.cfg.Bucket, Key: refused}
		in.Encryption, in.KMSKey = t.encryption()
		if err := TryPut(ctx, in); err != nil {
			t.explain(r, err, call{what: fmt.Sprintf("write rows that the database refuses under s3://%s/%s", t.cfg.Bucket, t.filePrefixes()[1]), action: "s3:PutObject", setting: "BUCKET"})
			return
		}
	}
	var unknown []string
	for _, prefix := range read {
		_, err := t.s3.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &t.cfg.Bucket, Key: aws.String(prefix + tried())})
		answer, answered := errors.AsType[*sdkhttp.ResponseError](err)
		switch {
		case err == nil, answered && answer.HTTPStatusCode() == http.StatusNotFound:
		case answered && answer.HTTPStatusCode() == http.StatusForbidden:
			unknown = append(unknown, prefix)
		default:
			t.explain(r, err, call{what: fmt.Sprintf("look for an object under s3://%s/%s", t.cfg.Bucket, prefix), action: "s3:GetObject", setting: "BUCKET"})
			return
		}
	}
	if len(unknown) > 0 {
		r.Skip(fmt.Sprintf("whether files under %s can be read shows when there are some: to a role that may not list the bucket, S3 does not say that a file is missing", strings.Join(unknown, " and ")))
		return
	}
	r.OK("%s: files can be read under %s", t.cfg.Bucket, strings.Join(read, " and "))
}
