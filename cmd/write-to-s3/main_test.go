package main

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"aws-streaming-pipeline/internal/lambdas/bundle"
	"aws-streaming-pipeline/internal/localbucket"
	"aws-streaming-pipeline/internal/test/lambdatest"
	"aws-streaming-pipeline/internal/test/race"
	"aws-streaming-pipeline/record"
)

const bucket = "destination"

// stage is a bucket that is a folder, and the service that stands before it.
type stage struct {
	folder string
	s3     *lambdatest.Service
}

func newStage(tb testing.TB) stage {
	tb.Helper()
	race.LeaveOut(tb)
	folder := tb.TempDir()
	server, err := localbucket.Start("127.0.0.1:0", folder)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := server.Close(); err != nil {
			tb.Error(err)
		}
	})
	if err := server.CreateBucket(bucket); err != nil {
		tb.Fatal(err)
	}
	return stage{folder: filepath.Join(folder, bucket), s3: lambdatest.Serve(tb, "s3", lambdatest.Forward(tb, server.URL()))}
}

// start runs the function's real package with settings besides those it needs.
func (s stage) start(tb testing.TB, settings ...string) *lambdatest.Function {
	tb.Helper()
	env := map[string]string{"DESTINATION_S3_BUCKET": bucket, "AWS_ENDPOINT_URL_S3": s.s3.URL}
	for _, setting := range settings {
		name, value, _ := strings.Cut(setting, "=")
		env[name] = value
	}
	return lambdatest.Start(tb, lambdatest.Package(tb, "write-to-s3"), env)
}

// objects are the bucket's objects with their contents, opened where the key ends on .gz.
func (s stage) objects(tb testing.TB) map[string]string {
	tb.Helper()
	objects := make(map[string]string)
	err := filepath.WalkDir(s.folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if strings.HasSuffix(path, ".gz") {
			r, err := gzip.NewReader(bytes.NewReader(data))
			if err != nil {
				return err
			}
			if data, err = io.ReadAll(r); err != nil {
				return err
			}
		}
		key, err := filepath.Rel(s.folder, path)
		objects[key] = string(data)
		return err
	})
	if err != nil {
		tb.Fatal(err)
	}
	return objects
}

// golden is a text of an answer and of all objects, without the time of the attempt.
func (s stage) golden(tb testing.TB, result lambdatest.Result) string {
	tb.Helper()
	return lambdatest.Text(result, s.objects(tb))
}

func TestFunction_WritesTheSampleEvents(t *testing.T) {
	for name, event := range map[string][]byte{"trips": lambdatest.Trips, "mixed": lambdatest.Mixed} {
		t.Run(name, func(t *testing.T) {
			s := newStage(t)
			result := s.start(t).Invoke(event, 30*time.Second)
			lambdatest.Golden(t, name+".golden", s.golden(t, result))
		})
	}
}

func TestFunction_CompressesIfItIsTold(t *testing.T) {
	s := newStage(t)
	a := lambdatest.Answer[answer](s.start(t, "COMPRESSION=gzip"), lambdatest.Mixed, 30*time.Second)
	if !strings.HasSuffix(a.S3Path, ".json.gz") || len(a.ErrorPaths) != 1 || !strings.HasSuffix(a.ErrorPaths[0], ".json.gz") {
		t.Errorf("answer %+v", a)
	}
	objects := s.objects(t)
	if data := objects[strings.TrimPrefix(a.S3Path, "s3://"+bucket+"/")]; strings.Count(data, "\n") != 3 {
		t.Errorf("the object holds %q", data)
	}
}

