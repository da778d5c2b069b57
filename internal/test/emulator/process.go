package emulator

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"testing"
	"time"
)

const (
	// readyBound limits how long an emulator may take to answer; a JVM on a busy machine is slow.
	readyBound = 90 * time.Second
	// startAttempts allows for another process that takes the port between its choice and its use.
	startAttempts = 3
)

// command describes how an emulator is started on a free port.
type command struct {
	dir  string
	args []string
	env  []string
	user *credential // nil: as the tests themselves
}

// credential is a user of the system.
type credential struct{ uid, gid uint32 }

// process is a running emulator.
type process struct {
	port    int
	log     string
	pid     int
	exited  chan struct{}
	exitErr error
}

var errExited = errors.New("exited before it listened")

// startProcess starts the command that build returns for a free port, and for a second one that some emulators need, and waits
// until it accepts connections. Its output goes to a file in logDir.
func startProcess(ctx context.Context, logDir string, build func(port, spare int) command) (*process, error) {
	var failed error
	for range startAttempts {
		ports, err := freePorts(2)
		if err != nil {
			return nil, err
		}
		p, err := launch(logDir, ports[0], build(ports[0], ports[1]))
		if err != nil {
			return nil, err
		}
		if failed = p.ready(ctx); failed == nil {
			return p, nil
		}
		p.stop()
		if !errors.Is(failed, errExited) {
			break
		}
	}
	return nil, failed
}

func launch(logDir string, port int, c command) (*process, error) {
	log, err := os.CreateTemp(logDir, filepath.Base(c.args[0])+"-*.log")
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(c.args[0], c.args[1:]...)
	cmd.Dir = c.dir
	cmd.Env = append(os.Environ(), c.env...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = endsWithTests(c.user)
	p := &process{port: port, log: log.Name(), exited: make(chan struct{})}
	started := make(chan error)
	go func() {
		// Pdeathsig follows the thread that started the process, so this goroutine keeps its thread until the end.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		if err == nil {
			p.pid = cmd.Process.Pid
		}
		started <- err
		if err == nil {
			p.exitErr = cmd.Wait()
		}
		_ = log.Close() // the emulator wrote it; nothing of ours is lost
		close(p.exited)
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", c.args[0], err)
	}
	return p, nil
}

// ready waits until the port accepts connections.
func (p *process) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyBound)
	defer cancel()
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	for {
		conn, err := net.DialTimeout("tcp", p.address(), time.Second)
		if err == nil {
			return conn.Close()
		}
		select {
		case <-p.exited:
			return fmt.Errorf("%w (%v): %s", errExited, p.exitErr, p.tail())
		case <-ctx.Done():
			return fmt.Errorf("wait for port %d: %w: %s", p.port, ctx.Err(), p.tail())
		case <-ticker.C:
		}
	}
}

func (p *process) address() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(p.port)) }

// stop ends the process and its children, and waits for it.
func (p *process) stop() {
	select {
	case <-p.exited:
		return
	default:
	}
	// It fails only if the process has just ended by itself.
	_ = killProcess(-p.pid)
	<-p.exited
}

// tail returns the end of what the process wrote.
func (p *process) tail() string {
	text, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	return string(text[max(0, len(text)-shownBytes):])
}

// FreeAddress returns an unused loopback address, for a program that takes its address as a setting.
func FreeAddress(tb testing.TB) string {
	tb.Helper()
	ports, err := freePorts(1)
	if err != nil {
		tb.Fatal(err)
	}
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(ports[0]))
}

// freePorts returns unused ports of the loopback address. They are below those that Linux and
// BSD assign to outgoing connections and to listeners on port 0 (ip_local_port_range: 32768 to 60999), one of which
// is soon taken again on a busy machine.
func freePorts(count int) ([]int, error) {
	const lowest, highest, attempts = 15000, 32000, 100
	var ports []int
	var failed error
	for range attempts {
		if len(ports) == count {
			return ports, nil
		}
		port := lowest + rand.IntN(highest-lowest)
		listener, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err != nil {
			failed = err
			continue
		}
		defer func() { _ = listener.Close() }() // held until all are chosen, so that they differ
		ports = append(ports, port)
	}
	return nil, fmt.Errorf("find a free port: %w", failed)
}
