package dynamo_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/checkpoint/checkpointtest"
	"aws-streaming-pipeline/checkpoint/dynamo"
	"aws-streaming-pipeline/internal/metrics"
)

// script answers requests in place of DynamoDB: the first one with the first answer, and so on. An unexpected request
// fails the test, and so does an unused answer.
type script struct {
	t       *testing.T
	mu      sync.Mutex
	answers []answer
	asked   []request
}

type answer struct {
	operation string // that is expected
	status    int    // 0 means 200
	body      string
	err       error         // instead of an answer
	wait      time.Duration // before it
}

type request struct {
	operation string
	body      map[string]any
}

func (s *script) RoundTrip(r *http.Request) (*http.Response, error) {
	_, operation, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	raw, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	a, ok := s.next(operation, raw)
	if !ok {
		return nil, errors.New("the script has no answer")
	}
	select {
	case <-time.After(a.wait):
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
	if a.err != nil {
		return nil, a.err
	}
	return &http.Response{
		StatusCode: max(a.status, http.StatusOK), Request: r, Body: io.NopCloser(strings.NewReader(a.body)),
		Header: http.Header{"Content-Type": {"application/x-amz-json-1.0"}},
	}, nil
}

func (s *script) next(operation string, raw []byte) (answer, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var body map[string]any
	if err := json.Unmarshal(raw, &body); err != nil {
		s.t.Errorf("%s: request: %v", operation, err)
	}
	s.asked = append(s.asked, request{operation, body})
	if len(s.answers) == 0 {
		s.t.Errorf("%s was asked after the end of the script: %s", operation, raw)
		return answer{}, false
	}
	a := s.answers[0]
	s.answers = s.answers[1:]
	if a.operation != operation {
		s.t.Errorf("%s was asked, the script expects %s", operation, a.operation)
		return answer{}, false
	}
	return a, true
}

const tableActive = `{"Table":{"TableStatus":"ACTIVE","KeySchema":[{"AttributeName":"leaseKey","KeyType":"HASH"}],` +
	`"AttributeDefinitions":[{"AttributeName":"leaseKey","AttributeType":"S"}]}}`

// failure is an answer with a DynamoDB error.
func failure(operation, code, rest string) answer {
	return answer{operation: operation, status: 400, body: fmt.Sprintf(`{"__type":"com.amazonaws.dynamodb.v20120810#%s","message":"planted"%s}`, code, rest)}
}

func canceled(codes ...string) answer {
	var reasons []string
	for _, c := range codes {
		reasons = append(reasons, fmt.Sprintf(`{"Code":%q,"Message":"planted"}`, c))
	}
	return failure("TransactWriteItems", "TransactionCanceledException", `,"CancellationReasons":[`+strings.Join(reasons, ",")+`]`)
}

// scripted opens a store on an existing table, and scripts its further answers.
func scripted(t *testing.T, answers ...answer) (*dynamo.Store, *script) {
	t.Helper()
	s := &script{t: t, answers: slices.Concat([]answer{{operation: "DescribeTable", body: tableActive}}, answers)}
	store, err := dynamo.Open(t.Context(), scriptedConfig(s))
	must(t, err)
	t.Cleanup(func() {
		for _, a := range s.answers {
			t.Errorf("the answer to %s was never asked for", a.operation)
		}
	})
	return store, s
}

func scriptedConfig(s *script) dynamo.Config {
	cfg := config("http://dynamodb.test")
	cfg.AWS.HTTPClient = &http.Client{Transport: s}
	return cfg
}

var heldLease = checkpoint.Lease{Shard: "shardId-000000000001", Owner: "w1", Counter: 4, Checkpoint: "100"}

func leaseJSON(owner string, counter int, position string) string {
	if owner != "" {
		owner = `,"leaseOwner":{"S":"` + owner + `"}`
	}
	return fmt.Sprintf(`{"leaseKey":{"S":%q},"entityType":{"S":"LEASE"},"leaseCounter":{"N":"%d"},"checkpoint":{"S":%q}%s}`,
		heldLease.Shard, counter, position, owner)
}

func oneRange(end checkpoint.Position) checkpoint.Batch {
	return checkpoint.Batch{ID: "0193", Worker: "w1", Ranges: []checkpoint.Range{{
		Shard: heldLease.Shard, Start: heldLease.Checkpoint, End: end, LeaseOwner: "w1", LeaseCounter: 4}}}
}

func TestCommit_ReadsTheReasonsOfACancelledTransaction(t *testing.T) {
	ok := answer{operation: "TransactWriteItems", body: "{}"}
	for name, c := range map[string]struct {
		answers  []answer
		conflict bool
		fails    string
	}{
		"no error":                        {answers: []answer{ok}},
		"the batch exists":                {answers: []answer{canceled("ConditionalCheckFailed", "None")}, conflict: true},
		"a checkpoint has moved":          {answers: []answer{canceled("None", "ConditionalCheckFailed")}, conflict: true},
		"a condition beside a conflict":   {answers: []answer{canceled("TransactionConflict", "ConditionalCheckFailed")}, conflict: true},
		"conflicts pass":                  {answers: []answer{canceled("None", "TransactionConflict"), canceled("TransactionConflict", "None"), ok}},
		"throttling passes":               {answers: []answer{canceled("None", "ThrottlingError"), canceled("None", "ProvisionedThroughputExceeded"), ok}},
		"a conflict, then a condition":    {answers: []answer{canceled("None", "TransactionConflict"), canceled("None", "ConditionalCheckFailed")}, conflict: true},
		"the item is invalid":             {answers: []answer{canceled("ValidationError", "None")}, fails: "item 0: ValidationError planted"},
		"invalid beside a conflict":       {answers: []answer{canceled("ValidationError", "TransactionConflict")}, fails: "ValidationError"},
		"no reasons":                      {answers: []answer{canceled()}, fails: "TransactionCanceledException"},
		"another content under the token": {answers: []answer{failure("TransactWriteItems", "IdempotentParameterMismatchException", "")}, fails: "IdempotentParameterMismatch"},
		"the token is in progress":        {answers: []answer{failure("TransactWriteItems", "TransactionInProgressException", ""), ok}},
		"the table is throttled":          {answers: []answer{failure("TransactWriteItems", "ThrottlingException", ""), ok}},
		"the connection breaks":           {answers: []answer{{operation: "TransactWriteItems", err: io.ErrUnexpectedEOF}, ok}},
		"a server error":                  {answers: []answer{{operation: "TransactWriteItems", status: 500, body: "{}"}, ok}},
		"access denied":                   {answers: []answer{failure("TransactWriteItems", "AccessDeniedException", "")}, fails: "AccessDenied"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, asked := scripted(t, c.answers...)
				err := s.Commit(t.Context(), oneRange("200"))
				switch {
				case c.conflict:
					if !errors.Is(err, checkpoint.ErrConflict) {
						t.Errorf("%v, want ErrConflict", err)
					}
				case c.fails != "":
					if err == nil || errors.Is(err, checkpoint.ErrConflict) || !strings.Contains(err.Error(), c.fails) {
						t.Errorf("%v, want an error with %q that is not a conflict", err, c.fails)
					}
				case err != nil:
					t.Error(err)
				}
				tokens := map[any]bool{}
				for _, r := range asked.asked[1:] {
					tokens[r.body["ClientRequestToken"]] = true
				}
				if len(tokens) != 1 || tokens[nil] {
					t.Errorf("the attempts carried the tokens %v, want one", tokens)
				}
			})
		})
	}
}

