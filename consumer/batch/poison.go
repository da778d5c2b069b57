package batch

import (
	"errors"
	"sync"
	"sync/atomic"

	"aws-streaming-pipeline/consumer/record"
	"aws-streaming-pipeline/internal/logkey"
)

// errPanicked ends a batch in which a record made the program panic: what the panic has left in its files is unknown.
var errPanicked = errors.New("a record made the program panic: its batch is dropped, and the record goes to the error prefix at the next reading")

// mostPoison is how many records are remembered. Beyond it all are forgotten, and would panic once more.
const mostPoison = 1000

// poison remembers records that made the program panic, so that one that does so each time costs one batch of this
// worker, and not every batch until retention ends.
type poison struct {
	any    atomic.Bool
	mu     sync.Mutex
	faults map[string]*record.Fault // by shard and event id
}

func poisonKey(shard string, r *record.Record) string { return shard + "/" + r.EventID() }

func (p *poison) add(shard string, r *record.Record, f *record.Fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.faults == nil || len(p.faults) == mostPoison {
		p.faults = make(map[string]*record.Fault)
	}
	p.faults[poisonKey(shard, r)] = f
	p.any.Store(true)
}

// fault is that of a record which has made the program panic, or nil.
func (p *poison) fault(shard string, r *record.Record) *record.Fault {
	if !p.any.Load() {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.faults[poisonKey(shard, r)]
}

// survive, deferred, turns a panic at a record into an error that ends the batch.
func (p *Pipeline) survive(shard string, at **record.Record, err *error) {
	v := recover()
	if v == nil {
		return
	}
	f := record.Panicked(v)
	p.poison.add(shard, *at, f)
	p.parts.Log.Error("a record made the program panic", logkey.Shard, shard, logkey.Sequence, (*at).SequenceNumber, logkey.Error, f.Message)
	*err = errPanicked
}
