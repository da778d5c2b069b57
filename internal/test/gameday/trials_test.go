package gameday

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"aws-streaming-pipeline/internal/iam"
	"aws-streaming-pipeline/internal/localstream"
)

var trials = []trial{
	{alert: "ConsumerAbsent", fault: "somebody has scaled the Deployment to 0", act: func(s *site) {
		s.feed(object)
		s.delivered()
		s.scale(0, "")
		s.fires()
		s.follow("kubectl scale")
		s.ends()
	}},
	{alert: "ConsumerNotReady", fault: "the role loses `s3:PutObject`", act: func(s *site) {
		s.feed(object)
		s.delivered()
		restore := s.revoke("s3:PutObject")
		s.fires()
		s.follow("consumer policy")
		s.byHand("restore the permission", restore)
		s.ends()
	}},
	{alert: "ConsumerRestarts", fault: "a new release has a memory limit of 20 MiB", act: func(s *site) {
		s.feed(object)
		s.delivered()
		s.change(func(r *release) { r.limits["consumer"] = 20 << 20 })
		s.fires()
		s.follow("helm rollback")
		s.ends()
	}},
	{alert: "ConsumerShardsUnread", fault: "`MAX_LEASES=1` for one worker and 3 shards", options: options{shards: 3, settings: map[string]string{"MAX_LEASES": "1"}}, act: func(s *site) {
		s.feed(object)
		s.fires()
		s.follow("helm upgrade")
		s.ends()
	}},
	{alert: "ConsumerLeasesMove", fault: "an autoscaler that adds and removes a worker every few seconds", options: options{shards: 8}, act: func(s *site) {
		s.feed(object)
		s.delivered()
		s.change(func(r *release) { r.flaps = true })
		var flapping sync.WaitGroup
		flapping.Go(func() {
			for n := 0; s.current().flaps; n++ {
				s.cluster.scale(1+n%2, "")
				time.Sleep(4 * time.Second)
			}
		})
		s.fires()
		s.follow("helm upgrade")
		flapping.Wait()
		s.ends()
	}},
	{alert: "ConsumerNoCommits", fault: "the bucket answers uploads with 503", act: func(s *site) {
		s.feed(object)
		s.delivered()
		end := s.block(iam.S3, refusing(503, "SlowDown", "UploadPart"))
		s.fires()
		s.follow("aws kinesis increase-stream-retention-period")
		s.follow("aws s3api head-bucket")
		s.byHand("The worker then commits by itself.", end)
		s.ends()
	}},
	{alert: "ConsumerBatchesDropped", fault: "a script aborts all incomplete uploads", act: func(s *site) {
		s.feed(object)
		s.delivered()
		stop := s.block(iam.S3, func(_ http.ResponseWriter, r *http.Request) bool {
			if operation(r) == "UploadPart" {
				_, _ = s.s3.AbortMultipartUpload(r.Context(), &s3.AbortMultipartUploadInput{Bucket: aws.String(bucket),
					Key: aws.String(strings.TrimPrefix(r.URL.Path, "/"+bucket+"/")), UploadId: aws.String(r.URL.Query().Get("uploadId"))}) // it may be aborted already
			}
			return false
		})
		s.fires()
		s.follow("aws s3api list-multipart-uploads")
		s.byHand("stop what aborts uploads", stop)
		s.ends()
	}},
	{alert: "ConsumerDataLate", fault: "the bucket answers CompleteMultipartUpload with 503", act: func(s *site) {
		s.feed(object)
		s.delivered()
		end := s.block(iam.S3, refusing(503, "SlowDown", "CompleteMultipartUpload"))
		s.fires()
		s.byHand("The outbox ages: batches are committed and their files not published.", end)
		s.ends()
	}},
	{alert: "ConsumerCompleteStandsStill", fault: "no worker ran while a shard was split, and the shard left the stream", options: options{late: -26 * time.Hour}, act: func(s *site) {
		s.trim()
		s.fires()
		s.follow("consumer checkpoint set")
		s.ends()
	}},
	{alert: "ConsumerLagging", fault: "the role loses `kinesis:GetRecords`", act: func(s *site) {
		s.feed(object)
		s.delivered()
		restore := s.revoke("kinesis:GetRecords")
		s.fires()
		s.byHand("mend what the error names", restore)
		s.ends()
	}},
	{alert: "ConsumerRetentionDanger", fault: "no worker for 13 hours, then one without `kinesis:GetRecords`", options: options{late: -13 * time.Hour}, act: func(s *site) {
		stop := s.feed(object)
		s.delivered()
		stop()
		s.cluster.scale(0, "")
		s.feedOnce(5)
		restore := s.revoke("kinesis:GetRecords")
		s.step(0)
		s.cluster.scale(1, "")
		s.fires()
		s.follow("aws kinesis increase-stream-retention-period")
		s.ends()
		s.byHand("Then fix the cause", restore)
	}},
	{alert: "ConsumerRecordsLost", fault: "as for ConsumerCompleteStandsStill", options: options{late: -26 * time.Hour}, act: func(s *site) {
		s.trim()
		s.fires()
		s.follow("aws kinesis increase-stream-retention-period")
		s.follow("consumer checkpoint show --json")
		s.follow("consumer checkpoint set")
		s.ends()
	}},
	{alert: "ConsumerRecordsUnaccounted", fault: "a daemon that counts one record of a hundred twice when it reads", act: func(s *site) {
		s.planted("../../metrics/balance.go", "b.read, b.inFlight = b.read+int64(records), b.inFlight+int64(records)",
			"b.read, b.inFlight = b.read+int64(records)+int64(records)/2, b.inFlight+int64(records)")
		s.feed(object)
		s.fires()
		s.follow("curl")
		s.follow("kubectl logs")
		if out := s.follow("consumer audit"); !strings.Contains(out, "sound") {
			s.Errorf("the audit says %s", out)
		}
		s.ship(s.place.binaries["consumer"]) // the repaired version
		s.follow("kubectl delete pod")
		s.ends()
	}},
	{alert: "ConsumerOutboxOld", fault: "the role may not write manifests", act: func(s *site) {
		s.feed(object)
		s.delivered()
		end := s.block(iam.S3, func(w http.ResponseWriter, r *http.Request) bool {
			return strings.Contains(r.URL.Path, "/manifests/") && r.Method == http.MethodPut && refuse(w, 403, "AccessDenied")
		})
		s.fires()
		s.byHand("Refused (`AccessDenied`, `KMS...`)", end)
		s.ends()
	}},
	{alert: "ConsumerBatchRefused", fault: "a bucket policy denies CompleteMultipartUpload", act: func(s *site) {
		s.feed(object)
		s.delivered()
		end := s.block(iam.S3, refusing(403, "AccessDenied", "CompleteMultipartUpload"))
		s.fires()
		s.follow("consumer policy")
		s.follow("aws s3api get-bucket-policy")
		s.byHand("restore the permission for the bucket and the key that the error names", end)
		s.ends()
	}},
	{alert: "ConsumerFilesGone", fault: "a script aborts the uploads of a committed batch", act: func(s *site) {
		_, go_on := s.committed()
		s.reap()()
		go_on()
		s.fires()
		s.follow("aws kinesis increase-stream-retention-period")
		printed := s.follow("consumer checkpoint forget --batch BATCH --missing lost")
		s.ends()
		rewinds := regexp.MustCompile(`consumer checkpoint rewind .*`).FindAllString(printed, -1)
		if len(rewinds) == 0 {
			s.Fatalf("no command is printed: %s", printed)
		}
		for _, line := range rewinds {
			_, err := s.run(line + " --yes")
			s.must(err)
		}
		s.until("the audit is sound", time.Minute, func() (bool, error) {
			_, err := s.run("consumer audit --from 24h")
			return err == nil, err
		})
		s.seen = append(s.seen, "the printed `rewind`; the audit is sound")
	}},
	{alert: "ConsumerUploadsExpire", fault: "the bucket's policy denies CompleteMultipartUpload", act: func(s *site) {
		s.feed(object)
		s.delivered()
		end := s.block(iam.S3, refusing(403, "AccessDenied", "CompleteMultipartUpload"))
		s.fires()
		s.byHand("Raise `DaysAfterInitiation` under `AbortIncompleteMultipartUpload` in lifecycle.json", func() {
			_, err := s.run(`jq '.Rules[].AbortIncompleteMultipartUpload.DaysAfterInitiation = 30' lifecycle.json > new.json && mv new.json lifecycle.json`)
			s.must(err)
		})
		s.follow("aws s3api put-bucket-lifecycle-configuration")
		s.follow("aws kinesis increase-stream-retention-period")
		s.byHand("Fix the cause", end)
		s.ends()
	}},
	{alert: "ConsumerErrorRecords", fault: "a new release lacks `OPEN_GZIP`, and the producer compresses", options: options{settings: map[string]string{"OPEN_GZIP": "true"}}, act: func(s *site) {
		s.feed(func(n int) []byte {
			var out bytes.Buffer
			w := gzip.NewWriter(&out)
			_, _ = w.Write(object(n))
			_ = w.Close() // a buffer takes everything
			return out.Bytes()
		})
		s.delivered()
		s.change(func(r *release) { r.settings["OPEN_GZIP"] = "false" })
		s.fires()
		s.follow("helm rollback")
		s.ends()
		s.follow(`consumer redrive --stream "$STREAM_NAME" --from 24h --dry-run`)
		if out, err := s.run(`consumer redrive --stream "$STREAM_NAME" --from 24h`); err != nil {
			s.Error(err)
		} else {
			s.Log(out)
		}
	}},
	{alert: "ConsumerKinesisThrottled", fault: "the stream refuses half of the reads, as with other readers", act: func(s *site) {
		s.feed(object)
		s.delivered()
		s.faults.Plant(localstream.Rule{Kind: localstream.Throttle, Operation: "GetRecords", Probability: 0.5})
		s.fires()
		s.byHand("First give the role what `consumer policy` prints with `FAN_OUT_CONSUMER`", func() {
			settings := s.current().settings
			settings["FAN_OUT_CONSUMER"] = "trips"
			more := s.printed(s.common, settings)
			s.mu.Lock()
			s.policy = more
			s.mu.Unlock()
		})
		s.follow(`helm upgrade "$RELEASE" "$CHART" --version "$VERSION" --reset-then-reuse-values --set settings.fanOutConsumer`)
		s.ends()
	}},
	{alert: "ConsumerS3Retries", fault: "two of three requests that need the bucket's key are refused", act: func(s *site) {
		s.feed(object)
		s.delivered()
		end := s.block(iam.S3, func(w http.ResponseWriter, r *http.Request) bool {
			return rand.IntN(3) > 0 && refusing(403, "KMS.ThrottlingException", "CreateMultipartUpload", "UploadPart", "PutObject")(w, r)
		})
		s.fires()
		s.follow("consumer policy")
		s.byHand("Uploads go on by themselves.", end)
		s.ends()
	}},
	{alert: "ConsumerStoreErrors", fault: "the table is throttled until it has on-demand capacity", act: func(s *site) {
		s.feed(object)
		s.delivered()
		end := s.block(iam.DynamoDB, func(w http.ResponseWriter, r *http.Request) bool {
			if rand.IntN(100) < 3 {
				return false
			}
			w.Header().Set("Content-Type", "application/x-amz-json-1.0")
			w.WriteHeader(http.StatusBadRequest)
			_, _ = io.WriteString(w, `{"__type":"com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException","message":"planted"}`)
			return true
		})
		s.fires()
		s.follow("aws dynamodb update-table")
		s.byHand("Throttled: on-demand capacity", end)
		s.ends()
	}},
	{alert: "ConsumerMemoryFull", fault: "a part takes 4 seconds, `UPLOAD_CONCURRENCY=1`, 2 MB/s arrive", options: options{shards: 4, settings: map[string]string{
		"UPLOAD_CONCURRENCY": "1", "PART_SIZE": "5MiB", "COMPRESSION": "none", "COMMIT_INTERVAL": "10s"}}, act: func(s *site) {
		s.block(iam.S3, func(_ http.ResponseWriter, r *http.Request) bool {
			if operation(r) == "UploadPart" {
				time.Sleep(4 * time.Second)
			}
			return false
		})
		padding := strings.Repeat("x", 150_000)
		s.feed(func(n int) []byte { return fmt.Appendf(nil, `{"id":%d,"padding":%q}`, n, padding) })
		s.fires()
		s.follow("helm upgrade")
		s.ends()
	}},
	{alert: "ConsumerMemoryOverBudget", fault: "`GOMEMLIMIT=8GiB` and `GOGC=off` in `extraEnv`", options: options{settings: map[string]string{"GOMEMLIMIT": "8GiB", "GOGC": "off"}}, act: func(s *site) {
		padding := strings.Repeat("x", 100_000)
		s.feed(func(n int) []byte { return fmt.Appendf(nil, `{"id":%d,"padding":%q}`, n, padding) })
		s.fires()
		s.follow("curl")
		s.byHand("`GOMEMLIMIT` is set: remove it from `extraEnv`", func() {
			s.change(func(r *release) { delete(r.settings, "GOMEMLIMIT"); delete(r.settings, "GOGC") })
		})
		s.ends()
	}},
	{alert: "ConsumerLoaderMissing", fault: "a new release has a memory limit of 15 MiB for the loader", options: options{postgres: true}, act: func(s *site) {
		s.feed(object)
		s.loaded()
		s.change(func(r *release) { r.limits["loader"] = 15 << 20 })
		s.fires()
		s.follow("helm upgrade")
		s.ends()
	}},
	{alert: "ConsumerTableLate", fault: "a session of somebody else holds a lock on the table", options: options{postgres: true}, act: func(s *site) {
		s.feed(object)
		s.loaded()
		conn := s.conn()
		_, err := conn.Exec(s.Context(), "BEGIN; LOCK TABLE trips IN ACCESS EXCLUSIVE MODE")
		s.must(err)
		s.fires()
		who, err := s.page.command("sql", "SELECT pid")
		s.must(err)
		found := s.psql(who)
		if s.words["PID"], _, _ = strings.Cut(found, "|"); s.words["PID"] == "" {
			s.Fatalf("the statement shows nobody that holds the table: %s", found)
		}
		end, err := s.page.command("sql", "SELECT pg_terminate_backend")
		s.must(err)
		full, _ := s.fill(end)
		s.psql(full)
		s.seen = append(s.seen, "`"+end+"`")
		s.ends()
	}},
	{alert: "ConsumerTableUnreachable", fault: "the database refuses connections", options: options{postgres: true}, act: func(s *site) {
		s.feed(object)
		s.loaded()
		s.proxy.Refuse(true)
		s.fires()
		s.byHand("Mend what the table says.", func() { s.proxy.Refuse(false) })
		s.ends()
	}},
	{alert: "ConsumerTableRowsRefused", fault: "somebody adds a check that no row meets", options: options{postgres: true}, act: func(s *site) {
		s.feed(object)
		s.loaded()
		s.psql("ALTER TABLE trips ADD CONSTRAINT wrong CHECK (event_id IS NULL) NOT VALID")
		s.fires()
		s.byHand("Fix the cause first.", func() { s.psql("ALTER TABLE trips DROP CONSTRAINT wrong") })
		s.ends()
		s.follow(`consumer redrive --stream "$STREAM_NAME" --from 24h --code Postgres.Refused --dry-run`)
		if out, err := s.run(`consumer redrive --stream "$STREAM_NAME" --from 24h --code Postgres.Refused`); err != nil {
			s.Error(err)
		} else {
			s.Log(out)
		}
	}},
	{alert: "ConsumerTableCommitsLost", fault: "a standby is promoted that is behind", options: options{postgres: true}, act: func(s *site) {
		s.feed(object)
		s.loaded()
		standby := s.database.Standby(s.T)
		s.must(standby.CatchUp(s.Context(), s.database))
		s.must(standby.Detach(s.Context()))
		rows := s.psql("SELECT count(*) FROM trips")
		s.until("more is loaded", time.Minute, func() (bool, error) { return s.psql("SELECT count(*) FROM trips") != rows, nil })
		time.Sleep(8 * time.Second) // longer than the window, so that batches have left the outbox
		s.must(s.database.Kill())
		s.must(standby.Promote(s.Context()))
		s.database = standby
		s.proxy.Move(standby.Address)
		s.fires()
		s.follow(`loader reload --table "$TABLE" --from 24h`)
		line, err := s.page.command("sh", `loader reload --table "$TABLE" --from 24h --apply`)
		s.must(err)
		out, err := s.run(line)
		s.must(err)
		s.Log(out)
		s.seen = append(s.seen, "`"+line+"`")
		s.until("the audit is sound", time.Minute, func() (bool, error) {
			_, err := s.run(`loader audit --table "$TABLE" --from 24h`)
			return err == nil, err
		})
		s.ends()
	}},
	{alert: "ConsumerTableBatchStuck", fault: "a file is deleted before it is loaded", options: options{postgres: true}, act: func(s *site) {
		s.feed(object)
		s.loaded()
		s.proxy.Refuse(true)
		key, loaded := "", make(map[string]bool)
		for _, b := range s.show().Outbox {
			loaded[b.Batch] = true // or it may be
		}
		s.until("a batch waits", time.Minute, func() (bool, error) {
			for _, b := range s.show().Outbox {
				if len(b.Tables) > 0 && !loaded[b.Batch] {
					s.words["BATCH"], s.words["TABLE_OF_THE_BATCH"] = b.Batch, b.Tables[0]
					key = s.fileOf(b.Batch)
					return key != "", nil
				}
			}
			return false, nil
		})
		s.must(os.Remove(filepath.Join(s.bucket, bucket, key)))
		s.proxy.Refuse(false)
		s.words["KEY"] = key
		s.fires()
		s.follow("consumer checkpoint skip")
		s.ends()
	}},
	{alert: "ConsumerTableConflicts", fault: "somebody else commits to the table before two of three of our commits", options: options{iceberg: true}, act: func(s *site) {
		s.feed(object)
		s.until("the table has metadata", time.Minute, func() (bool, error) { return s.newest() > 1, nil })
		end := s.outrun()
		s.fires()
		s.byHand("Another writer: let it commit less often", end)
		s.ends()
	}},
	{alert: "ConsumerTableColumnsRefused", fault: "a new release has `TABLE_EVOLVE=false`, and records get a new member", options: options{iceberg: true}, act: func(s *site) {
		s.feed(object)
		s.until("the table has metadata", time.Minute, func() (bool, error) { return s.newest() > 2, nil })
		s.change(func(r *release) { r.settings["TABLE_EVOLVE"] = "false" })
		s.mu.Lock()
		s.feeding = func(n int) []byte { return fmt.Appendf(nil, `{"id":%d,"fare":1.5,"city":"Rome","tip":0.5}`, n) }
		s.mu.Unlock()
		s.fires()
		s.follow("helm upgrade")
		s.ends()
	}},
}

