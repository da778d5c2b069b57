package main

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	_ "embed"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/parquet-go/parquet-go"

	"aws-streaming-pipeline/internal/test/bench/rows"
	"aws-streaming-pipeline/internal/test/gobuild"
)

// load is what is measured: a program that writes a set to files.
type load struct {
	Set     string
	Program string // of programs
	Format  string // parquet-snappy, jsonl-none, ...
	Bytes   int    // of payload
	Shards  int
	Cores   int
	Record  int      // size of records, 0 for the set's own
	Env     []string // more settings of the daemon
	Profile string   // file for the daemon's CPU profile
}

func (l load) String() string {
	set := l.Set
	if l.Record > 0 {
		set = fmt.Sprintf("%s-%d-bytes", set, l.Record)
	}
	return fmt.Sprintf("%s/%s/%s/%d-shards/%d-cores", set, l.Program, l.Format, l.Shards, l.Cores)
}

// result is the cost of a load.
type result struct {
	load
	Records  int64
	Payload  int64 // bytes
	Output   int64 // bytes of data files
	Files    int
	CPU      time.Duration
	Wall     time.Duration // from the start to the last record read
	Peak     int64         // resident bytes
	Cold     coldRun       // of a program that warms up
	Mallocs  int64         // 0 if not known
	GC       time.Duration // CPU of the garbage collector
	Requests map[string]int64
}

// coldRun is the begin of a load, whose cost is that of starting and warming up.
type coldRun struct {
	Payload int64
	CPU     time.Duration
}

// rate is megabytes of payload per CPU second, without the begin of one that warms up.
func (r result) rate() float64 {
	return float64(r.Payload-r.Cold.Payload) / 1e6 / (r.CPU - r.Cold.CPU).Seconds()
}

func (r result) gcShare() float64 { return r.GC.Seconds() / r.CPU.Seconds() }

func (r result) allocsPerRecord() float64 { return float64(r.Mallocs) / float64(r.Records) }

// perGB scales a count to a gigabyte of payload.
func (r result) perGB(n int64) float64 { return float64(n) * 1e9 / float64(r.Payload) }

// The measured programs.
const (
	daemon  = "daemon"
	sdk     = "sdk"    // see package rival
	library = "kcl"    // see package rival
	python  = "python" // loop.py
	limit   = "limit"  // see package rival
)

// bench measures loads against the surroundings.
type bench struct {
	*client
	bin     string            // folder of the programs
	n       int               // loads measured
	libs    map[string]string // folders of the peers that were fetched, by program
	missing map[string]error  // why others are left out
}

// patience bounds one load.
const patience = 10 * time.Minute

// build compiles the measured programs.
func build(ctx context.Context, dir string, more ...string) error {
	for path, target := range map[string]string{"consumer": "cmd/consumer", "rival": "internal/test/bench/rival"} {
		args := append([]string{"build", "-tags", "profile", "-o", filepath.Join(dir, path)}, more...)
		cmd := exec.CommandContext(ctx, "go", append(args, "aws-streaming-pipeline/"+target)...)
		cmd.Env = gobuild.Environment()
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("build %s: %w\n%s", target, err, out)
		}
	}
	return nil
}

// measure runs one load and checks that every record has arrived.
func (b *bench) measure(ctx context.Context, l load) (result, error) {
	if _, isPeer := peers[l.Program]; isPeer {
		return b.measurePeer(ctx, l)
	}
	b.n++
	name := fmt.Sprintf("load-%d", b.n)
	dir := filepath.Join(b.dir, name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return result{}, err
	}
	defer os.RemoveAll(dir)
	if l.Program == python {
		return b.runPython(ctx, l, dir)
	}
	filled, err := b.order(order{Name: name, Set: l.Set, Bytes: l.Bytes, Shards: l.Shards, Record: l.Record})
	if err != nil {
		return result{}, err
	}
	defer b.forget(name)
	r := result{load: l, Records: filled.Records}
	r.Payload = filled.Bytes - keyBytes(filled.Records)
	r, err = b.run(ctx, r, name, dir)
	if err != nil {
		return r, fmt.Errorf("%v: %w", l, err)
	}
	if l.Program == limit {
		return r, r.weigh(b.bucket(name))
	}
	return r, r.inspect(b.bucket(name))
}

// lineBytes is what a JSON line has more than its payload: the event id, a sequence number of 56 digits, and the line feed.
const lineBytes = len(`,"event_id":""`) + 56 + 1

// lines is the size of the daemon's JSON lines.
func (r result) lines() int64 { return r.Payload + r.Records*int64(lineBytes) }

// weigh compares the size of what the limit has uploaded with that of the daemon's lines.
func (r *result) weigh(folder string) error {
	info, err := os.Stat(filepath.Join(folder, "data", "limit"))
	if err != nil {
		return err
	}
	if r.Output, r.Files = info.Size(), 1; r.Output != r.lines() {
		return fmt.Errorf("%v: %d bytes uploaded, want %d", r.load, r.Output, r.lines())
	}
	return nil
}

