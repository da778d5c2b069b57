package chaos

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// clockVariable names the file of a daemon's clock.
const clockVariable = "CHAOS_CLOCK"

// clock is the wall clock of a worker's host: that of this machine with an error of some seconds. Daemons that are built with
// clockOverlay read it at every time.Now; their timers are not affected, as on a host whose clock is stepped.
type clock struct{ path string }

// newClock makes a clock without an error.
func newClock(path string) (clock, error) {
	c := clock{path}
	return c, os.WriteFile(path, make([]byte, 8), 0o600)
}

// step sets the clock's error to d, in whole seconds. Processes that have the clock open see it at once.
func (c clock) step(d time.Duration) error {
	f, err := os.OpenFile(c.path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(binary.NativeEndian.AppendUint64(nil, uint64(int64(d/time.Second))), 0)
	if closed := f.Close(); err == nil {
		err = closed
	}
	return err
}

// environment is the variable that makes a daemon use the clock.
func (c clock) environment() string { return clockVariable + "=" + c.path }

// steppedNow is the line of time.Now that reads the machine's clock, and the line after it that adds our error.
const (
	steppedNow = "\tsec, nsec, mono := runtimeNow()\n"
	reading    = steppedNow + "\tsec += chaosSeconds()\n"
)

// clockSource is added to the package time. It maps the file of the clock into memory, so that reading it is a memory load.
const clockSource = `package time

import (
	"syscall"
	"unsafe"
)

var chaosClock = func() *int64 {
	path, ok := syscall.Getenv("` + clockVariable + `")
	if !ok {
		return new(int64)
	}
	fd, err := syscall.Open(path, syscall.O_RDONLY, 0)
	if err != nil {
		panic("open the clock: " + err.Error())
	}
	page, err := syscall.Mmap(fd, 0, 8, syscall.PROT_READ, syscall.MAP_SHARED)
	if err != nil {
		panic("map the clock: " + err.Error())
	}
	return (*int64)(unsafe.Pointer(&page[0]))
}()

func chaosSeconds() int64 {
	if chaosClock == nil { // Now is called while packages are initialized
		return 0
	}
	return *chaosClock
}
`

// clockOverlay writes an overlay for go build to dir that builds a program with our wall clock: this toolchain's package time
// with one more line. The program's own code is unchanged, and no privileges are needed.
func clockOverlay(dir string) (path string, err error) {
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		return "", fmt.Errorf("find the sources of Go: %w", err)
	}
	folder := filepath.Join(strings.TrimSpace(string(root)), "src", "time")
	original := filepath.Join(folder, "time.go")
	source, err := os.ReadFile(original)
	if err != nil {
		return "", err
	}
	if n := bytes.Count(source, []byte(steppedNow)); n != 1 {
		return "", fmt.Errorf("%s reads the clock in %d places that look like %q, want 1", original, n, steppedNow)
	}
	files := map[string][]byte{
		"time.go":        bytes.Replace(source, []byte(steppedNow), []byte(reading), 1),
		"chaos_clock.go": []byte(clockSource),
	}
	replace := map[string]string{}
	for name, text := range files {
		written := filepath.Join(dir, name)
		if err := os.WriteFile(written, text, 0o600); err != nil {
			return "", err
		}
		replace[filepath.Join(folder, name)] = written
	}
	list, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	path = filepath.Join(dir, "overlay.json")
	return path, os.WriteFile(path, list, 0o600)
}
