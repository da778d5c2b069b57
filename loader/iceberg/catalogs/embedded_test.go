package catalogs_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/apache/iceberg-go"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"aws-streaming-pipeline/internal/test/emulator"
	"aws-streaming-pipeline/loader/iceberg/catalogs"
	"aws-streaming-pipeline/record/table"
)

func (s *site) put(key, content string) {
	s.t.Helper()
	_, err := s.settings.Bucket.PutObject(s.t.Context(), &s3.PutObjectInput{Bucket: aws.String("lake"), Key: &key, Body: strings.NewReader(content)})
	must(s.t, err)
}

func (s *site) remove(key string) {
	s.t.Helper()
	_, err := s.settings.Bucket.DeleteObject(s.t.Context(), &s3.DeleteObjectInput{Bucket: aws.String("lake"), Key: &key})
	must(s.t, err)
}

// get returns the content of an object; empty if there is none.
func (s *site) get(key string) string {
	s.t.Helper()
	o, err := s.settings.Bucket.GetObject(s.t.Context(), &s3.GetObjectInput{Bucket: aws.String("lake"), Key: &key})
	if errors.As(err, new(*types.NoSuchKey)) {
		return ""
	}
	must(s.t, err)
	content, err := io.ReadAll(o.Body)
	must(s.t, errors.Join(err, o.Body.Close()))
	return string(content)
}

const (
	metadata = "tables/trips/metadata/"
	hint     = metadata + "version-hint.text"
)

func versionKey(v int) string { return fmt.Sprintf("%sv%d.metadata.json", metadata, v) }

// A console or a proxy that answers each request with a page is not a bucket without a table.
func TestEmbedded_DoesNotTakeALoginPageForAnUnusedLocation(t *testing.T) {
	u, err := table.ParseURI("s3://lake/tables/trips")
	must(t, err)
	for body, want := range map[string]string{
		"<html><body>Log in</body></html>": "not a list of objects",
		"<ListBucketResult><Name>lake</Name><KeyCount>0</KeyCount><IsTruncated>false</IsTruncated></ListBucketResult>": "",
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, body) }))
		c, err := catalogs.Open(t.Context(), catalogs.Settings{URI: u, Bucket: s3.New(s3.Options{
			Region: "us-east-1", Credentials: aws.AnonymousCredentials{}, BaseEndpoint: &server.URL, UsePathStyle: true,
		})})
		must(t, err)
		_, errExists := c.CheckTableExists(t.Context(), u.Identifier())
		_, errCreate := c.CreateTable(t.Context(), u.Identifier(), iceberg.NewSchema(0))
		server.Close()
		if errExists != nil && want == "" || want != "" && (errExists == nil || !strings.Contains(errExists.Error(), want) || !strings.Contains(errCreate.Error(), want)) {
			t.Errorf("%s: exists: %v, create: %v", body, errExists, errCreate)
		}
	}
}

// A commit is under way for so long that its version was written by another writer, and deleted once newer ones existed. Its number is
// free again, so S3 accepts it. It does not become the table, and its writer does not learn a success.
func TestEmbedded_StaysAtTheNewestVersion(t *testing.T) {
	s := newSite(t, emulator.Versitygw(t), "s3://lake/tables/trips", isVersion)
	c := s.open()
	read, err := create(t.Context(), s, c)
	must(t, err)
	const others = 11 // up to version 12, which is listed before version 2
	s.faults.mu.Lock()
	s.faults.before = func() {
		for n := range others {
			other := s.open()
			must(t, appendTo(t.Context(), other, load(t, s, other), fmt.Sprint("other-", n)))
		}
		for v := range others {
			s.remove(versionKey(v + 1))
		}
	}
	s.faults.mu.Unlock()
	err = appendTo(t.Context(), c, read, "zombie")
	if err == nil || !strings.Contains(err.Error(), "version 2 was written, but version 12 is there") {
		t.Errorf("the late commit reports %v", err)
	}
	if s.get(versionKey(2)) == "" {
		t.Fatal("S3 refused the late commit: the test shows nothing")
	}
	if got := s.get(hint); got != "12" {
		t.Errorf("the hint names version %s", got)
	}
	if got := loaded(load(t, s, s.open())); len(got) != others || slices.Contains(got, "zombie") {
		t.Errorf("the ledger has %v", got)
	}

	// Control: one who starts at a hint that the late writer left would take its version for the newest.
	s.put(hint, "2")
	if s.get(versionKey(3)) != "" {
		t.Fatal("version 3 is there")
	}
	if got := loaded(load(t, s, s.open())); len(got) != others {
		t.Errorf("with a wrong hint, the ledger has %v", got)
	}
	if got := s.get(hint); got != "12" {
		t.Errorf("after loading, the hint names version %s", got)
	}
	s.remove(hint)
	if got := loaded(load(t, s, s.open())); len(got) != others || s.get(hint) != "12" {
		t.Errorf("without a hint, the ledger has %v; then the hint names version %s", got, s.get(hint))
	}
}

func TestEmbedded_LeavesOtherCatalogsTablesAlone(t *testing.T) {
	s := newSite(t, demoBucket(t), "s3://lake/tables/trips", isVersion)
	s.put(metadata+"00000-6c4f7d0e-8a4b-4f0e-9f5e-0d8a3c1f2b7a.metadata.json", "{}")
	_, err := create(t.Context(), s, s.open())
	if err == nil || !strings.Contains(err.Error(), "another catalog") {
		t.Errorf("create: %v", err)
	}
}

func TestEmbedded_RefusesWhatItCannotDo(t *testing.T) {
	s := newSite(t, demoBucket(t), "s3://lake/tables/trips", isVersion)
	c, ctx := s.open(), t.Context()
	_, renamed := c.RenameTable(ctx, nil, []string{"other"})
	_, listed := c.ListNamespaces(ctx, nil)
	_, properties := c.LoadNamespaceProperties(ctx, nil)
	_, updated := c.UpdateNamespaceProperties(ctx, nil, nil, nil)
	faults := []error{c.DropTable(ctx, nil), renamed, listed, properties, updated, c.DropNamespace(ctx, nil)}
	for _, err := range c.ListTables(ctx, nil) {
		faults = append(faults, err)
	}
	for i, err := range faults {
		if err == nil || !strings.Contains(err.Error(), "s3://lake/tables/trips has this table only") {
			t.Errorf("%d: %v", i, err)
		}
	}
}
