package consumer

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"aws-streaming-pipeline/internal/localstream"
)

const rows = "postgres://db.example.com/lake/public.rides"

// safeBuffer is a log that several goroutines write.
type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *safeBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *safeBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// lines are those of the files under a prefix of the bucket.
func (st *stage) lines(prefix string) (lines []map[string]any) {
	st.t.Helper()
	err := filepath.WalkDir(filepath.Join(st.folder, "bucket", prefix), func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		file, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		r, err := gzip.NewReader(bytes.NewReader(file))
		if err != nil {
			return err
		}
		for s := bufio.NewScanner(r); s.Scan(); {
			var line map[string]any
			if err := json.Unmarshal(s.Bytes(), &line); err != nil {
				return err
			}
			lines = append(lines, line)
		}
		return nil
	})
	if err != nil {
		st.t.Fatal(err)
	}
	return lines
}

// No loader has ever run. The daemon delivers all the same, and each row has the time of its arrival.
func TestDaemon_DeliversForADatabaseWithoutALoader(t *testing.T) {
	st := newStage(t, 1, localstream.Options{})
	begin := time.Now().Add(-time.Second)
	d := st.daemon(func(c *Config) {
		c.TableConfig.Table, c.CommitInterval, c.Failover, c.PostgresFailover = "postgres://DB.example.com:5432/lake/rides", time.Second, time.Second, time.Hour
	})
	if _, body := get(t, d, "/metrics"); !strings.Contains(body, `consumer_table_batches{table="`+rows+`"} 0`) || !strings.Contains(body, `consumer_table_oldest_seconds{table="`+rows+`"} 0`) ||
		!strings.Contains(body, "consumer_failover_window_seconds 3600") {
		t.Errorf("at the start the metrics are\n%s", body)
	}
	stop := st.run(d)
	st.send("a")
	eventually(t, "the record is delivered", func() bool { return st.files() == 1 })
	eventually(t, "the daemon is ready", func() bool { code, _ := get(t, d, "/readyz"); return code == 200 })
	snap := func() (tables [][]string) {
		s, err := st.store.Scan(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range s.Published {
			tables = append(tables, b.Tables)
		}
		return tables
	}
	eventually(t, "the batch waits for the loader", func() bool { got := snap(); return len(got) == 1 && slices.Equal(got[0], []string{rows}) })
	eventually(t, "the batch is shown", func() bool {
		s := d.Status().Pipeline.Tables
		return len(s) == 1 && s[0].Table == rows && s[0].Batches == 1
	})
	if s := d.Status(); s.Table != nil || s.LateSeconds != 600+5*60+3600 {
		t.Errorf("the status is %+v", s)
	}
	if _, _, err := st.stream.Put("stream", localstream.Entry{PartitionKey: "x", Data: []byte("no JSON")}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the error is delivered", func() bool {
		found, err := filepath.Glob(filepath.Join(st.folder, "bucket/errors/*"))
		return err == nil && len(found) > 0 && len(d.Status().Pipeline.Faults) == 1
	})
	if err := stop(); err != nil {
		t.Error(err)
	}
	if got := snap(); len(got) != 1 {
		t.Errorf("batches wait for %q; errors alone are not loaded", got)
	}
	lines := st.lines("data")
	if len(lines) != 1 || lines[0]["key"] != "a" || lines[0]["event_id"] == "" {
		t.Fatalf("delivered are %v", lines)
	}
	arrived, err := time.Parse("2006-01-02T15:04:05.000Z", lines[0]["_arrived_at"].(string))
	if err != nil || arrived.Before(begin) || arrived.After(time.Now()) {
		t.Errorf("the record arrived at %v, %v", lines[0]["_arrived_at"], err)
	}
}

// A batch is for the tables of its day: a worker with another TABLE publishes it for them, and says so once.
func TestDaemon_PublishesABatchForTablesThatTABLENoLongerNames(t *testing.T) {
	st := newStage(t, 1, localstream.Options{})
	quick := func(c *Config) { c.CommitInterval, c.Failover = time.Second, time.Second }
	st.wrap = func(s Sink) Sink { return unpublishing{s} }
	stop := st.run(st.daemon(func(c *Config) { quick(c); c.TableConfig.Table, c.ShutdownGrace = rows, time.Second }))
	st.send("left")
	eventually(t, "the batch is in the outbox", func() bool { return len(st.outbox()) == 1 })
	if err := stop(); err == nil {
		t.Error("the batch was published")
	}
	var log safeBuffer
	st.wrap, st.log = nil, slog.New(slog.NewTextHandler(&log, nil))
	d := st.daemon(quick)
	stop = st.run(d)
	eventually(t, "the table is shown", func() bool {
		s := d.Status().Pipeline.Tables
		return len(s) == 1 && s[0].Table == rows && s[0].Unnamed && s[0].Batches == 1
	})
	st.send("new")
	eventually(t, "new records are delivered", func() bool { return st.files() == 2 })
	if err := stop(); err != nil {
		t.Error(err)
	}
	if n := strings.Count(log.String(), "a table that TABLE does not name"); n != 1 {
		t.Errorf("%d warnings:\n%s", n, log.String())
	}
	for _, line := range st.lines("data") {
		if _, has := line["_arrived_at"]; has != (line["key"] == "left") {
			t.Errorf("delivered is %v", line)
		}
	}
	s, err := st.store.Scan(t.Context())
	if err != nil || len(s.Published) != 1 || !slices.Equal(s.Published[0].Tables, []string{rows}) {
		t.Errorf("the outbox holds %+v, %v", s.Published, err)
	}
}
