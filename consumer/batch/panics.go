package batch

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"aws-streaming-pipeline/checkpoint"
)

// panics remembers where each shard last had the program panic. One panic says nothing; where it comes again at one
// position, the shard stands still until somebody mends the program.
type panics struct {
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

// Panicked takes down a panic outside the pipeline, while it worked on a shard whose checkpoint is after. What says what it
// was and shows nothing of a payload.
func (p *Pipeline) Panicked(shard string, after checkpoint.Position, what string) {
	p.panics.note(shard, panicSeen{after: after, what: what})
}

// Stuck returns an error that names the shards, of those that are mine, at whose position the program has panicked more
// than once; nil if there are none.
func (p *Pipeline) Stuck(mine func(shard string) bool) error {
	p.panics.mu.Lock()
	defer p.panics.mu.Unlock()
	var errs []error
	for _, shard := range slices.Sorted(maps.Keys(p.panics.shards)) {
		if s := p.panics.shards[shard]; s.times > 1 && mine(shard) {
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

// suspect has the records of a shard tried when they are read again, because a panic has ended their batch, and takes
// the panic down where it is not that of another shard.
func (p *Pipeline) suspect(b *batch, shard, last string, after checkpoint.Position, cause error) {
	if !panicked(cause) {
		return
	}
	p.suspects.add(shard, last)
	seen := panicSeen{after: after, batch: b.id, what: cause.Error()}
	if at, ok := errors.AsType[panicAt](cause); ok {
		if at.shard != shard {
			return
		}
		seen.sequence, seen.what = at.sequence, at.what
	}
	seen.what = strings.Clone(seen.what)
	p.panics.note(shard, seen)
}
