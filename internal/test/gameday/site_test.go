package gameday

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/jackc/pgx/v5"

	"aws-streaming-pipeline/internal/awshttp"
	"aws-streaming-pipeline/internal/iam"
	"aws-streaming-pipeline/internal/localbucket"
	"aws-streaming-pipeline/internal/localstream"
	"aws-streaming-pipeline/internal/test/emulator"
	"aws-streaming-pipeline/internal/test/limits"
	"aws-streaming-pipeline/internal/test/pgproxy"
)

const (
	account = "123456789012"
	region  = "us-east-1"
	bucket  = "out"
	stream  = "trips"
)

// place is what all cases share.
type place struct {
	watch    *watch
	dynamodb string
	moto     string
	binaries map[string]string
	aws      string // folder of a command aws
	rules    map[string]rule
}

// site is the surroundings of one case.
type site struct {
	*testing.T
	*place
	*cluster
	alert   string
	page    page
	kinesis *kinesis.Client
	s3      *s3.Client
	dir     string
	bucket  string // folder
	stream  *localstream.Server
	faults  *localstream.Faults
	common  []string // environment of all programs
	shell   []string // environment of the operator
	words   map[string]string

	database *emulator.PostgreSQLServer // nil without a table in PostgreSQL
	proxy    *pgproxy.Proxy

	mu       sync.Mutex
	clock    time.Duration                                                 // of the stream's arrivals, added to this machine's
	policy   iam.Policy                                                    // of the pods
	barrier  map[iam.Service]func(http.ResponseWriter, *http.Request) bool // whether it has answered
	feeding  func(n int) []byte
	seen     []string // commands that were followed
	fired    time.Duration
	followed time.Duration
}

// options change a site.
type options struct {
	shards   int
	settings map[string]string
	postgres bool
	iceberg  bool
	late     time.Duration
}

func newSite(t *testing.T, p *place, alert string, o options) *site {
	s := &site{T: t, place: p, alert: alert, page: readPage(t, alert), dir: t.TempDir(), faults: localstream.NewFaults(1), clock: o.late,
		words: map[string]string{}, barrier: map[iam.Service]func(http.ResponseWriter, *http.Request) bool{}}
	now := func() time.Time {
		s.mu.Lock()
		defer s.mu.Unlock()
		return time.Now().Add(s.clock)
	}
	var err error
	s.stream, err = localstream.Start("127.0.0.1:0", localstream.Options{MaxBytes: 1 << 30, Clock: now, Faults: s.faults})
	s.must(err)
	t.Cleanup(func() { s.stream.Close() })
	s.must(s.stream.CreateStream(stream, max(1, o.shards)))
	s.bucket = filepath.Join(s.dir, "bucket")
	store, err := localbucket.Start("127.0.0.1:0", s.bucket)
	s.must(err)
	t.Cleanup(func() { store.Close() })
	s.must(store.CreateBucket(bucket))
	front := s.front(store.URL())
	account := aws.Config{Region: region, Credentials: credentials.NewStaticCredentialsProvider("test", "test", ""), HTTPClient: awshttp.Keep(nil)}
	s.kinesis = kinesis.NewFromConfig(account, func(o *kinesis.Options) { o.BaseEndpoint = aws.String(s.stream.URL()) })
	s.s3 = s3.NewFromConfig(account, func(o *s3.Options) { o.BaseEndpoint, o.UsePathStyle = aws.String(front), true })

	settings := map[string]string{
		"STREAM_NAME": stream, "BUCKET": bucket, "APPLICATION_NAME": alert, "CHECKPOINT_TABLE": alert, "COMMIT_INTERVAL": "2500ms", "FAILOVER_TIME": "2s", "S3_PATH_STYLE": "true",
		"COMPLETE_PREFIX": "_complete/", "MEMORY_BUDGET": "32MiB", "HTTP_ADDRESS": "", "LOADER_HTTP_ADDRESS": "",
	}
	if o.postgres {
		s.database = emulator.PostgreSQL(t, 18)
		s.proxy = pgproxy.New(t, s.database.Address)
		maps.Copy(settings, map[string]string{"TABLE": "postgres://" + s.proxy.Address() + "/postgres/trips", "POSTGRES_DSN": "user=postgres password=unneeded", "POSTGRES_TLS": "disable",
			"LOAD_INTERVAL": "1s", "POSTGRES_FAILOVER_WINDOW": "3s"})
	}
	if o.iceberg {
		maps.Copy(settings, map[string]string{"TABLE": "s3://" + bucket + "/tables/trips", "FORMAT": "parquet", "LOAD_INTERVAL": "1s"})
	}
	maps.Copy(settings, o.settings)
	s.common = []string{"HOME=" + s.dir, "AWS_REGION=" + region, "AWS_ACCESS_KEY_ID=test", "AWS_SECRET_ACCESS_KEY=test", "AWS_EC2_METADATA_DISABLED=true", "TMPDIR=" + s.dir}
	backends := map[iam.Service]string{iam.Kinesis: s.stream.URL(), iam.DynamoDB: p.dynamodb, iam.S3: front}
	s.policy = s.printed(s.common, settings)
	operators := s.printed(s.common, settings, "--operator")
	pods, operator := s.guarded(backends, func() iam.Policy { s.mu.Lock(); defer s.mu.Unlock(); return s.policy }, true), s.guarded(backends, func() iam.Policy { return operators }, false)

	s.cluster = newCluster(t, p.watch, alert, maps.Clone(p.binaries), append(append([]string{"PATH=/usr/bin:/bin"}, s.common...), pods...))
	s.shell = append(append([]string{"PATH=" + s.shims(front) + ":" + filepath.Dir(p.binaries["consumer"]) + ":" + os.Getenv("PATH"),
		"CLUSTER=" + s.control.URL, "NAMESPACE=default", "RELEASE=trips", "NAME=trips-consumer", "CHART=chart", "VERSION=1.0.0"}, s.common...), operator...)
	for name, value := range settings {
		s.shell = append(s.shell, name+"="+value)
	}
	s.install(release{settings: settings, replicas: 1, limits: map[string]int64{}})
	return s
}

