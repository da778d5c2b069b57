package consumer

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/prometheus/client_golang/prometheus"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/checkpoint/dynamo"
	"aws-streaming-pipeline/consumer/transform/function"
	"aws-streaming-pipeline/internal/awshttp"
	"aws-streaming-pipeline/internal/budget"
	"aws-streaming-pipeline/internal/diagnosis"
	"aws-streaming-pipeline/internal/localbucket"
	"aws-streaming-pipeline/internal/localstream"
	"aws-streaming-pipeline/internal/metrics"
	"aws-streaming-pipeline/internal/test/emulator"
	"aws-streaming-pipeline/record/registry"
	"aws-streaming-pipeline/writers/layout"
)

// silence is an operation that is accepted and not answered for a while.
type silence struct {
	operation string
	fanOut    bool          // the daemon reads by enhanced fan-out
	framed    bool          // records name a schema of a registry
	toTable   bool          // files are loaded into a table
	changed   bool          // a function transforms records
	announced bool          // the bucket shows up to when the data is complete
	fleet     place         // of the daemon among others
	from      phase         // when it begins
	lasts     time.Duration // 2 minutes unless it says otherwise
	health    string        // what a failing check says meanwhile
	// stops says what else is blocked meanwhile: "" for only the operation's own shards or batches.
	stops string
	// rare is why no daemon of this test makes the operation at a time of the test's choosing. It is then only allowed.
	rare string
}

// place is what a daemon does in its fleet.
type place int

const (
	alone   place = iota
	leads         // another daemon follows it
	follows       // another daemon leads it
)

// phase is a time in the life of a daemon.
type phase int

const (
	running  phase = iota
	starting       // before its first call
	stopping       // when it is told to stop
)

// silences are the operations that the daemon makes in its life. One that is missing here fails the test.
var silences = []silence{
	{operation: "Kinesis ListShards", health: "no listing of the stream's shards", stops: "children"},
	{operation: "Kinesis DescribeStreamSummary", lasts: 22 * time.Minute, health: "no description of the stream"},
	{operation: "Kinesis DescribeStreamSummary", from: starting},
	{operation: "Kinesis GetShardIterator", health: "open iterator of"},
	{operation: "Kinesis GetRecords", health: "get records of", stops: "reading"},
	{operation: "Kinesis SubscribeToShard", fanOut: true, health: "subscribe to"},
	{operation: "Kinesis DescribeStreamConsumer", fanOut: true, from: starting, health: "fan-out consumer"},
	{operation: "Kinesis RegisterStreamConsumer", fanOut: true, from: starting, health: "fan-out consumer"},

	{operation: "DynamoDB DescribeTable", from: starting},
	{operation: "DynamoDB CreateTable", from: starting},
	{operation: "DynamoDB UpdateContinuousBackups", from: starting},
	{operation: "DynamoDB GetItem application", from: starting},
	{operation: "DynamoDB PutItem application", from: starting},
	{operation: "DynamoDB PutItem heartbeat", health: "no heartbeat", stops: "heartbeats"},
	{operation: "DynamoDB PutItem lease", health: "create lease"},
	{operation: "DynamoDB PutItem tombstone", health: "bury", stops: "commits"},
	{operation: "DynamoDB Scan", health: "no reading of the lease table", stops: "children"},
	{operation: "DynamoDB UpdateItem lease", health: "acquire"},
	{operation: "DynamoDB UpdateItem complete", health: "raise complete"},
	{operation: "DynamoDB GetItem leader", from: starting, health: "no reading of a leader's heartbeat"},
	{operation: "DynamoDB UpdateItem leader", from: starting, health: "no reading of a leader's heartbeat"},
	{operation: "DynamoDB UpdateItem leader", from: stopping},
	{operation: "DynamoDB GetItem worker", fleet: follows, health: "no reading of a leader's heartbeat"},
	{operation: "DynamoDB GetItem orders", fleet: follows, health: "orders"},
	{operation: "DynamoDB PutItem orders", fleet: leads, health: "give orders"},
	{operation: "DynamoDB DeleteItem orders", rare: "a worker with orders has to be gone"},
	{operation: "DynamoDB TransactWriteItems", health: "commit", stops: "commits"},
	{operation: "DynamoDB DeleteItem batch", health: "forget", stops: "commits"},
	{operation: "DynamoDB DeleteItem worker", from: stopping},
	{operation: "DynamoDB DeleteItem lease", rare: "a shard has to be gone from the stream for an hour"},
	{operation: "DynamoDB GetItem lease", rare: "a scan that hides a row asks for it"},
	{operation: "DynamoDB GetItem batch", rare: "a dead worker's batch is read by its heir"},
	{operation: "DynamoDB UpdateItem batch", rare: "visible files are noted where publishing takes more than 5 seconds"},

	{operation: "DynamoDB GetItem table", toTable: true, from: starting, health: "waiting for the loader to describe table"},
	{operation: "DynamoDB GetItem table", toTable: true}, // its definition stays in use
	{operation: "DynamoDB UpdateItem batch", toTable: true, health: "mark published", stops: "commits"},

	{operation: "Glue GetSchemaVersion", framed: true, from: starting, health: "cannot be looked up"},

	// A call may take as long as TRANSFORM_TIMEOUT, and then its records have failed: the function was called, for all one knows.
	{operation: "Lambda Invoke", changed: true, health: "", stops: "reading"},

	{operation: "S3 HeadBucket", health: `BUCKET="bucket"`},
	{operation: "S3 CreateMultipartUpload", health: "CreateMultipartUpload", stops: "commits"},
	{operation: "S3 UploadPart", health: "UploadPart", stops: "commits"},
	{operation: "S3 CompleteMultipartUpload", health: "CompleteMultipartUpload", stops: "commits"},
	{operation: "S3 HeadObject", health: "HeadObject", stops: "commits"},
	{operation: "S3 PutObject", health: "PutObject", stops: "commits"},
	{operation: "S3 AbortMultipartUpload", health: "AbortMultipartUpload", stops: "commits"},

	{operation: "DynamoDB GetItem complete", announced: true, lasts: 3 * time.Minute, health: "read the statement"},
	{operation: "S3 GetObject statement", announced: true, from: starting, lasts: 3 * time.Minute, health: "_complete/"},
	{operation: "S3 PutObject statement", announced: true, lasts: 3 * time.Minute, health: "_complete/"},
	{operation: "S3 PutObject marker", announced: true, lasts: 3 * time.Minute, health: "mark folder"},
}

