package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"
)

// process is a program that runs.
type process struct {
	args []string
	env  []string
	log  string // file that takes what it says on standard error
	pipe bool   // it is told its end by that of its standard input, and speaks on standard output

	cmd    *exec.Cmd
	stdin  io.WriteCloser
	out    io.Reader
	exited chan error
}

// usage is what a process has used up.
type usage struct {
	CPU  time.Duration // user and system
	Peak int64         // resident bytes
}

// start starts a program that the kernel ends when this one dies, and that ends with ctx.
func start(ctx context.Context, p process) (*process, error) {
	log, err := os.Create(p.log)
	if err != nil {
		return nil, err
	}
	p.cmd = exec.CommandContext(ctx, p.args[0], p.args[1:]...)
	p.cmd.Env, p.cmd.Stderr = p.env, log
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	var out bytes.Buffer
	p.out, p.cmd.Stdout = &out, &out
	if p.pipe {
		p.cmd.Stdout = nil
		if p.stdin, err = p.cmd.StdinPipe(); err != nil {
			return nil, err
		}
		if p.out, err = p.cmd.StdoutPipe(); err != nil {
			return nil, err
		}
	}
	p.exited = make(chan error, 1)
	started := make(chan error)
	go func() {
		// Pdeathsig follows the thread that started the process, so this goroutine keeps its thread until the end.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := p.cmd.Start()
		started <- err
		if err == nil {
			p.exited <- p.cmd.Wait()
		}
		_ = log.Close() // the program wrote it; nothing of ours is lost
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", p.args[0], err)
	}
	return &p, nil
}

// terminate sends SIGTERM, waits for the end, and tells what the process has used.
func (p *process) terminate(within time.Duration) (usage, error) {
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return usage{}, fmt.Errorf("%s has ended before it should: %w: %s", p.args[0], err, p.tail())
	}
	return p.wait(within)
}

func (p *process) wait(within time.Duration) (usage, error) {
	select {
	case err := <-p.exited:
		p.exited <- err
		if err != nil {
			return usage{}, fmt.Errorf("%s: %w: %s", p.args[0], err, p.tail())
		}
	case <-time.After(within):
		return usage{}, errors.Join(fmt.Errorf("%s has not ended within %v: %s", p.args[0], within, p.tail()), p.cmd.Process.Kill())
	}
	used, ok := p.cmd.ProcessState.SysUsage().(*syscall.Rusage)
	if !ok {
		return usage{}, errors.New("this system does not tell what a process has used")
	}
	return usage{CPU: p.cmd.ProcessState.UserTime() + p.cmd.ProcessState.SystemTime(), Peak: used.Maxrss << 10}, nil
}

// running tells whether the process has not ended.
func (p *process) running() bool {
	select {
	case err := <-p.exited:
		p.exited <- err
		return false
	default:
		return true
	}
}

// tail is the end of what the process has said.
func (p *process) tail() string {
	text, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	return string(text[max(0, len(text)-2000):])
}

// self is this program.
func self() string {
	path, err := os.Executable()
	if err != nil {
		return os.Args[0]
	}
	return path
}

func jsonBody(v any) io.Reader {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err) // only types of this package come here
	}
	return bytes.NewReader(text)
}
