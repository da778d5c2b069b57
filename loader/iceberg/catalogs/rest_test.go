package catalogs_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/apache/iceberg-go/catalog"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"aws-streaming-pipeline/internal/awshttp"
	"aws-streaming-pipeline/loader/iceberg/catalogs"
	"aws-streaming-pipeline/record/table"
)

const tableBucket = "arn:aws:s3tables:eu-west-1:111122223333:bucket/lake"

// Requests carry what the settings say, and go where a catalog's configuration sends them.
func TestREST_AsksAsTheSettingsSay(t *testing.T) {
	for _, test := range []struct {
		name, table   string
		set           func(*catalogs.Settings)
		authorization string // how it begins, of each request
		signed        string // the scope of the signature
		path          string // of the table
		warehouse     string
		noDelegation  bool
	}{
		{name: "token", table: "rest+http://%/catalog/lake.trips", set: func(s *catalogs.Settings) { s.Token, s.Warehouse = "secret", "main" },
			authorization: "Bearer secret", path: "/catalog/v1/a%2Fb/namespaces/lake/tables/trips", warehouse: "main", noDelegation: true},
		{name: "nothing", table: "rest+http://%/catalog/lake.trips", set: func(*catalogs.Settings) {},
			path: "/catalog/v1/a%2Fb/namespaces/lake/tables/trips", noDelegation: true},
		{name: "signed", table: "rest+http://%/iceberg/lake.trips", set: func(s *catalogs.Settings) { s.Signing, s.Warehouse = "glue", "111122223333" },
			authorization: "AWS4-HMAC-SHA256 Credential=key/", signed: "/us-east-1/glue/aws4_request", path: "/iceberg/v1/a%2Fb/namespaces/lake/tables/trips",
			warehouse: "111122223333"},
		{name: "S3 Tables", table: tableBucket + "/lake/trips", set: func(*catalogs.Settings) {},
			authorization: "AWS4-HMAC-SHA256 Credential=key/", signed: "/eu-west-1/s3tables/aws4_request", path: "/iceberg/v1/a%2Fb/namespaces/lake/tables/trips",
			warehouse: tableBucket},
	} {
		t.Run(test.name, func(t *testing.T) {
			var requests []*http.Request
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				requests = append(requests, r)
				if strings.HasSuffix(r.URL.Path, "/config") {
					_, _ = io.WriteString(w, `{"defaults":{},"overrides":{"prefix":"a%2Fb"}}`)
					return
				}
				w.WriteHeader(http.StatusNotFound)
				_, _ = io.WriteString(w, `{"error":{"message":"none","type":"NoSuchTableException","code":404}}`)
			}))
			defer server.Close()
			u, err := table.ParseURI(strings.Replace(test.table, "%", strings.TrimPrefix(server.URL, "http://"), 1))
			must(t, err)
			s := catalogs.Settings{URI: u, Files: &files{}, Account: aws.Config{
				Region: "us-east-1", HTTPClient: awshttp.Client(nil), Credentials: credentials.NewStaticCredentialsProvider("key", "secret", ""),
			}}
			if u.Kind == table.S3Tables {
				s.Account.BaseEndpoint = &server.URL
			}
			test.set(&s)
			c, err := catalogs.Open(t.Context(), s)
			must(t, err)
			if _, err := c.LoadTable(t.Context(), u.Identifier()); !errors.Is(err, catalog.ErrNoSuchTable) {
				t.Errorf("load: %v", err)
			}
			if len(requests) != 2 {
				t.Fatalf("%d requests", len(requests))
			}
			for _, r := range requests {
				got := r.Header.Get("Authorization")
				if !strings.HasPrefix(got, test.authorization) || !strings.Contains(got, test.signed) || test.authorization == "" && got != "" {
					t.Errorf("authorization %q", got)
				}
				if agent := r.Header.Get("User-Agent"); !strings.HasPrefix(agent, "aws-streaming-pipeline/") {
					t.Errorf("user agent %q", agent)
				}
				if _, asked := r.Header["X-Iceberg-Access-Delegation"]; asked == test.noDelegation {
					t.Errorf("credentials for files are asked for: %t", asked)
				}
			}
			if got := requests[0].URL.Query().Get("warehouse"); got != test.warehouse {
				t.Errorf("warehouse %q", got)
			}
			if got := requests[1].URL.EscapedPath(); got != test.path {
				t.Errorf("path %q", got)
			}
		})
	}
}

func TestREST_FindsS3Tables(t *testing.T) {
	for bucket, want := range map[string]string{
		tableBucket: "https://s3tables.eu-west-1.amazonaws.com/iceberg/v1/config",
		strings.NewReplacer("aws", "aws-cn", "eu-west-1", "cn-north-1").Replace(tableBucket): "https://s3tables.cn-north-1.amazonaws.com.cn/iceberg/v1/config",
	} {
		u, err := table.ParseURI(bucket + "/lake/trips")
		must(t, err)
		var asked []string
		out := clientFunc(func(r *http.Request) (*http.Response, error) {
			asked = append(asked, strings.TrimSuffix(r.URL.String(), "?"+r.URL.RawQuery))
			return nil, errNetwork
		})
		_, err = catalogs.Open(t.Context(), catalogs.Settings{URI: u, Account: aws.Config{
			HTTPClient: out, Credentials: credentials.NewStaticCredentialsProvider("key", "secret", ""),
		}})
		if !errors.Is(err, errNetwork) || len(asked) != 1 || asked[0] != want {
			t.Errorf("open asked %v: %v", asked, err)
		}
	}
}

type clientFunc func(*http.Request) (*http.Response, error)

func (f clientFunc) Do(r *http.Request) (*http.Response, error) { return f(r) }

func TestREST_NamesTheCatalogThatIsOut(t *testing.T) {
	u, err := table.ParseURI("rest+http://127.0.0.1:1/catalog/lake.trips")
	must(t, err)
	_, err = catalogs.Open(t.Context(), catalogs.Settings{URI: u, Account: aws.Config{HTTPClient: awshttp.Client(nil)}, Token: "secret"})
	if err == nil || !strings.Contains(err.Error(), "http://127.0.0.1:1/catalog") || strings.Contains(err.Error(), "secret") {
		t.Errorf("open: %v", err)
	}
}