// step sets the stream's clock.
func (s *site) step(late time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clock = late
}

// trim splits the shard while no worker runs, and lets the stream drop it.
func (s *site) trim() {
	stop := s.feed(object)
	s.delivered()
	stop()
	s.cluster.scale(0, "")
	list, err := s.kinesis.ListShards(s.Context(), &kinesis.ListShardsInput{StreamName: aws.String(stream)})
	s.must(err)
	shard := list.Shards[0]
	s.feedOnce(5)
	_, err = s.kinesis.SplitShard(s.Context(), &kinesis.SplitShardInput{StreamName: aws.String(stream), ShardToSplit: shard.ShardId,
		NewStartingHashKey: aws.String("170141183460469231731687303715884105728")})
	s.must(err)
	s.words["SHARD"] = *shard.ShardId
	s.step(0)
	s.feed(object)
	s.cluster.scale(1, "")
}

func (s *site) feedOnce(records int) {
	for n := range records {
		_, err := s.kinesis.PutRecord(s.Context(), &kinesis.PutRecordInput{StreamName: aws.String(stream), PartitionKey: aws.String(fmt.Sprint(n)), Data: object(n)})
		s.must(err)
	}
}

// reap aborts all uploads, again and again, until it is stopped.
func (s *site) reap() (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var reaping sync.WaitGroup
	once := func() {
		list, err := s.s3.ListMultipartUploads(ctx, &s3.ListMultipartUploadsInput{Bucket: aws.String(bucket)})
		if err != nil {
			return // it was stopped
		}
		for _, u := range list.Uploads {
			_, _ = s.s3.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{Bucket: aws.String(bucket), Key: u.Key, UploadId: u.UploadId}) // it may be completed
		}
	}
	once()
	reaping.Go(func() {
		for ctx.Err() == nil {
			once()
			time.Sleep(100 * time.Millisecond)
		}
	})
	stop = sync.OnceFunc(func() { cancel(); reaping.Wait() })
	s.Cleanup(stop)
	return stop
}

