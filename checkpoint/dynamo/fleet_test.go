package dynamo_test

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"aws-streaming-pipeline/checkpoint"
)

func testFaults_LeadWithALostAnswer(t *testing.T, endpoint string) {
	store, net, _ := faulty(t, endpoint)
	was := checkpoint.Lead{}
	for _, f := range []fault{loseAnswer, loseRequest, double} {
		net.once("UpdateItem", f)
		lead, err := store.TakeLead(t.Context(), was, "w1")
		if must(t, err); lead != was.Next("w1") {
			t.Errorf("fault %d: TakeLead returned %+v", f, lead)
		}
		net.wantHit(t, f)
		net.once("UpdateItem", f)
		must(t, store.Resign(t.Context(), lead))
		if was, err = store.Lead(t.Context()); err != nil || was != lead.Next("") {
			t.Errorf("fault %d: after Resign Lead returned %+v, %v", f, was, err)
		}
	}
}

// Orders that were given long ago arrive after the leader gave others, or after the next leader did.
func testFaults_LateOrdersChangeNothing(t *testing.T, endpoint string) {
	store, net, _ := faulty(t, endpoint)
	for _, newer := range []checkpoint.Orders{{Term: 1, Number: 2}, {Term: 2, Number: 0}} {
		must(t, store.Dismiss(t.Context(), "w1"))
		net.always("PutItem", holdBack)
		if err := store.GiveOrders(t.Context(), "w1", checkpoint.Orders{Term: 1, Number: 1}); err == nil {
			t.Fatal("orders that were held back were accepted")
		}
		net.always("", deliver)
		must(t, store.GiveOrders(t.Context(), "w1", newer))
		for _, body := range net.release(t) {
			if !strings.Contains(body, "ConditionalCheckFailedException") {
				t.Errorf("late orders were answered %s", body)
			}
		}
		if got, err := store.Orders(t.Context(), "w1"); err != nil || !reflect.DeepEqual(got, newer) {
			t.Errorf("the orders are %+v, %v, want %+v", got, err, newer)
		}
	}
	net.wantHit(t, holdBack)
}

func TestTakeLead_RecognisesItsOwnSuccess(t *testing.T) {
	failed := failure("UpdateItem", "ConditionalCheckFailedException", "")
	was := checkpoint.Lead{Worker: "w1", Term: 4}
	for stored, c := range map[checkpoint.Lead]struct{ took, resigned bool }{
		{Worker: "w2", Term: 5}: {took: true},
		{Worker: "w2", Term: 6}: {},
		{Worker: "w3", Term: 5}: {},
		{Term: 5}:               {resigned: true},
		{Term: 6}:               {},
		was:                     {}, // lag
		{}:                      {},
	} {
		read := answer{operation: "GetItem", body: "{}"}
		if stored.Term > 0 {
			read.body = fmt.Sprintf(`{"Item":{"leaseKey":{"S":"#leader"},"entityType":{"S":"LEADER"},"term":{"N":"%d"}`, stored.Term)
			if stored.Worker != "" {
				read.body += fmt.Sprintf(`,"worker":{"S":%q}`, stored.Worker)
			}
			read.body += "}}"
		}
		s, _ := scripted(t, failed, read, failed, read)
		_, taken := s.TakeLead(t.Context(), was, "w2")
		for what, call := range map[string]struct {
			err error
			ok  bool
		}{"TakeLead": {taken, c.took}, "Resign": {s.Resign(t.Context(), was), c.resigned}} {
			if call.ok && call.err != nil || !call.ok && !errors.Is(call.err, checkpoint.ErrConflict) {
				t.Errorf("%+v is stored: %s returned %v", stored, what, call.err)
			}
		}
	}
	s, _ := scripted(t, failed, failure("GetItem", "AccessDeniedException", ""))
	if _, err := s.TakeLead(t.Context(), was, "w2"); err == nil || errors.Is(err, checkpoint.ErrConflict) {
		t.Errorf("%v, want an error that is not a conflict", err)
	}
}

