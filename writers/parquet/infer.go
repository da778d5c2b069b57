package parquet

import (
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"aws-streaming-pipeline/record/schema"
)

// inferred is what has been learned about the records of a stream without a schema.
type inferred struct {
	arrival bool // files have the column _arrived_at

	mu       sync.Mutex
	inferrer *schema.Inferrer
	last     *vectors // of the newest columns
	leaves   int      // their number
	stale    bool     // something was learned since

	samples atomic.Int64 // learned from
}

func newInferred(arrival bool) *inferred {
	return &inferred{arrival: arrival, inferrer: schema.NewInferrer(), stale: true}
}

// columns returns the columns of a new file that begins with the samples.
func (i *inferred) columns(samples [][]byte) *vectors {
	i.learn(samples)
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.stale {
		i.stale = false
		newest := i.inferrer.Schema()
		if newest.Arrival = i.arrival; i.arrival { // a member of that name goes to _extra
			newest.Fields = slices.DeleteFunc(newest.Fields, func(f *schema.Field) bool { return strings.EqualFold(f.Name, schema.ArrivedAtColumn) })
		}
		// Columns are never removed, so an equal number means that they are the same.
		if n := leaves(newest.Fields); i.last == nil || n > i.leaves {
			i.last, i.leaves = newVectors(newest, true), n
		}
	}
	return i.last
}

func leaves(fields []*schema.Field) (n int) {
	for _, f := range fields {
		for f.Element != nil {
			f = f.Element
		}
		if f.Kind == schema.Group {
			n += leaves(f.Fields)
			continue
		}
		n++
	}
	return n
}

// schema returns the columns that have been learned.
func (i *inferred) schema() *schema.Schema {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.inferrer.Schema()
}

func (i *inferred) learn(samples [][]byte) {
	i.mu.Lock()
	defer i.mu.Unlock()
	for _, sample := range samples {
		// A block has checked that the sample is an object. What cannot be learned from it goes to _extra.
		_ = i.inferrer.Add(sample)
		i.stale = true
	}
	i.samples.Add(int64(len(samples)))
}