// committed has a batch committed and not published, and returns the key of a file, and what lets it be published.
func (s *site) committed() (key string, goOn func()) {
	stop := s.feed(object)
	s.delivered()
	held := make(chan string, 100)
	slow := refusing(503, "SlowDown", "CompleteMultipartUpload")
	end := s.block(iam.S3, func(w http.ResponseWriter, r *http.Request) bool {
		if operation(r) == "CompleteMultipartUpload" {
			select {
			case held <- strings.TrimPrefix(r.URL.Path, "/"+bucket+"/"):
			default: // enough are known
			}
		}
		return slow(w, r)
	})
	key = <-held
	stop()
	s.until("the batch is in the outbox", time.Minute, func() (bool, error) {
		for _, b := range s.show().Outbox {
			if s.fileOf(b.Batch) == key {
				s.words["BATCH"] = b.Batch
				return true, nil
			}
		}
		return false, nil
	})
	return key, end
}

// fileOf returns the key of a data file of a batch.
func (s *site) fileOf(batch string) string {
	out, err := s.run("consumer checkpoint show --batch " + batch)
	if err != nil {
		return "" // it has just been published
	}
	m := regexp.MustCompile(`"[Kk]ey": ?"(data/[^"]+)"`).FindStringSubmatch(out)
	if m == nil {
		s.Logf("the batch is %s", out)
		return ""
	}
	return m[1]
}

