// Command demo installs the chart on a local Kubernetes cluster, such as kind or minikube: it builds the images, starts
// stand-ins for AWS, installs the chart, lets the producer's Job send trips, and reads the files back. See --help.
//
// It exits with status 1 if a trip is missing or duplicated.
package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/spf13/cobra"

	"aws-streaming-pipeline/internal/awshttp"
	"aws-streaming-pipeline/internal/command"
	"aws-streaming-pipeline/operate/audit"
	"aws-streaming-pipeline/operate/objects"
	"aws-streaming-pipeline/writers/layout"
)

// Names that values.yaml also has.
const (
	streamName = "taxi-trips"
	bucketName = "trips"
	release    = "trips"
	shards     = 4
)

// demo is the command line and what runs for it.
type demo struct {
	context, namespace, image, standin, dynamodb string
	records                                      int
	build, keep                                  bool

	aws         aws.Config
	kinesis, s3 string // URLs of the stand-ins
}

func main() { command.Main(root()) }

func root() *cobra.Command {
	var d demo
	cmd := &cobra.Command{
		Use: "demo", Short: "install the chart on a local Kubernetes cluster and deliver trips",
		Long: `Installs the chart on a local Kubernetes cluster, such as kind or minikube: it builds the images, starts stand-ins for AWS, installs the
chart, lets the producer's Job send trips, and reads the files back.

Exit code: 0 each trip was delivered once, 1 a trip is missing or duplicated, or the demo failed, 2 the command line is wrong.`,
		Example: "go run ./helm/demo\ngo run ./helm/demo --context kind-kind --records 100000 --keep",
		RunE:    func(cmd *cobra.Command, _ []string) error { return d.run(cmd.Context()) },
	}
	f := cmd.Flags()
	f.StringVar(&d.context, "context", "", "kubectl `context`; default: the current one, if it belongs to kind or minikube")
	f.StringVar(&d.namespace, "namespace", "streaming-demo", "`namespace`, which is created and deleted")
	f.StringVar(&d.image, "image", "localhost/streaming-pipeline:demo", "`image` of the daemon")
	f.StringVar(&d.standin, "standin", "localhost/streaming-pipeline-standin:demo", "`image` of the stand-in for Kinesis and S3")
	f.BoolVar(&d.build, "build", true, "build the images with docker and load them into the cluster")
	f.StringVar(&d.dynamodb, "dynamodb", "", "`URL` of a DynamoDB that pods can reach; default: DynamoDB Local in the cluster")
	f.IntVar(&d.records, "records", 20_000, "`trips` to send")
	f.BoolVar(&d.keep, "keep", false, "keep everything after the demo")
	return cmd
}

func (d *demo) run(ctx context.Context) (err error) {
	if err := d.chooseContext(ctx); err != nil {
		return err
	}
	if d.build {
		for target, image := range map[string]string{"consumer": d.image, "standin": d.standin} {
			if err := d.loadImage(ctx, target, image); err != nil {
				return err
			}
		}
	}
	if err := d.kubectl(ctx, "create", "namespace", d.namespace); err != nil {
		return err
	}
	if !d.keep {
		defer func() {
			err = errors.Join(err, d.kubectl(context.WithoutCancel(ctx), "delete", "namespace", d.namespace))
		}()
	}
	if err := d.start(ctx, "aws", map[string]string{"IMAGE": d.standin}); err != nil {
		return err
	}
	if d.dynamodb == "" {
		if err := d.start(ctx, "dynamodb", nil); err != nil {
			return err
		}
		if d.dynamodb, err = d.service(ctx, "dynamodb", "8000"); err != nil {
			return err
		}
	}
	sets := []string{"extraEnv[0].value=" + d.dynamodb}
	for i, port := range []string{"4567", "4568"} {
		url, err := d.service(ctx, "aws", port)
		if err != nil {
			return err
		}
		sets = append(sets, fmt.Sprintf("extraEnv[%d].value=%s", i+1, url))
	}
	for port, url := range map[string]*string{"4567": &d.kinesis, "4568": &d.s3} {
		address, stop, err := d.forward(ctx, port)
		if err != nil {
			return err
		}
		defer stop()
		*url = address
	}
	d.aws = aws.Config{Region: "us-east-1", Credentials: credentials.NewStaticCredentialsProvider("demo", "demo", ""), HTTPClient: awshttp.Client(nil)}
	if err := d.makeStreamAndBucket(ctx); err != nil {
		return err
	}
	if err := d.install(ctx, sets...); err != nil {
		return err
	}
	if err := d.show(ctx, "helm", "--kube-context", d.context, "--namespace", d.namespace, "test", release, "--timeout", "2m"); err != nil {
		return err
	}
	if err := d.install(ctx, append(sets, "producer.enabled=true", fmt.Sprintf("producer.generate=%d", d.records))...); err != nil {
		return err
	}
	if err := d.kubectl(ctx, "--namespace", d.namespace, "wait", "--for=condition=complete", "--timeout=5m", "job",
		"--selector", "app.kubernetes.io/component=producer"); err != nil {
		return err
	}
	if err := d.check(ctx); err != nil || d.keep {
		return err
	}
	return d.show(ctx, "helm", "--kube-context", d.context, "--namespace", d.namespace, "uninstall", release, "--wait")
}

