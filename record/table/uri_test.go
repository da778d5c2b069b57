package table

import (
	"reflect"
	"strings"
	"testing"
)

func TestParseURI_GivesOneNameToEachTable(t *testing.T) {
	const bucket = "arn:aws:s3tables:eu-west-1:123456789012:bucket/lake"
	for text, want := range map[string]struct {
		name string
		uri  URI
	}{
		"glue://lake/trips":                         {"glue://lake/trips", URI{Kind: Glue, Namespace: []string{"lake"}, Table: "trips"}},
		"GLUE://lake/trips":                         {"glue://lake/trips", URI{Kind: Glue, Namespace: []string{"lake"}, Table: "trips"}},
		"s3://files/tables/v=1/trips/":              {"s3://files/tables/v=1/trips", URI{Kind: Embedded, Bucket: "files", Prefix: "tables/v=1/trips", Table: "trips"}},
		"s3://files/trips":                          {"s3://files/trips", URI{Kind: Embedded, Bucket: "files", Prefix: "trips", Table: "trips"}},
		"rest://Lake.example.com/a.b.trips":         {"rest://lake.example.com/a.b.trips", URI{Kind: REST, Endpoint: "https://lake.example.com", Namespace: []string{"a", "b"}, Table: "trips"}},
		"rest://lake:443/iceberg/v1/a.trips":        {"rest://lake/iceberg/v1/a.trips", URI{Kind: REST, Endpoint: "https://lake/iceberg/v1", Namespace: []string{"a"}, Table: "trips"}},
		"rest://lake:80//a.trips":                   {"rest://lake:80/a.trips", URI{Kind: REST, Endpoint: "https://lake:80", Namespace: []string{"a"}, Table: "trips"}},
		"rest+http://127.0.0.1:8181/a.trips":        {"rest+http://127.0.0.1:8181/a.trips", URI{Kind: REST, Endpoint: "http://127.0.0.1:8181", Namespace: []string{"a"}, Table: "trips"}},
		"rest+http://[::1]:80/a.trips":              {"rest+http://[::1]/a.trips", URI{Kind: REST, Endpoint: "http://[::1]", Namespace: []string{"a"}, Table: "trips"}},
		"rest://lake:/a.trips":                      {"rest://lake/a.trips", URI{Kind: REST, Endpoint: "https://lake", Namespace: []string{"a"}, Table: "trips"}},
		"postgres://DB.example.com:5432/lake/trips": {"postgres://db.example.com/lake/public.trips", URI{Kind: Postgres, Endpoint: "db.example.com", Namespace: []string{"lake", "public"}, Table: "trips"}},
		"postgresql://[::1]:6432/Lake/Raw.Trips":    {"postgres://[::1]:6432/Lake/Raw.Trips", URI{Kind: Postgres, Endpoint: "[::1]:6432", Namespace: []string{"Lake", "Raw"}, Table: "Trips"}},
		bucket + "/ns/trips":                        {bucket + "/ns/trips", URI{Kind: S3Tables, Bucket: bucket, Namespace: []string{"ns"}, Table: "trips"}},
	} {
		uri, err := ParseURI(text)
		if err != nil || uri.String() != want.name || !reflect.DeepEqual(uri, want.uri) {
			t.Errorf("%s: got %q, %+v, %v", text, uri, uri, err)
		}
		if again, err := ParseURI(want.name); err != nil || !reflect.DeepEqual(again, want.uri) {
			t.Errorf("%s: its canonical name %s gives %+v, %v", text, want.name, again, err)
		}
	}
}

func TestParseURI_SaysWhatWouldBeRight(t *testing.T) {
	for text, want := range map[string]string{
		"":                              "want glue://database/table, s3://",
		"trips":                         "want glue://database/table, s3://",
		"hive://lake/trips":             `scheme "hive": want glue://`,
		"glue://lake":                   "want glue://database/table with names",
		"glue://Lake/trips":             "of a-z, 0-9 and _",
		"glue://lake/trips/2":           "of a-z, 0-9 and _",
		"s3://files":                    "want s3://bucket/prefix/table",
		"s3:///a/b":                     "want s3://bucket/prefix/table",
		"s3://files/a//b":               "want s3://bucket/prefix/table",
		"s3://files/../b":               "want s3://bucket/prefix/table",
		"s3://files/a b/c":              "want s3://bucket/prefix/table",
		"rest://lake":                   "want rest://host/path/namespace.table",
		"rest:///a.trips":               "want rest://host/path/namespace.table",
		"rest://lake/trips":             "where namespaces and table are made of",
		"rest://lake/a..trips":          "where namespaces and table are made of",
		"rest://lake/a%20b.trips":       "where namespaces and table are made of",
		"rest://lake/a%2Fb.trips":       "want rest://host/path/namespace.table",
		"rest://lake/a.trips?warehouse": "without ? and #",
		"rest://lake/a.trips#x":         "without ? and #",
		"rest://me:hunter2@lake/a.b":    "a token goes into TABLE_TOKEN",
		"rest://me:hun/ter2@lake/a.b":   "a token goes into TABLE_TOKEN",
		"s3://files/" + strings.Repeat("a", 1024):                      "want at most 1024 bytes",
		"arn:aws:s3tables:eu-west-1:123456789012:bucket/lake":          "want arn:aws:s3tables:region:account:bucket/name/namespace/table",
		"arn:aws:s3tables:eu-west-1:123456789012:bucket/lake/Ns/trips": "want arn:aws:s3tables:region:account:bucket/name/namespace/table",
		"postgres://db/lake":                            "want postgres://host/database/table",
		"postgres:///lake/trips":                        "want postgres://host/database/table",
		"postgres://db/lake/a.b.c":                      "with names of at most 63",
		"postgres://db/lake/1trips":                     "with names of at most 63",
		"postgres://db/lake/" + strings.Repeat("a", 64): "with names of at most 63",
		"postgres://db/lake/trips?sslmode=disable":      "go into POSTGRES_DSN",
		"postgres://me:hunter2@db/lake/trips":           "a database's password into POSTGRES_DSN",
		"arn:aws:s3:::files/a/trips":                    "want arn:aws:s3tables:region:account:bucket/name/namespace/table",
	} {
		_, err := ParseURI(text)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", text, err, want)
		}
	}
}

func TestParseURIs_TakesOneTableOfEachSort(t *testing.T) {
	uris, err := ParseURIs("glue://lake/trips, postgres://db/lake/trips")
	if err != nil || len(uris) != 2 || !uris[0].Iceberg() || uris[1].Iceberg() {
		t.Errorf("got %v, %v", uris, err)
	}
	for text, want := range map[string]string{
		"glue://lake/trips,glue://lake/other":            "2 Iceberg tables and 0 PostgreSQL tables: want at most one of each",
		"postgres://a/b/c,postgres://a/b/d":              "0 Iceberg tables and 2 PostgreSQL tables: want at most one of each",
		"glue://lake/trips,":                             "want glue://database/table",
		"glue://lake/trips,postgres://me:hunter2@db/b/c": "want no user and password",
	} {
		if _, err := ParseURIs(text); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: got %v, want %q", text, err, want)
		}
	}
}

func TestURI_HasTheRegionOfATableBucket(t *testing.T) {
	uri, err := ParseURI("arn:aws-cn:s3tables:cn-north-1:123456789012:bucket/lake/ns/trips")
	if err != nil || uri.Region() != "cn-north-1" {
		t.Errorf("got %q, %v", uri.Region(), err)
	}
}
