package policy

import (
	"cmp"
	"fmt"
	"strings"

	"aws-streaming-pipeline/consumer"
	"aws-streaming-pipeline/internal/iam"
	"aws-streaming-pipeline/record/catalog"
	"aws-streaming-pipeline/record/table"
	"aws-streaming-pipeline/writers/layout"
)

// tablesFolder is where the bucket has tables that are created without a location of their own.
const tablesFolder = "tables/"

// Loader returns the policy of the loader for valid settings with a table.
func Loader(cfg *consumer.Config, p Place) (iam.Policy, error) {
	if len(cfg.Tables()) == 0 {
		return iam.Policy{}, fmt.Errorf("TABLE=%q: want the tables to load", cfg.TableConfig.Table)
	}
	b := newBuilder(cfg, p)
	b.readOutbox()
	b.readSchema()
	if uri, ok := cfg.IcebergTable(); ok {
		b.commit(uri)
	}
	if _, ok := cfg.PostgresTable(); ok {
		b.copyRows()
		b.connect()
	}
	b.encryptFiles()
	return b.policy, nil
}

// copyRows allows the calls of loader/rows and loader/postgres on the bucket: rows are read from data files, and those that the
// database refuses are written where error files are.
func (b *builder) copyRows() {
	data, errors := b.files()[0], b.files()[1]
	b.allow("ReadRows", b.objects(data), "s3:GetObject")
	b.allow("WriteRefusedRows", b.objects(errors), "s3:PutObject")
}

// connect allows what the credentials of the database need. An ARN for rds-db:connect has the resource id of the instance or
// cluster, such as db-ABCDEFGHIJKL01234, which its host name does not tell (Amazon RDS User Guide, "Creating and using an IAM
// policy for IAM database access"): put it in place of the first wildcard to allow one database alone. A secret with a key of
// its own needs kms:Decrypt on that key, which the ARN of the secret does not tell either.
func (b *builder) connect() {
	if b.cfg.PostgresSecret != "" {
		b.allow("ReadDatabaseSecret", []string{b.cfg.PostgresSecret}, "secretsmanager:GetSecretValue")
	}
	if b.cfg.PostgresAuth == "iam" {
		user := cmp.Or(iam.Literal(b.cfg.PostgresUser), "*")
		b.allow("ConnectToDatabase", []string{b.arn("rds-db", "dbuser:*/"+user)}, "rds-db:connect")
	}
}

// readOutbox allows the calls of the loader on the store, and those on the lists of batches with very many files.
func (b *builder) readOutbox() {
	if b.cfg.CheckpointFile == "" {
		b.allow("ReadOutbox", []string{b.table(b.cfg.Table())},
			"dynamodb:DeleteItem", "dynamodb:DescribeTable", "dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:Scan", "dynamodb:UpdateItem")
	}
	b.allow("ReadLists", b.objects(layout.OutboxFolder(b.cfg.ManifestPrefix)), "s3:DeleteObject", "s3:GetObject")
}

// commit allows the calls of loader/iceberg. On commit paths nothing is deleted.
func (b *builder) commit(uri table.URI) {
	switch uri.Kind {
	case table.Glue:
		b.commitToGlue(uri)
	case table.S3Tables:
		b.commitToS3Tables(uri)
		return // which has the metadata, too
	}
	b.writeMetadata(uri)
}

// commitToGlue allows commits to a table in AWS Glue.
func (b *builder) commitToGlue(uri table.URI) {
	where := b.glueTable(catalog.Source{Database: uri.Namespace[0], Table: uri.Table})
	b.allow("CommitToTable", where, "glue:GetTable", "glue:UpdateTable")
	if b.cfg.TableCreate {
		b.allow("MakeTableInCatalog", where, "glue:CreateDatabase", "glue:CreateTable", "glue:GetDatabase")
	}
}

// commitToS3Tables is by the Amazon S3 User Guide, "Accessing tables using the Amazon S3 Tables Iceberg REST endpoint",
// which lists the actions of each call. ARNs of tables hold an id that is not known beforehand, so the name is a
// condition ("Access management for S3 Tables").
func (b *builder) commitToS3Tables(uri table.URI) {
	b.allow("FindTableBucket", []string{uri.Bucket}, "s3tables:GetTableBucket")
	b.allow("CommitToTable", []string{uri.Bucket + "/table/*"}, "s3tables:GetTable", "s3tables:GetTableData",
		"s3tables:GetTableMetadataLocation", "s3tables:PutTableData", "s3tables:UpdateTableMetadataLocation")
	last := &b.policy.Statement[len(b.policy.Statement)-1]
	last.Condition = map[string]map[string]iam.Texts{"StringEquals": {
		"s3tables:namespace": {uri.Namespace[0]}, "s3tables:tableName": {uri.Table},
	}}
	if b.cfg.TableCreate {
		b.allow("MakeTableInCatalog", []string{uri.Bucket, uri.Bucket + "/table/*"},
			"s3tables:CreateNamespace", "s3tables:CreateTable", "s3tables:GetNamespace", "s3tables:PutTableData")
	}
}

// writeMetadata allows reading and writing the metadata of the table, which is where the table is.
func (b *builder) writeMetadata(uri table.URI) {
	bucket, folder, known := b.location(uri)
	if known {
		folder += "metadata/"
	}
	b.allow("WriteMetadata", []string{bucket + "/" + iam.Literal(folder) + "*"}, "s3:GetObject", "s3:PutObject")
	if uri.Kind == table.Embedded {
		// A listing finds the newest version.
		b.allow("SeeTableBucket", []string{bucket}, "s3:ListBucket")
	}
}

// location returns the ARN of the bucket that has the table's metadata, and the folder, or that of all tables if the table's own is
// not known.
func (b *builder) location(uri table.URI) (bucket, folder string, known bool) {
	location := b.cfg.TableLocation
	if uri.Kind == table.Embedded {
		location = uri.Location()
	}
	if location == "" {
		return b.bucket(), tablesFolder, false
	}
	name, folder, _ := strings.Cut(strings.TrimSuffix(strings.TrimPrefix(location, "s3://"), "/")+"/", "/")
	return "arn:" + b.place.Partition + ":s3:::" + name, folder, true
}

// careForTable allows the commands that take care of a table: they commit as the loader does, compaction writes data
// files beside the metadata, and orphans are listed and removed.
func (b *builder) careForTable(uri table.URI) {
	b.commit(uri)
	if uri.Kind == table.S3Tables {
		return
	}
	bucket, folder, _ := b.location(uri)
	b.allow("CareForTable", []string{bucket + "/" + iam.Literal(folder) + "*"}, "s3:DeleteObject", "s3:GetObject", "s3:PutObject")
	if uri.Kind != table.Embedded {
		b.allow("SeeTableBucket", []string{bucket}, "s3:ListBucket")
	}
}

// careForRows allows the commands that take care of a table in a database: a reload loads batches as the loader does. Manifests
// and data files may be read anyway.
func (b *builder) careForRows() {
	b.allow("WriteRefusedRows", b.objects(b.files()[1]), "s3:PutObject")
	b.connect()
}

// bindTable allows the command rebind.
func (b *builder) bindTable() {
	if len(b.cfg.Tables()) > 0 && b.cfg.CheckpointFile == "" {
		b.allow("BindTable", []string{b.table(b.cfg.Table())}, "dynamodb:PutItem")
	}
}
