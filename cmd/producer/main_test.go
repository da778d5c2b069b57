package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"aws-streaming-pipeline/internal/command"
	"aws-streaming-pipeline/internal/localstream"
)

// asProgram makes this test binary be the program itself, so that exit statuses and signals are those of a process.
const asProgram = "PRODUCER_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
	}
	os.Exit(m.Run())
}

// program is a started producer.
type program struct {
	*exec.Cmd
	stdout, stderr bytes.Buffer
}

// prepare prepares a producer with an environment that has credentials and, unless region is empty, a region.
func prepare(t *testing.T, region string, args ...string) *program {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := &program{Cmd: exec.CommandContext(t.Context(), self, args...)}
	p.Cmd.Stdout, p.Cmd.Stderr = &p.stdout, &p.stderr
	nowhere := filepath.Join(t.TempDir(), "none")
	p.Env = []string{
		asProgram + "=1", "AWS_ACCESS_KEY_ID=local", "AWS_SECRET_ACCESS_KEY=local", "AWS_REGION=" + region,
		"AWS_CONFIG_FILE=" + nowhere, "AWS_SHARED_CREDENTIALS_FILE=" + nowhere, "AWS_EC2_METADATA_DISABLED=true",
	}
	return p
}

// status waits for the end and returns the exit status.
func (p *program) status(t *testing.T) int {
	t.Helper()
	err := p.Wait()
	var exit *exec.ExitError
	switch e := err.(type) {
	case nil:
		return 0
	case *exec.ExitError:
		exit = e
	default:
		t.Fatal(err)
	}
	return exit.ExitCode()
}

func (p *program) run(t *testing.T) int {
	t.Helper()
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	return p.status(t)
}

// wants fails the test unless the program ended with the status and said each of the texts.
func (p *program) wants(t *testing.T, got, status int, texts ...string) {
	t.Helper()
	said := p.stdout.String() + p.stderr.String()
	if got != status {
		t.Errorf("exit status %d, want %d", got, status)
	}
	for _, text := range texts {
		if !strings.Contains(said, text) {
			t.Errorf("nothing says %q", text)
		}
	}
	if t.Failed() {
		t.Logf("%s\n%s", p.Args, said)
	}
}

func startStream(t *testing.T) *localstream.Server {
	t.Helper()
	server, err := localstream.Start("127.0.0.1:0", localstream.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := server.CreateStream("trips", 2); err != nil {
		t.Fatal(err)
	}
	return server
}

// held counts the records of the stream by partition key.
func held(t *testing.T, server *localstream.Server) map[string]int {
	t.Helper()
	shards, err := server.Shards("trips")
	if err != nil {
		t.Fatal(err)
	}
	records := map[string]int{}
	for _, shard := range shards {
		for r := range server.Records("trips", shard.ID) {
			records[r.PartitionKey]++
		}
	}
	return records
}

func wantOnce(t *testing.T, server *localstream.Server, rows int) {
	t.Helper()
	records := held(t, server)
	if len(records) != rows {
		t.Errorf("%d different rows in the stream, want %d", len(records), rows)
	}
	for key, n := range records {
		if n != 1 {
			t.Errorf("row %s is in the stream %d times", key, n)
		}
	}
}

func writeFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "rows.csv")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestProgram_ExitStatusTellsWhatBecameOfTheRows(t *testing.T) {
	good := writeFile(t, "id,v\n1,a\n2,b\n")
	faulty := writeFile(t, "id,v\n1,a\n2\n3,c\n")
	for _, test := range []struct {
		name   string
		args   []string
		status int
		rows   int // that arrive
		says   []string
	}{
		{"all rows of a file", []string{"--csv", good, "--partition-key=id"}, 0, 2,
			[]string{"sent 2 records", "shardId-000000000001"}},
		{"made-up trips", []string{"--generate=700", "--seed=3"}, 0, 700, []string{"sent 700 records"}},
		{"nothing left", []string{"--generate=5", "--skip=5"}, 0, 0, []string{"sent 0 records"}},
		{"bad rows skipped", []string{"--csv", faulty, "--partition-key=id"}, 3, 2,
			[]string{faulty + ":3: 1 cells, the header has 2: skipped", "skipped: 1 bad rows"}},
		{"a bad row that is not to be", []string{"--csv", faulty, "--partition-key=id", "--on-bad-row=fail"}, 1, 1,
			[]string{faulty + ":3: 1 cells, the header has 2", "the first 1 rows were sent; --skip 1 continues after them"}},
		{"no such stream", []string{"--generate=5", "--stream=other"}, 1, 0, []string{"list shards of stream other", "--skip 0"}},
		{"no such stream, unpaced", []string{"--generate=5", "--stream=other", "--pace=false"}, 1, 0,
			[]string{"producer: put 5 records into stream other: --stream=\"other\": stream other does not exist: ResourceNotFoundException: Stream other", "create it, or correct --stream"}},
		{"no such stream, in all words", []string{"--generate=5", "--stream=other", "--verbose"}, 1, 0,
			[]string{"stream other does not exist", "in the words of the SDK: list shards of stream other: operation error Kinesis"}},
		{"no such column", []string{"--csv", good}, 2, 0, []string{`--partition-key="TRIP_ID": want one of the columns id, v`}},
		{"faulty settings", []string{"--csv", good, "--generate=5", "--rate=fast", "--in-flight=100"}, 2, 0,
			[]string{`--rate="fast": want a number`, `--in-flight="100": want 1 to 64 calls`, `--generate="5": want nothing if --csv is set`}},
		{"help", []string{"--help"}, 0, 0, []string{"--partition-key COLUMN", "Exit status:", "130"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			server := startStream(t)
			args := append([]string{"--endpoint-url", server.URL(), "--stream=trips"}, test.args...)
			p := prepare(t, "us-east-1", args...)
			p.wants(t, p.run(t), test.status, test.says...)
			wantOnce(t, server, test.rows)
		})
	}
}

