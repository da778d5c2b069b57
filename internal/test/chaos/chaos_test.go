package chaos

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/checkpoint/dynamo"
	"aws-streaming-pipeline/internal/awshttp"
	"aws-streaming-pipeline/internal/localstream"
	"aws-streaming-pipeline/internal/test/emulator"
	"aws-streaming-pipeline/internal/test/gobuild"
	"aws-streaming-pipeline/internal/test/limits"
	"aws-streaming-pipeline/internal/test/race"
)

var (
	duration = flag.Duration("chaos.duration", 0, "length of the storm; 0 for the short form")
	seed     = flag.Uint64("chaos.seed", 0, "seed of the storm; 0 for a random one")
	elder    = flag.Bool("chaos.kinesalite", false, "use kinesalite as Kinesis, not the embedded stream")
	raced    = flag.Bool("chaos.race", false, "build the daemons with the race detector")
)

// long reports whether the storm has the long form, which must meet everything.
func long() bool { return *duration > 0 }

// calmBound is how long the daemons may take to deliver the rest once the weather is calm.
const calmBound = 90 * time.Second

// surroundings are the services of a test.
type surroundings struct {
	dir      string // of logs and binaries, removed if all is well
	seed     uint64
	counts   bool
	backends map[Service]string
	bucket   emulator.Endpoint
	kinesis  *kinesis.Client
	s3       *s3.Client
	options  []string // of builds
	daemon   string
	stock    string // of TestStorm
	loader   string // of TestStormOverTables
}

// Every record that the stream accepts is in the bucket once, whatever happens to the daemons and between them and the
// services. The controls show what would break without our commit.
func TestStorm(t *testing.T) {
	s := newSurroundings(t)
	s.stock = gobuild.Build(t, filepath.Join(s.dir, "stockconsumer"), "./stockconsumer")
	t.Run("the daemon delivers every record exactly once", func(t *testing.T) {
		t.Parallel()
		s.deliver(t)
	})
	t.Run("the engine's own checkpointer does not", func(t *testing.T) {
		t.Parallel()
		s.control(t, "stock", s.stock, config{
			Tidy: true, Strikes: strikes, Steps: []string{Put, "PutItem lease"}, Actions: actions,
		})
	})
	t.Run("a statement of completeness that is early is noticed", func(t *testing.T) {
		t.Parallel()
		s.overstate(t)
	})
	t.Run("commits without their conditions do not", func(t *testing.T) {
		t.Parallel()
		s.control(t, "unconditional", s.daemon, config{
			Quiet: true, Steps: []string{Commit}, Actions: []action{freezeBefore, thawLate}, Rewrite: unconditional,
		})
	})
}

func newSurroundings(t *testing.T) *surroundings {
	t.Helper()
	race.LeaveOut(t)
	dir, err := os.MkdirTemp("", "chaos-")
	if err != nil {
		t.Fatal(err)
	}
	s := &surroundings{dir: dir, seed: *seed, counts: !*elder}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("seed %d; the daemons' logs are in %s", s.seed, dir)
			return
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	if s.seed == 0 {
		s.seed = uint64(time.Now().UnixNano())
	}
	t.Logf("seed %d", s.seed)
	var options []string
	if *raced {
		options = append(options, "-race")
	}
	if long() {
		overlay, err := clockOverlay(dir)
		if err != nil {
			t.Fatal(err)
		}
		options = append(options, "-overlay", overlay)
	}
	s.options = options
	s.daemon = gobuild.Build(t, filepath.Join(dir, "consumer"), "../../../cmd/consumer", options...)
	s.bucket = emulator.Versitygw(t)
	s.backends = map[Service]string{DynamoDB: emulator.DynamoDBLocal(t).URL, S3: s.bucket.URL, Kinesis: stream(t)}
	s.kinesis = kinesis.New(kinesis.Options{
		BaseEndpoint: aws.String(s.backends[Kinesis]), Region: s.bucket.Region, Credentials: s.credentials(),
		HTTPClient: awshttp.Keep(nil),
	})
	s.s3 = s3.New(s3.Options{
		BaseEndpoint: aws.String(s.bucket.URL), Region: s.bucket.Region, Credentials: s.credentials(), UsePathStyle: true,
		HTTPClient: awshttp.Keep(nil),
	})
	return s
}

