package emulator

import (
	"archive/zip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// postgresqlBundle has the server's programs, in a folder per major version, with an empty cluster to copy.
var postgresqlBundle = Bundle{
	Name:    "postgresql",
	tool:    "mvn",
	files:   []string{"pom.xml"},
	pinned:  postgresqlArchitecture(),
	install: installPostgreSQL,
}

// PostgreSQLVersions are the major versions that PostgreSQL starts: the oldest that is still maintained, and a recent one.
var PostgreSQLVersions = []int{14, 18}

// postgresqlArchitecture is how the jars' publisher calls this machine.
func postgresqlArchitecture() string {
	if runtime.GOARCH == "arm64" {
		return "arm64v8"
	}
	return runtime.GOARCH
}

func installPostgreSQL(ctx context.Context, dir string) error {
	err := run(ctx, dir, nil, "mvn", "--quiet", "--batch-mode", "-Dmaven.repo.local="+filepath.Join(dir, "..", "maven"),
		"dependency:copy", "-Darchitecture="+postgresqlArchitecture(), "-DoutputDirectory=.")
	if err != nil {
		return err
	}
	for _, major := range PostgreSQLVersions {
		if err := unpackPostgreSQL(ctx, dir, strconv.Itoa(major)); err != nil {
			return fmt.Errorf("PostgreSQL %d: %w", major, err)
		}
	}
	return nil
}

// unpackPostgreSQL unpacks dir/major.jar, which holds one compressed archive, into dir/major.
func unpackPostgreSQL(ctx context.Context, dir, major string) error {
	jar, err := zip.OpenReader(filepath.Join(dir, major+".jar"))
	if err != nil {
		return err
	}
	defer func() { _ = jar.Close() }() // it was only read
	i := slices.IndexFunc(jar.File, func(f *zip.File) bool { return filepath.Ext(f.Name) == ".txz" })
	if i < 0 {
		return errors.New("the jar has no .txz")
	}
	archive, err := jar.File[i].Open()
	if err != nil {
		return err
	}
	to := filepath.Join(dir, major)
	if err := os.Mkdir(to, 0o755); err != nil {
		return err
	}
	unpack := exec.CommandContext(ctx, "tar", "--extract", "--xz", "--no-same-owner", "--directory", to)
	unpack.Stdin = archive
	if output, err := unpack.CombinedOutput(); err != nil {
		return fmt.Errorf("run tar: %w: %s", err, output)
	}
	return errors.Join(initCluster(ctx, to), os.Remove(filepath.Join(dir, major+".jar")))
}

// initCluster makes an empty cluster in the folder data, which every user may read and so copy.
func initCluster(ctx context.Context, dir string) error {
	owner, err := postgresqlUser()
	if err != nil {
		return err
	}
	data := filepath.Join(dir, "data")
	if err := errors.Join(os.Mkdir(data, 0o700), own(data, owner)); err != nil {
		return err
	}
	init := exec.CommandContext(ctx, filepath.Join(dir, "bin", "initdb"), "--pgdata", data, "--username", "postgres", "--auth", "trust",
		"--encoding", "UTF8", "--locale", "C", "--wal-segsize", "1", "--no-sync")
	init.Dir = dir
	init.SysProcAttr = asUser(owner)
	if output, err := init.CombinedOutput(); err != nil {
		return fmt.Errorf("run initdb: %w: %s", err, output)
	}
	return filepath.WalkDir(data, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.IsDir() {
			return os.Chmod(path, 0o755)
		} else if err == nil {
			return os.Chmod(path, 0o644)
		}
		return err
	})
}