func TestFunction_DeliversLargeBatchesWithPoisonInThem(t *testing.T) {
	s := newStage(t)
	f := s.start(t)
	poison := func(n int) bool { return n%100 == 7 }
	a := lambdatest.Answer[answer](f, lambdatest.Event(t, lambdatest.Batch(10_000, poison)), 60*time.Second)
	if len(a.BatchItemFailures) != 0 || len(a.ErrorPaths) != 1 {
		t.Fatalf("answer %+v", a)
	}
	objects := s.objects(t)
	if len(objects) != 2 {
		t.Fatalf("%d objects", len(objects))
	}
	seen := make(map[int]bool)
	for line := range strings.Lines(objects[strings.TrimPrefix(a.S3Path, "s3://"+bucket+"/")]) {
		var trip struct {
			N       int    `json:"n"`
			EventID string `json:"event_id"`
		}
		if err := json.Unmarshal([]byte(line), &trip); err != nil {
			t.Fatal(err)
		}
		if want := fmt.Sprintf("4959033827149025660855969253836%025d", trip.N); trip.EventID != want {
			t.Fatalf("event id %s, want %s", trip.EventID, want)
		}
		seen[trip.N] = true
	}
	failed := 0
	for line := range strings.Lines(objects[strings.TrimPrefix(a.ErrorPaths[0], "s3://"+bucket+"/")]) {
		e, err := record.ParseErrorLine([]byte(line))
		if err != nil {
			t.Fatal(err)
		}
		if e.Record.Fault.Code != record.CodeJSONTruncated || e.Record.Shard != "shardId-000000000003" {
			t.Fatalf("error line %+v", e)
		}
		failed++
	}
	if len(seen) != 9_900 || failed != 100 {
		t.Errorf("%d delivered, %d failed", len(seen), failed)
	}
	m := f.Metrics()
	if m["RecordsReceived"] != 10_000 || m["RecordsDelivered"] != 9_900 || m["RecordsFailed"] != 100 || m["BatchesFailed"] != 0 {
		t.Errorf("metrics %v", m)
	}
}

// Lambda also retries a batch whose result it has not received.
func TestFunction_ReplacesTheObjectWhenABatchIsRetried(t *testing.T) {
	s := newStage(t)
	first := s.start(t)
	a := lambdatest.Answer[answer](first, lambdatest.Mixed, 30*time.Second)
	before := s.objects(t)
	// Another process gets the retry, maybe.
	b := lambdatest.Answer[answer](s.start(t), lambdatest.Mixed, 30*time.Second)
	after := s.objects(t)
	if a.S3Path != b.S3Path || len(before) != 2 || len(after) != 2 {
		t.Fatalf("written to %s and %s; %d and %d objects", a.S3Path, b.S3Path, len(before), len(after))
	}
	key := strings.TrimPrefix(a.S3Path, "s3://"+bucket+"/")
	if before[key] != after[key] {
		t.Errorf("the retry changes the object:\n%s\n%s", before[key], after[key])
	}
	// A batch that begins elsewhere is another one.
	var event events.KinesisEvent
	if err := json.Unmarshal(lambdatest.Mixed, &event); err != nil {
		t.Fatal(err)
	}
	event.Records = event.Records[1:]
	rest, err := json.Marshal(event)
	if err != nil {
		t.Fatal(err)
	}
	if c := lambdatest.Answer[answer](first, rest, 30*time.Second); c.S3Path == a.S3Path {
		t.Errorf("two batches share the object %s", c.S3Path)
	}
}

func TestFunction_AnswersABatchAsFailedWhileS3IsDown(t *testing.T) {
	s := newStage(t)
	f := s.start(t)
	s.s3.Fail(lambdatest.Unavailable)
	a := lambdatest.Answer[answer](f, lambdatest.Trips, 8*time.Second)
	if a.S3Path != "" || len(a.BatchItemFailures) != 1 || a.BatchItemFailures[0].ItemIdentifier != "49590338271490256608559692538361571095921575989136588898" {
		t.Errorf("answer %+v", a)
	}
	if s.s3.Failed() < 2 {
		t.Errorf("S3 was asked %d times", s.s3.Failed())
	}
	if m := f.Metrics(); m["BatchesFailed"] != 1 || m["RecordsDelivered"] != 0 {
		t.Errorf("metrics %v", m)
	}
	s.s3.Fail(nil)
	if a := lambdatest.Answer[answer](f, lambdatest.Trips, 30*time.Second); len(a.BatchItemFailures) != 0 || len(s.objects(t)) != 1 {
		t.Errorf("after the outage: %+v, objects %v", a, s.objects(t))
	}
}

