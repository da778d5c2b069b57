package helm_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"aws-streaming-pipeline/consumer"
	"aws-streaming-pipeline/internal/awshttp"
	"aws-streaming-pipeline/internal/forward"
	"aws-streaming-pipeline/internal/localstream"
	"aws-streaming-pipeline/internal/test/emulator"
	"aws-streaming-pipeline/operate/audit"
	"aws-streaming-pipeline/operate/objects"
	"aws-streaming-pipeline/producer"
	"aws-streaming-pipeline/writers/layout"
)

// The test of the chart on a real cluster runs if CLUSTER_ADDRESS is an address of this machine that pods can reach,
// KUBECONFIG leads to the cluster, and the cluster has CLUSTER_IMAGE and CLUSTER_STANDIN, which were built from the
// Dockerfile.
const (
	streamName = "trips"
	bucketName = "out"
	shards     = 4
	release    = "trips"
	namespace  = "pipeline"
)

// cluster is a Kubernetes cluster with the surroundings of the pipeline.
type cluster struct {
	t       *testing.T
	tools   emulator.Kubernetes
	stream  *localstream.Server
	kinesis *kinesis.Client
	bucket  objects.Bucket
	values  string // file with what every installation has
}

// clusterAddress is the address at which pods reach this machine; the test is skipped without it.
func clusterAddress(t *testing.T) string {
	t.Helper()
	address := os.Getenv("CLUSTER_ADDRESS")
	if address == "" {
		t.Skip("LEFT OUT: the chart on a cluster: CLUSTER_ADDRESS is not set")
	}
	return address
}

func newCluster(t *testing.T) *cluster {
	t.Helper()
	address := clusterAddress(t)
	c := &cluster{t: t, tools: emulator.KubernetesTools(t)}
	var err error
	if c.stream, err = localstream.Start("127.0.0.1:0", localstream.Options{MaxBytes: 1 << 30}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.stream.Close() })
	gateway, dynamodb := emulator.Versitygw(t), emulator.DynamoDBLocal(t)
	endpoints := map[string]string{
		"KINESIS": reachable(t, address, c.stream.URL()), "S3": reachable(t, address, gateway.URL), "DYNAMODB": reachable(t, address, dynamodb.URL),
	}
	account := aws.Config{
		Region: gateway.Region, Credentials: credentials.NewStaticCredentialsProvider(gateway.AccessKey, gateway.SecretKey, ""), HTTPClient: awshttp.Keep(nil),
	}
	c.kinesis = kinesis.NewFromConfig(account, func(o *kinesis.Options) { o.BaseEndpoint = aws.String(endpoints["KINESIS"]) })
	client := s3.NewFromConfig(account, func(o *s3.Options) {
		o.BaseEndpoint, o.UsePathStyle, o.DisableLogOutputChecksumValidationSkipped = aws.String(endpoints["S3"]), true, true
	})
	c.bucket = objects.Bucket{API: client, Name: bucketName}
	if _, err := client.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: aws.String(bucketName)}); err != nil {
		t.Fatal(err)
	}
	if err := c.stream.CreateStream(streamName, shards); err != nil {
		t.Fatal(err)
	}
	c.writeValues(gateway, endpoints)
	return c
}

