package table

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"
)

// Kind is a kind of catalog or database.
type Kind string

// The kinds of catalogs, and of databases.
const (
	Glue     Kind = "glue"
	Embedded Kind = "s3" // metadata beside the data, without a service
	REST     Kind = "rest"
	S3Tables Kind = "s3tables"
	// Postgres is a PostgreSQL database. All others are catalogs of Apache Iceberg.
	Postgres Kind = "postgres"
)

// URI names a table and the catalog that has it, as the setting TABLE does. It holds no secrets.
type URI struct {
	Kind Kind
	// Endpoint is the URL of a REST catalog, without a slash at its end, or the host of a database, with its port unless that
	// is the usual one.
	Endpoint string
	// Bucket is that of an embedded catalog, or the ARN of an S3 table bucket.
	Bucket string
	// Prefix is where an embedded catalog has the table, such as prefix/table, without slashes at its ends.
	Prefix string
	// Namespace has the levels of the table's namespace: one in Glue, where it is the database, and in S3 Tables, at least one
	// in a REST catalog, none in an embedded one. In PostgreSQL it is the database and the schema.
	Namespace []string
	// Table is the table's own name.
	Table string
}

const uriForms = "glue://database/table, s3://bucket/prefix/table, rest://host/path/namespace.table, arn:aws:s3tables:region:account:bucket/name/namespace/table or postgres://host/database/schema.table"