func TestFunction_AnswersABatchAsFailedWhenOnlyItsErrorsCanNotBeWritten(t *testing.T) {
	s := newStage(t)
	f := s.start(t, "ERROR_S3_BUCKET=absent")
	a := lambdatest.Answer[answer](f, lambdatest.Mixed, 30*time.Second)
	if len(a.BatchItemFailures) != 1 || len(s.objects(t)) != 0 {
		t.Errorf("answer %+v, objects %v", a, s.objects(t))
	}
}

func TestFunction_GoesOnAfterOneFailedPut(t *testing.T) {
	s := newStage(t)
	f := s.start(t)
	once := true
	s.s3.Fail(func(_ string, w http.ResponseWriter) bool {
		if !once {
			return false
		}
		once = false
		w.WriteHeader(http.StatusInternalServerError)
		return true
	})
	if a := lambdatest.Answer[answer](f, lambdatest.Trips, 30*time.Second); len(a.BatchItemFailures) != 0 || s.s3.Failed() != 1 {
		t.Errorf("answer %+v, %d failed calls", a, s.s3.Failed())
	}
}

func TestFunction_FailsForWhatIsNoBatch(t *testing.T) {
	f := newStage(t).start(t)
	for _, event := range []string{`{}`, `{"Records":[]}`, `{"Records":[{"eventID":"1","kinesis":{"sequenceNumber":"1"}}]}`} {
		if r := f.Invoke([]byte(event), 10*time.Second); r.Error == nil || !strings.Contains(string(r.Error), "open batch") {
			t.Errorf("%s: answer %s, error %s", event, r.Answer, r.Error)
		}
	}
	// It is none the worse for it.
	if r := f.Invoke(lambdatest.Trips, 30*time.Second); r.Error != nil {
		t.Errorf("error %s", r.Error)
	}
}

// What lies before a record whose schema is waited for is written, and Lambda is asked to retry from that record on: whatever ids a
// producer makes up, each invocation gets further.
func TestFunction_WritesWhatLiesBeforeARecordThatWaits(t *testing.T) {
	s, framed := newStage(t), lambdatest.Frame(t, 5)
	f := s.start(t, framed.Settings...)
	framed.StopAtUnknown(t)
	last := len(framed.Batch) - 1
	before := lambdatest.Answer[answer](f, lambdatest.Event(t, framed.Batch), 12*time.Second)
	if len(before.BatchItemFailures) != 1 || before.BatchItemFailures[0].ItemIdentifier != framed.Batch[last].Sequence || before.S3Path == "" || len(s.objects(t)) != 1 {
		t.Fatalf("answer %+v, objects %v", before, s.objects(t))
	}
	if m := f.Metrics(); m["BatchesFailed"] != 1 || m["RecordsDelivered"] != float64(last) || m["RecordsReceived"] != float64(last) {
		t.Errorf("metrics %v", m)
	}
	framed.Registry.Fail(nil)
	after := lambdatest.Answer[answer](f, lambdatest.Event(t, framed.Batch[last:]), 30*time.Second)
	objects := s.objects(t)
	if len(after.BatchItemFailures) != 0 || len(after.ErrorPaths) != 1 || len(objects) != 2 {
		t.Errorf("answer %+v, objects %v", after, objects)
	}
	if got := strings.Count(objects[strings.TrimPrefix(before.S3Path, "s3://"+bucket+"/")], "\n"); got != last {
		t.Errorf("%d records written, want %d", got, last)
	}
}

