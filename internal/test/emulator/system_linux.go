package emulator

import (
	"os"
	"syscall"
)

// endsWithTests are the attributes of an emulator in a process group of its own, which the kernel ends if the test binary dies without its
// cleanups. A nil user is that of the tests.
func endsWithTests(user *credential) *syscall.SysProcAttr {
	a := asUser(user)
	a.Setpgid, a.Pdeathsig = true, syscall.SIGKILL
	return a
}

// asUser are the attributes of a process of a user; nil is that of the tests.
func asUser(user *credential) *syscall.SysProcAttr {
	if user == nil {
		return &syscall.SysProcAttr{}
	}
	return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: user.uid, Gid: user.gid}}
}

// stopProcess stops a process, and killProcess ends one, or a group of processes if the number is negative.
func stopProcess(pid int) error { return syscall.Kill(pid, syscall.SIGSTOP) }
func killProcess(pid int) error { return syscall.Kill(pid, syscall.SIGKILL) }

// lockFile waits for an exclusive lock.
func lockFile(file *os.File) error { return syscall.Flock(int(file.Fd()), syscall.LOCK_EX) }
