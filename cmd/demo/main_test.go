package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"aws-streaming-pipeline/internal/test/gobuild"
)

// built are the commands of the repository that the tests run, each built once.
var built = map[string]func() (string, error){"consumer": build("consumer"), "demo": build("demo"), "producer": build("producer")}

func build(name string) func() (string, error) {
	return sync.OnceValues(func() (string, error) {
		file := filepath.Join(os.TempDir(), fmt.Sprintf("%s-of-demo-%d", name, os.Getpid()))
		return file, gobuild.Compile(file, "aws-streaming-pipeline/cmd/"+name)
	})
}

func TestMain(m *testing.M) {
	code := m.Run()
	for name := range built {
		os.Remove(filepath.Join(os.TempDir(), fmt.Sprintf("%s-of-demo-%d", name, os.Getpid())))
	}
	os.Exit(code)
}

// program returns the command of the repository with this name.
func program(t *testing.T, name string) string {
	t.Helper()
	file, err := built[name]()
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// session is a program that runs until it is interrupted.
type session struct {
	t   *testing.T
	cmd *exec.Cmd
	out *bufio.Scanner
}

func start(t *testing.T, cmd *exec.Cmd) *session {
	t.Helper()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill() })
	return &session{t, cmd, bufio.NewScanner(out)}
}

// until returns the lines up to the one that matches.
func (s *session) until(pattern string) (lines []string) {
	s.t.Helper()
	for want := regexp.MustCompile(pattern); s.out.Scan(); {
		lines = append(lines, s.out.Text())
		if want.MatchString(s.out.Text()) {
			return lines
		}
	}
	s.t.Fatalf("no line matches %q in:\n%s", pattern, strings.Join(lines, "\n"))
	return nil
}

// end interrupts the program and returns what it then printed.
func (s *session) end() string {
	s.t.Helper()
	if err := s.cmd.Process.Signal(syscall.SIGINT); err != nil {
		s.t.Fatal(err)
	}
	var rest []string
	for s.out.Scan() {
		rest = append(rest, s.out.Text())
	}
	if err := s.cmd.Wait(); err != nil {
		s.t.Errorf("it ended with %v:\n%s", err, strings.Join(rest, "\n"))
	}
	return strings.Join(rest, "\n")
}

// shell runs a printed command line, in which go run is replaced by the programs that the test has built.
func shell(t *testing.T, programs map[string]string, line string) *exec.Cmd {
	for name, file := range programs {
		line = strings.ReplaceAll(line, "go run ./cmd/"+name, file)
	}
	return exec.CommandContext(t.Context(), "sh", "-c", line)
}

// With --keep-running the demo checks first, prints a command that sends more, and counts what that sent when it stops. Firehose's format has no
// event ids, so it is told apart by trips.
func TestDemo_KeepsRunningAndCountsWhatOthersSend(t *testing.T) {
	t.Parallel()
	demo, producer := program(t, "demo"), program(t, "producer")
	folder := filepath.Join(t.TempDir(), "out")
	running := start(t, exec.CommandContext(t.Context(), demo, "--keep-running", "--format", "firehose", "--records", "2000", "--http", "127.0.0.1:0", "--out", folder))
	running.until("^2000 of 2000 delivered, 0 duplicates$")
	lines := running.until("go run ./cmd/producer")
	if printed, err := shell(t, map[string]string{"producer": producer}, lines[len(lines)-1]).CombinedOutput(); err != nil {
		t.Fatalf("%v:\n%s", err, printed)
	}
	if rest := running.end(); !strings.Contains(rest, "\n7000 of 7000 delivered, 0 duplicates") {
		t.Errorf("the second check is missing:\n%s", rest)
	}
}

