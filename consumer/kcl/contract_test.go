package kcl

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/aws/smithy-go/middleware"
	chk "github.com/vmware/vmware-go-kcl-v2/clientlibrary/checkpoint"
	kcl "github.com/vmware/vmware-go-kcl-v2/clientlibrary/interfaces"
	par "github.com/vmware/vmware-go-kcl-v2/clientlibrary/partition"
	"github.com/vmware/vmware-go-kcl-v2/clientlibrary/worker"
)

// The tests of this file check what the package relies on in vmware-go-kcl-v2: they run the library alone, against a
// Checkpointer and a Kinesis that record its calls.

const testWorker = "worker-1"

type recorder struct {
	mu       sync.Mutex
	events   []string
	statuses map[string][]*par.ShardStatus // by shard, in the order of their first GetLease
	owners   []string                      // AssignedTo at each RemoveLeaseOwner
	at       []time.Time                   // time of each GetRecords

	shards   []string
	checks   map[string]string // checkpoints that FetchCheckpoint sets
	lease    func(s *par.ShardStatus) error
	iterator func() error
	records  func(nth int) (end bool, err error)
	removing func() // called by RemoveLeaseOwner
}

func newRecorder(shards ...string) *recorder {
	r := &recorder{statuses: map[string][]*par.ShardStatus{}, shards: shards}
	r.lease = func(s *par.ShardStatus) error {
		s.SetLeaseOwner(testWorker)
		return nil
	}
	r.iterator = func() error { return nil }
	r.removing = func() {}
	r.records = func(int) (bool, error) {
		time.Sleep(time.Second)
		return false, nil
	}
	return r
}

func (r *recorder) note(event string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, event)
}

func (r *recorder) list() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.events)
}

func (r *recorder) Init() error { return nil }

func (r *recorder) FetchCheckpoint(s *par.ShardStatus) error {
	r.note("FetchCheckpoint " + s.ID)
	if c := r.checks[s.ID]; c != "" {
		s.SetCheckpoint(c)
		return nil
	}
	return chk.ErrSequenceIDNotFound
}

func (r *recorder) GetLease(s *par.ShardStatus, _ string) error {
	owner := s.GetLeaseOwner()
	r.mu.Lock()
	if !slices.Contains(r.statuses[s.ID], s) {
		r.statuses[s.ID] = append(r.statuses[s.ID], s)
	}
	r.mu.Unlock()
	err := r.lease(s)
	verdict := "yes"
	if err != nil {
		verdict = "no"
	}
	r.note(fmt.Sprintf("GetLease %s owner=%q %s", s.ID, owner, verdict))
	return err
}

func (r *recorder) RemoveLeaseOwner(shard string) error {
	r.note("RemoveLeaseOwner " + shard)
	r.removing()
	r.mu.Lock()
	defer r.mu.Unlock()
	all := r.statuses[shard]
	r.owners = append(r.owners, all[len(all)-1].GetLeaseOwner())
	return nil
}

func (r *recorder) RemoveLeaseInfo(shard string) error {
	r.note("RemoveLeaseInfo " + shard)
	return nil
}

func (r *recorder) CheckpointSequence(*par.ShardStatus) error {
	r.note("CheckpointSequence")
	return nil
}

func (r *recorder) GetLeaseOwner(string) (string, error) {
	r.note("GetLeaseOwner")
	return "", nil
}

func (r *recorder) ListActiveWorkers(map[string]*par.ShardStatus) (map[string][]*par.ShardStatus, error) {
	r.note("ListActiveWorkers")
	return nil, nil
}

func (r *recorder) ClaimShard(*par.ShardStatus, string) error {
	r.note("ClaimShard")
	return nil
}

