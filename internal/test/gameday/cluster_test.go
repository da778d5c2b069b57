package gameday

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"aws-streaming-pipeline/internal/test/emulator"
)

// release is what Helm has installed.
type release struct {
	settings map[string]string
	replicas int
	// limits are bytes of memory by container; 0 is none.
	limits map[string]int64
	// flaps is an autoscaler that adds a worker and removes it again.
	flaps bool
}

func (r release) clone() release {
	r.settings, r.limits = maps.Clone(r.settings), maps.Clone(r.limits)
	return r
}

// cluster stands in for Kubernetes and Helm: it runs containers as processes of this machine, starts again what ends, kills what uses more
// memory than its limit, and answers the commands kubectl and helm of a runbook.
type cluster struct {
	t        *testing.T
	watch    *watch
	name     string
	dir      string
	binaries map[string]string // by container
	env      []string
	control  *httptest.Server

	mu      sync.Mutex
	history []release
	pods    []*container
	born    int
	closed  bool
	running sync.WaitGroup
}

// container is a process and what it was before.
type container struct {
	pod, kind, address string
	deleted            bool
	process            *os.Process
	log                string
	previous           string // log of the one before
	last               string // state of the one before
}

func newCluster(t *testing.T, w *watch, name string, binaries map[string]string, env []string) *cluster {
	c := &cluster{t: t, watch: w, name: name, dir: t.TempDir(), binaries: binaries, env: env}
	c.control = httptest.NewServer(http.HandlerFunc(c.serve))
	t.Cleanup(func() {
		c.mu.Lock()
		c.closed = true
		c.mu.Unlock()
		c.control.Close()
		c.scale(0, "")
		c.running.Wait()
		if t.Failed() {
			c.dump()
		}
	})
	return c
}

// dump logs the end of what went wrong in each container.
func (c *cluster) dump() {
	logs, err := filepath.Glob(filepath.Join(c.dir, "*.log"))
	if err != nil {
		c.t.Error(err)
	}
	for _, path := range logs {
		text, err := os.ReadFile(path)
		if err != nil {
			c.t.Error(err)
		}
		var lines []string
		for line := range strings.Lines(string(text)) {
			if strings.Contains(line, `"WARN"`) || strings.Contains(line, `"ERROR"`) || !strings.HasPrefix(line, "{") {
				lines = append(lines, line)
			}
		}
		c.t.Logf("%s, %d bytes:\n%s", filepath.Base(path), len(text), strings.Join(lines[max(0, len(lines)-12):], ""))
	}
}

// ship makes containers of the daemon run a binary from their next start on.
func (c *cluster) ship(binary string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.binaries["consumer"] = binary
}

func (c *cluster) current() release {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.history[len(c.history)-1].clone()
}

// install makes a release the current one: pods with other settings are replaced.
func (c *cluster) install(r release) {
	c.mu.Lock()
	c.history = append(c.history, r.clone())
	c.mu.Unlock()
	c.scale(0, "")
	c.scale(r.replicas, "")
}

// change installs the current release with a change.
func (c *cluster) change(change func(*release)) {
	r := c.current()
	change(&r)
	c.install(r)
}

// scale starts or stops pods, or deletes one, which is replaced, and waits until those that stop have stopped.
func (c *cluster) scale(replicas int, deleted string) {
	c.mu.Lock()
	var ending []*container
	names := make(map[string]bool)
	for _, p := range c.pods {
		if !p.deleted && (p.pod == deleted || !names[p.pod] && len(names) >= replicas) {
			p.deleted = true
			ending = append(ending, p)
		} else if !p.deleted {
			names[p.pod] = true
		}
	}
	for _, p := range ending {
		if p.process != nil {
			_ = p.process.Signal(syscall.SIGTERM) // fails only if it has just ended
		}
	}
	for range replicas - len(names) {
		c.born++
		pod := fmt.Sprintf("%s-%d", c.name, c.born)
		kinds := []string{"consumer"}
		if c.history[len(c.history)-1].settings["TABLE"] != "" {
			kinds = append(kinds, "loader")
		}
		for _, kind := range kinds {
			p := &container{pod: pod, kind: kind, address: emulator.FreeAddress(c.t)}
			c.pods = append(c.pods, p)
			c.running.Go(func() { c.keep(p) })
		}
	}
	c.mu.Unlock()
	for deadline := time.Now().Add(40 * time.Second); len(ending) > 0 && time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		c.mu.Lock()
		ending = slices.DeleteFunc(ending, func(p *container) bool { return !slices.Contains(c.pods, p) })
		c.mu.Unlock()
	}
	c.mu.Lock()
	for _, p := range ending {
		if p.process != nil {
			_ = p.process.Kill() // as after the grace period
		}
	}
	c.mu.Unlock()
}

