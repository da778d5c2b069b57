package main

import (
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"aws-streaming-pipeline/internal/test/bench/rows"
	"aws-streaming-pipeline/internal/test/emulator"
	"aws-streaming-pipeline/record/schema"
)

// peer is a product that people use for the daemon's work, or for the part of it that makes Parquet of JSON.
type peer struct {
	fetch   func(context.Context) (dir string, err error)
	runtime string // must be on the PATH
	class   string // in Java, to be compiled from the folder peers; empty for none
	// streams is set if it goes from the stream to the bucket, over TLS, as the daemon does. The others go from a file to files, which
	// spares them both.
	streams bool
	// warms is set if it runs on a JVM, which compiles the program while it runs. It prints what its start and the first quarter of the load
	// took, which is subtracted.
	warms   bool
	command func(*task) ([]string, error)
}

// The measured products.
const (
	flink  = "flink"
	spark  = "spark"
	polars = "polars"
	duckdb = "duckdb"
)

var peers = map[string]peer{
	flink:  {fetch: emulator.Flink, runtime: "java", class: "StreamToFiles", streams: true, warms: true, command: (*task).flink},
	spark:  {fetch: emulator.SparkJars, runtime: "java", class: "FileToFiles", warms: true, command: (*task).spark},
	polars: {fetch: emulator.Polars, runtime: "python3", command: (*task).python},
	duckdb: {fetch: emulator.DuckDB, runtime: "python3", command: (*task).python},
}

//go:embed peers
var peerFiles embed.FS

// task is what a peer is started for.
type task struct {
	*bench
	load
	lib     string   // what fetch returned
	stream  string   // name of the stream and of the bucket
	sources []string // or the files to read
	records []int64  // of the stream or of each file
	dir     string   // folder for what it writes
}

// prepare fetches the peers of the loads. It names those that cannot be had, or are not wanted, and leaves out their loads.
func (b *bench) prepare(ctx context.Context, without string, loads []load) ([]load, error) {
	if err := os.CopyFS(b.bin, peerFiles); err != nil {
		return nil, err
	}
	b.libs, b.missing = make(map[string]string), make(map[string]error)
	for _, l := range loads {
		p, isPeer := peers[l.Program]
		if !isPeer || b.libs[l.Program] != "" || b.missing[l.Program] != nil {
			continue
		}
		lib, err := "", errors.New("unwanted")
		if without != "all" && !slices.Contains(strings.Split(without, ","), l.Program) {
			lib, err = b.fetchPeer(ctx, p)
		}
		if err != nil {
			fmt.Printf("LEFT OUT: %s: %v\n", title[l.Program], err)
			b.missing[l.Program] = err
			continue
		}
		b.libs[l.Program] = lib
	}
	return slices.DeleteFunc(slices.Clone(loads), func(l load) bool { return b.missing[l.Program] != nil }), nil
}

func (b *bench) fetchPeer(ctx context.Context, p peer) (lib string, err error) {
	if _, err := exec.LookPath(p.runtime); err != nil {
		return "", err
	}
	if lib, err = p.fetch(ctx); err != nil || p.class == "" {
		return lib, err
	}
	folder := filepath.Join(b.bin, "peers")
	compile := exec.CommandContext(ctx, "javac", "-cp", filepath.Join(lib, "*"), "-d", folder, filepath.Join(folder, p.class+".java"))
	if out, err := compile.CombinedOutput(); err != nil {
		return "", fmt.Errorf("compile %s.java: %w: %s", p.class, err, out)
	}
	if !p.streams || exists(b.trust()) {
		return lib, nil
	}
	trust := exec.CommandContext(ctx, "keytool", "-importcert", "-noprompt", "-alias", "bench", "-file", b.CA,
		"-keystore", b.trust(), "-storetype", "PKCS12", "-storepass", trustPassword)
	if out, err := trust.CombinedOutput(); err != nil {
		return "", fmt.Errorf("trust the certificate of the surroundings: %w: %s", err, out)
	}
	return lib, nil
}

// trust is the file in which a JVM finds the certificate of the surroundings.
func (b *bench) trust() string { return filepath.Join(b.bin, "trust.p12") }