// planted builds a daemon with a changed line, and installs it.
func (s *site) planted(file, is, becomes string) {
	path, err := filepath.Abs(file)
	s.must(err)
	source, err := os.ReadFile(path)
	s.must(err)
	if strings.Count(string(source), is) != 1 {
		s.Fatalf("%s does not have %q once", file, is)
	}
	changed, overlay := filepath.Join(s.dir, "changed.go"), filepath.Join(s.dir, "overlay.json")
	list, err := json.Marshal(map[string]any{"Replace": map[string]string{path: changed}})
	s.must(err)
	s.must(os.WriteFile(changed, []byte(strings.Replace(string(source), is, becomes, 1)), 0o644))
	s.must(os.WriteFile(overlay, list, 0o644))
	binary := filepath.Join(s.dir, "faulty")
	build(s.T, binary, "consumer", "-overlay", overlay)
	s.ship(binary)
	s.change(func(*release) {})
}

// loaded waits until rows are in the database.
func (s *site) loaded() {
	s.until("rows are loaded", 2*time.Minute, func() (bool, error) {
		out, err := s.database.Psql(s.T, "postgres", "SELECT count(*) > 0 FROM trips").Output()
		return err == nil && strings.HasPrefix(string(out), "t"), nil
	})
}

var version = regexp.MustCompile(`v(\d+)\.metadata\.json$`)