// Each operation in turn is accepted and not answered while records come, a lease is stolen and a shard is split. The rest
// goes on meanwhile, health names what hangs, and afterwards everything is delivered, once. The bounds are those of
// production, in virtual time.
func TestDaemon_OutlivesEveryCallThatIsNotAnswered(t *testing.T) {
	table := emulator.DynamoDBLocal(t).URL
	useTableLines(t)
	for i, s := range silences {
		if s.rare != "" {
			continue
		}
		t.Run(fmt.Sprintf("%s/%d", s.operation, s.from), func(t *testing.T) {
			t.Parallel()
			inBubble(t, table, fmt.Sprintf("silence-%d", i), s, (*trial).run)
		})
	}
}

// However much does not answer when a daemon is told to stop, it ends within the time that it is given before it is killed.
func TestDaemon_StopsInTimeWhateverAnswers(t *testing.T) {
	table := emulator.DynamoDBLocal(t).URL
	for i, silent := range [][]string{{"S3"}, {"DynamoDB"}, {"DynamoDB", "S3", "Kinesis"}} {
		// Calls begin before the order to stop, and after it.
		for _, before := range []time.Duration{0, 8 * time.Second} {
			t.Run(fmt.Sprintf("%s %v before", strings.Join(silent, " "), before), func(t *testing.T) {
				t.Parallel()
				inBubble(t, table, fmt.Sprintf("stop-%d-%v", i, before), silence{}, func(c *trial) { c.stopAmid(silent, before) })
			})
		}
	}
}

// stopAmid stops the daemon amid its work, some time after services have fallen silent.
func (c *trial) stopAmid(silent []string, before time.Duration) {
	ctx, stop := context.WithCancel(c.Context())
	defer stop()
	store, err := dynamo.Open(ctx, dynamo.Config{AWS: c.account(c.wire), Table: c.table, Create: true})
	if err != nil {
		c.Fatal(err)
	}
	d := c.daemon(store)
	var ended error
	var running, producing sync.WaitGroup
	running.Go(func() { ended = d.Run(ctx) })
	produced := make(chan struct{})
	producing.Go(func() { c.produce(produced) })
	time.Sleep(time.Minute + 6*time.Second) // amid a batch
	if c.delivered() == 0 {
		c.Error("nothing was delivered before")
	}
	c.wire.hush(silent...)
	time.Sleep(before)
	began := time.Now()
	stop()
	running.Wait()
	if took := time.Since(began); ended == nil || took < d.cfg.ShutdownGrace || took > d.cfg.StopsWithin() {
		c.Errorf("run ended with %v after %v, want an error after %v to %v", ended, took, d.cfg.ShutdownGrace, d.cfg.StopsWithin())
	}
	close(produced)
	producing.Wait()
}

