package infra_test

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// cli is an AWS CLI process that runs many commands, each of which would take half a second to start. Scripts reach it
// through a command aws, which is this test program under that name.
type cli struct {
	mu  sync.Mutex
	in  *json.Encoder
	out *json.Decoder
	bin string // the folder of the command aws
	env string // names the socket for it
}

// cliResult is the result of a command.
type cliResult struct {
	Code        int
	Out, Stderr string
}

const cliSocket = "INFRA_TEST_CLI"

func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == "aws" {
		os.Exit(callCLI(os.Getenv(cliSocket), os.Args[1:]))
	}
	os.Exit(m.Run())
}

// callCLI lets the process behind a socket run a command for a script, and returns its exit code.
func callCLI(socket string, args []string) int {
	// Only arguments reach the process, which was started with another environment.
	if region := os.Getenv("AWS_REGION"); region != "" && !slices.Contains(args, "--region") && args[0] != "configure" {
		args = append(args, "--region", region)
	}
	var r cliResult
	conn, err := net.Dial("unix", socket)
	if err == nil {
		defer conn.Close()
		err = json.NewEncoder(conn).Encode(args)
	}
	if err == nil {
		err = json.NewDecoder(conn).Decode(&r)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "aws:", err)
		return 255
	}
	fmt.Fprint(os.Stdout, r.Out)
	fmt.Fprint(os.Stderr, r.Stderr)
	return r.Code
}

// startCLI starts the process with an environment, and ends it with the test.
func startCLI(t *testing.T, env []string) *cli {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "python3", "testdata/aws.py")
	cmd.Env = env
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = in.Close()
		_ = cmd.Wait() // the test's context, which has ended, may have killed it
	})
	c := &cli{in: json.NewEncoder(in), out: json.NewDecoder(out)}
	c.listen(t)
	return c
}

// listen creates the command aws, and serves it until the test ends.
func (c *cli) listen(t *testing.T) {
	t.Helper()
	// The names of the test's own folders are too long for a socket.
	folder, err := os.MkdirTemp("", "aws")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(self, filepath.Join(folder, "aws")); err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(folder, "socket")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	c.bin, c.env = folder, cliSocket+"="+socket
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return // it is closed
			}
			c.serve(conn)
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		serving.Wait()
	})
}

func (c *cli) serve(conn net.Conn) {
	defer conn.Close()
	var args []string
	if err := json.NewDecoder(conn).Decode(&args); err != nil {
		return // the script was killed
	}
	r, err := c.run(args)
	if err != nil {
		r = cliResult{255, "", err.Error()}
	}
	_ = json.NewEncoder(conn).Encode(r) // an error reaches the script as a connection that ends early
}

// run runs a command of the AWS CLI.
func (c *cli) run(args []string) (cliResult, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.in.Encode(args); err != nil {
		return cliResult{}, err
	}
	var r cliResult
	err := c.out.Decode(&[]any{&r.Code, &r.Out, &r.Stderr})
	return r, err
}

// aws runs a command of the AWS CLI, which must succeed, and returns its answer.
func (a *account) aws(args ...string) node {
	a.t.Helper()
	r, err := a.cli.run(append(args, "--region", region, "--output", "json"))
	if err != nil {
		a.t.Fatalf("aws %v: %v", args, err)
	}
	if r.Code != 0 {
		a.t.Fatalf("aws %v: exit code %d\n%s", args, r.Code, r.Stderr)
	}
	var answer node
	if strings.TrimSpace(r.Out) == "" {
		return answer
	}
	if err := json.Unmarshal([]byte(r.Out), &answer); err != nil {
		a.t.Fatalf("aws %v answers %s: %v", args, r.Out, err)
	}
	return answer
}