func TestFunction_RefusesRecordsThatTheSchemaDoesNotAllow(t *testing.T) {
	s := newStage(t)
	schema := bundle.File{Name: "trips.schema.json", Data: []byte(`{
		"type": "object",
		"properties": {"TRIP_ID": {"type": "string"}, "TAXI_ID": {"type": "integer", "maximum": 20000500}},
		"required": ["TRIP_ID"]
	}`)}
	f := lambdatest.Start(t, lambdatest.Package(t, "write-to-s3", schema), map[string]string{
		"DESTINATION_S3_BUCKET": bucket, "AWS_ENDPOINT_URL_S3": s.s3.URL, "SCHEMA": schema.Name,
	})
	a := lambdatest.Answer[answer](f, lambdatest.Trips, 30*time.Second)
	if len(a.ErrorPaths) != 1 {
		t.Fatalf("answer %+v", a)
	}
	objects := s.objects(t)
	delivered, refused := objects[strings.TrimPrefix(a.S3Path, "s3://"+bucket+"/")], objects[strings.TrimPrefix(a.ErrorPaths[0], "s3://"+bucket+"/")]
	// Of the three taxis two are above the maximum.
	if strings.Count(delivered, "\n") != 1 || !strings.Contains(delivered, `"TAXI_ID":"20000320"`) || strings.Count(refused, `"errorCode":"Schema.Violation"`) != 2 {
		t.Errorf("delivered %s\nrefused %s", delivered, refused)
	}
}

func TestFunction_NamesEveryWrongSettingWhenItStarts(t *testing.T) {
	f := lambdatest.Start(t, lambdatest.Package(t, "write-to-s3"), map[string]string{
		"COMPRESSION": "zip", "SPLIT_RECORDS": "words", "ERROR_PREFIX": "e/!{firehose:random-string}/!{firehose:error-output-type}/",
		"SCHEMA": "absent.json", "OPEN_GZIP": "perhaps", "SCHEMA_REGISTRY": "confluent",
	})
	text := f.Await()
	for _, want := range []string{"DESTINATION_S3_BUCKET is required", "COMPRESSION=", "SPLIT_RECORDS=", "ERROR_PREFIX=", "SCHEMA=", "OPEN_GZIP=", "SCHEMA_REGISTRY="} {
		if !strings.Contains(text, want) {
			t.Errorf("%s is not in %s", want, text)
		}
	}
}

// Records in the frames of a schema registry are delivered as the JSON that their encoders were given. With them, the function
// makes each call that its permissions allow.
func TestFunction_OpensFramedRecords(t *testing.T) {
	s, framed := newStage(t), lambdatest.Frame(t, 50)
	f := s.start(t, framed.Settings...)
	a := lambdatest.Answer[answer](f, lambdatest.Event(t, framed.Batch), 30*time.Second)
	if len(a.BatchItemFailures) != 0 || len(a.ErrorPaths) != 1 {
		t.Fatalf("answer %+v", a)
	}
	s.checkFramed(t, framed, a)
	lambdatest.AssertPermissions(t, "write-to-s3", s.s3, framed.Registry)
}

func (s stage) checkFramed(t *testing.T, framed lambdatest.Framed, a answer) {
	t.Helper()
	objects := s.objects(t)
	lines := slices.Collect(strings.Lines(objects[strings.TrimPrefix(a.S3Path, "s3://"+bucket+"/")]))
	framed.Check(t, lines, objects[strings.TrimPrefix(a.ErrorPaths[0], "s3://"+bucket+"/")])
}

