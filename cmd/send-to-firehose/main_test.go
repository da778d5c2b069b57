package main

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"aws-streaming-pipeline/internal/lambdas"
	"aws-streaming-pipeline/internal/localbucket"
	"aws-streaming-pipeline/internal/test/lambdatest"
	"aws-streaming-pipeline/internal/test/race"
	"aws-streaming-pipeline/record"
)

const bucket = "errors"

// firehoseService is a Firehose that keeps what it accepts. It refuses the entries that refuse says, told apart by their
// data and how often they came.
type firehoseService struct {
	mu       sync.Mutex
	refuse   func(data string, times int) bool
	came     map[string]int
	accepted []string
}

func (f *firehoseService) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var in struct {
		DeliveryStreamName string
		Records            []struct{ Data string }
	}
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil || in.DeliveryStreamName != "trips" || len(in.Records) == 0 || len(in.Records) > 500 {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	failed := 0
	entries := make([]map[string]string, len(in.Records))
	for i, record := range in.Records {
		data, err := base64.StdEncoding.DecodeString(record.Data)
		if err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		f.came[string(data)]++
		if f.refuse != nil && f.refuse(string(data), f.came[string(data)]) {
			failed++
			entries[i] = map[string]string{"ErrorCode": "ServiceUnavailableException", "ErrorMessage": "Slow down."}
			continue
		}
		entries[i] = map[string]string{"RecordId": fmt.Sprint(len(f.accepted))}
		f.accepted = append(f.accepted, string(data))
	}
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	_ = json.NewEncoder(w).Encode(map[string]any{"FailedPutCount": failed, "Encrypted": false, "RequestResponses": entries})
}

// stage is a Firehose, and a bucket that is a folder.
type stage struct {
	backend  *firehoseService
	firehose *lambdatest.Service
	s3       *lambdatest.Service
	folder   string
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
	backend := &firehoseService{came: make(map[string]int)}
	return stage{
		backend: backend, folder: folder,
		firehose: lambdatest.Serve(tb, "firehose", backend), s3: lambdatest.Serve(tb, "s3", lambdatest.Forward(tb, server.URL())),
	}
}

// start runs the function's real package with settings besides those it needs.
func (s stage) start(tb testing.TB, settings ...string) *lambdatest.Function {
	tb.Helper()
	env := map[string]string{
		"FIREHOSE_DELIVERY_STREAM": "trips", "ERROR_S3_BUCKET": bucket,
		"AWS_ENDPOINT_URL_FIREHOSE": s.firehose.URL, "AWS_ENDPOINT_URL_S3": s.s3.URL,
	}
	for _, setting := range settings {
		name, value, _ := strings.Cut(setting, "=")
		env[name] = value
	}
	return lambdatest.Start(tb, lambdatest.Package(tb, "send-to-firehose"), env)
}

// object is the content of an object by its address.
func (s stage) object(tb testing.TB, address string) string {
	tb.Helper()
	data, err := os.ReadFile(filepath.Join(s.folder, strings.TrimPrefix(address, "s3://")))
	if err != nil {
		tb.Fatal(err)
	}
	return string(data)
}

func TestFunction_SendsTheSampleEvents(t *testing.T) {
	for name, event := range map[string][]byte{"trips": lambdatest.Trips, "mixed": lambdatest.Mixed} {
		t.Run(name, func(t *testing.T) {
			s := newStage(t)
			result := s.start(t).Invoke(event, 30*time.Second)
			var a answer
			if err := json.Unmarshal(result.Answer, &a); err != nil {
				t.Fatal(err)
			}
			written := map[string]string{"Firehose": strings.Join(s.backend.accepted, "")}
			for _, address := range a.ErrorPaths {
				written[address] = s.object(t, address)
			}
			lambdatest.Golden(t, name+".golden", lambdatest.Text(result, written))
		})
	}
}

func TestFunction_SendsLargeBatchesWithPoisonInThem(t *testing.T) {
	s := newStage(t)
	f := s.start(t)
	a := lambdatest.Answer[answer](f, lambdatest.Event(t, lambdatest.Batch(10_000, func(n int) bool { return n%100 == 7 })), 60*time.Second)
	if a.Count != 9_900 || len(a.BatchItemFailures) != 0 || len(a.ErrorPaths) != 1 {
		t.Fatalf("answer %+v", a)
	}
	if failed := strings.Count(s.object(t, a.ErrorPaths[0]), "\n"); failed != 100 {
		t.Errorf("%d error lines", failed)
	}
	// In the order of the stream, and each once.
	if len(s.backend.accepted) != 9_900 || !slices.IsSortedFunc(s.backend.accepted, func(a, b string) int { return strings.Compare(eventID(a), eventID(b)) }) {
		t.Errorf("%d records arrived", len(s.backend.accepted))
	}
	if m := f.Metrics(); m["RecordsReceived"] != 10_000 || m["RecordsDelivered"] != 9_900 || m["RecordsFailed"] != 100 || m["RecordsRetried"] != 0 {
		t.Errorf("metrics %v", m)
	}
}