// chooseContext refuses clusters that are not for trials, unless the context was named.
func (d *demo) chooseContext(ctx context.Context) error {
	if d.context != "" {
		return nil
	}
	out, err := exec.CommandContext(ctx, "kubectl", "config", "current-context").Output()
	if err != nil {
		return fmt.Errorf("get the context of kubectl: %w", err)
	}
	d.context = strings.TrimSpace(string(out))
	if !strings.HasPrefix(d.context, "kind-") && d.context != "minikube" {
		return fmt.Errorf("context %s belongs to neither kind nor minikube: name it with --context to use it anyway", d.context)
	}
	return nil
}

// show prints a command and runs it.
func (d *demo) show(ctx context.Context, name string, args ...string) error {
	fmt.Printf("+ %s %s\n", name, strings.Join(args, " "))
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s %s: %w", name, args[0], err)
	}
	return nil
}

func (d *demo) kubectl(ctx context.Context, args ...string) error {
	return d.show(ctx, "kubectl", append([]string{"--context", d.context}, args...)...)
}

func (d *demo) loadImage(ctx context.Context, target, image string) error {
	if err := d.show(ctx, "docker", "build", "--target", target, "--tag", image, "."); err != nil {
		return err
	}
	if cluster, kind := strings.CutPrefix(d.context, "kind-"); kind {
		return d.show(ctx, "kind", "load", "docker-image", image, "--name", cluster)
	}
	return d.show(ctx, "minikube", "--profile", d.context, "image", "load", image)
}

// start starts a stand-in from its manifest, after replacing words in it, and waits until it is ready.
func (d *demo) start(ctx context.Context, name string, replace map[string]string) error {
	manifest, err := os.ReadFile("helm/demo/" + name + ".yaml")
	if err != nil {
		return err
	}
	text := string(manifest)
	for word, by := range replace {
		text = strings.ReplaceAll(text, " "+word+"\n", " "+by+"\n")
	}
	apply := exec.CommandContext(ctx, "kubectl", "--context", d.context, "--namespace", d.namespace, "apply", "--filename", "-")
	apply.Stdin, apply.Stdout, apply.Stderr = strings.NewReader(text), os.Stdout, os.Stderr
	if err := apply.Run(); err != nil {
		return fmt.Errorf("apply %s: %w", name, err)
	}
	return d.kubectl(ctx, "--namespace", d.namespace, "rollout", "status", "deployment/"+name, "--timeout=5m")
}

