package dynamo_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/checkpoint/dynamo"
)

func positionBefore(asked *[]string, p checkpoint.Position, err error) func(context.Context, string, string, int64) (checkpoint.Position, error) {
	var mu sync.Mutex
	return func(_ context.Context, shard, sequence string, user int64) (checkpoint.Position, error) {
		mu.Lock()
		defer mu.Unlock()
		*asked = append(*asked, fmt.Sprint(shard, " ", sequence, ".", user))
		if shard == "shardId-2" {
			return "", nil // no record of it remains
		}
		return p, err
	}
}

// fault is what the network does to one attempt of a request.
type fault int

const (
	deliver    fault = iota
	loseAnswer       // applied, the answer is lost
	loseRequest
	double // applied twice, the second answer arrives
	holdBack
)

var errNetwork = errors.New("planted: connection reset")

// network is an http.RoundTripper that plants faults.
type network struct {
	mu   sync.Mutex
	plan func(operation string) fault
	hits map[fault]int
	held []*http.Request // reported lost, but still in flight
}

func newNetwork() *network {
	return &network{hits: map[fault]int{}, plan: func(string) fault { return deliver }}
}

// always plants one fault in all requests of an operation.
func (n *network) always(operation string, f fault) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.plan = func(o string) fault {
		if o == operation {
			return f
		}
		return deliver
	}
}

// once plants one fault in the next request of an operation.
func (n *network) once(operation string, f fault) {
	n.mu.Lock()
	defer n.mu.Unlock()
	left := 1
	n.plan = func(o string) fault {
		if o != operation || left == 0 {
			return deliver
		}
		left--
		return f
	}
}

func (n *network) RoundTrip(r *http.Request) (*http.Response, error) {
	r, err := buffered(r)
	if err != nil {
		return nil, err
	}
	switch f := n.fate(r); f {
	case loseRequest, holdBack:
		return nil, errNetwork
	case loseAnswer, double:
		resp, err := http.DefaultTransport.RoundTrip(r)
		if err != nil {
			return nil, err
		}
		if err := drain(resp); err != nil {
			return nil, err
		}
		if f == loseAnswer {
			return nil, errNetwork
		}
		if r, err = buffered(r); err != nil {
			return nil, err
		}
	}
	return http.DefaultTransport.RoundTrip(r)
}

func (n *network) fate(r *http.Request) fault {
	_, operation, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	n.mu.Lock()
	defer n.mu.Unlock()
	f := n.plan(operation)
	n.hits[f]++
	if f == holdBack {
		n.held = append(n.held, r.Clone(context.WithoutCancel(r.Context())))
	}
	return f
}

// release lets the held requests arrive, and returns their answers.
func (n *network) release(t *testing.T) (bodies []string) {
	t.Helper()
	n.mu.Lock()
	held := n.held
	n.held = nil
	n.mu.Unlock()
	for _, r := range held {
		r, err := buffered(r)
		must(t, err)
		resp, err := http.DefaultTransport.RoundTrip(r)
		must(t, err)
		body, err := io.ReadAll(resp.Body)
		must(t, err)
		must(t, resp.Body.Close())
		bodies = append(bodies, string(body))
	}
	return bodies
}

// buffered returns the request with a body that can be sent again.
func buffered(r *http.Request) (*http.Request, error) {
	source := r.Body
	if r.GetBody != nil {
		var err error
		if source, err = r.GetBody(); err != nil {
			return nil, err
		}
	}
	body, err := io.ReadAll(source)
	if err != nil {
		return nil, err
	}
	r = r.Clone(r.Context())
	r.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
	r.Body, err = r.GetBody()
	return r, err
}

func drain(resp *http.Response) error {
	_, err := io.Copy(io.Discard, resp.Body)
	return errors.Join(err, resp.Body.Close())
}

