package consumer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/checkpoint/local"
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

// Records come to one of three shards for a while, and then to none. At no time does the bucket say that it is complete up to a time
// before which a record is missing, no folder gets a file after its marker, and the statement keeps up without new records. The
// control is a statement that runs ahead.
func TestDaemon_StatesCompletenessOfWhatItDelivers(t *testing.T) {
	for name, ahead := range map[string]time.Duration{"as it is": 0, "a statement that runs ahead": 4 * time.Minute} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, "http://unused", "", silence{announced: true}, func(c *trial) {
				faults := c.complete(ahead)
				if wrong := len(faults) > 0; wrong != (ahead > 0) {
					c.Errorf("%d statements were wrong: %q", len(faults), faults)
				}
			})
		})
	}
}

// complete runs a daemon, and returns what was wrong with what the bucket said. After a minute the
// statement is raised by so much too far.
func (c *trial) complete(ahead time.Duration) (faults []string) {
	const sends, idles = 4 * time.Minute, 5 * time.Minute
	memory := local.OpenMemory()
	defer memory.Close()
	ctx, stop := context.WithCancel(c.Context())
	defer stop()
	var running sync.WaitGroup
	d := c.daemon(healthyStore{memory})
	running.Go(func() {
		if err := d.Run(ctx); err != nil {
			c.Errorf("run: %v", err)
		}
	})
	began := time.Now()
	var arrivals []time.Time
	files := make(map[string]int) // in folders, when they had their marker
	fault := func(format string, args ...any) {
		faults = append(faults, time.Since(began).String()+": "+fmt.Sprintf(format, args...))
	}
	look := func() {
		upTo := c.statement()
		delivered := c.records()
		for n, at := range arrivals {
			if at.Before(upTo) && delivered[n] != 1 {
				fault("complete up to %s, and record %d is there %d times", upTo.Sub(began), n, delivered[n])
			}
		}
		for folder, now := range c.folders() {
			if before, marked := files[folder]; marked && before != now.files {
				fault("folder %s had %d files when it was marked, and has %d", folder, before, now.files)
			}
			if now.marked {
				files[folder] = now.files
			}
		}
	}
	for time.Since(began) < sends+idles {
		if ahead > 0 && time.Since(began) == time.Minute {
			if _, err := memory.RaiseComplete(c.Context(), checkpoint.Complete{UpTo: time.Now().Add(ahead), At: time.Now(), Shards: 3}); err != nil {
				c.Fatal(err)
			}
		}
		if time.Since(began) < sends {
			if _, _, err := c.stream.Put("stream", localstream.Entry{PartitionKey: "always the same", Data: fmt.Appendf(nil, `{"n":%d}`, len(arrivals))}); err != nil {
				c.Fatal(err)
			}
			arrivals = append(arrivals, time.Now())
		}
		time.Sleep(3 * time.Second)
		look()
	}
	if lag := time.Since(c.statement()); lag > 2*time.Minute {
		c.Errorf("without new records the statement is %v old", lag)
	}
	stop()
	running.Wait()
	look()
	folders, upTo := c.folders(), c.statement()
	for minute := began.UTC(); minute.Before(began.Add(sends + idles)); minute = minute.Add(time.Minute) {
		folder := minute.Format("2006/01/02/15/04")
		if ended := !minute.Add(time.Minute).After(upTo); folders[folder].marked != ended {
			fault("at the end it is complete up to %s, and folder %s has a marker: %t", upTo.Sub(began), folder, folders[folder].marked)
		}
	}
	if len(arrivals) != len(c.records()) || len(files) < int((sends+idles)/time.Minute)-3 {
		c.Errorf("%d of %d records were delivered, and %d folders marked", len(c.records()), len(arrivals), len(files))
	}
	return faults
}

// statement is the time that the object in the bucket says; zero if there is none.
func (c *trial) statement() time.Time {
	c.Helper()
	body, err := os.ReadFile(filepath.Join(c.folder, "bucket/_complete/streaming-pipeline.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return time.Time{}
	}
	s, err2 := layout.DecodeStatement(body, "streaming-pipeline")
	if err := errors.Join(err, err2); err != nil {
		c.Fatal(err)
	}
	return s.CompleteUpTo
}

// folder is one that has files or a marker.
type folder struct {
	files  int
	marked bool
}

// folders are those of the data.
func (c *trial) folders() map[string]folder {
	c.Helper()
	found := make(map[string]folder)
	data := filepath.Join(c.folder, "bucket", "data")
	err := filepath.WalkDir(data, func(path string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) || err == nil && entry.IsDir() {
			return nil
		}
		name, _ := filepath.Rel(data, filepath.Dir(path))
		f := found[name]
		if entry.Name() == "_SUCCESS" {
			f.marked = true
		} else {
			f.files++
		}
		found[name] = f
		return err
	})
	if err != nil {
		c.Fatal(err)
	}
	return found
}
