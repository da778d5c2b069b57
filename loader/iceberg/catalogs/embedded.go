package catalogs

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"maps"
	"net/http"
	"strings"

	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/catalog"
	"github.com/apache/iceberg-go/io"
	"github.com/apache/iceberg-go/table"
	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"aws-streaming-pipeline/internal/listing"
	uri "aws-streaming-pipeline/record/table"
)

// embedded is a catalog of one table, whose metadata files it keeps in the layout of Iceberg's file system tables (Iceberg table
// specification, "File System Tables"): metadata/v<version>.metadata.json under the table's location. Writing the file of a version is
// the commit, on condition that its key has no object yet (Amazon S3 User Guide, "How to prevent object overwrites with conditional
// writes").
//
// The newest version is the highest number among the files. It is never deleted, so no later state has a lower number. Files of
// earlier versions may be deleted. A commit that was delayed until then may find its number free again and be told that it
// succeeded: it is not part of the table and never becomes visible, because newer versions exist. Whoever commits must therefore
// load the table to learn what it holds, as a loader does. Starting at the version hint instead, as readers do, would not be
// safe: a delayed commit may have written the hint, too.
type embedded struct {
	bucket *s3.Client
	uri    uri.URI
	files  io.IO
}

// CatalogType implements catalog.Catalog, as do the methods below.
func (e *embedded) CatalogType() catalog.Type { return catalog.Hadoop }

// LoadTable returns the newest version, and makes the version hint name it if it does not.
func (e *embedded) LoadTable(ctx context.Context, _ table.Identifier) (*table.Table, error) {
	v, err := e.newest(ctx)
	if err != nil {
		return nil, err
	}
	if v == none {
		return nil, fmt.Errorf("load table %s: %w", e.uri, catalog.ErrNoSuchTable)
	}
	text, err := e.read(ctx, v.file())
	if err != nil {
		return nil, fmt.Errorf("load table %s: %w", e.uri, err)
	}
	metadata, err := table.ParseMetadataBytes(text)
	if err != nil {
		return nil, fmt.Errorf("load table %s: read %s: %w", e.uri, v.file(), err)
	}
	e.hint(ctx, v)
	return e.table(metadata, v), nil
}

// CreateTable writes the first version. It refuses a location that has metadata of another catalog.
func (e *embedded) CreateTable(ctx context.Context, ident table.Identifier, schema *iceberg.Schema, opts ...catalog.CreateTableOpt) (*table.Table, error) {
	c := catalog.NewCreateTableCfg()
	for _, o := range opts {
		o(&c)
	}
	if c.Location != "" && c.Location != e.uri.Location() {
		return nil, fmt.Errorf("create table %s at %s: want no location, because the table's name is its location", e.uri, c.Location)
	}
	taken, err := e.bucket.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: &e.uri.Bucket, Prefix: aws.String(e.key("")), MaxKeys: aws.Int32(1)})
	if err == nil {
		err = listing.Check(taken)
	}
	if err != nil {
		return nil, fmt.Errorf("create table %s: %w", e.uri, err)
	}
	v, err := e.newest(ctx)
	switch {
	case err != nil:
		return nil, err
	case v != none:
		return nil, fmt.Errorf("create table %s: %w", e.uri, catalog.ErrTableAlreadyExists)
	case len(taken.Contents) > 0:
		return nil, fmt.Errorf("create table %s: %s holds the metadata of a table of another catalog, or the rest of one: want an unused location", e.uri, e.uri.Location())
	}
	metadata, err := table.NewMetadata(schema, c.PartitionSpec, c.SortOrder, e.uri.Location(), maps.Clone(c.Properties))
	if err != nil {
		return nil, fmt.Errorf("create table %s: %w", e.uri, err)
	}
	if err := e.write(ctx, metadata, 1); err != nil {
		if errors.Is(err, table.ErrCommitFailed) {
			err = catalog.ErrTableAlreadyExists
		}
		return nil, fmt.Errorf("create table %s: %w", e.uri, err)
	}
	return e.LoadTable(ctx, ident)
}

// CommitTable writes the version after the newest. It succeeds only if that version is the newest when it returns; then it is the
// table.
func (e *embedded) CommitTable(ctx context.Context, ident table.Identifier, requirements []table.Requirement, updates []table.Update) (table.Metadata, string, error) {
	current, err := e.LoadTable(ctx, ident)
	if err != nil {
		return nil, "", err
	}
	for _, r := range requirements {
		if err := r.Validate(current.Metadata()); err != nil {
			return nil, "", fmt.Errorf("commit to table %s: %w: %w", e.uri, table.ErrCommitFailed, err)
		}
	}
	updated, err := table.UpdateTableMetadata(current.Metadata(), updates, current.MetadataLocation())
	if err != nil {
		return nil, "", fmt.Errorf("commit to table %s: %w", e.uri, err)
	}
	if updated.Location() != e.uri.Location() {
		return nil, "", fmt.Errorf("commit to table %s: move it to %s: want its location unchanged, because it is the table's name", e.uri, updated.Location())
	}
	if updated.Equals(current.Metadata()) {
		return current.Metadata(), current.MetadataLocation(), nil
	}
	v := parseVersion(current.MetadataLocation()) + 1
	if err := e.write(ctx, updated, v); err != nil {
		return nil, "", fmt.Errorf("commit to table %s: %w", e.uri, err)
	}
	newest, err := e.newest(ctx)
	if err != nil {
		return nil, "", err
	}
	if newest != v {
		return nil, "", fmt.Errorf("commit to table %s: version %d was written, but version %d is there already: load the table to see what it holds", e.uri, v, newest)
	}
	e.hint(ctx, v)
	return updated, e.location(v), nil
}

