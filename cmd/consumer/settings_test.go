package main_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/checkpoint/local"
	"aws-streaming-pipeline/consumer"
	"aws-streaming-pipeline/internal/localbucket"
)

// changes are what a second worker's settings may say otherwise than those of the worker whose batch it publishes.
var changes = map[string][]string{
	"bucket":          {"BUCKET=other"},
	"prefix":          {"PREFIX=elsewhere/!{partitionKeyFromQuery:n}/", "PARTITION_QUERY={n:.n}", "TIME_ZONE=Europe/Lisbon"},
	"error prefix":    {"ERROR_PREFIX=faults/!{firehose:error-output-type}/"},
	"manifest prefix": {"MANIFEST_PREFIX=audited/"},
	"path style":      {"S3_PATH_STYLE=false"},
	"encryption":      {"S3_ENCRYPTION=aws:kms", "S3_KMS_KEY_ID=alias/other"},
	"format":          {"FORMAT=parquet", "ROW_GROUP_SIZE=1MiB", "PARQUET_ENCODING=plain", "BLOOM_COLUMNS=event_id"},
	"another format":  {"FORMAT=firehose", "APPEND_DELIMITER=true", "FILE_EXTENSION=.txt"},
	"compression":     {"COMPRESSION=zstd", "CONTENT_ENCODING=true"},
	"backup":          {"BACKUP_PREFIX=kept/", "BACKUP_FORMAT=jsonl", "BACKUP_COMPRESSION=zstd"},
	"part size":       {"PART_SIZE=16MiB", "UPLOAD_CONCURRENCY=1"},
	"stream ARN":      {"STREAM_ARN=" + streamARN},
	"fan-out":         {"FAN_OUT_CONSUMER=files"},
	"file size":       {"FILE_SIZE=1KiB", "COMMIT_SIZE=1MiB", "COMMIT_INTERVAL=2s", "MAX_OPEN_FILES=2"},
	"memory":          {"MEMORY_BUDGET=32MiB", "SPOOL_DIR=/tmp", "SPOOL_SIZE=1GiB"},
	"reading": {"SCHEMA=testdata/any.schema.json", "OPEN_GZIP=true", "SCHEMA_REGISTRY=glue", "SPLIT_RECORDS=json", "SPLIT_LOG_EVENTS=event", "KPL_HASH_FILTER=true",
		"KINESIS_PROTOCOL=json", "READ_INTERVAL=1s", "START_POSITION=LATEST", "TRANSFORM_QUERY=empty"},
	"function": {"TRANSFORM=lambda:arn:aws:lambda:us-east-1:123456789012:function:mask", "TRANSFORM_BUFFER_SIZE=3MiB", "TRANSFORM_CONCURRENCY=1", "TRANSFORM_RETRIES=0",
		"TRANSFORM_TIMEOUT=1s", "PREFIX=!{partitionKeyFromLambda:n}/"},
	"end": {"STOP_POSITION=2026-01-01T00:00:00Z"}, // the worker ends by itself, after what was left is published
	"table": {"FORMAT=parquet", tableSetting, "TABLE_CREATE=false", "TABLE_PARTITION=", "TABLE_LOCATION=s3://bucket/tables", "TABLE_EVOLVE=false", "TABLE_WAREHOUSE=lake",
		"TABLE_TOKEN=secret", "LOAD_INTERVAL=10s", "LOAD_BATCHES=1", "LOADER_HTTP_ADDRESS=127.0.0.1:0", "TABLE_SNAPSHOT_AGE=1h",
		"TABLE_SNAPSHOTS=1"},
	"signed table": {"FORMAT=parquet", tableSetting, "TABLE_SIGNING=glue"},
	"database": {databaseSetting, "POSTGRES_DSN=user=loader password=secret", "POSTGRES_USER=loader", "POSTGRES_TLS=disable", "POSTGRES_KEY=n", "POSTGRES_UNIQUE=true",
		"POSTGRES_FAILOVER_WINDOW=0s"},
	"partitioned database": {databaseSetting, "FORMAT=parquet", "POSTGRES_DSN_FILE=/run/dsn", "POSTGRES_CA_FILE=/run/ca.pem", "POSTGRES_PARTITION=day"},
	"table and database": {"FORMAT=parquet", tableSetting + ",postgres://db.example.com/lake/trips", "POSTGRES_AUTH=iam",
		"POSTGRES_SECRET=arn:aws:secretsmanager:us-east-1:123456789012:secret:trips-AbCdEf"},
	"complete":  {"COMPLETE_PREFIX=_complete/", "COMPLETE_MARKER=_SUCCESS"},
	"operation": {"FAILOVER_TIME=2s", "MAX_LEASES=1", "HTTP_ADDRESS=127.0.0.1:0", "SHUTDOWN_GRACE=10s", "LOG_LEVEL=debug", "LOG_FORMAT=json", "CLOUDWATCH_NAMESPACE=Files"},
}

