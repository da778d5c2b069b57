package loader

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"aws-streaming-pipeline/checkpoint"
)

// Reason is why a batch cannot be loaded.
type Reason string

// The reasons.
const (
	ListLost       Reason = "list_lost"   // the object that holds its list of files is gone, or is another one
	ListUnread     Reason = "list_unread" // the object cannot be read now
	BadDescription Reason = "description" // a file has no description, or one that cannot be decoded
	OtherUUID      Reason = "uuid"        // its files were written for another table of the same name
	Unfit          Reason = "unfit"       // the table cannot take one of its files, such as for lack of its partition spec
	FileLost       Reason = "file_lost"   // one of its files is gone, or is another one
	FileTorn       Reason = "file_torn"   // one of its files cannot be read to its end
)

// Reasons are all reasons.
var Reasons = []Reason{ListLost, ListUnread, BadDescription, OtherUUID, Unfit, FileLost, FileTorn}

// Stuck is a batch that could not be loaded when it was last tried. It is tried again, after those that may succeed.
type Stuck struct {
	Batch  string    `json:"batch"`
	Reason Reason    `json:"reason"`
	Text   string    `json:"text"` // names file, value and cause
	Since  time.Time `json:"since"`

	tried int  // the number of the try, for order
	apart bool // a write with it has failed because of it
}

// stuck are the batches that could not be loaded.
type stuck struct {
	batches map[string]Stuck
	tries   int
}

// add notes a failed try, and reports whether it is the first one or its reason is new.
func (s *stuck) add(id string, p *Problem) (isNew bool) {
	s.tries++
	before, known := s.batches[id]
	now := Stuck{Batch: id, Reason: p.Reason, Text: p.Error(), Since: before.Since, tried: s.tries, apart: before.apart}
	if !known {
		now.Since = time.Now()
	}
	if s.batches == nil {
		s.batches = make(map[string]Stuck)
	}
	s.batches[id] = now
	return !known || before.Reason != p.Reason
}

// setApart notes that a write with the batch has failed because of it.
func (s *stuck) setApart(id string) {
	b := s.batches[id]
	b.apart = true
	s.batches[id] = b
}

// only keeps those that still wait.
func (s *stuck) only(waiting []checkpoint.Batch) {
	ids := make(map[string]bool, len(waiting))
	for _, b := range waiting {
		ids[b.ID] = true
	}
	maps.DeleteFunc(s.batches, func(id string, _ Stuck) bool { return !ids[id] })
}

// order returns the batches in the order in which to try them: first those that have not failed, then those whose failure is
// longest ago. So no number of stuck batches keeps the others waiting.
func (s *stuck) order(waiting []checkpoint.Batch) []checkpoint.Batch {
	ordered := slices.Clone(waiting)
	slices.SortStableFunc(ordered, func(a, b checkpoint.Batch) int {
		return cmp.Compare(s.batches[a.ID].tried, s.batches[b.ID].tried)
	})
	return ordered
}

// list returns them, those that have been stuck longest first.
func (s *stuck) list() []Stuck {
	return slices.SortedFunc(maps.Values(s.batches), func(a, b Stuck) int {
		return cmp.Or(a.Since.Compare(b.Since), cmp.Compare(a.Batch, b.Batch))
	})
}