func TestCommit_GivesUpWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		answers := slices.Repeat([]answer{canceled("None", "TransactionConflict")}, 500)
		s := &script{t: t, answers: slices.Concat([]answer{{operation: "DescribeTable", body: tableActive}}, answers)}
		store, err := dynamo.Open(t.Context(), scriptedConfig(s))
		must(t, err)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		began := time.Now()
		err = store.Commit(ctx, oneRange("200"))
		if !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, checkpoint.ErrConflict) {
			t.Errorf("%v, want the end of the context", err)
		}
		if took := time.Since(began); took != 10*time.Second {
			t.Errorf("gave up after %v", took)
		}
		if n := len(s.asked); n < 10 || n > 200 {
			t.Errorf("%d requests in ten seconds", n)
		}
	})
}

func TestCommit_OtherContentIsAnotherRequest(t *testing.T) {
	ok := answer{operation: "TransactWriteItems", body: "{}"}
	s, asked := scripted(t, ok, ok, ok, ok, ok)
	listed := func(content string) checkpoint.Batch {
		b := oneRange("200")
		b.List = checkpoint.NewFileList("lake", "manifests/outbox/0193.json.zst", 1, []byte(content))
		return b
	}
	for _, b := range []checkpoint.Batch{oneRange("200"), oneRange("200"), oneRange("201"), listed("x"), listed("y")} {
		must(t, s.Commit(t.Context(), b))
	}
	first, again, other := asked.asked[1], asked.asked[2], asked.asked[3]
	if !reflect.DeepEqual(first.body, again.body) {
		t.Errorf("the same batch gave the requests\n%v and\n%v", first.body, again.body)
	}
	if first.body["ClientRequestToken"] == other.body["ClientRequestToken"] {
		t.Error("another batch under the same id has the same token")
	}
	if x, y := asked.asked[4], asked.asked[5]; x.body["ClientRequestToken"] == y.body["ClientRequestToken"] {
		t.Error("a batch with another list under the same id has the same token")
	}
}

