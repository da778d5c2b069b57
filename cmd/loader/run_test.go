package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/checkpoint/local"
	"aws-streaming-pipeline/consumer"
	"aws-streaming-pipeline/internal/awshttp"
	"aws-streaming-pipeline/internal/localbucket"
	"aws-streaming-pipeline/record/table"
)

const lake = "s3://bucket/tables/trips"

// The program creates the table of its settings in a catalog that needs no service, tells workers its definition, and loads a
// batch that was published meanwhile. Its starts are apart because a store in a file has one process at a time.
func TestRun_CreatesTheTableAndLoadsABatch(t *testing.T) {
	dir := t.TempDir()
	bucket, err := localbucket.Start("127.0.0.1:0", dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { bucket.Close() })
	file := filepath.Join(dir, "checkpoints.db")
	for name, value := range map[string]string{
		"STREAM_NAME": "stream", "BUCKET": "bucket", "APPLICATION_NAME": "trips", "FORMAT": "parquet", "TABLE": lake, "LOAD_INTERVAL": "1s",
		"CHECKPOINT_FILE": file, "S3_PATH_STYLE": "true", "LOADER_HTTP_ADDRESS": "", "LOG_LEVEL": "warn",
		"AWS_ENDPOINT_URL_S3": bucket.URL(), "AWS_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "secret",
	} {
		t.Setenv(name, value)
	}
	cfg, err := consumer.LoadConfig()
	if err != nil {
		t.Fatal(err)
	}
	account, err := awshttp.Account(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	client := s3.NewFromConfig(account, func(o *s3.Options) { o.UsePathStyle = true })
	if _, err := client.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: &cfg.Bucket}); err != nil {
		t.Fatal(err)
	}

	runUntil(t, func() bool { return exists(t, client, "tables/trips/metadata/v1.metadata.json") })
	var b checkpoint.Batch
	withStore(t, file, func(store *local.Store) {
		item, err := store.Table(t.Context(), lake)
		if err != nil || item.Loader != "" {
			t.Fatalf("item %+v, %v", item, err)
		}
		var d table.Definition
		if err := json.Unmarshal(item.Definition, &d); err != nil {
			t.Fatal(err)
		}
		b = publish(t, store, d)
	})
	runUntil(t, func() bool { return named(t, client, b.ID) })
	withStore(t, file, func(store *local.Store) {
		batches, _, err := store.Outbox(t.Context())
		if err != nil || len(batches) > 0 {
			t.Errorf("the outbox has %+v, %v", batches, err)
		}
	})

	for _, c := range []struct{ command, says string }{
		{"audit", "sound: each file of a loaded batch is in the table exactly once"},
		{"audit --json", `"table_rows": 1,`},
		{"expire --older-than 1h --keep 1", "expired 0 snapshots, 1 are left"},
		{"orphans", "0 files, 0"},
		{"orphans --replaced", "0 files, 0"},
		{"compact", "0 small files of 0 partitions"},
		{"reload --from 24h", "would add 0 files of 0 batches"},
		{"rebind --yes", "the loader describes the new table in its next round"},
	} {
		var out bytes.Buffer
		if err := dispatch(t.Context(), &out, strings.Fields(c.command)...); err != nil || !strings.Contains(out.String(), c.says) {
			t.Errorf("%s prints\n%s\nand ends with %v, want %q", c.command, out.String(), err, c.says)
		}
	}
	withStore(t, file, func(store *local.Store) {
		if item, err := store.Table(t.Context(), lake); err != nil || len(item.Definition) != 0 {
			t.Errorf("after rebind the item is %+v, %v", item, err)
		}
	})
}

// runUntil runs the program until a condition holds, then ends it as SIGTERM does: the round under way is finished.
func runUntil(t *testing.T, done func() bool) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- dispatch(ctx, io.Discard) }()
	for deadline := time.Now().Add(time.Minute); !done(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Error("it takes too long")
			break
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
}

func withStore(t *testing.T, file string, f func(*local.Store)) {
	t.Helper()
	store, err := local.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	f(store)
}

// publish commits a batch of one file and marks it published.
func publish(t *testing.T, store *local.Store, d table.Definition) checkpoint.Batch {
	t.Helper()
	return publishFile(t, store, d, "batch-one", checkpoint.File{Bucket: "bucket", Key: "data/one.parquet", Rows: 1, Bytes: 1000}, lake)
}

// publishFile commits a batch of a file for tables, of which one is described, and marks it published.
func publishFile(t *testing.T, store *local.Store, d table.Definition, id string, file checkpoint.File, tables ...string) checkpoint.Batch {
	t.Helper()
	day := time.Now().Unix() / 86400
	description, err := json.Marshal(table.Description{UUID: d.UUID, Schema: d.Schema, Spec: d.Spec.ID,
		Partition: [][]byte{{byte(day), byte(day >> 8), byte(day >> 16), byte(day >> 24)}}})
	if err != nil {
		t.Fatal(err)
	}
	file.Table = description
	ctx := t.Context()
	if err := store.CreateLeases(ctx, []checkpoint.Lease{{Shard: "s", Checkpoint: checkpoint.TrimHorizon}}); err != nil {
		t.Fatal(err)
	}
	row, err := store.Lease(ctx, "s")
	if err == nil {
		row, err = store.Acquire(ctx, row, "w")
	}
	b := checkpoint.Batch{ID: id, Worker: "w", Tables: tables,
		Ranges: []checkpoint.Range{{Shard: "s", Start: row.Checkpoint, End: "1", LeaseOwner: "w", LeaseCounter: row.Counter, Records: file.Rows}},
		Files:  []checkpoint.File{file}}
	if err == nil {
		err = store.Commit(ctx, b)
	}
	if err == nil {
		err = store.MarkPublished(ctx, b.ID, time.Now())
	}
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func exists(t *testing.T, client *s3.Client, key string) bool {
	t.Helper()
	_, err := client.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: aws.String("bucket"), Key: &key})
	return err == nil
}

// named reports whether the newest metadata of the table names a batch.
func named(t *testing.T, client *s3.Client, id string) bool {
	t.Helper()
	list, err := client.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: aws.String("bucket"), Prefix: aws.String("tables/trips/metadata/v")})
	if err != nil {
		t.Fatal(err)
	}
	return slices.ContainsFunc(list.Contents, func(o types.Object) bool {
		object, err := client.GetObject(t.Context(), &s3.GetObjectInput{Bucket: aws.String("bucket"), Key: o.Key})
		if err != nil {
			return false
		}
		defer object.Body.Close()
		text, err := io.ReadAll(object.Body)
		return err == nil && bytes.Contains(text, []byte(id))
	})
}