func (s *site) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

// printed returns the policy that the daemon prints for settings, with that of the loader where there is one.
func (s *site) printed(common []string, settings map[string]string, more ...string) (all iam.Policy) {
	kinds := [][]string{more}
	if settings["TABLE"] != "" && len(more) == 0 {
		kinds = append(kinds, []string{"--loader"})
	}
	for _, kind := range kinds {
		cmd := exec.Command(s.place.binaries["consumer"], append([]string{"policy", "--account", account, "--region", region}, kind...)...)
		cmd.Env = common
		for name, value := range settings {
			cmd.Env = append(cmd.Env, name+"="+value)
		}
		out, err := cmd.Output()
		s.must(err)
		p, err := iam.Parse(out)
		s.must(err)
		all.Version = p.Version
		all.Statement = append(all.Statement, p.Statement...)
	}
	return all
}

// revoke takes an action from the pods' role, and returns what restores it.
func (s *site) revoke(action string) (restore func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := s.policy
	s.policy = before.Without(action)
	if len(s.policy.Actions()) == len(before.Actions()) {
		s.Errorf("the policy does not have %s", action)
	}
	return func() { s.mu.Lock(); s.policy = before; s.mu.Unlock() }
}

// block has a function see the pods' requests to a service first; it returns whether it has answered. end removes it.
func (s *site) block(service iam.Service, f func(http.ResponseWriter, *http.Request) bool) (end func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.barrier[service] = f
	return func() { s.mu.Lock(); delete(s.barrier, service); s.mu.Unlock() }
}