func TestProgram_TellsEveryFaultOfTheSettingsAtOnce(t *testing.T) {
	p := prepare(t, "", "--csv", t.TempDir(), "--seed=-1", "--repeat=-1", "--skip=-1", "--on-bad-row=ask", "--stream=a b",
		"--rate=-5", "--pace=perhaps", "--max-record-kib=20000", "--in-flight=0", "--give-up-after=soon", "--drain-for=0s",
		"--endpoint-url=localhost:4567")
	p.wants(t, p.run(t), command.ExitUsage,
		"--csv=", "--seed=", "--repeat=", "--skip=", "--on-bad-row=", "--stream=", "--rate=", "--pace=",
		"--max-record-kib=", "--in-flight=", "--give-up-after=", "--drain-for=", "--endpoint-url=", "--region=",
		"producer --help shows the flags")
	more := prepare(t, "", "--generate=5", "more")
	more.wants(t, more.run(t), command.ExitUsage, `takes only flags, got "more"`)
}

func TestProgram_InterruptedItGoesOnWhereItStopped(t *testing.T) {
	for _, signal := range []os.Signal{os.Interrupt, syscall.SIGTERM} {
		t.Run(signal.String(), func(t *testing.T) {
			server := startStream(t)
			args := []string{"--endpoint-url", server.URL(), "--stream=trips", "--generate=1000", "--rate=400"}
			p := prepare(t, "us-east-1", args...)
			if err := p.Start(); err != nil {
				t.Fatal(err)
			}
			waitFor(t, "some rows in the stream", func() bool { return len(held(t, server)) > 0 })
			if err := p.Process.Signal(signal); err != nil {
				t.Fatal(err)
			}
			p.wants(t, p.status(t), command.ExitInterrupted, "producer: interrupted")
			hint := regexp.MustCompile(`--skip (\d+)`).FindStringSubmatch(p.stderr.String())
			if hint == nil {
				t.Fatalf("no word of how to go on: %s", &p.stderr)
			}
			wantOnce(t, server, len(held(t, server)))
			if sent := fmt.Sprint(len(held(t, server))); sent != hint[1] {
				t.Errorf("%s rows in the stream, --skip %s", sent, hint[1])
			}

			rest := prepare(t, "us-east-1", append(args, "--rate=0", "--skip="+hint[1])...)
			rest.wants(t, rest.run(t), 0)
			wantOnce(t, server, 1000)
		})
	}
}

func TestProgram_ReadsStandardInputAndSendsWhatHasCome(t *testing.T) {
	server := startStream(t)
	p := prepare(t, "us-east-1", "--endpoint-url", server.URL(), "--stream=trips", "--csv=-", "--partition-key=id")
	in, err := p.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(in, "id\n1\n2\n"); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the rows in the stream", func() bool { return len(held(t, server)) == 2 })
	if err := p.Process.Signal(os.Interrupt); err != nil { // while it waits for input
		t.Fatal(err)
	}
	p.wants(t, p.status(t), command.ExitInterrupted, "--skip 2")
}

func TestProgram_WritesTripsToAFile(t *testing.T) {
	want, err := os.ReadFile("../../producer/testdata/trips.csv")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "trips.csv")
	p := prepare(t, "", "--generate=300", "--write-csv", path)
	p.wants(t, p.run(t), 0)
	if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, want) {
		t.Errorf("the file is not the sample: %v", err)
	}
	toStdout := prepare(t, "", "--generate=300", "--write-csv=-")
	if status := toStdout.run(t); status != 0 || !bytes.Equal(toStdout.stdout.Bytes(), want) {
		t.Errorf("standard output is not the sample, exit status %d", status)
	}
	lost := prepare(t, "", "--generate=300", "--write-csv", filepath.Join(path, "below"))
	lost.wants(t, lost.run(t), command.ExitFailed)
	long := filepath.Join(t.TempDir(), "long.csv")
	endless := prepare(t, "", "--generate=10000000000", "--write-csv", long)
	if err := endless.Start(); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "some rows in the file", func() bool {
		info, err := os.Stat(long)
		return err == nil && info.Size() > 0
	})
	if err := endless.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	endless.wants(t, endless.status(t), command.ExitInterrupted)
	alone := prepare(t, "", "--write-csv=-")
	alone.wants(t, alone.run(t), command.ExitUsage, "--generate")
}

// waitFor polls what another process brings about.
func waitFor(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); !done(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}
