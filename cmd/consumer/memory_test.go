package main_test

import (
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"aws-streaming-pipeline/internal/localstream"
	"aws-streaming-pipeline/internal/test/bench/rows"
)

// peakMemory is the largest resident size of a process so far, in bytes (proc(5), VmHWM).
func peakMemory(t *testing.T, pid int) int64 {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`VmHWM:\s+(\d+) kB`).FindSubmatch(text)
	if found == nil {
		t.Fatal("no VmHWM in the status of the process")
	}
	n, err := strconv.ParseInt(string(found[1]), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n << 10
}

// A process uses at most the memory that the README states: its budget, a tenth more, and a fixed part, with one file and
// with hundreds. Where the system lets the test create a container, the process runs in one with a tenth more, for what the
// kernel counts, and must survive.
func TestConsumer_KeepsToItsMemory(t *testing.T) {
	if _, err := os.Stat("/proc/self/status"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip("LEFT OUT: memory of the process: there is no /proc on this system")
	}
	const fixed = 72 << 20
	small := []string{
		"MEMORY_BUDGET=64MiB", "ROW_GROUP_SIZE=32MiB", "FILE_SIZE=512MiB",
		"PREFIX=data/", "ERROR_PREFIX=errors/!{firehose:error-output-type}/", // an hour that begins makes no second file
	}
	partitioned := []string{
		"MEMORY_BUDGET=256MiB", "PARTITION_QUERY={customer:.customer}",
		"PREFIX=data/customer=!{partitionKeyFromQuery:customer}/", "ERROR_PREFIX=errors/!{firehose:error-output-type}/",
	}
	for _, load := range []struct {
		name     string
		budget   int64
		records  iter.Seq[[]byte]
		count    int64
		files    int
		shards   int32
		schema   string
		settings []string
	}{
		{"one file, wide records", 64 << 20, rows.Taxi.All(), 120_000, 1, 4, rows.Taxi.Document, small},
		{"one file, narrow records", 64 << 20, rows.Narrow.All(), 400_000, 1, 4, rows.Narrow.Document, small},
		{"500 partitions", 256 << 20, customers(500), 250_000, 500, 16, "", partitioned},
	} {
		t.Run(load.name, func(t *testing.T) {
			s := newSurroundings(t, load.shards)
			n := int64(0)
			for data := range load.records {
				if n == load.count {
					break
				}
				if _, _, err := s.stream.Put(streamName, localstream.Entry{PartitionKey: strconv.FormatInt(n, 10), Data: data}); err != nil {
					t.Fatal(err)
				}
				n++
			}
			address := freeAddress(t)
			settings := append([]string{
				"FORMAT=parquet", "COMPRESSION=none", "COMMIT_INTERVAL=1h", "SPOOL_DIR=" + t.TempDir(), "SPOOL_SIZE=8GiB", "HTTP_ADDRESS=" + address,
			}, load.settings...)
			if load.schema != "" {
				document := filepath.Join(s.dir, "schema.json")
				if err := os.WriteFile(document, []byte(load.schema), 0o600); err != nil {
					t.Fatal(err)
				}
				settings = append(settings, "SCHEMA="+document)
			}
			bound := load.budget/100*110 + fixed
			c := s.startIn(container(t, bound/10*11), settings...)
			within(t, 10*time.Minute, "all records are in open files", func() bool {
				st, ok := status(t, address)
				rows := int64(0)
				for _, f := range st.Pipeline.Open {
					rows += f.Rows
				}
				return ok && rows == load.count
			})
			peak := peakMemory(t, c.cmd.Process.Pid)
			if err := c.terminate(); err != nil {
				t.Errorf("exit: %v\n%s", err, c.log)
			}
			files := s.files("data/")
			t.Logf("%d records in %d files, peak memory %d MB of %d", load.count, len(files), peak/1e6, bound/1e6)
			if len(files) != load.files {
				t.Errorf("%d files, want %d", len(files), load.files)
			}
			if peak > bound {
				t.Errorf("peak memory %d MB, bound %d", peak/1e6, bound/1e6)
			}
		})
	}
}

// customers returns records of 1 KB that cycle through the given number of customers.
func customers(count int) iter.Seq[[]byte] {
	padding := strings.Repeat("x", 950)
	return func(yield func([]byte) bool) {
		for n := 0; yield(fmt.Appendf(nil, `{"customer":"c%03d","n":%d,"text":"%d%s"}`, n%count, n, n*7919, padding)); n++ {
		}
	}
}

// container makes a control group with a bound on memory and returns the file that takes its processes; empty where the
// system does not let the test make one.
func container(t *testing.T, limit int64) (processes string) {
	t.Helper()
	for root, bound := range map[string]string{"/sys/fs/cgroup/memory": "memory.limit_in_bytes", "/sys/fs/cgroup": "memory.max"} {
		group := filepath.Join(root, fmt.Sprintf("consumer-test-%d-%d", os.Getpid(), limit))
		if os.Mkdir(group, 0o755) != nil {
			continue
		}
		t.Cleanup(func() { os.Remove(group) })
		if os.WriteFile(filepath.Join(group, bound), []byte(strconv.FormatInt(limit, 10)), 0o644) == nil {
			return filepath.Join(group, "cgroup.procs")
		}
	}
	t.Log("LEFT OUT: the bound of a container: no control group can be made")
	return ""
}
