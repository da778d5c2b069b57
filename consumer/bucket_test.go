package consumer

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"aws-streaming-pipeline/internal/localstream"
)

// journal is a log that can be read while it is written.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *journal) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

// with returns the lines that hold all of the words.
func (l *journal) with(words ...string) (found []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range strings.Lines(l.text.String()) {
		if !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(line, w) }) {
			found = append(found, line)
		}
	}
	return found
}

// What readiness knows of a bucket that is not there, the page, the metric and the log know, from the start on and without
// asking S3 again; and they know when it comes.
func TestDaemon_TellsEverywhereThatTheBucketIsNotThere(t *testing.T) {
	st := newStage(t, 1, localstream.Options{})
	log := &journal{}
	st.log = slog.New(slog.NewTextHandler(log, nil))
	d := st.daemon(func(c *Config) { c.Bucket, c.Failover = "elsewhere", time.Second })
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		if err := d.Run(ctx); err != nil {
			t.Errorf("run: %v", err)
		}
	})
	failing := func() string {
		var names []string
		for _, c := range d.Status().Checks {
			if c.Problem != "" {
				names = append(names, c.Name)
			}
		}
		return strings.Join(names, " ")
	}
	said := func() []string { return log.with("level=ERROR", `BUCKET=\"elsewhere\"`) }
	eventually(t, "the bucket alone is missed", func() bool { return failing() == "bucket" && len(said()) > 0 })
	if s := d.Status(); s.Ready || s.State == "running" {
		t.Errorf("the page says %q, ready %v", s.State, s.Ready)
	}
	if code, body := get(t, d, "/readyz"); code != 503 || !strings.Contains(body, `BUCKET=\"elsewhere\"`) {
		t.Errorf("/readyz: %d %s", code, body)
	}
	if _, body := get(t, d, "/metrics"); !strings.Contains(body, `consumer_check_ok{check="bucket"} 0`) {
		t.Error("the metric does not tell")
	}

	if err := st.bucket.CreateBucket("elsewhere"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the daemon is ready", func() bool { return d.Status().State == "running" })
	if code, body := get(t, d, "/readyz"); code != 200 {
		t.Errorf("/readyz: %d %s", code, body)
	}
	if _, body := get(t, d, "/metrics"); !strings.Contains(body, `consumer_check_ok{check="bucket"} 1`) {
		t.Error("the metric does not tell that the bucket is there")
	}
	if n, m := len(said()), len(log.with("the bucket can be used again")); n != 1 || m != 1 {
		t.Errorf("the log has the beginning %d times and the end %d times", n, m)
	}
	asked := func() float64 {
		return testutil.ToFloat64(d.metrics.S3Requests.WithLabelValues("HeadBucket", "ok")) +
			testutil.ToFloat64(d.metrics.S3Requests.WithLabelValues("HeadBucket", "error"))
	}
	before := asked()
	for range 100 {
		get(t, d, "/readyz")
		d.Status()
	}
	if n := asked() - before; n > 1 {
		t.Errorf("S3 was asked %v times for a hundred probes", n)
	}
	stop()
	running.Wait()
}

func TestBucketWatch_SaysOnceWhatChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &journal{}
		var now atomic.Pointer[error]
		now.Store(new(error))
		looks := 0
		b := newBucketWatch("out", func(context.Context) error { looks++; return *now.Load() }, slog.New(slog.NewTextHandler(log, nil)))
		if b.health() == nil {
			t.Error("well before the first look")
		}
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			b.run(ctx)
		}()
		for _, step := range []struct {
			problem     error
			errors, ups int // lines in all
		}{
			{nil, 0, 0}, {errors.New("no such bucket"), 1, 0}, {errors.New("forbidden"), 1, 0}, {nil, 1, 1}, {errors.New("no such bucket"), 2, 1},
		} {
			problem := step.problem
			now.Store(&problem)
			time.Sleep(time.Minute)
			synctest.Wait()
			if err := b.health(); (err == nil) != (problem == nil) || err != nil && err.Error() != `BUCKET="out": `+problem.Error() {
				t.Errorf("after %v: %v", problem, err)
			}
			if n, m := len(log.with("level=ERROR")), len(log.with("level=INFO")); n != step.errors || m != step.ups {
				t.Errorf("after %v: %d errors and %d infos, want %d and %d", problem, n, m, step.errors, step.ups)
			}
		}
		stop()
		<-done
		if looks < 30 || looks > 80 {
			t.Errorf("%d looks in five minutes", looks)
		}
	})
}

// A look that is not answered ends, and is a problem meanwhile.
func TestBucketWatch_GivesUpALookThatIsNotAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBucketWatch("out", func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }, slog.New(slog.DiscardHandler))
		began := time.Now()
		if well := b.look(t.Context()); well || time.Since(began) != bucketTimeout || !errors.Is(b.health(), context.DeadlineExceeded) {
			t.Errorf("well %v after %v: %v", well, time.Since(began), b.health())
		}
	})
}
