package consumer

import (
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"aws-streaming-pipeline/internal/diagnosis"
)

// catalogAnswers are what AWS Glue answers to call after call, "" for nothing; then it answers with a table.
type catalogAnswers struct {
	refused []string
	asked   []string
}

func (a *catalogAnswers) Do(request *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(request.Body)
	if err != nil {
		return nil, err
	}
	a.asked = append(a.asked, request.Header.Get("X-Amz-Target")+" "+string(body))
	const table = `{"Name":"trips","PartitionKeys":[{"Name":"day","Type":"string"}],"StorageDescriptor":{"Columns":[{"Name":"n","Type":"bigint"}]}}`
	code, answer := http.StatusOK, `{"Table":`+table+`}`
	if strings.HasSuffix(request.Header.Get("X-Amz-Target"), "Version") {
		answer = `{"TableVersion":` + answer + `}`
	}
	if len(a.refused) > 0 {
		code, answer = http.StatusBadRequest, `{"__type":"`+a.refused[0]+`","Message":"because"}`
		silent := a.refused[0] == ""
		if a.refused = a.refused[1:]; silent {
			<-request.Context().Done()
			return nil, request.Context().Err()
		}
	}
	return &http.Response{StatusCode: code, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(answer)), Request: request}, nil
}

// The daemon waits for the catalog where it waits for other services, and says what is wrong where waiting does not help. A call that is not
// answered ends after 10 seconds.
func TestLoadSchema_ReadsATableOfTheCatalog(t *testing.T) {
	for _, test := range []struct {
		name, schema string
		refused      []string
		longest      time.Duration
		asked, says  string
	}{
		{"at once", "glue://lake/trips", nil, 0, `AWSGlue.GetTable {"DatabaseName":"lake","Name":"trips"}`, ""},
		{"a version of another account", "glue://lake/trips?catalog=210987654321&version=7", nil, 0,
			`AWSGlue.GetTableVersion {"CatalogId":"210987654321","DatabaseName":"lake","TableName":"trips","VersionId":"7"}`, ""},
		{"throttled", "glue://lake/trips", []string{"ThrottlingException", "ThrottlingException"}, 5 * time.Second, "", ""},
		{"no answer", "glue://lake/trips", []string{""}, 12 * time.Second, "", ""},
		{"no table", "glue://lake/trips", []string{"EntityNotFoundException"}, 0, "",
			`SCHEMA="glue://lake/trips": the table does not exist in the AWS Glue Data Catalog of the account of the credentials in eu-west-1: `},
		{"no table there", "glue://lake/trips?catalog=210987654321&region=us-east-1&version=7", []string{"EntityNotFoundException"}, 0, "",
			`version 7 of the table does not exist in the AWS Glue Data Catalog of account 210987654321 in us-east-1: `},
		{"no permission", "glue://lake/trips", []string{"AccessDeniedException"}, 0, "", `want the permission glue:GetTable for the table, its database and the catalog: `},
		{"no permission for a version", "glue://lake/trips?version=7", []string{"AccessDeniedException"}, 0, "", `want the permission glue:GetTableVersion for`},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client := &catalogAnswers{refused: test.refused}
				account := aws.Config{Region: "eu-west-1", Credentials: credentials.NewStaticCredentialsProvider("test", "test", ""), HTTPClient: client}
				began := time.Now()
				s, err := LoadSchema(t.Context(), test.schema, SchemaServices{AWS: account}, func(f func() error) error {
					return NewPatience(slog.New(slog.DiscardHandler)).Await(t.Context(), "read the schema", diagnosis.Subject{}, f)
				})
				if took := time.Since(began); took > test.longest || len(client.refused) > 0 {
					t.Errorf("it took %v, and %d refusals are left", took, len(client.refused))
				}
				if test.asked != "" && client.asked[0] != test.asked {
					t.Errorf("it asked for %s, want %s", client.asked[0], test.asked)
				}
				switch {
				case test.says == "" && (err != nil || len(s.Fields) != 1 || s.Fields[0].Name != "n" || !s.IgnoreCase):
					t.Errorf("the schema is %v, %v", s, err)
				case test.says != "" && (err == nil || !strings.Contains(err.Error(), test.says)):
					t.Errorf("the error is %v, want %s", err, test.says)
				}
			})
		})
	}
}
