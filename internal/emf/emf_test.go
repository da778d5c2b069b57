package emf_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"aws-streaming-pipeline/internal/emf"
	"aws-streaming-pipeline/internal/metrics"
)

// event is a document in the embedded metric format, as CloudWatch reads it.
type event struct {
	timestamp  int64
	namespace  string
	dimensions map[string]string
	values     map[string]float64
	units      map[string]string
}

// maxEvent is the largest log event in bytes (Amazon CloudWatch User Guide: 256 KB in older versions of the specification, then 1 MB).
const maxEvent = 256 << 10

// readEvent reads a line by the specification: its JSON schema, and what it requires of the members that are referred to.
func readEvent(line []byte) (event, error) {
	text, err := os.ReadFile("testdata/document.schema.json")
	if err != nil {
		return event{}, err
	}
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return event{}, err
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("document.json", document); err != nil {
		return event{}, err
	}
	schema, err := c.Compile("document.json")
	if err != nil {
		return event{}, err
	}
	root, err := jsonschema.UnmarshalJSON(bytes.NewReader(line))
	if err != nil {
		return event{}, err
	}
	if err := schema.Validate(root); err != nil {
		return event{}, err
	}
	if len(line) > maxEvent {
		return event{}, fmt.Errorf("%d bytes: want %d at most", len(line), maxEvent)
	}
	var d struct {
		AWS struct {
			Timestamp         int64
			CloudWatchMetrics []struct {
				Namespace  string
				Dimensions [][]string
				Metrics    []struct{ Name, Unit string }
			}
		} `json:"_aws"`
	}
	if err := json.Unmarshal(line, &d); err != nil {
		return event{}, err
	}
	e := event{timestamp: d.AWS.Timestamp, dimensions: map[string]string{}, values: map[string]float64{}, units: map[string]string{}}
	members := root.(map[string]any)
	for _, directive := range d.AWS.CloudWatchMetrics {
		e.namespace = directive.Namespace
		for _, set := range directive.Dimensions {
			for _, name := range set {
				text, ok := members[name].(string)
				if !ok {
					return e, fmt.Errorf("dimension %s is not a text of the document", name)
				}
				e.dimensions[name] = text
			}
		}
		for _, m := range directive.Metrics {
			number, ok := members[m.Name].(json.Number)
			value, err := number.Float64()
			if !ok || err != nil {
				return e, fmt.Errorf("metric %s is not a number of the document", m.Name)
			}
			e.values[m.Name], e.units[m.Name] = value, m.Unit
		}
	}
	return e, nil
}

// events reads all lines of an output.
func events(t *testing.T, output string) (all []event) {
	t.Helper()
	for line := range strings.SplitSeq(strings.TrimSuffix(output, "\n"), "\n") {
		e, err := readEvent([]byte(line))
		if err != nil {
			t.Fatalf("%v\n%s", err, line)
		}
		all = append(all, e)
	}
	return all
}

// The reader of the tests refuses what the specification does not allow.
func TestReadEvent_KeepsToTheSpecification(t *testing.T) {
	const sound = `{"_aws":{"Timestamp":1,"CloudWatchMetrics":[{"Namespace":"n","Dimensions":[["d"]],"Metrics":[{"Name":"m","Unit":"Count"}]}]},"d":"x","m":1}`
	if _, err := readEvent([]byte(sound)); err != nil {
		t.Fatal(err)
	}
	var many []string
	for i := range 101 {
		many = append(many, fmt.Sprintf(`{"Name":"m%d"}`, i))
	}
	for name, change := range map[string][2]string{
		"no time":                {`"Timestamp":1,`, ``},
		"a time as text":         {`"Timestamp":1`, `"Timestamp":"1"`},
		"no namespace":           {`"Namespace":"n",`, ``},
		"an empty namespace":     {`"Namespace":"n"`, `"Namespace":""`},
		"no dimensions":          {`"Dimensions":[["d"]],`, ``},
		"an unknown unit":        {`"Count"`, `"Records"`},
		"a member of its own":    {`"Unit":"Count"`, `"Unit":"Count","Type":"sum"`},
		"a missing dimension":    {`"d":"x",`, ``},
		"a dimension of numbers": {`"d":"x"`, `"d":1`},
		"a missing metric":       {`,"m":1`, ``},
		"a metric of text":       {`"m":1`, `"m":"1"`},
		"101 metrics":            {`{"Name":"m","Unit":"Count"}`, strings.Join(many, ",")},
		"a large event":          {`"d":"x"`, `"d":"` + strings.Repeat("x", 256<<10) + `"`},
		"something after it":     {`"m":1}`, `"m":1} more`},
	} {
		changed := strings.Replace(sound, change[0], change[1], 1)
		if _, err := readEvent([]byte(changed)); err == nil || changed == sound {
			t.Errorf("%s: taken", name)
		}
	}
}

