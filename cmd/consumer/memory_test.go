package main_test

import (
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"aws-streaming-pipeline/internal/localstream"
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

// Five hundred partitions are open at once. What they hold in memory is bounded by the budget, and their files are not
// smaller because of it.
func TestConsumer_KeepsToItsMemoryWithManyPartitions(t *testing.T) {
	if _, err := os.Stat("/proc/self/status"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip("LEFT OUT: memory of many partitions: there is no /proc on this system")
	}
	const partitions, shards, records = 500, 16, 250_000
	s := newSurroundings(t, shards)
	padding := strings.Repeat("x", 950)
	for n := range records {
		if _, _, err := s.stream.Put(streamName, localstream.Entry{
			PartitionKey: strconv.Itoa(n),
			Data:         fmt.Appendf(nil, `{"customer":"c%03d","n":%d,"text":"%d%s"}`, n%partitions, n, n*7919, padding),
		}); err != nil {
			t.Fatal(err)
		}
	}
	address := freeAddress(t)
	spool := t.TempDir()
	c := s.start("FORMAT=parquet", "COMPRESSION=none", "COMMIT_INTERVAL=1h", "PARTITION_QUERY={customer:.customer}",
		"PREFIX=data/customer=!{partitionKeyFromQuery:customer}/", "ERROR_PREFIX=errors/!{firehose:error-output-type}/",
		"MEMORY_BUDGET=256MiB", "SPOOL_DIR="+spool, "SPOOL_SIZE=8GiB", "HTTP_ADDRESS="+address)
	eventually(t, 2*time.Minute, "all records are in open files", func() bool {
		st, ok := status(t, address)
		rows := int64(0)
		for _, f := range st.Pipeline.Open {
			rows += f.Rows
		}
		return ok && rows == records
	})
	peak := peakMemory(t, c.cmd.Process.Pid)
	if err := c.terminate(time.Minute); err != nil {
		t.Errorf("exit: %v\n%s", err, c.log)
	}
	files := s.files("data/")
	t.Logf("%d records in %d files, peak memory %d MiB", records, len(files), peak>>20)
	if len(files) != partitions {
		t.Errorf("%d files for %d partitions", len(files), partitions)
	}
	if peak > 512<<20 {
		t.Errorf("peak memory %d MiB, want less than 512", peak>>20)
	}
}