// newest returns the newest version of the Iceberg table; 0 is none.
func (s *site) newest() (n int) {
	found, err := filepath.Glob(filepath.Join(s.bucket, bucket, "tables/trips/metadata/v*.metadata.json"))
	s.must(err)
	for _, path := range found {
		var v int
		if _, err := fmt.Sscanf(filepath.Base(path), "v%d.metadata.json", &v); err == nil {
			n = max(n, v)
		}
	}
	return n
}

// outrun commits the table as it is before two of three commits of the loader, so that theirs conflict.
func (s *site) outrun() (end func()) {
	var commits atomic.Int64
	return s.block(iam.S3, func(w http.ResponseWriter, r *http.Request) bool {
		m := version.FindStringSubmatch(r.URL.Path)
		if m == nil || r.Method != http.MethodPut {
			return false
		}
		if commits.Add(1)%3 == 0 {
			return false
		}
		key := strings.TrimPrefix(r.URL.Path, "/"+bucket+"/")
		now, err := os.ReadFile(filepath.Join(s.bucket, bucket, fmt.Sprintf("tables/trips/metadata/v%d.metadata.json", s.newest())))
		if err == nil {
			_, err = s.s3.PutObject(r.Context(), &s3.PutObjectInput{Bucket: aws.String(bucket), Key: &key, Body: bytes.NewReader(now), IfNoneMatch: aws.String("*")})
		}
		if err != nil {
			s.Logf("commit first: %v", err)
		}
		return false
	})
}