// guarded starts a guard with a policy before each service, and returns the variables that name them.
func (s *site) guarded(backends map[iam.Service]string, policy func() iam.Policy, barred bool) (env []string) {
	for service, backend := range backends {
		to, err := url.Parse(backend)
		s.must(err)
		guard := &iam.Guard{Service: service, Backend: to, Policy: policy, Site: iam.Site{Partition: "aws", Region: region, Account: account, Stream: stream}}
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			s.mu.Lock()
			barrier := s.barrier[service]
			s.mu.Unlock()
			if barred && barrier != nil && barrier(w, r) {
				return
			}
			guard.ServeHTTP(w, r)
		}))
		s.Cleanup(server.Close)
		env = append(env, "AWS_ENDPOINT_URL_"+strings.ToUpper(string(service))+"="+server.URL)
	}
	return env
}

// front returns the URL of the bucket, with what it does not have, such as lifecycle rules, from moto.
func (s *site) front(store string) string {
	proxy := func(to string) *httputil.ReverseProxy {
		u, err := url.Parse(to)
		s.must(err)
		return &httputil.ReverseProxy{Rewrite: func(p *httputil.ProxyRequest) { p.SetURL(u); p.Out.Host = p.In.Host }, FlushInterval: -1}
	}
	own, moto := proxy(store), proxy(s.moto)
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if q := r.URL.Query(); q.Has("lifecycle") || q.Has("policy") {
			r.Header.Set("X-Amz-Account", account)
			moto.ServeHTTP(w, r)
			return
		}
		own.ServeHTTP(w, r)
	}))
	s.Cleanup(front.Close)
	return front.URL
}

// shims returns a folder with the commands kubectl, helm and aws.
func (s *site) shims(front string) string {
	dir := filepath.Join(s.dir, "bin")
	s.must(os.Mkdir(dir, 0o755))
	for _, name := range []string{"kubectl", "helm"} {
		s.must(os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\nprintf '%s\\n' \"$@\" | curl --silent --show-error --fail-with-body --data-binary @- \"$CLUSTER/"+name+"\"\n"), 0o755))
	}
	script := fmt.Sprintf("#!/bin/sh\nexport AWS_ENDPOINT_URL=%[1]s AWS_ENDPOINT_URL_S3=%[2]s AWS_ENDPOINT_URL_KINESIS=%[3]s AWS_ENDPOINT_URL_DYNAMODB=%[4]s AWS_DEFAULT_REGION=%[5]s AWS_PAGER= PYTHONDONTWRITEBYTECODE=1\n"+
		"PYTHONPATH=%[6]s exec python3 %[7]s/aws \"$@\"\n", s.moto, front, s.stream.URL(), s.place.dynamodb, region, filepath.Dir(s.place.aws), s.place.aws)
	s.must(os.WriteFile(filepath.Join(dir, "aws"), []byte(script), 0o755))
	return dir
}

// operation is what a request asks for.
func operation(r *http.Request) string {
	if target := r.Header.Get("X-Amz-Target"); target != "" {
		return target[strings.LastIndex(target, ".")+1:]
	}
	return limits.S3Operation(r)
}

// refuse answers like S3.
func refuse(w http.ResponseWriter, status int, code string) bool {
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(status)
	fmt.Fprintf(w, "<Error><Code>%s</Code><Message>a planted fault</Message></Error>", code)
	return true
}

// refusing blocks operations of S3.
func refusing(status int, code string, operations ...string) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, r *http.Request) bool {
		for _, o := range operations {
			if operation(r) == o {
				_, _ = io.Copy(io.Discard, r.Body) // the client wants to have sent it
				return refuse(w, status, code)
			}
		}
		return false
	}
}

// feed sends records until the test ends, or until what it returns is called.
func (s *site) feed(payload func(n int) []byte) (stop func()) {
	s.mu.Lock()
	s.feeding = payload
	s.mu.Unlock()
	ctx, cancel := context.WithCancel(context.Background())
	var sending sync.WaitGroup
	sending.Go(func() {
		for n := 0; ctx.Err() == nil; n++ {
			s.mu.Lock()
			data := s.feeding(n)
			s.mu.Unlock()
			if _, err := s.kinesis.PutRecords(ctx, &kinesis.PutRecordsInput{StreamName: aws.String(stream), Records: []types.PutRecordsRequestEntry{
				{PartitionKey: aws.String(fmt.Sprint(n)), Data: data}, {PartitionKey: aws.String(fmt.Sprint(-n)), Data: data}}}); err != nil && ctx.Err() == nil {
				s.Errorf("put: %v", err)
			}
			select {
			case <-ctx.Done():
			case <-time.After(150 * time.Millisecond):
			}
		}
	})
	end := sync.OnceFunc(func() { cancel(); sending.Wait() })
	s.Cleanup(end)
	return end
}