func TestAcquire_RecognisesItsOwnSuccess(t *testing.T) {
	failed := failure("UpdateItem", "ConditionalCheckFailedException", "")
	row := func(owner string, counter int) answer {
		return answer{operation: "GetItem", body: `{"Item":` + leaseJSON(owner, counter, "100") + `}`}
	}
	for name, c := range map[string]struct {
		read answer
		ok   bool
	}{
		"the row is ours as we would have left it":   {row("w2", 5), true},
		"the row is ours from a later term":          {row("w2", 6), false},
		"the row is ours from an earlier term":       {row("w2", 4), false},
		"the row is another's":                       {row("w3", 5), false},
		"the row is free":                            {row("", 5), false},
		"the row is gone":                            {answer{operation: "GetItem", body: "{}"}, false},
		"the row is still the former holder's (lag)": {row("w1", 4), false},
	} {
		t.Run(name, func(t *testing.T) {
			s, asked := scripted(t, failed, c.read)
			got, err := s.Acquire(t.Context(), heldLease, "w2")
			if consistent := asked.asked[2].body["ConsistentRead"]; consistent != true {
				t.Errorf("the read was consistent: %v", consistent)
			}
			if !c.ok {
				if !errors.Is(err, checkpoint.ErrConflict) {
					t.Errorf("%v, want ErrConflict", err)
				}
				return
			}
			must(t, err)
			if got.Owner != "w2" || got.Counter != 5 {
				t.Errorf("returned %+v", got)
			}
		})
	}
}

func TestAcquire_DoesNotGuessWhenTheReadFails(t *testing.T) {
	s, _ := scripted(t, failure("UpdateItem", "ConditionalCheckFailedException", ""), failure("GetItem", "AccessDeniedException", ""))
	if _, err := s.Acquire(t.Context(), heldLease, "w2"); err == nil || errors.Is(err, checkpoint.ErrConflict) {
		t.Errorf("%v, want an error that is not a conflict", err)
	}
}

