package consumer

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"aws-streaming-pipeline/checkpoint/local"
	"aws-streaming-pipeline/internal/localstream"
	"aws-streaming-pipeline/operate/audit"
	"aws-streaming-pipeline/operate/objects"
	"aws-streaming-pipeline/writers/formats"
	"aws-streaming-pipeline/writers/layout"
)

// What the daemon writes an audit has to know for the daemon's own, under every setting that changes a key, and nothing
// else. Each bucket is audited as it is, with a file of the daemon's that no manifest names, and with somebody else's.
func TestDaemon_WritesKeysThatAnAuditKnows(t *testing.T) {
	extensions := []string{"", ".json", ".json_v2", ".a-b!*'()..7"}
	for _, kind := range formats.All {
		for _, compression := range kind.Compressions {
			t.Run(kind.Name+" "+compression, func(t *testing.T) {
				t.Parallel()
				st := newStage(t, 1, localstream.Options{})
				for n := range 4 {
					payload := fmt.Sprintf(`{"n":%d}`, n)
					if n == 3 {
						payload = "" // what FORMAT=firehose refuses, too
					}
					if _, _, err := st.stream.Put("stream", localstream.Entry{PartitionKey: "k", Data: []byte(payload)}); err != nil {
						t.Fatal(err)
					}
				}
				for i, extension := range extensions {
					auditKeys(t, st, func(c *Config) {
						c.Application = fmt.Sprint("application-", i)
						c.Format, c.Compression, c.FileExtension = kind.Name, compression, extension
						// Prefixes that look like keys of files and manifests, and manifests above the data.
						c.ManifestPrefix = fmt.Sprintf("%d/", i)
						c.Prefix = c.ManifestPrefix + "2026/01/02/03/stream-1-2026-01-02-03-04-05-01a20527-214f-712e-bae4-36df22ed3c71-000.json/"
						c.ErrorPrefix = c.ManifestPrefix + "outbox-1-errors-!{firehose:error-output-type}"
						c.TimeZone = "Pacific/Auckland" // where the clock of keys is half a day ahead
					})
				}
			})
		}
	}
}

func auditKeys(t *testing.T, st *stage, adjust func(*Config)) {
	t.Helper()
	cfg := Defaults()
	cfg.Stream, cfg.Bucket = "stream", "bucket"
	adjust(&cfg)
	if err := cfg.Validate(); err != nil {
		t.Fatal(err)
	}
	st.store = local.OpenMemory()
	d := st.daemon(func(c *Config) {
		adjust(c)
		c.CommitInterval, c.Failover = time.Hour, time.Second
	})
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		if err := d.Run(ctx); err != nil {
			t.Errorf("run: %v", err)
		}
	})
	eventually(t, "four records are taken", func() bool { return d.Taken() == 4 })
	stop()
	running.Wait()

	client := s3.NewFromConfig(st.account, func(o *s3.Options) { o.BaseEndpoint, o.UsePathStyle = aws.String(st.bucket.URL()), true })
	bucket := objects.Bucket{API: client, Name: "bucket"}
	report := func() *audit.Report {
		r, err := audit.Run(t.Context(), audit.Config{
			Bucket: bucket, ManifestPrefix: cfg.ManifestPrefix, Prefixes: []string{layout.Fixed(cfg.Prefix), layout.Fixed(cfg.ErrorPrefix)}, Beside: cfg.Announces,
			Now: func() time.Time { return time.Now().Add(time.Minute) },
		})
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	if r := report(); !r.Sound || len(r.Warnings) > 0 || r.Files != 2 || r.Listed != 2 || r.Batches != 1 {
		t.Errorf("%s: sound %v, %d files of which %d listed, in %d batches: %+v, want it clean with one file of data and one of errors",
			cfg.FileExtension, r.Sound, r.Files, r.Listed, r.Batches, r.Warnings)
	}

	var own []string
	for o, err := range bucket.List(t.Context(), cfg.ManifestPrefix, "") {
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := layout.ParseFile(*o.Key); ok {
			own = append(own, *o.Key)
		}
	}
	if len(own) != 2 {
		t.Fatalf("files are %q", own)
	}
	for _, key := range own {
		// One of the batch's with another number, and one of a batch that has no manifest.
		file, _ := layout.ParseFile(key)
		stranger := file
		file.Number += 100
		stranger.Batch = layout.NewBatchID()
		for _, orphan := range []layout.File{file, stranger} {
			wantWarning(t, client, orphan.Key(), audit.Unnamed, report)
		}
		// Firehose's own, and a copy of somebody's.
		firehose, _, _ := strings.Cut(key, file.Batch)
		for _, foreign := range []string{firehose + "8f7e1f0e-3d5c-4a0b-9d6e-0123456789ab" + file.Extension, key + " (copy)"} {
			wantWarning(t, client, foreign, audit.Unknown, report)
		}
	}
	wantNone := func(key string) {
		put(t, client, key)
		if r := report(); !r.Sound || len(r.Warnings) > 0 {
			t.Errorf("with %s: %+v", key, r.Warnings)
		}
		remove(t, client, key)
	}
	wantNone(layout.OutboxKey(cfg.ManifestPrefix, layout.NewBatchID()))
	announced := layout.Fixed(cfg.Prefix) + "hour=10/_SUCCESS"
	wantWarning(t, client, announced, audit.Unknown, report)
	cfg.CompletePrefix, cfg.CompleteMarker = layout.Fixed(cfg.Prefix)+"_complete/", "_SUCCESS"
	wantNone(announced)
	wantNone(layout.StatementKey(cfg.CompletePrefix, cfg.Application))
	wantWarning(t, client, announced+".json", audit.Unknown, report)
}

// wantWarning plants an object and wants it named under its kind, and nothing else.
func wantWarning(t *testing.T, client *s3.Client, key string, kind audit.Kind, report func() *audit.Report) {
	t.Helper()
	put(t, client, key)
	defer remove(t, client, key)
	r := report()
	if !r.Sound || len(r.Warnings) != 1 || r.Warnings[0].Kind != kind || r.Warnings[0].Key != key {
		t.Errorf("with %q: sound %v, warnings %+v, want one %s", key, r.Sound, r.Warnings, kind)
	}
}

func put(t *testing.T, client *s3.Client, key string) {
	t.Helper()
	if _, err := client.PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String("bucket"), Key: &key, Body: strings.NewReader("{}\n")}); err != nil {
		t.Fatal(err)
	}
}

func remove(t *testing.T, client *s3.Client, key string) {
	t.Helper()
	if _, err := client.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: aws.String("bucket"), Key: &key}); err != nil {
		t.Fatal(err)
	}
}