// keyBytes is the size of the partition keys, the numbers from 0, which a stream counts with the data.
func keyBytes(records int64) (bytes int64) {
	for digits, from, to := int64(1), int64(0), int64(10); from < records; digits, from, to = digits+1, to, to*10 {
		bytes += digits * (min(records, to) - from)
	}
	return bytes
}

// run runs the program until the stream is read.
func (b *bench) run(ctx context.Context, r result, name, dir string) (result, error) {
	p := process{log: filepath.Join(dir, "log"), env: b.environment(r.load, name)}
	status := ""
	binary, isDaemon := binaries[r.Program]
	if isDaemon {
		var err error
		if status, err = freeAddress(); err != nil {
			return r, err
		}
		document := filepath.Join(dir, "schema.json")
		set, _ := rows.Find(r.Set)
		if r.Record > 0 {
			set = set.Sized(r.Record)
		}
		if err := os.WriteFile(document, []byte(set.Document), 0o600); err != nil {
			return r, err
		}
		p.args = []string{filepath.Join(b.bin, binary), "run"}
		p.env = append(p.env, daemonSettings(r.load, dir, document)...)
		p.env = append(p.env, "HTTP_ADDRESS="+status)
	} else {
		p.args = []string{filepath.Join(b.bin, "rival"), r.Program, r.Set}
		p.env = append(p.env, fmt.Sprintf("UPLOAD_BYTES=%d", r.lines())) // of the limit
	}
	began := time.Now()
	running, err := start(ctx, p)
	if err != nil {
		return r, err
	}
	defer running.cmd.Process.Kill()
	if err := b.awaitRead(ctx, running, name); err != nil {
		return r, err
	}
	r.Wall = time.Since(began)
	if status != "" {
		if r.Mallocs, err = mallocs(status); err != nil {
			return r, err
		}
	}
	used, err := running.terminate(patience)
	if err != nil {
		return r, err
	}
	r.CPU, r.Peak = used.CPU, used.Peak
	if !isDaemon {
		var said struct{ Mallocs int64 }
		if err := json.NewDecoder(running.out).Decode(&said); err != nil {
			return r, fmt.Errorf("%s said nothing: %w: %s", r.Program, err, running.tail())
		}
		r.Mallocs = said.Mallocs
	}
	if r.GC, err = collected(p.log); err != nil {
		return r, err
	}
	s, err := b.state(name)
	r.Requests = s.Calls
	return r, err
}

// environment returns the environment of all programs.
func (b *bench) environment(l load, name string) []string {
	return []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + b.dir, "AWS_CA_BUNDLE=" + b.CA, "AWS_EC2_METADATA_DISABLED=true",
		"AWS_REGION=us-east-1", "AWS_ACCESS_KEY_ID=bench", "AWS_SECRET_ACCESS_KEY=bench",
		"AWS_ENDPOINT_URL_KINESIS=" + b.Kinesis, "AWS_ENDPOINT_URL_S3=" + b.S3, "S3_PATH_STYLE=true",
		"STREAM_NAME=" + name, "BUCKET=" + name,
		"GOMAXPROCS=" + strconv.Itoa(l.Cores), "GODEBUG=gctrace=1",
	}
}

func daemonSettings(l load, dir, document string) []string {
	format, codec, _ := strings.Cut(l.Format, "-")
	env := []string{
		"FORMAT=" + format, "COMPRESSION=" + codec, "COMMIT_INTERVAL=1h", "FAILOVER_TIME=2s", "LOG_FORMAT=text",
		"CHECKPOINT_FILE=" + filepath.Join(dir, "checkpoints.db"), "CPU_PROFILE=" + l.Profile,
	}
	if format == "parquet" {
		env = append(env, "SCHEMA="+document)
	}
	return append(env, l.Env...)
}

// awaitRead waits until the reader has moved past every record.
func (b *bench) awaitRead(ctx context.Context, p *process, name string) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		s, err := b.state(name)
		switch {
		case err != nil:
			return err
		case s.Unread == 0 && !s.Feeding:
			return nil
		case !p.running():
			return fmt.Errorf("%s ended early: %s", p.args[0], p.tail())
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("%d records were not read: %w: %s", s.Unread, ctx.Err(), p.tail())
		}
	}
}

func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// mallocs returns the number of the daemon's allocations so far.
func mallocs(status string) (int64, error) {
	return metric(status, "go_memstats_mallocs_total")
}

// metric returns the value of a metric that the daemon has once, with no label but the application's.
func metric(status, name string) (int64, error) {
	r, err := http.Get("http://" + status + "/metrics")
	if err != nil {
		return 0, err
	}
	defer r.Body.Close()
	lines := bufio.NewScanner(r.Body)
	for lines.Scan() {
		sample, value, _ := strings.Cut(lines.Text(), " ")
		if family, _, _ := strings.Cut(sample, "{"); family == name {
			n, err := strconv.ParseFloat(value, 64)
			return int64(n), err
		}
	}
	return 0, errors.Join(fmt.Errorf("/metrics lacks %s", name), lines.Err())
}