// reachable makes a stand-in, which listens only on the loopback address, reachable for pods.
func reachable(t *testing.T, address, url string) string {
	t.Helper()
	listener, err := forward.TCP(net.JoinHostPort(address, "0"), strings.TrimPrefix(url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	return "http://" + listener.Addr().String()
}

func (c *cluster) writeValues(account emulator.Endpoint, endpoints map[string]string) {
	c.t.Helper()
	repository, tag, _ := strings.Cut(os.Getenv("CLUSTER_IMAGE"), ":")
	env := []map[string]string{
		{"name": "AWS_ACCESS_KEY_ID", "value": account.AccessKey}, {"name": "AWS_SECRET_ACCESS_KEY", "value": account.SecretKey},
		{"name": "AWS_EC2_METADATA_DISABLED", "value": "true"},
	}
	for service, url := range endpoints {
		env = append(env, map[string]string{"name": "AWS_ENDPOINT_URL_" + service, "value": url})
	}
	text, err := json.Marshal(node{
		"settings": node{
			"streamName": streamName, "bucket": bucketName, "s3PathStyle": true, "commitInterval": "5s", "failoverTime": "3s",
			"shutdownGrace": "15s", "memoryBudget": "64MiB", "applicationName": "cluster",
		},
		"image":     node{"repository": repository, "tag": tag, "pullPolicy": "Never"},
		"aws":       node{"region": account.Region},
		"resources": node{"requests": node{"cpu": "10m", "memory": "32Mi"}},
		"extraEnv":  env, "readinessPeriodSeconds": 2, "networkPolicy": node{"enabled": true, "extraEgress": []node{{}}},
	})
	if err != nil {
		c.t.Fatal(err)
	}
	c.values = c.t.TempDir() + "/values.json"
	if err := os.WriteFile(c.values, text, 0o600); err != nil {
		c.t.Fatal(err)
	}
}

// try runs a command with a time limit and returns its output.
func (c *cluster) try(cmd *exec.Cmd) (string, error) {
	c.t.Helper()
	began := time.Now()
	out, err := cmd.CombinedOutput()
	c.t.Logf("%6.1fs %s", time.Since(began).Seconds(), strings.Join(cmd.Args[1:], " "))
	if err != nil {
		err = fmt.Errorf("%w\n%s", err, out)
	}
	return string(out), err
}

func (c *cluster) must(out string, err error) string {
	c.t.Helper()
	if err != nil {
		c.t.Fatal(err)
	}
	return out
}

func (c *cluster) kubectl(args ...string) (string, error) {
	c.t.Helper()
	return c.try(exec.CommandContext(c.t.Context(), "kubectl", append([]string{"--namespace", namespace}, args...)...))
}

func (c *cluster) helm(args ...string) (string, error) {
	c.t.Helper()
	return c.try(c.tools.Helm(c.t, append([]string{"--namespace", namespace}, args...)...))
}

// install installs or upgrades and waits until all is ready.
func (c *cluster) install(sets ...string) {
	c.t.Helper()
	args := []string{"upgrade", release, "consumer", "--install", "--wait", "--timeout", "3m", "--values", c.values}
	for _, set := range sets {
		args = append(args, "--set", set)
	}
	c.must(c.helm(args...))
}

type pod struct {
	Metadata struct {
		Name              string
		DeletionTimestamp string
	}
	Status struct {
		PodIP             string
		ContainerStatuses []struct {
			Ready            bool
			RestartCount     int
			LastState, State struct{ Terminated struct{ Reason string } }
		}
	}
}

func (p pod) ready() bool {
	return p.Metadata.DeletionTimestamp == "" && len(p.Status.ContainerStatuses) == 1 && p.Status.ContainerStatuses[0].Ready
}

func (c *cluster) pods() []pod {
	c.t.Helper()
	out, err := exec.CommandContext(c.t.Context(), "kubectl", "--namespace", namespace, "get", "pods", "--selector", "app.kubernetes.io/component=daemon", "--output", "json").Output()
	if err != nil {
		c.t.Fatal(err)
	}
	var list struct{ Items []pod }
	if err := json.Unmarshal(out, &list); err != nil {
		c.t.Fatal(err)
	}
	return list.Items
}

// await waits for a condition.
func (c *cluster) await(within time.Duration, what string, ok func() bool) {
	c.t.Helper()
	began := time.Now()
	for !ok() {
		if time.Since(began) > within {
			out, _ := c.kubectl("get", "pods,events", "--output", "wide")
			logs, _ := c.kubectl("logs", "--selector", "app.kubernetes.io/component=daemon", "--tail", "15", "--prefix")
			c.t.Fatalf("not within %v: %s\n%s\n%s", within, what, out, logs)
		}
		time.Sleep(500 * time.Millisecond)
	}
	c.t.Logf("%6.1fs until %s", time.Since(began).Seconds(), what)
}

// workers waits until exactly that many pods exist, are ready, and share all shards.
func (c *cluster) workers(n int) {
	c.t.Helper()
	c.await(90*time.Second, fmt.Sprintf("%d workers share the shards", n), func() bool {
		list := c.pods()
		if len(list) != n {
			return false
		}
		held := 0
		for _, p := range list {
			if !p.ready() {
				return false
			}
			s, ok := status(p)
			if !ok {
				return false
			}
			mine := 0
			for _, shard := range s.Shards {
				if shard.Mine {
					mine++
				}
			}
			if mine == 0 {
				return false
			}
			held += mine
		}
		return held == shards
	})
}

func status(p pod) (s consumer.Status, ok bool) {
	client := http.Client{Timeout: 2 * time.Second}
	answer, err := client.Get("http://" + net.JoinHostPort(p.Status.PodIP, "8080") + "/status.json")
	if err != nil {
		return s, false
	}
	defer answer.Body.Close()
	return s, json.NewDecoder(answer.Body).Decode(&s) == nil
}

// lag returns how far the pods are behind on their worst shard; false if not every shard has a reader.
func (c *cluster) lag() (worst time.Duration, whole bool) {
	c.t.Helper()
	read := 0
	for _, p := range c.pods() {
		if s, ok := status(p); ok {
			for _, shard := range s.Shards {
				if shard.Mine {
					read++
					worst = max(worst, time.Duration(shard.BehindSeconds*float64(time.Second)))
				}
			}
		}
	}
	return worst, read == shards
}

// accepted returns the event ids of all records that the stream has accepted.
func (c *cluster) accepted() map[string]bool {
	c.t.Helper()
	list, err := c.stream.Shards(streamName)
	if err != nil {
		c.t.Fatal(err)
	}
	ids := make(map[string]bool)
	for _, shard := range list {
		for r := range c.stream.Records(streamName, shard.ID) {
			ids[r.SequenceNumber] = true
		}
	}
	return ids
}

// delivered counts how often each event id is in the data files.
func (c *cluster) delivered() (counts map[string]int, files int) {
	c.t.Helper()
	counts = make(map[string]int)
	for o, err := range c.bucket.List(c.t.Context(), "data/", "") {
		if err != nil {
			c.t.Fatal(err)
		}
		files++
		if err := audit.EachID(c.t.Context(), c.bucket, layout.ManifestFile{Key: *o.Key}, func(id []byte) { counts[string(id)]++ }); err != nil {
			c.t.Fatal(err)
		}
	}
	return counts, files
}

// allDelivered waits until all accepted records are delivered, and asserts that each is delivered once.
func (c *cluster) allDelivered(when string) {
	c.t.Helper()
	accepted := c.accepted()
	var counts map[string]int
	var files int
	c.await(time.Minute, "all is delivered "+when, func() bool {
		counts, files = c.delivered()
		return len(counts) >= len(accepted)
	})
	missing, double := 0, 0
	for id := range accepted {
		if counts[id] == 0 {
			missing++
		}
	}
	for id, n := range counts {
		if n > 1 || !accepted[id] {
			double++
		}
	}
	c.t.Logf("%s: %d records accepted, %d missing, %d double, in %d files", when, len(accepted), missing, double, files)
	if missing+double > 0 {
		c.t.Fatalf("%s: of %d records %d are missing, %d are double", when, len(accepted), missing, double)
	}
	for o, err := range c.bucket.List(c.t.Context(), "errors/", "") {
		c.t.Fatalf("%s: error records in %v (%v)", when, aws.ToString(o.Key), err)
	}
}

// load sends trips until it is stopped, which returns their number.
func (c *cluster) load(rate float64) (stop func() int64) {
	c.t.Helper()
	p, err := producer.New(producer.Config{
		Stream: streamName, PartitionKey: "TRIP_ID", Rate: rate,
		Source: func() (producer.Source, error) { return producer.Generate(producer.MaxTrips, 7), nil },
	}, c.kinesis)
	if err != nil {
		c.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(c.t.Context())
	var sending sync.WaitGroup
	var sent int64
	sending.Go(func() {
		summary, err := p.Run(ctx)
		if err != nil && !errors.Is(err, context.Canceled) {
			c.t.Errorf("load: %v", err)
		}
		sent = summary.Records
	})
	return func() int64 {
		cancel()
		sending.Wait()
		return sent
	}
}

// A release is installed, delivers what a Job sends, and goes through upgrades, deaths and drains under load. At the end,
// every record that the stream accepted is in one file, once.
func TestCluster(t *testing.T) {
	c := newCluster(t)
	c.kubectl("delete", "namespace", namespace, "--ignore-not-found")
	c.must(c.kubectl("create", "namespace", namespace))
	c.must(c.kubectl("label", "namespace", namespace, "pod-security.kubernetes.io/enforce=restricted"))
	t.Cleanup(func() {
		exec.Command("kubectl", "uncordon", "--selector=kubernetes.io/os=linux").Run()
		exec.Command("kubectl", "delete", "namespace", namespace, "--wait=false").Run()
	})
	// The standard is enforced: pods without a security context are rejected.
	if out, err := c.kubectl("run", "rude", "--image=busybox"); err == nil || !strings.Contains(out, "violates PodSecurity") {
		t.Fatalf("a pod without a security context is let in: %s", out)
	}

	c.install()
	c.workers(2)
	if out := c.must(c.helm("test", release, "--timeout", "2m")); !strings.Contains(out, "Succeeded") {
		t.Errorf("helm test: %s", out)
	}
	job := []string{"producer.enabled=true", "producer.generate=20000"}
	c.install(job...)
	c.must(c.kubectl("wait", "--for=condition=complete", "--timeout=2m", "job", "--selector", "app.kubernetes.io/component=producer"))
	if n := len(c.accepted()); n != 20000+shards {
		t.Errorf("the stream has %d records, want 20000 trips and %d of helm test", n, shards)
	}
	c.allDelivered("after the Job")

	stop := c.load(300)
	parquet := append(slices.Clone(job), "settings.format=parquet")
	c.install(parquet...)
	c.workers(2)

	c.must(c.kubectl("delete", "pod", c.pods()[0].Metadata.Name, "--force", "--grace-period=0"))
	c.workers(2)

	c.drain()
	c.workers(2)

	for _, n := range []int{1, 4, 2} {
		c.must(c.kubectl("scale", "deployment", release+"-consumer", fmt.Sprintf("--replicas=%d", n)))
		c.workers(n)
	}

	c.outOfMemory(parquet)
	c.workers(2)
	c.await(time.Minute, "the lag is under 30 s", func() bool {
		lag, whole := c.lag()
		return whole && lag < 30*time.Second
	})
	sent := stop()
	if n := len(c.accepted()); int64(n) < 20000+shards+sent {
		t.Errorf("the stream has %d records, less than were sent", n)
	}
	c.allDelivered("after the storm")
	c.sound()
	c.testsThatFail(parquet)
	c.uninstall()
}

// drain empties the only node: one pod goes, and the budget keeps the other.
func (c *cluster) drain() {
	c.t.Helper()
	out, err := c.kubectl("drain", "--selector=kubernetes.io/os=linux", "--pod-selector=app.kubernetes.io/component=daemon", "--delete-emptydir-data", "--timeout=20s")
	if err == nil || !strings.Contains(out, "disruption budget") {
		c.t.Errorf("the drain was not held up by the budget: %v", out)
	}
	ready := 0
	for _, p := range c.pods() {
		if p.ready() {
			ready++
		}
	}
	if ready != 1 {
		c.t.Errorf("%d workers are left by the drain, want 1", ready)
	}
	c.must(c.kubectl("uncordon", "--selector=kubernetes.io/os=linux"))
}

// outOfMemory makes the kernel kill the daemon by a limit that the chart would reject. Normally the daemon collects its
// garbage before it reaches even that, so it is told not to.
func (c *cluster) outOfMemory(sets []string) {
	c.t.Helper()
	patch := `{"spec":{"strategy":{"type":"Recreate","rollingUpdate":null},"template":{"spec":{"containers":[{"name":"consumer",
		"env":[{"name":"GOGC","value":"off"},{"name":"GOMEMLIMIT","value":"off"}],
		"resources":{"limits":{"memory":"26Mi"},"requests":{"memory":"26Mi"}}}]}}}}`
	c.must(c.kubectl("patch", "deployment", release+"-consumer", "--patch", patch))
	c.await(90*time.Second, "a worker was killed for its memory", func() bool {
		return slices.ContainsFunc(c.pods(), func(p pod) bool {
			return len(p.Status.ContainerStatuses) == 1 &&
				(p.Status.ContainerStatuses[0].LastState.Terminated.Reason == "OOMKilled" || p.Status.ContainerStatuses[0].State.Terminated.Reason == "OOMKilled")
		})
	})
	// Helm does not touch fields that it has not set.
	back := `{"spec":{"template":{"spec":{"containers":[{"name":"consumer",
		"env":[{"name":"GOGC","$patch":"delete"},{"name":"GOMEMLIMIT","$patch":"delete"}]}]}}}}`
	c.must(c.kubectl("patch", "deployment", release+"-consumer", "--patch", back))
	c.install(sets...)
}

// sound runs the audit, which proves from the manifests what was counted.
func (c *cluster) sound() {
	c.t.Helper()
	report, err := audit.Run(c.t.Context(), audit.Config{Bucket: c.bucket, ManifestPrefix: "manifests/", Prefixes: []string{"data/", "errors/"}, Deep: true})
	if err != nil || !report.Sound {
		var text bytes.Buffer
		if report != nil {
			report.WriteText(&text)
		}
		c.t.Errorf("audit: %v\n%s", err, &text)
	}
}

// testsThatFail asserts that helm test fails if nothing delivers, and if the bucket is wrong.
func (c *cluster) testsThatFail(sets []string) {
	c.t.Helper()
	for _, fail := range []struct{ set, pod, says string }{
		{"replicas=0", "check", "records have not arrived in any file: waited for 8s"},
		{"settings.bucket=elsewhere", "validate", "bucket elsewhere does not exist"},
	} {
		args := []string{"upgrade", release, "consumer", "--values", c.values, "--set", "check.within=8s", "--set", fail.set}
		for _, set := range sets {
			args = append(args, "--set", set)
		}
		c.must(c.helm(args...))
		if fail.set == "replicas=0" {
			c.await(time.Minute, "all workers are gone", func() bool { return len(c.pods()) == 0 })
		}
		if out, err := c.helm("test", release, "--timeout", "1m"); err == nil {
			c.t.Errorf("helm test passes with %s: %s", fail.set, out)
		}
		if logs, _ := c.kubectl("logs", release+"-consumer-"+fail.pod); !strings.Contains(logs, fail.says) {
			c.t.Errorf("the log of helm test with %s does not say %q: %s", fail.set, fail.says, logs)
		}
	}
	// The pods remain for their logs.
	c.must(c.kubectl("delete", "pod", release+"-consumer-check", release+"-consumer-validate"))
}

// uninstall asserts that nothing of the release is left.
func (c *cluster) uninstall() {
	c.t.Helper()
	c.must(c.helm("uninstall", release, "--wait", "--timeout", "2m"))
	list := func(args ...string) []string {
		out, err := exec.CommandContext(c.t.Context(), "kubectl", append([]string{"--namespace", namespace, "--output=name"}, args...)...).Output() // without warnings
		if err != nil {
			c.t.Fatal(err)
		}
		return strings.Fields(string(out))
	}
	kinds := slices.DeleteFunc(list("api-resources", "--namespaced", "--verbs=list"), func(kind string) bool { return strings.HasPrefix(kind, "events") })
	var left []string
	defer func() {
		if c.t.Failed() {
			c.t.Logf("left: %v", left)
		}
	}()
	c.await(time.Minute, "nothing of the release is left", func() bool {
		left = append(list("get", strings.Join(kinds, ","), "--selector", "app.kubernetes.io/instance="+release), list("get", "secrets", "--selector", "owner=helm")...)
		return len(left) == 0
	})
	if len(kinds) < 15 {
		c.t.Errorf("looked for %v", kinds)
	}
}

// The demo for kind and minikube runs with a DynamoDB Local of this test; the images are those that it would build.
func TestClusterDemo(t *testing.T) {
	address := clusterAddress(t)
	dynamodb := reachable(t, address, emulator.DynamoDBLocal(t).URL)
	current, err := exec.CommandContext(t.Context(), "kubectl", "config", "current-context").Output()
	if err != nil {
		t.Fatal(err)
	}
	binary := t.TempDir() + "/demo"
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", binary, "./demo").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	demo := func(args ...string) (string, error) {
		cmd := exec.CommandContext(t.Context(), binary, append(args, "--build=false", "--dynamodb="+dynamodb,
			"--image="+os.Getenv("CLUSTER_IMAGE"), "--standin="+os.Getenv("CLUSTER_STANDIN"), "--records=5000")...)
		cmd.Dir = ".."
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	if out, err := demo(); err == nil || !strings.Contains(out, "belongs to neither kind nor minikube") {
		t.Errorf("a cluster that was not named is used: %s", out)
	}
	out, err := demo("--context=" + strings.TrimSpace(string(current)))
	if err != nil || !strings.Contains(out, "\n5004 of 5004 delivered, 0 duplicates") {
		t.Errorf("%v\n%s", err, out)
	}
	if out, err := exec.CommandContext(t.Context(), "kubectl", "get", "namespace", "streaming-demo").CombinedOutput(); err == nil {
		t.Errorf("the namespace is left: %s", out)
	}
}
