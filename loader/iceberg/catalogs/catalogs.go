// Package catalogs opens the catalog of an Iceberg table: AWS Glue, an Iceberg REST catalog, Amazon S3 Tables, or the embedded one,
// which keeps the table's metadata beside its data and needs no service.
//
// All of them send a commit once. An error of CommitTable, whatever it is, leaves open whether the commit was applied: only
// LoadTable tells.
package catalogs

import (
	"context"
	"fmt"

	"github.com/apache/iceberg-go/catalog"
	"github.com/apache/iceberg-go/io"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"aws-streaming-pipeline/record/table"
)

// Settings say how to reach a catalog.
type Settings struct {
	URI table.URI
	// Account has the region, the credentials and a client whose calls are bounded, as that of awshttp.Account.
	Account aws.Config
	// Bucket is the client for the metadata of an embedded catalog.
	Bucket *s3.Client
	// Files reads and writes the files of the table. Credentials that a catalog hands out are not used.
	Files io.WriteFileIO
	// Warehouse is what a REST catalog is asked for; empty means its own. In Glue it is where tables are created whose database
	// has no location, s3://bucket/prefix.
	Warehouse string
	// Signing is the service for which requests to a REST catalog are signed; none or empty means that they are not.
	Signing string
	// Token is the bearer token for a REST catalog; empty means none.
	Token string
}

// Open returns the catalog of a table. Tables that it returns read and write files with Settings.Files. A REST catalog is asked
// for its configuration; if it does not respond, Open may be called again.
func Open(ctx context.Context, s Settings) (catalog.Catalog, error) {
	switch s.URI.Kind {
	case table.Embedded:
		return &embedded{bucket: s.Bucket, uri: s.URI, files: s.Files}, nil
	case table.Glue:
		return openGlue(s)
	case table.REST, table.S3Tables:
		return openREST(ctx, s)
	}
	return nil, fmt.Errorf("catalog of kind %q: want glue, s3, rest or s3tables", s.URI.Kind)
}
