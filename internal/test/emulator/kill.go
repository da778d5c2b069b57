package emulator

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// kill ends a process and its children, also those that have left its process group, and returns when none of them runs.
func (p *process) kill() error {
	select {
	case <-p.exited:
		return nil
	default:
	}
	// A process that is stopped has no more children.
	if err := stopProcess(p.pid); err != nil && !errors.Is(err, syscall.ESRCH) {
		return err
	}
	if err := waitFor(func() bool { return state(p.pid) == "T" || gone(p.pid) }); err != nil {
		return err
	}
	children, err := childrenOf(p.pid)
	if err != nil {
		return err
	}
	for _, pid := range append(children, p.pid) {
		if err := killProcess(pid); err != nil && !errors.Is(err, syscall.ESRCH) {
			return err
		}
	}
	<-p.exited
	for _, pid := range children {
		if err := waitFor(func() bool { return gone(pid) }); err != nil {
			return err
		}
	}
	return nil
}

// waitFor polls for what the kernel does without telling.
func waitFor(done func() bool) error {
	for deadline := time.Now().Add(readyBound); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			return errors.New("a process does not end")
		}
	}
	return nil
}

// gone reports whether a process no longer runs; its parent may not have noticed.
func gone(pid int) bool { s := state(pid); return s == "" || s == "Z" || s == "X" }

// state is one letter from /proc/<pid>/stat (see proc_pid_stat(5)), or empty if there is no such process.
func state(pid int) string {
	s, _ := stat(pid)
	return s
}

func stat(pid int) (state string, parent int) {
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return "", 0
	}
	// The program's name, in parentheses, may hold anything.
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	if len(fields) < 2 {
		return "", 0
	}
	parent, _ = strconv.Atoi(fields[1])
	return fields[0], parent
}

func childrenOf(pid int) ([]int, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	var children []int
	for _, entry := range entries {
		child, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue // not a process
		}
		if _, parent := stat(child); parent == pid {
			children = append(children, child)
		}
	}
	return children, nil
}
