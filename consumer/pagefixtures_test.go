package consumer

import (
	"fmt"
	"math"
	"time"

	"aws-streaming-pipeline/consumer/batch"
)

// pageFixtures are what a daemon may have to show, by what it is doing. The time in them stands still.
func pageFixtures() map[string]Status {
	idle, trouble, stopping, wide := usual(), usual(), usual(), usual()

	idle.Pipeline.Open, idle.Pipeline.Next, idle.Pipeline.Faults = []batch.OpenFile{}, nil, nil
	idle.Pipeline.Totals.ErrorRecords, idle.BufferedBytes, idle.FreshnessSeconds, idle.RetentionUsed = 0, 0, 0, 0
	idle.Pipeline.Tables = nil
	for i := range idle.Shards {
		idle.Shards[i].BehindSeconds, idle.Shards[i].RetentionUsed = 0, 0
	}
	for i := range idle.History {
		idle.History[i] = Sample{At: idle.History[i].At, Counts: idle.Counts}
	}

	trouble.State, trouble.Ready = "not ready", false
	trouble.Checks[2].Problem = "put object trips/dt=2026-03-14/…: operation error S3: PutObject, https response error StatusCode: 403, RequestID: 4H2VQ9, HostID: q8lZ0OIYJ3v5KdKp9W2WwqYyM0uQ3hXn7J9xQk0c2b6vQm1sT4s8Jw==, api error AccessDenied: Access Denied"
	trouble.Checks[3].Problem = "bucket trips-lake cannot be reached"
	trouble.Shards[1].BehindSeconds, trouble.RetentionUsed, trouble.FreshnessSeconds = 7384, 0.41, 7401
	trouble.Counts.ThrottledReads, trouble.Pipeline.Outbox = 412, 7
	trouble.Complete.Announced = &Announcement{Key: "state/complete.json", Problem: "access denied"}
	trouble.Pipeline.Tables[0].Batches, trouble.Pipeline.Tables[0].Age, trouble.LateSeconds = 31, 5400, 900
	for i := range 3 {
		trouble.Pipeline.Unpublished = append(trouble.Pipeline.Unpublished, batch.UnpublishedBatch{
			Batch: fmt.Sprintf("20260314T0843%02dZ-7f31c0de9b2a", i), Worker: workerOf(0), Sealed: seenAt(-40 * time.Minute), Tried: seenAt(-20 * time.Second), Attempts: 39 - i,
			Reason: []string{"unavailable", "refused", "foreign"}[i], Error: "complete upload of trips/dt=2026-03-14/hour=08/7f31c0de9b2a-0001.parquet: api error AccessDenied: Access Denied",
		})
	}
	trouble.Pipeline.Published[0].Key = "trips/<img src=x onerror=alert(1)>/" + longKey
	trouble.Pipeline.Faults[0].Message = "<script>alert(1)</script> is not JSON: invalid character '<' looking for beginning of value, after 12 bytes of which the record shows none"

	stopping.State, stopping.Ready = "stopping", false
	stopping.Pipeline.Next.Reason = "drain"
	stopping.Stop = &StopStatus{At: seenAt(-time.Hour), Passed: 1, Shards: 4}

	wide.Shards, wide.Workers = nil, nil
	for i := range 100 {
		s := ShardStatus{Shard: shardOf(i), Owner: workerOf(i / 10), Mine: i < 10, Position: sequenceOf(i), Arrival: seenAt(-time.Duration(i) * time.Second), State: "owned", RetentionUsed: float64(i) / 1e5}
		if s.Mine {
			s.State, s.BehindSeconds = "held", float64(i)
		}
		wide.Shards = append(wide.Shards, s)
	}
	wide.Shards[7].BehindSeconds = 300
	wide.Shards[55].Owner, wide.Shards[55].State = "", "free"
	wide.Shards[56].Owner, wide.Shards[56].State = "", "trimmed"
	wide.Shards[99].Owner = "consumer-5d8f7b9c4-old00-0123456789ab" // gone
	for i := range 10 {
		wide.Workers = append(wide.Workers, WorkerStatus{ID: workerOf(i), Alive: true, Shards: 10, Address: fmt.Sprintf("10.0.1.%d:8080", 10+i), Version: "1.8.0", Role: []string{"leader", "follower", "alone"}[min(i, 2)], Complete: seenAt(-time.Duration(60+i) * time.Second)})
	}
	starting := Status{
		Application: "trips", Stream: "trips", Bucket: "trips-lake", Version: "1.8.0", Started: time.Now().Add(-3 * time.Minute), Shards: []ShardStatus{}, Workers: []WorkerStatus{},
		State: "starting: waiting to open table consumer-trips",
		Checks: []Check{{Name: "start", Problem: "operation error DynamoDB: DescribeTable, connect to dynamodb.eu-central-1.amazonaws.com: connection refused. " +
			"Check the network, and AWS_ENDPOINT_URL_DYNAMODB if it is set."}},
	}
	follower, cut := usual(), usual()
	follower.Leader = &LeaderStatus{ID: workerOf(1), Address: "10.0.1.11:8080"}
	follower.Fleet = &FleetStatus{Shards: 4, Workers: 2, AsOf: seenAt(-4 * time.Second)}
	follower.Workers[0].Role, follower.Workers[1].Role = "follower", "leader"
	cut.Leader = &LeaderStatus{ID: workerOf(1), Address: "no address"}
	cut.Fleet = &FleetStatus{Shards: 4, Workers: 2, Problem: "scan: operation error DynamoDB: Scan, exceeded maximum number of attempts, 6, ThrottlingException: rate exceeded"}
	cut.Shards = cut.Shards[:2]
	return map[string]Status{
		"running": usual(), "idle": idle, "trouble": trouble, "starting": starting, "stopping": stopping, "wide": wide, "follower": follower, "cut": cut,
	}
}

