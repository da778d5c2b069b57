package consumer

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/prometheus/client_golang/prometheus"

	"aws-streaming-pipeline/checkpoint/local"
	"aws-streaming-pipeline/internal/awshttp"
	"aws-streaming-pipeline/internal/budget"
	"aws-streaming-pipeline/internal/localbucket"
	"aws-streaming-pipeline/internal/localstream"
	"aws-streaming-pipeline/internal/metrics"
	"aws-streaming-pipeline/writers/s3sink"
)

// Ten daemons start at once on a stream of a thousand shards, with the default failover time: within half a minute each
// reads a hundred, and at rest they ask the store for nothing but scans and heartbeats.
func TestDaemons_ShareAThousandShardsEvenlyWithinHalfAMinute(t *testing.T) {
	const workers, shards = 10, 1000
	stream, err := localstream.Start("127.0.0.1:0", localstream.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	if err := stream.CreateStream("wide", shards); err != nil {
		t.Fatal(err)
	}
	bucket, err := localbucket.Start("127.0.0.1:0", t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer bucket.Close()
	if err := bucket.CreateBucket("out"); err != nil {
		t.Fatal(err)
	}
	var resting atomic.Bool
	var requests sync.Map // of *atomic.Int64 by operation, while resting
	store := local.OpenMemory(local.WithHook(func(operation string, applied bool) error {
		if resting.Load() && !applied {
			n, _ := requests.LoadOrStore(operation, new(atomic.Int64))
			n.(*atomic.Int64).Add(1)
		}
		return nil
	}))
	defer store.Close()
	account := aws.Config{Region: "us-east-1", Credentials: credentials.NewStaticCredentialsProvider("test", "test", ""), HTTPClient: awshttp.Keep(nil)}

	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	var daemons []*Daemon
	began := time.Now()
	for range workers {
		cfg := Defaults()
		cfg.Stream, cfg.Bucket, cfg.HTTPAddress, cfg.ReadInterval = "wide", "out", "", 20*time.Second
		registry := prometheus.NewRegistry()
		m := metrics.New(registry)
		// Reading is not what is tested here: a shard that has just been opened reserves ten megabytes.
		held := budget.New(2<<30, m)
		log := slog.New(slog.DiscardHandler)
		sink, err := s3sink.New(s3.NewFromConfig(account, func(o *s3.Options) {
			o.BaseEndpoint, o.UsePathStyle = aws.String(bucket.URL()), true
		}), s3sink.Config{Bucket: "out", Budget: held, Metrics: m, Log: log})
		if err != nil {
			t.Fatal(err)
		}
		d, err := New(cfg, Services{
			Kinesis: kinesis.NewFromConfig(account, func(o *kinesis.Options) { o.BaseEndpoint = aws.String(stream.URL()) }),
			Store:   store, Sink: sink, Budget: held, Metrics: m, Registry: registry, Log: log, Version: "test",
		})
		if err != nil {
			t.Fatal(err)
		}
		daemons = append(daemons, d)
		running.Go(func() {
			if err := d.Run(ctx); err != nil {
				t.Errorf("run: %v", err)
			}
		})
	}
	defer func() {
		stop()
		running.Wait()
	}()

	open := func() (counts []int, least, most int) {
		least = shards
		for _, d := range daemons {
			n := len(d.shards.behind())
			counts, least, most = append(counts, n), min(least, n), max(most, n)
		}
		return counts, least, most
	}
	for deadline := began.Add(30 * time.Second); ; {
		counts, least, most := open()
		total := 0
		for _, n := range counts {
			total += n
		}
		if total == shards && most-least <= 1 {
			t.Logf("1000 shards on 10 workers after %v", time.Since(began).Round(100*time.Millisecond))
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("after 30 s the workers read %v shards", counts)
		}
		time.Sleep(100 * time.Millisecond)
	}

	time.Sleep(2 * time.Second) // what the first balance has left to do
	resting.Store(true)
	time.Sleep(10 * time.Second)
	resting.Store(false)
	text := ""
	requests.Range(func(operation, n any) bool {
		text += fmt.Sprintf(" %s %d", operation, n.(*atomic.Int64).Load())
		if operation != "scan" && operation != "heartbeat" {
			t.Errorf("%d calls of %s in ten seconds at rest", n.(*atomic.Int64).Load(), operation)
		}
		return true
	})
	t.Logf("calls of the store in 10 s at rest, 10 workers:%s", text)
	if _, least, most := open(); most-least > 1 {
		t.Errorf("at rest the workers read between %d and %d shards", least, most)
	}
}
