package main_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"aws-streaming-pipeline/internal/localstream"
	"aws-streaming-pipeline/internal/test/emulator"
	"aws-streaming-pipeline/internal/test/race"
	"aws-streaming-pipeline/record"
	"aws-streaming-pipeline/record/recordtest"
	"aws-streaming-pipeline/writers/layout"
)

var partitions = flag.Int("partitions", 600, "number of partitions in one answer of Kinesis, and in one aggregate, up to 20,000")

// One answer of Kinesis, and one aggregate in it, may have a file for each of its user records. All are delivered under
// default settings, with DynamoDB's limits on items and transactions, and within the daemon's memory.
func TestConsumer_DeliversManyPartitions(t *testing.T) {
	race.LeaveOut(t)
	t.Parallel()
	dynamodb := emulator.DynamoDBLocal(t)
	for name, perRecord := range map[string]int{"in one answer": 2, "in one aggregate": *partitions} {
		t.Run(name, func(t *testing.T) {
			s := newSurroundings(t, 1)
			for n := 0; n < *partitions; n += perRecord {
				var records []record.Record
				for i := range perRecord {
					records = append(records, record.Record{PartitionKey: "key", Data: fmt.Appendf(nil, `{"customer":%d}`, n+i)})
				}
				if _, _, err := s.stream.Put(streamName, localstream.Entry{PartitionKey: "key", Data: recordtest.AppendAggregate(nil, records)}); err != nil {
					t.Fatal(err)
				}
			}

			address := freeAddress(t)
			began := time.Now()
			c := s.start("CHECKPOINT_FILE=", fmt.Sprint("CHECKPOINT_TABLE=by-", perRecord), "AWS_ENDPOINT_URL_DYNAMODB="+dynamodb.URL, "HTTP_ADDRESS="+address,
				"PARTITION_QUERY={customer:.customer}", "PREFIX=data/customer=!{partitionKeyFromQuery:customer}/",
				"ERROR_PREFIX=errors/!{firehose:error-output-type}/")
			within(t, 10*time.Minute, "all records are published", func() bool {
				st, ok := status(t, address)
				return ok && st.Pipeline.Totals.Records >= int64(*partitions)
			})
			took := time.Since(began).Round(100 * time.Millisecond)
			if _, err := os.Stat("/proc/self/status"); err == nil {
				const bound = int64(256<<20/100*110 + 75e6) // README, "Memory", with the default MEMORY_BUDGET
				peak := peakMemory(t, c.cmd.Process.Pid)
				t.Logf("%d partitions in %v, peak memory %d MB of %d", *partitions, took, peak/1e6, bound/1e6)
				if peak > bound {
					t.Errorf("peak memory %d MB, bound %d", peak/1e6, bound/1e6)
				}
			}
			if err := c.terminate(); err != nil {
				t.Errorf("exit: %v\n%s", err, c.log)
			}

			seen := make(map[int]bool)
			for _, line := range s.lines("data/") {
				var r struct{ Customer int }
				if err := json.Unmarshal(line, &r); err != nil || seen[r.Customer] {
					t.Fatalf("%s is a duplicate or not a record: %v", line, err)
				}
				seen[r.Customer] = true
			}
			if len(seen) != *partitions || len(s.files("data/")) != *partitions || len(s.files("errors/")) != 0 {
				t.Errorf("%d records in %d files, and %d error files, want %d and none", len(seen), len(s.files("data/")), len(s.files("errors/")), *partitions)
			}
			if left := s.files("manifests/outbox/"); len(left) != 0 {
				t.Errorf("lists are left: %v", left)
			}
			s.leaveList()
			s.wantTool(0, []string{"sound", fmt.Sprint(*partitions, " records")}, "audit", "--strict")
			if before := s.files("manifests/outbox/"); len(before) != 1 {
				t.Errorf("the list that was left over is there no more: %v", before)
			}
		})
	}
}

// leaveList puts a list of files into the bucket, as if its deletion had failed.
func (s *surroundings) leaveList() {
	s.t.Helper()
	folder := filepath.Join(s.dir, "bucket", bucketName, "manifests", "outbox")
	if err := os.MkdirAll(folder, 0o755); err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, layout.NewBatchID()+".json.zst"), []byte("list"), 0o644); err != nil {
		s.t.Fatal(err)
	}
}
