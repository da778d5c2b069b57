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
		"glue://lake/trips":                  {"glue://lake/trips", URI{Kind: Glue, Namespace: []string{"lake"}, Table: "trips"}},
		"GLUE://lake/trips":                  {"glue://lake/trips", URI{Kind: Glue, Namespace: []string{"lake"}, Table: "trips"}},
		"s3://files/tables/v=1/trips/":       {"s3://files/tables/v=1/trips", URI{Kind: Embedded, Bucket: "files", Prefix: "tables/v=1/trips", Table: "trips"}},
		"s3://files/trips":                   {"s3://files/trips", URI{Kind: Embedded, Bucket: "files", Prefix: "trips", Table: "trips"}},
		"rest://Lake.example.com/a.b.trips":  {"rest://lake.example.com/a.b.trips", URI{Kind: REST, Endpoint: "https://lake.example.com", Namespace: []string{"a", "b"}, Table: "trips"}},
		"rest://lake:443/iceberg/v1/a.trips": {"rest://lake/iceberg/v1/a.trips", URI{Kind: REST, Endpoint: "https://lake/iceberg/v1", Namespace: []string{"a"}, Table: "trips"}},
		"rest://lake:80//a.trips":            {"rest://lake:80/a.trips", URI{Kind: REST, Endpoint: "https://lake:80", Namespace: []string{"a"}, Table: "trips"}},
		"rest+http://127.0.0.1:8181/a.trips": {"rest+http://127.0.0.1:8181/a.trips", URI{Kind: REST, Endpoint: "http://127.0.0.1:8181", Namespace: []string{"a"}, Table: "trips"}},
		"rest+http://[::1]:80/a.trips":       {"rest+http://[::1]/a.trips", URI{Kind: REST, Endpoint: "http://[::1]", Namespace: []string{"a"}, Table: "trips"}},
		"rest://lake:/a.trips":               {"rest://lake/a.trips", URI{Kind: REST, Endpoint: "https://lake", Namespace: []string{"a"}, Table: "trips"}},
		bucket + "/ns/trips":                 {bucket + "/ns/trips", URI{Kind: S3Tables, Bucket: bucket, Namespace: []string{"ns"}, Table: "trips"}},
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
		"arn:aws:s3:::files/a/trips":                                   "want arn:aws:s3tables:region:account:bucket/name/namespace/table",
	} {
		_, err := ParseURI(text)
		if err == nil || !strings.Contains(err.Error(), want) {
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
