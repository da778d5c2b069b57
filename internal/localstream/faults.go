package localstream

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"
)

// FaultKind is what goes wrong with a call.
type FaultKind int

const (
	// Throttle refuses the call with ProvisionedThroughputExceededException; nothing is applied.
	Throttle FaultKind = iota + 1
	// ServerError answers 500 InternalFailureException; nothing is applied.
	ServerError
	// LostRequest drops the connection; nothing is applied.
	LostRequest
	// LostAnswer applies the call and drops the connection instead of answering.
	LostAnswer
	// LateAnswer applies the call at once and answers after Delay.
	LateAnswer
	// LateRequest applies the call after Delay and then answers, whether or not the caller still waits.
	LateRequest
	// ExpiredIterator refuses a GetRecords with ExpiredIteratorException.
	ExpiredIterator
	// MissingShard leaves a shard out of an answer of ListShards or DescribeStream: Rule.Shard, or the stream's newest.
	MissingShard
	// ThrottleEntries refuses the first Entries records of a PutRecords, each with ProvisionedThroughputExceededException,
	// and takes the others.
	ThrottleEntries
	// FailEntries is like ThrottleEntries with InternalFailure.
	FailEntries

	// The kinds that follow break the events of a SubscribeToShard that began, after Events of them. A stream that ends
	// before counts as not hit.

	// CutStream drops the connection in the middle of the next event.
	CutStream
	// CorruptStream changes a byte of the next event, whose sum is then wrong, and goes on.
	CorruptStream
	// FailStream ends the stream with an exception, of which Code is the type.
	FailStream
	// EndStream ends the stream as the end of its life does.
	EndStream
	// SilentStream writes nothing more and keeps the connection until the client drops it.
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

// Rule says which calls a fault hits.
type Rule struct {
	Kind FaultKind
	// Operation is the name in the API, like GetRecords. Empty means every operation.
	Operation string
	// Nth, if not 0, picks one call: the nth of the operation since the rule was planted, counted from 1.
	Nth int
	// Probability, if Nth is 0, picks each call with this chance. 1 picks all of them.
	Probability float64
	// Times bounds the hits. 0 means no bound.
	Times int
	// Delay is how late a LateAnswer or LateRequest is.
	Delay time.Duration
	// Shard is the id of the shard that MissingShard leaves out.
	Shard string
	// Entries is how many records ThrottleEntries and FailEntries refuse. 0 means one.
	Entries int
	// Events is how many events of SubscribeToShard a fault of its stream lets pass.
	Events int
	// Code is the exception of FailStream, like KMSThrottlingException. Empty means InternalFailureException.
	Code string
}

// Faults is a set of planted rules. The first planted rule that picks a call has it. It is safe for concurrent use.
type Faults struct {
	mu      sync.Mutex
	random  *rand.Rand
	planted []*Fault
}

// Fault is a rule in force.
type Fault struct {
	rule  Rule
	owner *Faults
	calls int
	hits  int
}

// NewFaults returns an empty set. The seed determines which calls are picked by probability, as far as the order of
// the calls is the same.
func NewFaults(seed uint64) *Faults {
	return &Faults{random: rand.New(rand.NewPCG(seed, 0))}
}

// Plant puts a rule in force.
func (f *Faults) Plant(rule Rule) *Fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	planted := &Fault{rule: rule, owner: f}
	f.planted = append(f.planted, planted)
	return planted
}

// Clear takes all rules out of force; their counts remain readable.
func (f *Faults) Clear() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.planted = nil
}

// Unhit describes the rules in force that no call has met: a test that planted them proved nothing with them.
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

// Hits returns how many calls the fault has met.
func (f *Fault) Hits() int {
	f.owner.mu.Lock()
	defer f.owner.mu.Unlock()
	return f.hits
}

// pick returns the fault that meets a call, or nil.
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

// missed takes a hit back that has not come to pass.
func (f *Fault) missed() {
	f.owner.mu.Lock()
	defer f.owner.mu.Unlock()
	f.hits--
}

// ofStream reports whether the fault meets the events of a subscription.
func (f *Fault) ofStream() bool { return f != nil && f.rule.Kind >= CutStream }

// is reports whether the call is met by a fault of this kind.
func (f *Fault) is(kind FaultKind) bool { return f != nil && f.rule.Kind == kind }

// refusal returns the error with which the fault refuses a call, if it does.
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

// entryFault returns the fate that the fault has for entry i of a PutRecords.
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

// due reports whether a fault of this kind meets the subscription now, and notes that it did.
func (f *feed) due(kind FaultKind) bool {
	if !f.c.fault.is(kind) || f.events != f.c.fault.rule.Events {
		return false
	}
	f.c.faultHit = true
	return true
}

// faultBetween plays the faults between two events and reports whether the subscription is over.
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

// keepSilent waits for the client to leave. Neither its life nor a takeover ends a silent stream.
func (f *feed) keepSilent() {
	<-f.watched
	_ = f.writer.SetWriteDeadline(time.Time{})
	select {
	case <-f.client.Done():
	case <-f.k.done:
	}
}

// faultWithin plays the faults of an event's frame.
func (f *feed) faultWithin(frame []byte) {
	if f.due(CorruptStream) {
		frame[len(frame)/2] ^= 1
	}
	if f.due(CutStream) {
		_ = f.send(frame[:len(frame)/2]) // the connection goes either way
		panic(http.ErrAbortHandler)
	}
}
