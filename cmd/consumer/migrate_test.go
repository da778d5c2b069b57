//go:build unix

package main_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/firehose"
	firehosetypes "github.com/aws/aws-sdk-go-v2/service/firehose/types"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	kinesistypes "github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/google/uuid"

	"aws-streaming-pipeline/internal/awshttp"
	"aws-streaming-pipeline/internal/localstream"
	"aws-streaming-pipeline/internal/test/emulator"
	"aws-streaming-pipeline/internal/test/race"
)

// guide is the page whose commands these tests run.
const guide = "../../docs/migrate-from-firehose.md"

// step is a block of commands of the guide, and the output that it shows, if any.
type step struct{ commands, output string }

// seldom waits for a condition that is costly to find out.
func seldom(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for began := time.Now(); !ok(); time.Sleep(500 * time.Millisecond) {
		if time.Since(began) > patience {
			t.Fatalf("not within %v: %s", patience, what)
		}
	}
}

// steps returns those of a part of the guide, from one heading to another.
func steps(t *testing.T, from, to string) []step {
	t.Helper()
	text, err := os.ReadFile(guide)
	if err != nil {
		t.Fatal(err)
	}
	_, part, found := strings.Cut(string(text), "\n"+from+"\n")
	if !found {
		t.Fatalf("%s has no heading %q", guide, from)
	}
	part, _, found = strings.Cut(part, "\n"+to+"\n")
	if !found {
		t.Fatalf("%s has no heading %q", guide, to)
	}
	var list []step
	for _, m := range regexp.MustCompile("(?ms)^```sh\n(.*?)^```\n(?:\n```\n(.*?)^```\n)?").FindAllStringSubmatch(part, -1) {
		list = append(list, step{m[1], m[2]})
	}
	return list
}

// shell is a session in which the guide's commands run one after another.
type shell struct {
	t   *testing.T
	in  io.Writer
	out *bufio.Scanner
	dir string
}

// ended is what the session prints after each block.
const ended = "-- the block has ended --"

func newShell(t *testing.T, environment []string) *shell {
	t.Helper()
	s := &shell{t: t, dir: t.TempDir()}
	cmd := exec.Command("bash", "--norc")
	cmd.Dir, cmd.Env = s.dir, environment
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // with the daemons that it starts
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = write, write
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	write.Close()
	t.Cleanup(func() {
		syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		cmd.Wait()
		read.Close()
	})
	s.in, s.out = in, bufio.NewScanner(read)
	s.out.Buffer(nil, 64<<20)
	return s
}

// run runs commands, and returns what they print.
func (s *shell) run(commands string) string {
	s.t.Helper()
	if _, err := fmt.Fprintf(s.in, "%s\necho %q\n", commands, ended); err != nil {
		s.t.Fatal(err)
	}
	var out strings.Builder
	for s.out.Scan() {
		if s.out.Text() == ended {
			return out.String()
		}
		out.WriteString(s.out.Text() + "\n")
	}
	s.t.Fatalf("the shell ended after\n%s\n%s", commands, out.String())
	return ""
}

