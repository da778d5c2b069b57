package localstream

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"
)

// FaultKind is the kind of failure of a call.
type FaultKind int

const (
	// Throttle refuses the call with ProvisionedThroughputExceededException. It has no effect.
	Throttle FaultKind = iota + 1
	// ServerError answers 500 InternalFailureException. The call has no effect.
	ServerError
	// LostRequest drops the connection. The call has no effect.
	LostRequest
	// LostAnswer applies the call but drops the connection instead of answering.
	LostAnswer
	// LateAnswer applies the call at once and answers after Delay.
	LateAnswer
	// LateRequest applies the call after Delay and then answers, even if the caller no longer waits.
	LateRequest
	// ExpiredIterator refuses a GetRecords with ExpiredIteratorException.
	ExpiredIterator
	// MissingShard leaves a shard out of an answer of ListShards or DescribeStream: Rule.Shard, or the stream's newest.
	MissingShard
	// ThrottleEntries refuses the first Entries records of a PutRecords, each with
	// ProvisionedThroughputExceededException, and accepts the others.
	ThrottleEntries
	// FailEntries is like ThrottleEntries with InternalFailure.
	FailEntries

	// The kinds below break the events of a SubscribeToShard that has begun, after Events of them. If the stream ends
	// earlier, the fault counts as not hit.

	// CutStream drops the connection in the middle of the next event.
	CutStream
	// CorruptStream changes a byte of the next event, which makes its checksum wrong, and continues.
	CorruptStream
	// FailStream ends the stream with the exception Code.
	FailStream
	// EndStream ends the stream as at the end of its life.
	EndStream
	// SilentStream stops writing but keeps the connection until the client drops it.
	SilentStream
)

var faultNames = map[FaultKind]string{
	Throttle: "throttle", ServerError: "server error", LostRequest: "lost request", LostAnswer: "lost answer",
	LateAnswer: "late answer", LateRequest: "late request", ExpiredIterator: "expired iterator",
	MissingShard: "missing shard", ThrottleEntries: "throttled entries", FailEntries: "failed entries",
	CutStream: "cut stream", CorruptStream: "corrupt stream", FailStream: "failed stream", EndStream: "ended stream",
	SilentStream: "silent stream",
}

func (f FaultKind) String() string { return faultNames[f] }

// Rule selects the calls that a fault hits.
type Rule struct {
	Kind FaultKind
	// Operation is the name in the API, such as GetRecords. Empty means every operation.
	Operation string
	// Nth, if not 0, selects one call: the nth of the operation since the rule was planted, counted from 1.
	Nth int
	// Probability, if Nth is 0, selects each call with this probability. 1 selects all of them.
	Probability float64
	// Times limits the hits. 0 means no limit.
	Times int
	// Delay is how late a LateAnswer or LateRequest is.
	Delay time.Duration
	// Shard is the id of the shard that MissingShard leaves out.
	Shard string
	// Entries is how many records ThrottleEntries and FailEntries refuse. 0 means one.
	Entries int
	// Events is how many events of SubscribeToShard pass before a fault of its stream.
	Events int
	// Code is the exception of FailStream, such as KMSThrottlingException. Empty means InternalFailureException.
	Code string
}

// Faults is a set of planted rules. The first rule that selects a call applies. It is safe for concurrent use.
type Faults struct {
	mu      sync.Mutex
	random  *rand.Rand
	planted []*Fault
}

// Fault is an active rule.
type Fault struct {
	rule  Rule
	owner *Faults
	calls int
	hits  int
}

// NewFaults returns an empty set. The seed determines which calls are selected by probability, if the order of the calls
// is the same.
func NewFaults(seed uint64) *Faults {
	return &Faults{random: rand.New(rand.NewPCG(seed, 0))}
}

// Plant activates a rule.
func (f *Faults) Plant(rule Rule) *Fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	planted := &Fault{rule: rule, owner: f}
	f.planted = append(f.planted, planted)
	return planted
}

// Clear deactivates all rules. Their counts remain readable.
func (f *Faults) Clear() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.planted = nil
}

