package consumer

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/md5"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"aws-streaming-pipeline/checkpoint/checkpointtest"
	"aws-streaming-pipeline/consumer/transform"
	"aws-streaming-pipeline/internal/localstream"
	"aws-streaming-pipeline/record"
	"aws-streaming-pipeline/record/recordtest"
)

// kinds are payloads of all kinds, numbered from n, with what a backup in Firehose's form has of each.
func kinds(t *testing.T, n int) (payloads, kept []string) {
	zip := func(text string) string {
		var b bytes.Buffer
		w := gzip.NewWriter(&b)
		if _, err := w.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	of := func(data string) record.Record { return record.Record{PartitionKey: "k", Data: []byte(data)} }
	object := func(i int) string { return fmt.Sprintf(`{"n":"%d-%d"}`, n, i) }
	aggregate := string(recordtest.AppendAggregate(nil, []record.Record{of(object(1)), of(zip(object(2))), of("no JSON " + object(3)), of(`{"drop":` + object(4) + `}`)}))
	message := fmt.Sprint("no protobuf ", n)
	sum := md5.Sum([]byte(message))
	corrupt := "\xf3\x89\x9a\xc2" + message + string(sum[:])
	payloads = []string{object(5), zip(object(6)), "no JSON " + object(7), "\x00\xff" + fmt.Sprint(n), `{"drop":` + object(8) + `}`, corrupt, aggregate}
	kept = append(payloads[:len(payloads)-1:len(payloads)-1], object(1), zip(object(2)), "no JSON "+object(3), `{"drop":`+object(4)+`}`)
	return append(payloads, ""), kept
}

// dropping is a transform that drops the records that say so.
var dropping = stageFunc(func(_ context.Context, in []record.Record) (out transform.Output, err error) {
	for _, r := range in {
		if bytes.Contains(r.Data, []byte(`"drop"`)) && r.Fault == nil {
			out.Dropped++
			continue
		}
		out.Records = append(out.Records, r)
	}
	return out, nil
})

// put sends payloads, and returns them by the shard and sequence number that they got.
func (st *stage) put(payloads []string, into map[string]string) {
	st.t.Helper()
	for i, p := range payloads {
		shard, sequence, err := st.stream.Put("stream", localstream.Entry{PartitionKey: fmt.Sprint("key ", i), Data: []byte(p)})
		if err != nil {
			st.t.Fatal(err)
		}
		into[shard+" "+sequence] = p
	}
}

// read calls f with the content of each file under a folder of the bucket.
func (st *stage) read(folder string, f func(path string, content []byte)) {
	st.t.Helper()
	err := filepath.WalkDir(filepath.Join(st.folder, "bucket", folder), func(path string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) || err == nil && entry.IsDir() {
			return nil
		}
		content, err := os.ReadFile(path)
		if err == nil {
			f(path, content)
		}
		return err
	})
	if err != nil {
		st.t.Fatal(err)
	}
}

// wrong compares backups of BACKUP_FORMAT=jsonl with what was put.
func (st *stage) wrong(put map[string]string) (lost, double, changed int) {
	st.t.Helper()
	seen := make(map[string]int)
	st.read("backup", func(path string, content []byte) {
		r, err := gzip.NewReader(bytes.NewReader(content))
		if err != nil {
			st.t.Fatalf("%s: %v", path, err)
		}
		for lines := bufio.NewScanner(r); lines.Scan(); {
			kept, err := record.ParseBackupLine(lines.Bytes())
			if err != nil {
				st.t.Fatalf("%s: %v", path, err)
			}
			at := kept.Shard + " " + kept.SequenceNumber
			seen[at]++
			if string(kept.Data) != put[at] || !strings.HasPrefix(kept.PartitionKey, "key ") || time.Since(kept.Arrival) > time.Hour {
				changed++
			}
		}
	})
	for at := range put {
		switch n := seen[at]; {
		case n == 0:
			lost++
		case n > 1:
			double++
		}
	}
	return lost, double, changed + len(seen) - (len(put) - lost)
}

