package consumer

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/internal/localstream"
	"aws-streaming-pipeline/writers/layout"
)

// A daemon shows in the bucket, on its page and in its metrics up to when the data is complete, and once more when it ends.
func TestDaemon_ShowsUpToWhenTheDataIsComplete(t *testing.T) {
	st := newStage(t, 1, localstream.Options{})
	now := time.Now().UTC()
	say := func(upTo time.Time) {
		t.Helper()
		if _, err := st.store.RaiseComplete(t.Context(), checkpoint.Complete{UpTo: upTo, At: now, Shards: 1}); err != nil {
			t.Fatal(err)
		}
	}
	say(now.Add(-time.Hour))
	d := st.daemon(func(c *Config) {
		c.CommitInterval, c.Failover, c.ShutdownGrace = time.Second, time.Second, 5*time.Second
		c.StartPosition = StartPosition{Time: now.Add(-4 * time.Hour)}
		c.CompletePrefix, c.CompleteMarker = "_complete/", "_SUCCESS"
	})
	stop := st.run(d)
	st.send("a")
	object := filepath.Join(st.folder, "bucket/_complete/streaming-pipeline.json")
	eventually(t, "the object is there", func() bool { _, err := os.Stat(object); return err == nil })
	eventually(t, "the page shows it", func() bool {
		c := d.Status().Complete
		return !c.UpTo.IsZero() && c.Announced != nil && !c.Announced.UpTo.IsZero()
	})
	if _, body := get(t, d, "/status.json"); !strings.Contains(body, `"announced":{"key":"_complete/streaming-pipeline.json","up_to":"`) {
		t.Errorf("/status.json lacks it: %s", body)
	}
	_, text := get(t, d, "/metrics")
	for _, name := range []string{"consumer_complete_timestamp_seconds", "consumer_complete_announced_timestamp_seconds"} {
		if !strings.Contains(text, name+" 1.") {
			t.Errorf("/metrics has no time for %s", name)
		}
	}
	eventually(t, "the record is delivered", func() bool { return st.files() > 0 })
	later := now.Add(-30 * time.Minute).Truncate(time.Millisecond)
	say(later)
	if err := stop(); err != nil {
		t.Error(err)
	}

	body, err := os.ReadFile(object)
	if err != nil {
		t.Fatal(err)
	}
	var said map[string]any
	if err := json.Unmarshal(body, &said); err != nil || said["application"] != "streaming-pipeline" || said["stream"] != "stream" || said["shards"] != 1.0 {
		t.Errorf("the object says %s", body)
	}
	s, err := layout.DecodeStatement(body, "streaming-pipeline")
	if err != nil || s.CompleteUpTo.Before(later) {
		t.Errorf("the object says %s at the end, want %s or later; %v", s.CompleteUpTo, later, err)
	}
	for hour := now.Add(-4 * time.Hour).Truncate(time.Hour).Add(time.Hour); !hour.After(now); hour = hour.Add(time.Hour) {
		folder := hour.Format("data/year=2006/month=01/day=02/hour=15/")
		_, err := os.Stat(filepath.Join(st.folder, "bucket", folder, "_SUCCESS"))
		if marked, ended := err == nil, !hour.Add(time.Hour).After(s.CompleteUpTo); marked != ended {
			t.Errorf("%s has a marker: %t; complete up to %s", folder, marked, s.CompleteUpTo)
		}
	}
}