const longKey = "year=2026/month=03/day=14/hour=09/customer=a-rather-long-name-of-a-customer-with-a-subsidiary/20260314T092155Z-7f31c0de9b2a-shardgroup-000001-0001.zstd.parquet"

// seenAt is a time as seen from the fixtures' now.
func seenAt(ago time.Duration) time.Time {
	return time.Date(2026, 3, 14, 9, 26, 53, 0, time.UTC).Add(ago)
}

func workerOf(i int) string {
	return fmt.Sprintf("consumer-5d8f7b9c4-x%02dqz-%012x", i, 0x9b2a7f31c0d*(i+1))
}

func shardOf(i int) string { return fmt.Sprintf("shardId-%012d", i) }

func sequenceOf(i int) string {
	return fmt.Sprintf("4963612408126347891234567890123456789012345678901%07d", i)
}

// usual is a daemon with a table at a usual load.
func usual() Status {
	s := Status{
		Application: "trips", Stream: "trips", Bucket: "trips-lake", Worker: workerOf(0), Version: "1.8.0", Now: seenAt(0), Started: seenAt(-76 * time.Hour), State: "running", Ready: true,
		Checks:        []Check{{Name: "leases"}, {Name: "kinesis"}, {Name: "s3"}, {Name: "bucket"}, {Name: "records"}, {Name: "table"}},
		Counts:        Counts{RecordsRead: 18_412_907, BytesRead: 21_733_509_120, BytesWritten: 3_221_225_472, Reads: 1_093_412, ThrottledReads: 3},
		RetentionUsed: 0.0034, RetentionSeconds: 86400, FileSize: 128 << 20, MemoryBudget: 1 << 30, BufferedBytes: 361 << 20, ProcessBytes: 702 << 20, FreshnessSeconds: 141,
		Complete: CompleteStatus{UpTo: seenAt(-152 * time.Second), At: seenAt(-2 * time.Second), Shards: 4, Announced: &Announcement{Key: "state/complete.json", UpTo: seenAt(-180 * time.Second)}},
		Table:    &TableStatus{Name: "iceberg://lake/trips", UUID: "5d1c0f9e-0b7a-4c7f-a2f8-0e6f6c6d8a11", Schema: 3, Spec: 1},
		Pipeline: batch.Status{
			Totals: batch.Totals{Batches: 912, Files: 4821, Records: 36_120_411, ErrorRecords: 17, Bytes: 3_221_225_472}, Outbox: 1,
			Next:   &batch.NextCommit{Opened: seenAt(-141 * time.Second), Due: seenAt(159 * time.Second), Bytes: 412 << 20, Limit: 2 << 30},
			Tables: []batch.TableToLoad{{Table: "iceberg://lake/trips", Batches: 2, Age: 64, Loaded: seenAt(-70 * time.Second)}},
		},
		LateSeconds: 900,
	}
	for i := range 4 {
		owner, state := workerOf(i/2), "held"
		if i >= 2 {
			state = "owned"
		}
		s.Shards = append(s.Shards, ShardStatus{Shard: shardOf(i), Owner: owner, Mine: i < 2, State: state, Position: sequenceOf(i), Arrival: seenAt(-152 * time.Second), BehindSeconds: float64(i), RetentionUsed: .0017 * float64(i+1)})
		s.Pipeline.Open = append(s.Pipeline.Open, batch.OpenFile{Partition: fmt.Sprintf("trips/dt=2026-03-14/hour=%02d/", 9-i), Rows: int64(41_200 / (i + 1)), Bytes: int64(96<<20) / int64(i+1), Since: seenAt(-141 * time.Second), Error: i == 3})
	}
	for i := range 2 {
		s.Workers = append(s.Workers, WorkerStatus{ID: workerOf(i), Alive: true, Shards: 2, Address: fmt.Sprintf("10.0.1.%d:8080", 10+i), Version: "1.8.0", Role: []string{"leader", "follower"}[i], Complete: seenAt(-152 * time.Second)})
	}
	s.Leader = &LeaderStatus{ID: workerOf(0), Address: "10.0.1.10:8080"}
	for i := range 5 {
		s.Pipeline.Published = append(s.Pipeline.Published, batch.PublishedFile{
			At: seenAt(-time.Duration(141+300*i) * time.Second), Bucket: "trips-lake", Key: fmt.Sprintf("trips/%d-%s", i, longKey), Rows: 81_234, Bytes: 127 << 20, Reason: []string{"size", "interval"}[i%2],
		})
	}
	for i := range 2 {
		s.Pipeline.Faults = append(s.Pipeline.Faults, batch.FaultSeen{At: seenAt(-time.Duration(1+i) * time.Hour), Shard: shardOf(i), Sequence: sequenceOf(i), Code: "InvalidJSON", Message: "invalid character 'n' looking for beginning of value"})
	}
	c := s.Counts
	for i := range samples {
		wave := 1.5 + math.Sin(float64(i)/9) + .3*math.Sin(float64(i)*1.7)
		s.History = append([]Sample{{At: seenAt(-time.Duration(i) * sampleEvery), Counts: c, LagSeconds: math.Floor(2 + 2*math.Sin(float64(i)/7))}}, s.History...)
		c.BytesRead -= int64(wave * (8 << 20))
		c.RecordsRead -= int64(wave * 9000)
		c.Reads -= 20
		if i%60 == 28 {
			c.BytesWritten -= 130 << 20
		}
	}
	return s
}