// While the registry refuses or says nothing, nothing is written, and Lambda is asked in time to retry the batch.
func TestFunction_AnswersABatchAsFailedWhileTheRegistryIsDown(t *testing.T) {
	for _, name := range []string{"unavailable", "silent"} {
		t.Run(name, func(t *testing.T) {
			s, framed := newStage(t), lambdatest.Frame(t, 1)
			f := s.start(t, framed.Settings...)
			if framed.Registry.Fail(lambdatest.Unavailable); name == "silent" {
				framed.Registry.Fail(lambdatest.Silent(t))
			}
			a := lambdatest.Answer[answer](f, lambdatest.Event(t, framed.Batch), 4*time.Second)
			if len(a.BatchItemFailures) != 1 || a.BatchItemFailures[0].ItemIdentifier != framed.Batch[0].Sequence || len(s.objects(t)) != 0 {
				t.Errorf("answer %+v, objects %v", a, s.objects(t))
			}
			if m := f.Metrics(); m["BatchesFailed"] != 1 || m["RecordsDelivered"] != 0 || m["RecordsFailed"] != 0 {
				t.Errorf("metrics %v", m)
			}
			framed.Registry.Fail(nil)
			if a = lambdatest.Answer[answer](f, lambdatest.Event(t, framed.Batch), 30*time.Second); len(a.BatchItemFailures) != 0 || len(s.objects(t)) != 2 {
				t.Errorf("after the outage: %+v, objects %v", a, s.objects(t))
			}
		})
	}
}

func TestFunction_KeepsPayloadsOutOfItsLogs(t *testing.T) {
	s := newStage(t)
	f := s.start(t, "LOG_LEVEL=debug")
	lambdatest.Answer[answer](f, lambdatest.Mixed, 30*time.Second)
	if out := f.Output(); regexp.MustCompile(`Hello|TRIP_ID|SGVsbG8|localsecret`).MatchString(out) {
		t.Errorf("the function wrote %s", out)
	}
}

// BenchmarkFunction runs the real package: a warm invocation with 1,000 records, and its cold start.
func BenchmarkFunction(b *testing.B) {
	s := newStage(b)
	event := lambdatest.Event(b, lambdatest.Batch(1000, nil))
	b.Run("warm/1000 records", func(b *testing.B) {
		f := s.start(b)
		lambdatest.Answer[answer](f, event, 30*time.Second)
		b.SetBytes(int64(len(event)))
		for b.Loop() {
			lambdatest.Answer[answer](f, event, 30*time.Second)
		}
	})
	b.Run("cold start", func(b *testing.B) {
		var total time.Duration
		for b.Loop() {
			f := s.start(b)
			f.Await()
			total += f.Ready.Sub(f.Started)
		}
		b.ReportMetric(float64(total.Milliseconds())/float64(b.N), "ms/start")
	})
}

// Records that have made a worker panic affect only themselves, in one invocation.
func TestFunction_LosesNothingToRecordsThatUpsetIt(t *testing.T) {
	const good = 2000
	s := newStage(t)
	batch, codes, schema := lambdatest.Upsetting(t, good)
	f := s.start(t, schema)
	a := lambdatest.Answer[answer](f, lambdatest.Event(t, batch), 60*time.Second)
	if len(a.BatchItemFailures) != 0 || len(a.ErrorPaths) != 1 {
		t.Fatalf("answer %+v", a)
	}
	objects := s.objects(t)
	seen := make(map[string]bool)
	lines := 0
	for line := range strings.Lines(objects[strings.TrimPrefix(a.S3Path, "s3://"+bucket+"/")]) {
		seen[line] = true
		lines++
	}
	if len(seen) != good || lines != good {
		t.Errorf("%d lines written, %d of them different", lines, len(seen))
	}
	var errorLines string
	for _, path := range a.ErrorPaths {
		errorLines += objects[strings.TrimPrefix(path, "s3://"+bucket+"/")]
	}
	lambdatest.CheckCodes(t, errorLines, codes)
	if m := f.Metrics(); m["RecordsDelivered"] != good || m["RecordsFailed"] != float64(len(batch)-good) || m["BatchesFailed"] != 0 {
		t.Errorf("metrics %v", m)
	}
}
