package main

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"aws-streaming-pipeline/internal/awshttp"
	"aws-streaming-pipeline/internal/localbucket"
	"aws-streaming-pipeline/internal/localstream"
	"aws-streaming-pipeline/internal/metrics"
	"aws-streaming-pipeline/internal/test/emulator"
	"aws-streaming-pipeline/internal/test/gobuild"
	"aws-streaming-pipeline/internal/test/race"
	"aws-streaming-pipeline/loader"
	"aws-streaming-pipeline/producer"
)

const (
	trips  = 20_000
	shards = 4
	wrong  = 20 // records that are not JSON
)

// site is a stream, a bucket, a table and workers, each a process of the real daemon.
type site struct {
	t       *testing.T
	binary  string
	env     []string
	kinesis *kinesis.Client
}

func newSite(t *testing.T) *site {
	t.Helper()
	race.LeaveOut(t)
	table := emulator.DynamoDBLocal(t)
	s := &site{t: t, binary: gobuild.Build(t, filepath.Join(t.TempDir(), "consumer"), "../../cmd/consumer")}
	stream, err := localstream.Start("127.0.0.1:0", localstream.Options{MaxBytes: 1 << 30})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stream.Close() })
	if err := stream.CreateStream("trips", shards); err != nil {
		t.Fatal(err)
	}
	bucket, err := localbucket.Start("127.0.0.1:0", t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { bucket.Close() })
	if err := bucket.CreateBucket("out"); err != nil {
		t.Fatal(err)
	}
	s.kinesis = kinesis.NewFromConfig(aws.Config{
		Region: "us-east-1", Credentials: credentials.NewStaticCredentialsProvider("test", "test", ""), HTTPClient: awshttp.Keep(nil),
	}, func(o *kinesis.Options) { o.BaseEndpoint = aws.String(stream.URL()) })
	s.env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(),
		"AWS_REGION=us-east-1", "AWS_ACCESS_KEY_ID=test", "AWS_SECRET_ACCESS_KEY=test", "AWS_EC2_METADATA_DISABLED=true",
		"AWS_ENDPOINT_URL_KINESIS=" + stream.URL(), "AWS_ENDPOINT_URL_S3=" + bucket.URL(), "AWS_ENDPOINT_URL_DYNAMODB=" + table.URL,
		"S3_PATH_STYLE=true", "TABLE=postgres://db.example.com/lake/trips", "STREAM_NAME=trips", "BUCKET=out", "APPLICATION_NAME=trips", "FAILOVER_TIME=3s", "COMMIT_INTERVAL=3s", "COMPLETE_PREFIX=_complete/",
	}
	return s
}

// freeAddress returns a free loopback address.
func freeAddress(t *testing.T) string {
	t.Helper()
	return emulator.FreeAddress(t)
}

// worker starts a daemon. stop shuts it down cleanly.
func (s *site) worker(address string) (stop func()) {
	s.t.Helper()
	log, err := os.Create(filepath.Join(s.t.TempDir(), "log"))
	if err != nil {
		s.t.Fatal(err)
	}
	cmd := exec.Command(s.binary)
	cmd.Env = append(slices.Clone(s.env), "HTTP_ADDRESS="+address)
	cmd.Stderr = log
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	stop = sync.OnceFunc(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM) // fails only if it has ended, which Wait tells
		timer := time.AfterFunc(2*time.Minute, func() { _ = cmd.Process.Kill() })
		if err := cmd.Wait(); err != nil {
			text, _ := os.ReadFile(log.Name())
			s.t.Errorf("the daemon ended with %v\n%s", err, text)
		}
		timer.Stop()
		_ = log.Close() // the daemon wrote it
	})
	s.t.Cleanup(stop)
	return stop
}

