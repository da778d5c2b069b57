package batch

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/writers"
)

// errPanicked ends a batch in which the program panicked while a record was taken in: what the panic has left in its
// files is unknown.
var errPanicked = errors.New("the program panicked: the batch is dropped, and its records are tried when they are read again")

// panicked reports whether a batch ended by a panic, at a record or at a block.
func panicked(err error) bool {
	return errors.Is(err, errPanicked) || errors.Is(err, writers.ErrPanicked)
}

// panicAt is errPanicked with the place.
type panicAt struct {
	shard    string
	sequence string // empty if it is not known
	what     string
}

func (p panicAt) Error() string {
	return fmt.Sprintf("%v (shard %s, record %q: %s)", errPanicked, p.shard, p.sequence, p.what)
}

func (p panicAt) Unwrap() error { return errPanicked }

// panics remembers where each shard last had the program panic. One panic says nothing; where it comes again at one
// position, the shard stands still until somebody mends the program.
type panics struct {
	suspects suspects

	mu     sync.Mutex
	shards map[string]panicSeen
}

// panicSeen is a panic as often as it came at one position.
type panicSeen struct {
	after    checkpoint.Position // checkpoint of the shard at that time
	sequence string              // of the record; empty if it is not known
	batch    string              // the last that it ended; empty if it was in none
	what     string              // without anything of the payload
	times    int
}

func (p panicSeen) String() string {
	place := fmt.Sprintf("after the checkpoint %s", p.after)
	if p.sequence != "" {
		place = "at record " + p.sequence
	}
	return fmt.Sprintf("the program panicked %d times %s: %s", p.times, place, p.what)
}

// note takes a panic down. A batch has one.
func (p *panics) note(shard string, s panicSeen) {
	p.mu.Lock()
	defer p.mu.Unlock()
	last := p.shards[shard]
	s.times = 1
	if last.after == s.after && last.sequence == s.sequence {
		s.times = last.times + 1
		if s.batch != "" && s.batch == last.batch {
			s.times = last.times
		}
	}
	if p.shards == nil {
		p.shards = make(map[string]panicSeen)
	}
	p.shards[shard] = s
}

// moved notes where the shard's checkpoint is: what happened before it is over.
func (p *panics) moved(shard string, to checkpoint.Position) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if last, ok := p.shards[shard]; ok && last.after != to {
		delete(p.shards, shard)
	}
}

// stuck returns an error that names the shards, of those that are mine, at whose position the program has panicked more
// than once; nil if there are none.
func (p *panics) stuck(mine func(shard string) bool) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	var errs []error
	for _, shard := range slices.Sorted(maps.Keys(p.shards)) {
		if s := p.shards[shard]; s.times > 1 && mine(shard) {
			errs = append(errs, fmt.Errorf("shard %s: %s", shard, s))
		}
	}
	if more := len(errs) - namedShards; more > 0 {
		errs = append(errs[:namedShards], fmt.Errorf("%d more shards", more))
	}
	return errors.Join(errs...)
}

// namedShards is how many shards an error names.
const namedShards = 5

// suspect has the records of a shard tried when they are read again, if it was a panic that has ended their batch, and
// takes the panic down where it is not that of another shard.
func (p *panics) suspect(batch, shard, last string, after checkpoint.Position, cause error) {
	if !panicked(cause) {
		return
	}
	p.suspects.add(shard, last)
	seen := panicSeen{after: after, batch: batch, what: cause.Error()}
	if at, ok := errors.AsType[panicAt](cause); ok {
		if at.shard != shard {
			return
		}
		seen.sequence, seen.what = at.sequence, at.what
	}
	seen.what = strings.Clone(seen.what)
	p.note(shard, seen)
}
