package main_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"aws-streaming-pipeline/internal/iam"
	"aws-streaming-pipeline/writers/layout"
)

const (
	accountID = "123456789012" // of the embedded stream
	region    = "us-east-1"
)

// border lets a consumer reach AWS only as a policy allows. It forces two rare events once per policy: it refuses a commit,
// so that a batch is dropped, and a completion, so that the consumer inspects the upload.
type border struct {
	*surroundings
	endpoints []string // settings

	mu      sync.Mutex
	policy  iam.Policy
	asked   []iam.Need
	refused []iam.Need
	commit  atomic.Bool // was refused
	part    atomic.Bool // was refused
}

func newBorder(t *testing.T, table string) *border {
	t.Helper()
	b := &border{surroundings: newSurroundings(t, 2)}
	site := iam.Site{Partition: "aws", Region: region, Account: accountID, Stream: streamName}
	function := httptest.NewServer(http.HandlerFunc(echo))
	t.Cleanup(function.Close)
	for service, backend := range map[iam.Service]string{iam.Kinesis: b.stream.URL(), iam.S3: b.bucket.URL(), iam.DynamoDB: table, iam.Lambda: function.URL} {
		to, err := url.Parse(backend)
		if err != nil {
			t.Fatal(err)
		}
		mishaps := httptest.NewServer(b.mishaps(&httputil.ReverseProxy{
			Rewrite: func(p *httputil.ProxyRequest) { p.SetURL(to) }, FlushInterval: -1,
			ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) },
		}))
		t.Cleanup(mishaps.Close)
		behind, err := url.Parse(mishaps.URL)
		if err != nil {
			t.Fatal(err)
		}
		guard := httptest.NewServer(&iam.Guard{Service: service, Backend: behind, Site: site, Policy: b.inForce, Saw: b.saw})
		t.Cleanup(guard.Close)
		b.endpoints = append(b.endpoints, "AWS_ENDPOINT_URL_"+strings.ToUpper(string(service))+"="+guard.URL)
	}
	return b
}

func (b *border) mishaps(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case conditional(r) && b.commit.CompareAndSwap(false, true):
			w.Header().Set("Content-Type", "application/x-amz-json-1.0")
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprint(w, `{"__type":"com.amazonaws.dynamodb.v20120810#TransactionCanceledException","CancellationReasons":[{"Code":"ConditionalCheckFailed"}]}`)
		case r.Method == http.MethodPost && r.URL.Query().Has("uploadId") && b.part.CompareAndSwap(false, true):
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprint(w, `<Error><Code>InvalidPart</Code></Error>`)
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// conditional reports whether a request is a transaction whose conditions may fail. It may still be sent on.
func conditional(r *http.Request) bool {
	if !strings.HasSuffix(r.Header.Get("X-Amz-Target"), ".TransactWriteItems") {
		return false
	}
	body, _ := io.ReadAll(r.Body) // if it is torn, it stays so: its length is known
	r.Body = io.NopCloser(bytes.NewReader(body))
	return bytes.Contains(body, []byte(`"ConditionExpression"`))
}

func (b *border) inForce() iam.Policy {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.policy
}

func (b *border) saw(needs []iam.Need, allowed bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.asked = append(b.asked, needs...)
	if !allowed {
		b.refused = append(b.refused, needs...)
	}
}

// enforce puts a policy in force and forgets what was seen under another.
func (b *border) enforce(p iam.Policy) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.policy, b.asked, b.refused = p, nil, nil
	b.commit.Store(false)
	b.part.Store(false)
}

func (b *border) refusals() []iam.Need {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.refused)
}

// idle returns the permissions of the policy in force that nothing has needed, as Sid and action.
func (b *border) idle() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var list []string
	for _, s := range b.policy.Statement {
		for _, action := range s.Action {
			alone := s
			alone.Action = iam.Texts{action}
			if !slices.ContainsFunc(b.asked, iam.Policy{Statement: []iam.Statement{alone}}.Allows) {
				list = append(list, s.Sid+" "+action)
			}
		}
	}
	return list
}

// needed reports whether any call has needed an action.
func (b *border) needed(action string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.ContainsFunc(b.asked, func(n iam.Need) bool { return n.Action == action })
}

// print has the consumer print its policy for settings.
func (b *border) print(env []string, flags ...string) iam.Policy {
	b.t.Helper()
	path, err := binary()
	if err != nil {
		b.t.Fatal(err)
	}
	cmd := exec.Command(path, append([]string{"policy", "--account", accountID}, flags...)...)
	cmd.Env = b.environment(env...)
	document, err := cmd.Output()
	if err != nil {
		b.t.Fatalf("policy: %v", err)
	}
	p, err := iam.Parse(document)
	if err != nil {
		b.t.Fatal(err)
	}
	return p
}

// delivered counts the records in manifests.
func (b *border) delivered() (n int64) {
	b.t.Helper()
	manifests, err := filepath.Glob(filepath.Join(b.dir, "bucket", bucketName, "manifests/*/*/*/*/*.json"))
	if err != nil {
		b.t.Fatal(err)
	}
	for _, path := range manifests {
		body, err := os.ReadFile(path)
		if err != nil {
			b.t.Fatal(err)
		}
		m, err := layout.DecodeManifest(body)
		if err != nil {
			continue // it is just being written
		}
		for _, r := range m.Ranges {
			n += r.Records
		}
	}
	return n
}

// ready asks for readiness, which asks for the bucket.
func ready(address string) bool {
	answer, err := http.Get("http://" + address + "/readyz")
	if err != nil {
		return false
	}
	answer.Body.Close()
	return answer.StatusCode == http.StatusOK
}