func object(n int) []byte { return fmt.Appendf(nil, `{"id":%d,"fare":%d.5,"city":"Rome"}`, n, n%50) }

// until waits for a condition.
func (s *site) until(what string, bound time.Duration, condition func() (bool, error)) {
	s.Helper()
	var err error
	for deadline := time.Now().Add(bound); time.Now().Before(deadline); time.Sleep(250 * time.Millisecond) {
		var ok bool
		if ok, err = condition(); ok && err == nil {
			return
		}
	}
	s.Fatalf("within %v not: %s (%v)", bound, what, err)
}

// delivered waits until something is in the bucket.
func (s *site) delivered() {
	s.Helper()
	s.until("files are delivered", time.Minute, func() (bool, error) {
		found, err := filepath.Glob(filepath.Join(s.bucket, bucket, "manifests/*/*"))
		deeper, _ := filepath.Glob(filepath.Join(s.bucket, bucket, "manifests/*/*/*"))
		return len(found)+len(deeper) > 0, err
	})
}

// fires waits until the alert of the case fires.
func (s *site) fires() {
	s.Helper()
	from := time.Now()
	s.until("the alert fires", 4*time.Minute, s.firing)
	s.fired = time.Since(from)
	s.look()
}

func (s *site) firing() (bool, error) {
	state, err := s.place.watch.state(s.alert, s.alert)
	return state == "firing", err
}

// stays is how long an alert must be quiet to have ended.
const stays = 8 * time.Second

// ends waits until the alert is quiet while a worker runs, and stays so.
func (s *site) ends() {
	s.Helper()
	from, quiet := time.Now(), time.Time{}
	s.until("the alert ends", 7*time.Minute, func() (bool, error) {
		state, err := s.place.watch.state(s.alert, s.alert)
		if err != nil {
			return false, err
		}
		workers, err := s.place.watch.series(fmt.Sprintf("consumer_workers{application=%q}", s.alert))
		if state != "" || workers == 0 {
			quiet = time.Time{}
		} else if quiet.IsZero() {
			quiet = time.Now()
		}
		return !quiet.IsZero() && time.Since(quiet) > stays, err
	})
	s.followed += quiet.Sub(from)
}

var placeholders = regexp.MustCompile(`\b(BATCH|SHARD|KEY|POD|PID|ROLE_ARN|ACTION|RESOURCE_ARN|TABLE_OF_THE_BATCH|VERSION_OF_THE_DELETE_MARKER)\b`)

// elsewhere are commands of pages for what a trial does not have.
var elsewhere = regexp.MustCompile(`^(psql 'postgres://db\.example\.com|aws glue get-table|aws athena|aws rds|aws iam simulate)`)

// fill replaces the words in capitals by what the commands before have shown.
func (s *site) fill(line string) (full string, missing []string) {
	if p := s.first("consumer"); p != nil {
		line = strings.ReplaceAll(line, "localhost:8080", p.address)
		s.words["POD"] = p.pod
	}
	if p := s.first("loader"); p != nil {
		line = strings.ReplaceAll(line, "localhost:8081", p.address)
	}
	full = placeholders.ReplaceAllStringFunc(line, func(word string) string {
		if s.words[word] == "" {
			missing = append(missing, word)
		}
		return s.words[word]
	})
	return full, missing
}

// shown is "consumer checkpoint show --json".
type shown struct {
	Shards []struct{ Shard, Owner string }
	Outbox []struct {
		Batch  string
		Tables []string
	}
}

