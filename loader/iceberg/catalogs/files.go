package catalogs

import (
	"context"
	"errors"
	"net/url"

	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/catalog"
	"github.com/apache/iceberg-go/io"
	"github.com/apache/iceberg-go/table"
)

// withFiles is a catalog of iceberg-go whose tables read and write files as we say. Of the catalog's other interfaces, such as the
// one to plan scans in the catalog or to purge tables, none is left.
type withFiles struct {
	catalog.Catalog
	files io.IO
}

func (c withFiles) CreateTable(ctx context.Context, ident table.Identifier, schema *iceberg.Schema, opts ...catalog.CreateTableOpt) (*table.Table, error) {
	t, err := c.Catalog.CreateTable(c.carry(ctx), ident, schema, opts...)
	return c.own(t), err
}

func (c withFiles) LoadTable(ctx context.Context, ident table.Identifier) (*table.Table, error) {
	t, err := c.Catalog.LoadTable(c.carry(ctx), ident)
	return c.own(t), err
}

func (c withFiles) CommitTable(ctx context.Context, ident table.Identifier, requirements []table.Requirement, updates []table.Update) (table.Metadata, string, error) {
	return c.Catalog.CommitTable(c.carry(ctx), ident, requirements, updates)
}

func (c withFiles) own(t *table.Table) *table.Table {
	if t == nil {
		return nil
	}
	return table.New(t.Identifier(), t.Metadata(), t.MetadataLocation(), always(c.files), c)
}

func always(files io.IO) func(context.Context) (io.IO, error) {
	return func(context.Context) (io.IO, error) { return files, nil }
}

// The Glue catalog reads and writes metadata files itself. It finds the IO for them by the scheme in a registry of the process, and
// hands the context of the call on to it. So each catalog's own IO travels in the context.
type filesKey struct{}

func (c withFiles) carry(ctx context.Context) context.Context {
	return context.WithValue(ctx, filesKey{}, c.files)
}

func init() {
	for _, scheme := range []string{"s3", "s3a", "s3n"} {
		io.Register(scheme, func(ctx context.Context, _ *url.URL, _ map[string]string) (io.IO, error) {
			files, ok := ctx.Value(filesKey{}).(io.IO)
			if !ok {
				return nil, errors.New("a file of a table was asked for outside of its catalog")
			}
			return files, nil
		})
	}
}