// inBubble runs a trial in virtual time.
func inBubble(t *testing.T, database, table string, s silence, run func(*trial)) {
	t.Helper()
	var bucket http.Handler
	folder := t.TempDir()
	server, err := localbucket.StartWith("127.0.0.1:0", folder, localbucket.Options{
		Wrap: func(h http.Handler) http.Handler { bucket = h; return h },
	})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	if err := server.CreateBucket("bucket"); err != nil {
		t.Fatal(err)
	}
	beyond := newBeyond(t, database)
	synctest.Test(t, func(t *testing.T) {
		stream, err := localstream.New(localstream.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if err := stream.CreateStream("stream", 3); err != nil {
			t.Fatal(err)
		}
		run(&trial{
			T: t, silence: s, table: table, folder: folder, stream: stream,
			wire: &wire{services: map[string]func(*http.Request) (*http.Response, error){
				"kinesis": inside(stream), "s3": inside(bucket), "dynamodb": beyond.do, "glue": inside(http.HandlerFunc(haveSchema)), "lambda": inside(http.HandlerFunc(echo)),
			}},
		})
	})
}

// trial is one daemon that meets one silence.
type trial struct {
	*testing.T
	silence
	table, folder string
	stream        *localstream.Kinesis
	wire          *wire

	mu   sync.Mutex
	puts int // records
}

func (c *trial) run() {
	ctx, stop := context.WithCancel(c.Context())
	defer stop()
	lasts := c.lasts
	if lasts == 0 {
		lasts = 2 * time.Minute
	}
	if c.from == starting {
		c.wire.hush(c.operation)
	}
	if c.fleet == follows {
		defer c.another()()
		time.Sleep(10 * time.Second)
	}
	var d *Daemon
	var ended error
	begun, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		var store *dynamo.Store
		if ended = NewPatience(slog.New(slog.DiscardHandler)).Await(ctx, "open the table", diagnosis.Subject{}, func() (err error) {
			store, err = dynamo.Open(ctx, dynamo.Config{AWS: c.account(c.wire), Table: c.table, Create: true})
			return err
		}); ended != nil {
			close(begun)
			return
		}
		d = c.daemon(store)
		close(begun)
		ended = d.Run(ctx)
	}()
	if c.fleet == leads {
		time.Sleep(10 * time.Second)
		defer c.another()()
	}
	var producing sync.WaitGroup
	produced := make(chan struct{})
	producing.Go(func() { c.produce(produced) })
	if c.toTable {
		time.Sleep(10 * time.Second) // the daemon has bound the application's table
		c.describeTable()
	}

	if c.from == running {
		time.Sleep(time.Minute)
		<-begun
		if problems := c.problems(d); problems != "" || c.delivered() == 0 {
			c.Errorf("before: %d delivered, %s", c.delivered(), problems)
		}
		c.wire.hush(c.operation)
		c.meanwhile(d, lasts)
	} else if c.from == starting {
		time.Sleep(lasts)
		select {
		case <-begun:
			if c.health != "" && !strings.Contains(c.problems(d), c.health) {
				c.Errorf("health says %q, want %q", c.problems(d), c.health)
			}
		default:
		}
	}
	if c.from != stopping && c.wire.met() == 0 {
		c.Errorf("the operation was not made: %v", c.wire.counts())
	}
	c.wire.hush()
	time.Sleep(2 * time.Minute)
	<-begun
	close(produced)
	producing.Wait()
	time.Sleep(time.Minute)
	c.checkDelivery()
	if d != nil {
		if problems := c.problems(d); problems != "" {
			c.Errorf("afterwards: %s", problems)
		}
	}
	if c.from == stopping {
		c.wire.hush(c.operation)
	}
	began := time.Now()
	stop()
	<-done
	if took := time.Since(began); ended != nil || took > time.Minute {
		c.Errorf("run ended with %v after %v", ended, took)
	}
	if c.from == stopping && c.wire.met() == 0 {
		c.Errorf("the operation was not made: %v", c.wire.counts())
	}
	for operation := range c.wire.counts() {
		if !known(operation) {
			c.Errorf("the daemon makes the operation %q, which the table does not name", operation)
		}
	}
}

