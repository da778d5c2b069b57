package athena_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/firehose"
	firehosetypes "github.com/aws/aws-sdk-go-v2/service/firehose/types"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/prometheus/client_golang/prometheus"

	"aws-streaming-pipeline/athena"
	"aws-streaming-pipeline/checkpoint/local"
	"aws-streaming-pipeline/consumer"
	"aws-streaming-pipeline/internal/awshttp"
	"aws-streaming-pipeline/internal/budget"
	"aws-streaming-pipeline/internal/localstream"
	"aws-streaming-pipeline/internal/metrics"
	"aws-streaming-pipeline/internal/test/emulator"
	"aws-streaming-pipeline/internal/test/lambdatest"
	"aws-streaming-pipeline/producer"
	"aws-streaming-pipeline/record/schema"
	"aws-streaming-pipeline/writers/s3sink"
)

const (
	streamName = "trips"
	trips      = 3000
)

// arrived is the arrival of the trips: on the day that the queries ask for.
var arrived = time.Date(2026, 1, 31, 10, 0, 0, 0, time.UTC)

// site is a stream, and a bucket that all paths write to.
type site struct {
	stream  *kinesis.Client
	objects *s3.Client
	url     string // of S3 and Firehose
}

const outputBucket = "output"

// The same trips take all paths: the daemon, once to JSON lines and once to Parquet; write-to-s3; and send-to-firehose
// with Firehose. The queries find in all of them what the producer sent.
func TestQueries_AgreeOverRealOutputOfAllPaths(t *testing.T) {
	s := newSite(t)
	delivered := t.Run("all paths deliver", func(t *testing.T) {
		for name, deliver := range map[string]func(t *testing.T){
			"the daemon, JSON lines": func(t *testing.T) { s.runDaemon(t, "jsonl", "data/") },
			"the daemon, Parquet":    func(t *testing.T) { s.runDaemon(t, "parquet", "parquet/") },
			"the functions":          s.runFunctions,
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				deliver(t)
			})
		}
	})
	if !delivered {
		t.FailNow()
	}
	folder := t.TempDir()
	s.download(t, folder)

	rows := query(t, folder)
	t.Run("each path has each event once", func(t *testing.T) {
		count := strconv.Itoa(trips)
		want := [][]string{{"daemon", count, count, "0", "0"}, {"firehose", count, count, "0", "0"}, {"lambda", count, count, "0", "0"}}
		if got := rows["exactly-once"]; fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("got %v, want %v", got, want)
		}
		if got := rows["missing-events"]; len(got) != 0 {
			t.Errorf("said to be missing: %v", got)
		}
	})
	t.Run("trips an hour are those that were sent", func(t *testing.T) { sameHours(t, rows["trips-an-hour"]) })
	t.Run("the longest trips are those that were sent", func(t *testing.T) { sameLongest(t, rows["longest-trips"]) })
	t.Run("Parquet tells the same", func(t *testing.T) { sameTaxis(t, rows["taxis-by-call"]) })
	t.Run("what a query scans", func(t *testing.T) { compareBytes(t, folder) })
	t.Run("small files of the past are compacted", func(t *testing.T) { compact(t, folder) })
	t.Run("a view of the daemon and a function has each event once", func(t *testing.T) { moveByEventID(t, folder) })
	t.Run("compact-days copies a day, and stops where it does not agree", func(t *testing.T) { compactDays(t, folder) })
	t.Run("a loss and a double are found", func(t *testing.T) {
		plant(t, folder)
		rows := query(t, folder)
		for _, row := range rows["exactly-once"] {
			lost, double := row[0] == "lambda" && row[4] != "0", row[0] == "firehose" && row[3] != "0"
			if row[0] == "lambda" && !lost || row[0] == "firehose" && !double || row[0] == "daemon" && (row[3] != "0" || row[4] != "0") {
				t.Errorf("%v, although an object of write-to-s3 is gone and one of Firehose is there twice", row)
			}
		}
		if len(rows["missing-events"]) != 100 {
			t.Errorf("%d events are named", len(rows["missing-events"]))
		}
	})
}