// The commands that --services prints deliver every trip, by the programs of production, and the audit proves it.
func TestDemo_ServicesForADaemonByHand(t *testing.T) {
	t.Parallel()
	programs := map[string]string{"consumer": program(t, "consumer"), "producer": program(t, "producer")}
	folder := filepath.Join(t.TempDir(), "out")
	taken, err := net.Listen("tcp", servicesAddress)
	if err == nil {
		defer taken.Close()
	} // else another program listens there
	services := start(t, exec.CommandContext(t.Context(), program(t, "demo"), "--services", "--records", "2000", "--out", folder))
	lines := services.until("audit")
	if taken != nil && !strings.Contains(lines[0], servicesAddress+" is taken by another program") {
		t.Errorf("it does not say that its port is taken:\n%s", strings.Join(lines, "\n"))
	}
	var exports, commands []string
	for _, line := range lines {
		switch line = strings.TrimSpace(line); {
		case strings.HasPrefix(line, "export "):
			exports = append(exports, line)
		case strings.HasPrefix(line, "go run "):
			commands = append(commands, line)
		}
	}
	if len(exports) != 2 || len(commands) != 3 {
		t.Fatalf("want two exports and three commands:\n%s", strings.Join(lines, "\n"))
	}
	setting := strings.Join(exports, "; ") + "; export HTTP_ADDRESS=127.0.0.1:0; exec "
	if printed, err := shell(t, programs, setting+"go run ./cmd/consumer validate").CombinedOutput(); err != nil || !strings.Contains(string(printed), "ok    bucket") {
		t.Errorf("validate ends with %v:\n%s", err, printed)
	}
	forgotten := "unset CHECKPOINT_FILE; exec "
	if printed, err := shell(t, programs, strings.Replace(setting, "exec ", forgotten, 1)+commands[0]).CombinedOutput(); err == nil || !strings.Contains(string(printed), "there is no DynamoDB here: set CHECKPOINT_FILE") {
		t.Errorf("without CHECKPOINT_FILE it ends with %v:\n%s", err, printed)
	}
	daemon := shell(t, programs, setting+commands[0])
	log, err := daemon.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	daemon.Cancel = func() error { return daemon.Process.Signal(syscall.SIGTERM) }
	if err := daemon.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { daemon.Process.Kill() })
	if printed, err := shell(t, programs, setting+commands[1]).CombinedOutput(); err != nil {
		t.Fatalf("%v:\n%s", err, printed)
	}
	published := regexp.MustCompile(`"batch published".*"records":(\d+)`)
	delivered := 0
	for out := bufio.NewScanner(log); delivered < 2000 && out.Scan(); {
		if m := published.FindStringSubmatch(out.Text()); m != nil {
			delivered += atoi(t, m[1])
		}
	}
	go io.Copy(io.Discard, log)
	printed, err := shell(t, programs, setting+commands[2]).CombinedOutput()
	if err != nil || !strings.Contains(string(printed), "2000") {
		t.Errorf("the audit ends with %v:\n%s", err, printed)
	}
	if err := daemon.Process.Signal(syscall.SIGTERM); err != nil {
		t.Error(err)
	}
	if err := daemon.Wait(); err != nil {
		t.Errorf("the daemon ends with %v", err)
	}
	services.end()
}

// What cannot work is said by its flag, and leaves no folder behind.
func TestDemo_RefusesWrongFlagsBeforeItStarts(t *testing.T) {
	for args, want := range map[string]string{
		"--format orc":                              "--format=orc: want jsonl, parquet or firehose",
		"--format jsonl --compression snappy":       "--compression=snappy: want none, gzip or zstd with --format=jsonl",
		"--file-size 3x":                            "--file-size=3x: want a size",
		"--file-size 1":                             "--file-size=1: want a size",
		"--records 0":                               "--records=0: want 1 to 1000000",
		"--services --table":                        "--table",
		"--services --keep-running":                 "--keep-running",
		"--http nowhere --format parquet":           "--http=nowhere: want host:port",
		"--format parquet --compression snappy":     "", // the controls
		"--format firehose --compression gzip":      "",
		"--services --shards 3 --records 5 --out x": "",
	} {
		folder := filepath.Join(t.TempDir(), "out")
		o, err := parse(args + " --out " + folder)
		if err == nil && strings.Contains(args, "nowhere") {
			err = run(context.Background(), o, io.Discard)
		}
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, want %q", args, err, want)
		}
		if _, err := os.Stat(folder); err == nil {
			t.Errorf("%s left a folder", args)
		}
	}
}

func atoi(t *testing.T, digits string) int {
	t.Helper()
	n, err := strconv.Atoi(digits)
	if err != nil {
		t.Fatal(err)
	}
	return n
}
