package batch

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/record"
	"aws-streaming-pipeline/writers"
)

// batch is filled, sealed, committed and published as a unit. Shards append to it concurrently.
type batch struct {
	id     string
	opened time.Time // when its first record was taken in
	ctx    context.Context
	cancel context.CancelCauseFunc
	files  *files

	encoded   atomic.Int64 // bytes of all files, estimated where not yet encoded
	records   atomic.Int64
	described atomic.Int64 // estimated size of what the outbox holds of its files
	turns     atomic.Int64 // runs of records appended, orders the files by their last use
	due       atomic.Pointer[string]

	mu       sync.Mutex
	entered  int           // shards that are appending
	sealed   bool          // nobody enters any more
	empty    chan struct{} // closed when it is sealed and the last shard has left
	open     map[fileID]*openFile
	finished sync.WaitGroup // files being finished
	done     []checkpoint.File
	started  int // files begun, numbers their keys
	backups  int // those of a backup
	ranges   map[string]*coverage
	oldest   time.Time // earliest arrival of its records
}

// coverage is the range of one shard, and the progress to update when the batch is settled.
type coverage struct {
	checkpoint.Range
	bytes    int64 // of the payloads of its Kinesis records
	progress *progress
}

func newBatch(ctx context.Context, fs *files, id string, now time.Time) *batch {
	ctx, cancel := context.WithCancelCause(ctx)
	return &batch{
		id: id, opened: now, ctx: ctx, cancel: cancel, files: fs,
		open:   make(map[fileID]*openFile),
		empty:  make(chan struct{}),
		ranges: make(map[string]*coverage),
	}
}

// enter lets a shard append until it leaves; false if the batch is sealed.
func (b *batch) enter() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.sealed {
		b.entered++
	}
	return !b.sealed
}

func (b *batch) leave() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.entered--
	if b.sealed && b.entered == 0 {
		close(b.empty)
	}
}

// seal lets nobody enter any more and waits until all have left. What they wait for themselves ends with the batch.
func (b *batch) seal() {
	b.mu.Lock()
	b.sealed = true
	if b.entered == 0 {
		close(b.empty)
	}
	b.mu.Unlock()
	<-b.empty
}

// append puts a run of records of one partition into its file. add is called with the file, once, and returns nil
// when all of the run is in.
func (b *batch) append(id fileID, add func(*writers.File) error) error {
	for {
		f := b.file(id)
		size, open, err := b.appendTo(f, add)
		if !open { // rolled by another shard between the look-up and the lock
			continue
		}
		if err != nil {
			b.cancel(err)
			return err
		}
		if size >= b.files.roll {
			b.close(id, f, "size")
		}
		return nil
	}
}

// appendTo calls add unless the file is closed. The lock is released even if add panics, since closing waits for it.
func (b *batch) appendTo(f *openFile, add func(*writers.File) error) (size int64, open bool, err error) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	if f.closed {
		return 0, false, nil
	}
	err = add(f.file)
	size = f.file.Size()
	b.encoded.Add(size - f.size.Swap(size))
	return size, true, err
}

// file returns the open file of id, beginning one if there is none. If that is one too many, the file that was used
// least recently is closed: its partition goes on in another file.
func (b *batch) file(id fileID) *openFile {
	f, surplus := b.find(id)
	if surplus.file != nil {
		b.close(surplus.id, surplus.file, "open files")
	}
	return f
}

// found is an open file with its id.
type found struct {
	id   fileID
	file *openFile
}

func (b *batch) find(id fileID) (f *openFile, surplus found) {
	b.mu.Lock()
	defer b.mu.Unlock()
	f, ok := b.open[id]
	if !ok {
		f = &openFile{file: b.files.begin(b.ctx, b.id, b.opened, id, b.started)}
		b.started++
		if id.backup {
			b.backups++
		}
		b.described.Add(describedOpen(id))
		b.open[id] = f
		if most := b.files.most; most > 0 && len(b.open) > most {
			surplus = b.leastRecentlyUsed(id)
		}
	}
	f.used.Store(b.turns.Add(1))
	return f, surplus
}

// leastRecentlyUsed returns an open file other than that of id; b.mu is held.
func (b *batch) leastRecentlyUsed(id fileID) (oldest found) {
	for other, f := range b.open {
		if other != id && (oldest.file == nil || f.used.Load() < oldest.file.used.Load()) {
			oldest = found{other, f}
		}
	}
	return oldest
}