func newSite(t *testing.T) *site {
	t.Helper()
	began := time.Now()
	stream, err := localstream.Start("127.0.0.1:0", localstream.Options{
		Clock: func() time.Time { return arrived.Add(time.Since(began)) }, WhenFull: localstream.KeepUnreleased,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := stream.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := stream.CreateStream(streamName, 2); err != nil {
		t.Fatal(err)
	}
	moto := emulator.Moto(t)
	s := &site{
		stream: kinesis.NewFromConfig(account(stream.URL())), url: moto.URL,
		objects: s3.NewFromConfig(account(moto.URL), func(o *s3.Options) { o.UsePathStyle = true }),
	}
	if _, err := s.objects.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: aws.String(outputBucket)}); err != nil {
		t.Fatal(err)
	}
	p, err := producer.New(producer.Config{
		Stream: streamName, PartitionKey: "TRIP_ID", Unpaced: true,
		Source: func() (producer.Source, error) { return producer.Generate(trips, 1), nil },
	}, s.stream)
	if err != nil {
		t.Fatal(err)
	}
	if summary, err := p.Run(t.Context()); err != nil || summary.Records != trips {
		t.Fatalf("sent %d trips: %v", summary.Records, err)
	}
	return s
}

func account(url string) aws.Config {
	return aws.Config{
		Region: "us-east-1", BaseEndpoint: aws.String(url), HTTPClient: awshttp.Keep(nil),
		Credentials: credentials.NewStaticCredentialsProvider("local", "localsecret", ""),
	}
}