const trustPassword = "changeit" // Java's usual one; there is nothing secret in the file

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// measurePeer runs a peer on a load and checks that every record has arrived.
func (b *bench) measurePeer(ctx context.Context, l load) (result, error) {
	b.n++
	name := fmt.Sprintf("load-%d", b.n)
	p, t := peers[l.Program], &task{bench: b, load: l, lib: b.libs[l.Program], stream: name, dir: filepath.Join(b.dir, name)}
	if err := os.MkdirAll(filepath.Join(t.dir, "data"), 0o755); err != nil {
		return result{}, err
	}
	defer os.RemoveAll(t.dir)
	r, err := t.fill(p)
	if err != nil {
		return r, err
	}
	if p.streams {
		defer b.forget(name)
	}
	args, err := p.command(t)
	if err != nil {
		return r, err
	}
	env := append(os.Environ(), "PYTHONPATH="+t.lib, "POLARS_MAX_THREADS="+strconv.Itoa(l.Cores), "AWS_EC2_METADATA_DISABLED=true")
	r, said, err := runToEnd(ctx, r, process{args: args, env: env, log: filepath.Join(t.dir, "log")})
	if err != nil {
		return r, fmt.Errorf("%v: %w", l, err)
	}
	if p.warms {
		var cold struct{ Rows, CPU int64 }
		if err := json.NewDecoder(said).Decode(&cold); err != nil {
			return r, fmt.Errorf("%v did not say what the start took: %w", l, err)
		}
		r.Cold = coldRun{r.Payload * cold.Rows / r.Records, time.Duration(cold.CPU)}
	}
	if !p.streams {
		return r, r.inspect(t.dir)
	}
	s, err := b.state(name)
	r.Requests = s.Calls
	return r, errors.Join(err, r.inspect(b.bucket(name)))
}

// fill makes what the peer reads: the stream or files, of which one that warms up gets two, the first with a quarter of the load.
func (t *task) fill(p peer) (result, error) {
	r := result{load: t.load}
	if p.streams {
		filled, err := t.order(order{Name: t.stream, Set: t.Set, Bytes: t.Bytes, Shards: t.Shards})
		t.records = []int64{filled.Records}
		r.Records, r.Payload = filled.Records, filled.Bytes-keyBytes(filled.Records)
		return r, err
	}
	sizes := []int{t.Bytes}
	if p.warms {
		sizes = []int{t.Bytes / 4, t.Bytes - t.Bytes/4}
	}
	for i, size := range sizes {
		path := filepath.Join(t.dir, fmt.Sprintf("in-%d.jsonl", i))
		if _, err := t.order(order{Set: t.Set, Bytes: size, File: path, Plain: true}); err != nil {
			return r, err
		}
		records, payload, err := countPlain(path)
		if err != nil {
			return r, err
		}
		t.sources, t.records = append(t.sources, path), append(t.records, records)
		r.Records, r.Payload = r.Records+records, r.Payload+payload
	}
	return r, nil
}

// java returns the command of a class with the settings of Java 17 that its libraries ask for, and a heap of 2 GB.
func (t *task) java(class string, properties []string, args ...string) []string {
	command := []string{"java", "-Xmx2g", "-XX:ActiveProcessorCount=" + strconv.Itoa(t.Cores)}
	// The list of Spark's JavaModuleOptions, which contains what Flink's documentation, "Java compatibility", lists.
	for _, name := range []string{"java.lang", "java.lang.invoke", "java.lang.reflect", "java.io", "java.net", "java.nio", "java.time", "java.util",
		"java.util.concurrent", "java.util.concurrent.atomic", "sun.nio.ch", "sun.nio.cs", "sun.security.action", "sun.util.calendar"} {
		command = append(command, "--add-opens=java.base/"+name+"=ALL-UNNAMED")
	}
	for _, property := range properties {
		command = append(command, "-D"+property)
	}
	classes := filepath.Join(t.bin, "peers") + string(os.PathListSeparator) + filepath.Join(t.lib, "*")
	return append(append(command, "-cp", classes, class), args...)
}