// service returns the URL of a service within the cluster, by IP address: not every local cluster has DNS.
func (d *demo) service(ctx context.Context, name, port string) (string, error) {
	out, err := exec.CommandContext(ctx, "kubectl", "--context", d.context, "--namespace", d.namespace, "get", "service", name,
		"--output", "jsonpath={.spec.clusterIP}").Output()
	if err != nil {
		return "", fmt.Errorf("find service %s: %w", name, err)
	}
	return "http://" + net.JoinHostPort(string(out), port), nil
}

// forward forwards a local port to a port of the stand-in.
func (d *demo) forward(ctx context.Context, port string) (url string, stop func(), err error) {
	ctx, cancel := context.WithCancel(ctx)
	cmd := exec.CommandContext(ctx, "kubectl", "--context", d.context, "--namespace", d.namespace, "port-forward", "service/aws", ":"+port)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		cancel()
		return "", nil, fmt.Errorf("forward a port: %w", err)
	}
	stop = func() {
		cancel()
		_ = cmd.Wait() // it has just been stopped
	}
	lines := bufio.NewReader(out)
	line, err := lines.ReadString('\n')
	address := regexp.MustCompile(`127\.0\.0\.1:\d+`).FindString(line)
	if err != nil || address == "" {
		stop()
		return "", nil, fmt.Errorf("forward a port: kubectl says %q (%v)", line, err)
	}
	go io.Copy(io.Discard, lines) // it prints a line for each connection
	return "http://" + address, stop, nil
}

func (d *demo) makeStreamAndBucket(ctx context.Context) error {
	if _, err := d.buckets().CreateBucket(ctx, &s3.CreateBucketInput{Bucket: aws.String(bucketName)}); err != nil {
		return fmt.Errorf("create bucket %s: %w", bucketName, err)
	}
	client := kinesis.NewFromConfig(d.aws, func(o *kinesis.Options) { o.BaseEndpoint = &d.kinesis })
	if _, err := client.CreateStream(ctx, &kinesis.CreateStreamInput{StreamName: aws.String(streamName), ShardCount: aws.Int32(shards)}); err != nil {
		return fmt.Errorf("create stream %s: %w", streamName, err)
	}
	return kinesis.NewStreamExistsWaiter(client).Wait(ctx, &kinesis.DescribeStreamInput{StreamName: aws.String(streamName)}, time.Minute)
}

func (d *demo) buckets() *s3.Client {
	return s3.NewFromConfig(d.aws, func(o *s3.Options) {
		o.BaseEndpoint, o.UsePathStyle, o.DisableLogOutputChecksumValidationSkipped = &d.s3, true, true
	})
}

func (d *demo) install(ctx context.Context, sets ...string) error {
	colon := strings.LastIndex(d.image, ":")
	args := []string{"--kube-context", d.context, "--namespace", d.namespace, "upgrade", release, "helm/consumer", "--install", "--wait", "--timeout", "5m",
		"--values", "helm/demo/values.yaml", "--set", "image.repository=" + d.image[:colon], "--set", "image.tag=" + d.image[colon+1:]}
	for _, set := range sets {
		args = append(args, "--set", set)
	}
	return d.show(ctx, "helm", args...)
}

// check reads the files until all trips are there, and returns an error unless each is there once. helm test has sent a
// record to each shard.
func (d *demo) check(ctx context.Context) error {
	bucket := objects.Bucket{API: d.buckets(), Name: bucketName}
	want := d.records + shards
	for deadline := time.Now().Add(3 * time.Minute); ; {
		rows, files, ids := 0, 0, make(map[string]bool)
		for o, err := range bucket.List(ctx, "data/", "") {
			if err != nil {
				return err
			}
			files++
			if err := audit.EachID(ctx, bucket, layout.ManifestFile{Key: *o.Key}, func(id []byte) { rows++; ids[string(id)] = true }); err != nil {
				return err
			}
		}
		if rows < want && time.Now().Before(deadline) {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(time.Second):
			}
			continue
		}
		fmt.Printf("\n%d of %d delivered, %d duplicates, in %d files\n", len(ids), want, rows-len(ids), files)
		if len(ids) != want || rows != len(ids) {
			return errors.New("records are missing or duplicated")
		}
		return nil
	}
}
