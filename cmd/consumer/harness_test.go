package main_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"aws-streaming-pipeline/internal/awshttp"
	"aws-streaming-pipeline/internal/localbucket"
	"aws-streaming-pipeline/internal/localstream"
	"aws-streaming-pipeline/internal/test/gobuild"
	"aws-streaming-pipeline/internal/test/race"
)

const (
	streamName = "trips"
	bucketName = "out"
)

// binary is the consumer as it is shipped, built once for all tests.
var binary = sync.OnceValues(func() (string, error) {
	path := filepath.Join(os.TempDir(), fmt.Sprintf("consumer-%d", os.Getpid()))
	return path, gobuild.Compile(path, ".")
})

// together is how many tests run at once on a machine with fewer cores: most of the time they wait for what their processes wait for.
const together = 4

func TestMain(m *testing.M) {
	flag.Parse()
	if limit := flag.Lookup("test.parallel"); limit.Value.String() == limit.DefValue && runtime.GOMAXPROCS(0) < together {
		flag.Set(limit.Name, strconv.Itoa(together))
	}
	code := m.Run()
	for _, name := range []string{"consumer", "loader", "producer"} {
		os.Remove(filepath.Join(os.TempDir(), fmt.Sprintf("%s-%d", name, os.Getpid())))
	}
	os.Exit(code)
}

// surroundings are a stream and a bucket that outlive the consumers of a test.
type surroundings struct {
	t       *testing.T
	stream  *localstream.Server
	bucket  *localbucket.Server
	kinesis *kinesis.Client
	s3      *s3.Client
	dir     string
}

func newSurroundings(t *testing.T, shards int32) *surroundings {
	t.Helper()
	race.LeaveOut(t)
	s := &surroundings{t: t, dir: t.TempDir()}
	var err error
	if s.stream, err = localstream.Start("127.0.0.1:0", localstream.Options{MaxBytes: 2 << 30}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.stream.Close() })
	if s.bucket, err = localbucket.Start("127.0.0.1:0", filepath.Join(s.dir, "bucket")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.bucket.Close() })
	account := aws.Config{Region: "us-east-1", Credentials: credentials.NewStaticCredentialsProvider("test", "test", ""), HTTPClient: awshttp.Keep(nil)}
	s.kinesis = kinesis.NewFromConfig(account, func(o *kinesis.Options) { o.BaseEndpoint = aws.String(s.stream.URL()) })
	s.s3 = s3.NewFromConfig(account, func(o *s3.Options) {
		o.BaseEndpoint = aws.String(s.bucket.URL())
		o.UsePathStyle = true
	})
	if _, err := s.s3.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: aws.String(bucketName)}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.kinesis.CreateStream(t.Context(), &kinesis.CreateStreamInput{
		StreamName: aws.String(streamName), ShardCount: aws.Int32(shards),
	}); err != nil {
		t.Fatal(err)
	}
	return s
}

// environment are the settings of a consumer on these surroundings, and what the test adds.
func (s *surroundings) environment(more ...string) []string {
	return append([]string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + s.dir,
		"AWS_REGION=us-east-1", "AWS_ACCESS_KEY_ID=test", "AWS_SECRET_ACCESS_KEY=test", "AWS_EC2_METADATA_DISABLED=true",
		"AWS_ENDPOINT_URL_KINESIS=" + s.stream.URL(), "AWS_ENDPOINT_URL_S3=" + s.bucket.URL(), "S3_PATH_STYLE=true",
		"STREAM_NAME=" + streamName, "BUCKET=" + bucketName, "CHECKPOINT_FILE=" + filepath.Join(s.dir, "checkpoints.db"),
		"HTTP_ADDRESS=", "FAILOVER_TIME=1s", "COMMIT_INTERVAL=1s", "LOG_FORMAT=text",
	}, more...)
}

// process is a consumer that runs.
type process struct {
	t      *testing.T
	cmd    *exec.Cmd
	log    *bytes.Buffer
	exited chan error
}

func (s *surroundings) start(more ...string) *process { return s.startIn("", more...) }

// startIn starts a consumer in the control group that takes its processes in a file, or in none.
func (s *surroundings) startIn(processes string, more ...string) *process {
	s.t.Helper()
	path, err := binary()
	if err != nil {
		s.t.Fatal(err)
	}
	cmd := exec.Command(path)
	if processes != "" {
		cmd = exec.Command("sh", "-c", `echo $$ > "$0" && exec "$1"`, processes, path)
	}
	p := &process{t: s.t, cmd: cmd, log: new(bytes.Buffer), exited: make(chan error, 1)}
	p.cmd.Env = s.environment(more...)
	p.cmd.Stderr = p.log
	if err := p.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	go func() { p.exited <- p.cmd.Wait() }()
	s.t.Cleanup(func() {
		p.cmd.Process.Kill()
		<-p.exited
	})
	return p
}

// kill ends the process with SIGKILL.
func (p *process) kill() {
	p.t.Helper()
	if err := p.cmd.Process.Kill(); err != nil {
		p.t.Fatalf("kill: %v\n%s", err, p.log)
	}
	p.exited <- <-p.exited // the exit is known now; Cleanup takes it again
}

// patience is what every wait in real time has, however busy the machine is.
const patience = 2 * time.Minute

// terminate sends SIGTERM and returns how the process ended.
func (p *process) terminate() error {
	p.t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		p.t.Fatalf("terminate: %v\n%s", err, p.log)
	}
	select {
	case err := <-p.exited:
		p.exited <- err
		return err
	case <-time.After(patience):
		p.t.Fatalf("not stopped %v after SIGTERM\n%s", patience, p.log)
		return nil
	}
}

// files returns the paths of all files whose key begins with the prefix.
func (s *surroundings) files(prefix string) []string {
	s.t.Helper()
	root := filepath.Join(s.dir, "bucket", bucketName)
	var files []string
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		key, err := filepath.Rel(root, path)
		if err == nil && strings.HasPrefix(filepath.ToSlash(key), prefix) {
			files = append(files, path)
		}
		return err
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return files
}

// lines returns the lines of all files whose key begins with the prefix.
func (s *surroundings) lines(prefix string) []json.RawMessage {
	s.t.Helper()
	root := filepath.Join(s.dir, "bucket", bucketName)
	var lines []json.RawMessage
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		key, err := filepath.Rel(root, path)
		if err != nil || !strings.HasPrefix(filepath.ToSlash(key), prefix) {
			return err
		}
		file, err := os.Open(path)
		if err != nil {
			return err
		}
		defer file.Close()
		var in io.Reader = file
		if strings.HasSuffix(path, ".gz") {
			if in, err = gzip.NewReader(file); err != nil {
				return fmt.Errorf("%s: %w", path, err)
			}
		}
		scanner := bufio.NewScanner(in)
		scanner.Buffer(nil, 16<<20)
		for scanner.Scan() {
			lines = append(lines, bytes.Clone(scanner.Bytes()))
		}
		return scanner.Err()
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return lines
}

// eventually waits for a condition.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	within(t, patience, what, ok)
}

// within waits for a condition that much work comes before. What takes long to find out, such as the lines of many files, is asked less
// often, so that the processes under test have most of the CPU time.
func within(t *testing.T, patience time.Duration, what string, ok func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for {
		asked := time.Now()
		if ok() {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("not within %v: %s", patience, what)
		case <-time.After(max(50*time.Millisecond, min(4*time.Since(asked), time.Second))):
		}
	}
}
