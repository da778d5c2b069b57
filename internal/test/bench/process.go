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

// process is a running program.
type process struct {
	args []string
	env  []string
	log  string // file for its standard error
	pipe bool   // it ends when its standard input does, and writes to standard output

	cmd    *exec.Cmd
	stdin  io.WriteCloser
	out    io.Reader
	exited chan error
}

// usage is the resources that a process has used.
type usage struct {
	CPU  time.Duration // user and system
	Peak int64         // resident bytes
}

// start starts a program that ends with ctx; the kernel ends it if this one dies.
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

// terminate sends SIGTERM, waits for the end, and returns what the process has used.
func (p *process) terminate(within time.Duration) (usage, error) {
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return usage{}, fmt.Errorf("%s ended too early: %w: %s", p.args[0], err, p.tail())
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
		return usage{}, errors.Join(fmt.Errorf("%s did not end within %v: %s", p.args[0], within, p.tail()), p.cmd.Process.Kill())
	}
	used, ok := p.cmd.ProcessState.SysUsage().(*syscall.Rusage)
	if !ok {
		return usage{}, errors.New("this system does not report a process's resource usage")
	}
	return usage{CPU: p.cmd.ProcessState.UserTime() + p.cmd.ProcessState.SystemTime(), Peak: used.Maxrss << 10}, nil
}

// running reports whether the process is still running.
func (p *process) running() bool {
	select {
	case err := <-p.exited:
		p.exited <- err
		return false
	default:
		return true
	}
}

// tail returns the end of the process's output.
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