func (r *recorder) answer(_ context.Context, in middleware.InitializeInput, _ middleware.InitializeHandler) (
	out middleware.InitializeOutput, md middleware.Metadata, err error,
) {
	switch p := in.Parameters.(type) {
	case *kinesis.ListShardsInput:
		r.note("ListShards")
		r.mu.Lock()
		defer r.mu.Unlock()
		list := &kinesis.ListShardsOutput{}
		for _, s := range r.shards {
			list.Shards = append(list.Shards, types.Shard{ShardId: aws.String(s), SequenceNumberRange: &types.SequenceNumberRange{}})
		}
		out.Result = list
	case *kinesis.GetShardIteratorInput:
		r.note("GetShardIterator " + *p.ShardId)
		out.Result, err = &kinesis.GetShardIteratorOutput{ShardIterator: p.ShardId}, r.iterator()
	case *kinesis.GetRecordsInput:
		r.note("GetRecords " + *p.ShardIterator)
		r.mu.Lock()
		r.at = append(r.at, time.Now())
		n := len(r.at)
		r.mu.Unlock()
		var end bool
		end, err = r.records(n)
		answer := &kinesis.GetRecordsOutput{MillisBehindLatest: aws.Int64(0), NextShardIterator: p.ShardIterator}
		if end {
			answer.NextShardIterator = nil
		}
		out.Result = answer
	default:
		r.note(fmt.Sprintf("%T", p))
		err = errUnused
	}
	return out, md, err
}

func (r *recorder) CreateProcessor() kcl.IRecordProcessor {
	r.note("CreateProcessor")
	return &recordedProcessor{r: r}
}

type recordedProcessor struct {
	r     *recorder
	shard string
}

func (p *recordedProcessor) Initialize(in *kcl.InitializationInput) {
	p.shard = in.ShardId
	p.r.note("Initialize " + p.shard)
}

func (p *recordedProcessor) ProcessRecords(in *kcl.ProcessRecordsInput) {
	p.r.note(fmt.Sprintf("ProcessRecords %s %d", p.shard, len(in.Records)))
}

func (p *recordedProcessor) Shutdown(in *kcl.ShutdownInput) {
	p.r.note("Shutdown " + p.shard + " " + *kcl.ShutdownReasonMessage(in.ShutdownReason))
}

// run starts the library with the engine's settings; renewEvery 0 means the engine's.
func (r *recorder) run(t *testing.T, renewEvery time.Duration) (stop func()) {
	t.Helper()
	muteGlobalLogger()
	e := New(Config{Application: "app", Stream: "stream", Worker: testWorker, Logger: slog.New(slog.DiscardHandler)}, nil)
	if renewEvery > 0 {
		e.renewEvery = renewEvery
	}
	w := worker.NewWorker(r, e.settings()).WithKinesis(newClient(r.answer)).WithCheckpointer(r)
	if err := w.Start(); err != nil {
		t.Fatal(err)
	}
	return w.Shutdown
}

func TestLibrary_StartsAtMostOneShardInATick(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRecorder("a", "b", "c", "d")
		refusals := map[string]int{}
		r.lease = func(s *par.ShardStatus) error {
			if refusals[s.ID]++; refusals[s.ID] < 3 {
				return chk.ErrLeaseNotAcquired{}
			}
			s.SetLeaseOwner(testWorker)
			return nil
		}
		stop := r.run(t, 0)
		time.Sleep(time.Second)
		stop()

		started := 0
		for tick := range strings.SplitSeq(strings.Join(r.list(), "\n"), "ListShards") {
			if n := strings.Count(tick, " yes"); n > 1 {
				t.Errorf("%d leases in one tick:%s", n, tick)
			} else {
				started += n
			}
			// Until the lease is granted there are only pairs; after that the tick is over.
			loop, _, _ := strings.Cut(tick, "CreateProcessor")
			last := ""
			for line := range strings.Lines(strings.TrimSpace(loop)) {
				call, rest, _ := strings.Cut(line, " ")
				shard, _, _ := strings.Cut(strings.TrimSpace(rest), " ")
				if call == "GetLease" && last != "FetchCheckpoint "+shard {
					t.Errorf("GetLease of %s after %q", shard, last)
				}
				last = call + " " + shard
			}
		}
		if started != 4 {
			t.Errorf("%d of 4 shards started", started)
		}
	})
}

func TestLibrary_CallsOfAConsumerComeInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRecorder("a")
		stop := r.run(t, 0)
		time.Sleep(1500 * time.Millisecond)
		events := slices.DeleteFunc(r.list(), func(e string) bool { return e == "ListShards" })
		stop()
		want := []string{
			"FetchCheckpoint a", `GetLease a owner="" yes`,
			"CreateProcessor", "FetchCheckpoint a", "GetShardIterator a", "Initialize a",
			"GetRecords a", "ProcessRecords a 0", "GetRecords a",
		}
		if !slices.Equal(events, want) {
			t.Errorf("calls:\n%s\nwant:\n%s", strings.Join(events, "\n"), strings.Join(want, "\n"))
		}
	})
}

