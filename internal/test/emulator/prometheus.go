package emulator

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
)

// prometheusBundle is Debian's package, unpacked but not installed. Building Prometheus from its module takes more than four
// minutes of CPU, and no other registry has its binaries. The version is that of the distribution.
var prometheusBundle = Bundle{
	Name:    "prometheus",
	tool:    "apt-get",
	pinned:  "prometheus",
	install: installDebian,
}

// installDebian unpacks the package that pinned names into lib. Without package lists it fetches them, which takes root.
func installDebian(ctx context.Context, dir string) error {
	download := func() error { return run(ctx, dir, nil, "apt-get", "download", "--quiet", "prometheus") }
	if download() != nil {
		if err := run(ctx, dir, nil, "apt-get", "update", "--quiet"); err != nil {
			return err
		}
		if err := download(); err != nil {
			return err
		}
	}
	packages, err := filepath.Glob(filepath.Join(dir, "*.deb"))
	if err != nil {
		return err
	}
	for _, p := range packages {
		if err := run(ctx, dir, nil, "dpkg-deb", "--extract", p, "lib"); err != nil {
			return err
		}
		if err := os.Remove(p); err != nil {
			return err
		}
	}
	return nil
}

func prometheusProgram(dir, name string) string { return filepath.Join(dir, "lib", "usr", "bin", name) }

// Promtool returns a promtool command, which checks Prometheus rules. Without it the test is skipped, like those that need an
// emulator.
func Promtool(tb testing.TB, args ...string) *exec.Cmd {
	tb.Helper()
	dir := fetched(tb, prometheusBundle, "promtool", "apt-get")
	return exec.CommandContext(tb.Context(), prometheusProgram(dir, "promtool"), args...)
}

// Prometheus starts a Prometheus server with a configuration file and an empty database. The endpoint has only an address.
func Prometheus(t *testing.T, config string) Endpoint {
	t.Helper()
	return start(t, emulator{name: "prometheus", bundle: prometheusBundle,
		command: func(t *testing.T, dir string, port, _ int) command {
			return command{dir: dir, args: []string{
				prometheusProgram(dir, "prometheus"), "--config.file=" + config, "--storage.tsdb.path=" + t.TempDir(),
				"--web.listen-address=" + net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), "--log.level=warn",
			}}
		}})
}