// send sends trips for about that many seconds, and some records that are not JSON.
func (s *site) send(seconds int) {
	s.t.Helper()
	p, err := producer.New(producer.Config{
		Stream: "trips", Source: func() (producer.Source, error) { return producer.Generate(trips, 1), nil },
		PartitionKey: "TRIP_ID", Rate: float64(trips / seconds),
	}, s.kinesis)
	if err != nil {
		s.t.Fatal(err)
	}
	if _, err := p.Run(s.t.Context()); err != nil {
		s.t.Fatalf("send trips: %v", err)
	}
	for n := range wrong {
		if _, err := s.kinesis.PutRecord(s.t.Context(), &kinesis.PutRecordInput{
			StreamName: aws.String("trips"), PartitionKey: aws.String(strconv.Itoa(n)), Data: []byte("not JSON"),
		}); err != nil {
			s.t.Fatal(err)
		}
	}
}

// exported holds the metrics of a scrape: for each name, its labels and their values.
type exported map[string]map[string]map[string]bool

func (e exported) note(name, label, value string) {
	if e[name] == nil {
		e[name] = make(map[string]map[string]bool)
	}
	if label == "" {
		return
	}
	if e[name][label] == nil {
		e[name][label] = make(map[string]bool)
	}
	e[name][label][value] = true
}