func TestBury_ReadsWhatStandsInItsPlace(t *testing.T) {
	failed := failure("PutItem", "ConditionalCheckFailedException", "")
	found := func(entity string) answer {
		return answer{operation: "GetItem", body: fmt.Sprintf(`{"Item":{"leaseKey":{"S":"#batch/b"},"entityType":{"S":%q}}}`, entity)}
	}
	gone := answer{operation: "GetItem", body: "{}"}
	for name, c := range map[string]struct {
		answers   []answer
		committed bool
		fails     bool
	}{
		"nothing":                        {answers: []answer{{operation: "PutItem", body: "{}"}}},
		"the batch":                      {answers: []answer{failed, found("BATCH")}, committed: true},
		"the batch, with a list":         {answers: []answer{failed, found("LISTED_BATCH")}, committed: true},
		"a tombstone":                    {answers: []answer{failed, found("TOMBSTONE")}},
		"something unknown":              {answers: []answer{failed, found("CHEST")}, fails: true},
		"forgotten before the read":      {answers: []answer{failed, gone, {operation: "PutItem", body: "{}"}}},
		"forgotten, then there again":    {answers: []answer{failed, gone, failed, found("BATCH")}, committed: true},
		"a transaction at the same time": {answers: []answer{failure("PutItem", "TransactionConflictException", ""), failed, found("BATCH")}, committed: true},
		"a lost answer of the put":       {answers: []answer{{operation: "PutItem", err: io.ErrUnexpectedEOF}, failed, found("TOMBSTONE")}},
		"access denied":                  {answers: []answer{failure("PutItem", "AccessDeniedException", "")}, fails: true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, asked := scripted(t, c.answers...)
				committed, err := s.Bury(t.Context(), "b", "w1")
				if (err != nil) != c.fails || committed != c.committed {
					t.Errorf("returned %t, %v", committed, err)
				}
				for _, r := range asked.asked[1:] {
					if r.operation == "GetItem" && r.body["ConsistentRead"] != true {
						t.Error("a read was not consistent")
					}
				}
			})
		})
	}
}

func TestBind_GivesWayToAFasterWorker(t *testing.T) {
	none := answer{operation: "GetItem", body: "{}"}
	empty := answer{operation: "Scan", body: `{"Items":[]}`}
	faster := answer{operation: "GetItem", body: `{"Item":{"leaseKey":{"S":"#application"},"entityType":{"S":"APPLICATION"},"schemaVersion":{"N":"1"},` +
		`"application":{"S":"trips"},"stream":{"S":"taxi"},"streamCreated":{"S":"2026-01-02T03:04:05Z"},"initialPosition":{"S":"TRIM_HORIZON"}}}`}
	heartbeat := answer{operation: "Scan", body: `{"Items":[{"leaseKey":{"S":"#worker/w2"},"entityType":{"S":"WORKER"},"heartbeat":{"N":"1"}}]}`}
	for name, answers := range map[string][]answer{
		"between the look and the write":   {none, empty, failure("PutItem", "ConditionalCheckFailedException", ""), faster},
		"that has sent its heartbeat, too": {none, heartbeat, faster},
	} {
		t.Run(name, func(t *testing.T) {
			s, _ := scripted(t, answers...)
			got, err := s.Bind(t.Context(), application)
			must(t, err)
			if got.Initial != checkpoint.TrimHorizon {
				t.Errorf("returned %+v, want the other worker's initial position", got)
			}
		})
	}
}

// Of a table without the application's item, only those of loaders may be there.
func TestBind_LooksBeyondTheItemsOfLoaders(t *testing.T) {
	const loaders = `{"leaseKey":{"S":"#table/s3://lake/trips"},"entityType":{"S":"TABLE"},"tableVersion":{"N":"1"}}`
	none := answer{operation: "GetItem", body: "{}"}
	page := answer{operation: "Scan", body: `{"Items":[` + loaders + `],"LastEvaluatedKey":{"leaseKey":{"S":"#table/s3://lake/trips"}}}`}
	last := func(items string) answer { return answer{operation: "Scan", body: `{"Items":[` + items + `]}`} }
	s, _ := scripted(t, none, page, last(loaders), answer{operation: "PutItem", body: "{}"})
	_, err := s.Bind(t.Context(), application)
	must(t, err)
	s, _ = scripted(t, none, page, last(loaders+`,{"leaseKey":{"S":"shardId-000000000000"},"entityType":{"S":"LEASE"}}`), none)
	if _, err := s.Bind(t.Context(), application); !errors.Is(err, checkpoint.ErrForeignTable) || !strings.Contains(err.Error(), "shardId-000000000000") {
		t.Errorf("a table of another program: %v", err)
	}
}

func TestCall_TriesABoundedNumberOfTimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		down := answer{operation: "PutItem", status: 503, body: "{}"}
		s, _ := scripted(t, down, down, down, down, down, down)
		if err := s.Heartbeat(t.Context(), checkpoint.Worker{ID: "w1"}); err == nil || !strings.Contains(err.Error(), "heartbeat: worker w1") {
			t.Errorf("%v, want an error that names the worker", err)
		}
	})
}

func TestScan_ReadsAllPages(t *testing.T) {
	page := func(item, next string) answer {
		if next != "" {
			next = `,"LastEvaluatedKey":{"leaseKey":{"S":"` + next + `"}}`
		}
		return answer{operation: "Scan", body: `{"Items":[` + item + `]` + next + `}`}
	}
	s, asked := scripted(t,
		page(leaseJSON("w1", 4, "100"), "a"),
		page("", "b"), // an empty page is not the last
		page(`{"leaseKey":{"S":"#batch/b1"},"entityType":{"S":"BATCH"},"worker":{"S":"w1"}},{"leaseKey":{"S":"#batch/b2"},"entityType":{"S":"TOMBSTONE"}}`, "c"),
		page(`{"leaseKey":{"S":"#batch/b3"},"entityType":{"S":"LISTED_BATCH"},"worker":{"S":"w1"}}`, "c"),
		page(`{"leaseKey":{"S":"#future"},"entityType":{"S":"OF A LATER RELEASE"}}`, ""))
	snap, err := s.Scan(t.Context())
	must(t, err)
	if len(snap.Leases) != 1 || snap.Leases[0].Owner != "w1" || len(snap.Batches) != 2 || snap.Batches[0].ID != "b1" || snap.Batches[1].ID != "b3" ||
		!slices.Equal(snap.Tombstones, []string{"b2"}) {
		t.Errorf("returned %+v", snap)
	}
	last := asked.asked[len(asked.asked)-1]
	if start := fmt.Sprint(last.body["ExclusiveStartKey"]); start != "map[leaseKey:map[S:c]]" {
		t.Errorf("the last page was asked from %s", start)
	}
	if p := fmt.Sprint(last.body["ProjectionExpression"]); strings.Contains(p, "files") || strings.Contains(p, "ranges") {
		t.Errorf("Scan asks for the body of batches: %s", p)
	}
}

func TestScan_RefusesWhatItDoesNotUnderstand(t *testing.T) {
	for name, c := range map[string]struct {
		item    string
		foreign bool
		says    string
	}{
		"a row of another program":       {`{"leaseKey":{"S":"shardId-1"},"checkpoint":{"S":"1"}}`, true, "shardId-1"},
		"a lease without a counter":      {`{"leaseKey":{"S":"shardId-1"},"entityType":{"S":"LEASE"},"checkpoint":{"S":"1"}}`, false, "leaseCounter"},
		"a lease without a position":     {`{"leaseKey":{"S":"shardId-1"},"entityType":{"S":"LEASE"},"leaseCounter":{"N":"1"}}`, false, "checkpoint"},
		"a counter that is not a number": {`{"leaseKey":{"S":"shardId-1"},"entityType":{"S":"LEASE"},"checkpoint":{"S":"1"},"leaseCounter":{"N":"1.5"}}`, false, "64-bit"},
		"parents that are not strings":   {`{"leaseKey":{"S":"shardId-1"},"entityType":{"S":"LEASE"},"checkpoint":{"S":"1"},"leaseCounter":{"N":"1"},"parentShardId":{"N":"1"}}`, false, "parentShardId"},
		"an arrival that is not a time":  {`{"leaseKey":{"S":"shardId-1"},"entityType":{"S":"LEASE"},"checkpoint":{"S":"1"},"leaseCounter":{"N":"1"},"lastArrival":{"S":"noon"}}`, false, "lastArrival"},
		"an owner that is not a string":  {`{"leaseKey":{"S":"shardId-1"},"entityType":{"S":"LEASE"},"checkpoint":{"S":"1"},"leaseCounter":{"N":"1"},"leaseOwner":{"N":"1"}}`, false, "leaseOwner"},
	} {
		t.Run(name, func(t *testing.T) {
			s, _ := scripted(t, answer{operation: "Scan", body: `{"Items":[` + c.item + `]}`})
			_, err := s.Scan(t.Context())
			if err == nil || errors.Is(err, checkpoint.ErrForeignTable) != c.foreign || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%v, want an error with %q (foreign table: %t)", err, c.says, c.foreign)
			}
		})
	}
}