// faulty opens a store that uses a faulty network, with one lease that is held.
func faulty(t *testing.T, endpoint string) (*dynamo.Store, *network, checkpoint.Lease) {
	t.Helper()
	net := newNetwork()
	cfg := config(endpoint)
	cfg.AWS.HTTPClient = &http.Client{Transport: net}
	store := open(t, cfg)
	must(t, store.CreateLeases(t.Context(), []checkpoint.Lease{{Shard: heldLease.Shard, Checkpoint: "100"}}))
	held, err := store.Acquire(t.Context(), checkpoint.Lease{Shard: heldLease.Shard}, "w1")
	must(t, err)
	return store, net, held
}

func advance(id string, held checkpoint.Lease, end checkpoint.Position) checkpoint.Batch {
	return checkpoint.Batch{ID: id, Worker: held.Owner, Ranges: []checkpoint.Range{{
		Shard: held.Shard, Start: held.Checkpoint, End: end, LeaseOwner: held.Owner, LeaseCounter: held.Counter}}}
}

func (n *network) wantHit(t *testing.T, f fault) {
	t.Helper()
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.hits[f] == 0 {
		t.Errorf("the planted fault %d was never hit", f)
	}
}

func testFaults_LeaseCallsWithALostAnswer(t *testing.T, endpoint string) {
	for _, f := range []fault{loseAnswer, loseRequest, double} {
		store, net, held := faulty(t, endpoint)
		net.once("UpdateItem", f)
		stolen, err := store.Acquire(t.Context(), held, "w2")
		must(t, err)
		if stolen.Owner != "w2" || stolen.Counter != held.Counter+1 {
			t.Errorf("fault %d: Acquire returned %+v", f, stolen)
		}
		net.wantHit(t, f)

		net.once("TransactWriteItems", f)
		rewound, err := store.Rewind(t.Context(), stolen, checkpoint.TrimHorizon)
		must(t, err)
		if rewound.Owner != "" || rewound.Counter != stolen.Counter+1 || rewound.Checkpoint != checkpoint.TrimHorizon {
			t.Errorf("fault %d: Rewind returned %+v", f, rewound)
		}
		if c, err := store.Complete(t.Context()); err != nil || c.Rewinds != 1 {
			t.Errorf("fault %d: after Rewind the statement is %+v, %v", f, c, err)
		}

		got, err := store.Lease(t.Context(), held.Shard)
		must(t, err)
		if got.Counter != held.Counter+2 {
			t.Errorf("fault %d: the row is %+v", f, got)
		}
	}
}

func testFaults_DeleteLeaseWithALostAnswer(t *testing.T, endpoint string) {
	store, net, held := faulty(t, endpoint)
	must(t, store.Commit(t.Context(), advance("b", held, checkpoint.ShardEnd)))
	held.Checkpoint = checkpoint.ShardEnd
	net.once("DeleteItem", loseAnswer)
	must(t, store.DeleteLease(t.Context(), held))
	net.wantHit(t, loseAnswer)
}

func testFaults_CommitIsDecidedOnce(t *testing.T, endpoint string) {
	for name, c := range map[string]struct {
		plant     func(n *network)
		fault     fault
		committed bool
	}{
		"one answer lost":    {func(n *network) { n.once("TransactWriteItems", loseAnswer) }, loseAnswer, true},
		"all answers lost":   {func(n *network) { n.always("TransactWriteItems", loseAnswer) }, loseAnswer, true},
		"one request lost":   {func(n *network) { n.once("TransactWriteItems", loseRequest) }, loseRequest, true},
		"all requests lost":  {func(n *network) { n.always("TransactWriteItems", loseRequest) }, loseRequest, false},
		"one request twice":  {func(n *network) { n.once("TransactWriteItems", double) }, double, true},
		"all requests late":  {func(n *network) { n.always("TransactWriteItems", holdBack) }, holdBack, false},
		"first request late": {func(n *network) { n.once("TransactWriteItems", holdBack) }, holdBack, true},
	} {
		t.Run(name, func(t *testing.T) {
			store, net, held := faulty(t, endpoint)
			c.plant(net)
			err := store.Commit(t.Context(), advance("b", held, "200"))
			committed := err == nil
			if err != nil {
				committed, err = store.Bury(t.Context(), "b", "w1")
				must(t, err)
			}
			net.release(t)
			net.wantHit(t, c.fault)
			if committed != c.committed {
				t.Errorf("committed: %t, want %t", committed, c.committed)
			}
			wantDecided(t, store, committed)
		})
	}
}