// postgresqlUser is who runs the server: nobody if the tests run as root, because the server refuses to, or nil for the user of the
// tests.
func postgresqlUser() (*credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	nobody, err := user.Lookup("nobody")
	if err != nil {
		return nil, err
	}
	uid, err := strconv.ParseUint(nobody.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.ParseUint(nobody.Gid, 10, 32)
	return &credential{uint32(uid), uint32(gid)}, err
}

// own gives a file or folder to the server's user.
func own(path string, owner *credential) error {
	if owner == nil {
		return nil
	}
	return os.Chown(path, int(owner.uid), int(owner.gid))
}

// PostgreSQLServer is a PostgreSQL server of a test. Its superuser is postgres, and it trusts connections from this machine.
type PostgreSQLServer struct {
	// Address is where it listens, with or without TLS, also after a restart.
	Address string
	// Major is its major version.
	Major int

	programs string
	folder   string // holds data and what else the server may write
	owner    *credential
	process  *process
}

// PostgreSQLOption changes a server before it starts.
type PostgreSQLOption func(*PostgreSQLServer) error

// WithSettings adds lines to postgresql.conf, such as "fsync = on".
func WithSettings(lines ...string) PostgreSQLOption {
	return func(s *PostgreSQLServer) error { return s.write("postgresql.conf", true, lines...) }
}

// WithAccess puts lines before those of pg_hba.conf, which trust connections from this machine.
func WithAccess(lines ...string) PostgreSQLOption {
	return func(s *PostgreSQLServer) error {
		rest, err := os.ReadFile(s.file("pg_hba.conf"))
		if err != nil {
			return err
		}
		return s.write("pg_hba.conf", false, append(lines, string(rest))...)
	}
}

// WithTLS has the server offer TLS with a certificate and its key, in PEM.
func WithTLS(certificate, key []byte) PostgreSQLOption {
	return func(s *PostgreSQLServer) error {
		return errors.Join(
			s.write("server.crt", false, string(certificate)),
			s.write("server.key", false, string(key)),
			s.write("postgresql.conf", true, "ssl = on"))
	}
}

// PostgreSQL starts a server of a major version, one of PostgreSQLVersions, with an empty database called postgres, and ends it with
// the test. Unless an option says otherwise it does not wait for the disk: a commit survives the death of every process, but not a
// power cut. Without the server the test is skipped, like those that need an emulator.
func PostgreSQL(tb testing.TB, major int, options ...PostgreSQLOption) *PostgreSQLServer {
	tb.Helper()
	dir := fetched(tb, postgresqlBundle, "PostgreSQL", "tar")
	s := newPostgreSQL(tb, filepath.Join(dir, strconv.Itoa(major)), major)
	if err := copyCluster(filepath.Join(s.programs, "data"), s.file(""), s.owner); err != nil {
		tb.Fatal(err)
	}
	err := s.write("postgresql.conf", true,
		"listen_addresses = '127.0.0.1'", "unix_socket_directories = ''", "fsync = off", "max_connections = 50", "shared_buffers = 16MB",
		"logging_collector = off", "log_line_prefix = '%m [%p] %a '", "port = "+s.port())
	if err != nil {
		tb.Fatal(err)
	}
	for _, option := range options {
		if err := option(s); err != nil {
			tb.Fatal(err)
		}
	}
	if err := s.Start(tb.Context()); err != nil {
		tb.Fatal(err)
	}
	return s
}

// newPostgreSQL makes the folder of a server that does not run yet.
func newPostgreSQL(tb testing.TB, programs string, major int) *PostgreSQLServer {
	tb.Helper()
	owner, err := postgresqlUser()
	if err != nil {
		leaveOut(tb, "PostgreSQL", err)
	}
	folder, err := os.MkdirTemp("", "postgresql-") // not the test's, which only the user of the tests can enter
	if err != nil {
		tb.Fatal(err)
	}
	s := &PostgreSQLServer{Address: FreeAddress(tb), Major: major, programs: programs, folder: folder, owner: owner}
	tb.Cleanup(func() {
		if err := s.Kill(); err != nil {
			tb.Error(err)
		}
		if tb.Failed() && s.process != nil {
			tb.Logf("end of the output of PostgreSQL %d: %s", major, s.process.tail())
		}
		if err := os.RemoveAll(folder); err != nil {
			tb.Error(err)
		}
	})
	if err := own(folder, owner); err != nil {
		tb.Fatal(err)
	}
	return s
}

// copyCluster copies the folder of a cluster.
func copyCluster(from, to string, owner *credential) error {
	return filepath.WalkDir(from, func(path string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // a running server removes files; its log makes up for them
		} else if err != nil {
			return err
		}
		target := filepath.Join(to, strings.TrimPrefix(path, from))
		if entry.IsDir() {
			return errors.Join(os.Mkdir(target, 0o700), own(target, owner))
		}
		text, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		} else if err != nil {
			return err
		}
		return errors.Join(os.WriteFile(target, text, 0o600), own(target, owner))
	})
}

func (s *PostgreSQLServer) file(name string) string { return filepath.Join(s.folder, "data", name) }

func (s *PostgreSQLServer) port() string {
	_, port, _ := net.SplitHostPort(s.Address)
	return port
}

// write writes lines to a file of the cluster.
func (s *PostgreSQLServer) write(name string, add bool, lines ...string) error {
	mode := os.O_CREATE | os.O_WRONLY | os.O_TRUNC
	if add {
		mode = os.O_CREATE | os.O_WRONLY | os.O_APPEND
	}
	file, err := os.OpenFile(s.file(name), mode, 0o600)
	if err != nil {
		return err
	}
	_, err = io.WriteString(file, strings.Join(lines, "\n")+"\n")
	return errors.Join(err, file.Close(), own(s.file(name), s.owner))
}

// Start starts the server, which does not run, on its address, and waits until it answers. After Kill it recovers first.
func (s *PostgreSQLServer) Start(ctx context.Context) error {
	port, err := strconv.Atoi(s.port())
	if err != nil {
		return err
	}
	s.process, err = launch(s.folder, port, command{
		dir: s.folder, args: []string{filepath.Join(s.programs, "bin", "postgres"), "-D", s.file("")}, user: s.owner,
	})
	if err != nil {
		return fmt.Errorf("start PostgreSQL %d: %w", s.Major, err)
	}
	return s.Ready(ctx)
}