// runDaemon lets the daemon deliver all trips in a format, under its default prefix with another first folder.
func (s *site) runDaemon(t *testing.T, format, root string) {
	t.Helper()
	cfg := consumer.Defaults()
	cfg.Stream, cfg.Bucket, cfg.Application, cfg.Format = streamName, outputBucket, "athena-"+format, format
	cfg.Prefix = root + strings.TrimPrefix(cfg.Prefix, "data/")
	cfg.CommitInterval, cfg.Failover, cfg.HTTPAddress = 2*time.Second, 2*time.Second, ""
	cfg.CheckpointFile = filepath.Join(t.TempDir(), "checkpoints")
	if err := cfg.Validate(); err != nil {
		t.Fatal(err)
	}
	store, err := local.Open(cfg.CheckpointFile)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	}()
	records, err := athena.Schema()
	if err != nil {
		t.Fatal(err)
	}
	registry := prometheus.NewRegistry()
	m := metrics.New(registry)
	held := budget.New(int64(cfg.MemoryBudget), m)
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	sink, err := s3sink.New(s.objects, s3sink.Config{Bucket: outputBucket, Budget: held, Metrics: m, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	d, err := consumer.New(cfg, consumer.Services{
		Kinesis: s.stream, Store: store, Sink: sink, Schema: records, Budget: held, Metrics: m, Registry: registry, Log: log,
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithTimeout(t.Context(), 2*time.Minute)
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- d.Run(ctx) }()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for delivered(t, registry) < trips && ctx.Err() == nil {
		<-tick.C
	}
	stop()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if got := delivered(t, registry); got != trips {
		t.Fatalf("the daemon delivered %v of %d trips", got, trips)
	}
}

// delivered returns how many records a daemon says that it published.
func delivered(t *testing.T, registry *prometheus.Registry) (sum float64) {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == "consumer_records_total" {
			for _, m := range f.GetMetric() {
				sum += m.GetCounter().GetValue()
			}
		}
	}
	return sum
}

// runFunctions gives all trips to both functions, as two event source mappings do.
func (s *site) runFunctions(t *testing.T) {
	t.Helper()
	_, err := firehose.NewFromConfig(account(s.url)).CreateDeliveryStream(t.Context(), &firehose.CreateDeliveryStreamInput{
		DeliveryStreamName: aws.String(streamName),
		ExtendedS3DestinationConfiguration: &firehosetypes.ExtendedS3DestinationConfiguration{
			BucketARN: aws.String("arn:aws:s3:::" + outputBucket), Prefix: aws.String("context=firehose_delivery/"),
			RoleARN: aws.String("arn:aws:iam::123456789012:role/firehose"),
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	env := map[string]string{
		"DESTINATION_S3_BUCKET": outputBucket, "ERROR_S3_BUCKET": outputBucket, "FIREHOSE_DELIVERY_STREAM": streamName, "AWS_ENDPOINT_URL": s.url,
	}
	for _, name := range []string{"write-to-s3", "send-to-firehose"} {
		f := lambdatest.Start(t, lambdatest.Package(t, name), env)
		for _, shard := range s.shards(t) {
			for batch := range slices.Chunk(s.read(t, shard), 500) {
				result := f.Invoke(lambdatest.Event(t, batch), time.Minute)
				if result.Error != nil || result.TimedOut || !bytes.Contains(result.Answer, []byte(`"batchItemFailures":[]`)) {
					t.Fatalf("%s answers %s %s", name, result.Answer, result.Error)
				}
			}
		}
	}
}

func (s *site) shards(t *testing.T) []string {
	t.Helper()
	out, err := s.stream.ListShards(t.Context(), &kinesis.ListShardsInput{StreamName: aws.String(streamName)})
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, shard := range out.Shards {
		ids = append(ids, aws.ToString(shard.ShardId))
	}
	return ids
}

func (s *site) read(t *testing.T, shard string) []lambdatest.Record {
	t.Helper()
	iterator, err := s.stream.GetShardIterator(t.Context(), &kinesis.GetShardIteratorInput{
		StreamName: aws.String(streamName), ShardId: aws.String(shard), ShardIteratorType: types.ShardIteratorTypeTrimHorizon,
	})
	if err != nil {
		t.Fatal(err)
	}
	var records []lambdatest.Record
	for next := iterator.ShardIterator; ; {
		out, err := s.stream.GetRecords(t.Context(), &kinesis.GetRecordsInput{ShardIterator: next})
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range out.Records {
			records = append(records, lambdatest.Record{
				Shard: shard, Sequence: aws.ToString(r.SequenceNumber), PartitionKey: aws.ToString(r.PartitionKey),
				Arrival: aws.ToTime(r.ApproximateArrivalTimestamp), Data: r.Data,
			})
		}
		if len(out.Records) == 0 && aws.ToInt64(out.MillisBehindLatest) == 0 {
			return records
		}
		next = out.NextShardIterator
	}
}

var firehoseTime = regexp.MustCompile(`^context=firehose_delivery/\d{4}/\d{2}/\d{2}/\d{2}/`)

// download copies the bucket into a folder. Firehose dates its objects by its own clock, which here differs from that of
// the stream, so they are moved to where they belong.
func (s *site) download(t *testing.T, folder string) {
	t.Helper()
	pages := s3.NewListObjectsV2Paginator(s.objects, &s3.ListObjectsV2Input{Bucket: aws.String(outputBucket)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, object := range page.Contents {
			out, err := s.objects.GetObject(t.Context(), &s3.GetObjectInput{Bucket: aws.String(outputBucket), Key: object.Key})
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(out.Body)
			if err != nil {
				t.Fatal(err)
			}
			key := firehoseTime.ReplaceAllString(aws.ToString(object.Key), "context=firehose_delivery/"+arrived.Format("2006/01/02/15")+"/")
			file := filepath.Join(folder, filepath.FromSlash(key))
			if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(file, body, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// plant loses an object of write-to-s3 and duplicates one of Firehose.
func plant(t *testing.T, folder string) {
	t.Helper()
	lost, err := filepath.Glob(filepath.Join(folder, "context=write_to_s3", "*", "*"))
	if err != nil || len(lost) == 0 {
		t.Fatalf("no objects of write-to-s3: %v", err)
	}
	// The largest, since the last batch of a shard may have only a few records.
	largest := slices.MaxFunc(lost, func(a, b string) int { return cmp.Compare(fileSize(t, a), fileSize(t, b)) })
	double, err := filepath.Glob(filepath.Join(folder, "context=firehose_delivery", "2026", "01", "31", "10", "*"))
	if err != nil || len(double) == 0 {
		t.Fatalf("no objects of Firehose: %v", err)
	}
	body, err := os.ReadFile(double[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(double[0]+"-again", body, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(largest); err != nil {
		t.Fatal(err)
	}
}

func fileSize(t *testing.T, path string) int64 {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

// scanned is a table as testdata/run.py takes it.
type scanned struct {
	Name       string      `json:"name"`
	Files      string      `json:"files"`
	Storage    string      `json:"storage"`
	Columns    [][2]string `json:"columns"`
	Sources    []string    `json:"sources"` // names in JSON, in the order of the columns
	Partitions [][2]string `json:"partitions"`
	Pattern    string      `json:"pattern"`
}

// tables returns the tables of the DDL over a folder, with columns parsed by an independent grammar.
func tables(t *testing.T, folder string) []scanned {
	t.Helper()
	understood := make(map[string]created)
	var files []string
	for _, table := range athena.Tables(bucket) {
		files = append(files, path.Join("ddl", table.Name+".sql"))
	}
	grammar(t, "ddl", files, &understood)
	var list []scanned
	for _, table := range athena.Tables(bucket) {
		said := understood[path.Join("ddl", table.Name+".sql")]
		one := scanned{Name: said.Name, Storage: string(table.Storage), Columns: said.Columns, Partitions: said.Partitions}
		for _, c := range said.Columns {
			source := said.SerdeProperties["mapping."+c[0]]
			if source == "" {
				source = c[0]
			}
			one.Sources = append(one.Sources, source)
		}
		place := strings.TrimPrefix(said.Properties["storage.location.template"], "s3://"+bucket+"/")
		one.Pattern = regexp.MustCompile(`\\\$\\\{\w+\\\}`).ReplaceAllString(regexp.QuoteMeta(place), "([0-9/-]+)") + "[^/]+$"
		one.Files = filepath.Join(folder, strings.TrimPrefix(said.Location, "s3://"+bucket+"/"), "**", "*")
		if table.Storage == schema.ParquetFiles {
			one.Files += ".parquet"
		}
		list = append(list, one)
	}
	return list
}

// query runs the folder's queries over the files, and returns their rows by the queries' names.
func query(t *testing.T, folder string) map[string][][]string {
	t.Helper()
	translated := make(map[string]string)
	grammar(t, "duckdb", queryFiles(t), &translated)
	queries := make(map[string]string)
	for file, text := range translated {
		if name := strings.TrimSuffix(filepath.Base(file), ".sql"); !strings.HasPrefix(name, "compact-") {
			queries[name] = text
		}
	}
	return ask(t, folder, queries)
}

func ask(t *testing.T, folder string, queries map[string]string) map[string][][]string {
	t.Helper()
	return askCases(t, folder, map[string][]string{"": {}}, queries)[""]
}

// askCases runs the queries after the statements of each case, of which none sees what another has done.
func askCases(t *testing.T, folder string, cases map[string][]string, queries map[string]string) map[string]map[string][][]string {
	t.Helper()
	work, err := json.Marshal(map[string]any{"tables": tables(t, folder), "cases": cases, "queries": queries})
	if err != nil {
		t.Fatal(err)
	}
	cmd := emulator.Python(t, "testdata/run.py")
	cmd.Stdin = bytes.NewReader(work)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	rows := make(map[string]map[string][][]string)
	if err == nil {
		err = json.Unmarshal(out, &rows)
	}
	if err != nil {
		t.Fatalf("run queries: %v\n%s", err, stderr.String())
	}
	return rows
}

// trip is what the queries use of a trip, from the producer's own rows.
type trip struct {
	id, call, taxi string
	hour           time.Time
	kilometres     float64
}

func sent(t *testing.T) []trip {
	t.Helper()
	source := producer.Generate(trips, 1)
	columns, err := source.Columns()
	if err != nil {
		t.Fatal(err)
	}
	at := func(row producer.Row, column string) string { return string(row.Cells[slices.Index(columns, column)]) }
	var all []trip
	for {
		row, err := source.Next()
		if err == io.EOF {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		seconds, err := strconv.ParseInt(at(row, "TIMESTAMP"), 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		var line [][2]float64
		if err := json.Unmarshal([]byte(at(row, "POLYLINE")), &line); err != nil {
			t.Fatal(err)
		}
		one := trip{id: at(row, "TRIP_ID"), call: at(row, "CALL_TYPE"), taxi: at(row, "TAXI_ID"), hour: time.Unix(seconds, 0).UTC().Truncate(time.Hour)}
		for i := 1; i < len(line); i++ {
			one.kilometres += greatCircle(line[i-1], line[i])
		}
		all = append(all, one)
	}
}

// greatCircle returns the distance of two positions in kilometres, from the angle between their vectors rather than, as
// in the query, by the haversine.
func greatCircle(a, b [2]float64) float64 {
	vector := func(p [2]float64) [3]float64 {
		lon, lat := p[0]*math.Pi/180, p[1]*math.Pi/180
		return [3]float64{math.Cos(lat) * math.Cos(lon), math.Cos(lat) * math.Sin(lon), math.Sin(lat)}
	}
	v, w := vector(a), vector(b)
	cross := [3]float64{v[1]*w[2] - v[2]*w[1], v[2]*w[0] - v[0]*w[2], v[0]*w[1] - v[1]*w[0]}
	dot := v[0]*w[0] + v[1]*w[1] + v[2]*w[2]
	return 6371 * math.Atan2(math.Sqrt(cross[0]*cross[0]+cross[1]*cross[1]+cross[2]*cross[2]), dot)
}

func sameHours(t *testing.T, rows [][]string) {
	type key struct{ hour, call string }
	want := make(map[key]int)
	for _, one := range sent(t) {
		want[key{one.hour.Format(time.DateTime), one.call}]++
	}
	for _, row := range rows {
		k := key{strings.TrimSuffix(row[0], "+00"), row[1]}
		if row[2] != strconv.Itoa(want[k]) {
			t.Errorf("%v: want %d trips", row, want[k])
		}
		delete(want, k)
	}
	if len(want) > 0 {
		t.Errorf("no row for %v", want)
	}
}

func sameLongest(t *testing.T, rows [][]string) {
	all := sent(t)
	slices.SortFunc(all, func(a, b trip) int {
		if c := strings.Compare(fmt.Sprintf("%015.6f", b.kilometres), fmt.Sprintf("%015.6f", a.kilometres)); c != 0 {
			return c
		}
		return strings.Compare(a.id, b.id)
	})
	if len(rows) != 20 {
		t.Fatalf("%d rows", len(rows))
	}
	for i, row := range rows {
		if got, err := strconv.ParseFloat(row[2], 64); err != nil || row[0] != all[i].id || math.Abs(got-all[i].kilometres) > 0.001 {
			t.Errorf("place %d is %v, want %+v", i+1, row, all[i])
		}
	}
}

func sameTaxis(t *testing.T, rows [][]string) {
	count, taxis := make(map[string]int), make(map[string]map[string]bool)
	for _, one := range sent(t) {
		count[one.call]++
		if taxis[one.call] == nil {
			taxis[one.call] = make(map[string]bool)
		}
		taxis[one.call][one.taxi] = true
	}
	if len(rows) != len(count) || len(rows) < 2 {
		t.Errorf("the calls are %v, want %v", rows, count)
	}
	for _, row := range rows {
		if row[1] != strconv.Itoa(count[row[0]]) || row[2] != strconv.Itoa(len(taxis[row[0]])) {
			t.Errorf("%v: want %d trips and %d taxis", row, count[row[0]], len(taxis[row[0]]))
		}
	}
}

// compareBytes returns the bytes that Athena reads, and charges for, per query of taxis-by-call: all of each object for
// text, the chunks of the queried columns for Parquet.
func compareBytes(t *testing.T, folder string) {
	size := func(root string) (bytes int64) {
		t.Helper()
		err := filepath.WalkDir(filepath.Join(folder, root), func(_ string, entry os.DirEntry, err error) error {
			if err != nil || entry.IsDir() {
				return err
			}
			info, err := entry.Info()
			bytes += info.Size()
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return bytes
	}
	parquet := filepath.Join(folder, "parquet", "**", "*.parquet")
	rows := ask(t, folder, map[string]string{
		"chunks": "SELECT sum(total_compressed_size) FROM parquet_metadata('" + parquet + "') WHERE path_in_schema IN ('CALL_TYPE', 'TAXI_ID', 'call_type', 'taxi_id')",
	})
	chunks, err := strconv.ParseInt(rows["chunks"][0][0], 10, 64)
	if err != nil || chunks == 0 {
		t.Fatalf("the chunks of the two columns have %v bytes: %v", rows["chunks"], err)
	}
	lambda, firehose, daemon := size("context=write_to_s3"), size("context=firehose_delivery"), size("data")
	t.Logf("%d trips: trips_lambda %d bytes, trips_firehose %d, trips_daemon %d, trips_parquet %d of %d",
		trips, lambda, firehose, daemon, chunks, size("parquet"))
	// The README's table shows how these compare.
	if daemon*2 > lambda || chunks*20 > daemon {
		t.Errorf("text %d, compressed %d, two columns of Parquet %d", lambda, daemon, chunks)
	}
}
