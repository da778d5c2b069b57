package iceberg

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/apache/iceberg-go"
	icebergtable "github.com/apache/iceberg-go/table"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/consumer"
	"aws-streaming-pipeline/internal/localbucket"
	"aws-streaming-pipeline/internal/test/glue"
	"aws-streaming-pipeline/loader"
	"aws-streaming-pipeline/loader/loadertest"
	"aws-streaming-pipeline/record/table"
)

// openTable is a table that Open opens, with faults between it and its catalog. It is read with iceberg-go.
type openTable struct {
	restTable // its network, and Write
	options   Options
}

func newOpenTable(t *testing.T, name string, commits func(*http.Request) bool) *openTable {
	t.Helper()
	store, err := localbucket.Start("127.0.0.1:0", t.TempDir())
	must(t, err)
	t.Cleanup(func() { _ = store.Close() })
	r := &openTable{restTable: restTable{site: &site{t: t}}}
	r.URI, err = table.ParseURI(name)
	must(t, err)
	r.network.commits = commits
	account := aws.Config{Region: "us-east-1", HTTPClient: &r.network, Credentials: credentials.NewStaticCredentialsProvider("any", "any", "")}
	r.bucket = s3.NewFromConfig(account, func(o *s3.Options) { o.BaseEndpoint, o.UsePathStyle = aws.String(store.URL()), true })
	_, err = r.bucket.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: aws.String("lake")})
	must(t, err)
	r.options = Options{
		Application: "trips", Bucket: "lake", Account: account, S3: r.bucket,
		TableConfig: consumer.TableConfig{Table: name, TableCreate: true, TableEvolve: true, TablePartition: "day(_arrived_at)"},
	}
	return r
}

// Open implements loadertest.Table.
func (r *openTable) Open() loader.Destination {
	r.t.Helper()
	d, err := Open(r.t.Context(), r.options)
	must(r.t, err)
	return d
}

func (r *openTable) load(ctx context.Context) (*state, error) {
	s, err := r.Open().Load(ctx, nil)
	if err != nil {
		return nil, err
	}
	return s.(*state), nil
}

// Foreign implements loadertest.Table. The other writer is a loader of another application, which does not read our ledger.
func (r *openTable) Foreign(ctx context.Context) error {
	s, err := r.load(ctx)
	if err != nil {
		return err
	}
	r.foreign++
	b, err := r.Write(ctx, s.Definition(), fmt.Sprint("foreign-", r.foreign), 1)
	if err != nil {
		return err
	}
	b.Files[0].Key = "foreign/" + b.ID
	other := *s.destination
	other.Application = "other"
	s.destination = &other
	return s.Append(ctx, loader.Addition{Batches: []checkpoint.Batch{b}})
}

// Expire implements loadertest.Table.
func (r *openTable) Expire(ctx context.Context) error {
	s, err := r.load(ctx)
	if err != nil {
		return err
	}
	var old []int64
	for _, snapshot := range s.table.Metadata().Snapshots() {
		if snapshot.SnapshotID != s.table.CurrentSnapshot().SnapshotID {
			old = append(old, snapshot.SnapshotID)
		}
	}
	if len(old) == 0 {
		return nil
	}
	return s.commit(ctx, commit{updates: []icebergtable.Update{icebergtable.NewRemoveSnapshotsUpdate(old, false)}})
}

// Live implements loadertest.Table.
func (r *openTable) Live(ctx context.Context) (map[string]int, error) {
	live := make(map[string]int)
	s, err := r.load(ctx)
	if err != nil || s.table.CurrentSnapshot() == nil {
		return live, err
	}
	manifests, err := s.table.CurrentSnapshot().Manifests(s.destination.files)
	if err != nil {
		return nil, err
	}
	for _, m := range manifests {
		for entry, err := range m.Entries(s.destination.files, true) {
			if err != nil {
				return nil, err
			}
			if entry.Status() != iceberg.EntryStatusDELETED && strings.HasPrefix(entry.DataFile().FilePath(), "s3://lake/data/") {
				live[entry.DataFile().FilePath()]++
			}
		}
	}
	if n := s.destination.files.Removals(); n != 0 {
		return nil, fmt.Errorf("%d removals", n)
	}
	return live, nil
}

// The embedded catalog and Glue keep the contract as they are opened by the settings.
func TestOpen_KeepsTheContract(t *testing.T) {
	for name, open := range map[string]func(t *testing.T) *openTable{
		"embedded": func(t *testing.T) *openTable {
			return newOpenTable(t, "s3://lake/tables/trips", func(r *http.Request) bool {
				return r.Method == http.MethodPut && strings.Contains(r.URL.Path, "/metadata/v") && r.Header.Get("If-None-Match") == "*"
			})
		},
		"Glue": func(t *testing.T) *openTable {
			r := newOpenTable(t, "glue://lake/trips", func(r *http.Request) bool { return r.Header.Get("X-Amz-Target") == "AWSGlue.UpdateTable" })
			r.options.Account.BaseEndpoint = &glue.Start(t).URL
			return r
		},
	} {
		t.Run(name, func(t *testing.T) {
			loadertest.Test(t, func(t *testing.T) loadertest.Table {
				r := open(t)
				_, err := r.load(t.Context()) // creates it
				must(t, err)
				return r
			})
		})
	}
}

func TestOpen_NamesTheSettingThatIsWrong(t *testing.T) {
	for want, c := range map[string]consumer.TableConfig{
		"TABLE: ":           {Table: "hdfs://trips"},
		"TABLE_PARTITION: ": {Table: "s3://lake/trips", TablePartition: "week(_arrived_at)"},
	} {
		if _, err := Open(t.Context(), Options{TableConfig: c}); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%+v: %v, want %s", c, err, want)
		}
	}
}