// scrape adds what a worker exports and returns the sum of each family.
func (e exported) scrape(t *testing.T, address string) (sums map[string]float64) {
	t.Helper()
	answer, err := http.Get("http://" + address + "/metrics")
	if err != nil {
		return nil // it has not started yet
	}
	defer answer.Body.Close()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	sums = make(map[string]float64)
	for name, family := range families {
		e.add(family)
		for _, m := range family.GetMetric() {
			sums[name] += m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	return sums
}

// add adds what a family exports.
func (e exported) add(family *dto.MetricFamily) {
	name := family.GetName()
	for _, m := range family.GetMetric() {
		names := []string{name}
		if m.GetHistogram() != nil {
			names = []string{name + "_sum", name + "_count", name + "_bucket"}
			e.note(name+"_bucket", "le", "")
		}
		for _, n := range names {
			e.note(n, "", "")
			for _, l := range m.GetLabel() {
				e.note(n, l.GetName(), l.GetValue())
			}
		}
	}
}

// nowhere is a table that nobody reads.
type nowhere struct{ loader.Destination }

func (nowhere) Name() string { return "s3://lake/trips" }

// addLoader adds what a loader exports.
func (e exported) addLoader(t *testing.T) {
	t.Helper()
	reg := prometheus.NewRegistry()
	_, err := loader.New(loader.Config{ID: "a", Interval: time.Minute, Batches: 1}, loader.Parts{
		Destination: nowhere{}, Log: slog.New(slog.DiscardHandler), Registerer: metrics.ForApplication(reg, "trips"),
	})
	if err != nil {
		t.Fatal(err)
	}
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		e.add(family)
	}
}

var (
	selector = regexp.MustCompile(`\b((?:consumer|process|go)_[a-z0-9_]+)\b(?:\{([^}]*)\})?`)
	matcher  = regexp.MustCompile(`([a-z_]+)(=~|!=|!~|=)"([^"]*)"`)
	grouping = regexp.MustCompile(`\b(?:by|without|on|ignoring) \(([^)]*)\)`)
	// added are the labels that Prometheus adds to what it scrapes.
	added = []string{"namespace", "job", "instance"}
	// rare are values that appear only during trouble.
	rare = map[string]bool{`consumer_checkpoint_requests_total result="error"`: true}
)

// faults lists the parts of an expression that no worker exports.
func (e exported) faults(expr string) (faults []string) {
	known := slices.Clone(added)
	for _, m := range selector.FindAllStringSubmatch(expr, -1) {
		name, labels := m[1], e[m[1]]
		if labels == nil {
			faults = append(faults, "there is no metric "+name)
			continue
		}
		for label := range labels {
			known = append(known, label)
		}
		for _, match := range matcher.FindAllStringSubmatch(m[2], -1) {
			label, operator, value := match[1], match[2], match[3]
			if slices.Contains(added, label) {
				continue
			}
			values, ok := labels[label]
			switch {
			case !ok:
				faults = append(faults, name+" has no label "+label)
			case operator == "=" && !values[value] && !rare[name+" "+match[0]]:
				faults = append(faults, fmt.Sprintf("%s has no %s=%q", name, label, value))
			}
		}
	}
	for _, m := range grouping.FindAllStringSubmatch(expr, -1) {
		for label := range strings.SplitSeq(m[1], ",") {
			if label = strings.TrimSpace(label); label != "" && !slices.Contains(known, label) {
				faults = append(faults, "no metric in it has the label "+label)
			}
		}
	}
	return faults
}

func TestExported_FindsWhatIsNotThere(t *testing.T) {
	e := exported{"consumer_records_total": {"application": {"trips": true}, "result": {"error": true}}}
	for expr, want := range map[string]int{
		`sum by (namespace, result) (rate(consumer_records_total{application=~"$x", result="error"}[5m]))`: 0,
		`consumer_record_total`:                                   1,
		`consumer_records_total{code="x"}`:                        1,
		`consumer_records_total{result="lost"}`:                   1,
		`sum by (shard, pod) (consumer_records_total)`:            2,
		`max without (shard) (consumer_records_total{kind=~"x"})`: 2,
	} {
		if got := e.faults(expr); len(got) != want {
			t.Errorf("%s: %q, want %d faults", expr, got, want)
		}
	}
}

// asked is an expression and where it is used.
type asked struct {
	where, expr string
	unit        string
}

// panelQueries are the queries of the dashboard file, as Grafana would send them for all namespaces, jobs and
// applications.
func panelQueries(t *testing.T) (all []asked) {
	t.Helper()
	text, err := os.ReadFile(dashboardFile)
	if err != nil {
		t.Fatal(err)
	}
	var dashboard struct {
		Panels []struct {
			Title       string
			FieldConfig struct{ Defaults struct{ Unit string } }
			Targets     []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(text, &dashboard); err != nil {
		t.Fatal(err)
	}
	fill := strings.NewReplacer("$namespace", ".*", "$job", ".*", "$application", ".*", "$__rate_interval", "5s")
	for _, p := range dashboard.Panels {
		for _, target := range p.Targets {
			all = append(all, asked{"panel " + p.Title, fill.Replace(target.Expr), p.FieldConfig.Defaults.Unit})
		}
	}
	if len(all) < 30 {
		t.Fatalf("%d queries found", len(all))
	}
	return all
}

// sample is a series of an answer of Prometheus.
type sample struct {
	Metric map[string]string
	Values [][2]any
	Value  [2]any
}

// ask calls Prometheus's HTTP API.
func ask(t *testing.T, base, path string, args url.Values) []sample {
	t.Helper()
	answer, err := http.Get(base + path + "?" + args.Encode())
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	var body struct {
		Status, Error string
		Data          struct{ Result []sample }
	}
	if err := json.NewDecoder(answer.Body).Decode(&body); err != nil {
		t.Fatal(err)
	}
	if body.Status != "success" {
		t.Errorf("%s: %s", args.Get("query"), body.Error)
	}
	return body.Data.Result
}

// Two workers of the real daemon deliver trips while a real Prometheus scrapes them. Every query of the dashboard and
// every alert refers to existing series; the panels show plausible values; no alert would fire on such a day, except those for
// a loader that is missing and for a fleet that is gone.
func TestQueries_ShowARunningDaemon(t *testing.T) {
	s := newSite(t)
	addresses := []string{freeAddress(t), freeAddress(t)}
	config := filepath.Join(t.TempDir(), "prometheus.yml")
	text := fmt.Sprintf(`scrape_configs:
  - job_name: consumer
    scrape_interval: 1s
    static_configs: [{targets: [%q, %q], labels: {namespace: jobs}}]
`, addresses[0], addresses[1])
	if err := os.WriteFile(config, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	known := make(exported)
	known.addLoader(t)
	begun := time.Now()
	base := emulator.Prometheus(t, config).URL
	stopFirst := s.worker(addresses[0])
	eventually(t, "the first worker reads all shards", func() bool { return known.scrape(t, addresses[0])["consumer_leases_held"] == shards })
	eventually(t, "Prometheus has seen that", func() bool {
		return len(ask(t, base, "/api/v1/query", url.Values{"query": {fmt.Sprintf("consumer_leases_held == %d", shards)}})) > 0
	})
	stopSecond := s.worker(addresses[1]) // to which leases move
	s.send(15)

	var cpu, bytes float64
	eventually(t, "all records are delivered", func() bool {
		delivered := 0.0
		cpu, bytes = 0, 0
		for _, a := range addresses {
			sums := known.scrape(t, a)
			delivered += sums["consumer_records_total"]
			cpu += sums["process_cpu_seconds_total"]
			bytes += sums["consumer_read_bytes_total"]
		}
		return delivered == trips+wrong
	})
	eventually(t, "the announcement of what is complete is scraped", func() bool {
		return len(ask(t, base, "/api/v1/query", url.Values{"query": {"consumer_complete_announced_timestamp_seconds > 0"}})) > 0
	})
	t.Logf("%.1f MB read with %.1f s of CPU, start and idling included", bytes/1e6, cpu)
	time.Sleep(3 * time.Second) // some scrapes see the end
	ended := time.Now()

	queries := panelQueries(t)
	for _, r := range alerts(t) {
		queries = append(queries, asked{where: r.Alert, expr: r.Expr})
	}
	for _, q := range queries {
		for _, fault := range known.faults(q.expr) {
			t.Errorf("%s: %s: %s", q.where, q.expr, fault)
		}
	}
	for _, q := range panelQueries(t) {
		got := ask(t, base, "/api/v1/query_range", url.Values{
			"query": {q.expr}, "step": {"1"}, "start": {strconv.FormatInt(begun.Unix(), 10)}, "end": {strconv.FormatInt(ended.Unix(), 10)},
		})
		// Nothing was retried, and there is no loader.
		if len(got) == 0 && !strings.Contains(q.expr, `result!="ok"`) && !strings.Contains(q.expr, "consumer_load_") {
			t.Errorf("%s shows nothing: %s", q.where, q.expr)
		}
		least, most := judge(t, q, got)
		if len(got) > 0 {
			t.Logf("%-30s %2d series, %.3g to %.3g", q.where, len(got), least, most)
		}
	}
	for _, r := range alerts(t) {
		// On a busy machine a heartbeat may be late for a moment.
		firing := 0
		if r.Alert == "ConsumerLoaderMissing" {
			firing = 1 // for the table of TABLE, because no loader runs
		}
		eventually(t, fmt.Sprintf("%s fires %d times", r.Alert, firing), func() bool {
			return len(ask(t, base, "/api/v1/query", url.Values{"query": {r.Expr}})) == firing
		})
	}

	stopFirst()
	stopSecond()
	for _, r := range alerts(t) {
		if r.Alert != "ConsumerAbsent" {
			continue
		}
		eventually(t, "an alert reports that all workers are gone", func() bool {
			return len(ask(t, base, "/api/v1/query", url.Values{"query": {r.Expr}})) == 1
		})
	}
}

// eventually waits for a condition, on a busy machine as well.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); !ok(); time.Sleep(200 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within two minutes: %s", what)
		}
	}
}

// judge finds implausible values.
func judge(t *testing.T, q asked, got []sample) (least, most float64) {
	t.Helper()
	most, least = math.Inf(-1), math.Inf(1)
	for _, s := range got {
		for _, v := range s.Values {
			f, err := strconv.ParseFloat(v[1].(string), 64)
			if err != nil || math.IsNaN(f) || math.IsInf(f, 0) || f < 0 {
				t.Errorf("%s: %s %v: %v", q.where, q.expr, s.Metric, v)
				return least, most
			}
			least, most = min(least, f), max(most, f)
		}
	}
	// Trips are seconds old, files have at least some kilobytes, and some thousand trips arrive per second.
	bounds := map[string]float64{"s": 60, "percentunit": 1, "bytes": 2 << 30, "recps": 1e5, "rowsps": 1e5, "binBps": 1e9, "reqps": 1e4, "short": 2 * trips}
	bound, ok := bounds[q.unit]
	if !ok {
		t.Errorf("%s: unit %q is not judged", q.where, q.unit)
	} else if most > bound {
		t.Errorf("%s: %s: %v is more than %v", q.where, q.expr, most, bound)
	}
	return least, most
}