func TestBatch_RefusesDamage(t *testing.T) {
	for name, attributes := range map[string]string{
		"no files":      `"ranges":{"B":"AAAA"}`,
		"damaged files": `"ranges":{"B":"AAAA"},"files":{"B":"AAAA"}`,
	} {
		t.Run(name, func(t *testing.T) {
			s, _ := scripted(t, answer{operation: "GetItem", body: `{"Item":{"leaseKey":{"S":"#batch/b"},"entityType":{"S":"BATCH"},` + attributes + `}}`})
			if _, err := s.Batch(t.Context(), "b"); err == nil || errors.Is(err, checkpoint.ErrNotFound) || !strings.Contains(err.Error(), "files") {
				t.Errorf("%v, want an error that names the files", err)
			}
		})
	}
}

func TestMetrics_CountRequests(t *testing.T) {
	m := metrics.New(prometheus.NewRegistry())
	s := &script{t: t, answers: []answer{
		{operation: "DescribeTable", body: tableActive},
		{operation: "PutItem", body: "{}"},
		failure("UpdateItem", "ConditionalCheckFailedException", ""),
		failure("Scan", "AccessDeniedException", ""),
	}}
	cfg := scriptedConfig(s)
	cfg.Metrics = m
	store, err := dynamo.Open(t.Context(), cfg)
	must(t, err)
	must(t, store.Heartbeat(t.Context(), checkpoint.Worker{ID: "w1"}))
	if err := store.Release(t.Context(), heldLease); !errors.Is(err, checkpoint.ErrConflict) {
		t.Errorf("release: %v", err)
	}
	if _, err := store.Scan(t.Context()); err == nil {
		t.Error("the scan did not fail")
	}
	for labels, want := range map[[2]string]float64{{"heartbeat", "ok"}: 1, {"release", "conflict"}: 1, {"scan", "error"}: 1} {
		var counted dto.Metric
		must(t, m.StoreRequests.WithLabelValues(labels[0], labels[1]).Write(&counted))
		if got := counted.GetCounter().GetValue(); got != want {
			t.Errorf("%v: %v requests, want %v", labels, got, want)
		}
	}
}

// TestRequests_AtRest counts the requests of an idle worker: one write per heartbeat, one page per scan.
func TestRequests_AtRest(t *testing.T) {
	var rows []string
	for range 100 {
		rows = append(rows, leaseJSON("w1", 4, "100"))
	}
	s, asked := scripted(t, answer{operation: "PutItem", body: "{}"}, answer{operation: "Scan", body: `{"Items":[` + strings.Join(rows, ",") + `]}`})
	must(t, s.Heartbeat(t.Context(), checkpoint.Worker{ID: "w1", Beat: 2}))
	_, err := s.Scan(t.Context())
	must(t, err)
	if n := len(asked.asked) - 1; n != 2 {
		t.Errorf("a heartbeat and a look at 100 shards took %d requests, want 2", n)
	}
}

