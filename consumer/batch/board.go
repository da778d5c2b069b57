package batch

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/internal/metrics"
	"aws-streaming-pipeline/record"
)

// remembered is how many published files and faults the status shows.
const remembered = 20

// Status is what people are shown of a Pipeline.
type Status struct {
	Open      []OpenFile      `json:"open_files"`
	Published []PublishedFile `json:"published_files"` // newest first
	Faults    []FaultSeen     `json:"faults"`          // newest first
	Totals    Totals          `json:"totals"`
	Outbox    int             `json:"outbox"`
	// Unpublished are the batches that this worker has tried to publish and could not, the oldest first.
	Unpublished []UnpublishedBatch `json:"unpublished_batches"`
}

// Totals count since the start of the process.
type Totals struct {
	Batches      int64 `json:"batches"`
	Files        int64 `json:"files"`
	Records      int64 `json:"records"`
	ErrorRecords int64 `json:"error_records"`
	Bytes        int64 `json:"bytes"`
}

// OpenFile is a file that is being written.
type OpenFile struct {
	Partition string    `json:"partition"`
	Rows      int64     `json:"rows"`
	Bytes     int64     `json:"bytes"`
	Since     time.Time `json:"since"`
	Error     bool      `json:"error,omitempty"`
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
}

// UnpublishedBatch is a committed batch that could not be published.
type UnpublishedBatch struct {
	Batch    string    `json:"batch"`
	Worker   string    `json:"worker"` // that has committed it
	Sealed   time.Time `json:"sealed"`
	Attempts int       `json:"attempts"`
	Tried    time.Time `json:"tried"` // the last time
	Reason   string    `json:"reason"`
	Error    string    `json:"error"`
}

// pause is the time between the last attempt to publish a batch and the next. What is gone comes back only by hand.
func (u UnpublishedBatch) pause() time.Duration {
	longest := time.Minute
	if u.Reason == reasonGone {
		longest = 10 * time.Minute
	}
	return min(5*time.Second<<min(u.Attempts, 10), longest)
}

// FaultSeen is a record that went to the error prefix.
type FaultSeen struct {
	At       time.Time `json:"at"`
	Shard    string    `json:"shard"`
	Sequence string    `json:"sequence_number"`
	Code     string    `json:"code"`
	Message  string    `json:"message"`
}

// board remembers what Status shows.
type board struct {
	mu     sync.Mutex
	files  []PublishedFile
	faults []FaultSeen
	totals Totals
	box    int
	seen   map[string]bool      // batches that were in the outbox at the last scan, or had failed by then
	oldest map[string]time.Time // oldest arrival of committed batches that are not published
	failed map[string]UnpublishedBatch
}

func (b *board) published(now time.Time, done checkpoint.Batch) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.forget(done.ID)
	b.totals.Batches++
	for _, f := range done.Files {
		b.totals.Files++
		b.totals.Bytes += f.Bytes
		if f.Error {
			b.totals.ErrorRecords += f.Rows
		} else {
			b.totals.Records += f.Rows
		}
		b.files = remember(b.files, PublishedFile{At: now, Bucket: f.Bucket, Key: f.Key, Rows: f.Rows, Bytes: f.Bytes, Reason: f.Reason, Error: f.Error})
	}
}

// forget drops what is remembered of a batch in the outbox; b.mu is held.
func (b *board) forget(id string) {
	delete(b.oldest, id)
	delete(b.failed, id)
}

// forgotten drops what is remembered of a batch that another worker has published.
func (b *board) forgotten(id string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.forget(id)
}

// unpublished notes that a batch could not be published once more.
func (b *board) unpublished(now time.Time, batch checkpoint.Batch, err error) UnpublishedBatch {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.failed == nil {
		b.failed = make(map[string]UnpublishedBatch)
	}
	u := UnpublishedBatch{
		Batch: batch.ID, Worker: batch.Worker, Sealed: batch.Created, Attempts: b.failed[batch.ID].Attempts + 1, Tried: now,
		Reason: reasonOf(err), Error: err.Error(),
	}
	b.failed[batch.ID] = u
	return u
}