// flink reads with Flink's Kinesis source and writes with its file sink and S3 file system. JSON lines go through as they are, which is
// the cheapest way: its format "raw" parses nothing and adds nothing.
func (t *task) flink() ([]string, error) {
	format, _, _ := strings.Cut(t.Format, "-")
	columns, selected, in, out := "`line` BYTES", "`line`", "'format'='raw'", "'format'='raw'"
	read := columns // of the stream
	if format == "parquet" {
		names, err := columnsOf(t.Set)
		if err != nil {
			return nil, err
		}
		columns, selected = names.list("`", flinkTypes), names.list("`", nil)+", event_id"
		read = columns + ", event_id STRING NOT NULL METADATA FROM 'sequence-number' VIRTUAL"
		columns += ", event_id STRING"
		in = "'format'='json','json.timestamp-format.standard'='ISO-8601'"
		out = "'format'='parquet','parquet.compression'='SNAPPY','parquet.write.int64.timestamp'='true','parquet.utc-timezone'='true'"
	}
	settings := []string{
		"s3.endpoint=" + t.S3, "s3.path.style.access=true", "s3.access-key=bench", "s3.secret-key=bench",
		"s3.aws.credentials.provider=org.apache.hadoop.fs.s3a.SimpleAWSCredentialsProvider", // it looks for a machine's role first
		"s3.directory.marker.retention=keep",                                                // no deletes of folders that do not exist
		"pipeline.object-reuse=true",                                                        // "Execution Configuration" of its documentation
		"security.delegation.tokens.enabled=false", "execution.checkpointing.interval=1h", "restart-strategy.type=none", "parallelism.default=1",
		"rest.address=127.0.0.1", "rest.bind-address=127.0.0.1", "rest.port=0",
	}
	return t.java("StreamToFiles", []string{
		"javax.net.ssl.trustStore=" + t.trust(), "javax.net.ssl.trustStorePassword=" + trustPassword, "org.slf4j.simpleLogger.defaultLogLevel=warn",
	},
		strconv.FormatInt(t.records[0], 10), filepath.Join(t.dir, "savepoint"), strings.Join(settings, " "),
		fmt.Sprintf("CREATE TABLE source (%s) WITH ('connector'='kinesis','stream'='%s','aws.region'='us-east-1','aws.endpoint'='%s',"+
			"'aws.credentials.provider'='BASIC','aws.credentials.basic.accesskeyid'='bench','aws.credentials.basic.secretkey'='bench',"+
			"'scan.stream.initpos'='TRIM_HORIZON',%s)", read, t.stream, t.Kinesis, in),
		fmt.Sprintf("CREATE TABLE target (%s) WITH ('connector'='filesystem','path'='s3://%s/data',%s)", columns, t.stream, out),
		fmt.Sprintf("INSERT INTO target SELECT %s FROM source WHERE counted()", selected)), nil
}

func (t *task) spark() ([]string, error) {
	names, err := columnsOf(t.Set)
	if err != nil {
		return nil, err
	}
	return t.java("FileToFiles", []string{
		"spark.driver.host=127.0.0.1", "spark.driver.bindAddress=127.0.0.1", "spark.ui.enabled=false", "spark.log.level=ERROR",
		"spark.sql.session.timeZone=UTC", "spark.sql.parquet.outputTimestampType=TIMESTAMP_MICROS", "spark.sql.parquet.compression.codec=snappy",
	}, names.list("`", sparkTypes), strconv.FormatInt(t.records[0], 10),
		t.sources[0], filepath.Join(t.dir, "data", "first"), t.sources[1], filepath.Join(t.dir, "data", "rest")), nil
}

func (t *task) python() ([]string, error) {
	names, err := columnsOf(t.Set)
	if err != nil {
		return nil, err
	}
	columns := "{" + names.list(`"`, pythonTypes) + "}"
	return []string{"python3", filepath.Join(t.bin, "peers", "file_to_file.py"), t.Program, t.sources[0], filepath.Join(t.dir, "data", "out.parquet"), columns}, nil
}

// columns are those of a set.
type columns []*schema.Field

// types are what follows a column's name in a list of columns, by kind.
type types map[schema.Kind]string

var (
	flinkTypes = types{schema.String: " STRING", schema.Int64: " BIGINT", schema.Double: " DOUBLE", schema.Boolean: " BOOLEAN",
		schema.TimestampMicros: " TIMESTAMP_LTZ(6)"}
	sparkTypes = types{schema.String: " STRING", schema.Int64: " BIGINT", schema.Double: " DOUBLE", schema.Boolean: " BOOLEAN",
		schema.TimestampMicros: " TIMESTAMP"}
	pythonTypes = types{schema.String: `: "VARCHAR"`, schema.Int64: `: "BIGINT"`, schema.Double: `: "DOUBLE"`, schema.Boolean: `: "BOOLEAN"`,
		schema.TimestampMicros: `: "TIMESTAMP"`}
)

func columnsOf(set string) (columns, error) {
	s, ok := rows.Find(set)
	if !ok {
		return nil, fmt.Errorf("there is no set %q", set)
	}
	return s.Schema().Fields, nil
}

// list joins the names of the columns in quotes, each with its type if there are types.
func (c columns) list(quote string, t types) string {
	var all []string
	for _, f := range c {
		all = append(all, quote+f.Name+quote+t[f.Kind])
	}
	return strings.Join(all, ", ")
}