func TestOpen_WaitsForItsTable(t *testing.T) {
	missing := failure("DescribeTable", "ResourceNotFoundException", "")
	creating := answer{operation: "DescribeTable", body: strings.Replace(tableActive, "ACTIVE", "CREATING", 1)}
	active := answer{operation: "DescribeTable", body: tableActive}
	create := answer{operation: "CreateTable", body: "{}"}
	protect := answer{operation: "UpdateContinuousBackups", body: "{}"}
	for name, c := range map[string]struct {
		create  bool
		answers []answer
		fails   string
	}{
		"it is there":                          {answers: []answer{active}},
		"it is being made by another worker":   {answers: []answer{creating, creating, active}},
		"it is being changed":                  {answers: []answer{{operation: "DescribeTable", body: strings.Replace(tableActive, "ACTIVE", "UPDATING", 1)}}},
		"it is missing and must not be made":   {answers: []answer{missing}, fails: "no such table"},
		"it is missing and made":               {create: true, answers: []answer{missing, create, missing, creating, active, protect}},
		"two workers make it":                  {create: true, answers: []answer{missing, failure("CreateTable", "ResourceInUseException", ""), creating, active, protect}},
		"recovery cannot be enabled":           {create: true, answers: []answer{missing, create, active, failure("UpdateContinuousBackups", "AccessDeniedException", "")}},
		"it may not be made":                   {create: true, answers: []answer{missing, failure("CreateTable", "AccessDeniedException", "")}, fails: "AccessDenied"},
		"it may not be looked at":              {create: true, answers: []answer{failure("DescribeTable", "AccessDeniedException", "")}, fails: "AccessDenied"},
		"it has a sort key":                    {answers: []answer{{operation: "DescribeTable", body: strings.Replace(tableActive, `"HASH"}`, `"HASH"},{"AttributeName":"x","KeyType":"RANGE"}`, 1)}}, fails: "belongs to something else"},
		"its key is a number":                  {answers: []answer{{operation: "DescribeTable", body: strings.Replace(tableActive, `Type":"S"`, `Type":"N"`, 1)}}, fails: "leaseKey:N"},
		"vmware-go-kcl's checkpointer made it": {answers: []answer{{operation: "DescribeTable", body: strings.ReplaceAll(tableActive, "leaseKey", "ShardID")}}, fails: "vmware-go-kcl"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &script{t: t, answers: c.answers}
				cfg := scriptedConfig(s)
				cfg.Create = c.create
				_, err := dynamo.Open(t.Context(), cfg)
				if (err != nil) != (c.fails != "") || err != nil && !strings.Contains(err.Error(), c.fails) {
					t.Errorf("%v, want %q", err, c.fails)
				}
				if len(s.answers) > 0 {
					t.Errorf("%d answers were not used", len(s.answers))
				}
			})
		})
	}
}

func TestOpen_MakesTheTableAsItShouldBe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{t: t, answers: []answer{failure("DescribeTable", "ResourceNotFoundException", ""), {operation: "CreateTable", body: "{}"},
			{operation: "DescribeTable", body: tableActive}, {operation: "UpdateContinuousBackups", body: "{}"}}}
		cfg := scriptedConfig(s)
		cfg.Create, cfg.Table = true, "trips"
		_, err := dynamo.Open(t.Context(), cfg)
		must(t, err)
		want := `{"AttributeDefinitions":[{"AttributeName":"leaseKey","AttributeType":"S"}],"BillingMode":"PAY_PER_REQUEST",` +
			`"KeySchema":[{"AttributeName":"leaseKey","KeyType":"HASH"}],"TableName":"trips"}`
		if got := canonical(t, s.asked[1].body); got != want {
			t.Errorf("asked for\n%s, want\n%s", got, want)
		}
		want = `{"PointInTimeRecoverySpecification":{"PointInTimeRecoveryEnabled":true},"TableName":"trips"}`
		if got := canonical(t, s.asked[3].body); got != want {
			t.Errorf("asked for\n%s, want\n%s", got, want)
		}
	})
}