// Unhit describes the active rules that have hit no call: a test that planted them has proved nothing with them.
func (f *Faults) Unhit() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var unhit []string
	for _, planted := range f.planted {
		if planted.hits == 0 {
			unhit = append(unhit, fmt.Sprintf("%s in %q, after %d calls", planted.rule.Kind, planted.rule.Operation, planted.calls))
		}
	}
	return unhit
}

// Hits returns how many calls the fault has hit.
func (f *Fault) Hits() int {
	f.owner.mu.Lock()
	defer f.owner.mu.Unlock()
	return f.hits
}

// pick returns the fault that hits a call, or nil.
func (f *Faults) pick(operation string) *Fault {
	if f == nil {
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	var picked *Fault
	for _, planted := range f.planted {
		if planted.rule.Operation != "" && planted.rule.Operation != operation {
			continue
		}
		planted.calls++
		if picked == nil && planted.picks(f.random) {
			planted.hits++
			picked = planted
		}
	}
	return picked
}

func (f *Fault) picks(random *rand.Rand) bool {
	if f.rule.Times > 0 && f.hits == f.rule.Times {
		return false
	}
	if f.rule.Nth > 0 {
		return f.calls == f.rule.Nth
	}
	return random.Float64() < f.rule.Probability
}

// missed undoes a hit that did not take effect.
func (f *Fault) missed() {
	f.owner.mu.Lock()
	defer f.owner.mu.Unlock()
	f.hits--
}

// ofStream reports whether the fault affects the events of a subscription.
func (f *Fault) ofStream() bool { return f != nil && f.rule.Kind >= CutStream }

// is reports whether this is a fault of the given kind.
func (f *Fault) is(kind FaultKind) bool { return f != nil && f.rule.Kind == kind }

// refusal returns the error with which the fault refuses a call, or nil.
func (f *Fault) refusal() error {
	switch {
	case f.is(Throttle):
		return errorf(codeThroughput, "Rate exceeded (planted).")
	case f.is(ServerError):
		return internalFailure("Internal failure (planted).")
	case f.is(ExpiredIterator):
		return errorf(codeExpiredIterator, "Iterator expired (planted).")
	}
	return nil
}

// entryFault returns the result that the fault has for entry i of a PutRecords.
func (f *Fault) entryFault(i int) (putResult, bool) {
	if f == nil || i >= max(1, f.rule.Entries) {
		return putResult{}, false
	}
	switch f.rule.Kind {
	case ThrottleEntries:
		return putResult{code: codeThroughput, message: "Rate exceeded (planted)."}, true
	case FailEntries:
		return putResult{code: codeEntryFailure, message: "Internal service failure (planted)."}, true
	}
	return putResult{}, false
}

// hides reports whether the fault leaves a shard out of a listing. The caller holds the stream's lock for reading.
func (f *Fault) hides(s *stream, sh *shard) bool {
	if !f.is(MissingShard) {
		return false
	}
	if f.rule.Shard == "" {
		return sh == s.shards[len(s.shards)-1]
	}
	return sh.id == f.rule.Shard
}

// due reports whether a fault of this kind hits the subscription now, and counts it.
func (f *feed) due(kind FaultKind) bool {
	if !f.c.fault.is(kind) || f.events != f.c.fault.rule.Events {
		return false
	}
	f.c.faultHit = true
	return true
}

// faultBetween applies the faults between two events and reports whether the subscription is over.
func (f *feed) faultBetween() bool {
	switch {
	case f.due(FailStream):
		f.sendException(errorf(cmp.Or(f.c.fault.rule.Code, codeInternalFailure), "Failure (planted)."))
	case f.due(EndStream):
	case f.due(SilentStream):
		f.keepSilent()
	default:
		return false
	}
	return true
}

// keepSilent waits for the client to leave. Neither the end of its life nor a takeover ends a silent stream.
func (f *feed) keepSilent() {
	<-f.watched
	_ = f.writer.SetWriteDeadline(time.Time{})
	select {
	case <-f.client.Done():
	case <-f.k.done:
	}
}

// faultWithin applies the faults to an event's frame.
func (f *feed) faultWithin(frame []byte) {
	if f.due(CorruptStream) {
		frame[len(frame)/2] ^= 1
	}
	if f.due(CutStream) {
		_ = f.send(frame[:len(frame)/2]) // the connection is dropped in either case
		panic(http.ErrAbortHandler)
	}
}