// stream starts a Kinesis.
func stream(t *testing.T) string {
	t.Helper()
	if *elder {
		return emulator.Kinesalite(t).URL
	}
	server, err := localstream.Start("127.0.0.1:0", localstream.Options{
		MaxBytes: 2 << 30, SubscriptionLife: 4 * time.Second, SubscribeInterval: time.Second, FanOutIdle: 500 * time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	return server.URL()
}

func (s *surroundings) credentials() aws.CredentialsProvider {
	return credentials.NewStaticCredentialsProvider(s.bucket.AccessKey, s.bucket.SecretKey, "")
}

// fill completes a configuration with a stream, buckets and a table of that name.
func (s *surroundings) fill(t *testing.T, c config, name, binary string) config {
	t.Helper()
	c.Seed, c.Binary, c.Dir = s.seed, binary, filepath.Join(s.dir, name)
	c.Kinesis, c.S3, c.Stream = s.kinesis, s.s3, name
	if c.Backends == nil {
		c.Backends = s.backends
	}
	if len(c.Buckets) == 0 {
		c.Buckets = []string{name}
	}
	c.Counts, c.Shards, c.Grace = s.counts, 2, 30*time.Second
	c.Account = []string{
		"AWS_REGION=" + s.bucket.Region, "AWS_ACCESS_KEY_ID=" + s.bucket.AccessKey, "AWS_SECRET_ACCESS_KEY=" + s.bucket.SecretKey,
	}
	ways := []string{"", "files"} // of reading: polling, or enhanced fan-out
	if *elder {
		ways = ways[:1]
	}
	c.Settings = func(pick func(...string) string) []string {
		return []string{
			"STREAM_NAME=" + name, "CHECKPOINT_TABLE=" + name, "APPLICATION_NAME=" + name,
			"S3_PATH_STYLE=true", "HTTP_ADDRESS=", "LOG_FORMAT=text", "MEMORY_BUDGET=32MiB",
			"FAILOVER_TIME=2s", "SHUTDOWN_GRACE=10s", "READ_INTERVAL=250ms",
			"ERROR_PREFIX=" + errorPrefix + "!{firehose:error-output-type}/", "MANIFEST_PREFIX=" + manifestPrefix,
			"BACKUP_PREFIX=" + backupPrefix + "!{timestamp:mm}/", "BACKUP_FORMAT=jsonl", "BACKUP_COMPRESSION=" + pick("none", "gzip", "zstd"),
			// Settings may change between two starts, whatever the process before has left.
			"COMMIT_INTERVAL=" + pick("1s", "1500ms", "2s"),
			"COMMIT_SIZE=" + pick("1MiB", "4MiB"),
			"FILE_SIZE=" + pick("16KiB", "128KiB", "1MiB"),
			"COMPRESSION=" + pick("none", "gzip", "zstd"),
			"TRANSFORM_QUERY=" + pick("", transformQuery),
			"KINESIS_PROTOCOL=" + pick("cbor", "json"), "FAN_OUT_CONSUMER=" + pick(ways...),
			"PREFIX=" + dataPrefix + pick("", "!{timestamp:mm}/", "year=!{timestamp:yyyy}/month=!{timestamp:MM}/", "!{firehose:random-string}/"),
		}
	}
	if err := os.Mkdir(c.Dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, bucket := range c.Buckets {
		if _, err := s.s3.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: &bucket}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.kinesis.CreateStream(t.Context(), &kinesis.CreateStreamInput{
		StreamName: aws.String(name), ShardCount: aws.Int32(int32(c.Shards)),
	}); err != nil {
		t.Fatal(err)
	}
	if err := kinesis.NewStreamExistsWaiter(s.kinesis).Wait(t.Context(), &kinesis.DescribeStreamInput{
		StreamName: aws.String(name),
	}, time.Minute); err != nil {
		t.Fatal(err)
	}
	return c
}

// begin starts a storm, which ends no later than the test.
func (s *surroundings) begin(t *testing.T, c config) *storm {
	t.Helper()
	st := newStorm(c)
	t.Cleanup(func() {
		st.abandon()
		if err := st.close(); err != nil {
			t.Error(err)
		}
	})
	if err := st.begin(); err != nil {
		t.Fatal(err)
	}
	return st
}

// weatherOf returns the storm that the daemon has to survive: the long form if there is a duration, or else the short one.
func weatherOf(duration time.Duration) config {
	c := config{Duration: 25 * time.Second, Overtime: time.Minute, Workers: 4, Rate: 120, Reshard: 5 * time.Second, Rewrite: forgetful}
	c.Strikes, c.Steps, c.Actions, c.Traps = slices.Concat(strikes, spells), steps, actions, 2
	c.Permitted = permittedBrief
	c.Silenced, c.Buckets = requests, []string{"trips", "trips-2"}
	c.Times = times{
		Strike: 400 * time.Millisecond, Silence: 15 * time.Second, Freeze: 3 * time.Second, Recovery: 1500 * time.Millisecond, Outage: 15 * time.Second,
		Part: 2 * time.Second, Completion: 3 * time.Second, Spell: 2 * time.Second, Throttle: 3 * time.Second, Batch: 8 * time.Second,
	}
	if duration > 0 {
		c.Duration, c.Overtime, c.Workers, c.Reshard = duration, 10*time.Minute, 4, 12*time.Second
		c.Strikes = append(c.Strikes, Stepped)
		c.Permitted = permitted
		c.Times = times{
			Strike: 900 * time.Millisecond, Silence: time.Second, Freeze: 5 * time.Second, Recovery: 3 * time.Second, Outage: 10 * time.Second,
			Part: 20 * time.Second, Completion: 90 * time.Second, Spell: 30 * time.Second, Throttle: 2 * time.Minute, Batch: duration / 3,
		}
	}
	if *elder {
		c.Silenced = without(c.Silenced, []string{Subscribe, "DescribeStreamConsumer"})
	}
	c.Goals = goals(c, duration > 0)
	return c
}

func (s *surroundings) deliver(t *testing.T) {
	c := weatherOf(*duration)
	c.Backends = map[Service]string{}
	limited := map[Service]*limits.Proxy{}
	// Requests of stepped clocks are signed at another time, and a daemon that has waited for long starts with a new iterator.
	expected := []string{"signature age", "iterator age"}
	if !long() {
		expected = nil
	}
	for service, backend := range s.backends {
		limited[service], c.Backends[service] = limits.Before(t, limits.Service(service), backend, expected...)
	}
	c = s.fill(t, c, "trips", s.daemon)
	c.Allow = published(s.bucket.Region, c.Stream, c.Buckets)
	st := s.begin(t, c)
	said := s.listen(t, "trips")
	st.blow(t.Context())
	took, err := st.catchUp(t.Context(), buckets{s.s3, c.Buckets}, calmBound)
	if err != nil {
		t.Error(err)
	}
	s.checkStatements(t, said, c.Buckets)
	if err := st.stop(); err != nil {
		t.Error(err)
	}
	if err := st.err(); err != nil {
		t.Error(err)
	}
	v, err := inspect(t.Context(), buckets{s.s3, c.Buckets}, st.load.ledger(), true)
	if err != nil {
		t.Fatal(err)
	}
	v.keptOnce(st.load.ledger())
	t.Logf("\n%s", st.report(v, took))
	for service, p := range limited {
		if refused := p.Refused(); len(refused) > 0 {
			t.Logf("%s would have refused: %v", service, refused)
		}
	}
	for _, exit := range st.exits {
		t.Logf("ended by itself: %s", exit)
	}
	if !v.ok() {
		t.Errorf("records are lost, duplicated or misplaced:\n%s", v.evidence())
	}
	s.checkTable(t, "trips")
	st.checkWeather(t)
	checkLogs(t, st.cfg.Dir)
}

// listen begins to note what the daemons state to be complete.
func (s *surroundings) listen(t *testing.T, name string) *statements {
	t.Helper()
	var store *dynamo.Store
	said := &statements{read: func(ctx context.Context) (c checkpoint.Complete, err error) {
		if store == nil {
			if store, err = dynamo.Open(ctx, dynamo.Config{AWS: s.table(), Table: name}); err != nil {
				return c, err
			}
		}
		return store.Complete(ctx)
	}}
	ctx, stop := context.WithCancel(t.Context())
	var listening sync.WaitGroup
	listening.Go(func() { said.watch(ctx) })
	t.Cleanup(func() {
		stop()
		listening.Wait()
	})
	return said
}

// checkStatements checks that the daemons' statements of completeness rose, come to cover everything, and that nothing appeared
// that they had covered.
func (s *surroundings) checkStatements(t *testing.T, said *statements, names []string) {
	t.Helper()
	batches, err := buckets{s.s3, names}.appearances(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	during := len(said.all())
	var last time.Time
	for _, b := range batches {
		if b.lastOfArrivals.After(last) {
			last = b.lastOfArrivals
		}
	}
	took, err := said.passes(t.Context(), last, calmBound)
	if err != nil {
		t.Error(err)
	}
	seen := said.all()
	if faults := early(batches, seen); len(faults) > 0 {
		t.Errorf("%d batches appeared in what was said to be complete, such as: %s", len(faults), faults[0])
	}
	if least := 20; len(seen) < 2 || long() && during < least {
		t.Errorf("%d statements of completeness, %d of them in the storm, want at least two, or %d in a long storm", len(seen), during, least)
	}
	for i := 1; i < len(seen); i++ {
		if !seen[i].upTo.After(seen[i-1].upTo) {
			t.Errorf("a statement of %v is followed by one of %v", seen[i-1].upTo, seen[i].upTo)
		}
	}
	t.Logf("%d statements of completeness in the storm; %v after it, all %d batches were covered", during, took.Round(time.Second), len(batches))
}

// overstate runs a storm in which statements of completeness are early. The check must notice that.
func (s *surroundings) overstate(t *testing.T) {
	const name = "hasty"
	c := config{
		Duration: 12 * time.Second, Workers: 1, Rate: 30, Traps: 1, Quiet: true, Tidy: true, Rewrite: hasty,
		Times: times{Strike: time.Hour, Outage: time.Hour},
	}
	st := s.begin(t, s.fill(t, c, name, s.daemon))
	said := s.listen(t, name)
	for attempt := 1; ; attempt++ {
		st.blow(t.Context())
		batches, err := buckets{s.s3, []string{name}}.appearances(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		seen := said.all()
		if faults := early(batches, seen); len(faults) > 0 {
			t.Logf("%d of %d batches appeared after %d statements had covered them, such as: %s", len(faults), len(batches), len(seen), faults[0])
			return
		}
		if attempt == 4 {
			t.Fatalf("none of %d batches appeared after one of %d early statements", len(batches), len(seen))
		}
		st.weather.stir()
	}
}

// checkLogs looks for lines that no daemon should ever log. Lost records are an alarm for people; in a storm after which all
// records are there, it is a false alarm.
func checkLogs(t *testing.T, dir string) {
	t.Helper()
	logs, err := filepath.Glob(filepath.Join(dir, "*.log"))
	if err != nil || len(logs) == 0 {
		t.Fatalf("%d logs in %s: %v", len(logs), dir, err)
	}
	for _, log := range logs {
		text, err := os.ReadFile(log)
		if err != nil {
			t.Fatal(err)
		}
		for line := range bytes.Lines(text) {
			for _, never := range []string{"DATA RACE", "panic", "are lost"} {
				if bytes.Contains(line, []byte(never)) {
					t.Errorf("%s: %s", filepath.Base(log), line)
				}
			}
		}
	}
}

// checkTable checks that the daemons have left the table tidy: nothing to publish, and no owner of an unfinished shard's
// lease.
func (s *surroundings) checkTable(t *testing.T, name string) {
	t.Helper()
	snapshot := s.snapshot(t, name)
	for _, b := range slices.Concat(snapshot.Batches, snapshot.Published) {
		t.Errorf("batch %s of worker %s is still to be published or loaded", b.ID, b.Worker)
	}
	for _, l := range snapshot.Leases {
		if l.Owner != "" && l.Checkpoint != checkpoint.ShardEnd {
			t.Errorf("shard %s still belongs to worker %s", l.Shard, l.Owner)
		}
	}
	t.Logf("%d tombstones, %d shards", len(snapshot.Tombstones), len(snapshot.Leases))
}

// table leads to the checkpoint tables, past the proxies.
func (s *surroundings) table() aws.Config {
	return aws.Config{Region: s.bucket.Region, Credentials: s.credentials(), BaseEndpoint: aws.String(s.backends[DynamoDB])}
}

// snapshot reads the checkpoint table.
func (s *surroundings) snapshot(t *testing.T, name string) checkpoint.Snapshot {
	t.Helper()
	store, err := dynamo.Open(t.Context(), dynamo.Config{AWS: s.table(), Table: name})
	if err != nil {
		t.Fatal(err)
	}
	snapshot, err := store.Scan(t.Context())
	if err = errors.Join(err, store.Close()); err != nil {
		t.Fatal(err)
	}
	return snapshot
}

// checkWeather fails the test if too little happened in the storm.
func (s *storm) checkWeather(t *testing.T) {
	t.Helper()
	if unmet := s.weather.unmet(s.cfg.Goals); len(unmet) > 0 {
		t.Errorf("planned and never met:%s", describe(unmet))
	}
	faults, kinds := s.weather.faults()
	switch reshards := s.resharded(); {
	case reshards == 0:
		t.Error("the shards did not change")
	case *duration >= 5*time.Minute && (faults < 300 || kinds < 23 || reshards < 20):
		t.Errorf("%d faults of %d kinds and %d reshards; want at least 300 of 23 and 20", faults, kinds, reshards)
	case long() && s.meanwhile == 0:
		t.Error("no batch was published while another one was refused")
	}
}

func without[T comparable](list, left []T) []T {
	return slices.DeleteFunc(slices.Clone(list), func(one T) bool { return slices.Contains(left, one) })
}

// control runs storms until the consumer has failed, as it must.
func (s *surroundings) control(t *testing.T, name, binary string, c config) {
	c.Duration, c.Workers, c.Rate, c.Traps = 15*time.Second, 2, 60, 1
	c.Times = times{Strike: 900 * time.Millisecond, Freeze: 5 * time.Second, Outage: 10 * time.Second}
	st := s.begin(t, s.fill(t, c, name, binary))
	const attempts = 4
	for attempt := 1; ; attempt++ {
		st.blow(t.Context())
		v, err := inspect(t.Context(), buckets{s.s3, []string{name}}, st.load.ledger(), false)
		if err != nil {
			t.Fatal(err)
		}
		if len(v.double) > 0 {
			faults, _ := st.weather.faults()
			t.Logf("after %d faults: %d records sent, %d of them duplicated, %d in backups", faults, v.sent, len(v.double), v.keptTwice())
			if len(v.kept) > 0 && v.keptTwice() == 0 {
				t.Error("no record is duplicated in the backups of duplicated batches")
			}
			return
		}
		if attempt == attempts {
			t.Fatalf("%s: no record is duplicated after %d storms, so the test cannot fail:\n%s", name, attempts, st.report(v, 0))
		}
		st.weather.stir()
	}
}

// catchUp waits until the manifests account for as many records as were accepted.
func (s *storm) catchUp(ctx context.Context, b buckets, within time.Duration) (time.Duration, error) {
	began := time.Now()
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	known := map[string]manifest{}
	for {
		if err := b.manifests(ctx, known); err != nil {
			return 0, err
		}
		var rows int64
		for _, m := range known {
			for _, f := range m.Files {
				if !f.Backup {
					rows += f.Rows
				}
			}
		}
		if int(rows) >= s.load.size() {
			return time.Since(began), nil
		}
		if !sleep(ctx, 300*time.Millisecond) {
			return within, fmt.Errorf("%d of %d records delivered %v after the storm", rows, s.load.size(), within)
		}
	}
}