func eventID(line string) string { return line[strings.LastIndex(line, `"event_id"`):] }

func TestFunction_SendsEachRecordOnceThroughThrottling(t *testing.T) {
	s := newStage(t)
	// Every tenth entry is refused twice, and every third call as a whole.
	s.backend.refuse = func(data string, times int) bool { return times <= 2 && strings.Contains(data, `7,"event_id"`) }
	calls := 0
	s.firehose.Fail(func(operation string, w http.ResponseWriter) bool {
		if calls++; calls%3 != 1 {
			return false
		}
		return lambdatest.Unavailable(operation, w)
	})
	f := s.start(t)
	a := lambdatest.Answer[answer](f, lambdatest.Event(t, lambdatest.Batch(2_000, nil)), 60*time.Second)
	if a.Count != 2_000 || len(a.BatchItemFailures) != 0 {
		t.Fatalf("answer %+v", a)
	}
	distinct := slices.Compact(slices.Sorted(slices.Values(s.backend.accepted)))
	if len(s.backend.accepted) != 2_000 || len(distinct) != 2_000 {
		t.Errorf("%d records arrived, %d of them distinct", len(s.backend.accepted), len(distinct))
	}
	if m := f.Metrics(); m["RecordsRetried"] == 0 || s.firehose.Failed() == 0 {
		t.Errorf("nothing was refused: %v, %d calls failed", m, s.firehose.Failed())
	}
}

func TestFunction_NamesTheFirstRecordThatItCouldNotSendInTime(t *testing.T) {
	s := newStage(t)
	// One record in the middle is never accepted; all others are.
	s.backend.refuse = func(data string, _ int) bool { return strings.Contains(data, `"n":1234,`) }
	f := s.start(t)
	records := lambdatest.Batch(2_000, nil)
	a := lambdatest.Answer[answer](f, lambdatest.Event(t, records), 3*time.Second)
	if a.Count != 1_999 || len(a.BatchItemFailures) != 1 || a.BatchItemFailures[0].ItemIdentifier != records[1234].Sequence {
		t.Errorf("answer %+v, want the sequence number %s", a, records[1234].Sequence)
	}
	if m := f.Metrics(); m["BatchesFailed"] != 1 || m["RecordsDelivered"] != 1_999 {
		t.Errorf("metrics %v", m)
	}
	// Lambda retries from there.
	s.backend.refuse = nil
	if a := lambdatest.Answer[answer](f, lambdatest.Event(t, records[1234:]), 30*time.Second); a.Count != 766 || len(a.BatchItemFailures) != 0 {
		t.Errorf("the retry answers %+v", a)
	}
}

func TestFunction_AnswersABatchAsFailedWhileFirehoseIsDown(t *testing.T) {
	s := newStage(t)
	s.firehose.Fail(lambdatest.Unavailable)
	f := s.start(t)
	records := lambdatest.Batch(100, nil)
	a := lambdatest.Answer[answer](f, lambdatest.Event(t, records), 2*time.Second)
	if a.Count != 0 || len(a.BatchItemFailures) != 1 || a.BatchItemFailures[0].ItemIdentifier != records[0].Sequence {
		t.Errorf("answer %+v", a)
	}
	if s.firehose.Failed() < 2 {
		t.Errorf("Firehose was asked %d times", s.firehose.Failed())
	}
}

func TestFunction_SendsNothingIfItCanNotWriteTheErrors(t *testing.T) {
	s := newStage(t)
	s.s3.Fail(lambdatest.Unavailable)
	a := lambdatest.Answer[answer](s.start(t), lambdatest.Mixed, 2*time.Second)
	if a.Count != 0 || len(a.BatchItemFailures) != 1 || len(s.backend.accepted) != 0 || s.s3.Failed() == 0 {
		t.Errorf("answer %+v, %d records sent, %d failed puts", a, len(s.backend.accepted), s.s3.Failed())
	}
}

func TestFunction_WritesLinesThatFirehoseDoesNotTakeToTheErrorPrefix(t *testing.T) {
	s := newStage(t)
	records := lambdatest.Batch(3, nil)
	records[1].Data = []byte(`{"long":"` + strings.Repeat("x", 1000<<10) + `"}`)
	a := lambdatest.Answer[answer](s.start(t), lambdatest.Event(t, records), 30*time.Second)
	if a.Count != 2 || len(a.ErrorPaths) != 1 {
		t.Fatalf("answer %+v", a)
	}
	e, err := record.ParseErrorLine([]byte(s.object(t, a.ErrorPaths[0])))
	if err != nil {
		t.Fatal(err)
	}
	if e.Record.Fault.Code != lambdas.CodeRecordTooLarge || string(e.Record.Data) != string(records[1].Data) {
		t.Errorf("the error line has the code %s and %d bytes", e.Record.Fault.Code, len(e.Record.Data))
	}
}

