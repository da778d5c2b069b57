package catalogs

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"github.com/apache/iceberg-go/catalog"
	"github.com/apache/iceberg-go/catalog/rest"
	"github.com/aws/aws-sdk-go-v2/aws"

	build "aws-streaming-pipeline/internal/version"
	"aws-streaming-pipeline/record/table"
)

// openREST returns an Iceberg REST catalog, such as that of Amazon S3 Tables. It makes each request once.
func openREST(ctx context.Context, s Settings) (catalog.Catalog, error) {
	endpoint, region := s.URI.Endpoint, s.Account.Region
	if s.URI.Kind == table.S3Tables {
		endpoint, region = s3TablesEndpoint(s.URI, s.Account), s.URI.Region()
		s.Signing, s.Warehouse = "s3tables", s.URI.Bucket
	}
	signed := s.Signing != "" && s.Signing != "none"
	options := []rest.Option{
		rest.WithCustomTransport(transport{s.Account.HTTPClient, signed}),
		rest.WithHeaders(map[string]string{"User-Agent": "aws-streaming-pipeline/" + build.String()}),
		rest.WithWarehouseLocation(s.Warehouse),
		rest.WithOAuthToken(s.Token),
	}
	if signed {
		options = append(options, rest.WithAwsConfig(s.Account), rest.WithSigV4RegionSvc(region, s.Signing))
	}
	c, err := rest.NewCatalog(ctx, s.URI.Table, endpoint, options...)
	if err != nil {
		return nil, fmt.Errorf("ask catalog %s for its configuration: %w", endpoint, err)
	}
	return withFiles{c, s.Files}, nil
}

// s3TablesEndpoint returns the endpoint of an S3 table bucket, whose ARN is the warehouse (Amazon S3 User Guide, "Accessing tables
// using the Amazon S3 Tables Iceberg REST endpoint"). AWS_ENDPOINT_URL replaces it like any other.
func s3TablesEndpoint(u table.URI, account aws.Config) string {
	if account.BaseEndpoint != nil {
		return strings.TrimSuffix(*account.BaseEndpoint, "/") + "/iceberg"
	}
	domain := "amazonaws.com"
	if strings.HasPrefix(u.Bucket, "arn:aws-cn:") {
		domain += ".cn"
	}
	return "https://s3tables." + u.Region() + "." + domain + "/iceberg"
}

// transport sends requests with the account's client, whose calls are bounded.
type transport struct {
	client aws.HTTPClient
	signed bool
}

// RoundTrip implements http.RoundTripper. iceberg-go asks for credentials for the table's files, which the catalog would make in
// vain. In a signed request the signature covers that.
func (t transport) RoundTrip(r *http.Request) (*http.Response, error) {
	if !t.signed {
		r.Header.Del("X-Iceberg-Access-Delegation")
	}
	return t.client.Do(r)
}
