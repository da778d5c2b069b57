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
	kinds  map[string]int // batches of unknown kinds that were in the outbox at the last scan; 0 if they are gone
	tables []TableToLoad  // as of the last scan
	// pending are the ids of the batches that waited for each table then.
	pending map[string]map[string]bool
}

// newBoard returns the board of a Pipeline whose batches name the tables.
func newBoard(tables []string, m *metrics.Metrics) *board {
	b := &board{tables: toLoad(time.Time{}, tables, nil)}
	b.showTables(m)
	return b
}

func (b *board) published(now time.Time, done checkpoint.Batch) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.forget(done.ID)
	b.totals.Batches++
	for _, f := range done.Files {
		b.totals.Files++
		b.totals.Bytes += f.Bytes
		switch {
		case f.Backup:
			b.totals.BackupRecords += f.Rows
		case f.Error:
			b.totals.ErrorRecords += f.Rows
		default:
			b.totals.Records += f.Rows
		}
		b.files = remember(b.files, PublishedFile{At: now, Bucket: f.Bucket, Key: f.Key, Rows: f.Rows, Bytes: f.Bytes, Reason: f.Reason, Error: f.Error, Backup: f.Backup})
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

// failure returns the failed attempts to publish the batch, if there were any.
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

// oldestCommitted is the age of the oldest record that is committed and not visible yet.
func (b *board) oldestCommitted(now time.Time) (age time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, t := range b.oldest {
		age = max(age, now.Sub(t))
	}
	return age
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
	b.seen = make(map[string]bool, len(batches))
	for _, batch := range batches {
		b.seen[batch.ID] = true
	}
	for id := range before {
		if !b.seen[id] {
			b.forget(id)
		}
	}
	for id := range b.failed {
		b.seen[id] = true
	}
	b.showLocked(now, batches, m)
}

// showOutbox shows the unpublished batches that a worker knows of which does not read the table.
func (b *board) showOutbox(now time.Time, batches []checkpoint.Batch, m *metrics.Metrics) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.seen = nil // what a scan shows later need not have been there before
	b.showLocked(now, batches, m)
}

// showLocked sets the gauges of the outbox; b.mu is held.
func (b *board) showLocked(now time.Time, batches []checkpoint.Batch, m *metrics.Metrics) {
	b.box = len(batches)
	var age time.Duration
	for _, batch := range batches {
		age = max(age, now.Sub(batch.Created))
	}
	m.Outbox.Set(float64(len(batches)))
	m.OutboxAge.Set(age.Seconds())
}

// own returns the heads of the worker's batches that it could not publish.
func (b *board) own(worker string) (heads []checkpoint.Batch) {
	for _, u := range b.failures() {
		if u.Worker == worker {
			heads = append(heads, checkpoint.Batch{ID: u.Batch, Worker: u.Worker, Created: u.Sealed})
		}
	}
	return heads
}

// waiting notes the published batches of all workers that are still to be loaded into tables. It returns the tables that only
// batches name and that did not wait at the scan before.
func (b *board) waiting(now time.Time, named []string, batches []checkpoint.Batch, m *metrics.Metrics) (unnamed []TableToLoad) {
	b.mu.Lock()
	defer b.mu.Unlock()
	before, pending := b.tables, pendingOf(batches)
	b.tables = toLoad(now, named, batches)
	for i := range b.tables {
		t := &b.tables[i]
		if j := slices.IndexFunc(before, t.same); j >= 0 {
			t.Loaded = before[j].Loaded
		}
		for id := range b.pending[t.Table] {
			if !pending[t.Table][id] {
				t.Loaded = now
			}
		}
	}
	b.pending = pending
	for _, t := range before {
		if !slices.ContainsFunc(b.tables, t.same) {
			m.TableBatches.DeleteLabelValues(t.Table)
			m.TableAge.DeleteLabelValues(t.Table)
		}
	}
	for _, t := range b.tables {
		if t.Unnamed && !slices.ContainsFunc(before, t.same) {
			unnamed = append(unnamed, t)
		}
	}
	b.showTables(m)
	return unnamed
}

// showTables sets the gauges of all tables.
func (b *board) showTables(m *metrics.Metrics) {
	for _, t := range b.tables {
		m.TableBatches.WithLabelValues(t.Table).Set(float64(t.Batches))
		m.TableAge.WithLabelValues(t.Table).Set(t.Age)
	}
}

// toLoad returns the named tables, and those that published batches wait for.
func toLoad(now time.Time, named []string, batches []checkpoint.Batch) []TableToLoad {
	tables := make(map[string]*TableToLoad)
	for _, name := range named {
		tables[name] = &TableToLoad{Table: name}
	}
	for _, b := range batches {
		for _, name := range b.Tables {
			if slices.Contains(b.Loaded, name) {
				continue
			}
			t := tables[name]
			if t == nil {
				t = &TableToLoad{Table: name, Unnamed: true}
				tables[name] = t
			}
			t.Batches++
			t.Age = max(t.Age, now.Sub(b.PublishedAt).Seconds())
		}
	}
	var sorted []TableToLoad
	for _, name := range slices.Sorted(maps.Keys(tables)) {
		sorted = append(sorted, *tables[name])
	}
	return sorted
}

// pendingOf returns the ids of the batches that wait for each table.
func pendingOf(batches []checkpoint.Batch) map[string]map[string]bool {
	pending := make(map[string]map[string]bool)
	for _, b := range batches {
		for _, table := range b.Tables {
			if slices.Contains(b.Loaded, table) {
				continue
			}
			if pending[table] == nil {
				pending[table] = make(map[string]bool)
			}
			pending[table][b.ID] = true
		}
	}
	return pending
}

func (t TableToLoad) same(other TableToLoad) bool { return t.Table == other.Table }

// unknown notes how many batches of each unknown kind are in the outbox, and returns the kinds that were not seen before.
func (b *board) unknown(kinds map[string]int) (first map[string]int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	first = maps.Clone(kinds)
	for kind := range b.kinds {
		delete(first, kind)
		kinds[kind] += 0
	}
	b.kinds = kinds
	return first
}

// passedOver is the number of batches of unknown kinds.
func (b *board) passedOver() (n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, count := range b.kinds {
		n += count
	}
	return n
}

// remember puts the newest in front and forgets the oldest.
func remember[T any](list []T, item T) []T {
	list = slices.Insert(list, 0, item)
	return list[:min(len(list), remembered)]
}

// status is what is remembered, without the files that are open.
func (b *board) status() Status {
	unpublished := b.failures()
	b.mu.Lock()
	defer b.mu.Unlock()
	return Status{
		Open:        []OpenFile{},
		Published:   slices.Clone(b.files),
		Faults:      slices.Clone(b.faults),
		Totals:      b.totals,
		Outbox:      b.box,
		Unpublished: unpublished[:min(len(unpublished), remembered)],
		Tables:      slices.Clone(b.tables),
	}
}
