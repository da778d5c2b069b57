// Package lambdatest runs a Lambda function as Lambda does: it unpacks the function's package, starts its bootstrap, and passes
// events to it through the runtime API (AWS Lambda Developer Guide, "Using the Lambda runtime API for custom runtimes").
package lambdatest

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"aws-streaming-pipeline/internal/lambdas/bundle"
)

// Function is a function with a running process.
type Function struct {
	tb     testing.TB
	cmd    *exec.Cmd
	server *http.Server
	// Started is when the process was started, Ready when it first asked for an event.
	Started, Ready time.Time

	events  chan invocation
	ready   chan struct{} // closed when it first asks for an event
	exited  chan struct{} // closed when the process has ended
	once    sync.Once
	out     string   // file with the process's output; complete lines once an answer is there
	pending sync.Map // request id -> chan Result
	// initError is what the function reported when its start failed.
	initError chan string
	number    int
}

type invocation struct {
	id       string
	event    []byte
	deadline time.Time
	result   chan Result
}

// Result is the result of an event.
type Result struct {
	// Answer is the function's answer. Error is the error that it reported, which Lambda counts as a failed invocation.
	Answer, Error []byte
	// TimedOut says whether the deadline passed. Lambda then ends the process, and so does Invoke.
	TimedOut bool
	Took     time.Duration
}

// Package builds a function for this machine, once per test process.
func Package(tb testing.TB, name string, more ...bundle.File) []byte {
	tb.Helper()
	packages.Lock()
	defer packages.Unlock()
	if data := packages.built[name]; data != nil && len(more) == 0 {
		return data
	}
	data, err := bundle.Build(tb.Context(), name, runtime.GOARCH, more...)
	if err != nil {
		tb.Fatal(err)
	}
	if len(more) == 0 {
		packages.built[name] = data
	}
	return data
}

var packages = struct {
	sync.Mutex
	built map[string][]byte
}{built: make(map[string][]byte)}

// Start unpacks a package and starts its function with only the given environment. The function ends with the test.
func Start(tb testing.TB, pkg []byte, env map[string]string) *Function {
	tb.Helper()
	dir := tb.TempDir()
	unpack(tb, pkg, dir)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	f := &Function{
		tb: tb, events: make(chan invocation), ready: make(chan struct{}), exited: make(chan struct{}),
		initError: make(chan string, 1),
	}
	f.server = &http.Server{Handler: f.api(), ReadHeaderTimeout: 10 * time.Second}
	served := make(chan error, 1)
	go func() { served <- f.server.Serve(listener) }()

	f.cmd = exec.Command(filepath.Join(dir, "bootstrap"))
	f.cmd.Dir = dir
	f.cmd.Env = []string{
		"AWS_LAMBDA_RUNTIME_API=" + listener.Addr().String(), "AWS_LAMBDA_FUNCTION_NAME=test", "LAMBDA_TASK_ROOT=" + dir,
		"AWS_REGION=us-east-1", "AWS_ACCESS_KEY_ID=local", "AWS_SECRET_ACCESS_KEY=localsecret", "HOME=" + dir, "TZ=UTC",
	}
	for name, value := range env {
		f.cmd.Env = append(f.cmd.Env, name+"="+value)
	}
	output, err := os.Create(filepath.Join(tb.TempDir(), "output"))
	if err != nil {
		tb.Fatal(err)
	}
	f.out, f.cmd.Stdout, f.cmd.Stderr = output.Name(), output, output
	f.Started = time.Now()
	if err := errors.Join(f.cmd.Start(), output.Close()); err != nil {
		tb.Fatal(err)
	}
	go func() {
		_ = f.cmd.Wait() // what waits for it reports how it ended
		close(f.exited)
	}()
	tb.Cleanup(func() {
		f.kill()
		_ = f.server.Close()
		<-served
		if tb.Failed() {
			tb.Logf("the function wrote:\n%s", f.Output())
		}
	})
	return f
}

func unpack(tb testing.TB, pkg []byte, dir string) {
	tb.Helper()
	z, err := zip.NewReader(bytes.NewReader(pkg), int64(len(pkg)))
	if err != nil {
		tb.Fatal(err)
	}
	for _, entry := range z.File {
		r, err := entry.Open()
		if err != nil {
			tb.Fatal(err)
		}
		data, err := io.ReadAll(r)
		if err != nil {
			tb.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, entry.Name), data, entry.Mode()); err != nil {
			tb.Fatal(err)
		}
	}
}

// api serves the runtime API to the function.
func (f *Function) api() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /2018-06-01/runtime/invocation/next", f.next)
	mux.HandleFunc("POST /2018-06-01/runtime/invocation/{id}/response", func(w http.ResponseWriter, r *http.Request) {
		f.finish(w, r, func(body []byte) Result { return Result{Answer: body} })
	})
	mux.HandleFunc("POST /2018-06-01/runtime/invocation/{id}/error", func(w http.ResponseWriter, r *http.Request) {
		f.finish(w, r, func(body []byte) Result { return Result{Error: body} })
	})
	mux.HandleFunc("POST /2018-06-01/runtime/init/error", func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			body = []byte(err.Error())
		}
		f.initError <- string(body)
		w.WriteHeader(http.StatusAccepted)
	})
	return mux
}