// gcLine is a line of gctrace (package runtime, "Environment Variables"): CPU milliseconds of the sweep termination, of
// assists / background workers / idle workers while marking, and of the mark termination. What idle cores do is free.
var gcLine = regexp.MustCompile(`(?m)^gc \d+ @.* ([0-9.]+)\+([0-9.]+)/([0-9.]+)/[0-9.]+\+([0-9.]+) ms cpu`)

// collected sums up the garbage collector's CPU time from a program's log.
func collected(log string) (time.Duration, error) {
	text, err := os.ReadFile(log)
	if err != nil {
		return 0, err
	}
	var sum float64
	for _, m := range gcLine.FindAllSubmatch(text, -1) {
		for _, part := range m[1:] {
			ms, err := strconv.ParseFloat(string(part), 64)
			if err != nil {
				return 0, err
			}
			sum += ms
		}
	}
	return time.Duration(sum * float64(time.Millisecond)), nil
}

// inspect reads the files and compares their rows with the records.
func (r *result) inspect(folder string) error {
	var found int64
	err := filepath.WalkDir(filepath.Join(folder, "data"), func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || strings.HasPrefix(entry.Name(), "_") || strings.HasPrefix(entry.Name(), ".") {
			return err // Spark writes checksums and a mark of success too
		}
		n, size, err := countRows(path)
		found += n
		r.Output += size
		r.Files++
		return err
	})
	if err == nil && found != r.Records {
		err = fmt.Errorf("%v: %d rows in %d files for %d records", r.load, found, r.Files, r.Records)
	}
	return err
}

func countRows(path string) (n, size int64, err error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, 0, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return 0, 0, err
	}
	extension := filepath.Ext(path)
	if extension == "" { // Flink gives its files none
		extension = sniff(f)
	}
	switch extension {
	case ".parquet":
		p, err := parquet.OpenFile(f, info.Size())
		if err != nil {
			return 0, 0, fmt.Errorf("%s: %w", path, err)
		}
		return p.NumRows(), info.Size(), nil
	case ".gz":
		z, err := gzip.NewReader(f)
		if err != nil {
			return 0, 0, fmt.Errorf("%s: %w", path, err)
		}
		n, err = countLines(z)
		return n, info.Size(), err
	case ".jsonl":
		n, err = countLines(f)
		return n, info.Size(), err
	}
	return 0, 0, fmt.Errorf("%s has an unknown extension", path)
}

// sniff returns the extension that fits the file's first bytes.
func sniff(f io.ReaderAt) string {
	magic := make([]byte, 4)
	if _, err := f.ReadAt(magic, 0); err == nil && string(magic) == "PAR1" {
		return ".parquet"
	}
	return ".jsonl"
}

func countLines(in io.Reader) (n int64, err error) {
	buf := make([]byte, 1<<20)
	for {
		read, err := in.Read(buf)
		n += int64(bytes.Count(buf[:read], []byte{'\n'}))
		if err == io.EOF {
			return n, nil
		}
		if err != nil {
			return 0, err
		}
	}
}

//go:embed loop.py
var loop []byte

// runPython converts the set as a Lambda function in Python does, but reads it from a file instead of the network.
func (b *bench) runPython(ctx context.Context, l load, dir string) (result, error) {
	r := result{load: l}
	source, script, target := filepath.Join(dir, "in"), filepath.Join(dir, "loop.py"), filepath.Join(dir, "data", "out.jsonl")
	if _, err := b.order(order{Set: l.Set, Bytes: l.Bytes, File: source}); err != nil {
		return r, err
	}
	err := errors.Join(os.WriteFile(script, loop, 0o600), os.MkdirAll(filepath.Dir(target), 0o755))
	if err == nil {
		err = r.countBase64(source)
	}
	if err != nil {
		return r, err
	}
	p := process{args: []string{"python3", script, source, target}, env: os.Environ(), log: filepath.Join(dir, "log")}
	if r, _, err = runToEnd(ctx, r, p); err != nil {
		return r, err
	}
	return r, r.inspect(dir)
}

// runToEnd runs a program that ends by itself, and returns its standard output.
func runToEnd(ctx context.Context, r result, p process) (result, io.Reader, error) {
	began := time.Now()
	running, err := start(ctx, p)
	if err != nil {
		return r, nil, err
	}
	defer running.cmd.Process.Kill()
	used, err := running.wait(patience)
	r.CPU, r.Peak, r.Wall = used.CPU, used.Peak, time.Since(began)
	return r, running.out, err
}

// countPlain counts the lines of a file, and their bytes.
func countPlain(path string) (lines, payload int64, err error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, 0, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return 0, 0, err
	}
	lines, err = countLines(f)
	return lines, info.Size() - lines, err
}

// countBase64 counts the records in a file of Base64 lines, and their bytes.
func (r *result) countBase64(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		r.Records++
		text := lines.Bytes()
		r.Payload += int64(base64.StdEncoding.DecodedLen(len(text)) - bytes.Count(text[max(0, len(text)-2):], []byte{'='}))
	}
	return lines.Err()
}