// CheckTableExists reports whether there is any version.
func (e *embedded) CheckTableExists(ctx context.Context, _ table.Identifier) (bool, error) {
	v, err := e.newest(ctx)
	return v != none, err
}

// newest returns the highest version, none if there is none. The listing shows each file whose write was answered before (Amazon S3
// User Guide, "Amazon S3 data consistency model"). It takes one request for 1000 versions.
func (e *embedded) newest(ctx context.Context) (version, error) {
	newest := none
	pages := s3.NewListObjectsV2Paginator(e.bucket, &s3.ListObjectsV2Input{Bucket: &e.uri.Bucket, Prefix: aws.String(e.key("v"))})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err == nil {
			err = listing.Check(page)
		}
		if err != nil {
			return none, fmt.Errorf("list the versions of table %s: %w", e.uri, err)
		}
		for _, o := range page.Contents {
			newest = max(newest, parseVersion(*o.Key))
		}
	}
	return newest, nil
}

// write creates the file of a version. The error is table.ErrCommitFailed if S3 refused it because another writer was first. After
// any other error it may have been written, or may be later.
func (e *embedded) write(ctx context.Context, metadata table.Metadata, v version) error {
	text, err := json.Marshal(metadata)
	if err != nil {
		return err
	}
	_, err = e.bucket.PutObject(ctx, &s3.PutObjectInput{
		Bucket: &e.uri.Bucket, Key: aws.String(e.key(v.file())), Body: bytes.NewReader(text),
		ContentType: aws.String("application/json"), IfNoneMatch: aws.String("*"),
	}, func(o *s3.Options) {
		o.RetryMaxAttempts = 1 // a second attempt would meet the first one and take it for another writer's
	})
	var answer *awshttp.ResponseError
	if errors.As(err, &answer) {
		switch answer.HTTPStatusCode() {
		case http.StatusPreconditionFailed, http.StatusConflict: // it exists, or is being written
			return fmt.Errorf("write %s: %w: %w", v.file(), table.ErrCommitFailed, err)
		}
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", v.file(), err)
	}
	return nil
}

// hintFile names the newest version, for readers that cannot list.
const hintFile = "version-hint.text"

// hint makes the version hint name a version. If it fails, readers that follow the hint see an older state until the table is loaded
// again.
func (e *embedded) hint(ctx context.Context, v version) {
	text := []byte(v.String())
	if now, err := e.read(ctx, hintFile); err == nil && bytes.Equal(now, text) {
		return
	}
	_, _ = e.bucket.PutObject(ctx, &s3.PutObjectInput{
		Bucket: &e.uri.Bucket, Key: aws.String(e.key(hintFile)), Body: bytes.NewReader(text), ContentType: aws.String("text/plain"),
	})
}

func (e *embedded) read(ctx context.Context, file string) ([]byte, error) {
	o, err := e.bucket.GetObject(ctx, &s3.GetObjectInput{Bucket: &e.uri.Bucket, Key: aws.String(e.key(file))})
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", file, err)
	}
	defer o.Body.Close()
	var b bytes.Buffer
	if _, err := b.ReadFrom(o.Body); err != nil {
		return nil, fmt.Errorf("read %s: %w", file, err)
	}
	return b.Bytes(), nil
}

func (e *embedded) key(file string) string { return e.uri.Prefix + "/metadata/" + file }

func (e *embedded) location(v version) string { return e.uri.Location() + "/metadata/" + v.file() }

func (e *embedded) table(metadata table.Metadata, v version) *table.Table {
	return table.New(e.uri.Identifier(), metadata, e.location(v), always(e.files), e)
}

// CheckNamespaceExists returns true: there is nothing to create.
func (e *embedded) CheckNamespaceExists(context.Context, table.Identifier) (bool, error) {
	return true, nil
}

// CreateNamespace does nothing.
func (e *embedded) CreateNamespace(context.Context, table.Identifier, iceberg.Properties) error {
	return nil
}

func (e *embedded) refuse(what string) error {
	return fmt.Errorf("%s: the catalog of %s has this table only and cannot do that", what, e.uri)
}

// DropTable is refused, as are the methods below: the table is dropped by deleting what is under its location.
func (e *embedded) DropTable(context.Context, table.Identifier) error { return e.refuse("drop table") }

func (e *embedded) RenameTable(_ context.Context, _, to table.Identifier) (*table.Table, error) {
	return nil, e.refuse("rename table to " + strings.Join(to, "."))
}

func (e *embedded) ListTables(context.Context, table.Identifier) iter.Seq2[table.Identifier, error] {
	return func(yield func(table.Identifier, error) bool) { yield(nil, e.refuse("list tables")) }
}

func (e *embedded) ListNamespaces(context.Context, table.Identifier) ([]table.Identifier, error) {
	return nil, e.refuse("list namespaces")
}

func (e *embedded) DropNamespace(context.Context, table.Identifier) error {
	return e.refuse("drop namespace")
}

func (e *embedded) LoadNamespaceProperties(context.Context, table.Identifier) (iceberg.Properties, error) {
	return nil, e.refuse("load properties of a namespace")
}

func (e *embedded) UpdateNamespaceProperties(context.Context, table.Identifier, []string, iceberg.Properties) (catalog.PropertiesUpdateSummary, error) {
	return catalog.PropertiesUpdateSummary{}, e.refuse("update properties of a namespace")
}