// next passes an event to the function as soon as there is one.
func (f *Function) next(w http.ResponseWriter, r *http.Request) {
	f.once.Do(func() {
		f.Ready = time.Now()
		close(f.ready)
	})
	select {
	case <-r.Context().Done():
	case i := <-f.events:
		f.pending.Store(i.id, i.result)
		w.Header().Set("Lambda-Runtime-Aws-Request-Id", i.id)
		w.Header().Set("Lambda-Runtime-Deadline-Ms", strconv.FormatInt(i.deadline.UnixMilli(), 10))
		w.Header().Set("Lambda-Runtime-Invoked-Function-Arn", "arn:aws:lambda:us-east-1:123456789012:function:test")
		_, _ = w.Write(i.event) // Invoke notices a function that has gone
	}
}

func (f *Function) finish(w http.ResponseWriter, r *http.Request, result func([]byte) Result) {
	body, err := io.ReadAll(r.Body)
	waiting, ok := f.pending.LoadAndDelete(r.PathValue("id"))
	if err != nil || !ok {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	w.WriteHeader(http.StatusAccepted)
	waiting.(chan Result) <- result(body)
}

// Await waits until the function asks for its first event, or returns what it reported instead.
func (f *Function) Await() (initError string) {
	f.tb.Helper()
	ctx, cancel := context.WithTimeout(f.tb.Context(), time.Minute)
	defer cancel()
	select {
	case <-f.ready:
		return ""
	case text := <-f.initError:
		return text
	case <-f.exited:
		select {
		case text := <-f.initError:
			return text
		default:
			f.tb.Fatalf("the function ended before it asked for an event: %v", f.cmd.ProcessState)
		}
	case <-ctx.Done():
		f.tb.Fatal("the function does not ask for an event")
	}
	return ""
}

// Invoke passes an event to the function, with the given time for it. When the time is over it ends the process, as Lambda does.
func (f *Function) Invoke(event []byte, timeout time.Duration) Result {
	f.tb.Helper()
	if text := f.Await(); text != "" {
		f.tb.Fatalf("the function cannot start: %s", text)
	}
	f.number++
	began := time.Now()
	i := invocation{id: fmt.Sprintf("00000000-0000-4000-8000-%012d", f.number), event: event, deadline: began.Add(timeout), result: make(chan Result, 1)}
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	select {
	case f.events <- i:
	case <-f.exited:
		f.tb.Fatalf("the function has ended: %v", f.cmd.ProcessState)
	case <-timer.C:
		f.tb.Fatal("the function does not take the event")
	}
	select {
	case r := <-i.result:
		r.Took = time.Since(began)
		return r
	case <-f.exited:
		f.tb.Fatalf("the function ended with the event: %v", f.cmd.ProcessState)
	case <-timer.C:
		f.kill()
	}
	return Result{TimedOut: true, Took: timeout}
}

// Answer invokes the function and decodes its answer. An error or a timeout fails the test.
func Answer[T any](f *Function, event []byte, timeout time.Duration) T {
	f.tb.Helper()
	r := f.Invoke(event, timeout)
	if r.Error != nil || r.TimedOut {
		f.tb.Fatalf("no answer: error %s, timed out: %v", r.Error, r.TimedOut)
	}
	var answer T
	d := json.NewDecoder(bytes.NewReader(r.Answer))
	d.DisallowUnknownFields()
	if err := d.Decode(&answer); err != nil {
		f.tb.Fatalf("the answer %s: %v", r.Answer, err)
	}
	return answer
}

// kill ends the process and waits for it.
func (f *Function) kill() {
	_ = f.cmd.Process.Kill() // fails only if it has already ended
	<-f.exited
}

// Output returns what the function has written so far.
func (f *Function) Output() string {
	f.tb.Helper()
	text, err := os.ReadFile(f.out)
	if err != nil {
		f.tb.Fatal(err)
	}
	return string(text)
}

// Metrics returns the sums of the values in the function's metric lines.
func (f *Function) Metrics() map[string]float64 {
	f.tb.Helper()
	sums := make(map[string]float64)
	for line := range strings.Lines(f.Output()) {
		var l struct {
			AWS struct {
				CloudWatchMetrics []struct {
					Namespace string
					Metrics   []struct{ Name, Unit string }
				}
			} `json:"_aws"`
		}
		var values map[string]any
		if json.Unmarshal([]byte(line), &l) != nil || json.Unmarshal([]byte(line), &values) != nil {
			continue
		}
		for _, directive := range l.AWS.CloudWatchMetrics {
			for _, m := range directive.Metrics {
				value, ok := values[m.Name].(float64)
				if !ok {
					f.tb.Errorf("metric %s has the value %v", m.Name, values[m.Name])
				}
				sums[m.Name] += value
			}
		}
	}
	return sums
}