// A worker dies with a batch that it has committed and not published, the next with one that it could not commit, and the third
// delivers the rest: each Kinesis record is in the backup once, whatever became of it.
func TestDaemon_KeepsEachRecordOnce(t *testing.T) {
	st := newStage(t, 2, localstream.Options{})
	var refuse atomic.Bool
	st.store = checkpointtest.Hooked(st.store, func(operation string, applied bool) error {
		if operation == "commit" && refuse.Load() {
			return errors.New("planted")
		}
		return nil
	})
	st.change = dropping
	settings := func(c *Config) {
		quickly(c)
		c.ShutdownGrace, c.OpenGzip = time.Second, true
		c.BackupPrefix, c.BackupFormat = "backup/!{timestamp:yyyy}/", "jsonl"
	}
	put := make(map[string]string)
	more := func(n int) {
		payloads, _ := kinds(t, n)
		st.put(payloads, put)
	}

	st.wrap = func(s Sink) Sink { return unpublishing{s} }
	stop := st.run(st.daemon(settings))
	more(1)
	eventually(t, "a batch is in the outbox", func() bool { return len(st.outbox()) > 0 })
	if err := stop(); err == nil {
		t.Error("the daemon has published what it could not")
	}

	refuse.Store(true)
	second := st.daemon(settings)
	stop = st.run(second)
	more(2)
	eventually(t, "records are taken in", func() bool { return second.Taken() > 0 })
	_ = stop() // the fate of its batch is decided at the end
	st.read("", func(path string, _ []byte) { t.Errorf("%s is visible", path) })

	refuse.Store(false)
	st.wrap = nil
	stop = st.run(st.daemon(settings))
	more(3)
	eventually(t, "everything is kept", func() bool { lost, _, _ := st.wrong(put); return lost == 0 && len(st.outbox()) == 0 })
	if err := stop(); err != nil {
		t.Error(err)
	}
	if lost, double, changed := st.wrong(put); lost+double+changed > 0 {
		t.Errorf("of %d records, the backups lack %d, have %d more than once, and %d otherwise", len(put), lost, double, changed)
	}
	const data, faults = 4, 5 // objects, and what is none, in each of the three
	if len(st.lines("data")) != 3*data || len(st.lines("errors")) != 3*faults {
		t.Errorf("%d records delivered, %d error records, want %d and %d", len(st.lines("data")), len(st.lines("errors")), 3*data, 3*faults)
	}

	// The control: the comparison sees what is missing and what is double.
	var first string
	st.read("backup", func(path string, content []byte) {
		if first == "" {
			first = path
			if err := os.WriteFile(path+"-again", content, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	})
	if _, double, _ := st.wrong(put); double == 0 {
		t.Error("a file that is there twice has no record that is")
	}
	if err := errors.Join(os.Remove(first), os.Remove(first+"-again")); err != nil {
		t.Fatal(err)
	}
	if lost, _, _ := st.wrong(put); lost == 0 {
		t.Error("a file is missing and no record is")
	}
}

// backupKey has the time right after a prefix without a slash, as in Firehose, and no extension.
var backupKey = regexp.MustCompile(`^backup[0-9]{4}/[0-9]{2}/[0-9]{2}/[0-9]{2}/stream-1-[0-9a-f-]+$`)

// Firehose's form: payloads one after the other, aggregates are split into their records, and nothing else is opened.
func TestDaemon_KeepsPayloadsAsFirehoseDoes(t *testing.T) {
	st := newStage(t, 1, localstream.Options{})
	payloads, kept := kinds(t, 1)
	st.put(payloads, make(map[string]string))
	st.change = dropping
	d := st.daemon(func(c *Config) {
		quickly(c)
		c.OpenGzip, c.BackupPrefix = true, "backup"
	})
	stop := st.run(d)
	eventually(t, "records are taken in", func() bool { return d.Taken() > 0 })
	if err := stop(); err != nil {
		t.Error(err)
	}
	files := 0
	st.read("", func(path string, content []byte) {
		key, err := filepath.Rel(filepath.Join(st.folder, "bucket"), path)
		if err != nil || !strings.HasPrefix(key, "backup") {
			return
		}
		files++
		if !backupKey.MatchString(key) {
			t.Errorf("the key is %s", key)
		}
		if string(content) != strings.Join(kept, "") {
			t.Errorf("got %q\nwant %q", content, strings.Join(kept, ""))
		}
	})
	if files != 1 {
		t.Errorf("%d backup files, want 1", files)
	}
}
