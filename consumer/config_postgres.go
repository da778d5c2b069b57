package consumer

import (
	"regexp"
	"slices"
	"strings"
	"time"

	"aws-streaming-pipeline/internal/settings"
)

// PostgresConfig sets how the loader reaches the PostgreSQL table of TABLE and what it makes of it. The daemon needs none of
// this.
type PostgresConfig struct {
	PostgresDSN       string        `envconfig:"POSTGRES_DSN" secret:"true" desc:"Connection string for the database of TABLE, a URL or keyword=value pairs as libpq reads them, such as user=loader password=... Host, port and database in it override those in TABLE, which then only name the table. Default: none."`
	PostgresDSNFile   string        `envconfig:"POSTGRES_DSN_FILE" desc:"File with the connection string, instead of POSTGRES_DSN. It is read for each connection, so the password in it may change. Default: none."`
	PostgresSecret    string        `envconfig:"POSTGRES_SECRET" desc:"ARN of a secret in AWS Secrets Manager with the credentials, instead of POSTGRES_DSN: JSON with username and password, and maybe host, port and dbname, as Amazon RDS keeps it, or a connection string. Default: none."`
	PostgresAuth      string        `envconfig:"POSTGRES_AUTH" default:"password" oneof:"password,iam" desc:"How to authenticate: with a password, or with iam, a token of Amazon RDS for each connection, for which the role needs rds-db:connect."`
	PostgresUser      string        `envconfig:"POSTGRES_USER" desc:"User of the database. Default: that of the connection string or secret."`
	PostgresTLS       string        `envconfig:"POSTGRES_TLS" default:"verify-full" oneof:"verify-full,verify-ca,disable" desc:"TLS of the connection: verify-full checks the certificate and its host name, verify-ca only the certificate, and disable sends everything in the clear. It overrides sslmode in the connection string."`
	PostgresCAFile    string        `envconfig:"POSTGRES_CA_FILE" desc:"File with the certificates, in PEM, that the server's certificate is checked against, such as Amazon RDS's bundle. Default: those of the system."`
	PostgresKey       string        `envconfig:"POSTGRES_KEY" desc:"Columns, separated by commas, that identify a row: a record replaces the row with the same values if it has a greater sequence number. Default: none; each record is a row of its own."`
	PostgresUnique    bool          `envconfig:"POSTGRES_UNIQUE" default:"false" desc:"Makes a unique index on event_id when the table is created."`
	PostgresPartition string        `envconfig:"POSTGRES_PARTITION" default:"none" oneof:"none,day" desc:"Partitions of a table that is created: none, or one for each day of the arrival in UTC, which the loader makes as needed."`
	PostgresFailover  time.Duration `envconfig:"POSTGRES_FAILOVER_WINDOW" default:"5m" min:"0s" max:"24h" desc:"Time for which a loaded batch stays in the outbox, so that it is loaded again if a standby is promoted that does not have it. 0s: no such standby can be promoted."`
}

var (
	// By the AWS Secrets Manager API reference, "CreateSecret", names are made of these characters, and the ARN has six more. By
	// its user guide, "Managed secrets", a service puts its name and ! first, such as rds!db-.
	secretARN = regexp.MustCompile(`^arn:[a-z0-9-]+:secretsmanager:[a-z0-9-]+:[0-9]{12}:secret:[A-Za-z0-9/_+=.@!-]{1,519}$`)
	// By the PostgreSQL manual, "Connection Strings": a URL, or keywords with values. The loader parses it.
	connectionString = regexp.MustCompile(`^(postgres(ql)?://|\s*[a-z_]+\s*=)`)
)

func (c *PostgresConfig) check(f *settings.Faults) {
	if c.PostgresSecret != "" && !secretARN.MatchString(c.PostgresSecret) {
		f.Hide("POSTGRES_SECRET") // it may be the secret itself
		f.Check(false, "POSTGRES_SECRET", "the ARN of a secret, arn:aws:secretsmanager:region:account:secret:name-AbCdEf")
	}
	if connectionString.MatchString(c.PostgresDSNFile) {
		f.Hide("POSTGRES_DSN_FILE")
		f.Check(false, "POSTGRES_DSN_FILE", "the path of a file; a connection string goes into POSTGRES_DSN")
	}
	set := 0
	for _, v := range []string{c.PostgresDSN, c.PostgresDSNFile, c.PostgresSecret} {
		if v != "" {
			set++
		}
	}
	f.Check(set <= 1, "POSTGRES_DSN", "only one of POSTGRES_DSN, POSTGRES_DSN_FILE and POSTGRES_SECRET")
	f.Check(c.PostgresDSN == "" || connectionString.MatchString(c.PostgresDSN), "POSTGRES_DSN", "a URL such as postgres://user:password@host/database, or pairs such as user=loader password=...")
	f.Check(c.PostgresTLS != "disable" || c.PostgresAuth != "iam", "POSTGRES_TLS", "verify-full or verify-ca with POSTGRES_AUTH=iam, which Amazon RDS accepts over TLS only")
	f.Check(c.PostgresTLS != "disable" || c.PostgresCAFile == "", "POSTGRES_CA_FILE", "nothing with POSTGRES_TLS=disable")
	columns := slices.Sorted(slices.Values(c.KeyColumns()))
	f.Check(!slices.Contains(columns, "") && len(slices.Compact(columns)) == len(c.KeyColumns()), "POSTGRES_KEY", "names of different columns, separated by single commas")
	f.Check(c.PostgresKey == "" || c.PostgresPartition == "none", "POSTGRES_PARTITION", "none with POSTGRES_KEY, because a record and the one that it replaces may arrive on different days")
}

// KeyColumns returns the columns of POSTGRES_KEY.
func (c *PostgresConfig) KeyColumns() []string {
	if c.PostgresKey == "" {
		return nil
	}
	return strings.Split(c.PostgresKey, ",")
}