func TestLibrary_RenewsWithTheStatusItAcquiredWith(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRecorder("a")
		stop := r.run(t, 100*time.Millisecond)
		time.Sleep(2 * time.Second)
		stop()
		if n := len(r.statuses["a"]); n != 1 {
			t.Errorf("%d statuses of one shard", n)
		}
		renewals := 0
		for _, e := range r.list() {
			if e == `GetLease a owner="worker-1" yes` {
				renewals++
			}
		}
		if renewals < 15 {
			t.Errorf("%d renewals in two seconds", renewals)
		}
	})
}

// Whatever ends a consumer, AssignedTo is cleared and RemoveLeaseOwner is called, once, after every other call.
func TestLibrary_ReleasesOnEveryWayOut(t *testing.T) {
	for _, test := range []struct {
		name  string
		plant func(*recorder)
		last  string // before RemoveLeaseOwner
	}{
		{"end of the shard", func(r *recorder) {
			r.records = func(int) (bool, error) { return true, nil }
		}, "Shutdown a TERMINATE"},
		{"records fail", func(r *recorder) {
			r.records = func(int) (bool, error) { return false, errEnded }
		}, "GetRecords a"},
		{"iterator fails", func(r *recorder) {
			r.iterator = func() error { return errEnded }
		}, "GetShardIterator a"},
		{"renewal fails", func(r *recorder) {
			r.lease = func(s *par.ShardStatus) error {
				if s.GetLeaseOwner() == testWorker {
					return chk.ErrLeaseNotAcquired{}
				}
				s.SetLeaseOwner(testWorker)
				return nil
			}
		}, "ProcessRecords a 0"},
		{"stop", nil, "Shutdown a REQUESTED"},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRecorder("a")
				stop := func() {}
				defer func() { stop() }()
				if test.plant != nil {
					test.plant(r)
				}
				once := r.lease
				granted := false
				r.lease = func(s *par.ShardStatus) error {
					if s.GetLeaseOwner() == "" && granted {
						return chk.ErrLeaseNotAcquired{}
					}
					granted = true
					return once(s)
				}
				stop = r.run(t, 500*time.Millisecond)
				if test.plant == nil {
					time.Sleep(2500 * time.Millisecond)
					stop()
					stop = func() {}
				} else {
					time.Sleep(5 * time.Second)
				}
				// The event loop continues; its calls for the shard are no longer the consumer's.
				var own []string
				for _, e := range r.list() {
					if e != "ListShards" && e != "FetchCheckpoint a" && !strings.HasPrefix(e, "GetLease") {
						own = append(own, e)
					}
				}
				n := len(own)
				if n < 2 || own[n-1] != "RemoveLeaseOwner a" || own[n-2] != test.last || slices.Index(own, "RemoveLeaseOwner a") != n-1 {
					t.Errorf("calls end with %q", own[max(0, n-3):])
				}
				if !slices.Equal(r.owners, []string{""}) {
					t.Errorf("AssignedTo at the release: %q", r.owners)
				}
			})
		})
	}
}

func TestLibrary_ForgetsAShardThatIsNotListedAndItsStatus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRecorder("a")
		r.lease = func(*par.ShardStatus) error { return chk.ErrLeaseNotAcquired{} }
		stop := r.run(t, 0)
		list := func(shards ...string) {
			time.Sleep(time.Second)
			r.mu.Lock()
			defer r.mu.Unlock()
			r.shards = shards
		}
		list()
		list("a")
		time.Sleep(time.Second)
		stop()
		if n := len(r.statuses["a"]); n != 2 {
			t.Errorf("%d statuses of a shard that was listed, left out, and listed again; want 2", n)
		}
		if got := strings.Count(strings.Join(r.list(), "\n"), "RemoveLeaseInfo a"); got != 1 {
			t.Errorf("RemoveLeaseInfo was called %d times", got)
		}
	})
}

func TestLibrary_PassesByAStatusAtShardEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRecorder("a", "b")
		r.checks = map[string]string{"a": chk.ShardEnd}
		stop := r.run(t, 0)
		time.Sleep(time.Second)
		stop()
		if len(r.statuses["a"]) != 0 || len(r.statuses["b"]) != 1 {
			t.Errorf("leases were asked for: %v", r.statuses)
		}
	})
}

func TestLibrary_CallsNothingElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRecorder("a", "b")
		r.records = func(nth int) (bool, error) {
			time.Sleep(time.Second)
			return nth > 5, nil
		}
		stop := r.run(t, 100*time.Millisecond)
		time.Sleep(time.Minute)
		stop()
		known := []string{
			"ListShards", "FetchCheckpoint", "GetLease", "CreateProcessor", "GetShardIterator", "Initialize",
			"GetRecords", "ProcessRecords", "Shutdown", "RemoveLeaseOwner",
		}
		for _, e := range r.list() {
			if name, _, _ := strings.Cut(e, " "); !slices.Contains(known, name) {
				t.Errorf("the library called %s", e)
			}
		}
	})
}

// The sixth GetRecords of a second waits for the next second. This test uses the real clock: on one that stands still
// between events, as in a synctest bubble, the library waits until exactly a second is over and then wants more than one.
func TestLibrary_SleepsAfterFiveReadsInASecond(t *testing.T) {
	r := newRecorder("a")
	sixth := make(chan struct{})
	r.records = func(nth int) (bool, error) {
		if nth == 6 {
			close(sixth)
		}
		return nth >= 6, nil
	}
	stop := r.run(t, 0)
	<-sixth
	stop()
	if five, last := r.at[4].Sub(r.at[0]), r.at[5].Sub(r.at[4]); last < five {
		t.Errorf("five reads took %v, and the sixth came %v later", five, last)
	}
}

func TestLibrary_DoesNotSleepAtTheEnginesPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRecorder("a")
		r.records = func(int) (bool, error) {
			time.Sleep(minCycle)
			return false, nil
		}
		stop := r.run(t, 0)
		time.Sleep(20 * time.Second)
		stop()
		for i := 1; i < len(r.at); i++ {
			if d := r.at[i].Sub(r.at[i-1]); d > minCycle+2*time.Millisecond {
				t.Errorf("%v between two reads", d)
			}
		}
	})
}

// Why a ShardStatus serves only once: with a Checkpointer that marks the owner in each GetLease, a renewal that arrives
// while the shard is released leaves a shard that looks held and is never read again.
func TestLibrary_ALateRenewalThatIsGrantedOrphansTheShard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRecorder("a")
		renewing, released := make(chan struct{}), make(chan struct{})
		granted := false
		r.lease = func(s *par.ShardStatus) error {
			switch {
			case s.GetLeaseOwner() == testWorker: // the renewal
				close(renewing)
				<-released
			case granted:
				return chk.ErrLeaseNotAcquired{} // not before the late renewal is through
			}
			granted = true
			s.SetLeaseOwner(testWorker)
			return nil
		}
		r.records = func(int) (bool, error) {
			<-renewing
			return false, errEnded
		}
		r.removing = func() { // AssignedTo is clear; the renewal writes now
			close(released)
			synctest.Wait()
		}
		stop := r.run(t, 500*time.Millisecond)
		time.Sleep(time.Second)
		before := len(r.list())
		time.Sleep(time.Minute)
		for _, e := range r.list()[before:] {
			if e != "ListShards" {
				t.Errorf("%s after the late renewal: the shard is not orphaned", e)
			}
		}
		stop()
		if len(r.owners) != 1 || r.statuses["a"][0].GetLeaseOwner() != testWorker {
			t.Errorf("released %d times, owner %q", len(r.owners), r.statuses["a"][0].GetLeaseOwner())
		}
	})
}

func TestLibrary_KnowsARefusalByItsType(t *testing.T) {
	if err := error(chk.ErrLeaseNotAcquired{}); !errors.As(err, &chk.ErrLeaseNotAcquired{}) {
		t.Error("a zero ErrLeaseNotAcquired is not recognised")
	}
}