// another starts another daemon of the same application, to which everything is answered.
func (c *trial) another() (stop func()) {
	other := &trial{T: c.T, table: c.table, folder: c.folder, stream: c.stream, wire: &wire{services: c.wire.services}}
	store, err := dynamo.Open(c.Context(), dynamo.Config{AWS: other.account(other.wire), Table: c.table, Create: true})
	if err != nil {
		c.Fatal(err)
	}
	d := other.daemon(store)
	ctx, cancel := context.WithCancel(c.Context())
	var running sync.WaitGroup
	running.Go(func() {
		if err := d.Run(ctx); err != nil {
			c.Errorf("the other daemon: %v", err)
		}
	})
	return func() {
		cancel()
		running.Wait()
	}
}

func known(operation string) bool {
	for _, s := range silences {
		if s.operation == operation {
			return true
		}
	}
	return false
}

// describeTable writes the definition of the table, as a loader does, whatever is silent for the daemon.
func (c *trial) describeTable() {
	store, err := dynamo.Open(c.Context(), dynamo.Config{AWS: c.account(&wire{services: c.wire.services}), Table: c.table, Create: true})
	if err == nil {
		_, err = store.PutTable(c.Context(), checkpoint.Table{Name: "glue://lake/trips", Definition: someDefinition})
	}
	if err != nil {
		c.Fatal(err)
	}
}

// meanwhile steals a lease, splits a shard, and looks at what goes on.
func (c *trial) meanwhile(d *Daemon, lasts time.Duration) {
	began, before, beats := time.Now(), c.delivered(), c.wire.counts()["DynamoDB PutItem heartbeat"]
	time.Sleep(15 * time.Second)
	open := c.account(&wire{services: c.wire.services}) // to whom everything is answered
	store, err := dynamo.Open(c.Context(), dynamo.Config{AWS: open, Table: c.table})
	if err != nil {
		c.Fatal(err)
	}
	c.wire.beforeCommit(func() { c.steal(store) })
	if _, err := kinesis.NewFromConfig(open, endpoint("kinesis")).SplitShard(c.Context(), &kinesis.SplitShardInput{
		StreamName: aws.String("stream"), ShardToSplit: aws.String("shardId-000000000001"),
		NewStartingHashKey: aws.String("170141183460469231731687303715884105728"),
	}); err != nil {
		c.Fatal(err)
	}
	named := false
	for time.Since(began) < lasts {
		time.Sleep(5 * time.Second)
		named = named || strings.Contains(c.problems(d), c.health)
	}
	if !named {
		c.Errorf("health never said %q, at the end it says %q", c.health, c.problems(d))
	}
	if n := c.wire.counts()["DynamoDB PutItem heartbeat"] - beats; n < int(lasts/(5*time.Second)) && c.stops != "heartbeats" {
		c.Errorf("%d heartbeats in %v", n, lasts)
	}
	if _, found := d.keeper.Listed("shardId-000000000003"); !found && c.operation != "Kinesis ListShards" && c.fleet != follows {
		c.Error("the children of the split were not found")
	}
	if n := c.delivered() - before; n == 0 && c.stops != "commits" && c.stops != "reading" {
		c.Errorf("nothing was delivered in %v", lasts)
	}
}

// steal takes a lease away between the upload of a batch and its commit, as a worker does that is then never heard of again.
func (c *trial) steal(store *dynamo.Store) {
	row, err := store.Lease(c.Context(), "shardId-000000000000")
	if err == nil {
		_, err = store.Acquire(c.Context(), row, "stranger")
	}
	if err != nil {
		c.Error(err)
	}
}

// produce puts a record each second until it is told to stop.
func (c *trial) produce(stop <-chan struct{}) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-stop:
			return
		case <-tick.C:
		}
		c.mu.Lock()
		n := c.puts
		c.puts++
		c.mu.Unlock()
		data := fmt.Appendf(nil, `{"n":%d}`, n)
		if c.framed {
			data = append([]byte("\x03\x00a schema version"), data...)
		}
		if _, _, err := c.stream.Put("stream", localstream.Entry{PartitionKey: strconv.Itoa(n), Data: data}); err != nil {
			c.Error(err)
			return
		}
	}
}

