package batch

import (
	"slices"
	"time"
)

// Status describes a Pipeline for the status page.
type Status struct {
	Open      []OpenFile      `json:"open_files"`
	Published []PublishedFile `json:"published_files"` // newest first
	Faults    []FaultSeen     `json:"faults"`          // newest first
	Totals    Totals          `json:"totals"`
	// Next is the open batch that is committed first; nil if none is open.
	Next   *NextCommit `json:"next_commit,omitempty"`
	Outbox int         `json:"outbox"`
	// Tables are those that batches are loaded into, sorted.
	Tables []TableToLoad `json:"tables,omitempty"`
	// Unpublished are the batches that this worker has tried to publish and could not, the oldest first.
	Unpublished []UnpublishedBatch `json:"unpublished_batches"`
}

// NextCommit describes when and why an open batch will be committed: when it is due or has the limit's bytes, whichever
// comes first.
type NextCommit struct {
	Opened time.Time `json:"opened"` // when its first record was taken in
	Due    time.Time `json:"due"`    // by the commit interval
	Bytes  int64     `json:"bytes"`  // encoded, estimated where not yet encoded
	Limit  int64     `json:"limit"`
	// Reason is why it is being committed already, such as drain or files; empty if it is not.
	Reason string `json:"reason,omitempty"`
}

// TableToLoad is a table with the published batches, of all workers, that are still to be loaded into it.
type TableToLoad struct {
	Table   string  `json:"table"`
	Batches int     `json:"batches"`
	Age     float64 `json:"oldest_seconds"` // of the oldest, since it was published
	// Loaded is when this worker last saw that a batch no longer waits; zero if it has not yet.
	Loaded time.Time `json:"last_loaded,omitzero"`
	// Unnamed means that only batches name the table: TABLE does not, or no longer.
	Unnamed bool `json:"unnamed,omitempty"`
}

// Totals count since the start of the process.
type Totals struct {
	Batches      int64 `json:"batches"`
	Files        int64 `json:"files"`
	Records      int64 `json:"records"`
	ErrorRecords int64 `json:"error_records"`
	// BackupRecords are Kinesis records in backups.
	BackupRecords int64 `json:"backup_records,omitempty"`
	Bytes         int64 `json:"bytes"`
}

// OpenFile is a file that is being written.
type OpenFile struct {
	Partition string    `json:"partition"`
	Rows      int64     `json:"rows"`
	Bytes     int64     `json:"bytes"`
	Since     time.Time `json:"since"`
	Error     bool      `json:"error,omitempty"`
	Backup    bool      `json:"backup,omitempty"`
}

// PublishedFile is an object that has become visible.
type PublishedFile struct {
	At     time.Time `json:"at"`
	Bucket string    `json:"bucket"`
	Key    string    `json:"key"`
	Rows   int64     `json:"rows"`
	Bytes  int64     `json:"bytes"`
	Reason string    `json:"reason"`
	Error  bool      `json:"error,omitempty"`
	Backup bool      `json:"backup,omitempty"`
}

// FaultSeen is a record that went to the error prefix.
type FaultSeen struct {
	At       time.Time `json:"at"`
	Shard    string    `json:"shard"`
	Sequence string    `json:"sequence_number"`
	Code     string    `json:"code"`
	Message  string    `json:"message"`
}

// Status returns what the pipeline holds and has done.
func (p *Pipeline) Status() Status {
	s := p.board.status()
	for _, b := range p.uncommitted() {
		for id, f := range b.openFiles() {
			s.Open = append(s.Open, OpenFile{Partition: id.partition, Rows: f.file.Rows(), Bytes: f.file.Size(), Since: b.opened, Error: id.err != "", Backup: id.backup})
		}
	}
	s.Next = p.next()
	slices.SortFunc(s.Open, func(a, b OpenFile) int { return int(b.Bytes - a.Bytes) })
	return s
}

// next returns the open batch that is due first.
func (p *Pipeline) next() (next *NextCommit) {
	for _, l := range p.allLanes() {
		b := l.batch()
		if b == nil || next != nil && !b.opened.Before(next.Opened) {
			continue
		}
		next = &NextCommit{Opened: b.opened, Due: b.opened.Add(p.cfg.Limits.Interval), Bytes: b.encoded.Load(), Limit: p.cfg.Limits.Bytes}
		if reason := b.due.Load(); reason != nil {
			next.Reason = *reason
		}
	}
	return next
}

// Observe brings the gauges up to date.
func (p *Pipeline) Observe() {
	now := p.cfg.Now()
	files := 0
	var unwritten time.Duration
	for _, b := range p.uncommitted() {
		files += len(b.openFiles())
		unwritten = max(unwritten, now.Sub(b.opened))
	}
	m := p.parts.Metrics
	m.OpenFiles.Set(float64(files))
	m.OldestUnwritten.Set(unwritten.Seconds())
	m.Freshness.Set(p.Freshness().Seconds())
	failed := make(map[string]int)
	for _, u := range p.board.failures() {
		failed[u.Reason]++
	}
	failed[reasonUnknown] += p.board.passedOver()
	for _, reason := range reasons {
		m.OutboxFailed.WithLabelValues(reason).Set(float64(failed[reason]))
	}
}

// Freshness returns the age of the oldest record that was read but is not visible yet, by its arrival in Kinesis.
func (p *Pipeline) Freshness() time.Duration {
	now := p.cfg.Now()
	var age time.Duration
	for _, b := range p.uncommitted() {
		if t := b.oldestArrival(); !t.IsZero() {
			age = max(age, now.Sub(t))
		}
	}
	return max(age, p.board.oldestCommitted(now))
}

// uncommitted returns the batches of all lanes that are open or on their way to the commit.
func (p *Pipeline) uncommitted() []*batch {
	var batches []*batch
	for _, l := range p.allLanes() {
		batches = append(batches, l.uncommitted()...)
	}
	return batches
}