// wantDecided checks that checkpoint and outbox agree.
func wantDecided(t *testing.T, store *dynamo.Store, committed bool) {
	t.Helper()
	snap, err := store.Scan(t.Context())
	must(t, err)
	position, batches := checkpoint.Position("100"), 0
	if committed {
		position, batches = "200", 1
	}
	if snap.Leases[0].Checkpoint != position || len(snap.Batches) != batches || len(snap.Batches)+len(snap.Tombstones) > 1 {
		t.Errorf("committed: %t, and the table holds %+v", committed, snap)
	}
}

func testFaults_ALateCommitIsSeenByBury(t *testing.T, endpoint string) {
	store, net, held := faulty(t, endpoint)
	net.always("TransactWriteItems", holdBack)
	if err := store.Commit(t.Context(), advance("b", held, "200")); err == nil {
		t.Fatal("the commit that was held back succeeded")
	}
	net.release(t)
	committed, err := store.Bury(t.Context(), "b", "w1")
	must(t, err)
	if !committed {
		t.Error("Bury did not see the late commit")
	}
	wantDecided(t, store, true)
}

func testFaults_BuryWithLostAnswersStillDecides(t *testing.T, endpoint string) {
	store, net, held := faulty(t, endpoint)
	net.always("PutItem", loseAnswer)
	if _, err := store.Bury(t.Context(), "b", "w1"); err == nil {
		t.Fatal("Bury returned without an answer")
	}
	net.wantHit(t, loseAnswer)
	net.always("", deliver)
	if err := store.Commit(t.Context(), advance("b", held, "200")); !errors.Is(err, checkpoint.ErrConflict) {
		t.Errorf("commit after a tombstone: %v", err)
	}
	committed, err := store.Bury(t.Context(), "b", "w1")
	must(t, err)
	if committed {
		t.Error("a batch that was buried is committed")
	}
	wantDecided(t, store, false)
}

// TestFaults_AtRandom lets one worker commit through a faulty network and follow the rule of decision.
func testFaults_AtRandom(t *testing.T, endpoint string) {
	store, net, held := faulty(t, endpoint)
	random := rand.New(rand.NewPCG(7, 7))
	net.mu.Lock()
	net.plan = func(string) fault {
		if random.IntN(2) == 0 {
			return deliver
		}
		return fault(random.IntN(int(holdBack) + 1))
	}
	net.mu.Unlock()

	ctx := t.Context()
	published := map[string]bool{}
	for i := range 40 {
		id := fmt.Sprintf("b%02d", i)
		end := checkpoint.Position(fmt.Sprint(101 + i))
		committed := store.Commit(ctx, advance(id, held, end)) == nil
		for decided := committed; !decided; {
			var err error
			committed, err = store.Bury(ctx, id, "w1")
			decided = err == nil
		}
		if committed {
			published[id] = true
			held.Checkpoint = end
		}
		if random.IntN(3) == 0 {
			net.release(t)
		}
	}
	net.release(t)
	for _, f := range []fault{loseAnswer, loseRequest, double, holdBack} {
		net.wantHit(t, f)
	}
	net.always("", deliver)
	snap, err := store.Scan(ctx)
	must(t, err)
	if snap.Leases[0].Checkpoint != held.Checkpoint {
		t.Errorf("the checkpoint is %s, the worker has %s", snap.Leases[0].Checkpoint, held.Checkpoint)
	}
	for _, b := range snap.Batches {
		if !published[b.ID] {
			t.Errorf("batch %s is committed, the worker dropped it", b.ID)
		}
		delete(published, b.ID)
	}
	if len(published) > 0 {
		t.Errorf("the worker published %v, which are not committed", published)
	}
}