// keep runs a container again whenever it ends, until it is deleted.
func (c *cluster) keep(p *container) {
	stop := c.watch.scrape(c.t, p.pod+"-"+p.kind, p.address)
	defer func() {
		stop()
		c.mu.Lock()
		c.pods = slices.DeleteFunc(c.pods, func(o *container) bool { return o == p })
		c.mu.Unlock()
	}()
	for n := 0; ; n++ {
		c.mu.Lock()
		if p.deleted {
			c.mu.Unlock()
			return
		}
		r := c.history[len(c.history)-1]
		p.previous, p.log = p.log, filepath.Join(c.dir, fmt.Sprintf("%s-%s-%d.log", p.pod, p.kind, n))
		cmd := exec.Command(c.binaries[p.kind])
		cmd.Env = slices.Clone(c.env)
		for name, value := range r.settings {
			cmd.Env = append(cmd.Env, name+"="+value)
		}
		cmd.Env = append(cmd.Env, map[string]string{"consumer": "HTTP_ADDRESS=", "loader": "LOADER_HTTP_ADDRESS="}[p.kind]+p.address)
		log, err := os.Create(p.log)
		if err == nil {
			cmd.Stderr = log
			err = cmd.Start()
		}
		if err != nil {
			c.t.Error(err)
			c.mu.Unlock()
			return
		}
		p.process = cmd.Process
		limit := r.limits[p.kind]
		c.mu.Unlock()
		last := c.wait(cmd, limit)
		c.mu.Lock()
		p.last = last
		c.mu.Unlock()
		_ = log.Close() // the process wrote it
		time.Sleep(200 * time.Millisecond)
	}
}

// wait waits until a process ends, and kills it if it uses more memory than its limit.
func (c *cluster) wait(cmd *exec.Cmd, limit int64) (state string) {
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	killed := false
	for {
		select {
		case err := <-ended:
			switch {
			case killed:
				return "Reason: OOMKilled, Exit Code: 137"
			case err != nil:
				return "Reason: Error, " + err.Error()
			}
			return "Reason: Completed, Exit Code: 0"
		case <-time.After(100 * time.Millisecond):
			if limit > 0 && resident(cmd.Process.Pid) > limit {
				killed = true
				_ = cmd.Process.Kill() // fails only if it has ended
			}
		}
	}
}

func resident(pid int) int64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if fields := strings.Fields(string(text)); err == nil && len(fields) > 1 {
		n, _ := strconv.ParseInt(fields[1], 10, 64) // 0 of a line that is not a number
		return n * int64(os.Getpagesize())
	}
	return 0
}

// first returns the first container of a kind, which "deployment/NAME" would choose.
func (c *cluster) first(kind string) *container {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, p := range c.pods {
		if p.kind == kind && !p.deleted {
			return p
		}
	}
	return nil
}

// serve answers the shims kubectl and helm, whose arguments are the lines of the body.
func (c *cluster) serve(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	args := strings.Split(strings.TrimSuffix(string(body), "\n"), "\n")
	answer := c.helm
	if r.URL.Path == "/kubectl" {
		answer = c.kubectl
	}
	out, err := answer(args)
	if err != nil {
		w.WriteHeader(http.StatusBadRequest)
		out = err.Error() + "\n"
	}
	_, _ = io.WriteString(w, out) // an error means that the shim has gone
}