// problems are what the checks say.
func (c *trial) problems(d *Daemon) string {
	var said []string
	for _, check := range d.checks() {
		if check.Problem != "" {
			said = append(said, check.Name+": "+check.Problem)
		}
	}
	if a := d.announce.shown(); a != nil && a.Problem != "" { // which health leaves to the status page
		said = append(said, "announcement: "+a.Problem)
	}
	return strings.Join(said, "; ")
}

func (c *trial) account(client aws.HTTPClient) aws.Config {
	return aws.Config{
		Region: "us-east-1", Credentials: credentials.NewStaticCredentialsProvider("test", "test", ""), HTTPClient: awshttp.Client(client),
		BaseEndpoint: aws.String("http://dynamodb"),
	}
}

func endpoint(service string) func(*kinesis.Options) {
	return func(o *kinesis.Options) { o.BaseEndpoint = aws.String("http://" + service) }
}

func (c *trial) daemon(store Store, adjust ...func(*Config)) *Daemon {
	cfg := Defaults()
	cfg.Stream, cfg.Bucket, cfg.HTTPAddress, cfg.CommitInterval = "stream", "bucket", "", 10*time.Second
	cfg.ReadInterval = 4 * time.Second // so many calls take most of the test's own time
	if c.fanOut {
		cfg.FanOutConsumer = "files"
	}
	if c.toTable {
		cfg.Format, cfg.TableConfig.Table = tableLines.Name, "glue://lake/trips"
	}
	if c.announced {
		cfg.StartPosition = StartPosition{Time: time.Now()}
		cfg.Prefix, cfg.CompletePrefix, cfg.CompleteMarker = "data/!{timestamp:yyyy/MM/dd/HH/mm}/", "_complete/", "_SUCCESS"
	}
	if c.changed {
		cfg.Transform, cfg.TransformTimeout = "lambda:arn:aws:lambda:us-east-1:123456789012:function:echo", 90*time.Second
	}
	for _, f := range adjust {
		f(&cfg)
	}
	collected := prometheus.NewRegistry()
	m := metrics.New(collected)
	held := budget.New(int64(cfg.MemoryBudget), m)
	log := slog.New(slog.DiscardHandler)
	account := c.account(c.wire)
	at := Account{Config: account, KinesisEndpoint: "http://kinesis", S3Endpoint: "http://s3"}
	services := Services{Kinesis: at.kinesis(), Store: store, Budget: held, Metrics: m, Registry: collected, Log: log, Version: "test"}
	var err error
	if services.Sink, err = cfg.openSink(at.s3(true), services); err != nil {
		c.Fatal(err)
	}
	if c.framed {
		at := account
		at.BaseEndpoint = aws.String("http://glue")
		if services.SchemaRegistry, err = registry.NewGlue(c.Context(), at); err != nil {
			c.Fatal(err)
		}
	}
	if arn, ok := cfg.Function(); ok {
		at := account
		at.BaseEndpoint = aws.String("http://lambda")
		services.Function = function.NewClient(at, arn)
	}
	d, err := New(cfg, services)
	if err != nil {
		c.Fatal(err)
	}
	return d
}

// delivered counts the records in the bucket.
func (c *trial) delivered() (n int) {
	for _, times := range c.records() {
		n += times
	}
	return n
}

func (c *trial) checkDelivery() {
	c.Helper()
	got := c.records()
	missing, doubled := 0, 0
	for n := range c.puts {
		switch times := got[n]; {
		case times == 0:
			missing++
		case times > 1:
			doubled++
		}
	}
	if missing+doubled > 0 {
		c.Errorf("of %d records %d are missing and %d doubled", c.puts, missing, doubled)
	}
}

// records counts how often each record is in the bucket.
func (c *trial) records() map[int]int {
	c.Helper()
	got := make(map[int]int)
	err := filepath.WalkDir(filepath.Join(c.folder, "bucket", "data"), func(path string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) || err == nil && (entry.IsDir() || entry.Name() == "_SUCCESS") {
			return nil
		}
		if err != nil {
			return err
		}
		body, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		content, err := gzip.NewReader(bytes.NewReader(body))
		if err != nil {
			return err
		}
		for lines := bufio.NewScanner(content); lines.Scan(); {
			var row struct{ N int }
			if err := json.Unmarshal(lines.Bytes(), &row); err != nil {
				return err
			}
			got[row.N]++
		}
		return nil
	})
	if err != nil {
		c.Fatal(err)
	}
	return got
}

