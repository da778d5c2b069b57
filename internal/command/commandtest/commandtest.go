// Package commandtest checks that all commands of a program keep the rules of internal/command.
package commandtest

import (
	"context"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"aws-streaming-pipeline/internal/command"
)

// Check runs the commands of a program with --help and with wrong command lines, in an empty folder and an environment whose AWS
// endpoints are a trap, and reports each rule that one of them breaks. root builds the tree; it is called for every run.
func Check(t *testing.T, root func() *cobra.Command) {
	t.Helper()
	for _, fault := range Faults(t, root) {
		t.Error(fault)
	}
}

// Faults returns what Check reports.
func Faults(t *testing.T, root func() *cobra.Command) []string {
	t.Helper()
	trap := newTrap(t)
	dir := t.TempDir()
	t.Chdir(dir)
	for name, value := range map[string]string{
		"HOME": dir, "TMPDIR": dir, "AWS_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "trap", "AWS_SECRET_ACCESS_KEY": "trap", "AWS_EC2_METADATA_DISABLED": "true",
		"AWS_ENDPOINT_URL": trap.url(), "HTTP_PROXY": trap.url(), "HTTPS_PROXY": trap.url(), "AWS_CONFIG_FILE": filepath.Join(dir, "config"),
		"AWS_SHARED_CREDENTIALS_FILE": filepath.Join(dir, "credentials"), "STREAM_NAME": "trips", "BUCKET": "trips", "CHECKPOINT_FILE": filepath.Join(dir, "checkpoints.db"),
	} {
		t.Setenv(name, value)
	}
	c := &checker{t: t, root: root, dir: dir, trap: trap}
	c.walk(root(), nil)
	if out, _, code := c.run("--version"); code != 0 || strings.TrimSpace(out) == "" {
		c.fault("--version", "prints %q with exit code %d", out, code)
	}
	if out, _, _ := c.run("version"); strings.TrimSpace(out) == "" {
		c.fault("version", "prints nothing")
	}
	return c.faults
}

// trap is a server that must see no connection.
type trap struct {
	net.Listener
	seen atomic.Int64
}

func newTrap(t *testing.T) *trap {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &trap{Listener: listener}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			s.seen.Add(1)
			c.Close()
		}
	}()
	t.Cleanup(func() {
		listener.Close()
		<-done
	})
	return s
}

func (s *trap) url() string { return "http://" + s.Addr().String() }

type checker struct {
	t      *testing.T
	root   func() *cobra.Command
	dir    string
	trap   *trap
	faults []string
}

func (c *checker) fault(line, format string, args ...any) {
	c.faults = append(c.faults, strings.TrimSpace(c.root().Name()+" "+line)+": "+fmt.Sprintf(format, args...))
}

// bound is how long a command line may take that does nothing. A command that starts its work in spite of it ends then.
const bound = 20 * time.Second

// run runs a command line, which must do nothing.
func (c *checker) run(args ...string) (out, errs string, code int) {
	ctx, cancel := context.WithTimeout(c.t.Context(), bound)
	defer cancel()
	root := c.root()
	var o, e strings.Builder
	code = command.Report(&e, root.Name(), command.Execute(ctx, root, args, &o, &e))
	line := strings.Join(args, " ")
	if seen := c.trap.seen.Swap(0); seen > 0 {
		c.fault(line, "opened %d connections", seen)
	}
	if files := c.files(); len(files) > 0 {
		c.fault(line, "made %v", files)
	}
	return o.String(), e.String(), code
}

// files returns the files that a command has made, and removes them.
func (c *checker) files() (paths []string) {
	err := filepath.WalkDir(c.dir, func(path string, _ fs.DirEntry, err error) error {
		if err == nil && path != c.dir {
			paths = append(paths, path)
		}
		return err
	})
	if err != nil {
		c.t.Fatal(err)
	}
	for _, path := range paths {
		if err := os.RemoveAll(path); err != nil {
			c.t.Fatal(err)
		}
	}
	return paths
}