var (
	// AWS Glue folds names to lower case (AWS Glue API reference, Database and Table, Name), and Athena takes no other
	// characters (Amazon Athena User Guide, "Name databases, tables, and columns").
	glueName = regexp.MustCompile(`^[a-z0-9_]{1,255}$`)
	// By the Amazon S3 User Guide, "Amazon S3 table bucket, table, and namespace naming rules".
	s3TablesName   = regexp.MustCompile(`^[a-z0-9]([a-z0-9_]{0,253}[a-z0-9])?$`)
	s3TablesBucket = regexp.MustCompile(`^arn:[^:/]+:s3tables:([a-z0-9-]+):[0-9]{12}:bucket/[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$`)
	// Amazon S3 User Guide, "Naming Amazon S3 objects", safe characters.
	keySegment = regexp.MustCompile(`^[A-Za-z0-9!_.*'()=-]+$`)
	restName   = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)
	bucketName = regexp.MustCompile(`^[A-Za-z0-9._-]+$`)
	// PostgreSQL manual, "Identifiers and Key Words": longer names are cut. Others than these would have to be quoted everywhere.
	postgresName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_$]{0,62}$`)
)

// maxURI is the length in bytes of the longest key in S3, and less than that of a key in DynamoDB.
const maxURI = 1024

// ErrPassword means that a URI holds a password, so that it must not be shown.
var ErrPassword = errors.New("want no user and password; a token goes into TABLE_TOKEN, a database's password into POSTGRES_DSN, POSTGRES_DSN_FILE or POSTGRES_SECRET")

// ParseURI parses the name of a table. Texts that name the same table give equal URIs. Errors do not repeat the text, unless
// it is a scheme.
func ParseURI(text string) (URI, error) {
	if len(text) > maxURI {
		return URI{}, fmt.Errorf("want at most %d bytes", maxURI)
	}
	if strings.HasPrefix(text, "arn:") {
		return parseS3Tables(text)
	}
	scheme, rest, ok := strings.Cut(text, "://")
	if !ok {
		return URI{}, errors.New("want " + uriForms)
	}
	switch strings.ToLower(scheme) {
	case "glue":
		return parseGlue(rest)
	case "s3", "s3a":
		return parseEmbedded(rest)
	case "rest":
		return parseREST("https", rest)
	case "rest+http":
		return parseREST("http", rest)
	case "postgres", "postgresql":
		return parsePostgres(rest)
	}
	return URI{}, fmt.Errorf("scheme %q: want %s", scheme, uriForms)
}

func parseGlue(rest string) (URI, error) {
	database, name, _ := strings.Cut(rest, "/")
	if !glueName.MatchString(database) || !glueName.MatchString(name) {
		return URI{}, errors.New("want glue://database/table with names of 1 to 255 of a-z, 0-9 and _")
	}
	return URI{Kind: Glue, Namespace: []string{database}, Table: name}, nil
}

func parseEmbedded(rest string) (URI, error) {
	bucket, prefix, _ := strings.Cut(rest, "/")
	prefix = strings.TrimSuffix(prefix, "/")
	segments := strings.Split(prefix, "/")
	sound := bucketName.MatchString(bucket)
	for _, s := range segments {
		sound = sound && keySegment.MatchString(s) && s != "." && s != ".."
	}
	if !sound {
		return URI{}, errors.New("want s3://bucket/prefix/table, where each part of the path is made of A-Z a-z 0-9 ! - _ . * ' ( ) =")
	}
	return URI{Kind: Embedded, Bucket: bucket, Prefix: prefix, Table: segments[len(segments)-1]}, nil
}

// ports are those that a URL need not include.
var ports = map[string]string{"https": "443", "http": "80", "postgres": "5432"}

func parseREST(scheme, rest string) (URI, error) {
	if strings.Contains(rest, "@") {
		return URI{}, ErrPassword
	}
	u, err := url.Parse(scheme + "://" + rest)
	switch {
	case err != nil || u.Hostname() == "" || u.RawPath != "":
		return URI{}, errors.New("want rest://host/path/namespace.table")
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return URI{}, errors.New("want rest://host/path/namespace.table, without ? and #")
	}
	at := strings.LastIndexByte(u.Path, '/')
	if at < 0 {
		return URI{}, errors.New("want rest://host/path/namespace.table")
	}
	levels := strings.Split(u.Path[at+1:], ".")
	for _, level := range levels {
		if len(levels) < 2 || !restName.MatchString(level) {
			return URI{}, errors.New("want rest://host/path/namespace.table, where namespaces and table are made of A-Z a-z 0-9 _ -")
		}
	}
	host := strings.ToLower(u.Host)
	if port := u.Port(); port == "" || port == ports[scheme] {
		host = strings.TrimSuffix(host, ":"+port)
	}
	last := len(levels) - 1
	return URI{
		Kind: REST, Endpoint: scheme + "://" + host + strings.TrimRight(u.Path[:at], "/"),
		Namespace: levels[:last], Table: levels[last],
	}, nil
}

// postgresSchema is the one of a table that is named without.
const postgresSchema = "public"

func parsePostgres(rest string) (URI, error) {
	if strings.Contains(rest, "@") {
		return URI{}, ErrPassword
	}
	const forms = "want postgres://host/database/table or postgres://host:port/database/schema.table"
	u, err := url.Parse("postgres://" + rest)
	switch {
	case err != nil || u.Hostname() == "" || u.RawPath != "":
		return URI{}, errors.New(forms)
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return URI{}, errors.New(forms + ", without ? and #; other parameters of the connection go into POSTGRES_DSN")
	}
	database, name, _ := strings.Cut(strings.TrimPrefix(u.Path, "/"), "/")
	schema, name, qualified := strings.Cut(name, ".")
	if !qualified {
		schema, name = postgresSchema, schema
	}
	for _, n := range []string{database, schema, name} {
		if !postgresName.MatchString(n) {
			return URI{}, errors.New(forms + ", with names of at most 63 of A-Z a-z 0-9 _ $ that do not begin with a digit or $")
		}
	}
	host := strings.ToLower(u.Host)
	if port := u.Port(); port == "" || port == ports["postgres"] {
		host = strings.TrimSuffix(host, ":"+port)
	}
	return URI{Kind: Postgres, Endpoint: host, Namespace: []string{database, schema}, Table: name}, nil
}

func parseS3Tables(text string) (URI, error) {
	parts := strings.Split(text, "/")
	if len(parts) != 4 || !s3TablesBucket.MatchString(parts[0]+"/"+parts[1]) ||
		!s3TablesName.MatchString(parts[2]) || !s3TablesName.MatchString(parts[3]) {
		return URI{}, errors.New("want arn:aws:s3tables:region:account:bucket/name/namespace/table, with namespace and table of 1 to 255 of a-z, 0-9 and _")
	}
	return URI{Kind: S3Tables, Bucket: parts[0] + "/" + parts[1], Namespace: parts[2:3], Table: parts[3]}, nil
}

// String returns the canonical form of the URI, which is how batches name the table.
func (u URI) String() string {
	switch u.Kind {
	case Glue:
		return "glue://" + u.Namespace[0] + "/" + u.Table
	case Embedded:
		return u.Location()
	case REST:
		scheme, rest, _ := strings.Cut(u.Endpoint, "://")
		if scheme == "https" {
			scheme = "rest"
		} else {
			scheme = "rest+http"
		}
		return scheme + "://" + rest + "/" + strings.Join(u.Identifier(), ".")
	case S3Tables:
		return u.Bucket + "/" + u.Namespace[0] + "/" + u.Table
	case Postgres:
		return "postgres://" + u.Endpoint + "/" + u.Namespace[0] + "/" + u.Namespace[1] + "." + u.Table
	}
	return ""
}

// ParseURIs parses the setting TABLE: names of tables, separated by commas. There may be one Iceberg table and one table in
// PostgreSQL. Errors repeat no name that may hold a password.
func ParseURIs(text string) ([]URI, error) {
	var all []URI
	iceberg := 0
	for name := range strings.SplitSeq(text, ",") {
		uri, err := ParseURI(strings.TrimSpace(name))
		if err != nil {
			return nil, err
		}
		if all = append(all, uri); uri.Iceberg() {
			iceberg++
		}
	}
	if iceberg > 1 || len(all)-iceberg > 1 {
		return nil, fmt.Errorf("%d Iceberg tables and %d PostgreSQL tables: want at most one of each", iceberg, len(all)-iceberg)
	}
	return all, nil
}

// Iceberg reports whether the table is an Apache Iceberg table.
func (u URI) Iceberg() bool { return u.Kind != Postgres }

// Identifier returns the levels of the namespace and the table's name.
func (u URI) Identifier() []string { return append(append([]string{}, u.Namespace...), u.Table) }

// Location returns where an embedded catalog has the table: s3://bucket/prefix/table.
func (u URI) Location() string { return "s3://" + u.Bucket + "/" + u.Prefix }

// Region returns the region of an S3 table bucket; empty for other catalogs.
func (u URI) Region() string {
	if m := s3TablesBucket.FindStringSubmatch(u.Bucket); m != nil {
		return m[1]
	}
	return ""
}