// fixed are the settings with which a worker belongs to another application, and why.
var fixed = map[string]string{
	"STREAM_NAME":             "a table is bound to its stream, and refuses another",
	"APPLICATION_NAME":        "a table is bound to its application, and refuses another",
	"CHECKPOINT_TABLE":        "another table has another outbox: what was left in the first waits for a worker that uses it",
	"CHECKPOINT_FILE":         "as CHECKPOINT_TABLE",
	"CHECKPOINT_TABLE_CREATE": "says only whether a table is made",
}

const (
	tableSetting    = "TABLE=rest://lake.example.com/a.trips"
	databaseSetting = "TABLE=postgres://db.example.com/lake/trips"
)

const streamARN = "arn:aws:kinesis:us-east-1:123456789012:stream/" + streamName

func TestChanges_CoverAllSettings(t *testing.T) {
	changed := make(map[string]bool)
	for _, c := range changes {
		for _, v := range c {
			name, _, _ := strings.Cut(v, "=")
			changed[name] = true
		}
	}
	for _, s := range consumer.Settings() {
		if changed[s.Name] == (fixed[s.Name] != "") {
			t.Errorf("%s: changed %v, fixed %q: want one of them", s.Name, changed[s.Name], fixed[s.Name])
		}
	}
}

// A worker commits a batch and dies before publishing it. The next worker publishes it as committed, whatever its own
// settings are.
func TestConsumer_PublishesWhatWasCommittedUnderOtherSettings(t *testing.T) {
	t.Parallel()
	const records = 20
	s := newSurroundings(t, 1)
	about, err := s.kinesis.DescribeStreamSummary(t.Context(), &kinesis.DescribeStreamSummaryInput{StreamName: aws.String(streamName)})
	if err != nil || *about.StreamDescriptionSummary.StreamARN != streamARN {
		t.Fatalf("the stream is %v, %v; want %s", about, err, streamARN)
	}
	payloads := []string{"no JSON"}
	for n := range records {
		payloads = append(payloads, fmt.Sprintf(`{"n":%d}`, n))
	}
	s.send(payloads...)
	left := s.crash()
	if len(left.Files) != 2 || left.Manifest.Bucket != bucketName {
		t.Fatalf("the batch that was left is %+v", left)
	}
	for name, change := range changes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := s.copy(t)
			if slices.ContainsFunc(change, func(v string) bool { return strings.HasPrefix(v, tableSetting) }) {
				s.describeTable()
			}
			worker := s.start(change...)
			for _, where := range append(places(left), left.Manifest) {
				s.await(where, worker)
			}
			if name == "end" {
				if code := worker.exit(); code != 0 {
					t.Errorf("exit code %d\n%s", code, worker.log)
				}
			} else if err := worker.terminate(); err != nil {
				t.Errorf("exit: %v\n%s", err, worker.log)
			}
			if snap := s.table(); len(snap.Batches) > 0 {
				t.Errorf("the outbox holds %+v", snap.Batches)
			}
			if all := s.everything(); len(all) != len(left.Files)+1 {
				t.Errorf("there is %v; promised were %v and %v", all, places(left), left.Manifest)
			}
			seen := make(map[int]int)
			for _, line := range s.lines("data/") {
				var r struct{ N int }
				if err := json.Unmarshal(line, &r); err != nil {
					t.Fatalf("%s: %v", line, err)
				}
				seen[r.N]++
			}
			if n := len(s.lines("data/")); len(seen) != records || n != records || len(s.lines("errors/")) != 1 {
				t.Errorf("%d records, %d of them different, and %d errors; want %d and 1", n, len(seen), len(s.lines("errors/")), records)
			}
			s.wantTool(0, []string{"sound", fmt.Sprint(records+1, " records")}, "audit", "--deep", "--strict")
		})
	}
}