// walk checks a command and those below it.
func (c *checker) walk(cmd *cobra.Command, path []string) {
	c.texts(cmd, path)
	c.help(cmd, path)
	c.wrong(cmd, path)
	for _, sub := range cmd.Commands() {
		c.walk(sub, append(path[:len(path):len(path)], sub.Name()))
	}
}

// texts checks that a command says what it does, and shows it by an example if it can be called in several ways.
func (c *checker) texts(cmd *cobra.Command, path []string) {
	line := strings.Join(path, " ")
	flags := 0
	cmd.LocalNonPersistentFlags().VisitAll(func(f *pflag.Flag) {
		flags++
		if f.Usage == "" {
			c.fault(line, "the flag --%s has no description", f.Name)
		}
		if len(f.Name) < 2 {
			c.fault(line, "the flag --%s is too short: -%[1]s would be ambiguous", f.Name)
		}
	})
	if cmd.Short == "" {
		c.fault(line, "there is no Short")
	}
	if strings.HasSuffix(cmd.Short, ".") || cmd.Short != "" && strings.ToLower(cmd.Short[:1]) != cmd.Short[:1] && !strings.HasPrefix(cmd.Short, "AWS") {
		c.fault(line, "Short=%q: want the beginning in lower case, and no period", cmd.Short)
	}
	if (flags > 0 || strings.Contains(cmd.Use, " ")) && cmd.Example == "" {
		c.fault(line, "there is no Example")
	}
	for example := range strings.Lines(cmd.Example) {
		if !strings.Contains(example, c.root().Name()) || strings.Contains(example, " -") && !strings.Contains(example, " --") {
			c.fault(line, "Example %q: want a command line of the program, with two dashes", example)
		}
	}
}

// help checks that help is shown, and nothing done.
func (c *checker) help(cmd *cobra.Command, path []string) {
	for _, help := range []string{"--help", "-h"} {
		args := append(path[:len(path):len(path)], help)
		out, errs, code := c.run(args...)
		if code != 0 || errs != "" || !strings.Contains(out, "Usage:") {
			c.fault(strings.Join(args, " "), "prints %q and %q with exit code %d, want help", out, errs, code)
		}
		cmd.LocalNonPersistentFlags().VisitAll(func(f *pflag.Flag) {
			if !f.Hidden && !strings.Contains(out, "--"+f.Name) {
				c.fault(strings.Join(args, " "), "does not show --%s", f.Name)
			}
		})
	}
}

// wrong checks that wrong command lines are refused, with a suggestion for a misspelt flag.
func (c *checker) wrong(cmd *cobra.Command, path []string) {
	flag := "help"
	cmd.LocalNonPersistentFlags().VisitAll(func(f *pflag.Flag) {
		if len(f.Name) > len(flag) {
			flag = f.Name
		}
	})
	misspelt := "--" + flag[:2] + flag[3:] // a letter is missing
	c.refused(append(path[:len(path):len(path)], misspelt), "did you mean --"+flag+"?")
	if n, bounded := most(cmd.Use); bounded {
		args := path[:len(path):len(path)]
		for range n + 1 {
			args = append(args, "surplus")
		}
		c.refused(args, `surplus"`)
	}
	if cmd.HasParent() && cmd.HasSubCommands() {
		c.refused(path, "Usage:")
	}
}

// most returns how many arguments a command takes, if there is a bound.
func most(use string) (n int, bounded bool) {
	return strings.Count(use, " "), !strings.HasSuffix(use, "...")
}

func (c *checker) refused(args []string, says string) {
	out, errs, code := c.run(args...)
	if code != command.ExitUsage || !strings.Contains(errs, says) || out != "" {
		c.fault(strings.Join(args, " "), "prints %q and %q with exit code %d, want %q with exit code %d", out, errs, code, says, command.ExitUsage)
	}
}