// sameShape reports whether an output is that of the guide but for figures, times and names with a random part, and for the margin's edge,
// which compare reports if there is one.
func sameShape(got, want string) bool {
	edge := regexp.MustCompile(`(?m)^edge .*\n\n`)
	changes := regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f-]{27}|[0-9a-f]{32}|[0-9]+|  +`)
	shape := func(text string) string {
		return changes.ReplaceAllString(strings.TrimSpace(edge.ReplaceAllString(text, "")), "0")
	}
	return shape(got) == shape(want)
}

// aged is where the guide happens: a stream, a bucket, a table of leases, and a Firehose stream that reads the stream.
type aged struct {
	t        *testing.T
	kinesis  *kinesis.Client
	s3       *s3.Client
	firehose *firehose.Client
	env      []string
	leases   string // URL of DynamoDB
	sent     atomic.Int64
}

const (
	firehoseName = "trips-to-s3"
	liveRoot     = "trips/"
)

func newAged(t *testing.T) *aged {
	t.Helper()
	race.LeaveOut(t)
	stream, err := localstream.Start("127.0.0.1:0", localstream.Options{MaxBytes: 1 << 30})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stream.Close() })
	if err := stream.CreateStream(streamName, 2); err != nil {
		t.Fatal(err)
	}
	moto, leases := emulator.Moto(t), emulator.DynamoDBLocal(t)
	program, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	bin := t.TempDir()
	if err := os.Symlink(program, filepath.Join(bin, "consumer")); err != nil {
		t.Fatal(err)
	}
	env, _ := emulator.Tools(t)
	for i, v := range env {
		if path, ok := strings.CutPrefix(v, "PATH="); ok {
			env[i] = "PATH=" + bin + string(os.PathListSeparator) + path
		}
	}
	env = append(env, "AWS_REGION=us-east-1", "AWS_DEFAULT_REGION=us-east-1", "AWS_ENDPOINT_URL="+moto.URL, "AWS_ENDPOINT_URL_KINESIS="+stream.URL(),
		"AWS_ENDPOINT_URL_DYNAMODB="+leases.URL, "S3_PATH_STYLE=true", "HTTP_ADDRESS=", "FAILOVER_TIME=2s", "COMMIT_INTERVAL=2s")
	account := aws.Config{Region: "us-east-1", Credentials: credentials.NewStaticCredentialsProvider("test", "test", ""), HTTPClient: awshttp.Keep(nil), BaseEndpoint: &moto.URL}
	a := &aged{
		t: t, env: env, leases: leases.URL, firehose: firehose.NewFromConfig(account), s3: s3.NewFromConfig(account, func(o *s3.Options) { o.UsePathStyle = true }),
		kinesis: kinesis.NewFromConfig(account, func(o *kinesis.Options) { o.BaseEndpoint = aws.String(stream.URL()) }),
	}
	if _, err := a.s3.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: aws.String(bucketName)}); err != nil {
		t.Fatal(err)
	}
	return a
}

// inBackground runs something until the test ends or it is stopped.
func (a *aged) inBackground(work func(ctx context.Context) error) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var group sync.WaitGroup
	group.Go(func() {
		if err := work(ctx); err != nil && ctx.Err() == nil {
			a.t.Error(err)
		}
	})
	stop = func() { cancel(); group.Wait() }
	a.t.Cleanup(stop)
	return stop
}

// load sends numbered records all the time.
func (a *aged) load(ctx context.Context) error {
	for tick := time.NewTicker(100 * time.Millisecond); ctx.Err() == nil; {
		var entries []kinesistypes.PutRecordsRequestEntry
		for range 10 {
			n := a.sent.Add(1)
			entries = append(entries, kinesistypes.PutRecordsRequestEntry{Data: fmt.Appendf(nil, `{"n":%d,"taxi":"%d"}`, n, n%7), PartitionKey: aws.String(fmt.Sprint(n))})
		}
		out, err := a.kinesis.PutRecords(ctx, &kinesis.PutRecordsInput{StreamName: aws.String(streamName), Records: entries})
		if err != nil {
			return err
		}
		if aws.ToInt32(out.FailedRecordCount) != 0 {
			return errors.New("records were refused")
		}
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
	return nil
}

// deliver stands in for Firehose, since moto's does not read its source. It reads the stream from now on, and stores what it has every
// other second, as the description of the Firehose stream says: payloads after one another, under the prefix, in a file with Firehose's name
// (Amazon Data Firehose Developer Guide, "Configure Amazon S3 object name format"). When the Firehose stream is gone it drops what it has.
func (a *aged) deliver(ctx context.Context, iterators map[string]*string) error {
	var held bytes.Buffer
	var oldest, since time.Time
	for {
		for shard, iterator := range iterators {
			out, err := a.kinesis.GetRecords(ctx, &kinesis.GetRecordsInput{ShardIterator: iterator})
			if err != nil {
				return err
			}
			for _, r := range out.Records {
				if held.Len() == 0 {
					oldest, since = *r.ApproximateArrivalTimestamp, time.Now()
				}
				if r.ApproximateArrivalTimestamp.Before(oldest) {
					oldest = *r.ApproximateArrivalTimestamp
				}
				held.Write(r.Data)
			}
			iterators[shard] = out.NextShardIterator
		}
		if held.Len() > 0 && time.Since(since) > 2*time.Second {
			_, err := a.firehose.DescribeDeliveryStream(ctx, &firehose.DescribeDeliveryStreamInput{DeliveryStreamName: aws.String(firehoseName)})
			if _, gone := errors.AsType[*firehosetypes.ResourceNotFoundException](err); gone {
				return nil
			}
			if err != nil {
				return err
			}
			key := liveRoot + oldest.UTC().Format("2006/01/02/15/") + firehoseName + "-1-" + oldest.UTC().Format("2006-01-02-15-04-05-") + uuid.NewString()
			if _, err := a.s3.PutObject(ctx, &s3.PutObjectInput{Bucket: aws.String(bucketName), Key: &key, Body: bytes.NewReader(held.Bytes())}); err != nil {
				return err
			}
			held.Reset()
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// startFirehose creates the Firehose stream, which begins at LATEST.
func (a *aged) startFirehose() {
	a.t.Helper()
	role := aws.String("arn:aws:iam::123456789012:role/firehose")
	_, err := a.firehose.CreateDeliveryStream(a.t.Context(), &firehose.CreateDeliveryStreamInput{
		DeliveryStreamName: aws.String(firehoseName), DeliveryStreamType: firehosetypes.DeliveryStreamTypeKinesisStreamAsSource,
		KinesisStreamSourceConfiguration: &firehosetypes.KinesisStreamSourceConfiguration{
			KinesisStreamARN: aws.String("arn:aws:kinesis:us-east-1:123456789012:stream/" + streamName), RoleARN: role,
		},
		ExtendedS3DestinationConfiguration: &firehosetypes.ExtendedS3DestinationConfiguration{
			BucketARN: aws.String("arn:aws:s3:::" + bucketName), RoleARN: role, Prefix: aws.String(liveRoot + "!{timestamp:yyyy/MM/dd/HH}/"),
			ErrorOutputPrefix: aws.String("trips-errors/!{firehose:error-output-type}/!{timestamp:yyyy/MM/dd/HH}/"),
			CompressionFormat: firehosetypes.CompressionFormatUncompressed,
			BufferingHints:    &firehosetypes.BufferingHints{SizeInMBs: aws.Int32(5), IntervalInSeconds: aws.Int32(2)},
		},
	})
	if err != nil {
		a.t.Fatal(err)
	}
	shards, err := a.kinesis.ListShards(a.t.Context(), &kinesis.ListShardsInput{StreamName: aws.String(streamName)})
	if err != nil {
		a.t.Fatal(err)
	}
	iterators := make(map[string]*string)
	for _, shard := range shards.Shards {
		out, err := a.kinesis.GetShardIterator(a.t.Context(), &kinesis.GetShardIteratorInput{
			StreamName: aws.String(streamName), ShardId: shard.ShardId, ShardIteratorType: kinesistypes.ShardIteratorTypeLatest,
		})
		if err != nil {
			a.t.Fatal(err)
		}
		iterators[*shard.ShardId] = out.ShardIterator
	}
	a.inBackground(func(ctx context.Context) error { return a.deliver(ctx, iterators) })
}

// keys returns the keys under a prefix.
func (a *aged) keys(prefix string) (keys []string) {
	a.t.Helper()
	pages := s3.NewListObjectsV2Paginator(a.s3, &s3.ListObjectsV2Input{Bucket: aws.String(bucketName), Prefix: &prefix})
	for pages.HasMorePages() {
		page, err := pages.NextPage(a.t.Context())
		if err != nil {
			a.t.Fatal(err)
		}
		for _, o := range page.Contents {
			keys = append(keys, *o.Key)
		}
	}
	return keys
}

func (a *aged) delete(keys ...string) {
	a.t.Helper()
	for _, key := range keys {
		if _, err := a.s3.DeleteObject(a.t.Context(), &s3.DeleteObjectInput{Bucket: aws.String(bucketName), Key: &key}); err != nil {
			a.t.Fatal(err)
		}
	}
}

// numbers counts the records under a prefix by their number.
func (a *aged) numbers(prefix string) map[int64]int {
	a.t.Helper()
	counts := make(map[int64]int)
	for _, key := range a.keys(prefix) {
		got, err := a.s3.GetObject(a.t.Context(), &s3.GetObjectInput{Bucket: aws.String(bucketName), Key: &key})
		if err != nil {
			a.t.Fatal(err)
		}
		var body io.Reader = got.Body
		if strings.HasSuffix(key, ".gz") {
			if body, err = gzip.NewReader(got.Body); err != nil {
				a.t.Fatal(err)
			}
		}
		for records := json.NewDecoder(body); ; {
			var record struct{ N int64 }
			err := records.Decode(&record)
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				a.t.Fatalf("%s: %v", key, err)
			}
			counts[record.N]++
		}
		got.Body.Close()
	}
	return counts
}

// The commands of the guide, each in one session of a shell.
func TestGuide_MovesWithoutALossOrADouble(t *testing.T) {
	t.Parallel() // it waits most of the time
	a := newAged(t)
	t.Run("from a KCL application", func(t *testing.T) { moveFromTheJavaLibrary(t, a) })
	t.Run("from a Lambda function", func(t *testing.T) { moveFromLambda(t, a) })
	t.Run("from Firehose", func(t *testing.T) { moveFromFirehose(t, a) })
}

// moveFromFirehose does so under load, until the daemon has taken over: afterwards each record is under
// Firehose's prefix once. Only times are others, since the guide waits for hours. Then the daemon starts at a wrong T, and the guide's proof fails.
func moveFromFirehose(t *testing.T, a *aged) {
	a.t = t
	first := a.sent.Load()
	a.startFirehose()
	endLoad := a.inBackground(a.load)
	sh := newShell(t, a.env)
	list := steps(t, "## 1. Import the settings", "## Roll back")
	if len(list) != 10 {
		t.Fatalf("the guide has %d blocks of commands", len(list))
	}
	const margin = 3 * time.Second
	// run runs a block with its times replaced, and reports whether it prints what the guide shows.
	run := func(number int, replaced ...string) (out string, same bool) {
		t.Helper()
		commands := list[number-1].commands
		for i := 0; i < len(replaced); i += 2 {
			if !strings.Contains(commands, replaced[i]) {
				t.Fatalf("block %d has no %q:\n%s", number, replaced[i], commands)
			}
		}
		out = sh.run(strings.NewReplacer(replaced...).Replace(commands))
		return out, sameShape(out, list[number-1].output)
	}
	must := func(number int, replaced ...string) {
		t.Helper()
		out, same := run(number, replaced...)
		if !same {
			t.Fatalf("block %d prints\n%s\nand the guide shows\n%s", number, out, list[number-1].output)
		}
		t.Logf("%s%s", list[number-1].commands, out)
	}
	// window makes the last hours of the guide those since a time.
	window := func(from time.Time) []string {
		return []string{"--from 4h --margin 1h", fmt.Sprintf("--from %s --margin %v", from.UTC().Format(time.RFC3339), margin)}
	}
	after := func(since time.Time) {
		t.Helper()
		seldom(t, "time has passed", func() bool { return time.Since(since) > 2*margin+2*time.Second })
	}
	theDaemons := func() []string {
		return slices.DeleteFunc(a.keys(liveRoot), func(key string) bool { return strings.Contains(key, firehoseName) || strings.Contains(key, "edge") })
	}

	must(1) // import
	must(2) // the shadow
	seldom(t, "the shadow delivers", func() bool { return len(a.keys("shadow/")) > 1 })
	from := time.Now().Add(margin)
	after(from)
	// Under load they may not yet. Once they do, the window has a beginning at which both have delivered the same.
	seldom(t, "the deliveries agree", func() bool { _, same := run(3, window(from)...); return same })

	at := time.Now().Add(3 * time.Second).Truncate(time.Second)
	must(4, "2026-03-14T10:00:00Z", at.UTC().Format(time.RFC3339))
	later := firehoseName + "-1-" + at.Add(time.Second).UTC().Format("2006-01-02-15-04-05")
	seldom(t, "Firehose has delivered what arrived before T", func() bool {
		return slices.ContainsFunc(a.keys(liveRoot), func(key string) bool { return filepath.Base(key) > later })
	})
	must(5) // Firehose ends
	must(6, "trips/2026/03/14/", "trips/", "slack 60", "slack 1")
	must(7) // the daemon
	seldom(t, "the daemon delivers", func() bool { return len(theDaemons()) > 0 })
	endLoad()
	sent := a.sent.Load()
	// delivered waits until a prefix has the last record of both shards.
	delivered := func(prefix string) {
		t.Helper()
		seldom(t, "all is under "+prefix, func() bool {
			counts, recent := a.numbers(prefix), 0
			for n := range counts {
				if n > sent-100 {
					recent++
				}
			}
			return recent == 100
		})
	}
	delivered(liveRoot)
	delivered("shadow/")
	after(time.Now())
	must(8, window(from)...)
	after(time.Now())
	must(9, window(from)...)

	counts := a.numbers(liveRoot)
	for n := first + 1; n <= sent; n++ {
		if counts[n] != 1 {
			t.Errorf("record %d of %d is there %d times", n, sent, counts[n])
		}
	}
	if int64(len(counts)) != sent-first {
		t.Errorf("%d records are there, %d were sent", len(counts), sent-first)
	}

	for name, wrong := range map[string]struct {
		start time.Time
		finds string
	}{"late": {at.Add(2 * time.Second), "missing-in-theirs"}, "early": {at.Add(-2 * time.Second), "double-in-theirs"}} {
		sh.run("kill $live; wait $live")
		a.delete(theDaemons()...)
		sh.run("T=" + wrong.start.UTC().Format(time.RFC3339))
		if out, same := run(7, "echo ", "echo APPLICATION_NAME="+name+" >> live.env; echo "); !same {
			t.Fatal(out)
		}
		delivered(liveRoot)
		after(time.Now())
		if out, _ := run(9, window(from)...); !strings.Contains(out, "DIFFERENT") || !strings.Contains(out, wrong.finds) {
			t.Errorf("with a T that is too %s, the guide's proof prints\n%s", name, out)
		}
	}
	must(10)
	if left := slices.Concat(a.keys("shadow"), a.keys("firehose-")); len(left) > 0 {
		t.Errorf("the guide leaves %v", left)
	}
}

// The guide continues where an application of the Java library stopped.
func moveFromTheJavaLibrary(t *testing.T, a *aged) {
	a.t = t
	sh := newShell(t, a.env)
	list := steps(t, "## From a KCL application", "## From the Lambda functions")
	if len(list) != 2 {
		t.Fatalf("the guide has %d blocks of commands", len(list))
	}
	const done, all = 120, 200 // the other application has processed the first
	leases := make(map[string]string)
	for range all {
		n := a.sent.Add(1)
		out, err := a.kinesis.PutRecord(t.Context(), &kinesis.PutRecordInput{
			StreamName: aws.String(streamName), PartitionKey: aws.String(fmt.Sprint(n)), Data: fmt.Appendf(nil, `{"n":%d}`, n),
		})
		if err != nil {
			t.Fatal(err)
		}
		if n <= done {
			leases[*out.ShardId] = *out.SequenceNumber
		}
	}
	javaTable(t, a.leases, "trips-java", leases)
	out := sh.run(list[0].commands)
	if !sameShape(out, list[0].output) {
		t.Errorf("the import prints\n%s\nand the guide shows\n%s", out, list[0].output)
	}
	t.Log(out)
	sh.run(list[1].commands)
	seldom(t, "the rest is delivered", func() bool { return len(a.numbers(liveRoot)) >= all-done })
	for n, count := range a.numbers(liveRoot) {
		if n <= done || count != 1 {
			t.Errorf("record %d is there %d times, the other application has processed %d", n, count, done)
		}
	}
	sh.run("kill $live; wait $live")
	a.delete(a.keys("")...)
}

// Only the mapping is there: the function does not run, and a test of package athena runs the view.
func moveFromLambda(t *testing.T, a *aged) {
	a.t = t
	sh := newShell(t, append(a.env, "AWS_ENDPOINT_URL_KINESIS=")) // moto's, since its mapping wants a stream
	made := sh.run(`echo '{}' > policy.json && printf 'PK\005\006%18s' | tr ' ' '\000' > code.zip
aws kinesis create-stream --stream-name trips --shard-count 1 &&
role=$(aws iam create-role --role-name function --assume-role-policy-document file://policy.json --query Role.Arn --output text) &&
aws lambda create-function --function-name streaming-pipeline-dev-write-to-s3 --runtime provided.al2023 --handler bootstrap --role "$role" --zip-file fileb://code.zip > /dev/null &&
aws lambda create-event-source-mapping --function-name streaming-pipeline-dev-write-to-s3 --starting-position LATEST \
  --event-source-arn arn:aws:kinesis:us-east-1:123456789012:stream/trips > /dev/null && echo made`)
	if made != "made\n" {
		t.Fatalf("no mapping is made:\n%s", made)
	}
	list := steps(t, "## From the Lambda functions", "## How this is tested")
	if len(list) != 1 {
		t.Fatalf("the guide has %d blocks of commands", len(list))
	}
	if out := sh.run(list[0].commands); !sameShape(out, list[0].output) {
		t.Errorf("the guide's command prints\n%s", out)
	}
	if state := sh.run("aws lambda get-event-source-mapping --uuid \"$mapping\" --query State --output text"); state != "Disabled\n" {
		t.Errorf("the mapping is %s", state)
	}
}
