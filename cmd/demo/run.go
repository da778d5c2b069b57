package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"golang.org/x/term"

	"aws-streaming-pipeline/athena"
	"aws-streaming-pipeline/consumer"
	"aws-streaming-pipeline/internal/awshttp"
	"aws-streaming-pipeline/internal/localbucket"
	"aws-streaming-pipeline/internal/localstream"
	"aws-streaming-pipeline/producer"
)

const (
	streamName = "taxi-trips"
	bucketName = "trips"
	// patience is how long to wait for the daemon after the last trip was sent.
	patience = 3 * time.Minute
)

// stage holds the embedded services around the pipeline.
type stage struct {
	stream *localstream.Server
	bucket *localbucket.Server
	aws    aws.Config
	folder string // of the bucket
	schema string // file
}

func run(ctx context.Context, o options, out io.Writer) (err error) {
	if _, err := os.Stat(o.out); err == nil {
		return fmt.Errorf("-out=%s: folder exists: want a new one", o.out)
	}
	st, err := setStage(ctx, o)
	if err != nil {
		return err
	}
	defer st.close()
	d, cfg, err := st.daemon(ctx, o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	address := cfg.HTTPAddress
	fmt.Fprintf(out, "status page   http://%s/\nstream        %s at %s, %d shards\nfiles         %s\n\n",
		address, streamName, st.stream.URL(), o.shards, st.folder)

	var table loading
	if open := o.destination(); open != nil {
		l, err := open(ctx, st, cfg, d.Store(), o.log())
		if err != nil {
			return err
		}
		table = startLoading(ctx, l)
		defer func() { _ = table.stop() }() // finish reports its error
	}

	began := time.Now()
	daemonCtx, stopDaemon := context.WithCancel(context.WithoutCancel(ctx))
	defer stopDaemon()
	var running sync.WaitGroup
	var daemonErr error
	running.Go(func() { daemonErr = d.Run(daemonCtx) })

	sent, err := st.send(ctx, o, out)
	if err == nil {
		err = awaitIntake(ctx, d, sent.Records)
	}
	if o.keepRunning && err == nil {
		fmt.Fprintf(out, "\n%d trips sent and read. Running until interrupted: look at http://%s/\n", sent.Records, address)
		switch uri, ok := cfg.PostgresTable(); {
		case o.table:
			printLive(out, st)
		case ok:
			fmt.Fprintf(out, "Records are loaded within seconds: SELECT count(*) FROM %s\n", uri.Table)
		}
		<-ctx.Done()
		ctx = context.WithoutCancel(ctx)
	}
	stopDaemon() // the daemon commits and publishes what it has read
	running.Wait()
	if err != nil && table.lake != nil && table.problem() != "" {
		err = fmt.Errorf("%w; loading: %s", err, table.problem())
	}
	if err := errors.Join(err, daemonErr); err != nil {
		return err
	}
	result, err := inspect(st.folder, o.data())
	if err != nil {
		return err
	}
	result.sent, result.took = sent.Records, time.Since(began)
	result.print(out)
	if table.lake == nil {
		printQuery(out, o, st.folder)
		return result.verdict(out)
	}
	held, err := table.finish(ctx, d.Store())
	if err != nil {
		return err
	}
	held.print(out, st.folder)
	return errors.Join(result.verdict(out), held.verdict(out, result.delivered, len(result.sizes)))
}

// setStage starts the stream and the bucket, and writes the schema of the trips.
func setStage(ctx context.Context, o options) (st *stage, err error) {
	st = &stage{folder: filepath.Join(o.out, "bucket", bucketName), schema: filepath.Join(o.out, "trips.json")}
	defer func() {
		if err != nil {
			st.close()
		}
	}()
	if err := os.MkdirAll(o.out, 0o755); err != nil {
		return st, err
	}
	if st.stream, err = localstream.Start("127.0.0.1:0", localstream.Options{MaxBytes: 4 << 30}); err != nil {
		return st, err
	}
	if st.bucket, err = localbucket.Start("127.0.0.1:0", filepath.Join(o.out, "bucket")); err != nil {
		return st, err
	}
	if err = os.WriteFile(st.schema, athena.TripsSchema, 0o644); err != nil {
		return st, err
	}
	st.aws = aws.Config{Region: "us-east-1", Credentials: credentials.NewStaticCredentialsProvider("demo", "demo", ""), HTTPClient: awshttp.Client(nil)}
	if _, err = st.s3().CreateBucket(ctx, &s3.CreateBucketInput{Bucket: aws.String(bucketName)}); err != nil {
		return st, fmt.Errorf("create bucket %s: %w", bucketName, err)
	}
	if _, err = st.kinesis().CreateStream(ctx, &kinesis.CreateStreamInput{
		StreamName: aws.String(streamName), ShardCount: aws.Int32(int32(o.shards)),
	}); err != nil {
		return st, fmt.Errorf("create stream %s: %w", streamName, err)
	}
	return st, nil
}

func (st *stage) close() {
	if st.bucket != nil {
		st.bucket.Close()
	}
	if st.stream != nil {
		st.stream.Close()
	}
}

func (st *stage) kinesis() *kinesis.Client {
	return kinesis.NewFromConfig(st.aws, func(o *kinesis.Options) { o.BaseEndpoint = aws.String(st.stream.URL()) })
}

func (st *stage) s3() *s3.Client {
	return s3.NewFromConfig(st.aws, func(o *s3.Options) {
		o.BaseEndpoint = aws.String(st.bucket.URL())
		o.UsePathStyle = true
	})
}

// daemon opens the consumer with production settings, except for what the options change.
func (st *stage) daemon(ctx context.Context, o options) (d *consumer.Daemon, cfg consumer.Config, err error) {
	cfg = consumer.Defaults()
	address, err := freeAddress(o.address)
	if err != nil {
		return nil, cfg, err
	}
	cfg.Stream, cfg.Bucket, cfg.HTTPAddress, cfg.Application = streamName, bucketName, address, "demo"
	cfg.Format, cfg.Compression, cfg.CheckpointFile = o.format, o.compression, filepath.Join(o.out, "checkpoints.db")
	cfg.Schema, cfg.PathStyle = st.schema, true
	// There is only one worker, so no other one to wait for.
	cfg.Failover = 2 * time.Second
	if o.table {
		cfg.TableConfig.Table, cfg.Prefix = tableURI, o.data()+"!{timestamp:yyyy-MM-dd}/"
	}
	if o.postgres != "" {
		o.setDatabase(&cfg)
	}
	if o.destination() != nil {
		// Whoever looks at the table while the demo runs sees it grow.
		cfg.CommitInterval, cfg.LoadInterval = 10*time.Second, time.Second
	}
	sizeErr := cfg.FileSize.Decode(o.fileSize)
	if sizeErr != nil {
		sizeErr = fmt.Errorf("-file-size=%s: %w", o.fileSize, sizeErr)
	}
	if err := errors.Join(sizeErr, cfg.Validate()); err != nil {
		return nil, cfg, err
	}
	d, err = consumer.Open(ctx, cfg, consumer.Account{Config: st.aws, KinesisEndpoint: st.stream.URL(), S3Endpoint: st.bucket.URL()}, o.log())
	return d, cfg, err
}

func (o options) log() *slog.Logger {
	to := io.Discard
	if o.verbose {
		to = os.Stderr
	}
	return slog.New(slog.NewTextHandler(to, nil))
}

// data is the prefix of the data files.
func (o options) data() string {
	if o.table {
		return tablePrefix + "/data/"
	}
	return "data/"
}

// freeAddress returns the wanted address, or one with another port if that one is taken.
func freeAddress(wanted string) (string, error) {
	host, _, err := net.SplitHostPort(wanted)
	if err != nil {
		return "", fmt.Errorf("-http=%s: want host:port", wanted)
	}
	for _, address := range []string{wanted, net.JoinHostPort(host, "0")} {
		l, err := net.Listen("tcp", address)
		if err != nil {
			continue
		}
		address = l.Addr().String()
		return address, l.Close()
	}
	return "", fmt.Errorf("-http=%s: cannot listen on this host", wanted)
}

// send generates the trips and sends them.
func (st *stage) send(ctx context.Context, o options, out io.Writer) (producer.Summary, error) {
	terminal := false
	if f, ok := out.(*os.File); ok {
		terminal = term.IsTerminal(int(f.Fd()))
	}
	p, err := producer.New(producer.Config{
		Stream:       streamName,
		Source:       func() (producer.Source, error) { return producer.Generate(o.records, o.seed), nil },
		PartitionKey: "TRIP_ID",
		OnProgress:   func(p producer.Progress) { printProgress(out, terminal, p, o.records) },
	}, st.kinesis())
	if err != nil {
		return producer.Summary{}, err
	}
	summary, err := p.Run(ctx)
	if terminal {
		fmt.Fprintln(out)
	}
	if err != nil {
		return summary, fmt.Errorf("send trips: %w", err)
	}
	return summary, nil
}

func printProgress(out io.Writer, terminal bool, p producer.Progress, total int64) {
	line := fmt.Sprintf("sent %d of %d trips, %.1f MB, %.1f MB/s", p.Records, total, float64(p.Bytes)/1e6, float64(p.Bytes)/1e6/max(p.Elapsed.Seconds(), 0.001))
	if terminal {
		fmt.Fprintf(out, "\r\x1b[K%s", line)
		return
	}
	fmt.Fprintln(out, line)
}

// awaitIntake waits until the daemon has read as many records as were sent.
func awaitIntake(ctx context.Context, d *consumer.Daemon, sent int64) error {
	deadline := time.Now().Add(patience)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for d.Taken() < sent {
		if time.Now().After(deadline) {
			return fmt.Errorf("the daemon has read %d of %d records within %v", d.Taken(), sent, patience)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}