// wire is the way of one daemon to its services. It accepts some operations and does not answer them.
type wire struct {
	services map[string]func(*http.Request) (*http.Response, error) // by host

	mu     sync.Mutex
	silent []string // operations, or services
	hits   int
	made   map[string]int
	before func() // is called once, before a commit of the first shard is passed on
}

// beforeCommit has f called before the next commit of the first shard.
func (w *wire) beforeCommit(f func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.before = f
}

// hush has operations be silent, or all of a service; without any everything is answered again.
func (w *wire) hush(silent ...string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.silent = silent
}

func (w *wire) met() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.hits
}

func (w *wire) counts() map[string]int {
	w.mu.Lock()
	defer w.mu.Unlock()
	made := make(map[string]int, len(w.made))
	for operation, n := range w.made {
		made[operation] = n
	}
	return made
}

func (w *wire) Do(r *http.Request) (*http.Response, error) {
	body := []byte{}
	if r.Body != nil {
		var err error
		if body, err = io.ReadAll(r.Body); err != nil {
			return nil, err
		}
	}
	operation := operationOf(r, body)
	w.mu.Lock()
	if w.made == nil {
		w.made = make(map[string]int)
	}
	w.made[operation]++
	service, _, _ := strings.Cut(operation, " ")
	silent := slices.Contains(w.silent, operation) || slices.Contains(w.silent, service)
	if silent {
		w.hits++
	}
	before := func() {}
	if w.before != nil && operation == "DynamoDB TransactWriteItems" && bytes.Contains(body, []byte("shardId-000000000000")) {
		before, w.before = w.before, nil
	}
	w.mu.Unlock()
	before()
	if silent {
		<-r.Context().Done()
		return nil, r.Context().Err()
	}
	r = r.Clone(r.Context())
	r.Body = io.NopCloser(bytes.NewReader(body))
	return w.services[r.URL.Host](r)
}

// operationOf names a request: for DynamoDB with what its item is, for S3 with what its object is unless that holds records.
func operationOf(r *http.Request, body []byte) string {
	_, target, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	switch r.URL.Host {
	case "kinesis":
		return "Kinesis " + target
	case "glue":
		return "Glue " + target
	case "lambda":
		return "Lambda Invoke"
	case "dynamodb":
		return "DynamoDB " + target + itemOf(target, body)
	}
	q := r.URL.Query()
	_, key, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	name := map[string]string{"PUT": "PutObject", "HEAD": "HeadObject", "GET": "GetObject", "DELETE": "DeleteObject"}[r.Method]
	switch {
	case r.Method == "HEAD" && key == "":
		name = "HeadBucket"
	case q.Has("uploads"):
		name = "CreateMultipartUpload"
	case q.Has("uploadId"):
		name = map[string]string{"PUT": "UploadPart", "POST": "CompleteMultipartUpload", "DELETE": "AbortMultipartUpload", "GET": "ListParts"}[r.Method]
	}
	switch {
	case strings.HasPrefix(key, "_complete/"):
		name += " statement"
	case layout.IsCompleteMarker("_SUCCESS", key):
		name += " marker"
	}
	return "S3 " + name
}

func itemOf(target string, body []byte) string {
	var in struct {
		Item, Key struct {
			LeaseKey struct{ S string } `json:"leaseKey"`
		}
	}
	if !strings.HasSuffix(target, "Item") || json.Unmarshal(body, &in) != nil {
		return ""
	}
	switch key := in.Item.LeaseKey.S + in.Key.LeaseKey.S; {
	case strings.HasPrefix(key, "#batch/") && target == "PutItem":
		return " tombstone"
	case strings.HasPrefix(key, "#batch/"):
		return " batch"
	case strings.HasPrefix(key, "#worker/") && target == "PutItem":
		return " heartbeat"
	case strings.HasPrefix(key, "#worker/"):
		return " worker"
	case strings.HasPrefix(key, "#table/"):
		return " table"
	case strings.HasPrefix(key, "#orders/"):
		return " orders"
	case key == "#leader":
		return " leader"
	case key == "#complete":
		return " complete"
	case strings.HasPrefix(key, "#"):
		return " application"
	}
	return " lease"
}