// crash has a worker commit everything in one batch, and kills it at its first attempt to publish.
func (s *surroundings) crash(settings ...string) checkpoint.Batch {
	s.t.Helper()
	publishing := make(chan struct{})
	var once sync.Once
	bucket, err := localbucket.StartWith("127.0.0.1:0", filepath.Join(s.dir, "bucket"), localbucket.Options{Wrap: func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodPost && r.URL.Query().Has("uploadId") {
				once.Do(func() { close(publishing) })
				w.WriteHeader(http.StatusServiceUnavailable)
				return
			}
			next.ServeHTTP(w, r)
		})
	}})
	if err != nil {
		s.t.Fatal(err)
	}
	defer bucket.Close()
	worker := s.start(append(settings, "AWS_ENDPOINT_URL_S3="+bucket.URL())...)
	select {
	case <-publishing:
	case <-time.After(patience):
		s.t.Fatalf("nothing was committed\n%s", worker.log)
	}
	worker.kill()
	heads := s.table().Batches
	if len(heads) != 1 {
		s.t.Fatalf("the outbox holds %+v", heads)
	}
	store := s.store()
	defer store.Close()
	b, err := store.Batch(s.t.Context(), heads[0].ID)
	if err != nil {
		s.t.Fatal(err)
	}
	return b
}

// describeTable writes what a loader does, for which a worker waits.
func (s *surroundings) describeTable() {
	s.t.Helper()
	store := s.store()
	defer store.Close()
	_, name, _ := strings.Cut(tableSetting, "=")
	if _, err := store.PutTable(s.t.Context(), checkpoint.Table{Name: name, Definition: json.RawMessage(`{"uuid":"u","columns":[
		{"id":1,"name":"event_id","member":"event_id","type":"string"},{"id":2,"name":"_extra","member":"_extra","type":"string"}]}`)}); err != nil {
		s.t.Fatal(err)
	}
}

// await waits until an object is there.
func (s *surroundings) await(where checkpoint.Place, worker *process) {
	s.t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		if _, err := os.Stat(filepath.Join(s.dir, "bucket", where.Bucket, where.Key)); err == nil {
			return
		}
		if time.Now().After(deadline) || len(worker.exited) > 0 {
			if len(worker.exited) == 0 {
				worker.kill()
			}
			s.t.Fatalf("%s is not there; there is %v\n%s", where, s.everything(), worker.log)
		}
	}
}

// copy returns the same surroundings with a table and a bucket of their own, as they are now.
func (s *surroundings) copy(t *testing.T) *surroundings {
	t.Helper()
	c := &surroundings{t: t, stream: s.stream, kinesis: s.kinesis, dir: t.TempDir()}
	for _, name := range []string{"bucket/.localbucket", "bucket/" + bucketName} {
		if err := os.CopyFS(filepath.Join(c.dir, name), os.DirFS(filepath.Join(s.dir, name))); err != nil {
			t.Fatal(err)
		}
	}
	table, err := os.ReadFile(filepath.Join(s.dir, "checkpoints.db"))
	if err == nil {
		err = os.WriteFile(filepath.Join(c.dir, "checkpoints.db"), table, 0o600)
	}
	if err == nil {
		c.bucket, err = localbucket.Start("127.0.0.1:0", filepath.Join(c.dir, "bucket"))
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.bucket.Close() })
	if err := c.bucket.CreateBucket("other"); err != nil {
		t.Fatal(err)
	}
	return c
}

func (s *surroundings) store() *local.Store {
	s.t.Helper()
	store, err := local.Open(filepath.Join(s.dir, "checkpoints.db"))
	if err != nil {
		s.t.Fatal(err)
	}
	return store
}

func (s *surroundings) table() checkpoint.Snapshot {
	s.t.Helper()
	store := s.store()
	defer store.Close()
	snap, err := store.Scan(context.Background())
	if err != nil {
		s.t.Fatal(err)
	}
	return snap
}

// everything lists the objects of all buckets.
func (s *surroundings) everything() (objects []string) {
	s.t.Helper()
	root := os.DirFS(filepath.Join(s.dir, "bucket"))
	for _, bucket := range []string{bucketName, "other"} {
		err := fs.WalkDir(root, bucket, func(path string, entry fs.DirEntry, err error) error {
			beside := strings.HasPrefix(path, bucket+"/_complete/") || entry.Name() == "_SUCCESS" // by COMPLETE_PREFIX and COMPLETE_MARKER
			if err == nil && !entry.IsDir() && !beside {
				objects = append(objects, path)
			}
			return err
		})
		if err != nil {
			s.t.Fatal(err)
		}
	}
	slices.Sort(objects)
	return objects
}

func places(b checkpoint.Batch) (all []checkpoint.Place) {
	for _, f := range b.Files {
		all = append(all, checkpoint.Place{Bucket: f.Bucket, Key: f.Key})
	}
	return all
}
