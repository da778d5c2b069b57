package batch

import (
	"strings"
	"sync"
	"sync/atomic"

	"aws-streaming-pipeline/record"
)

// suspects knows up to where the shards' records have to be tried before they are taken in: as far as they were in a batch
// that a panic has ended. It is forgotten with the process, and learned again by another panic.
//
// So a record at which the program panics each time costs one batch of this worker and not every batch until retention
// ends, and one panic that does not come again costs no record.
type suspects struct {
	any  atomic.Bool
	mu   sync.Mutex
	upTo map[string]string // sequence number by shard
}

func (s *suspects) add(shard, last string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.upTo == nil {
		s.upTo = make(map[string]string)
	}
	if record.CompareSequence(last, s.upTo[shard]) > 0 {
		s.upTo[shard] = strings.Clone(last)
	}
	s.any.Store(true)
}

// among reports whether there are records to be tried. Once those that come are beyond them, the shard is above suspicion.
func (s *suspects) among(shard string, records []record.Record) bool {
	if len(records) == 0 || !s.any.Load() {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	last, suspect := s.upTo[shard]
	if suspect && record.CompareSequence(records[0].SequenceNumber, last) > 0 {
		delete(s.upTo, shard)
		s.any.Store(len(s.upTo) > 0)
		return false
	}
	return suspect
}
