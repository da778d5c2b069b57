package loader

import (
	"context"
	"errors"
	"fmt"
	"time"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/internal/logkey"
	"aws-streaming-pipeline/record/table"
)

// Status is what a loader is doing.
type Status struct {
	Table   string    `json:"table"`
	Loader  string    `json:"loader"`
	Started time.Time `json:"started"`
	// Opening means that there is no loader yet: it waits for a service.
	Opening bool `json:"opening,omitempty"`
	Elected bool `json:"elected"`
	// Other is the loader that is elected, if it is another one and known.
	Other string `json:"other,omitempty"`

	// The rest is of the last time that this loader was elected.

	LastLook   time.Time `json:"last_look,omitzero"`
	LastCommit time.Time `json:"last_commit,omitzero"`
	// CompleteUpTo is the arrival time up to which the table is complete; zero if that is not known.
	CompleteUpTo time.Time      `json:"complete_up_to,omitzero"`
	Waiting      int            `json:"waiting"`
	Oldest       time.Time      `json:"oldest,omitzero"` // when the oldest batch that waits was published
	Stuck        []Stuck        `json:"stuck"`
	Refused      []table.Column `json:"refused"`
	Loaded       int64          `json:"loaded"` // batches since the start
	// RefusedRows are rows of those batches that the table did not take.
	RefusedRows int64 `json:"refused_rows,omitempty"`
	Size        Size  `json:"size"`
	// Problem is why the last round failed; empty if it did not.
	Problem      string    `json:"problem,omitempty"`
	ProblemSince time.Time `json:"problem_since,omitzero"`
}

func newStatus(name, id string) Status {
	return Status{Table: name, Loader: id, Started: time.Now(), Stuck: []Stuck{}, Refused: []table.Column{}}
}

// Status returns what the loader is doing.
func (l *Loader) Status() Status {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.status
}

// Health returns an error if the loader is elected and its rounds have been failing for three intervals and a minute, so that
// batches wait longer than they should.
func (l *Loader) Health() error {
	s := l.Status()
	if s.Elected && s.Problem != "" && time.Since(s.ProblemSince) > 3*l.cfg.Interval+time.Minute {
		return errors.New(s.Problem)
	}
	return nil
}

// hang is longer than any call takes with its bound.
const hang = 2 * tableBound

// Alive returns an error if the loader is elected and has done nothing for so long that it must be hanging.
func (l *Loader) Alive() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if since := time.Since(l.moved); l.status.Elected && since > hang+l.cfg.Interval {
		return fmt.Errorf("the loader has done nothing for %v", since.Round(time.Second))
	}
	return nil
}

func (l *Loader) waitingSeconds() float64 {
	s := l.Status()
	if !s.Elected || s.Oldest.IsZero() {
		return 0
	}
	return time.Since(s.Oldest).Seconds()
}

// change changes the status.
func (l *Loader) change(f func(*Status)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.moved = time.Now()
	f(&l.status)
}

// touch notes that the loader is at work.
func (l *Loader) touch() { l.change(func(*Status) {}) }

// elected notes which loader is elected.
func (l *Loader) elected(held bool, loader string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if held && !l.status.Elected {
		l.moved = time.Now()
	}
	l.status.Elected, l.status.Other = held, loader
	if held {
		l.status.Other = ""
		l.metrics.Elected.Set(1)
		return
	}
	l.metrics.Elected.Set(0)
	l.metrics.Waiting.Set(0)
	l.metrics.Complete.Set(0)
	l.metrics.Stuck.Reset()
	for _, r := range Reasons {
		l.metrics.Stuck.WithLabelValues(string(r))
	}
}

// looked notes what a look has shown.
func (l *Loader) looked(v view) {
	l.metrics.LastLook.SetToCurrentTime()
	l.metrics.Waiting.Set(float64(len(v.outbox.waiting)))
	var size Size
	if s, ok := v.state.(Sized); ok {
		size = s.Size()
		l.metrics.Snapshots.Set(float64(size.Snapshots))
		l.metrics.Metadata.Set(float64(size.MetadataBytes))
	}
	l.change(func(s *Status) {
		s.LastLook, s.Waiting, s.Oldest, s.Size = time.Now(), len(v.outbox.waiting), v.outbox.oldest(), size
	})
}

// complete notes up to when the table is complete; the zero time changes nothing.
func (l *Loader) complete(upTo time.Time) {
	if upTo.IsZero() {
		return
	}
	l.metrics.Complete.Set(float64(upTo.UnixMilli()) / 1000)
	l.change(func(s *Status) { s.CompleteUpTo = upTo })
}

// tried notes which batches are stuck.
func (l *Loader) tried() {
	list := l.stuck.list()
	counts := make(map[Reason]int)
	for _, s := range list {
		counts[s.Reason]++
	}
	for _, r := range Reasons {
		l.metrics.Stuck.WithLabelValues(string(r)).Set(float64(counts[r]))
	}
	l.change(func(s *Status) { s.Stuck = list })
}

// totals are those of one batch.
type totals struct{ files, rows, bytes int64 }

func totalsOf(batches []checkpoint.Batch) map[string]totals {
	all := make(map[string]totals, len(batches))
	for _, b := range batches {
		var t totals
		for _, f := range b.Files {
			t.files++
			t.rows += f.Rows
			t.bytes += f.Bytes
		}
		all[b.ID] = t
	}
	return all
}

// wrote notes how a write ended.
func (l *Loader) wrote(a load, took time.Duration, err error) {
	result := failed
	switch {
	case err == nil:
		result = committed
		l.change(func(s *Status) { s.LastCommit = time.Now() })
		l.log.Info("batches appended", logkey.Count, len(a.batches), logkey.Files, a.files, logkey.Took, took)
	case errors.Is(err, ErrConflict):
		result = conflict
	case errors.Is(err, ErrUnanswered) || errors.Is(err, context.DeadlineExceeded):
		result = unanswered
	}
	l.metrics.Commits.WithLabelValues(result).Inc()
	l.metrics.Seconds.Observe(took.Seconds())
}

// counted counts the batches of this loader's last write whose ids the state's ledger shows.
func (l *Loader) counted(state State) {
	refuser, _ := state.(Refuser)
	for _, id := range state.Ledger() {
		t, ours := l.sent[id]
		if !ours {
			continue // written by another loader, or counted before
		}
		delete(l.sent, id)
		l.metrics.Batches.Inc()
		l.metrics.Files.Add(float64(t.files))
		l.metrics.Rows.Add(float64(t.rows))
		l.metrics.Bytes.Add(float64(t.bytes))
		var refused int64
		if refuser != nil {
			refused = refuser.Refused(id)
		}
		if refused > 0 {
			l.metrics.RefusedRows.Add(float64(refused))
			l.log.Warn("rows of a batch were refused; they go to the error prefix", logkey.Batch, id, logkey.Count, refused)
		}
		l.change(func(s *Status) {
			s.Loaded++
			s.RefusedRows += refused
		})
	}
}

// ended notes the end of a round.
func (l *Loader) ended(err error) {
	l.metrics.Refused.Set(float64(len(l.refused.list)))
	l.change(func(s *Status) {
		s.Refused = l.refused.list[:len(l.refused.list):len(l.refused.list)]
		switch {
		case err == nil || errors.Is(err, errDeposed):
			s.Problem, s.ProblemSince = "", time.Time{}
		case s.Problem == "":
			s.Problem, s.ProblemSince = err.Error(), time.Now()
		default:
			s.Problem = err.Error()
		}
	})
}
