package emulator

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"
)

// Endpoint is the address of an emulator, with the region and credentials for it. All but Versitygw accept any credentials.
type Endpoint struct {
	URL       string
	Region    string
	AccessKey string
	SecretKey string
}

// fetchBound limits how long a test waits for a fetch. Compiling Versitygw on a busy machine takes minutes.
const fetchBound = 15 * time.Minute

// emulator describes a stand-in.
type emulator struct {
	name    string
	bundle  Bundle
	runtime string // must be on the PATH; empty if the bundle has everything
	command func(t *testing.T, dir string, port, spare int) command
}

// Kinesalite starts kinesalite, an independent emulator of early Kinesis: fast, without ARNs and newer calls.
func Kinesalite(t *testing.T) Endpoint {
	t.Helper()
	return start(t, emulator{name: "kinesalite", bundle: npmBundle, runtime: "node",
		command: func(_ *testing.T, dir string, port, _ int) command {
			return nodeCommand(dir, "kinesalite.cjs", "PORT="+strconv.Itoa(port))
		}})
}

// KinesisLocal starts kinesis-mock, an independent emulator of Kinesis with nearly all calls, slow under load.
func KinesisLocal(t *testing.T) Endpoint {
	t.Helper()
	return start(t, emulator{name: "kinesis-local", bundle: npmBundle, runtime: "node",
		command: func(_ *testing.T, dir string, port, spare int) command {
			const delay = "50ms"
			c := nodeCommand(dir, "main.js",
				"KINESIS_MOCK_PLAIN_PORT="+strconv.Itoa(port), "KINESIS_MOCK_TLS_PORT="+strconv.Itoa(spare),
				"SHARD_LIMIT=500", "LOG_LEVEL=ERROR",
				"CREATE_STREAM_DURATION="+delay, "DELETE_STREAM_DURATION="+delay, "SPLIT_SHARD_DURATION="+delay,
				"MERGE_SHARDS_DURATION="+delay, "UPDATE_SHARD_COUNT_DURATION="+delay)
			// It reads its certificate from the working directory.
			c.dir = filepath.Join(dir, "node_modules", "kinesis-local")
			return c
		}})
}

// Dynalite starts dynalite, an independent emulator of DynamoDB without transactions and TTL.
func Dynalite(t *testing.T) Endpoint {
	t.Helper()
	return start(t, emulator{name: "dynalite", bundle: npmBundle, runtime: "node",
		command: func(_ *testing.T, dir string, port, _ int) command {
			return nodeCommand(dir, "dynalite.mjs", "PORT="+strconv.Itoa(port))
		}})
}

func nodeCommand(dir, script string, env ...string) command {
	return command{dir: dir, args: []string{"node", "-r", filepath.Join(dir, "loopback.cjs"), script}, env: env}
}

// Moto starts the moto server: Kinesis, DynamoDB, S3, Firehose and CloudFormation at one address.
func Moto(t *testing.T) Endpoint {
	t.Helper()
	return moto(t, []string{"-m", "moto.server"})
}

// MotoWith starts the moto server with a script that extends it and then calls moto.server.main with its arguments.
func MotoWith(t *testing.T, script string, env ...string) Endpoint {
	t.Helper()
	script, err := filepath.Abs(script)
	if err != nil {
		t.Fatal(err)
	}
	return moto(t, []string{script}, env...)
}

func moto(t *testing.T, program []string, env ...string) Endpoint {
	t.Helper()
	return start(t, emulator{name: "moto", bundle: pythonBundle, runtime: "python3",
		command: func(_ *testing.T, dir string, port, _ int) command {
			return command{
				dir:  dir,
				args: slices.Concat([]string{"python3"}, program, []string{"-H", "127.0.0.1", "-p", strconv.Itoa(port)}),
				env:  append(env, "PYTHONPATH="+filepath.Join(dir, "lib")),
			}
		}})
}

// java is the command line of a class of a bundle's Java files, with at most this heap and with system properties. Such a program lives
// for seconds here, in which the optimizing compiler and a collector with threads of its own take more CPU time than they save.
func java(dir, heap, class string, properties ...string) []string {
	command := append([]string{"java", "-Xmx" + heap, "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"}, properties...)
	return append(command, "-cp", filepath.Join(dir, "classes")+string(filepath.ListSeparator)+filepath.Join(dir, "lib", "*"), class)
}

// DynamoDBLocal starts AWS's own DynamoDB Local, with transactions, in memory.
func DynamoDBLocal(t *testing.T) Endpoint {
	t.Helper()
	return start(t, emulator{name: "DynamoDB Local", bundle: javaBundle, runtime: "java",
		command: func(_ *testing.T, dir string, port, _ int) command {
			return command{
				dir: dir,
				args: append(java(dir, "512m", "Launch", "-Djava.library.path="+filepath.Join(dir, "lib")),
					"-inMemory", "-sharedDb", "-disableTelemetry", "-port", strconv.Itoa(port)),
			}
		}})
}

// Versitygw starts the Versity S3 gateway over an empty folder. It checks signatures.
func Versitygw(t *testing.T) Endpoint {
	t.Helper()
	return start(t, emulator{name: "versitygw", bundle: goBundle,
		command: func(t *testing.T, dir string, port, _ int) command {
			address := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
			return command{
				dir:  dir,
				args: []string{filepath.Join(dir, "versitygw"), "--port", address, "--quiet", "posix", t.TempDir()},
				env:  []string{"ROOT_ACCESS_KEY=" + accessKey, "ROOT_SECRET_KEY=" + secretKey},
			}
		}})
}

const (
	region    = "us-east-1"
	accessKey = "local"
	secretKey = "localsecret"
)

// start fetches and starts an emulator for the duration of a test.
func start(t *testing.T, e emulator) Endpoint {
	t.Helper()
	p, err := e.start(t)
	if errors.Is(err, ErrUnavailable) {
		leaveOut(t, e.name, err)
	}
	if err != nil {
		t.Fatalf("start %s: %v", e.name, err)
	}
	t.Cleanup(func() {
		p.stop()
		if t.Failed() {
			t.Logf("end of the output of %s: %s", e.name, p.tail())
		}
	})
	return Endpoint{URL: "http://" + p.address(), Region: region, AccessKey: accessKey, SecretKey: secretKey}
}

func (e emulator) start(t *testing.T) (*process, error) {
	t.Helper()
	if e.runtime != "" {
		if _, err := exec.LookPath(e.runtime); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), fetchBound)
	defer cancel()
	dir, err := e.bundle.Fetch(ctx)
	if err != nil {
		return nil, err
	}
	return startProcess(ctx, t.TempDir(), func(port, spare int) command { return e.command(t, dir, port, spare) })
}

// leaveOut skips a test that cannot run on this machine, with a visible line, or fails it if CI is true.
func leaveOut(tb testing.TB, suite string, reason error) {
	tb.Helper()
	line := fmt.Sprintf("LEFT OUT: %s: %v", suite, reason)
	if os.Getenv("CI") == "true" {
		tb.Fatal(line)
	}
	fmt.Fprintln(os.Stderr, line)
	tb.Skip(line)
}
