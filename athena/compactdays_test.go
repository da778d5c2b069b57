package athena_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"aws-streaming-pipeline/internal/test/emulator"
)

// engine stands in for Athena's API: it runs what it is sent with DuckDB, on the files of a folder. It says once that a query is still running.
type engine struct {
	t      *testing.T
	folder string

	mu      sync.Mutex
	done    []string // statements that changed trips_compact
	queries []string
	rows    [][][]string // by query
	looked  bool
	fail    string // a query with this text fails
}

func (e *engine) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var call struct{ QueryString, QueryExecutionId, WorkGroup string }
	if err := json.NewDecoder(r.Body).Decode(&call); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	type m = map[string]any
	var answer m
	switch _, action, _ := strings.Cut(r.Header.Get("X-Amz-Target"), "."); action {
	case "StartQueryExecution":
		e.start(call.QueryString)
		answer = m{"QueryExecutionId": strconv.Itoa(len(e.queries) - 1)}
	case "GetQueryExecution":
		number, err := strconv.Atoi(call.QueryExecutionId)
		if err != nil {
			e.t.Error(err)
		}
		state := "SUCCEEDED"
		if !e.looked {
			state = "RUNNING"
		} else if e.fail != "" && strings.Contains(e.queries[number], e.fail) {
			state = "FAILED"
		}
		e.looked = true
		answer = m{"QueryExecution": m{"Status": m{"State": state, "StateChangeReason": "said the test"}}}
	case "GetQueryResults":
		number, err := strconv.Atoi(call.QueryExecutionId)
		if err != nil {
			e.t.Error(err)
		}
		rows := []m{{"Data": []m{{"VarCharValue": "the header"}}}}
		for _, row := range e.rows[number] {
			var cells []m
			for _, cell := range row {
				cells = append(cells, m{"VarCharValue": cell})
			}
			rows = append(rows, m{"Data": cells})
		}
		answer = m{"ResultSet": m{"Rows": rows}}
	}
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	if err := json.NewEncoder(w).Encode(answer); err != nil {
		e.t.Error(err)
	}
}

// start runs a query. What it changes is kept as a statement, since each run of DuckDB begins with the files.
func (e *engine) start(query string) {
	file := filepath.Join(e.t.TempDir(), "query.sql")
	if err := os.WriteFile(file, []byte(query), 0o600); err != nil {
		e.t.Error(err)
	}
	spoken := make(map[string]string)
	grammar(e.t, "duckdb", []string{file}, &spoken)
	var rows [][]string
	switch text := spoken[file]; {
	case e.fail != "" && strings.Contains(query, e.fail):
	case strings.Contains(query, "\nINSERT INTO"):
		e.done = append(e.done, text)
	case text != "":
		rows = askCases(e.t, e.folder, map[string][]string{"": append([]string{createCompact}, e.done...)}, map[string]string{"query": text})[""]["query"]
	}
	e.queries, e.rows = append(e.queries, query), append(e.rows, rows)
}

// compactDays runs the command of docs/compact-small-files.md, with the AWS CLI.
func compactDays(t *testing.T, folder string) {
	e := &engine{t: t, folder: folder}
	server := httptest.NewServer(e)
	defer server.Close()
	env, _ := emulator.Tools(t)
	run := func(args ...string) (string, error) {
		cmd := exec.CommandContext(t.Context(), "./compact-days", append([]string{"streaming-pipeline-dev", "lambda"}, args...)...)
		cmd.Env = append(env, "AWS_ENDPOINT_URL="+server.URL, "AWS_DEFAULT_REGION=eu-west-1", "POLL_SECONDS=0")
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	agreed := fmt.Sprintf("2026-01-31 lambda: %d rows, %[1]d copied; 0 missing, 0 foreign, 0 double, 0 without event_id\n", trips)

	set := func(fail string, done ...string) {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.fail, e.done = fail, append(e.done, done...)
	}
	set("OPTIMIZE")
	if out, err := run("2026-01-31"); err == nil || !strings.HasPrefix(out, agreed) || !strings.Contains(out, "compact-optimize of 2026-01-31: query 2: FAILED\tsaid the test") {
		t.Errorf("with an error in the last step: %v\n%s", err, out)
	}
	set("", "DELETE FROM trips_compact WHERE taxi_id % 2 = 0", "CREATE TABLE kept AS FROM trips_compact; INSERT INTO trips_compact SELECT * FROM kept LIMIT 5")
	// It begins anew: half of the day is copied again, and what is there twice stops it.
	if out, err := run("2026-01-31", "2026-02-01"); err == nil || !strings.Contains(out, "; 0 missing, 0 foreign, 5 double") || !strings.Contains(out, "2026-01-31 does not agree") || strings.Contains(out, "2026-02-01") {
		t.Errorf("with doubles: %v\n%s", err, out)
	}
	if out, err := run("yesterday"); err == nil || !strings.Contains(out, `DAY="yesterday": want a date such as 2026-01-31`) {
		t.Errorf("with a wrong day: %v\n%s", err, out)
	}
}