// close takes a file out of the open ones and finishes it in the background. It waits while many others are being
// finished, which end by themselves.
func (b *batch) close(id fileID, f *openFile, reason string) {
	if !f.shut() {
		return
	}
	b.mu.Lock()
	delete(b.open, id)
	b.mu.Unlock()
	release := b.files.takeFinisher(b.ctx)
	b.finished.Go(func() {
		defer release()
		staged, err := f.file.Finish(b.ctx)
		if err != nil {
			b.cancel(fmt.Errorf("finish file of partition %q: %w", id.partition, err))
			staged = f.file.Abandon()
		}
		b.described.Add(-describedOpen(id))
		if len(staged.Staged) == 0 {
			b.encoded.Add(-f.size.Swap(0))
			return // it got no record, or none that fits its format: there is nothing in S3
		}
		staged.Reason = reason
		b.mu.Lock()
		b.done = append(b.done, staged)
		b.mu.Unlock()
		b.described.Add(checkpoint.FileItemSize(staged))
		size := staged.Bytes
		b.encoded.Add(size - f.size.Swap(size))
	})
}

// finish closes all files, waits until every byte is durable, and returns the batch as it is to be committed. After an
// error the batch can only be dropped; what it staged is in the answer all the same.
func (b *batch) finish(worker, reason string, now time.Time) (checkpoint.Batch, error) {
	b.seal()
	for id, f := range b.openFiles() {
		b.close(id, f, reason)
	}
	b.finished.Wait()
	out := checkpoint.Batch{ID: b.id, Worker: worker, Created: now.UTC(), Files: b.done, Tables: b.files.tablesOf(b.done)}
	for _, c := range b.ranges {
		c.Load = c.progress.load(c)
		out.Ranges = append(out.Ranges, c.Range)
	}
	sortRanges(out.Ranges)
	sortFiles(out.Files)
	return out, context.Cause(b.ctx)
}

func (b *batch) openFiles() map[fileID]*openFile {
	b.mu.Lock()
	defer b.mu.Unlock()
	return maps.Clone(b.open)
}

// cover notes that what was read of a shard, after start and up to end, is in the batch as far as it is delivered. Start
// counts where the batch has none of the shard yet; otherwise the range goes on.
func (b *batch) cover(p *progress, start, end checkpoint.Position, in Intake) {
	b.mu.Lock()
	defer b.mu.Unlock()
	r, ok := b.ranges[p.shard]
	if !ok {
		r = &coverage{progress: p, Range: checkpoint.Range{
			Shard: p.shard, Start: start, LeaseOwner: p.lease.Owner, LeaseCounter: p.lease.Counter,
		}}
		b.ranges[p.shard] = r
	}
	r.End = end
	if in.Last == "" {
		return
	}
	r.Records += int64(len(in.Records))
	r.bytes += int64(in.Bytes)
	r.Last = in.Last
	if r.FirstArrival.IsZero() {
		r.FirstArrival = in.FirstArrival
	}
	r.LastArrival = in.LastArrival
	if b.oldest.IsZero() || in.FirstArrival.Before(b.oldest) {
		b.oldest = in.FirstArrival
	}
}

// covers reports whether the batch holds records of the shard.
func (b *batch) covers(shard string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	_, in := b.ranges[shard]
	return in
}

// crowded reports whether the batch has as many files and parts as it may have.
func (b *batch) crowded() bool { return b.described.Load() >= b.files.crowd }

// endsBefore reports whether the batch has too many files for the i-th record, and a new Kinesis record begins there: one that
// was begun is always appended in full.
func (b *batch) endsBefore(records []record.Record, i int) bool {
	return b.crowded() && i > 0 && records[i].SequenceNumber != records[i-1].SequenceNumber
}

// room reports whether a commit has room for one more shard.
func (b *batch) room() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.ranges) < checkpoint.MaxRanges
}

// idle reports whether the batch has files and none is open: committing it then cuts no file short, but for backups, which
// follow the others. One that covers only records of which nothing is delivered waits for others.
func (b *batch) idle() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	for id := range b.open {
		if !id.backup {
			return false
		}
	}
	return b.started > b.backups
}

// drop marks the batch's records as dropped in the progress of each shard.
func (b *batch) drop(reason string) {
	for _, c := range b.covered() {
		c.progress.drop(reason)
	}
}

// follows reports whether the batch has records after others that were dropped.
func (b *batch) follows() bool {
	return slices.ContainsFunc(b.covered(), func(c *coverage) bool { return c.progress.isDropped() })
}

// covered returns the ranges that there are. How far they go is settled when the batch is sealed.
func (b *batch) covered() []*coverage {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Collect(maps.Values(b.ranges))
}

func (b *batch) oldestArrival() time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.oldest
}
