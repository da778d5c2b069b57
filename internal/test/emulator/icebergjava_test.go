package emulator_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"aws-streaming-pipeline/internal/test/emulator"
)

// The catalog keeps metadata in S3 and refuses a commit that was made for another state of the table.
func TestIcebergCatalog_RefusesACommitForAnotherState(t *testing.T) {
	store := emulator.Versitygw(t)
	client := s3.New(s3.Options{BaseEndpoint: &store.URL, Region: store.Region, UsePathStyle: true,
		Credentials: credentials.NewStaticCredentialsProvider(store.AccessKey, store.SecretKey, "")})
	if _, err := client.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: aws.String("lake")}); err != nil {
		t.Fatal(err)
	}
	catalog := emulator.IcebergCatalog(t, store, "s3://lake/warehouse")

	post(t, catalog+"/v1/namespaces", `{"namespace": ["trips"]}`, http.StatusOK)
	post(t, catalog+"/v1/namespaces/trips/tables",
		`{"name": "rides", "schema": {"type": "struct", "fields": [{"id": 1, "name": "a", "type": "long", "required": false}]}}`,
		http.StatusOK)
	table := catalog + "/v1/namespaces/trips/tables/rides"
	const update = `"updates": [{"action": "set-properties", "updates": {"written": "yes"}}]`
	post(t, table, `{"requirements": [{"type": "assert-ref-snapshot-id", "ref": "main", "snapshot-id": 7}], `+update+`}`,
		http.StatusConflict)
	answer := post(t, table,
		`{"requirements": [{"type": "assert-ref-snapshot-id", "ref": "main", "snapshot-id": null}], `+update+`}`, http.StatusOK)
	if !strings.Contains(answer, `"metadata-location":"s3://lake/warehouse/trips/rides/metadata/00001-`) ||
		!strings.Contains(answer, `"written":"yes"`) {
		t.Errorf("after the commit the table is %s", answer)
	}
}

// post sends JSON and returns the body of an answer that must have the status.
func post(t *testing.T, url, body string, want int) string {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }() // it was read to its end
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	if answer.StatusCode != want {
		t.Fatalf("%s to %s, want %d: %s", answer.Status, url, want, text)
	}
	return string(text)
}
