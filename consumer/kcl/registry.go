package kcl

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	chk "github.com/vmware/vmware-go-kcl-v2/clientlibrary/checkpoint"
	par "github.com/vmware/vmware-go-kcl-v2/clientlibrary/partition"

	"aws-streaming-pipeline/internal/logkey"
	"aws-streaming-pipeline/record"
)

// errEnded ends a consumer of the library. It wraps nothing: the library looks into errors for SDK types and continues
// after some of them.
var errEnded = errors.New("the session has ended")

// registry keeps the open sessions. It answers each call of the library by the rules in the package comment.
type registry struct {
	driver   Driver
	worker   string
	log      *slog.Logger
	panicked func(shard, what string)
	ctx      context.Context // context of Run; set before the library starts

	mu       sync.Mutex
	sessions map[string]*entry   // by shard
	omit     map[string]struct{} // shards that the next listing omits
	serial   uint64
}

// entry is the registry's record of a Session. The last two fields belong to the consumer's goroutine; the others do
// not change.
type entry struct {
	Session
	shard    string
	iterator string // identifies the session in the library's GetRecords
	status   *par.ShardStatus

	ended bool      // no more calls except Close
	began time.Time // when the last GetRecords was called
}

func newRegistry(driver Driver, cfg Config) *registry {
	return &registry{
		driver: driver, worker: cfg.Worker, log: cfg.Logger, panicked: cfg.Panicked,
		sessions: map[string]*entry{}, omit: map[string]struct{}{},
	}
}

// list returns the shards that the library should know about.
func (r *registry) list() (shards []string, err error) {
	err = guard(func() error {
		shards = r.driver.Shards()
		return nil
	})
	if err != nil {
		r.log.Error("listing shards failed", logkey.Error, err)
		return nil, errEnded
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	listed := make([]string, 0, len(shards))
	for _, shard := range shards {
		if _, ok := r.omit[shard]; !ok {
			listed = append(listed, shard)
		}
	}
	clear(r.omit)
	return listed, nil
}

// getLease answers GetLease: it opens a session for a fresh status, confirms an open one, and refuses everything else.
func (r *registry) getLease(status *par.ShardStatus) error {
	r.mu.Lock()
	s := r.sessions[status.ID]
	marked := status.GetCheckpoint() == chk.ShardEnd
	r.mu.Unlock()
	if s != nil && s.status == status && status.GetLeaseOwner() == r.worker {
		return nil
	}
	if s != nil || marked || r.ctx.Err() != nil {
		return chk.ErrLeaseNotAcquired{}
	}

	// The status is fresh, so this is the event loop: no other goroutine opens a session until we return.
	var opened Session
	err := guard(func() error {
		if s, ok := r.driver.Open(status.ID); ok {
			opened = s
		}
		return nil
	})
	if err != nil {
		r.log.Error("opening a shard failed", logkey.Shard, status.ID, logkey.Error, err)
		r.tell(status.ID, err)
	}
	if err != nil || opened == nil {
		return chk.ErrLeaseNotAcquired{}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.serial++
	r.sessions[status.ID] = &entry{
		Session: opened, shard: status.ID, status: status,
		iterator: status.ID + "#" + strconv.FormatUint(r.serial, 10),
	}
	status.SetLeaseOwner(r.worker)
	return nil
}

// release closes the session of a shard.
func (r *registry) release(shard string) {
	s := r.session(shard)
	if s == nil {
		return
	}
	err := guard(func() error {
		s.Close()
		return nil
	})
	if err != nil {
		r.log.Error("closing a shard failed", logkey.Shard, shard, logkey.Error, err)
		r.tell(shard, err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	s.status.SetCheckpoint(chk.ShardEnd)
	delete(r.sessions, shard)
	r.omit[shard] = struct{}{}
}

// session returns the open session of a shard, or nil if there is none.
func (r *registry) session(shard string) *entry {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.sessions[shard]
}

// open returns the shards that have an open session, in order.
func (r *registry) open() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Sorted(maps.Keys(r.sessions))
}

// next answers GetRecords. done means that the shard is at its end; an error means that the session ended for another
// reason.
func (r *registry) next(iterator string) (done bool, err error) {
	s := r.byIterator(iterator)
	if s == nil || s.ended {
		return false, errEnded
	}
	s.began = time.Now()
	err = guard(func() error { return s.Next(r.ctx) })
	if err == nil {
		return false, nil
	}
	r.end(s, err)
	if errors.Is(err, ErrShardEnd) {
		return true, nil
	}
	return false, errEnded
}

// process answers ProcessRecords, and makes the cycle last as long as the library requires.
func (r *registry) process(s *entry) {
	if s == nil || s.ended {
		return
	}
	if err := guard(func() error { return s.Process(r.ctx) }); err != nil {
		r.end(s, err)
	}
	rest := time.NewTimer(minCycle - time.Since(s.began))
	defer rest.Stop()
	select {
	case <-rest.C:
	case <-r.ctx.Done():
	}
}

func (r *registry) end(s *entry, cause error) {
	s.ended = true
	level := slog.LevelInfo
	if r.tell(s.shard, cause) {
		level = slog.LevelError
	}
	r.log.Log(r.ctx, level, "shard session ended", logkey.Shard, s.shard, logkey.Reason, cause)
}

// tell reports an error to Config.Panicked if it is a panic, and returns whether it is.
func (r *registry) tell(shard string, err error) bool {
	p, panicked := errors.AsType[*panicError](err)
	if panicked && r.panicked != nil {
		r.panicked(shard, p.what)
	}
	return panicked
}

// byIterator returns the open session that an iterator identifies, or nil if it is closed.
func (r *registry) byIterator(iterator string) *entry {
	shard, _, _ := strings.Cut(iterator, "#")
	if s := r.session(shard); s != nil && s.iterator == iterator {
		return s
	}
	return nil
}

// panicError is a panic recovered at the boundary to the library. It contains no payload.
type panicError struct {
	what  string
	stack []byte
}

func (p *panicError) Error() string { return fmt.Sprintf("panic: %s\n%s", p.what, p.stack) }

// guard calls f and turns a panic into an error.
func guard(f func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &panicError{what: record.Panicked(v).Message, stack: debug.Stack()}
		}
	}()
	return f()
}
