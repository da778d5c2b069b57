package chaos

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"time"
)

// process is one run of a daemon.
type process struct {
	pid    int
	log    string // file of what it writes
	exited chan struct{}
	err    error // how it ended; known once exited is closed

	mu     sync.Mutex
	frozen bool
	ended  string // why the harness ended it; empty if it did not
}

// launch starts a program that writes its log to a file.
func launch(binary, log string, env []string, args ...string) (*process, error) {
	out, err := os.Create(log)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(binary, args...)
	cmd.Env = env
	cmd.Stdout, cmd.Stderr = out, out
	// The kernel ends the daemon if the test binary dies without its cleanups.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	p := &process{log: log, exited: make(chan struct{})}
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
			p.err = cmd.Wait()
		}
		_ = out.Close() // the daemon wrote it; nothing of ours is lost
		close(p.exited)
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", binary, err)
	}
	return p, nil
}

// running reports whether the process exists and is not frozen.
func (p *process) running() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.ended == "" && !p.frozen && !p.gone()
}

func (p *process) gone() bool {
	select {
	case <-p.exited:
		return true
	default:
		return false
	}
}

// kill ends the process with SIGKILL. It reports whether this call did it.
func (p *process) kill(why string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended != "" || p.gone() {
		return false
	}
	p.ended = why
	p.signal(syscall.SIGKILL)
	return true
}

// terminate sends SIGTERM, and SIGKILL if the process is still there after the grace. It returns when it has ended.
func (p *process) terminate(grace time.Duration) error {
	p.mu.Lock()
	if p.ended == "" {
		p.ended = "SIGTERM"
		p.signal(syscall.SIGTERM)
	}
	p.mu.Unlock()
	select {
	case <-p.exited:
		return p.err
	case <-time.After(grace):
		p.signal(syscall.SIGKILL)
		<-p.exited
		return fmt.Errorf("still there %v after SIGTERM", grace)
	}
}

// freeze stops the process with SIGSTOP. It reports whether it was running before.
func (p *process) freeze() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended != "" || p.frozen || p.gone() {
		return false
	}
	p.frozen = true
	p.signal(syscall.SIGSTOP)
	return true
}

// thaw resumes a frozen process.
func (p *process) thaw() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.frozen = false
	if !p.gone() {
		p.signal(syscall.SIGCONT)
	}
}

// signal sends a signal to a process that has not been waited for, or has just been.
func (p *process) signal(s syscall.Signal) {
	_ = syscall.Kill(p.pid, s) // it may have ended in this moment
}

// tail is what the process wrote last.
func (p *process) tail() string {
	const shown = 1500
	text, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	text = bytes.TrimSpace(text)
	return string(text[max(0, len(text)-shown):])
}