// worker is a registry with a Writer.
type worker struct {
	*metrics.Metrics
	out  bytes.Buffer
	stop func()
}

// start starts a Writer in a bubble, of all metrics or of those that each daemon has.
func start(t *testing.T, all bool, out func(*worker) io.Writer) *worker {
	t.Helper()
	registry := prometheus.NewRegistry()
	w := &worker{Metrics: metrics.New(metrics.ForApplication(registry, "trips"))}
	to := io.Writer(&w.out)
	if out != nil {
		to = out(w)
	}
	writer := emf.New(emf.Config{Namespace: "Files", Application: "trips", Worker: "w", Converts: all, Backs: all}, registry, to, slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		writer.Run(ctx)
	}()
	w.stop = func() {
		cancel()
		<-done
	}
	return w
}

// One document a minute has what was counted in it, and the gauges at its end. The last one, at the stop, has the rest.
func TestRun_WritesEachMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(20 * time.Second)
		begin := time.Now().Truncate(time.Minute)
		w := start(t, true, nil)
		w.RecordsRead.WithLabelValues("a").Add(5)
		w.BytesRead.WithLabelValues("a").Add(500)
		w.BehindLatest.WithLabelValues("a").Set(1.5)
		w.BehindLatest.WithLabelValues("b").Set(0.25)
		w.GetRecords.WithLabelValues("throttled").Inc()
		w.GetRecords.WithLabelValues("ok").Add(7)
		w.Records.WithLabelValues("delivered").Add(3)
		w.Records.WithLabelValues("error").Add(2)
		w.Faults.WithLabelValues("DataFormatConversion.ParseError").Inc()
		w.Faults.WithLabelValues("Json.Empty").Inc()
		w.Files.WithLabelValues("data", "size").Add(2)
		w.Files.WithLabelValues("error", "interval").Inc()
		w.FileBytes.WithLabelValues("data").Observe(1000)
		w.FileBytes.WithLabelValues("data").Observe(234)
		w.FileBytes.WithLabelValues("error").Observe(99)
		w.FileBytes.WithLabelValues("backup").Observe(77)
		w.BackupRecords.Add(6)
		w.Freshness.Set(42)
		for operation, results := range map[string]map[string]float64{
			"UploadPart": {"ok": 2, "retried": 1}, "PutObject": {"ok": 1}, "HeadBucket": {"error": 5},
		} {
			for result, n := range results {
				w.S3Requests.WithLabelValues(operation, result).Add(n)
			}
		}
		w.TransformCalls.WithLabelValues("ok").Add(4)
		w.TransformCalls.WithLabelValues("timeout").Inc()
		time.Sleep(time.Minute)
		w.RecordsRead.WithLabelValues("a").Add(1)
		w.RecordsRead.WithLabelValues("c").Add(2) // a shard that is new
		w.BehindLatest.Reset()
		time.Sleep(time.Minute)
		w.RecordsRead.WithLabelValues("c").Add(4)
		w.stop()
		all := events(t, w.out.String())
		want := []map[string]float64{
			{
				"DataReadFromKinesisStream.Records": 5, "DataReadFromKinesisStream.Bytes": 500, "KinesisMillisBehindLatest": 1500, "ThrottledGetRecords": 1,
				"DeliveryToS3.Records": 3, "DeliveryToS3.Bytes": 1234, "DeliveryToS3.ObjectCount": 2, "DeliveryToS3.DataFreshness": 42, "DeliveryToS3.Success": 0.75,
				"BackupToS3.Records": 6, "BackupToS3.Bytes": 77, "BackupToS3.DataFreshness": 42, "ExecuteProcessing.Success": 0.8, "SucceedConversion.Records": 3, "FailedConversion.Records": 1,
			},
			{"DataReadFromKinesisStream.Records": 3, "DeliveryToS3.DataFreshness": 42, "BackupToS3.DataFreshness": 42},
			{"DataReadFromKinesisStream.Records": 4, "DeliveryToS3.DataFreshness": 42, "BackupToS3.DataFreshness": 42},
		}
		if len(all) != len(want) {
			t.Fatalf("%d documents\n%s", len(all), w.out.String())
		}
		for i, e := range all {
			if at := begin.Add(time.Duration(i) * time.Minute).UnixMilli(); e.timestamp != at {
				t.Errorf("document %d is of %d, want %d", i, e.timestamp, at)
			}
			if e.namespace != "Files" || !maps.Equal(e.dimensions, map[string]string{"DeliveryStreamName": "trips"}) {
				t.Errorf("document %d is of %s %v", i, e.namespace, e.dimensions)
			}
			if i > 0 { // without a shard and a request there is nothing to say of them
				for _, name := range []string{"KinesisMillisBehindLatest", "DeliveryToS3.Success", "ExecuteProcessing.Success"} {
					if value, ok := e.values[name]; ok {
						t.Errorf("document %d has %s=%v", i, name, value)
					}
				}
			}
			for name, value := range e.values {
				if math.Abs(value-want[i][name]) > 1e-9 {
					t.Errorf("document %d: %s is %v, want %v", i, name, value, want[i][name])
				}
			}
		}
		if len(all[0].values) != len(emf.List) {
			t.Errorf("%d metrics, want all %d", len(all[0].values), len(emf.List))
		}
	})
}