// failure tells how it went when the batch was tried to be published.
func (b *board) failure(id string) (u UnpublishedBatch, tried bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	u, tried = b.failed[id]
	return u, tried
}

// failures returns the batches that could not be published, the oldest first.
func (b *board) failures() []UnpublishedBatch {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.SortedFunc(maps.Values(b.failed), func(a, b UnpublishedBatch) int {
		return cmp.Or(a.Sealed.Compare(b.Sealed), strings.Compare(a.Batch, b.Batch))
	})
}

// committed notes the arrival of the oldest record of a batch that is not visible yet.
func (b *board) committed(c checkpoint.Batch) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.oldest == nil {
		b.oldest = make(map[string]time.Time)
	}
	for _, r := range c.Ranges {
		if t, ok := b.oldest[c.ID]; !r.FirstArrival.IsZero() && (!ok || r.FirstArrival.Before(t)) {
			b.oldest[c.ID] = r.FirstArrival
		}
	}
}

func (b *board) fault(now time.Time, shard, sequence string, f *record.Fault) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.faults = remember(b.faults, FaultSeen{At: now, Shard: shard, Sequence: strings.Clone(sequence), Code: f.Code, Message: f.Message})
}

// outbox notes the unpublished batches of all workers. A batch that was there and is no more was published or forgotten
// by somebody else, or by a request of ours whose answer was lost. One that failed was there, also if no scan has shown it:
// the commit came before.
func (b *board) outbox(now time.Time, batches []checkpoint.Batch, m *metrics.Metrics) {
	b.mu.Lock()
	defer b.mu.Unlock()
	before := b.seen
	b.seen, b.box = make(map[string]bool, len(batches)), len(batches)
	var age time.Duration
	for _, batch := range batches {
		b.seen[batch.ID] = true
		age = max(age, now.Sub(batch.Created))
	}
	for id := range before {
		if !b.seen[id] {
			b.forget(id)
		}
	}
	for id := range b.failed {
		b.seen[id] = true
	}
	m.Outbox.Set(float64(len(batches)))
	m.OutboxAge.Set(age.Seconds())
}

// remember puts the newest in front and forgets the oldest.
func remember[T any](list []T, item T) []T {
	list = slices.Insert(list, 0, item)
	return list[:min(len(list), remembered)]
}

// Status tells what the pipeline holds and has done.
func (p *Pipeline) Status() Status {
	p.board.mu.Lock()
	s := Status{
		Open:      []OpenFile{},
		Published: slices.Clone(p.board.files),
		Faults:    slices.Clone(p.board.faults),
		Totals:    p.board.totals,
		Outbox:    p.board.box,
	}
	p.board.mu.Unlock()
	s.Unpublished = p.board.failures()
	s.Unpublished = s.Unpublished[:min(len(s.Unpublished), remembered)]
	for _, b := range p.uncommitted() {
		for id, f := range b.openFiles() {
			s.Open = append(s.Open, OpenFile{Partition: id.partition, Rows: f.file.Rows(), Bytes: f.file.Size(), Since: b.opened, Error: id.err != ""})
		}
	}
	slices.SortFunc(s.Open, func(a, b OpenFile) int { return int(b.Bytes - a.Bytes) })
	return s
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
	for _, reason := range reasons {
		m.OutboxFailed.WithLabelValues(reason).Set(float64(failed[reason]))
	}
}

// Freshness is the age of the oldest record that was read and is not visible yet, by its arrival in Kinesis.
func (p *Pipeline) Freshness() time.Duration {
	now := p.cfg.Now()
	var age time.Duration
	for _, b := range p.uncommitted() {
		if t := b.oldestArrival(); !t.IsZero() {
			age = max(age, now.Sub(t))
		}
	}
	p.board.mu.Lock()
	defer p.board.mu.Unlock()
	for _, t := range p.board.oldest {
		age = max(age, now.Sub(t))
	}
	return age
}

// uncommitted returns the batches of all lanes that are open or on their way to the commit.
func (p *Pipeline) uncommitted() []*batch {
	p.mu.Lock()
	lanes := slices.Clone(p.lanes)
	p.mu.Unlock()
	var batches []*batch
	for _, l := range lanes {
		batches = append(batches, l.uncommitted()...)
	}
	return batches
}
