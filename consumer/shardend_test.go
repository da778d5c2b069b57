package consumer

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/internal/localstream"
)

// The last answer of a shard brings records together with the news that there are no more. Their end must not be
// committed without them: its children begin then, and nobody reads the parent again.
func TestDaemon_DeliversTheLastRecordsOfAShardWithItsEnd(t *testing.T) {
	const records = 200
	st := newStage(t, 1, localstream.Options{})
	for n := range records {
		if _, _, err := st.stream.Put("stream", localstream.Entry{PartitionKey: "k", Data: fmt.Appendf(nil, `{"n":%d}`, n)}); err != nil {
			t.Fatal(err)
		}
	}
	client := kinesis.NewFromConfig(st.account, func(o *kinesis.Options) { o.BaseEndpoint = aws.String(st.stream.URL()) })
	_, err := client.SplitShard(t.Context(), &kinesis.SplitShardInput{
		StreamName: aws.String("stream"), ShardToSplit: aws.String("shardId-000000000000"), NewStartingHashKey: aws.String("1" + strings.Repeat("0", 38)),
	})
	if err != nil {
		t.Fatal(err)
	}
	d := st.daemon(func(c *Config) { c.CommitInterval, c.Failover, c.Compression = time.Second, time.Second, "none" })
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		if err := d.Run(ctx); err != nil {
			t.Errorf("run: %v", err)
		}
	})
	eventually(t, "the end of the parent is committed", func() bool {
		row, err := st.store.Lease(t.Context(), "shardId-000000000000")
		return err == nil && row.Checkpoint == checkpoint.ShardEnd
	})
	stop()
	running.Wait()
	lines := 0
	err = filepath.WalkDir(st.folder, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.Contains(path, "manifest") {
			return err
		}
		body, err := os.ReadFile(path)
		lines += bytes.Count(body, []byte(`"n":`))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if lines != records {
		t.Errorf("%d of %d records are delivered, and the shard is at its end", lines, records)
	}
}