// A later release may give these items other types and attributes. This one must not take them for shards or batches, and must not stop.
func TestScan_SkipsWhatALaterReleaseWritesAboutTheFleet(t *testing.T) {
	s, asked := scripted(t, answer{operation: "Scan", body: `{"Items":[
		{"leaseKey":{"S":"#leader"},"entityType":{"S":"LEADER OF A LATER RELEASE"},"leaseOwner":{"S":"w1"}},
		{"leaseKey":{"S":"#leader/2"},"entityType":{"S":"SECOND"},"leaseOwner":{"S":"w1"}},
		{"leaseKey":{"S":"#orders/w1"},"entityType":{"S":"ORDERS OF A LATER RELEASE"},"checkpoint":{"N":"1"}},
		{"leaseKey":{"S":"#orders/w2"},"entityType":{"S":"ORDERS"},"term":{"S":"of another kind"}},
		{"leaseKey":{"S":"#worker/w1"},"entityType":{"S":"WORKER"},"heartbeat":{"N":"1"},"follows":{"S":"sometimes"},"fleet":{"M":{}}},
		{"leaseKey":{"S":"#worker/w2"},"entityType":{"S":"WORKER"},"heartbeat":{"N":"1"},"follows":{"BOOL":true},"fleet":{"S":"{\"term\":3,\"later\":1,\"leases\":\"many\"}"}}]}`})
	snap, err := s.Scan(t.Context())
	must(t, err)
	want := checkpoint.Snapshot{Ordered: []string{"w2"}, Workers: []checkpoint.Worker{
		{ID: "w1", Beat: 1}, {ID: "w2", Beat: 1, Follows: true, Fleet: &checkpoint.Fleet{Term: 3}},
	}}
	if !reflect.DeepEqual(snap, want) {
		t.Errorf("Scan returned %+v, want %+v", snap, want)
	}
	if p := fmt.Sprint(asked.asked[1].body["ProjectionExpression"]); strings.Contains(p, "#orders") {
		t.Errorf("Scan asks for the orders of all workers: %s", p)
	}
}

func TestOrders_RefusesDamage(t *testing.T) {
	for name, attributes := range map[string]string{
		"no orders":      `"number":{"N":"1"}`,
		"damaged orders": `"number":{"N":"1"},"orders":{"B":"AAAA"}`,
	} {
		s, _ := scripted(t, answer{operation: "GetItem", body: `{"Item":{"leaseKey":{"S":"#orders/w1"},"entityType":{"S":"ORDERS"},"term":{"N":"1"},` + attributes + `}}`})
		if _, err := s.Orders(t.Context(), "w1"); err == nil || errors.Is(err, checkpoint.ErrNotFound) || !strings.Contains(err.Error(), "orders") {
			t.Errorf("%s: %v, want an error that names the orders", name, err)
		}
	}
}

// A heartbeat is written every few seconds by each worker: one write unit must do, also for a leader.
func TestHeartbeat_TakesOneWriteUnit(t *testing.T) {
	s, asked := scripted(t, answer{operation: "PutItem", body: "{}"})
	at := time.Date(2026, 11, 3, 17, 4, 5, 678e6, time.UTC)
	full := checkpoint.Fleet{Term: 1 << 62, Number: 1 << 62, Leases: 100_000, Free: 100_000, Trimmed: 100_000, Workers: 100_000, Lost: 100_000,
		Complete: checkpoint.Complete{UpTo: at, At: at, Shards: 100_000, Rewinds: 1000}, Finished: at}
	must(t, s.Heartbeat(t.Context(), checkpoint.Worker{
		ID: strings.Repeat("w", 64), Beat: 1 << 62, Address: strings.Repeat("a", 64), Version: strings.Repeat("v", 32), Complete: at, Leases: 1 << 63, Follows: true, MaxLeases: 1 << 62, Fleet: &full,
	}))
	if size := len(fmt.Sprint(asked.asked[1].body["Item"])); size > 1024 { // a little more than DynamoDB counts
		t.Errorf("the heartbeat takes %d bytes: %v", size, asked.asked[1].body["Item"])
	}
}