func (s *site) show() (table shown) {
	s.Helper()
	out, err := s.run("consumer checkpoint show --json")
	if err == nil {
		err = json.Unmarshal([]byte(out), &table)
	}
	s.must(err)
	return table
}

// run runs a command as the operator, in bash.
func (s *site) run(line string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "bash", "-c", line)
	cmd.Env, cmd.Dir = s.shell, s.dir
	var out, fault bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &fault
	err := cmd.Run()
	if err != nil {
		err = fmt.Errorf("%s: %w\n%s%s", line, err, out.String(), fault.String())
	}
	return out.String(), err
}

// psql runs a statement in the database.
func (s *site) psql(statement string) string {
	s.Helper()
	out, err := s.database.Psql(s.T, "postgres", statement).CombinedOutput()
	if err != nil {
		s.Errorf("%s: %v\n%s", statement, err, out)
	}
	return string(out)
}

// conn returns a connection to the database.
func (s *site) conn() *pgx.Conn { return s.database.Connect(s.T, "postgres") }

// look runs all commands, statements and queries of See it. Each must work, and a query must show something.
func (s *site) look() {
	s.Helper()
	if t := s.tryShow(); s.words["BATCH"] == "" && t != nil && len(t.Outbox) > 0 {
		s.words["BATCH"] = t.Outbox[0].Batch
	}
	finds := regexp.MustCompile(`grep|--previous|consumer wait|checkpoint forget|validate|consumer route`) // these also end with a code if they find something
	from := time.Now()
	for _, line := range s.page.blocks("See it", "sh") {
		full, missing := s.fill(line)
		if elsewhere.MatchString(line) || len(missing) > 0 {
			continue
		}
		out, err := s.run(full)
		if err != nil && !finds.MatchString(line) {
			s.Errorf("%s.md, See it: %v", s.alert, err)
		}
		s.Logf("$ %s\n%s", full, strings.TrimSpace(out[:min(len(out), 700)]))
	}
	shows := 0
	for _, query := range s.page.blocks("See it", "promql") {
		n, err := s.place.watch.series(faster(rule{Alert: s.alert, Expr: query}).Expr)
		if err != nil {
			s.Errorf("%s.md, See it: %s: %v", s.alert, query, err)
		}
		shows += n
	}
	if shows == 0 && s.alert != "ConsumerAbsent" {
		s.Errorf("%s.md, See it: no query shows anything", s.alert)
	}
	if s.database != nil {
		for _, statement := range s.page.blocks("See it", "sql") {
			s.psql(statement)
		}
	}
	s.Logf("looked for %v", time.Since(from))
	if is, err := s.firing(); err != nil || !is {
		s.Errorf("the alert has ended before anything was done (%v)", err)
	}
}

func (s *site) tryShow() *shown {
	out, err := s.run("consumer checkpoint show --json")
	var table shown
	if err != nil || json.Unmarshal([]byte(out), &table) != nil {
		return nil
	}
	return &table
}

// follow runs the command of the section Do that begins with a text, word for word.
func (s *site) follow(begins string) string {
	s.Helper()
	line, err := s.page.command("sh", begins)
	s.must(err)
	full, missing := s.fill(line)
	if len(missing) > 0 {
		s.Fatalf("%s.md, Do: %s needs %v, which nothing shows", s.alert, line, missing)
	}
	from := time.Now()
	out, err := s.run(full)
	s.followed += time.Since(from)
	if err != nil {
		s.Fatalf("%s.md, Do: %v", s.alert, err)
	}
	s.Logf("Do$ %s\n%s", full, strings.TrimSpace(out[:min(len(out), 1500)]))
	command, _, _ := strings.Cut(line, " #")
	s.seen = append(s.seen, "`"+strings.ReplaceAll(strings.TrimSpace(command), "|", `\|`)+"`")
	return out
}

// byHand does what a step of the section Do says in words.
func (s *site) byHand(says string, do func()) {
	s.Helper()
	s.must(s.page.step(says))
	do()
	s.seen = append(s.seen, says)
}