// What could not be written is in the next document: counts of all documents add up to the registry's.
func TestRun_LosesNoCountToAnOutputThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(20 * time.Second)
		failures := 1
		w := start(t, false, func(w *worker) io.Writer {
			return writerFunc(func(p []byte) (int, error) {
				if failures > 0 {
					failures--
					return 0, errors.New("closed")
				}
				return w.out.Write(p)
			})
		})
		for range 4 {
			w.Records.WithLabelValues("delivered").Add(10)
			time.Sleep(time.Minute)
		}
		w.stop()
		sum := 0.0
		all := events(t, w.out.String())
		for _, e := range all {
			sum += e.values["DeliveryToS3.Records"]
			if _, converted := e.values["SucceedConversion.Records"]; converted {
				t.Error("lines are not converted")
			}
		}
		if sum != 40 || len(all) != 4 {
			t.Errorf("%v records in %d documents, want 40 in 4", sum, len(all))
		}
	})
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

func TestCheckNamespace(t *testing.T) {
	for text, sound := range map[string]bool{
		"StreamingPipeline/Firehose": true, "a": true, "#x:y": true, "": false, ":x": false, "AWS/Firehose": false, "aws/x": false, "a b": false, "é": false,
		strings.Repeat("x", 255): true, strings.Repeat("x", 256): false,
	} {
		if err := emf.CheckNamespace(text); (err == nil) != sound {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// The documentation has the metrics' table, from which alarms are set.
func TestList_IsDocumented(t *testing.T) {
	text, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, m := range emf.List {
		want = append(want, fmt.Sprintf("| `%s` | %s | %s | %s |", m.Name, m.Unit, m.Statistic, m.Meaning))
	}
	got := regexp.MustCompile("(?m)^\\| `[A-Z][A-Za-z0-9.]+` \\| (?:Count|Bytes|Seconds|Milliseconds|None) \\| .*$").FindAllString(string(text), -1)
	if !slices.Equal(got, want) {
		t.Errorf("the table is\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