// Records in the frames of a schema registry are sent as the JSON that their encoders were given. With them, the function makes
// each call that its permissions allow.
func TestFunction_OpensFramedRecords(t *testing.T) {
	s, framed := newStage(t), lambdatest.Frame(t, 50)
	f := s.start(t, framed.Settings...)
	a := lambdatest.Answer[answer](f, lambdatest.Event(t, framed.Batch), 30*time.Second)
	if len(a.BatchItemFailures) != 0 || len(a.ErrorPaths) != 1 {
		t.Fatalf("answer %+v", a)
	}
	framed.Check(t, s.backend.accepted, s.object(t, a.ErrorPaths[0]))
	lambdatest.AssertPermissions(t, "send-to-firehose", s.firehose, s.s3, framed.Registry)
}

// While the registry refuses or says nothing, nothing is sent, and Lambda is asked in time to retry the batch.
func TestFunction_AnswersABatchAsFailedWhileTheRegistryIsDown(t *testing.T) {
	for _, name := range []string{"unavailable", "silent"} {
		t.Run(name, func(t *testing.T) {
			s, framed := newStage(t), lambdatest.Frame(t, 1)
			f := s.start(t, framed.Settings...)
			if framed.Registry.Fail(lambdatest.Unavailable); name == "silent" {
				framed.Registry.Fail(lambdatest.Silent(t))
			}
			a := lambdatest.Answer[answer](f, lambdatest.Event(t, framed.Batch), 4*time.Second)
			if len(a.BatchItemFailures) != 1 || a.BatchItemFailures[0].ItemIdentifier != framed.Batch[0].Sequence || a.Count != 0 || len(s.backend.accepted) != 0 {
				t.Errorf("answer %+v, accepted %v", a, s.backend.accepted)
			}
			framed.Registry.Fail(nil)
			if a = lambdatest.Answer[answer](f, lambdatest.Event(t, framed.Batch), 30*time.Second); len(a.BatchItemFailures) != 0 || a.Count != 3 {
				t.Errorf("after the outage: %+v", a)
			}
		})
	}
}

// What lies before a record whose schema is waited for is sent, and Lambda is asked to retry from that record on: whatever ids a
// producer makes up, each invocation gets further.
func TestFunction_SendsWhatLiesBeforeARecordThatWaits(t *testing.T) {
	s, framed := newStage(t), lambdatest.Frame(t, 5)
	f := s.start(t, framed.Settings...)
	framed.StopAtUnknown(t)
	last := len(framed.Batch) - 1
	a := lambdatest.Answer[answer](f, lambdatest.Event(t, framed.Batch), 12*time.Second)
	if len(a.BatchItemFailures) != 1 || a.BatchItemFailures[0].ItemIdentifier != framed.Batch[last].Sequence || a.Count != last || len(s.backend.accepted) != last {
		t.Errorf("answer %+v, %d accepted", a, len(s.backend.accepted))
	}
	if m := f.Metrics(); m["BatchesFailed"] != 1 || m["RecordsDelivered"] != float64(last) {
		t.Errorf("metrics %v", m)
	}
}

func TestFunction_NamesEveryWrongSettingWhenItStarts(t *testing.T) {
	f := lambdatest.Start(t, lambdatest.Package(t, "send-to-firehose"), map[string]string{"LOG_LEVEL": "loud", "SPLIT_LOG_EVENTS": "yes"})
	text := f.Await()
	for _, want := range []string{"FIREHOSE_DELIVERY_STREAM is required", "ERROR_S3_BUCKET is required", "LOG_LEVEL=", "SPLIT_LOG_EVENTS="} {
		if !strings.Contains(text, want) {
			t.Errorf("%s is not in %s", want, text)
		}
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
	if len(a.BatchItemFailures) != 0 || a.Count != good || len(a.ErrorPaths) != 1 {
		t.Fatalf("answer %+v", a)
	}
	seen := make(map[string]bool)
	for _, line := range s.backend.accepted {
		seen[line] = true
	}
	if len(seen) != good || len(s.backend.accepted) != good {
		t.Errorf("%d lines accepted, %d of them different", len(s.backend.accepted), len(seen))
	}
	var errorLines string
	for _, path := range a.ErrorPaths {
		errorLines += s.object(t, path)
	}
	lambdatest.CheckCodes(t, errorLines, codes)
	if m := f.Metrics(); m["RecordsDelivered"] != good || m["RecordsFailed"] != float64(len(batch)-good) || m["BatchesFailed"] != 0 {
		t.Errorf("metrics %v", m)
	}
}
