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
	"aws-streaming-pipeline/writers/jsonl"
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
		return fmt.Errorf("--out=%s: folder exists: want a new one", o.out)
	}
	st := &stage{}
	st.at(o)
	cfg, err := st.settings(o)
	if err != nil {
		return err
	}
	defer st.close()
	if err := st.set(ctx, o, "127.0.0.1:0", localbucket.Options{}); err != nil {
		return err
	}
	d, err := consumer.Open(ctx, cfg, consumer.Account{Config: st.aws, KinesisEndpoint: st.stream.URL(), S3Endpoint: st.bucket.URL()}, o.log())
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
		defer func() { err = errors.Join(err, table.stop()) }()
	}

	began := time.Now()
	daemonCtx, stopDaemon := context.WithCancel(context.WithoutCancel(ctx))
	defer stopDaemon()
	var running sync.WaitGroup
	var daemonErr error
	running.Go(func() { daemonErr = d.Run(daemonCtx) })

	check := func(ctx context.Context) error {
		sent, err := st.held()
		if err != nil {
			return err
		}
		r := result{sent: sent, took: time.Since(began), resent: sent != o.records}
		if err := r.inspect(st.folder, o); err != nil {
			return err
		}
		r.print(out)
		if table.lake == nil {
			printQuery(out, o, st.folder)
			return r.verdict(out)
		}
		held, err := table.loaded(ctx, d.Store())
		if err != nil {
			return err
		}
		held.print(out, st.folder)
		return errors.Join(r.verdict(out), held.verdict(out, r.delivered, len(r.sizes)))
	}

	sent, err := st.send(ctx, o, out)
	if err == nil {
		err = await(ctx, "read", sent.Records, d.Taken)
	}
	if err == nil && o.keepRunning {
		err = await(ctx, "delivered", sent.Records, func() int64 { t := d.Status().Pipeline.Totals; return t.Records + t.ErrorRecords })
		if err == nil {
			err = check(ctx)
		}
		if err == nil {
			printLive(out, o, st, cfg)
			<-ctx.Done()
			ctx = context.WithoutCancel(ctx)
			fmt.Fprint(out, "\nstopping, and checking everything that is in the stream by now\n")
			var held int64
			if held, err = st.held(); err == nil {
				err = await(ctx, "read", held, d.Taken)
			}
		}
	}
	stopDaemon() // the daemon commits and publishes what it has read
	running.Wait()
	if err != nil && table.lake != nil && table.problem() != "" {
		err = fmt.Errorf("%w; loading: %s", err, table.problem())
	}
	if err := errors.Join(err, daemonErr); err != nil {
		return err
	}
	return check(ctx)
}

// at notes where the bucket's folder and the schema are.
func (st *stage) at(o options) {
	st.folder, st.schema = filepath.Join(o.out, "bucket", bucketName), filepath.Join(o.out, "trips.json")
}

// set starts the stream, and the bucket at an address, and writes the schema of the trips. The stage must be closed afterwards, after
// an error, too.
func (st *stage) set(ctx context.Context, o options, address string, served localbucket.Options) error {
	err := os.MkdirAll(o.out, 0o755)
	if err != nil {
		return err
	}
	if st.stream, err = localstream.Start("127.0.0.1:0", localstream.Options{MaxBytes: 4 << 30}); err != nil {
		return err
	}
	if st.bucket, err = localbucket.StartWith(address, filepath.Join(o.out, "bucket"), served); err != nil {
		return err
	}
	if err = os.WriteFile(st.schema, athena.TripsSchema, 0o644); err != nil {
		return err
	}
	st.aws = aws.Config{Region: "us-east-1", Credentials: credentials.NewStaticCredentialsProvider("demo", "demo", ""), HTTPClient: awshttp.Client(nil)}
	if _, err = st.s3().CreateBucket(ctx, &s3.CreateBucketInput{Bucket: aws.String(bucketName)}); err != nil {
		return fmt.Errorf("create bucket %s: %w", bucketName, err)
	}
	if _, err = st.kinesis().CreateStream(ctx, &kinesis.CreateStreamInput{
		StreamName: aws.String(streamName), ShardCount: aws.Int32(int32(o.shards)),
	}); err != nil {
		return fmt.Errorf("create stream %s: %w", streamName, err)
	}
	return nil
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

// settings returns those of production, except for what the options change.
func (st *stage) settings(o options) (consumer.Config, error) {
	cfg := consumer.Defaults()
	address, err := freeAddress(o.address)
	if err != nil {
		return cfg, err
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
	if o.format == jsonl.FirehoseKind.Name {
		cfg.Schema, cfg.AppendDelimiter = "", true // a trip a line, so that they can be counted
	}
	if o.destination() != nil || o.keepRunning {
		// Whoever looks at the bucket or the table while the demo runs sees it grow.
		cfg.CommitInterval, cfg.LoadInterval = 10*time.Second, time.Second
	}
	sizeErr := cfg.FileSize.Decode(o.fileSize)
	if sizeErr != nil {
		sizeErr = fmt.Errorf("--file-size=%s: %w", o.fileSize, sizeErr)
	}
	return cfg, errors.Join(sizeErr, cfg.Validate())
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
		return "", fmt.Errorf("--http=%s: want host:port", wanted)
	}
	for _, address := range []string{wanted, net.JoinHostPort(host, "0")} {
		l, err := net.Listen("tcp", address)
		if err != nil {
			continue
		}
		address = l.Addr().String()
		return address, l.Close()
	}
	return "", fmt.Errorf("--http=%s: cannot listen on this host", wanted)
}

// held returns how many records are in the stream, of which the producer of another terminal may have sent some.
func (st *stage) held() (sent int64, err error) {
	shards, err := st.stream.Shards(streamName)
	for _, s := range shards {
		sent += s.Put
	}
	return sent, err
}

// printLive says what can be done while the demo runs.
func printLive(out io.Writer, o options, st *stage, cfg consumer.Config) {
	fmt.Fprintf(out, "\nRunning until interrupted, with a commit every %s. Look at http://%s/, and send more from another terminal:\n\n", cfg.CommitInterval, cfg.HTTPAddress)
	fmt.Fprintf(out, "  AWS_ACCESS_KEY_ID=demo AWS_SECRET_ACCESS_KEY=demo go run ./cmd/producer --region %s --endpoint-url %s --stream %s --generate 5000 --seed 2\n\n",
		st.aws.Region, st.stream.URL(), streamName)
	switch uri, ok := cfg.PostgresTable(); {
	case o.table:
		fmt.Fprintf(out, `Files are loaded into the table within seconds. Read it with pyiceberg (pip install "pyiceberg[pyarrow]"):

  python3 -c 'from pyiceberg.table import StaticTable; print(StaticTable.from_metadata("%s", {"s3.endpoint": "%s", "s3.access-key-id": "demo", "s3.secret-access-key": "demo", "s3.region": "%s"}).scan().count())'

`, tableURI, st.bucket.URL(), st.aws.Region)
	case ok:
		fmt.Fprintf(out, "Records are loaded within seconds: SELECT count(*) FROM %s\n", uri.Table)
	}
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

// await waits until the daemon has done with as many records as were sent what the word says.
func await(ctx context.Context, done string, sent int64, count func() int64) error {
	deadline := time.Now().Add(patience)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for count() < sent {
		if time.Now().After(deadline) {
			return fmt.Errorf("the daemon has %s %d of %d records within %v", done, count(), sent, patience)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}
