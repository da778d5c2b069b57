package catalogs

import (
	"context"
	"errors"

	"github.com/apache/iceberg-go/catalog"
	"github.com/apache/iceberg-go/catalog/glue"
	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
)

// openGlue returns the Glue Data Catalog of the account. The table's VersionId is the lock: "The version ID at which to update the
// table contents", and UpdateTable fails with ConcurrentModificationException otherwise (AWS Glue Web API Reference, UpdateTable).
// Versions that are replaced are not archived: there is a quota on them.
func openGlue(s Settings) (catalog.Catalog, error) {
	account := s.Account.Copy()
	retryer := account.Retryer
	if retryer == nil {
		retryer = func() aws.Retryer { return retry.NewStandard() }
	}
	account.Retryer = func() aws.Retryer { return readsOnly{retryer()} }
	properties := glue.AwsProperties{glue.SkipArchive: "true"}
	if s.Warehouse != "" {
		properties["warehouse"] = s.Warehouse
	}
	c, err := glue.NewCatalog(glue.WithAwsConfig(account), glue.WithAwsProperties(properties))
	if err != nil {
		return nil, err
	}
	return withFiles{c, s.Files}, nil
}

// readsOnly repeats calls that read. If the answer to a commit is lost, a second attempt meets the first as a conflict, which
// iceberg-go takes for proof that the commit was not applied.
type readsOnly struct{ aws.Retryer }

var errOnce = errors.New("calls that change a table are made once")

func (r readsOnly) GetRetryToken(ctx context.Context, err error) (func(error) error, error) {
	switch awsmiddleware.GetOperationName(ctx) {
	case "CreateTable", "UpdateTable", "DeleteTable":
		return nil, errOnce
	}
	return r.Retryer.GetRetryToken(ctx, err)
}