func canonical(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	must(t, err)
	return string(text)
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// typesBeforeLists are the entityTypes known to releases that do not know lists: Scan skips all others, so that such a
// release never sweeps a batch whose files it does not see.
var typesBeforeLists = []string{"LEASE", "WORKER", "BATCH", "TOMBSTONE", "APPLICATION"}

func TestCommit_OlderReleasesDoNotSeeABatchWithAList(t *testing.T) {
	b := checkpoint.Batch{ID: "b", Worker: "w1", Files: checkpointtest.Files(2000, 1), Ranges: []checkpoint.Range{
		{Shard: heldLease.Shard, Start: heldLease.Checkpoint, End: "200", LeaseOwner: heldLease.Owner, LeaseCounter: heldLease.Counter},
	}}
	b.List = checkpoint.NewFileList("lake", "manifests/outbox/b.json.zst", len(b.Files), []byte("list"))
	store, asked := scripted(t, answer{operation: "TransactWriteItems", body: "{}"})
	must(t, store.Commit(t.Context(), b))
	it := putItem(asked)
	kind := it["entityType"].(map[string]any)["S"].(string)
	if slices.Contains(typesBeforeLists, kind) {
		t.Errorf("its entityType is %s, which older releases sweep", kind)
	}
	if _, inline := it["files"]; inline {
		t.Error("the item holds the files, too")
	}
	for name, want := range map[string]string{"listBucket": "map[S:lake]", "listKey": "map[S:manifests/outbox/b.json.zst]", "fileCount": "map[N:2000]"} {
		if got := fmt.Sprint(it[name]); got != want {
			t.Errorf("%s is %s, want %s", name, got, want)
		}
	}
}

// putItem returns the item that the last transaction puts.
func putItem(s *script) map[string]any {
	last := s.asked[len(s.asked)-1].body
	return last["TransactItems"].([]any)[0].(map[string]any)["Put"].(map[string]any)["Item"].(map[string]any)
}

// DynamoDB takes 400 KB per item and 4 MB per transaction (Amazon DynamoDB Developer Guide, "Quotas"). The largest
// batch stays far below both, whether its files are in its item or not. Requests carry binary values in base64, four
// bytes for three: what DynamoDB counts is less.
func TestCommit_KeepsBelowDynamoDBsLimits(t *testing.T) {
	const item, transaction = 400 << 10, 4 << 20
	var ranges []checkpoint.Range
	for i := range checkpoint.MaxRanges {
		sequence := func(n int) string { return fmt.Sprintf("4966%052d", 7919*n+i) }
		ranges = append(ranges, checkpoint.Range{
			Shard: fmt.Sprintf("shardId-%012d", i), Start: checkpoint.Position(sequence(1)), End: checkpoint.Position(sequence(2)),
			LeaseOwner: strings.Repeat("worker", 10), LeaseCounter: 1 << 40, Records: 1 << 40, Last: sequence(2),
			FirstArrival: time.Now(), LastArrival: time.Now(),
		})
	}
	largest := checkpointtest.Files(3000, 1)
	for _, err := checkpoint.EncodeItemFiles(largest); err != nil; _, err = checkpoint.EncodeItemFiles(largest) {
		largest = largest[:len(largest)-10]
	}
	many := checkpointtest.Files(20_000, 2)
	encoded, err := checkpoint.EncodeFiles(many)
	must(t, err)
	for name, b := range map[string]checkpoint.Batch{
		"the most files in an item": {Files: largest},
		"20,000 files in an object": {Files: many, List: checkpoint.NewFileList("lake", strings.Repeat("k", 1024), len(many), encoded)},
	} {
		t.Run(name, func(t *testing.T) {
			b.ID, b.Worker, b.Created, b.Ranges = "0193a6e2-7f00-7000-8000-000000000000", "w1", time.Now(), ranges
			store, asked := scripted(t, answer{operation: "TransactWriteItems", body: "{}"})
			must(t, store.Commit(t.Context(), b))
			ofItem, of := len(canonical(t, putItem(asked))), len(canonical(t, asked.asked[len(asked.asked)-1].body))
			t.Logf("%d files: item %d bytes, transaction %d bytes", len(b.Files), ofItem, of)
			if ofItem > item/4 || of > transaction/4 {
				t.Errorf("the item has %d bytes, the transaction %d", ofItem, of)
			}
		})
	}
}