// flags splits arguments into those without dashes, and values by flag, the last of each.
func flags(args []string) (plain []string, values map[string][]string) {
	values = make(map[string][]string)
	boolean := []string{"--reset-then-reuse-values", "--previous", "--containers", "--stdin", "--prefix"}
	for i := 0; i < len(args); i++ {
		name, value, has := strings.Cut(args[i], "=")
		switch {
		case !strings.HasPrefix(args[i], "--") && args[i] != "-A":
			plain = append(plain, args[i])
		case has && !strings.HasPrefix(name, "--set"), slices.Contains(boolean, args[i]):
			values[name] = append(values[name], value)
		case i+1 < len(args):
			i++
			values[name] = append(values[name], args[i])
		}
	}
	return plain, values
}

func (c *cluster) kubectl(args []string) (string, error) {
	plain, flag := flags(args)
	kind := slices.Concat(flag["--container"], []string{"consumer"})[0]
	switch plain[0] {
	case "logs":
		c.mu.Lock()
		defer c.mu.Unlock()
		var out bytes.Buffer
		for _, p := range c.pods {
			if p.kind != kind {
				continue
			}
			path := p.log
			if _, ok := flag["--previous"]; ok {
				if path = p.previous; path == "" {
					return "", fmt.Errorf("previous terminated container %q in pod %q not found", kind, p.pod)
				}
			}
			text, err := os.ReadFile(path)
			if err != nil {
				return "", err
			}
			out.Write(text)
		}
		return out.String(), nil
	case "get", "describe", "top":
		r := c.current()
		c.mu.Lock()
		defer c.mu.Unlock()
		var out strings.Builder
		for _, p := range c.pods {
			fmt.Fprintf(&out, "%s/%s Running\n    Last State: Terminated\n      %s\n", p.pod, p.kind, p.last)
		}
		for name, value := range r.settings {
			fmt.Fprintf(&out, "- name: %s\n  value: %s\n", name, value)
		}
		return out.String(), nil
	case "scale":
		replicas, err := strconv.Atoi(slices.Concat(flag["--replicas"], []string{""})[0])
		if err != nil {
			return "", err
		}
		c.mu.Lock()
		c.history[len(c.history)-1].replicas = replicas
		c.mu.Unlock()
		c.scale(replicas, "")
		return "scaled\n", nil
	case "rollout":
		c.install(c.current())
		return "restarted\n", nil
	case "delete":
		c.scale(c.current().replicas, plain[2])
		return "deleted\n", nil
	}
	return "", fmt.Errorf("kubectl %q is not known here", args)
}

var capital = regexp.MustCompile(`[A-Z]`)

func (c *cluster) helm(args []string) (string, error) {
	plain, flag := flags(args)
	switch plain[0] {
	case "history":
		c.mu.Lock()
		defer c.mu.Unlock()
		return fmt.Sprintf("REVISION %d\n", len(c.history)), nil
	case "rollback":
		c.mu.Lock()
		if len(c.history) < 2 {
			c.mu.Unlock()
			return "", errors.New("there is no revision to go back to")
		}
		before := c.history[len(c.history)-2]
		c.mu.Unlock()
		c.install(before)
		return "Rollback was a success! Happy Helming!\n", nil
	case "upgrade":
		r := c.current()
		for _, set := range slices.Concat(flag["--set"], flag["--set-string"]) {
			path, value, _ := strings.Cut(set, "=")
			name, isSetting := strings.CutPrefix(path, "settings.")
			switch {
			case isSetting:
				r.settings[strings.ToUpper(capital.ReplaceAllStringFunc(name, func(s string) string { return "_" + s }))] = value
			case path == "replicas":
				r.replicas, _ = strconv.Atoi(value) // 0 stops everything, which a test sees
			case path == "autoscaling.enabled":
				r.flaps = value == "true"
			case path == "resources.limits.memory":
				r.limits["consumer"] = 0
			case path == "table.resources.limits.memory":
				r.limits["loader"] = 1 << 30
			default:
				return "", fmt.Errorf("value %s is not known here", path)
			}
		}
		c.install(r)
		return "Release has been upgraded. Happy Helming!\n", nil
	}
	return "", fmt.Errorf("helm %q is not known here", args)
}
