// Package lake reads Iceberg tables with DuckDB and pyiceberg, and changes them with pyiceberg, as other programs do with a
// table that we load.
package lake

import (
	"bufio"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"aws-streaming-pipeline/internal/test/emulator"
)

//go:embed lake.py
var script []byte

// Lake is a process with DuckDB and pyiceberg for the tables of a catalog. It may be used by any number of goroutines, one of which
// it serves at a time.
type Lake struct {
	mu  sync.Mutex
	in  io.Writer
	out *bufio.Scanner
}

var (
	// ErrConflict means that another commit changed the table first, or that it is not known whether the commit was applied.
	ErrConflict = errors.New("commit was refused or has an unknown outcome")
	// ErrNoTable means that the catalog does not have the table.
	ErrNoTable = errors.New("no such table")
)

// kinds are the errors by the script's names.
var kinds = map[string]error{"conflict": ErrConflict, "no table": ErrNoTable}

// Open starts a process for the duration of the test. Catalog is the URL of a REST catalog; it may be empty if all tables are
// locations.
func Open(tb testing.TB, catalog string, s3 emulator.Endpoint) *Lake {
	tb.Helper()
	file := filepath.Join(tb.TempDir(), "lake.py")
	if err := os.WriteFile(file, script, 0o600); err != nil {
		tb.Fatal(err)
	}
	settings, err := json.Marshal(map[string]any{"catalog": catalog, "s3": s3})
	if err != nil {
		tb.Fatal(err)
	}
	cmd := emulator.Tables(tb, file, string(settings))
	in, err := cmd.StdinPipe()
	if err != nil {
		tb.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		tb.Fatal(err)
	}
	cmd.Stderr = tb.Output()
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		_ = in.Close() // it ends the process
		_ = cmd.Wait() // the test's context, which has ended, may have killed it
	})
	const longest = 64 << 20
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, longest)
	return &Lake{in: in, out: lines}
}

// Table returns a table of the catalog, namespace.name, or one at a location, s3://bucket/prefix. Whether it exists is seen when it
// is used.
func (l *Lake) Table(name string) Table { return Table{lake: l, name: name} }

// Query runs SQL without a table in DuckDB, such as on read_parquet('s3://bucket/prefix/*').
func (l *Lake) Query(tb testing.TB, sql string) []Row {
	tb.Helper()
	return l.Table("").Query(tb, sql)
}

// CreateNamespace creates a namespace in the catalog.
func (l *Lake) CreateNamespace(name string) error {
	return l.Table(name).change("create_namespace", nil, nil)
}

// ask sends a request and decodes the answer.
func (l *Lake) ask(request map[string]any, answer any) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	text, err := json.Marshal(request)
	if err != nil {
		return err
	}
	if _, err := l.in.Write(append(text, '\n')); err != nil {
		return fmt.Errorf("%s: %w", request["command"], err)
	}
	if !l.out.Scan() {
		return fmt.Errorf("%s: %w", request["command"], errors.Join(io.ErrUnexpectedEOF, l.out.Err()))
	}
	var reply struct {
		Answer json.RawMessage `json:"answer"`
		Error  string          `json:"error"`
		Kind   string          `json:"kind"`
	}
	if err := json.Unmarshal(l.out.Bytes(), &reply); err != nil {
		return fmt.Errorf("%s: %w", request["command"], err)
	}
	switch {
	case kinds[reply.Kind] != nil:
		return fmt.Errorf("%s: %w: %s", request["command"], kinds[reply.Kind], reply.Error)
	case reply.Error != "":
		return fmt.Errorf("%s: %s", request["command"], reply.Error)
	case answer == nil:
		return nil
	}
	return json.Unmarshal(reply.Answer, answer)
}
