package consumer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/internal/awshttp"
	"aws-streaming-pipeline/internal/localstream"
)

// unpublishing is a sink that never makes anything visible.
type unpublishing struct{ Sink }

func (unpublishing) Publish(context.Context, checkpoint.File, string) (string, error) {
	return "", errors.New("planted")
}

// refusing answers completions of one key with 403, as S3 does when somebody has taken a permission away.
type refusing struct {
	aws.HTTPClient
	key string
}

func (r refusing) Do(q *http.Request) (*http.Response, error) {
	if q.Method != http.MethodPost || !q.URL.Query().Has("uploadId") || !strings.HasSuffix(q.URL.Path, r.key) {
		return r.HTTPClient.Do(q)
	}
	return &http.Response{
		StatusCode: http.StatusForbidden, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: q, Header: http.Header{},
		Body: io.NopCloser(strings.NewReader("<Error><Code>AccessDenied</Code><Message>planted</Message></Error>")), ContentLength: -1,
	}, nil
}

func (st *stage) send(key string) {
	st.t.Helper()
	client := kinesis.NewFromConfig(st.account, func(o *kinesis.Options) { o.BaseEndpoint = aws.String(st.stream.URL()) })
	_, err := client.PutRecord(st.t.Context(), &kinesis.PutRecordInput{
		StreamName: aws.String("stream"), PartitionKey: &key, Data: fmt.Appendf(nil, `{"key":%q}`, key),
	})
	if err != nil {
		st.t.Fatal(err)
	}
}

// run starts a daemon; stop ends it and returns its error.
func (st *stage) run(d *Daemon) (stop func() error) {
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	var err error
	running.Go(func() { err = d.Run(ctx) })
	return func() error {
		cancel()
		running.Wait()
		return err
	}
}

func (st *stage) outbox() []checkpoint.Batch {
	st.t.Helper()
	s, err := st.store.Scan(context.Background())
	if err != nil {
		st.t.Fatal(err)
	}
	return s.Batches
}

func (st *stage) files() int {
	st.t.Helper()
	found, err := filepath.Glob(filepath.Join(st.folder, "bucket/data/*/*/*/*/*"))
	if err != nil {
		st.t.Fatal(err)
	}
	return len(found)
}

// A dead worker has left batches, and the bucket refuses the oldest for ever. The others are published, new records are
// delivered, and everybody can see what is refused.
func TestDaemon_PublishesTheOthersWhenABatchIsRefused(t *testing.T) {
	st := newStage(t, 1, localstream.Options{})
	st.patience = time.Second
	quick := func(c *Config) {
		c.CommitInterval, c.Failover, c.ShutdownGrace = time.Second, time.Second, 5*time.Second
	}
	st.wrap = func(s Sink) Sink { return unpublishing{s} }
	stop := st.run(st.daemon(quick))
	for n := range 3 {
		st.send(fmt.Sprint("left-", n))
		eventually(t, "the batch is in the outbox", func() bool { return len(st.outbox()) == n+1 })
	}
	if err := stop(); err == nil || !strings.Contains(err.Error(), "not published yet") {
		t.Errorf("the daemon ended with %v", err)
	}
	oldest := st.outbox()[0]
	for _, b := range st.outbox() {
		if b.Created.Before(oldest.Created) {
			oldest = b
		}
	}
	whole, err := st.store.Batch(t.Context(), oldest.ID)
	if err != nil {
		t.Fatal(err)
	}

	st.wrap, st.account.HTTPClient = nil, refusing{awshttp.Keep(nil), whole.Files[0].Key}
	d := st.daemon(quick)
	stop = st.run(d)
	eventually(t, "the others are published", func() bool { return st.files() == 2 && len(st.outbox()) == 1 })
	st.send("new")
	eventually(t, "new records are delivered", func() bool { return st.files() == 3 })
	eventually(t, "the refused batch is shown", func() bool { return len(d.Status().Pipeline.Unpublished) == 1 })
	u := d.Status().Pipeline.Unpublished[0]
	if u.Batch != oldest.ID || u.Reason != "refused" || !strings.Contains(u.Error, "AccessDenied") || !strings.Contains(u.Error, whole.Files[0].Key) {
		t.Errorf("shown is %+v", u)
	}
	if _, body := get(t, d, "/status.json"); !strings.Contains(body, `"unpublished_batches":[{"batch":"`+oldest.ID) {
		t.Errorf("/status.json lacks it: %s", body)
	}
	d.pipeline.Observe()
	if _, body := get(t, d, "/metrics"); !strings.Contains(body, `consumer_outbox_failed_batches{reason="refused"} 1`) {
		t.Error("/metrics lacks it")
	}
	if err := stop(); err != nil {
		t.Errorf("the daemon, which has published all of its own, ended with %v", err)
	}
	if left := st.outbox(); len(left) != 1 || left[0].ID != oldest.ID {
		t.Errorf("the outbox holds %+v", left)
	}
	if _, err := os.Stat(filepath.Join(st.folder, "bucket", whole.Files[0].Key)); err == nil {
		t.Error("the refused file is visible: nothing was refused")
	}
}
