package consumer

import (
	"errors"
	"regexp"
	"slices"
	"time"

	"aws-streaming-pipeline/internal/settings"
	"aws-streaming-pipeline/record/table"
)

// TableConfig sets the tables that files are loaded into. The daemon only marks batches for it; the loader does the rest.
type TableConfig struct {
	Table            string        `envconfig:"TABLE" desc:"Table that batches are loaded into. Apache Iceberg: glue://database/table, s3://bucket/prefix/table (a catalog of its own, which needs no service), rest://host/path/namespace.table (an Iceberg REST catalog by HTTPS; rest+http:// by HTTP) or the ARN of an S3 table bucket followed by /namespace/table; it needs FORMAT=parquet. PostgreSQL: postgres://host/database/schema.table; it needs FORMAT=parquet or jsonl. One of each, separated by a comma, is possible. Default: none."`
	TableCreate      bool          `envconfig:"TABLE_CREATE" default:"true" desc:"Creates the table if it does not exist, with the columns of SCHEMA."`
	TablePartition   string        `envconfig:"TABLE_PARTITION" default:"day(_arrived_at)" desc:"Partition of a table that is created: transforms of columns, separated by commas, such as day(_arrived_at),bucket(16,customer): identity, year, month, day, hour, bucket and truncate. An empty value means none."`
	TableLocation    string        `envconfig:"TABLE_LOCATION" pattern:"^s3://[^/\\s]+(/[^/\\s]+)+/?$" form:"s3://bucket/prefix" desc:"Location of a table that is created, s3://bucket/prefix. Default: that of its database or namespace, or tables/ in BUCKET."`
	TableEvolve      bool          `envconfig:"TABLE_EVOLVE" default:"true" desc:"Adds a column for each new member of the records, and widens int to long and float to double. Otherwise such values stay in the column _extra."`
	TableWarehouse   string        `envconfig:"TABLE_WAREHOUSE" desc:"Warehouse to ask an Iceberg REST catalog for. Default: the catalog's own."`
	TableSigning     string        `envconfig:"TABLE_SIGNING" default:"none" oneof:"none,glue,s3tables,execute-api" desc:"Service for which requests to an Iceberg REST catalog are signed with AWS Signature Version 4, or none."`
	TableToken       string        `envconfig:"TABLE_TOKEN" secret:"true" desc:"Bearer token for an Iceberg REST catalog. Default: none."`
	LoadInterval     time.Duration `envconfig:"LOAD_INTERVAL" default:"1m" min:"1s" max:"1h" desc:"Time between two commits to the table."`
	LoadBatches      int           `envconfig:"LOAD_BATCHES" default:"500" min:"1" max:"2000" desc:"Largest number of batches in a commit to the table."`
	TableSnapshotAge time.Duration `envconfig:"TABLE_SNAPSHOT_AGE" default:"24h" min:"1h" desc:"Age at which snapshots of the table expire. Queries can go back in time that far."`
	TableSnapshots   int           `envconfig:"TABLE_SNAPSHOTS" default:"20" min:"1" desc:"Number of newest snapshots of the table that never expire."`
}

// bearerToken is by RFC 6750, section 2.1.
var bearerToken = regexp.MustCompile(`^[A-Za-z0-9._~+/-]+=*$`)

func (c *TableConfig) check(f *settings.Faults) {
	_, err := table.ParseURIs(c.Table)
	if errors.Is(err, table.ErrPassword) {
		f.Hide("TABLE")
	}
	if c.Table != "" {
		f.Add("TABLE", err)
	}
	_, err = table.ParsePartition(c.TablePartition)
	f.Add("TABLE_PARTITION", err)
	f.Check(c.TableToken == "" || bearerToken.MatchString(c.TableToken), "TABLE_TOKEN", "letters, digits and - . _ ~ + / with = at the end, without the word Bearer")
	if !f.Sound("TABLE") {
		return
	}
	uri, _ := c.IcebergTable()
	f.Check(c.TableLocation == "" || uri.Kind != table.Embedded, "TABLE_LOCATION", "nothing if TABLE is s3://, which is the location")
	for _, s := range []struct {
		name string
		set  bool
		want string
	}{
		{"TABLE_WAREHOUSE", c.TableWarehouse != "", "nothing"}, {"TABLE_SIGNING", c.TableSigning != "none", "none"},
		{"TABLE_TOKEN", c.TableToken != "", "nothing"},
	} {
		f.Check(!s.set || uri.Kind == table.REST, s.name, s.want+" unless TABLE is rest:// or rest+http://")
	}
	f.Check(c.TableToken == "" || c.TableSigning == "none", "TABLE_TOKEN", "nothing unless TABLE_SIGNING=none")
}

// Tables returns the tables that batches are loaded into, in the order of the setting. The settings must be valid.
func (c *TableConfig) Tables() []table.URI {
	if c.Table == "" {
		return nil
	}
	all, err := table.ParseURIs(c.Table)
	if err != nil {
		return nil
	}
	return all
}

// IcebergTable returns the Apache Iceberg table, which files are written for. ok is false if there is none.
func (c *TableConfig) IcebergTable() (uri table.URI, ok bool) { return c.first(table.URI.Iceberg) }

// PostgresTable returns the PostgreSQL table. ok is false if there is none.
func (c *TableConfig) PostgresTable() (uri table.URI, ok bool) {
	return c.first(func(u table.URI) bool { return u.Kind == table.Postgres })
}

func (c *TableConfig) first(is func(table.URI) bool) (table.URI, bool) {
	all := c.Tables()
	i := slices.IndexFunc(all, is)
	if i < 0 {
		return table.URI{}, false
	}
	return all[i], true
}