// echo is a function that changes nothing.
func echo(w http.ResponseWriter, r *http.Request) {
	var event struct {
		Records []struct {
			RecordID string `json:"recordId"`
			Result   string `json:"result"`
			Data     []byte `json:"data"`
		} `json:"records"`
	}
	if err := json.NewDecoder(r.Body).Decode(&event); err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	for i := range event.Records {
		event.Records[i].Result = "Ok"
	}
	_ = json.NewEncoder(w).Encode(event) // the caller may have gone
}

// haveSchema is a registry that has the schema of all records.
func haveSchema(w http.ResponseWriter, _ *http.Request) {
	fmt.Fprint(w, `{"SchemaDefinition":"{}","DataFormat":"JSON"}`)
}

// inside has a handler answer in the same bubble.
func inside(h http.Handler) func(*http.Request) (*http.Response, error) {
	return func(r *http.Request) (*http.Response, error) {
		out, in := io.Pipe()
		w := &pipeWriter{header: http.Header{"Date": {time.Now().UTC().Format(http.TimeFormat)}}, body: in, begun: make(chan struct{})}
		r.RequestURI = r.URL.RequestURI()
		r.Header.Set("Content-Length", strconv.FormatInt(r.ContentLength, 10))
		go func() {
			h.ServeHTTP(w, r)
			w.WriteHeader(http.StatusOK)
			in.Close()
		}()
		select {
		case <-w.begun:
		case <-r.Context().Done():
			out.CloseWithError(r.Context().Err())
			return nil, r.Context().Err()
		}
		context.AfterFunc(r.Context(), func() { out.CloseWithError(r.Context().Err()) })
		length := int64(-1)
		if n, err := strconv.ParseInt(w.sent.Get("Content-Length"), 10, 64); err == nil && r.Method != http.MethodHead {
			length = n
		}
		return &http.Response{
			StatusCode: w.status, Status: http.StatusText(w.status), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
			Header: w.sent, ContentLength: length, Body: out, Request: r,
		}, nil
	}
}

// pipeWriter is the server's end of a call that stays in the process.
type pipeWriter struct {
	header, sent http.Header
	status       int
	body         *io.PipeWriter
	begun        chan struct{}
}

func (w *pipeWriter) Header() http.Header { return w.header }

func (w *pipeWriter) WriteHeader(status int) {
	if w.status == 0 {
		w.status, w.sent = status, w.header.Clone()
		close(w.begun)
	}
}

func (w *pipeWriter) Write(p []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	return w.body.Write(p)
}

func (w *pipeWriter) Flush()                           { w.WriteHeader(http.StatusOK) }
func (w *pipeWriter) SetWriteDeadline(time.Time) error { return nil }

// beyond makes calls outside of the bubble, whose time stands still meanwhile.
type beyond struct {
	target *url.URL
	idle   chan *beyondCaller
}

type beyondCaller struct {
	ask    chan *http.Request
	answer chan beyondAnswer
}

type beyondAnswer struct {
	response *http.Response
	body     []byte
	err      error
}

func newBeyond(t *testing.T, address string) *beyond {
	t.Helper()
	target, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	const callers = 32
	b := &beyond{target: target, idle: make(chan *beyondCaller, callers)}
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: callers}}
	for range callers {
		c := &beyondCaller{make(chan *http.Request), make(chan beyondAnswer)}
		b.idle <- c
		go func() {
			for r := range c.ask {
				var a beyondAnswer
				if a.response, a.err = client.Do(r); a.err == nil {
					a.body, a.err = io.ReadAll(a.response.Body)
					a.response.Body.Close()
				}
				c.answer <- a
			}
		}()
	}
	t.Cleanup(func() {
		for range callers {
			close((<-b.idle).ask)
		}
		client.CloseIdleConnections()
	})
	return b
}

func (b *beyond) do(r *http.Request) (*http.Response, error) {
	to := *r.URL
	to.Host = b.target.Host
	out, err := http.NewRequest(r.Method, to.String(), r.Body)
	if err != nil {
		return nil, err
	}
	out.Header, out.ContentLength = r.Header.Clone(), r.ContentLength
	c := <-b.idle
	c.ask <- out
	a := <-c.answer
	b.idle <- c
	if a.err != nil {
		return nil, a.err
	}
	a.response.Body = io.NopCloser(bytes.NewReader(a.body))
	return a.response, nil
}
