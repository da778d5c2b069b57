package consumer

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"aws-streaming-pipeline/internal/localstream"
	"aws-streaming-pipeline/writers/formats"
	"aws-streaming-pipeline/writers/writerstest"
)

// A format that is added to formats.All is checked, explained and written like any other.
func TestDaemon_WritesAThirdFormat(t *testing.T) {
	before := formats.All
	formats.All = append(slices.Clone(before), writerstest.CSV)
	t.Cleanup(func() { formats.All = before })

	c := Defaults()
	c.Stream, c.Bucket, c.Format = "s", "bucket", "csv"
	if err := c.Validate(); err != nil {
		t.Errorf("FORMAT=csv: %v", err)
	}
	c.Compression, c.Schema, c.BloomColumns, c.ContentEncoding = "zstd", "trips.json", "n", true
	err := c.Validate()
	for _, want := range []string{`COMPRESSION="zstd": want none`, `SCHEMA="trips.json": want nothing unless FORMAT=jsonl or parquet`,
		`BLOOM_COLUMNS="n": want nothing unless FORMAT=parquet`, `CONTENT_ENCODING="true": want false unless FORMAT=jsonl or firehose`} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %s, got %v", want, err)
		}
	}
	named := slices.ContainsFunc(Settings(), func(s Setting) bool {
		return slices.Contains(s.OneOf, "csv") && strings.Contains(s.Meaning, "csv (rows of a sequence number and a payload)")
	})
	if !named {
		t.Error("the settings do not name the format")
	}

	st := newStage(t, 1, localstream.Options{})
	bucket := writerstest.NewMemory()
	st.sink = healthy{bucket}
	for _, payload := range []string{"a", `b,"c"`} {
		if _, _, err := st.stream.Put("stream", localstream.Entry{PartitionKey: "k", Data: []byte(payload)}); err != nil {
			t.Fatal(err)
		}
	}
	d := st.daemon(func(c *Config) { c.Format, c.CommitInterval, c.Failover = "csv", time.Second, time.Second })
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		if err := d.Run(ctx); err != nil {
			t.Errorf("run: %v", err)
		}
	})
	eventually(t, "two records are taken", func() bool { return d.Taken() == 2 })
	stop()
	running.Wait()

	keys := slices.DeleteFunc(bucket.Keys(), func(key string) bool { return !strings.HasPrefix(key, "data/") })
	if len(keys) != 1 || !strings.HasSuffix(keys[0], ".csv") {
		t.Fatalf("files are %q, want one that ends in .csv", keys)
	}
	object := bucket.Object(keys[0])
	if body := string(object.Body); !strings.HasPrefix(body, "event_id,payload\n") || !strings.HasSuffix(body, `,"b,""c"""`+"\n") || object.ContentType != "text/csv" {
		t.Errorf("the file is %s, %q", object.ContentType, body)
	}
}