// Ready waits until the server answers: after the death of a backend, it ends all others and recovers.
func (s *PostgreSQLServer) Ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyBound)
	defer cancel()
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for {
		conn, err := pgx.Connect(ctx, s.DSN("postgres"))
		if err == nil {
			return conn.Close(ctx)
		}
		select {
		case <-s.process.exited:
			return fmt.Errorf("PostgreSQL %d: %w (%v): %s", s.Major, errExited, s.process.exitErr, s.process.tail())
		case <-ctx.Done():
			return fmt.Errorf("wait for PostgreSQL %d: %w: %s", s.Major, err, s.process.tail())
		case <-ticker.C:
		}
	}
}

// Kill ends all processes of the server at once, as a crash of the machine does, and returns when they are gone. A server that does
// not run is left alone.
func (s *PostgreSQLServer) Kill() error {
	if s.process == nil {
		return nil
	}
	return s.process.kill()
}

// KillBackend ends the process of one connection, whose pg_backend_pid() is given. The server then ends all others too and recovers;
// Ready waits for it.
func (s *PostgreSQLServer) KillBackend(pid int) error { return killProcess(pid) }

// DSN names a database of the server for the superuser, without TLS.
func (s *PostgreSQLServer) DSN(database string) string {
	return "postgres://postgres@" + s.Address + "/" + database + "?sslmode=disable"
}

// Connect returns a connection of the superuser, which is closed with the test.
func (s *PostgreSQLServer) Connect(tb testing.TB, database string) *pgx.Conn {
	tb.Helper()
	conn, err := pgx.Connect(tb.Context(), s.DSN(database))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = conn.Close(context.Background()) }) // the server may be gone
	return conn
}

// CreateDatabase makes an empty database and returns its name.
func (s *PostgreSQLServer) CreateDatabase(tb testing.TB) string {
	tb.Helper()
	conn, err := pgx.Connect(tb.Context(), s.DSN("postgres"))
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = conn.Close(context.Background()) }() // it has answered all
	var n int
	if err := conn.QueryRow(tb.Context(), "SELECT count(*) FROM pg_database").Scan(&n); err != nil {
		tb.Fatal(err)
	}
	name := "test" + strconv.Itoa(n)
	if _, err := conn.Exec(tb.Context(), "CREATE DATABASE "+name); err != nil {
		tb.Fatal(err)
	}
	return name
}

// Folder returns an empty folder that the server may write, for a tablespace.
func (s *PostgreSQLServer) Folder(tb testing.TB) string {
	tb.Helper()
	folder, err := os.MkdirTemp(s.folder, "folder-")
	if err == nil {
		err = own(folder, s.owner)
	}
	if err != nil {
		tb.Fatal(err)
	}
	return folder
}

// SmallDisk returns an empty folder that the server may write, on a disk of its own of that many bytes. Where the tests may not
// mount one, as root or by sudo without a password, the test is skipped like those that need an emulator.
func (s *PostgreSQLServer) SmallDisk(tb testing.TB, bytes int) string {
	tb.Helper()
	folder := s.Folder(tb)
	mount := []string{"mount", "-t", "tmpfs", "-o", fmt.Sprintf("size=%d,mode=0777", bytes), "tmpfs", folder}
	unmount := []string{"umount", "--lazy", folder} // the server still runs
	if os.Geteuid() != 0 {
		mount, unmount = append([]string{"sudo", "-n"}, mount...), append([]string{"sudo", "-n"}, unmount...)
	}
	if err := run(tb.Context(), s.folder, nil, mount[0], mount[1:]...); err != nil {
		leaveOut(tb, "a full disk", err)
	}
	tb.Cleanup(func() {
		if err := run(context.Background(), s.folder, nil, unmount[0], unmount[1:]...); err != nil {
			tb.Error(err)
		}
	})
	space, err := os.MkdirTemp(folder, "") // a tablespace wants to own its folder
	if err == nil {
		err = own(space, s.owner)
	}
	if err != nil {
		tb.Fatal(err)
	}
	return space
}

// Psql returns a psql command of this machine with a statement, to compare with. Without psql the test is skipped, like those that
// need an emulator.
func (s *PostgreSQLServer) Psql(tb testing.TB, database, statement string) *exec.Cmd {
	tb.Helper()
	if _, err := exec.LookPath("psql"); err != nil {
		leaveOut(tb, "psql", err)
	}
	cmd := exec.CommandContext(tb.Context(), "psql", "--no-psqlrc", "--no-align", "--tuples-only", "--quiet", "--set", "ON_ERROR_STOP=1",
		"--command", statement, s.DSN(database))
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + s.folder}
	return cmd
}
